//! Upstreams: backends with their transport, balancing and health.

use std::sync::Arc;
use std::time::Duration;

use adit_route::{
    BackendTls, Balance, BindProxyProtocol, HashKey, HealthCheck, Outlier, Profile, Retry, RetryOn,
    Target, UpstreamSpec, UpstreamTimeouts,
};
use http::StatusCode;

use super::super::problem::{Code, Problem};
use super::super::scalar;
use super::super::tree::Node;
use super::backends::{Transport, targets, text_target};
use super::{Reader, certificates};

/// Keys of a mapping, and of the mapping that it takes from what it does not write itself.
#[derive(Clone, Copy)]
pub(super) struct Scope<'n> {
    own: &'n Node,
    outer: Option<&'n Node>,
    profile: Profile,
}

impl<'n> Scope<'n> {
    /// A mapping without an outer one.
    pub(super) fn of(own: &'n Node) -> Self {
        Self {
            own,
            outer: None,
            profile: Profile::Strict,
        }
    }

    /// A mapping within another.
    pub(super) fn within(own: &'n Node, outer: &'n Node) -> Self {
        Self {
            own,
            outer: Some(outer),
            profile: Profile::Strict,
        }
    }

    /// The same on hosts of this profile.
    pub(super) fn under(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// The profile of the hosts.
    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// The value that holds for a key.
    pub(super) fn field(&self, key: &str) -> Option<&'n Node> {
        self.own.field(key).or_else(|| self.outer?.field(key))
    }

    /// Whether the mapping has the key itself.
    pub(super) fn is_own(&self, key: &str) -> bool {
        self.own.field(key).is_some()
    }

    /// The value that holds for a key of a group whose keys are independent of each other.
    pub(super) fn part(&self, group: &str, key: &str) -> Option<&'n Node> {
        let part = |node: &'n Node| node.field(group)?.field(key);
        part(self.own).or_else(|| part(self.outer?))
    }

    /// A time limit.
    pub(super) fn timeout(&self, key: &str) -> Option<Duration> {
        duration(self.part("timeouts", key)?)
    }
}

/// An upstream of HTTP backends.
pub(super) fn http_upstream(
    reader: &mut Reader<'_>,
    name: &str,
    scope: &Scope<'_>,
) -> Option<UpstreamSpec> {
    let list = scope.field("backends")?;
    Some(http_upstream_to(reader, name, scope, list.items()))
}

/// An upstream of these HTTP backends, with the settings of the scope.
pub(super) fn http_upstream_to(
    reader: &mut Reader<'_>,
    name: &str,
    scope: &Scope<'_>,
    list: &[Node],
) -> UpstreamSpec {
    let targets = targets(reader, list, Transport::Http);
    let tls = scope
        .field("backendTls")
        .map(|node| backend_tls(reader, node));
    let timeouts = UpstreamTimeouts {
        connect: scope.timeout("connect"),
        idle: None,
    };
    let base = upstream(reader, name, scope, targets, timeouts);
    let retry = scope.field("retry").map(|node| retry(reader, node));
    UpstreamSpec {
        tls: tls.unwrap_or_default(),
        retry: retry.unwrap_or_default(),
        ..base
    }
}

/// An upstream that gets bytes as they come.
pub(super) fn relay_upstream(
    reader: &mut Reader<'_>,
    name: &str,
    scope: &Scope<'_>,
) -> Option<UpstreamSpec> {
    let targets = targets(reader, scope.field("backends")?.items(), Transport::Relay);
    if let Some(health) = scope.field("health") {
        reader.forbid(
            health,
            &["path", "host", "status"],
            "bytes are relayed, so a check only connects",
        );
    }
    if let Some(node) = scope.field("balance").and_then(|node| node.field("hash"))
        && node
            .text()
            .and_then(|text| scalar::hash_key(text).ok())
            .is_some_and(|key| key != HashKey::ClientIp)
    {
        let problem = Problem::error(
            Code::COMBINATION,
            node.span,
            "a relay of bytes sees no requests, so only the client's address can be hashed",
        );
        reader.push(
            problem
                .found(node.text().unwrap_or_default())
                .allowed("clientIp")
                .nearest(Some("clientIp"))
                .help("write `clientIp`"),
        );
    }
    let timeouts = UpstreamTimeouts {
        connect: scope.timeout("connect"),
        idle: scope.timeout("idle"),
    };
    Some(upstream(reader, name, scope, targets, timeouts))
}

