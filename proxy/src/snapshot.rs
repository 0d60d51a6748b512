//! What the workers read: one immutable, compiled generation.
//!
//! A snapshot is built on control from a [`Blueprint`] and the snapshot before it: upstreams whose
//! spec did not change keep their endpoints, pools and health; policies and certificates that did
//! not change keep their compiled form. It is published whole or not at all.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use adit_route::table::{HostEntry, HostTable, RouteTable, RuleEntry};
use adit_route::{
    Action, ExposureRules, FixedResponse, HostPattern, HostRoutes, HostTls, Place, Protocol, Role,
    Rule, UpstreamSpec, profile,
};

use crate::blueprint::{Blueprint, ListenerKind, ListenerSpec};
use crate::limits::Limits;
use crate::metrics::{ListenerStats, Metrics, RouteStats};
use crate::policy::{Compiling, Memory, Plan};
use crate::tls::{Alpn, BackendConnector, CertificateSet, ServerTls, Termination, TlsPolicy};
use crate::trace::Collector;
use crate::upstream::Upstream;

/// One generation.
#[derive(Debug)]
pub struct Snapshot {
    /// Number, rising by one.
    pub generation: u64,
    pub(crate) limits: Limits,
    pub(crate) doors: Vec<Arc<Door>>,
    pub(crate) table: RouteTable<Arc<CompiledHost>, Arc<CompiledRoute>>,
    pub(crate) upstreams: HashMap<Arc<str>, Arc<CompiledUpstream>>,
    pub(crate) exposure: ExposureRules,
    pub(crate) certificates: Arc<CertificateSet>,
    /// Where each host was written, for those who ask.
    pub(crate) places: HashMap<HostPattern, Place>,
    /// For clients without SNI, if there is a default certificate.
    pub(crate) without_sni: Option<Arc<Termination>>,
    /// What becomes of traces.
    pub(crate) collector: Option<Arc<Collector>>,
}

/// A compiled door.
#[derive(Debug)]
pub struct Door {
    spec: Arc<ListenerSpec>,
    pub(crate) stats: Arc<ListenerStats>,
    pub(crate) tcp: Option<DoorTcp>,
}

/// What a raw TCP door needs.
#[derive(Debug)]
pub(crate) struct DoorTcp {
    pub upstream: Arc<CompiledUpstream>,
    pub tls: Option<Termination>,
    pub route: Arc<RouteStats>,
}

/// What happens to TLS connections for a host.
#[derive(Debug)]
pub(crate) enum CompiledHost {
    Terminate(Termination),
    Passthrough {
        upstream: Arc<CompiledUpstream>,
        route: Arc<RouteStats>,
    },
}

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct CompiledRoute {
    pub host: Arc<str>,
    pub name: Arc<str>,
    pub place: Place,
    pub action: CompiledAction,
    pub response: Duration,
    pub idle: Duration,
    pub upgraded_idle: Duration,
    pub connect: Option<Duration>,
    pub max_body: Option<u64>,
    pub low_priority: bool,
    pub websocket: bool,
    /// Policies, if the rule has any.
    pub plan: Option<Box<Plan>>,
    pub stats: Arc<RouteStats>,
}

/// What a rule does.
#[derive(Debug)]
pub(crate) enum CompiledAction {
    Forward {
        shares: Vec<(Arc<CompiledUpstream>, u32)>,
        total: u32,
    },
    Respond(Arc<FixedResponse>),
    /// A policy of the rule answers everything.
    Policy,
}

/// An upstream with the TLS settings for its connections.
#[derive(Debug)]
pub struct CompiledUpstream {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) tls_h1: Option<Arc<BackendConnector>>,
    pub(crate) tls_h2: Option<Arc<BackendConnector>>,
}

/// What outlives generations and is needed to build one.
pub(crate) struct Foundations {
    pub tls: ServerTls,
    pub metrics: Arc<Metrics>,
    pub workers: usize,
    pub memory: Memory,
}

/// Why a blueprint cannot become a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// Where it was written, if it was.
    pub place: Place,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BuildError {}

