//! The PROXY protocol, both ways, without any input or output of its own.
//!
//! [`parse`] reads the one header that a trusted peer must send first (P-01 to P-16), [`encode()`]
//! writes the one that a backend may ask for (P-17, P-18). A header tells who the client is, so
//! there is no leniency: a byte that no valid header can have is an error as soon as it is there,
//! and what lies behind the header is left to TLS or HTTP untouched (P-15).

mod crc32c;
mod encode;
mod error;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::net::{IpAddr, SocketAddr};

use adit_route::cidr::fold;

pub use self::encode::{EncodedHeader, encode, encode_local};
pub use self::error::ProxyHeaderError;

/// The longest header that is read (P-10); a connection needs no larger buffer for it.
pub const MAX_HEADER: usize = v2::MAX_HEADER;

/// How far a header has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parse {
    /// A valid beginning; call again with more bytes.
    NeedMore,
    /// The whole header.
    Done {
        /// What it says.
        header: ProxyHeader,
        /// How many bytes it took; what follows is payload.
        consumed: usize,
    },
}

/// What a header says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The form in which it came.
    pub version: Version,
    /// Whether it speaks for a client or for the peer itself.
    pub command: Command,
    /// The client. `None` means that the socket's own peer is meant (P-06, P-08).
    pub source: Option<SocketAddr>,
    /// Where the client connected to.
    pub destination: Option<SocketAddr>,
    /// Whether the address in force is known to be the client's; false for v1 `UNKNOWN` (P-06).
    pub verified: bool,
    /// The peer's id of the connection, made printable, for the log only (P-13).
    pub unique_id: Option<Box<str>>,
}

/// The form of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The text line.
    V1,
    /// The binary block.
    V2,
}

/// For whom the peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// For a client.
    Proxy,
    /// For itself, as health checks do.
    Local,
}

/// Reads the header at the start of `buf`, which holds all bytes received so far from `peer`.
pub fn parse(buf: &[u8], peer: SocketAddr) -> Result<Parse, ProxyHeaderError> {
    let parse = match buf.first() {
        None => return Ok(Parse::NeedMore),
        Some(b'P') => v1::parse(buf)?,
        Some(b'\r') => v2::parse(buf)?,
        Some(_) => return Err(ProxyHeaderError::Absent),
    };
    if let Parse::Done {
        header: ProxyHeader {
            source: Some(source),
            ..
        },
        ..
    } = &parse
    {
        check_source(source.ip(), fold(peer.ip()))?;
    }
    Ok(parse)
}

/// Refuses addresses that no client can have (P-14). Both addresses are folded.
fn check_source(source: IpAddr, peer: IpAddr) -> Result<(), ProxyHeaderError> {
    let broadcast = matches!(source, IpAddr::V4(v4) if v4.is_broadcast());
    let foreign_loopback = source.is_loopback() && !peer.is_loopback();
    if source.is_unspecified() || source.is_multicast() || broadcast || foreign_loopback {
        return Err(ProxyHeaderError::Source(source));
    }
    Ok(())
}

impl ProxyHeader {
    fn of_client(version: Version, source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            version,
            command: Command::Proxy,
            source: Some(fold_socket(source)),
            destination: Some(fold_socket(destination)),
            verified: true,
            unique_id: None,
        }
    }

    fn without_addresses(version: Version, command: Command, verified: bool) -> Self {
        Self {
            version,
            command,
            source: None,
            destination: None,
            verified,
            unique_id: None,
        }
    }
}

/// An IPv4-mapped socket address as the IPv4 one that it means (H-15).
fn fold_socket(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(fold(address.ip()), address.port())
}
