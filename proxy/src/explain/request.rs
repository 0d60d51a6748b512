//! From the head of the request to its route.
//!
//! `handle::decide` says what becomes of the request; its answer names the stage at which that was
//! settled. The stages before it are told as passed, in the order in which they are decided, and
//! nothing is told of those behind it.

use std::sync::Arc;

use adit_route::table::{HostTable, RequestView, Selection};
use adit_route::{CanonicalHost, Role, Verdict as Policy, path};
use bytes::BytesMut;
use http::header::LOCATION;

use super::{Verdict, Walk, Why, words};
use crate::blueprint::HttpsRedirect;
use crate::h1;
use crate::http::handle::{self, Refusal, Unserved};
use crate::http::message::Request;
use crate::http::reply;
use crate::info::ConnInfo;
use crate::policy::{Scene, Told};
use crate::snapshot::{CompiledHost, CompiledRoute, Snapshot};

/// Where a request is settled, in the order of `handle::decide`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Method,
    Tunnel,
    Host,
    Exposure,
    TlsName,
    Redirect,
    Route,
    Limits,
    Served,
}

type Entry = HostTable<Arc<CompiledHost>, Arc<CompiledRoute>>;

/// A request that has been decided on.
struct Asked<'a> {
    info: &'a ConnInfo,
    request: &'a Request,
    /// The role by which it was judged.
    role: Role,
    settled: Stage,
    outcome: Result<Arc<CompiledRoute>, Unserved>,
}

impl<'a> Walk<'a> {
    /// The request as the gate lets it through.
    pub(super) fn request(&mut self, info: &ConnInfo) -> Result<Request, Verdict> {
        let question = self.question;
        let names_host = question.fields.iter().any(|line| {
            line.split_once(':')
                .is_some_and(|(name, _)| name.eq_ignore_ascii_case("host"))
        });
        let mut head = format!("{} {} HTTP/1.1\r\n", question.method, question.target);
        if !names_host {
            let port = question.port.map(|port| format!(":{port}"));
            let port = port.unwrap_or_default();
            head = format!("{head}Host: {}{port}\r\n", question.host);
        }
        for line in &question.fields {
            head = head + line + "\r\n";
        }
        head += "\r\n";
        let head = BytesMut::from(head.as_bytes());
        let text = format!("{} {}", question.method, question.target);
        match h1::request_of(head, info.tls.is_some(), &self.snapshot.limits) {
            Ok(request) => {
                let text = format!("{text} for {}", request.host);
                self.passed("request", text)
                    .fact("method", &request.method)
                    .fact("host", &request.host)
                    .fact("target", &request.target);
                Ok(request)
            }
            Err(violation) => {
                let text = format!("{text} breaks rule {violation}");
                let why = Why::because(violation.rule(), violation.reason());
                self.failed("request", text).fact("rule", violation.rule());
                Err(Verdict::Answered(violation.status(), why))
            }
        }
    }

    /// What becomes of it.
    pub(super) fn decided(
        &mut self,
        info: &ConnInfo,
        mut request: Request,
    ) -> Result<Verdict, Verdict> {
        let upgrade = request.upgrade.clone();
        let role = handle::effective_role(info, &request);
        let outcome = handle::decide(self.snapshot, info, role, &request)
            .and_then(|route| handle::check_route(&route, &mut request).map(|()| route));
        request.upgrade = upgrade;
        let role = role.unwrap_or(info.door.spec().role);
        let asked = Asked {
            info,
            request: &request,
            role,
            settled: self.settled(&outcome, &request, role),
            outcome,
        };
        self.method(&asked)?;
        self.tunnel(&asked)?;
        let entry = self.host(&asked)?;
        self.exposure(&asked)?;
        self.tls_name(&asked)?;
        self.redirect(&asked)?;
        let route = self.route(&asked, entry)?;
        self.limits(&asked, &route)?;
        self.policies(&asked, &route)?;
        self.served(&route)
    }

    fn settled(
        &self,
        outcome: &Result<Arc<CompiledRoute>, Unserved>,
        request: &Request,
        role: Role,
    ) -> Stage {
        let refusal = match outcome {
            Ok(_) => return Stage::Served,
            Err(Unserved::Redirected(_)) => return Stage::Redirect,
            Err(Unserved::Asterisk | Unserved::NoRoute) => return Stage::Route,
            Err(Unserved::Refused(refusal, _)) => *refusal,
        };
        let host = request.host.as_str();
        match refusal {
            Refusal::Connect | Refusal::Trace => Stage::Method,
            Refusal::ForeignTunnel => Stage::Tunnel,
            Refusal::UnknownHost => match self.snapshot.table.host(host) {
                None => Stage::Host,
                Some(entry) => {
                    let class = entry.verdict(host, request.target.path()).class;
                    let reached = self.snapshot.reachable(host, role).is_some();
                    // In reach and unknown: TLS is passed through, and this is clear text.
                    if reached && class.reaches(role) {
                        Stage::TlsName
                    } else {
                        Stage::Exposure
                    }
                }
            },
            Refusal::Source => Stage::Exposure,
            Refusal::PassthroughHost
            | Refusal::Misdirected
            | Refusal::PolicyChanged
            | Refusal::ClientCertificate => Stage::TlsName,
            Refusal::AmbiguousPath => Stage::Route,
            Refusal::BodyTooLarge | Refusal::NoWebSocket => Stage::Limits,
        }
    }

