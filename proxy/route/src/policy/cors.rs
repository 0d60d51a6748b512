//! Cross-origin resource sharing, as users of ingress-nginx know it (COR-01 to COR-06).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

/// The CORS fields of a rule. Preflight requests are answered before anybody is asked who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Who may read the answers.
    pub origins: CorsOrigins,
    /// `Access-Control-Allow-Methods`.
    pub methods: HeaderValue,
    /// `Access-Control-Allow-Headers`.
    pub headers: HeaderValue,
    /// `Access-Control-Expose-Headers`.
    pub expose: Option<HeaderValue>,
    /// Whether cookies and credentials may be sent.
    pub credentials: bool,
    /// How long a preflight answer is remembered.
    pub max_age: Duration,
}

/// Origins that are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// `*`, also for requests without `Origin`.
    Any,
    /// These; the origin of the request is echoed. An empty list lets nobody in.
    Listed(Vec<OriginPattern>),
}

/// One origin, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `scheme://host[:port]`, or `null`.
    Exact(Arc<str>),
    /// `scheme://*.domain[:port]`: exactly one label in place of the star.
    Label {
        /// `scheme://`.
        scheme: Arc<str>,
        /// `.domain[:port]`.
        suffix: Arc<str>,
    },
}
