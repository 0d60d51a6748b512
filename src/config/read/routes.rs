//! Routes: hosts with their rules, and what routes of one host must agree on.

use std::collections::HashMap;
use std::sync::Arc;

use adit_route::{
    ClientAuth, Conditions, HostPattern, HostRoutes, HostTls, PathMatch, Profile, RouteSet,
    TlsVersion,
};

use super::super::problem::{Code, Problem};
use super::super::scalar;
use super::super::schema::policy_keys;
use super::super::tree::{Node, Span};
use super::rules::{Written, rules};
use super::upstreams::{Scope, relay_upstream};
use super::{Reader, certificates, hosts};

/// All routes of the document.
pub(super) fn routes(reader: &mut Reader<'_>, root: &Node) -> RouteSet {
    let mut names = HashMap::new();
    let mut known: HashMap<HostPattern, Settings> = HashMap::new();
    let mut paths = Paths::default();
    let mut set = RouteSet::default();
    let mut twins = Vec::new();
    let nginx = hosts::under_nginx(root);
    for node in root
        .field("routes")
        .into_iter()
        .flat_map(Node::items)
        .filter(|node| node.is_map())
    {
        reader.unique(&mut names, node.field("name"), "route");
        let patterns = patterns(reader, node);
        twins.extend(hosts::twins(reader, node, &patterns));
        let own = settings(reader, node);
        for (pattern, span) in &patterns {
            match known.get_mut(pattern) {
                Some(first) => first.merge(reader, pattern, &own, *span),
                None => {
                    known.insert(pattern.clone(), own.clone());
                }
            }
        }
        let Some((first, _)) = patterns.first() else {
            continue;
        };
        let name = node.field("name").and_then(Node::text);
        let label = name.map_or_else(|| first.to_string(), ToOwned::to_owned);
        let (tls, written) = if own.passthrough.is_some() {
            let Some(upstream) = passthrough(reader, node, &label) else {
                continue;
            };
            (HostTls::Passthrough(Arc::new(upstream)), Vec::new())
        } else {
            let profile = if patterns.iter().any(|(pattern, _)| nginx.contains(pattern)) {
                Profile::Nginx
            } else {
                Profile::Strict
            };
            (HostTls::default(), rules(reader, node, &label, profile))
        };
        for (pattern, _) in patterns {
            paths.check(reader, &pattern, &written);
            set.hosts.push(HostRoutes {
                pattern,
                name: name.map(Into::into),
                place: reader.place(node.span),
                profile: Profile::Strict,
                tls: tls.clone(),
                app_root: hosts::app_root(node),
                rules: written.iter().map(|written| written.rule.clone()).collect(),
            });
        }
    }
    unique_upstreams(&mut set);
    for route in &mut set.hosts {
        if let Some(settings) = known.get(&route.pattern) {
            settings.apply(route);
        }
    }
    for twin in twins {
        let Some(settings) = known.get(&twin.host).cloned() else {
            continue;
        };
        if settings.passthrough.is_none() && !known.contains_key(&twin.other) {
            let profile = settings
                .profile
                .map_or(Profile::Strict, |(profile, _)| profile);
            let settings = Settings {
                profile: None,
                client_auth: None,
                ..settings
            };
            known.insert(twin.other.clone(), settings.clone());
            let mut route = twin.routes(profile);
            settings.apply(&mut route);
            set.hosts.push(route);
        }
    }
    set
}

fn patterns(reader: &mut Reader<'_>, node: &Node) -> Vec<(HostPattern, Span)> {
    let (one, many) = (node.field("host"), node.field("hosts"));
    if one.is_some() == many.is_some() {
        let (span, message) = match node.entry("hosts") {
            Some(entry) => (entry.key_span, "both `host` and `hosts` are written"),
            None => (node.span, "the route has no host"),
        };
        let code = if one.is_some() {
            Code::COMBINATION
        } else {
            Code::MISSING_KEY
        };
        let problem = Problem::error(code, span, message).allowed("either `host` or `hosts`");
        reader.push(problem.help(
            "write `host: www.example.com`; `host: \"*\"` takes every host that no other route has",
        ));
    }
    let mut patterns: Vec<(HostPattern, Span)> = Vec::new();
    for item in one
        .into_iter()
        .chain(many.into_iter().flat_map(Node::items))
    {
        let Some(pattern) = item.text().and_then(|text| scalar::host(text).ok()) else {
            continue;
        };
        match patterns.iter().find(|(known, _)| *known == pattern) {
            Some((_, first)) => reader.push(
                Problem::error(
                    Code::DUPLICATE_NAME,
                    item.span,
                    format!("the host `{pattern}` is there twice"),
                )
                .found(format!("`{pattern}`"))
                .related(*first, "first written here")
                .help("remove one of them"),
            ),
            None => patterns.push((pattern, item.span)),
        }
    }
    patterns
}