    fn method(&mut self, asked: &Asked<'_>) -> Result<(), Verdict> {
        if asked.settled != Stage::Method {
            return Ok(());
        }
        let text = format!("{} is not served", asked.request.method);
        self.failed("method", text.clone());
        Err(asked.refused(text))
    }

    /// Marks of a tunnel that is not ours can only lower what a request may see.
    fn tunnel(&mut self, asked: &Asked<'_>) -> Result<(), Verdict> {
        if asked.settled == Stage::Tunnel {
            let text = "it bears the marks of a foreign tunnel, and `foreignTunnel` is deny";
            self.failed("tunnel", text);
            return Err(asked.refused(text));
        }
        if asked.role == asked.info.door.spec().role {
            return Ok(());
        }
        let whence = words::whence(asked.role);
        let text = format!("it bears the marks of a foreign tunnel: judged as from {whence}");
        self.passed("tunnel", text).fact("role", asked.role);
        Ok(())
    }

    fn host(&mut self, asked: &Asked<'_>) -> Result<&'a Entry, Verdict> {
        let host = &asked.request.host;
        let snapshot: &'a Snapshot = self.snapshot;
        if let Some(entry) = snapshot.table.host(host.as_str()) {
            let pattern = entry.pattern();
            let text = if pattern.is_exact() {
                format!("{host} has a route")
            } else {
                format!("{host} is covered by the route for {pattern}")
            };
            self.passed("host", text).fact("pattern", pattern);
            return Ok(entry);
        }
        let path = asked.request.target.path();
        let (why, notes) = self.unknown(asked.rule(), host, path, asked.role);
        self.failed("host", why.text.clone()).notes = notes;
        Err(asked.refused_for(why))
    }

    fn exposure(&mut self, asked: &Asked<'_>) -> Result<(), Verdict> {
        let (host, path) = (&asked.request.host, asked.request.target.path());
        if asked.settled != Stage::Exposure {
            self.exposed(host, path, asked.role);
            return Ok(());
        }
        let policy = self.policy(host, path);
        let client = asked.info.client.ip();
        let said = self.said(&policy);
        let (text, why) = match (asked.is(Refusal::Source), &policy.from) {
            (true, Some(from)) => {
                let text = format!("{client} is outside of {} ({said})", words::blocks(from));
                (text.clone(), Why::because(asked.rule(), text))
            }
            _ => (
                format!("{said}, not to be known from {}", words::whence(asked.role)),
                Why::hidden(asked.rule(), said),
            ),
        };
        let notes = self.skipped(host, path);
        let step = self.failed("exposure", text);
        step.notes = notes;
        step.facts = facts(&policy);
        Err(asked.refused_for(why))
    }

    /// A step for a host and path in reach.
    pub(super) fn exposed(&mut self, host: &CanonicalHost, path: &str, role: Role) {
        let policy = self.policy(host, path);
        let mut text = format!("{}, known from {}", self.said(&policy), words::whence(role));
        if let Some(from) = &policy.from {
            text = format!("{text}, for clients in {}", words::blocks(from));
        }
        let notes = self.skipped(host, path);
        let step = self.passed("exposure", text);
        step.notes = notes;
        step.facts = facts(&policy);
    }

    /// What a rule says and where it stands: `rule hidden, adit.yaml line 27: off`.
    pub(super) fn said(&self, policy: &Policy) -> String {
        let at = match self.explainer.places.get(&policy.rule) {
            Some(place) => words::place(place),
            None => words::place(&adit_route::Place {
                source: "".into(),
                line: policy.line,
            }),
        };
        let name = match &*policy.rule {
            "default" => "default".to_owned(),
            rule => format!("rule {rule}"),
        };
        let comma = if at.is_empty() { "" } else { ", " };
        format!("{name}{comma}{at}: {}", policy.class)
    }

    /// The rules that were read and do not speak of the request, and why.
    pub(super) fn skipped(&self, host: &CanonicalHost, path: &str) -> Vec<String> {
        const SHOWN: usize = 12;
        let rules = &self.snapshot.exposure.rules;
        let matches = |rule: &adit_route::ExposureRule| {
            rule.covers_host(host.as_str()) && rule.covers_path(path)
        };
        let decides = rules.iter().position(matches).unwrap_or(rules.len());
        let mut notes: Vec<String> = rules
            .iter()
            .take(decides)
            .map(|rule| {
                let hosts: Vec<_> = rule.hosts.iter().map(ToString::to_string).collect();
                let other = if rule.covers_host(host.as_str()) {
                    format!("path {path} is not under {}", rule.paths.join(", "))
                } else {
                    format!("speaks of {}", hosts.join(", "))
                };
                format!("skipped: {}; {other}", self.said(&rule.verdict))
            })
            .collect();
        if let Some(more) = notes.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            // The nearest to the rule that decides are the ones that people look for.
            notes.drain(..more);
            notes.insert(0, format!("skipped: {more} more rules"));
        }
        if let Some(later) = rules.iter().skip(decides + 1).find(|rule| matches(rule)) {
            let said = self.said(&later.verdict);
            notes.push(format!("{said} would match too, and comes later"));
        }
        notes
    }

