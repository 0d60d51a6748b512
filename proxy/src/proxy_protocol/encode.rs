//! Headers that we send to backends.
//!
//! A header is built whole before a byte is sent, from addresses alone: nothing that a client or
//! another proxy sent can get into it, and its length field is derived from what was written
//! (P-17). Two families in one header become IPv6 with mapped IPv4 (P-18).

use std::io::Write as _;
use std::net::{Ipv6Addr, SocketAddr};

use adit_route::BindProxyProtocol;
use smallvec::SmallVec;

use super::{fold_socket, v1, v2};

/// A complete header: at most 107 bytes for v1 and 52 for v2.
pub type EncodedHeader = SmallVec<[u8; 128]>;

/// The header that names `source` as the client of a connection to `destination`.
pub fn encode(
    version: BindProxyProtocol,
    source: SocketAddr,
    destination: SocketAddr,
) -> EncodedHeader {
    let (source, destination) = same_family(fold_socket(source), fold_socket(destination));
    match version {
        BindProxyProtocol::V1 => line(source, destination),
        BindProxyProtocol::V2 => block(source, destination),
    }
}

/// The v2 header of a connection that is our own, such as a health check. For v1 there is no such
/// form; there a check sends [`encode`] with the addresses of its own socket (P-18).
pub fn encode_local() -> EncodedHeader {
    let mut header = EncodedHeader::from_slice(&v2::SIGNATURE);
    header.extend_from_slice(&[v2::VERSION | v2::LOCAL, v2::UNSPEC, 0, 0]);
    header
}

fn same_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        let mapped = |address: SocketAddr| SocketAddr::new(as_ipv6(address).into(), address.port());
        (mapped(source), mapped(destination))
    }
}

fn as_ipv6(address: SocketAddr) -> Ipv6Addr {
    match address {
        SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
        SocketAddr::V6(v6) => *v6.ip(),
    }
}

fn line(source: SocketAddr, destination: SocketAddr) -> EncodedHeader {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let mut line = [0; v1::MAX_LINE];
    let mut free = line.as_mut_slice();
    // Cannot fail: the longest addresses and ports leave three bytes free.
    let _ = write!(
        free,
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
    let length = v1::MAX_LINE - free.len();
    EncodedHeader::from_slice(line.get(..length).unwrap_or_default())
}

fn block(source: SocketAddr, destination: SocketAddr) -> EncodedHeader {
    let mut addresses = SmallVec::<[u8; v2::INET6_LENGTH]>::new();
    let both = (source, destination);
    let family = if let (SocketAddr::V4(source), SocketAddr::V4(destination)) = both {
        addresses.extend_from_slice(&source.ip().octets());
        addresses.extend_from_slice(&destination.ip().octets());
        v2::INET_STREAM
    } else {
        addresses.extend_from_slice(&as_ipv6(source).octets());
        addresses.extend_from_slice(&as_ipv6(destination).octets());
        v2::INET6_STREAM
    };
    addresses.extend_from_slice(&source.port().to_be_bytes());
    addresses.extend_from_slice(&destination.port().to_be_bytes());

    let mut header = EncodedHeader::from_slice(&v2::SIGNATURE);
    header.extend_from_slice(&[v2::VERSION | v2::PROXY, family]);
    header.extend_from_slice(&(addresses.len() as u16).to_be_bytes());
    header.extend_from_slice(&addresses);
    header
}
