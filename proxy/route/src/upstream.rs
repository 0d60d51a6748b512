//! Where requests go: named sets of endpoints with their transport, balancing and health.
//!
//! An [`UpstreamSpec`] is compared as a whole: while it stays equal over a reload, its connection
//! pools, health and load figures stay as they are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};

use crate::policy::Template;

/// A named set of targets that share transport settings.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSpec {
    /// Unique name, used in metrics, logs and as identity over reloads.
    pub name: Arc<str>,
    /// The declared targets, in order.
    pub targets: Vec<Target>,
    /// How one endpoint is chosen.
    pub balance: Balance,
    /// TLS towards `https`, `h2` and TLS-speaking TCP targets.
    pub tls: BackendTls,
    /// A PROXY header sent first on each connection; such connections are never pooled (P-19).
    pub proxy_protocol: Option<BindProxyProtocol>,
    /// Time limits of connections.
    pub timeouts: UpstreamTimeouts,
    /// Active checks.
    pub health: Option<HealthCheck>,
    /// Passive ejection.
    pub outlier: Outlier,
    /// Retries.
    pub retry: Retry,
}

/// One declared backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where it is.
    pub address: Address,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Weight among its siblings; 0 takes it out of rotation.
    pub weight: u32,
}

/// Where a backend is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A literal address.
    Socket(SocketAddr),
    /// A name, resolved and kept fresh.
    Dns(DnsTarget),
    /// A UNIX stream socket.
    Unix(PathBuf),
}

/// A backend named by DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsTarget {
    /// The name.
    pub name: Arc<str>,
    /// The port; unused when `srv` finds it.
    pub port: u16,
    /// Which addresses are wanted.
    pub family: Family,
    /// Whether the name is an SRV name (RFC 2782).
    pub srv: bool,
}

/// Which address records are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Both.
    #[default]
    Any,
    /// A only.
    Ipv4,
    /// AAAA only.
    Ipv6,
}

/// What is spoken to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 in clear text.
    Http1,
    /// HTTP/1.1 over TLS.
    Https1,
    /// HTTP/2 in clear text by prior knowledge.
    H2c,
    /// HTTP/2 over TLS.
    H2,
    /// Raw bytes, for passthrough and TCP listeners.
    Tcp,
}

impl Protocol {
    /// Whether connections are made with TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https1 | Self::H2)
    }

    /// Whether HTTP/2 is spoken.
    pub fn is_h2(self) -> bool {
        matches!(self, Self::H2c | Self::H2)
    }
}

/// TLS settings towards backends (TL-27).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTls {
    /// PEM bundle to verify with; `None` takes the system's roots.
    pub ca_pem: Option<Arc<[u8]>>,
    /// Name that is sent as SNI and verified; `None` takes the target's own name.
    pub server_name: Option<Arc<str>>,
    /// Client certificate chain and key, PEM.
    #[expect(clippy::type_complexity, reason = "a chain and its key, nothing more")]
    pub identity_pem: Option<(Arc<[u8]>, Arc<[u8]>)>,
    /// Accept any certificate: an explicit decision of the operator.
    pub insecure: bool,
}

/// PROXY protocol version to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindProxyProtocol {
    /// The text form.
    V1,
    /// The binary form.
    V2,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The less loaded of two at random.
    PowerOfTwo,
    /// The faster of two at random, by peak EWMA of response time.
    Ewma,
    /// Consistent hash of a value of the request.
    Hash(HashKey),
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq)]
pub enum HashKey {
    /// The client's address.
    ClientIp,
    /// A header field; requests without it go round robin.
    Header(HeaderName),
    /// The path.
    Path,
    /// The host.
    Host,
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
    /// A text with variables; one that is empty goes round robin.
    Template(Template),
}

/// Time limits of connections to an upstream; `None` takes the global limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// Connecting, TLS included (L-68, L-69).
    pub connect: Option<Duration>,
    /// No byte in either direction on a relayed connection (L-72).
    pub idle: Option<Duration>,
}

/// An active health check.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// Path for HTTP; `None` checks that the connection is accepted.
    pub path: Option<String>,
    /// Host sent with it; `None` sends the target's own name.
    pub host: Option<String>,
    /// Time between checks.
    pub interval: Duration,
    /// Time for one check.
    pub timeout: Duration,
    /// Failures in a row that take an endpoint out.
    pub fall: u32,
    /// Successes in a row that bring it back.
    pub rise: u32,
    /// Lowest and highest status that count as success.
    pub status: (StatusCode, StatusCode),
}

/// Passive ejection of failing endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    /// Consecutive failures that eject; 0 switches ejection off.
    pub consecutive: u32,
    /// Error share over the window that ejects, in percent.
    pub error_percent: u32,
    /// Requests in the window before the share counts.
    pub min_requests: u32,
    /// The window.
    pub window: Duration,
    /// First ejection; the n-th lasts n times as long.
    pub base: Duration,
    /// Longest ejection.
    pub max: Duration,
    /// Largest share of endpoints that may be out, in percent.
    pub max_percent: u32,
    /// Time over which a returning endpoint regains its share.
    pub slow_start: Duration,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive: 5,
            error_percent: 50,
            min_requests: 20,
            window: Duration::from_secs(30),
            base: Duration::from_secs(30),
            max: Duration::from_mins(5),
            max_percent: 50,
            slow_start: Duration::from_secs(30),
        }
    }
}

/// Retries. A request may be repeated if it is idempotent and nothing of its body is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts beside the first.
    pub attempts: u32,
    /// After what.
    pub on: Vec<RetryOn>,
    /// Time for all attempts together; none begins after it.
    pub timeout: Option<Duration>,
    /// Whether requests that are not idempotent are sent again too: the operator says that the
    /// backends can take it.
    pub non_idempotent: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 1,
            on: vec![RetryOn::Connect, RetryOn::Reset, RetryOn::Refused],
            timeout: None,
            non_idempotent: false,
        }
    }
}

/// A failure that may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// The connection could not be made: nothing was sent.
    Connect,
    /// A reused connection was closed before any byte of the response, for an idempotent request.
    Reset,
    /// The backend refused the stream (HTTP/2 REFUSED_STREAM, GOAWAY below the stream).
    Refused,
    /// Any connection was closed or broke before a byte of the response, for a request that may be
    /// repeated.
    Closed,
    /// The response did not begin in time, for a request that may be repeated.
    Timeout,
    /// The response was malformed, for a request that may be repeated.
    Invalid,
    /// The backend answered with this status, for a request that may be repeated.
    Status(StatusCode),
}