fn upstream(
    reader: &mut Reader<'_>,
    name: &str,
    scope: &Scope<'_>,
    targets: Vec<Target>,
    timeouts: UpstreamTimeouts,
) -> UpstreamSpec {
    UpstreamSpec {
        name: name.into(),
        targets,
        balance: scope.field("balance").map(balance).unwrap_or_default(),
        tls: BackendTls::default(),
        proxy_protocol: match scope.field("proxyProtocol").and_then(Node::text) {
            Some("v1") => Some(BindProxyProtocol::V1),
            Some("v2") => Some(BindProxyProtocol::V2),
            _ => None,
        },
        timeouts,
        health: scope.field("health").map(|node| health(reader, node)),
        outlier: scope.field("outlier").map(outlier).unwrap_or_default(),
        retry: Retry::default(),
    }
}

/// A server that is asked beside a route's own backends; its name is for the caller to give.
pub(super) fn server(
    reader: &mut Reader<'_>,
    node: &Node,
    backend: &str,
    tls: BackendTls,
) -> Option<UpstreamSpec> {
    let target = text_target(reader, node, backend, Transport::Http, 1)?;
    Some(UpstreamSpec {
        name: "".into(),
        targets: vec![target],
        balance: Balance::default(),
        tls,
        proxy_protocol: None,
        timeouts: UpstreamTimeouts::default(),
        health: None,
        outlier: Outlier::default(),
        retry: Retry::default(),
    })
}

pub(super) fn backend_tls(reader: &mut Reader<'_>, node: &Node) -> BackendTls {
    let insecure = node.field("insecure");
    let is_insecure = insecure.and_then(Node::truth).unwrap_or(false);
    if let Some(insecure) = insecure.filter(|_| is_insecure) {
        reader.forbid(
            node,
            &["ca"],
            "with `insecure: true` no certificate is verified",
        );
        let problem = Problem::warning(
            Code::RELAXED,
            insecure.span,
            "certificates of these backends are not verified",
        );
        reader.push(problem.help("write `ca` with the authority of the backends instead"));
    }
    let identity = match (node.field("cert"), node.field("key")) {
        (Some(cert), Some(key)) => {
            let chain = certificates::chain(reader, cert);
            let key = certificates::private_key(reader, key);
            chain.zip(key)
        }
        (None, None) => None,
        _ => {
            let problem = Problem::error(
                Code::COMBINATION,
                node.span,
                "`cert` and `key` are written together or not at all",
            );
            reader.push(problem.help("add the other one"));
            None
        }
    };
    BackendTls {
        ca_pem: node
            .field("ca")
            .and_then(|ca| certificates::authorities(reader, ca)),
        server_name: server_name(node),
        identity_pem: identity,
        insecure: is_insecure,
    }
}

fn server_name(node: &Node) -> Option<Arc<str>> {
    let name = scalar::dns_name(node.field("serverName")?.text()?).ok()?;
    Some(name.as_str().into())
}

fn balance(node: &Node) -> Balance {
    match node.text() {
        Some("p2c") => Balance::PowerOfTwo,
        Some("ewma") => Balance::Ewma,
        Some(_) => Balance::RoundRobin,
        None => {
            let key = node
                .field("hash")
                .and_then(Node::text)
                .and_then(|text| scalar::hash_key(text).ok());
            key.map(Balance::Hash).unwrap_or_default()
        }
    }
}

