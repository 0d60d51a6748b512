//! Who may ask: addresses, credentials, a server that decides, certificates.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use regex::Regex;

use super::password::Credentials;
use super::template::Template;
use crate::cidr::CidrSet;
use crate::host::CanonicalHost;
use crate::upstream::UpstreamSpec;

/// Demands on the client of a rule. Judged are the addresses that section 4.2 finds: the peer, what
/// a trusted PROXY header says, or what trusted HTTP proxies say.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Addresses that are refused (403); read before `allow`.
    pub deny: CidrSet,
    /// The only addresses that are let in; `None` lets everyone in.
    pub allow: Option<CidrSet>,
    /// Names and passwords.
    pub basic: Option<BasicAuth>,
    /// A server that decides.
    pub external: Option<ExternalAuth>,
    /// Whether all of the demands must hold or one is enough.
    pub satisfy: Satisfy,
    /// What backends learn of the client's certificate, and what it must say.
    pub certificate: Option<CertificateFields>,
}

/// How demands combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Satisfy {
    /// Addresses, then credentials, then the server: each must let the client in.
    #[default]
    All,
    /// One of them is enough.
    Any,
}

/// HTTP basic authentication (RFC 7617; BAS-01 to BAS-05).
#[derive(Clone, Debug)]
pub struct BasicAuth {
    /// Shown by browsers.
    pub realm: Arc<str>,
    /// Who knows what.
    pub credentials: Arc<Credentials>,
}

/// External authentication (AUT-01 to AUT-12): a server is asked about every request.
#[derive(Clone, Debug)]
pub struct ExternalAuth {
    /// The server.
    pub upstream: Arc<UpstreamSpec>,
    /// `Host` of the question: the server's name, without a port.
    pub host: CanonicalHost,
    /// Path and query of the question.
    pub target: Template,
    /// Its method; `None` is GET, and then no `X-Original-URI` is sent (AUT-02).
    pub method: Option<Method>,
    /// Where a 401 sends browsers (AUT-05).
    pub sign_in: Option<Template>,
    /// The parameter of `sign_in` that says where to come back to.
    pub return_parameter: Arc<str>,
    /// Fields of the answer that the backend gets; what the answer lacks is taken from the request.
    pub response_fields: Vec<HeaderName>,
    /// `X-Auth-Request-Redirect`; `None` sends the target of the request.
    pub request_redirect: Option<Template>,
    /// Further fields of the question.
    pub set_fields: Vec<(HeaderName, Template)>,
    /// Whether cookies of the answer reach the client with every status.
    pub always_set_cookie: bool,
    /// What answers are remembered by; `None` remembers none.
    pub cache_key: Option<Template>,
    /// How long, by status.
    pub cache_for: Vec<CacheFor>,
    /// Longest wait for the answer.
    pub timeout: Duration,
}

/// How long answers with these statuses are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFor {
    /// The statuses; empty means every one.
    pub statuses: Vec<StatusCode>,
    /// How long.
    pub time: Duration,
}

/// What is done with the certificate of a client (MTL-04, MTL-05).
#[derive(Clone, Debug, Default)]
pub struct CertificateFields {
    /// Whether `ssl-client-cert` carries the certificate, percent-encoded.
    pub pass_certificate: bool,
    /// Must find something in the subject (RFC 2253 form); 403 otherwise.
    pub match_subject: Option<Regex>,
    /// Where clients without a good certificate are sent instead of 400.
    pub error_page: Option<HeaderValue>,
}
