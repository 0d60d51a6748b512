//! What a rule does to its requests and responses beside forwarding them.
//!
//! Plain data, one file per family. A source of routes fills [`Policies`]; the data plane compiles
//! them into a flat plan in the order that users of ingress-nginx depend on. A rule without
//! policies carries none and pays nothing.

pub mod access;
pub mod answer;
pub mod cors;
pub mod fields;
pub mod password;
pub mod rate;
pub mod redirect;
pub mod template;
pub mod traffic;

use std::sync::Arc;

pub use access::{Access, BasicAuth, CacheFor, CertificateFields, ExternalAuth, Satisfy};

use crate::upstream::UpstreamSpec;
pub use answer::{Buffering, Compression, ErrorPages, Errors, RequestBuffering};
pub use cors::{Cors, CorsOrigins, OriginError, OriginPattern};
pub use fields::{AttributeRewrite, CookieEdits, FieldEdits, Hsts, LocationEdit, SameSite};
pub use password::{Credentials, HashFault, HashScheme, LineFault};
pub use rate::{Bandwidth, Period, RateLimit, RequestRate};
pub use redirect::{AppRoot, HttpsUpgrade, Redirect, Rewrite, RewritePath, UpgradeWhen};
pub use template::{Template, TemplateError, Variable};
pub use traffic::{Canary, CanaryHeader, Mirror, Sticky, StickyMode, Tracing};

/// The policies of one rule. Every field that is absent or empty does nothing.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// Why the rule must not serve: a policy that guards it is broken. Its requests get 503 (ANN-08).
    pub closed: Option<Arc<str>>,
    /// Answers every request elsewhere.
    pub redirect: Option<Redirect>,
    /// Sends plain HTTP to HTTPS (section 1.12).
    pub https: Option<HttpsUpgrade>,
    /// Changes the path that the backend sees.
    pub rewrite: Option<Rewrite>,
    /// The `Host` that the backend sees.
    pub upstream_host: Option<Template>,
    /// Fields towards the backend.
    pub request_fields: FieldEdits,
    /// Fields towards the client.
    pub response_fields: FieldEdits,
    /// Strict-Transport-Security (RFC 6797), on responses over TLS.
    pub hsts: Option<Hsts>,
    /// Attributes of the backend's cookies.
    pub cookies: CookieEdits,
    /// `Location` and `Refresh` of the backend, in order; the first that fits is applied.
    pub locations: Vec<LocationEdit>,
    /// Cross-origin requests.
    pub cors: Option<Cors>,
    /// Who may ask.
    pub access: Access,
    /// How often.
    pub rate: Option<RateLimit>,
    /// A second upstream for a part of the requests.
    pub canary: Option<Canary>,
    /// Sessions that stay at one endpoint.
    pub sticky: Option<Sticky>,
    /// Copies of requests.
    pub mirrors: Vec<Mirror>,
    /// What the client sees instead of an error.
    pub errors: Option<Errors>,
    /// Encoding of responses.
    pub compression: Option<Compression>,
    /// Whether bodies are gathered before they are passed on.
    pub buffering: Buffering,
    /// Trace context of requests.
    pub tracing: Option<Tracing>,
}

impl Policies {
    /// Every upstream that a policy asks, so that a source can name them apart.
    pub fn upstreams_mut(&mut self) -> impl Iterator<Item = &mut Arc<UpstreamSpec>> {
        let canary = self.canary.as_mut().map(|canary| &mut canary.upstream);
        let mirrors = self.mirrors.iter_mut().map(|mirror| &mut mirror.upstream);
        let errors = self.errors.as_mut().into_iter().flat_map(|errors| {
            let both = [&mut errors.backend, &mut errors.without_endpoints];
            both.into_iter().flatten()
        });
        canary.into_iter().chain(mirrors).chain(errors)
    }
}