impl Snapshot {
    /// Compiles a blueprint.
    pub(crate) fn build(
        blueprint: &Blueprint,
        generation: u64,
        previous: Option<&Self>,
        foundations: &Foundations,
    ) -> Result<Self, Vec<BuildError>> {
        let mut builder = Builder {
            blueprint,
            previous,
            foundations,
            upstreams: HashMap::new(),
            errors: Vec::new(),
        };
        let without_sni = builder.without_sni();
        let collector = builder.collector();
        let entries: Vec<_> = profile::expanded(&blueprint.routes.hosts)
            .iter()
            .filter_map(|host| builder.host(host))
            .collect();
        let doors: Vec<_> = blueprint
            .listeners
            .iter()
            .filter_map(|spec| builder.door(spec))
            .collect();
        let table = match RouteTable::build(entries, &blueprint.exposure) {
            Ok(table) => table,
            Err(errors) => {
                builder.errors.extend(errors.iter().map(|error| BuildError {
                    place: Place::default(),
                    message: error.to_string(),
                }));
                return Err(builder.errors);
            }
        };
        let Builder {
            upstreams, errors, ..
        } = builder;
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            generation,
            limits: blueprint.limits.clone(),
            doors,
            table,
            upstreams,
            exposure: blueprint.exposure.clone(),
            certificates: Arc::clone(&blueprint.certificates),
            places: places(blueprint),
            without_sni,
            collector,
        })
    }

    /// The door of this name.
    pub fn door(&self, name: &str) -> Option<&Arc<Door>> {
        self.doors.iter().find(|door| &*door.spec.name == name)
    }

    /// The doors.
    pub fn doors(&self) -> &[Arc<Door>] {
        &self.doors
    }

    /// The upstreams by name.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values().map(|compiled| &compiled.upstream)
    }

    /// The certificates.
    pub fn certificates(&self) -> &Arc<CertificateSet> {
        &self.certificates
    }

    /// The entry for a host, if a door of this role may know of it at all.
    pub(crate) fn reachable(
        &self,
        host: &str,
        role: Role,
    ) -> Option<&HostTable<Arc<CompiledHost>, Arc<CompiledRoute>>> {
        let entry = self.table.host(host)?;
        let reachable = if entry.has_path_verdicts() {
            let exact = HostPattern::parse(host).ok()?;
            self.exposure.may_reach(&exact, role)
        } else {
            entry.verdict(host, "/").class.reaches(role)
        };
        reachable.then_some(entry)
    }
}

impl Door {
    /// What was declared.
    pub fn spec(&self) -> &Arc<ListenerSpec> {
        &self.spec
    }

    /// Counters.
    pub fn stats(&self) -> &Arc<ListenerStats> {
        &self.stats
    }
}

impl CompiledUpstream {
    /// The TLS settings for a protocol that has TLS.
    pub(crate) fn connector(&self, protocol: Protocol) -> Option<&Arc<BackendConnector>> {
        match protocol {
            Protocol::H2 => self.tls_h2.as_ref(),
            Protocol::Https1 => self.tls_h1.as_ref(),
            Protocol::Http1 | Protocol::H2c | Protocol::Tcp => None,
        }
    }
}

/// The first place of each host: entries for one pattern are merged.
fn places(blueprint: &Blueprint) -> HashMap<HostPattern, Place> {
    let mut places = HashMap::with_capacity(blueprint.routes.hosts.len());
    for host in &blueprint.routes.hosts {
        let place = places.entry(host.pattern.clone());
        place.or_insert_with(|| host.place.clone());
    }
    places
}

struct Builder<'a> {
    blueprint: &'a Blueprint,
    previous: Option<&'a Snapshot>,
    foundations: &'a Foundations,
    upstreams: HashMap<Arc<str>, Arc<CompiledUpstream>>,
    errors: Vec<BuildError>,
}

type Entry = HostEntry<Arc<CompiledHost>, Arc<CompiledRoute>>;

