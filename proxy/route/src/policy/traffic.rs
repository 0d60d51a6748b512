//! Which backend gets a request beside weights and health: canaries, sessions, copies; and traces.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use regex::Regex;

use super::fields::SameSite;
use super::template::Template;
use crate::upstream::UpstreamSpec;

/// A part of the requests goes to another upstream. Decided in the order session, header, cookie,
/// weight (CAN-01 to CAN-08).
#[derive(Clone, Debug)]
pub struct Canary {
    /// The other upstream.
    pub upstream: Arc<UpstreamSpec>,
    /// A field that decides.
    pub header: Option<CanaryHeader>,
    /// A cookie that decides: `always` or `never`.
    pub cookie: Option<Arc<str>>,
    /// Share of the requests that nothing else decides: `weight` of `total`.
    pub weight: u32,
    /// At least 1.
    pub total: u32,
    /// Whether a session cookie keeps its side whatever the weight (AFF-08).
    pub sticky: bool,
}

/// A field that decides for or against the canary.
#[derive(Clone, Debug)]
pub enum CanaryHeader {
    /// `always` and `never` decide.
    Switch(HeaderName),
    /// This value decides for it.
    Value(HeaderName, Arc<str>),
    /// A value in which the expression finds something decides for it.
    Pattern(HeaderName, Regex),
    /// The expression could not be read: a request with the field stays on the main side, and
    /// neither cookie nor weight is asked.
    Broken(HeaderName),
}

/// A cookie keeps a session at one endpoint (AFF-01 to AFF-09). Its value names the upstream too, by
/// a digest of the upstream's name, so that a session keeps its side of a split or canary.
#[derive(Clone, Debug, PartialEq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: Arc<str>,
    /// How the endpoint is found again.
    pub mode: StickyMode,
    /// `Path`; `None` is the path of the rule.
    pub path: Option<Arc<str>>,
    /// `Domain`.
    pub domain: Option<Arc<str>>,
    /// `Max-Age`.
    pub max_age: Option<Duration>,
    /// `Expires`.
    pub expires: Option<Duration>,
    /// `SameSite`.
    pub same_site: Option<SameSite>,
    /// Whether browsers that misread `SameSite=None` are spared it (AFF-09).
    pub conditional_same_site: bool,
    /// `Secure` also over plain HTTP.
    pub secure: bool,
    /// `HttpOnly`: scripts do not see the cookie.
    pub http_only: bool,
    /// Whether a failed endpoint loses its sessions.
    pub change_on_failure: bool,
}

/// How a session finds its endpoint again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StickyMode {
    /// By a consistent hash: scaling moves a part of the sessions.
    #[default]
    Balanced,
    /// By the endpoint itself, until it goes.
    Persistent,
}

/// Copies of requests whose answers nobody reads. Copies are dropped under pressure, never waited for.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where they go.
    pub upstream: Arc<UpstreamSpec>,
    /// Their path and query.
    pub target: Template,
    /// Their `Host`; `None` is that of the request.
    pub host: Option<Arc<str>>,
    /// Whether the body is copied too.
    pub body: bool,
    /// Share of the requests: `weight` of `total`.
    pub weight: u32,
    /// At least 1.
    pub total: u32,
}

/// Trace context and spans of a rule (W3C Trace Context; O-08).
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// Whether spans are made.
    pub enabled: bool,
    /// Whether a `traceparent` of the client is continued; otherwise a new trace begins.
    pub trust_incoming: bool,
    /// Name of the span; `None` is method and route.
    pub operation: Option<Template>,
}
