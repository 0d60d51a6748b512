//! What is served: hosts, paths, conditions, and what happens to a request that matches.
//!
//! Settings live at one of three scopes, because that is how Ingress controllers scope them: the
//! host ([`HostRoutes`]: TLS, passthrough, profile), the rule ([`Rule`]: one path of one host), and
//! the upstream ([`UpstreamSpec`]: shared by every rule that names it). A policy that comes later is a
//! field at its scope, not a new shape.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use regex::Regex;

use crate::field_list::FieldList;
use crate::host::HostPattern;
use crate::pattern::Pattern;
use crate::policy::{AppRoot, Policies};
use crate::upstream::UpstreamSpec;

/// What one source declares, in its own order.
#[derive(Clone, Debug, Default)]
pub struct RouteSet {
    /// Hosts with their rules. Two entries for one pattern are merged by the table.
    pub hosts: Vec<HostRoutes>,
}

/// Where an entry was written, for messages and `explain`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The source and its object: a file name, or `namespace/name`.
    pub source: Arc<str>,
    /// Line, from 1; 0 if the source has no lines.
    pub line: u32,
}

/// Which reading of paths a host follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The Ingress and Gateway texts to the letter.
    #[default]
    Strict,
    /// What ingress-nginx does.
    Nginx,
}

/// One host pattern with its rules and its host-level settings.
#[derive(Clone, Debug)]
pub struct HostRoutes {
    /// The hosts that these rules answer for.
    pub pattern: HostPattern,
    /// A name given by the operator, for logs and metrics.
    pub name: Option<Arc<str>>,
    /// Where it was written.
    pub place: Place,
    /// How paths are read.
    pub profile: Profile,
    /// What happens to TLS connections for the host.
    pub tls: HostTls,
    /// Where the root of the host leads, whatever its rules say.
    pub app_root: Option<AppRoot>,
    /// The rules; empty if TLS is passed through.
    pub rules: Vec<Rule>,
}

/// What happens to TLS connections that name the host.
#[derive(Clone, Debug)]
pub enum HostTls {
    /// TLS ends here; `None` takes the listener's defaults.
    Terminate {
        /// Lowest version offered.
        min_version: Option<TlsVersion>,
        /// Client certificates.
        client_auth: Option<ClientAuth>,
    },
    /// The bytes go unchanged to one of the upstream's endpoints.
    Passthrough(Arc<UpstreamSpec>),
}

impl Default for HostTls {
    fn default() -> Self {
        Self::Terminate {
            min_version: None,
            client_auth: None,
        }
    }
}

/// A TLS version that can be demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// Demand for a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// PEM bundle of the accepted authorities, read by the source.
    pub ca_pem: Arc<[u8]>,
    /// Whether a request without a certificate is refused (400) or merely unauthenticated.
    pub required: bool,
}

/// One path of a host, its conditions and what is done.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The path.
    pub path: PathMatch,
    /// Further conditions, all of which must hold.
    pub conditions: Conditions,
    /// What happens.
    pub action: Action,
    /// Time limits of this rule.
    pub timeouts: RuleTimeouts,
    /// Largest request body in bytes; `None` is unlimited.
    pub max_body: Option<u64>,
    /// Whether it is the first to be refused when there is too much to do (L-91, L-92).
    pub low_priority: bool,
    /// Whether `Upgrade: websocket` passes (D-85).
    pub websocket: bool,
    /// What is done to requests and responses beside; `None` if nothing is.
    pub policies: Option<Arc<Policies>>,
    /// Where it was written.
    pub place: Place,
}

/// How a rule's path is compared.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// The whole path, byte for byte.
    Exact(Arc<str>),
    /// Whole path elements: `/api` covers `/api` and `/api/x`, never `/apix` (N-11).
    Prefix(Arc<str>),
    /// An expression, anchored at the beginning of the path by the source if wanted.
    Regex(Pattern),
}

impl PathMatch {
    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) => path,
            Self::Regex(regex) => regex.as_str(),
        }
    }
}

impl PartialEq for PathMatch {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.as_str() == other.as_str()
    }
}

/// Conditions beside host and path (Gateway API HTTPRouteMatch).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// One of these methods; empty means any.
    pub methods: Vec<Method>,
    /// All of these fields.
    pub headers: Vec<FieldMatch<HeaderName>>,
    /// All of these query parameters, percent-decoded.
    pub query: Vec<FieldMatch<String>>,
}

/// A named value that must match.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldMatch<N> {
    /// Header or parameter name.
    pub name: N,
    /// The wanted value.
    pub value: ValueMatch,
}

/// How a header or parameter value is compared.
#[derive(Clone, Debug)]
pub enum ValueMatch {
    /// Equal, byte for byte.
    Exact(String),
    /// The expression finds something in the value.
    Regex(Regex),
    /// Any value will do.
    Present,
}

impl PartialEq for ValueMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(mine), Self::Exact(theirs)) => mine == theirs,
            (Self::Regex(mine), Self::Regex(theirs)) => mine.as_str() == theirs.as_str(),
            (Self::Present, Self::Present) => true,
            _ => false,
        }
    }
}

impl ValueMatch {
    /// Whether a value satisfies this.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == value,
            Self::Regex(regex) => regex.is_match(value),
            Self::Present => true,
        }
    }
}

/// What is done with a request that a rule matched.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sent to one of these upstreams, chosen by weight.
    Forward(Vec<Weighted>),
    /// Answered here.
    Respond(Arc<FixedResponse>),
    /// Answered by a policy of the rule, whatever is asked for: a redirect, a closed rule.
    Policy,
}

/// A share of a rule's traffic.
#[derive(Clone, Debug)]
pub struct Weighted {
    /// Where the share goes.
    pub upstream: Arc<UpstreamSpec>,
    /// Its weight among its siblings; 0 gets nothing.
    pub weight: u32,
}

/// A fixed answer, such as a maintenance page.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedResponse {
    /// Status code, 200 to 599.
    pub status: StatusCode,
    /// Header fields.
    pub headers: FieldList,
    /// The body.
    pub body: Vec<u8>,
}

/// Time limits of a rule; `None` takes the limit of the listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleTimeouts {
    /// Connecting to the backend, per attempt (L-68).
    pub connect: Option<Duration>,
    /// From the request being sent to the response head (L-70).
    pub response: Option<Duration>,
    /// Between two reads or writes of a body or an upgraded stream (L-71, L-72).
    pub idle: Option<Duration>,
}