/// Keys that need a request, which nobody sees in a passed-through connection.
const REQUEST_KEYS: [&str; 8] = [
    "paths",
    "respond",
    "backendTls",
    "retry",
    "limits",
    "clientAuth",
    "profile",
    "outlier",
];

fn passthrough(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &str,
) -> Option<adit_route::UpstreamSpec> {
    let why = "TLS is passed through, so adit sees no requests";
    let keys: Vec<_> = REQUEST_KEYS
        .into_iter()
        .filter(|key| *key != "outlier")
        .chain(["appRoot", "wwwRedirect"])
        .chain(policy_keys())
        .collect();
    reader.forbid(node, &keys, why);
    if let Some(timeouts) = node.field("timeouts") {
        reader.forbid(timeouts, &["response"], why);
    }
    if node.field("backends").is_none() {
        let problem = Problem::error(
            Code::NO_ACTION,
            node.span,
            "the route passes TLS through, but to no backend",
        );
        reader.push(
            problem
                .allowed("`backends`")
                .help("write `backends: [\"10.0.0.7:443\"]`"),
        );
    }
    relay_upstream(reader, name, &Scope::of(node))
}

/// What holds for a host as a whole, each with the place that says so.
#[derive(Clone)]
struct Settings {
    /// Whether the first route of the host passes TLS through.
    passthrough: Option<Span>,
    host: Span,
    profile: Option<(Profile, Span)>,
    min_version: Option<(TlsVersion, Span)>,
    client_auth: Option<(ClientAuth, Span)>,
}

fn settings(reader: &mut Reader<'_>, node: &Node) -> Settings {
    let tls = node.field("tls");
    let own_tls = tls.filter(|tls| tls.text().is_none());
    if own_tls.is_some_and(|tls| tls.field("clientAuth").is_some()) {
        reader.forbid(node, &["clientAuth"], "it is written under `tls` already");
    }
    let profile = node.field("profile").and_then(|node| match node.text()? {
        "strict" => Some((Profile::Strict, node.span)),
        "nginx" => Some((Profile::Nginx, node.span)),
        _ => None,
    });
    let passthrough = tls
        .filter(|tls| tls.text() == Some("passthrough"))
        .map(|tls| tls.span);
    let client_auth = node
        .field("clientAuth")
        .or_else(|| own_tls?.field("clientAuth"))
        .filter(|_| passthrough.is_none());
    Settings {
        passthrough,
        host: node
            .field("host")
            .or_else(|| node.field("hosts"))
            .map_or(node.span, |host| host.span),
        profile,
        min_version: own_tls.and_then(|tls| {
            Some((
                certificates::min_version(tls)?,
                tls.field("minVersion")?.span,
            ))
        }),
        client_auth: client_auth
            .and_then(|auth| Some((certificates::client_auth(reader, auth)?, auth.span))),
    }
}

impl Settings {
    /// Adds what a further route of the host says; contradictions are errors.
    fn merge(&mut self, reader: &mut Reader<'_>, pattern: &HostPattern, other: &Self, span: Span) {
        match (self.passthrough, other.passthrough) {
            (None, None) => {}
            (Some(first), Some(_)) => {
                let message = format!("TLS of `{pattern}` is passed through by two routes");
                let problem = Problem::error(Code::DUPLICATE_ROUTE, span, message)
                    .found(format!("`{pattern}`"));
                reader.push(
                    problem
                        .related(first, "first written here")
                        .help("write all backends in one route"),
                );
            }
            (one, _) => {
                let first = one.unwrap_or(self.host);
                let message = format!(
                    "one route passes TLS of `{pattern}` through, and another ends it here"
                );
                let problem = Problem::error(Code::HOST_CONFLICT, span, message)
                    .found(format!("`{pattern}`"));
                reader.push(
                    problem
                        .related(first, "the other route")
                        .help("a connection is either opened or not: choose one for the host"),
                );
            }
        }
        agree(
            reader,
            pattern,
            "profile",
            &mut self.profile,
            other.profile.as_ref(),
        );
        agree(
            reader,
            pattern,
            "minVersion",
            &mut self.min_version,
            other.min_version.as_ref(),
        );
        agree(
            reader,
            pattern,
            "clientAuth",
            &mut self.client_auth,
            other.client_auth.as_ref(),
        );
    }