    /// The host of the request against the name of the handshake.
    fn tls_name(&mut self, asked: &Asked<'_>) -> Result<(), Verdict> {
        let host = &asked.request.host;
        if asked.settled == Stage::TlsName {
            let text = asked.tls_mismatch();
            self.failed("tls-name", text.clone());
            return Err(asked.refused(text));
        }
        let Some(tls) = &asked.info.tls else {
            return Ok(());
        };
        if asked.settled > Stage::TlsName && tls.sni.as_ref() != Some(host) {
            let text = format!(
                "{host} may be asked for here: same TLS policy and class, and certificate {} names it",
                tls.certificate.name()
            );
            self.passed("tls-name", text);
        }
        Ok(())
    }

    fn redirect(&mut self, asked: &Asked<'_>) -> Result<(), Verdict> {
        let Err(Unserved::Redirected(HttpsRedirect { port, status })) = asked.outcome else {
            return Ok(());
        };
        let answer = reply::to_https(asked.request, port, status);
        let location = answer.headers.get(LOCATION);
        let location = location
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        self.passed("redirect", "plain HTTP is sent to HTTPS by this listener");
        Err(Verdict::Redirected {
            status,
            location: location.to_owned(),
        })
    }

    fn route(&mut self, asked: &Asked<'_>, entry: &Entry) -> Result<Arc<CompiledRoute>, Verdict> {
        let view = handle::view(asked.request);
        match entry.select(&view) {
            _ if asked.is_outcome(Unserved::Asterisk) => {
                self.passed("route", "none: `OPTIONS *` asks about adit");
                Err(asked.refused("the request asks about adit itself"))
            }
            Selection::Rule(rule) => {
                let route = Arc::clone(&rule.payload);
                let mut text = words::route(&rule.path, &route);
                text += &words::conditions(&rule.conditions);
                self.passed("route", text)
                    .fact("host", &route.host)
                    .fact("path", words::path(&rule.path))
                    .fact("route", &route.name)
                    .fact("place", words::place(&route.place));
                Ok(route)
            }
            Selection::None => {
                let text = format!("no route of {} is for {}", entry.pattern(), view.path);
                let near = entry.near(&view);
                let near = near
                    .iter()
                    .map(|near| words::near(near, view.path, &near.rule.payload.place));
                self.failed("route", text.clone()).notes = near.collect();
                Err(asked.refused(text))
            }
            Selection::Ambiguous => {
                let text = format!(
                    "{} can be read in ways that lead to different routes",
                    view.path
                );
                self.failed("route", text.clone()).notes = readings(entry, &view);
                Err(asked.refused(text))
            }
        }
    }

    /// What the policies of the route would do, up to the first that answers.
    fn policies(&mut self, asked: &Asked<'_>, route: &CompiledRoute) -> Result<(), Verdict> {
        let Some(plan) = &route.plan else {
            return Ok(());
        };
        let scene = Scene {
            info: asked.info,
            request: asked.request,
            client: handle::forwarded_client(asked.info, asked.request)
                .unwrap_or_else(|| asked.info.client.ip()),
            target: &asked.request.target,
            location: plan.location(),
            user: None,
        };
        for step in plan.steps() {
            match step.tell(&scene) {
                Told::Passes(text) => drop(self.passed("policy", text).fact("policy", step.name())),
                Told::Answers(status, rule, text) => {
                    let failed = self.failed("policy", text.clone());
                    failed.fact("policy", step.name()).fact("rule", rule);
                    return Err(Verdict::Answered(status, Why::because(rule, text)));
                }
                Told::Redirects(status, location, text) => {
                    self.passed("policy", text).fact("policy", step.name());
                    return Err(Verdict::Redirected { status, location });
                }
            }
        }
        for (name, text) in plan
            .traffic()
            .map(|traffic| traffic.tell(asked.request))
            .unwrap_or_default()
        {
            self.passed("policy", text).fact("policy", name);
        }
        Ok(())
    }

