//! What can be seen from outside: connections, and the hosts of a generation with their rules.
//!
//! Plain data, made when somebody asks and never on the path of a request. Doors, upstreams and
//! certificates need no view of their own: a [`Snapshot`] hands them out as they are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_route::table::{HostTable, RuleEntry};
use adit_route::{Conditions, HostPattern, PathMatch, Place, Role, Verdict};
use http::StatusCode;

use crate::blueprint::ListenerKind;
use crate::info::ConnInfo;
use crate::snapshot::{CompiledAction, CompiledHost, CompiledRoute, Snapshot};
use crate::worker::LiveState;

/// An open client connection.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// Unique while the process lives.
    pub id: u64,
    /// The worker that serves it.
    pub worker: usize,
    /// How long it has been open.
    pub age: Duration,
    /// Requests so far.
    pub requests: u64,
    /// The door, once the connection has said what it is.
    pub listener: Option<String>,
    /// The client.
    pub client: Option<SocketAddr>,
    /// TLS name.
    pub sni: Option<String>,
    /// `http/1.1`, `h2`, `tls` (passed through), `tcp`, or empty while it is not known.
    pub protocol: &'static str,
}

impl ConnectionView {
    pub(crate) fn new(id: u64, worker: usize, state: &LiveState) -> Self {
        let info = state.info.get();
        let tls = info.and_then(|info| info.tls.as_ref());
        Self {
            id,
            worker,
            age: state.since.elapsed(),
            requests: state.requests.get(),
            listener: info.map(|info| info.door.spec().name.to_string()),
            client: info.map(|info| info.client),
            sni: tls
                .and_then(|tls| tls.sni.as_ref())
                .map(ToString::to_string),
            protocol: info.map_or("", |info| protocol(info)),
        }
    }
}

fn protocol(info: &ConnInfo) -> &'static str {
    match (&info.door.spec().kind, &info.tls) {
        (ListenerKind::Tcp { .. }, _) => "tcp",
        (ListenerKind::Https, None) => "tls",
        (ListenerKind::H2c, _) => "h2",
        (_, Some(tls)) if tls.h2 => "h2",
        _ => "http/1.1",
    }
}

/// A host of a generation: what is served for it, and to whom.
#[derive(Clone, Debug)]
pub struct HostView {
    /// The hosts.
    pub pattern: HostPattern,
    /// Where it was written.
    pub place: Place,
    /// What happens to TLS connections for it.
    pub tls: HostTlsView,
    /// Who may see it: rules that can concern it, in order; what they leave gets the last.
    pub exposure: Vec<ExposureView>,
    /// Its rules, in the order of declaration.
    pub rules: Vec<RuleView>,
}

/// What happens to TLS connections for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostTlsView {
    /// TLS ends here, with the certificate of this name if there is one.
    Terminate(Option<Arc<str>>),
    /// The bytes go to the upstream of this name.
    Passthrough(Arc<str>),
}

/// A verdict of the policy with the part of a host that it speaks of.
#[derive(Clone, Debug)]
pub struct ExposureView {
    /// Hosts it speaks of; empty means all.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes; empty means all.
    pub paths: Vec<String>,
    /// What it says.
    pub verdict: Arc<Verdict>,
}

/// A rule of a host.
#[derive(Clone, Debug)]
pub struct RuleView {
    /// The name in logs and metrics.
    pub name: Arc<str>,
    /// Where it was written.
    pub place: Place,
    /// The path.
    pub path: PathMatch,
    /// What must hold beside the path.
    pub conditions: Conditions,
    /// Who may see its path; `None` if that differs within it.
    pub verdict: Option<Arc<Verdict>>,
    /// What it does.
    pub action: ActionView,
    /// Whether WebSocket handshakes pass.
    pub websocket: bool,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionView {
    /// Forwards to upstreams, by name with their weights.
    Forward(Vec<(Arc<str>, u32)>),
    /// Answers with this status.
    Respond(StatusCode),
    /// A policy of the rule answers everything.
    Policy,
}

impl HostView {
    /// Whether some name or path of the host can be seen through a door of this role.
    pub fn is_reached_by(&self, role: Role) -> bool {
        let mut verdicts = self.exposure.iter().map(|exposure| &exposure.verdict);
        verdicts.any(|verdict| verdict.class.reaches(role))
    }

