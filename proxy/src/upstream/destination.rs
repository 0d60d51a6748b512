//! Which addresses a name may lead to (E-07).
//!
//! A name is someone else's word: it must not lead to this machine, to the link, to a cloud's
//! metadata service or back into our own doors. Private addresses are what backends have and are
//! fine. IPv4 that is carried inside IPv6 is judged as IPv4.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 127.0.0.0/8, `::1`.
    Loopback,
    /// 0.0.0.0/8, `::`.
    Unspecified,
    /// 169.254.0.0/16, `fe80::/10`.
    LinkLocal,
    /// 224.0.0.0/4, `ff00::/8`, and broadcast.
    Multicast,
    /// Where clouds serve their machines' secrets.
    Metadata,
    /// One of our own doors: the request would come back (508).
    OwnListener,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Unspecified => "the unspecified address",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast or broadcast address",
            Self::Metadata => "a cloud metadata address",
            Self::OwnListener => "a listener of adit itself",
        })
    }
}

/// Metadata services that are not link-local: AWS (IPv6), Google (IPv6), Alibaba, Oracle.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// The link-local metadata address of most clouds, told apart for the message.
const LINK_METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// Why a name may not lead to this address, if it may not.
pub fn refusal(address: SocketAddr, listeners: &[SocketAddr]) -> Option<Refusal> {
    let ip = carried(address.ip());
    if ip == LINK_METADATA || METADATA.contains(&ip) {
        return Some(Refusal::Metadata);
    }
    refused_range(ip).or_else(|| is_listener(ip, address.port(), listeners))
}

/// Whether a connection to this address would come back to one of our doors.
pub fn is_listener(ip: IpAddr, port: u16, listeners: &[SocketAddr]) -> Option<Refusal> {
    let ip = carried(ip);
    let mut here = None;
    let ours = listeners
        .iter()
        .filter(|listener| listener.port() == port)
        .any(|listener| {
            let bound = carried(listener.ip());
            bound == ip || (bound.is_unspecified() && *here.get_or_insert_with(|| is_local(ip)))
        });
    ours.then_some(Refusal::OwnListener)
}

/// An address belongs to this machine if the kernel would talk to it from itself. Nothing is sent,
/// and unlike an attempt to bind it, this holds where `ip_nonlocal_bind` is set.
fn is_local(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == ip)
}

/// IPv4 inside IPv6: mapped, compatible, and through the well-known NAT64 prefix (RFC 6052).
fn carried(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let low = Ipv4Addr::from_bits(v6.to_bits() as u32);
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => IpAddr::V4(low),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => IpAddr::V4(low),
        _ => ip,
    }
}

fn refused_range(ip: IpAddr) -> Option<Refusal> {
    let (unspecified, link_local) = match ip {
        IpAddr::V4(v4) => (matches!(v4.octets(), [0, ..]), v4.is_link_local()),
        IpAddr::V6(v6) => (v6.is_unspecified(), v6.is_unicast_link_local()),
    };
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    [
        (ip.is_loopback(), Refusal::Loopback),
        (unspecified, Refusal::Unspecified),
        (link_local, Refusal::LinkLocal),
        (ip.is_multicast() || broadcast, Refusal::Multicast),
    ]
    .into_iter()
    .find_map(|(hit, refusal)| hit.then_some(refusal))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance: 19
    #[test]
    fn a_name_leads_neither_here_nor_to_secrets() {
        for (ip, refused) in [
            ("127.0.0.1", Some(Refusal::Loopback)),
            ("127.8.9.10", Some(Refusal::Loopback)),
            ("::1", Some(Refusal::Loopback)),
            ("::ffff:127.0.0.1", Some(Refusal::Loopback)),
            ("::127.0.0.1", Some(Refusal::Loopback)),
            ("64:ff9b::7f00:1", Some(Refusal::Loopback)),
            ("0.0.0.0", Some(Refusal::Unspecified)),
            ("0.1.2.3", Some(Refusal::Unspecified)),
            ("::", Some(Refusal::Unspecified)),
            ("169.254.0.9", Some(Refusal::LinkLocal)),
            ("fe80::1", Some(Refusal::LinkLocal)),
            ("169.254.169.254", Some(Refusal::Metadata)),
            ("::ffff:169.254.169.254", Some(Refusal::Metadata)),
            ("64:ff9b::a9fe:a9fe", Some(Refusal::Metadata)),
            ("fd00:ec2::254", Some(Refusal::Metadata)),
            ("224.0.0.1", Some(Refusal::Multicast)),
            ("255.255.255.255", Some(Refusal::Multicast)),
            ("ff02::1", Some(Refusal::Multicast)),
            ("10.0.0.1", None),
            ("192.168.1.1", None),
            ("100.64.0.1", None),
            ("fd00::1", None),
            ("192.0.2.1", None),
            ("2001:db8::1", None),
            ("::ffff:192.0.2.1", None),
        ] {
            assert_eq!(
                refusal(SocketAddr::new(ip.parse().unwrap(), 80), &[]),
                refused,
                "{ip}"
            );
        }
    }

    /// Acceptance: 19
    #[test]
    fn a_name_does_not_lead_back_into_a_listener() {
        let listeners = ["198.51.100.1:443", "[::]:8443"].map(|bind| bind.parse().unwrap());
        for (address, ours) in [
            ("198.51.100.1:443", true),
            ("[::ffff:198.51.100.1]:443", true),
            ("198.51.100.1:444", false),
            ("198.51.100.2:443", false),
            ("198.51.100.2:8443", false),
        ] {
            let refused = refusal(address.parse().unwrap(), &listeners);
            assert_eq!(refused == Some(Refusal::OwnListener), ours, "{address}");
        }
        let here = "127.0.0.1".parse().unwrap();
        assert_eq!(
            is_listener(here, 8443, &listeners),
            Some(Refusal::OwnListener)
        );
        assert_eq!(is_listener(here, 8444, &listeners), None);
    }
}