    fn limits(&mut self, asked: &Asked<'_>, route: &CompiledRoute) -> Result<(), Verdict> {
        let length = asked.request.body.length();
        if asked.is(Refusal::BodyTooLarge) {
            let (length, most) = (
                length.unwrap_or_default(),
                route.max_body.unwrap_or_default(),
            );
            let text = format!("a body of {length} bytes is over the route's limit of {most}");
            self.failed("limits", text.clone());
            return Err(asked.refused(text));
        }
        if asked.is(Refusal::NoWebSocket) {
            let text = "the route passes no WebSocket";
            self.failed("limits", text);
            return Err(asked.refused(text));
        }
        let body = match route.max_body {
            Some(most) => format!("body up to {most} bytes"),
            None => "body unlimited".to_owned(),
        };
        let (response, idle) = (route.response, route.idle);
        let step = self.passed(
            "limits",
            format!("{body}, head within {response:?}, idle {idle:?}"),
        );
        step.fact("responseTimeout", format!("{response:?}"));
        step.fact("idleTimeout", format!("{idle:?}"));
        if let Some(most) = route.max_body {
            step.fact("maxBody", most);
        }
        match (asked.request.upgrade.is_some(), route.websocket) {
            (true, true) => drop(step.note("the WebSocket handshake is passed on")),
            (true, false) => drop(step.note("passed on as a plain request: no WebSocket here")),
            (false, _) => {}
        }
        Ok(())
    }
}

impl Asked<'_> {
    fn is(&self, refusal: Refusal) -> bool {
        matches!(self.outcome, Err(Unserved::Refused(found, _)) if found == refusal)
    }

    fn is_outcome(&self, unserved: Unserved) -> bool {
        matches!(self.outcome, Err(found) if found == unserved)
    }

    /// The id of the rule that refuses; empty for what is merely not there.
    fn rule(&self) -> &'static str {
        match self.outcome {
            Err(Unserved::Refused(refusal, _)) => refusal.rule(),
            _ => "",
        }
    }

    fn refused(&self, text: impl Into<String>) -> Verdict {
        self.refused_for(Why::because(self.rule(), text))
    }

    fn refused_for(&self, why: Why) -> Verdict {
        let status = match self.outcome {
            Err(Unserved::Refused(_, status)) => status,
            Err(Unserved::Redirected(redirect)) => redirect.status,
            Err(Unserved::Asterisk) | Ok(_) => http::StatusCode::OK,
            Err(Unserved::NoRoute) => http::StatusCode::NOT_FOUND,
        };
        Verdict::Answered(status, why)
    }

    /// Why the host does not fit the connection.
    fn tls_mismatch(&self) -> String {
        let host = &self.request.host;
        let Some(tls) = &self.info.tls else {
            return format!("TLS of {host} is passed through, so there is no plain HTTP for it");
        };
        let sni = tls.sni.as_ref().map_or("no name", CanonicalHost::as_str);
        if self.is(Refusal::ClientCertificate) {
            return format!(
                "{host} demands a client certificate; this request is asked without one"
            );
        }
        if self.is(Refusal::PassthroughHost) {
            return format!(
                "TLS of {host} is passed through; this connection ended here for {sni}"
            );
        }
        format!(
            "{host} is asked for on a connection for {sni}: its TLS policy, certificate or class differs"
        )
    }
}

fn facts(policy: &Policy) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("rule", policy.rule.to_string()),
        ("line", policy.line.to_string()),
        ("class", policy.class.to_string()),
    ];
    if let Some(from) = &policy.from {
        facts.push(("from", words::blocks(from)));
    }
    facts
}

/// Every way to read the path, and where each would lead.
fn readings(entry: &Entry, view: &RequestView<'_>) -> Vec<String> {
    const SHOWN: usize = 8;
    let readings = match path::readings(view.path) {
        Ok(readings) => readings,
        Err(error) => return vec![error.to_string()],
    };
    let note = |reading: &String| {
        let asked = RequestView {
            path: reading,
            ..*view
        };
        let class = entry.verdict(view.host, reading).class;
        let to = match entry.select(&asked) {
            Selection::Rule(rule) => words::path(&rule.path),
            Selection::None => "no route".to_owned(),
            Selection::Ambiguous => return format!("as {reading}"),
        };
        format!("as {reading}: {to} ({class})")
    };
    readings.iter().take(SHOWN).map(note).collect()
}