    fn apply(&self, route: &mut HostRoutes) {
        route.profile = self.profile.map_or(Profile::Strict, |(profile, _)| profile);
        if let HostTls::Terminate {
            min_version,
            client_auth,
        } = &mut route.tls
        {
            *min_version = self.min_version.map(|(version, _)| version);
            *client_auth = self.client_auth.as_ref().map(|(auth, _)| auth.clone());
        }
    }
}

fn agree<T: Clone + PartialEq>(
    reader: &mut Reader<'_>,
    pattern: &HostPattern,
    what: &str,
    known: &mut Option<(T, Span)>,
    other: Option<&(T, Span)>,
) {
    match (known.as_ref(), other) {
        (Some((mine, first)), Some((theirs, span))) if mine != theirs => {
            let message = format!("two routes of `{pattern}` disagree about `{what}`");
            let problem = Problem::error(Code::HOST_CONFLICT, *span, message)
                .related(*first, "the other route");
            reader.push(
                problem.help("it holds for the whole host: write it once, or the same in both"),
            );
        }
        (None, Some(other)) => *known = Some(other.clone()),
        _ => {}
    }
}

type PathKey = (HostPattern, &'static str, String);

/// The paths of every host, to find what is there twice.
#[derive(Default)]
struct Paths {
    seen: HashMap<PathKey, Vec<(Conditions, Span)>>,
}

impl Paths {
    fn check(&mut self, reader: &mut Reader<'_>, pattern: &HostPattern, written: &[Written]) {
        for Written { rule, span } in written {
            let (kind, text) = match &rule.path {
                PathMatch::Exact(path) => ("exact", path.to_string()),
                PathMatch::Prefix(path) => ("prefix", path.trim_end_matches('/').to_owned()),
                PathMatch::Regex(regex) => ("regex", regex.as_str().to_owned()),
            };
            let others = self.seen.entry((pattern.clone(), kind, text)).or_default();
            if let Some((_, first)) = others
                .iter()
                .find(|(conditions, _)| *conditions == rule.conditions)
            {
                let shown = rule.path.as_str();
                let message =
                    format!("`{pattern}` has {kind} `{shown}` with the same conditions twice");
                let problem = Problem::error(Code::DUPLICATE_ROUTE, *span, message)
                    .found(format!("{kind} `{shown}`"));
                reader.push(
                    problem
                        .related(*first, "first written here")
                        .help("remove one of them, or tell them apart with `match`"),
                );
            }
            others.push((rule.conditions.clone(), *span));
        }
    }
}

/// Upstreams are told apart by name over reloads, so what was named alike gets a number.
fn unique_upstreams(set: &mut RouteSet) {
    use adit_route::{Action, UpstreamSpec};
    let mut taken: HashMap<String, u32> = HashMap::new();
    let mut renamed: HashMap<*const UpstreamSpec, Arc<UpstreamSpec>> = HashMap::new();
    let mut rename = |upstream: &mut Arc<UpstreamSpec>| {
        let known = renamed.entry(Arc::as_ptr(upstream)).or_insert_with(|| {
            let count = taken.entry(upstream.name.to_string()).or_default();
            *count += 1;
            if *count == 1 {
                return Arc::clone(upstream);
            }
            let name = format!("{}#{count}", upstream.name).into();
            Arc::new(UpstreamSpec {
                name,
                ..(**upstream).clone()
            })
        });
        *upstream = Arc::clone(known);
    };
    for route in &mut set.hosts {
        if let HostTls::Passthrough(upstream) = &mut route.tls {
            rename(upstream);
        }
        for rule in &mut route.rules {
            if let Action::Forward(weighted) = &mut rule.action {
                for share in weighted {
                    rename(&mut share.upstream);
                }
            }
            if let Some(policies) = &mut rule.policies {
                let policies = Arc::make_mut(policies);
                policies.upstreams_mut().for_each(&mut rename);
            }
        }
    }
}