    /// Whether a door that speaks this can serve the host.
    pub fn is_spoken_on(&self, kind: &ListenerKind) -> bool {
        match kind {
            ListenerKind::Https => true,
            ListenerKind::Http | ListenerKind::H2c => {
                matches!(self.tls, HostTlsView::Terminate(_))
            }
            ListenerKind::Tcp { .. } | ListenerKind::Admin => false,
        }
    }
}

type Entry = HostTable<Arc<CompiledHost>, Arc<CompiledRoute>>;

impl Snapshot {
    /// Every host, in the order of declaration.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = HostView> {
        self.table.hosts().map(|entry| self.host_view(entry))
    }

    fn host_view(&self, entry: &Entry) -> HostView {
        let pattern = entry.pattern();
        let exposure = self.exposure_views(pattern);
        let rules = entry.rules().iter();
        HostView {
            place: self.places.get(pattern).cloned().unwrap_or_default(),
            tls: match &**entry.payload() {
                CompiledHost::Terminate(_) => HostTlsView::Terminate(self.certificate_of(pattern)),
                CompiledHost::Passthrough { upstream, .. } => {
                    HostTlsView::Passthrough(Arc::clone(&upstream.upstream.spec().name))
                }
            },
            rules: rules
                .map(|rule| rule_view(entry, &exposure, rule))
                .collect(),
            pattern: pattern.clone(),
            exposure,
        }
    }

    /// The verdicts that can concern a host, up to the one that settles what is left.
    fn exposure_views(&self, pattern: &HostPattern) -> Vec<ExposureView> {
        let whole = |verdict: &Arc<Verdict>| ExposureView {
            hosts: Vec::new(),
            paths: Vec::new(),
            verdict: Arc::clone(verdict),
        };
        if let Some(verdict) = self.exposure.settled(pattern) {
            return vec![whole(verdict)];
        }
        let narrowed = self.exposure.narrowed(pattern);
        let mut views: Vec<_> = narrowed
            .rules
            .iter()
            .map(|rule| ExposureView {
                hosts: if pattern.is_exact() {
                    Vec::new()
                } else {
                    rule.hosts.clone()
                },
                paths: rule.paths.clone(),
                verdict: Arc::clone(&rule.verdict),
            })
            .collect();
        let settles = narrowed.rules.last().is_some_and(|rule| {
            let covers = |host: &HostPattern| host.contains(pattern);
            rule.paths.is_empty() && (rule.hosts.is_empty() || rule.hosts.iter().any(covers))
        });
        if !settles {
            views.push(whole(&narrowed.default));
        }
        views
    }

    /// The certificate that clients of the host are shown.
    fn certificate_of(&self, pattern: &HostPattern) -> Option<Arc<str>> {
        let certificates = &self.certificates;
        let found = match pattern {
            HostPattern::Exact(name) => certificates.find(name.as_str()),
            _ => certificates
                .iter()
                .find(|certificate| certificate.hosts().contains(pattern)),
        };
        found.map(|certificate| Arc::clone(certificate.name()))
    }
}

fn rule_view(
    entry: &Entry,
    exposure: &[ExposureView],
    rule: &RuleEntry<Arc<CompiledRoute>>,
) -> RuleView {
    let route = &rule.payload;
    let verdict = match (exposure, entry.pattern(), &rule.path) {
        ([only], ..) => Some(Arc::clone(&only.verdict)),
        (_, HostPattern::Exact(name), PathMatch::Exact(path) | PathMatch::Prefix(path)) => {
            Some(Arc::clone(entry.verdict(name.as_str(), path)))
        }
        _ => None,
    };
    RuleView {
        name: Arc::clone(&route.name),
        place: route.place.clone(),
        path: rule.path.clone(),
        conditions: rule.conditions.clone(),
        verdict,
        action: match &route.action {
            CompiledAction::Respond(fixed) => ActionView::Respond(fixed.status),
            CompiledAction::Policy => ActionView::Policy,
            CompiledAction::Forward { shares, .. } => {
                let shares = shares.iter().map(|(compiled, weight)| {
                    let name = Arc::clone(&compiled.upstream.spec().name);
                    (name, *weight)
                });
                ActionView::Forward(shares.collect())
            }
        },
        websocket: route.websocket,
    }
}
