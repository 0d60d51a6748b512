//! Facts of a connection, fixed when it was accepted (rule: channel is identity).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use adit_route::{CanonicalHost, cidr};
use http::HeaderValue;

use crate::snapshot::Door;
use crate::tls::{Certificate, ClientIdentity, PolicyId};

/// Who is at the other end, and through which door it came.
#[derive(Debug)]
pub(crate) struct ConnInfo {
    /// The door.
    pub door: Arc<Door>,
    /// The peer of the socket.
    pub peer: SocketAddr,
    /// Our end of the socket, or what a PROXY header says that it was.
    pub local: SocketAddr,
    /// The client: the peer, or what a trusted PROXY header says.
    pub client: SocketAddr,
    /// Whether the client's address may match an allow list (false for PROXY v1 UNKNOWN).
    pub verified: bool,
    /// How the client's address was learnt, for the log.
    pub client_from: &'static str,
    /// The client's address as it goes into fields.
    pub client_text: HeaderValue,
    /// What TLS showed.
    pub tls: Option<TlsInfo>,
    /// Our port as it goes into fields.
    pub port_text: HeaderValue,
}

/// What the TLS handshake showed.
#[derive(Debug)]
pub(crate) struct TlsInfo {
    /// The name that the client asked for.
    pub sni: Option<CanonicalHost>,
    /// The certificate that it was shown.
    pub certificate: Arc<Certificate>,
    /// The policy under which the handshake was made.
    pub policy: PolicyId,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// Cipher suite.
    pub cipher: &'static str,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// Whether HTTP/2 was agreed on.
    pub h2: bool,
    /// Who the client is.
    pub identity: ClientIdentity,
}

impl ConnInfo {
    /// A connection whose client is its peer.
    pub(crate) fn new(door: Arc<Door>, peer: SocketAddr, local: SocketAddr) -> Self {
        let client = SocketAddr::new(cidr::fold(peer.ip()), peer.port());
        Self {
            door,
            peer: client,
            local: SocketAddr::new(cidr::fold(local.ip()), local.port()),
            client,
            verified: true,
            client_from: "socket",
            client_text: address_text(client.ip()),
            port_text: HeaderValue::from(local.port()),
            tls: None,
        }
    }

    /// Whether the peer is an HTTP proxy whose forwarding fields are believed.
    pub(crate) fn trusts_forwarding(&self) -> bool {
        let proxies = &self.door.spec().trust_forwarded;
        proxies.contains(self.client.ip())
    }

    /// Takes over what a PROXY header says.
    pub(crate) fn conveyed(&mut self, source: SocketAddr, destination: Option<SocketAddr>) {
        self.client = SocketAddr::new(cidr::fold(source.ip()), source.port());
        self.client_text = address_text(self.client.ip());
        self.client_from = "proxy_protocol";
        if let Some(destination) = destination {
            self.local = SocketAddr::new(cidr::fold(destination.ip()), destination.port());
            self.port_text = HeaderValue::from(destination.port());
        }
    }

    /// Whether the door's own lists let the client in: `deny` first.
    pub(crate) fn is_admitted(&self) -> bool {
        let spec = self.door.spec();
        let address = self.client.ip();
        if self.verified && spec.deny.contains(address) {
            return false;
        }
        match &spec.allow {
            Some(allow) => self.verified && allow.contains(address),
            None => true,
        }
    }
}

/// An address as a field value.
pub(crate) fn address_text(address: IpAddr) -> HeaderValue {
    HeaderValue::from_str(&address.to_string())
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