fn health(reader: &mut Reader<'_>, node: &Node) -> HealthCheck {
    const INTERVAL: Duration = Duration::from_secs(10);
    const TIMEOUT: Duration = Duration::from_secs(2);
    let field = |key| node.field(key);
    let time = |key| field(key).and_then(duration);
    let count = |key, usual| {
        field(key)
            .and_then(Node::integer)
            .map_or(usual, |count| count as u32)
    };
    let interval = time("interval").unwrap_or(INTERVAL);
    if field("path").is_none() {
        reader.forbid(
            node,
            &["host", "status"],
            "without `path` a check only connects",
        );
    }
    if let (Some(timeout), Some(written)) = (time("timeout"), field("timeout"))
        && timeout > interval
    {
        let shown = scalar::show_duration(interval);
        let problem = Problem::error(
            Code::RANGE,
            written.span,
            "a check would outlast the time between checks",
        );
        reader.push(
            problem
                .found(scalar::show_duration(timeout))
                .allowed(format!("at most the interval, {shown}")),
        );
    }
    let status = field("status")
        .and_then(Node::text)
        .and_then(|text| scalar::status_range(text).ok());
    let text = |key| field(key).and_then(Node::text).map(ToOwned::to_owned);
    HealthCheck {
        path: text("path"),
        host: text("host"),
        interval,
        timeout: time("timeout").unwrap_or(TIMEOUT.min(interval)),
        fall: count("fall", 3),
        rise: count("rise", 2),
        status: status.unwrap_or((StatusCode::OK, redirects_end())),
    }
}

/// Upper end of what counts as success: redirects do, as in the load balancers that people know.
fn redirects_end() -> StatusCode {
    const LAST: u16 = 399;
    StatusCode::from_u16(LAST).unwrap_or(StatusCode::PERMANENT_REDIRECT)
}

fn outlier(node: &Node) -> Outlier {
    let usual = Outlier::default();
    let count = |key, usual| {
        node.field(key)
            .and_then(Node::integer)
            .map_or(usual, |count| count as u32)
    };
    let time = |key, usual| node.field(key).and_then(duration).unwrap_or(usual);
    Outlier {
        consecutive: count("consecutive", usual.consecutive),
        error_percent: count("errorPercent", usual.error_percent),
        min_requests: count("minRequests", usual.min_requests),
        window: time("window", usual.window),
        base: time("base", usual.base),
        max: time("max", usual.max),
        max_percent: count("maxPercent", usual.max_percent),
        slow_start: time("slowStart", usual.slow_start),
    }
}

fn retry(reader: &mut Reader<'_>, node: &Node) -> Retry {
    let usual = Retry::default();
    let non_idempotent = node.field("nonIdempotent");
    let twice = non_idempotent.and_then(Node::truth).unwrap_or(false);
    if let Some(written) = non_idempotent.filter(|_| twice) {
        let message = "requests such as POST may reach these backends twice";
        let problem = Problem::warning(Code::RELAXED, written.span, message);
        reader.push(problem.help("remove it unless the backends recognise what they have seen"));
    }
    let on = node
        .field("on")
        .map(|list| list.items().iter().filter_map(retry_on).collect());
    Retry {
        attempts: node
            .field("attempts")
            .and_then(Node::integer)
            .map_or(usual.attempts, |count| count as u32),
        on: on.unwrap_or(usual.on),
        timeout: node.field("timeout").and_then(duration),
        non_idempotent: twice,
    }
}

fn retry_on(node: &Node) -> Option<RetryOn> {
    match node.text()? {
        "connect" => Some(RetryOn::Connect),
        "reset" => Some(RetryOn::Reset),
        "refused" => Some(RetryOn::Refused),
        "closed" => Some(RetryOn::Closed),
        "timeout" => Some(RetryOn::Timeout),
        "invalid" => Some(RetryOn::Invalid),
        status => status.parse().ok().map(RetryOn::Status),
    }
}

pub(super) fn duration(node: &Node) -> Option<Duration> {
    scalar::duration(node.text()?).ok()
}