impl Builder<'_> {
    fn collector(&mut self) -> Option<Arc<Collector>> {
        let spec = self.blueprint.tracing.as_ref()?;
        let collector = spec.collector.as_ref();
        let upstream = collector.and_then(|spec| self.upstream(spec, &Place::default()));
        Some(Arc::new(Collector {
            spec: spec.clone(),
            upstream,
        }))
    }

    fn without_sni(&mut self) -> Option<Arc<Termination>> {
        let defaults = &self.blueprint.tls;
        let name = defaults.default_certificate.as_ref()?;
        let Some(certificate) = self.blueprint.certificates.by_name(name) else {
            self.error(
                &Place::default(),
                format!("tls.defaultCertificate: no certificate is named `{name}`"),
            );
            return None;
        };
        let policy = TlsPolicy::resolve(None, None, defaults, Alpn::Http);
        self.termination(
            &policy,
            &HostPattern::Any,
            Some(certificate),
            &Place::default(),
        )
        .map(Arc::new)
    }

    fn termination(
        &mut self,
        policy: &TlsPolicy,
        pattern: &HostPattern,
        without_sni: Option<&Arc<crate::tls::Certificate>>,
        place: &Place,
    ) -> Option<Termination> {
        let certificates = &self.blueprint.certificates;
        let built = self
            .foundations
            .tls
            .host(policy, pattern, certificates, without_sni);
        match built {
            Ok(termination) => Some(termination),
            Err(error) => {
                self.error(place, format!("TLS of {pattern}: {error}"));
                None
            }
        }
    }

    fn error(&mut self, place: &Place, message: String) {
        self.errors.push(BuildError {
            place: place.clone(),
            message,
        });
    }

    fn host(&mut self, host: &HostRoutes) -> Option<Entry> {
        let payload = match &host.tls {
            HostTls::Passthrough(spec) => CompiledHost::Passthrough {
                upstream: self.upstream(spec, &host.place)?,
                route: self
                    .foundations
                    .metrics
                    .route(&host.pattern.to_string(), "passthrough"),
            },
            HostTls::Terminate {
                min_version,
                client_auth,
            } => {
                let policy = TlsPolicy::resolve(
                    *min_version,
                    client_auth.as_ref(),
                    &self.blueprint.tls,
                    Alpn::Http,
                );
                CompiledHost::Terminate(self.termination(
                    &policy,
                    &host.pattern,
                    None,
                    &host.place,
                )?)
            }
        };
        let rules = host
            .rules
            .iter()
            .filter_map(|rule| self.rule(host, rule))
            .collect();
        Some(HostEntry {
            pattern: host.pattern.clone(),
            payload: Arc::new(payload),
            rules,
        })
    }

    fn rule(&mut self, host: &HostRoutes, rule: &Rule) -> Option<RuleEntry<Arc<CompiledRoute>>> {
        let action = match &rule.action {
            Action::Respond(response) => CompiledAction::Respond(Arc::clone(response)),
            Action::Policy => CompiledAction::Policy,
            Action::Forward(shares) => {
                let mut compiled = Vec::with_capacity(shares.len());
                for share in shares.iter().filter(|share| share.weight > 0) {
                    compiled.push((self.upstream(&share.upstream, &rule.place)?, share.weight));
                }
                let total = compiled.iter().map(|(_, weight)| *weight).sum();
                CompiledAction::Forward {
                    shares: compiled,
                    total,
                }
            }
        };
        let pattern = host.pattern.to_string();
        let name: Arc<str> = match &host.name {
            Some(name) => Arc::from(format!("{name} {}", rule.path.as_str())),
            None => Arc::from(rule.path.as_str()),
        };
        let plan = rule.policies.as_ref().map(|policies| {
            let foundations = self.foundations;
            let blueprint = self.blueprint;
            let mut upstream = |spec: &Arc<UpstreamSpec>| self.upstream(spec, &rule.place);
            let mut compiling = Compiling {
                profile: host.profile,
                pattern: &host.pattern,
                location: rule.path.as_str(),
                certificates: &blueprint.certificates,
                path: &rule.path,
                action: &action,
                upstreams: &mut upstream,
                memory: &foundations.memory,
            };
            Box::new(Plan::compile(policies, &mut compiling))
        });
        let limits = &self.blueprint.limits;
        let route = CompiledRoute {
            stats: self.foundations.metrics.route(&pattern, &name),
            host: pattern.into(),
            name,
            place: rule.place.clone(),
            action,
            response: rule.timeouts.response.unwrap_or(limits.response_timeout),
            idle: rule.timeouts.idle.unwrap_or(limits.idle_timeout),
            upgraded_idle: rule.timeouts.idle.unwrap_or(limits.tunnel_idle_timeout),
            connect: rule.timeouts.connect,
            max_body: rule.max_body,
            low_priority: rule.low_priority,
            websocket: rule.websocket,
            plan,
        };
        Some(RuleEntry {
            path: rule.path.clone(),
            conditions: rule.conditions.clone(),
            payload: Arc::new(route),
        })
    }

    fn door(&mut self, spec: &Arc<ListenerSpec>) -> Option<Arc<Door>> {
        let tcp = match &spec.kind {
            ListenerKind::Tcp { upstream, tls } => Some(self.door_tcp(spec, upstream, *tls)?),
            _ => None,
        };
        Some(Arc::new(Door {
            spec: Arc::clone(spec),
            stats: self.foundations.metrics.listener(&spec.name),
            tcp,
        }))
    }

    fn door_tcp(
        &mut self,
        spec: &ListenerSpec,
        upstream: &Arc<UpstreamSpec>,
        tls: bool,
    ) -> Option<DoorTcp> {
        let place = Place::default();
        let tls = if tls {
            let defaults = &self.blueprint.tls;
            let policy = TlsPolicy::resolve(None, None, defaults, Alpn::Ignore);
            let default = defaults
                .default_certificate
                .as_ref()
                .and_then(|name| self.blueprint.certificates.by_name(name));
            Some(self.termination(&policy, &HostPattern::Any, default, &place)?)
        } else {
            None
        };
        Some(DoorTcp {
            upstream: self.upstream(upstream, &place)?,
            tls,
            route: self.foundations.metrics.route(&spec.name, "tcp"),
        })
    }

    /// The running upstream for a spec: the previous one while nothing changed.
    fn upstream(
        &mut self,
        spec: &Arc<UpstreamSpec>,
        place: &Place,
    ) -> Option<Arc<CompiledUpstream>> {
        if let Some(known) = self.upstreams.get(&spec.name)
            && **known.upstream.spec() == **spec
        {
            return Some(Arc::clone(known));
        }
        let before = self
            .previous
            .and_then(|snapshot| snapshot.upstreams.get(&spec.name));
        let compiled = match before {
            Some(before) if **before.upstream.spec() == **spec => Arc::clone(before),
            _ => Arc::new(self.compile_upstream(spec, before, place)?),
        };
        self.upstreams
            .insert(Arc::clone(&spec.name), Arc::clone(&compiled));
        Some(compiled)
    }

    fn compile_upstream(
        &mut self,
        spec: &Arc<UpstreamSpec>,
        before: Option<&Arc<CompiledUpstream>>,
        place: &Place,
    ) -> Option<CompiledUpstream> {
        let mut connector = |protocol: Protocol, alpn: &[&[u8]]| {
            if !spec
                .targets
                .iter()
                .any(|target| target.protocol == protocol)
            {
                return Some(None);
            }
            match BackendConnector::new(&spec.tls, alpn) {
                Ok(connector) => Some(Some(Arc::new(connector))),
                Err(error) => {
                    self.errors.push(BuildError {
                        place: place.clone(),
                        message: format!("backendTls of {}: {error}", spec.name),
                    });
                    None
                }
            }
        };
        let tls_h1 = connector(Protocol::Https1, &[b"http/1.1"])?;
        let tls_h2 = connector(Protocol::H2, &[b"h2"])?;
        let workers = self.foundations.workers;
        let upstream = Arc::new(match before {
            Some(before) => Upstream::replacing(&before.upstream, Arc::clone(spec), workers),
            None => Upstream::new(Arc::clone(spec), workers),
        });
        self.foundations.metrics.watch(&upstream);
        Some(CompiledUpstream {
            upstream,
            tls_h1,
            tls_h2,
        })
    }
}
