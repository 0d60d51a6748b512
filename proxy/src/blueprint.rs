//! What the data plane is told: doors, routes, exposure, TLS defaults and limits.
//!
//! A [`Blueprint`] is whole: it is published or refused as one. The binary fills it from its
//! sources; nothing here knows where it came from.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_route::{CidrSet, ClientAuth, ExposureRules, Role, RouteSet, TlsVersion, UpstreamSpec};
use http::StatusCode;

use crate::limits::Limits;
use crate::tls::CertificateSet;

/// One complete statement of what to serve.
#[derive(Clone, Debug, Default)]
pub struct Blueprint {
    /// The doors.
    pub listeners: Vec<Arc<ListenerSpec>>,
    /// What is served.
    pub routes: RouteSet,
    /// To whom.
    pub exposure: ExposureRules,
    /// Defaults of terminated hosts.
    pub tls: TlsDefaults,
    /// Certificates, loaded and checked.
    pub certificates: Arc<CertificateSet>,
    /// Every limit.
    pub limits: Limits,
    /// What becomes of traces; `None` records none.
    pub tracing: Option<TracingSpec>,
}

/// How requests are sampled, and where their spans go.
#[derive(Clone, Debug, PartialEq)]
pub struct TracingSpec {
    /// The collector, asked over OTLP; `None` only passes the context on.
    pub collector: Option<Arc<UpstreamSpec>>,
    /// Path of OTLP over HTTP.
    pub path: String,
    /// `service.name`.
    pub service: Arc<str>,
    /// Share of the traces that begin here and are recorded, 0 to 1.
    pub ratio: f64,
    /// Whether a trusted client's decision counts before the ratio.
    pub parent_based: bool,
    /// Spans that may wait in each worker.
    pub queue: usize,
    /// Spans of one batch.
    pub batch: usize,
    /// Time after which a batch is sent that is not full.
    pub delay: Duration,
}

/// TLS settings that hold where a host has none of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsDefaults {
    /// Certificate for clients that send no SNI; without it they are refused (TL-10).
    pub default_certificate: Option<Arc<str>>,
    /// Lowest version; TLS 1.2 if absent.
    pub min_version: Option<TlsVersion>,
    /// Client certificates demanded everywhere.
    pub client_auth: Option<ClientAuth>,
}

/// A door: sockets with one role, one protocol and one set of rules.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSpec {
    /// Unique name.
    pub name: Arc<str>,
    /// What kind of clients come through.
    pub role: Role,
    /// Addresses; `[::]` is dual-stack.
    pub binds: Vec<SocketAddr>,
    /// Network interface to bind to (SO_BINDTODEVICE).
    pub interface: Option<Arc<str>>,
    /// What is spoken.
    pub kind: ListenerKind,
    /// Addresses that may connect; `None` is everyone.
    pub allow: Option<CidrSet>,
    /// Addresses that may not; wins over `allow`.
    pub deny: CidrSet,
    /// Peers whose PROXY header is required and believed; `None` means that none is read (P-01).
    pub proxy_protocol: Option<CidrSet>,
    /// HTTP proxies whose forwarding fields are believed.
    pub trust_forwarded: CidrSet,
    /// Answer to plain HTTP requests for hosts in reach.
    pub redirect: Option<HttpsRedirect>,
    /// Requests that carry the marks of a foreign tunnel on a LAN door.
    pub foreign_tunnel: ForeignTunnel,
    /// Status for clients outside a rule's `from`.
    pub refusal: StatusCode,
    /// Whether connections are counted by source (L-81). On a door with a PROXY protocol only those
    /// whose client was conveyed are.
    pub per_source: bool,
}

/// What a door speaks.
#[derive(Clone, Debug, PartialEq)]
pub enum ListenerKind {
    /// Clear-text HTTP/1.
    Http,
    /// Clear-text HTTP/2 by prior knowledge.
    H2c,
    /// TLS: terminated hosts speak HTTP, passthrough hosts are relayed.
    Https,
    /// Bytes, relayed to one upstream; with `tls` they are decrypted first.
    Tcp {
        /// Where they go.
        upstream: Arc<UpstreamSpec>,
        /// Whether TLS ends here.
        tls: bool,
    },
    /// Health, metrics and status.
    Admin,
}

impl ListenerKind {
    /// Whether clients speak TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Https | Self::Tcp { tls: true, .. })
    }
}

/// A redirect from plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpsRedirect {
    /// Port written into the location; `None` omits it (443).
    pub port: Option<u16>,
    /// 301, 302, 307 or 308.
    pub status: StatusCode,
}

/// What happens to requests that bear the marks of a tunnel that is not ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignTunnel {
    /// They are treated as coming from the Internet.
    #[default]
    AsTunnel,
    /// They are refused.
    Deny,
}
