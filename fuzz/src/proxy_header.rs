//! PROXY headers: the reader against a plain one, and against what we would write.

use std::net::{IpAddr, SocketAddr};

use adit_proxy::proxy_protocol::{Parse, encode, parse};
use adit_route::BindProxyProtocol;

use crate::Target;
use crate::reference::proxy_header::read;

pub(crate) const TARGET: Target = Target {
    name: "proxy_header",
    run,
    words: &[
        b"PROXY ",
        b"TCP4 ",
        b"TCP6 ",
        b"UNKNOWN",
        b"192.0.2.1",
        b"2001:db8::1",
        b"::ffff:192.0.2.1",
        b" 65535",
        b"\r\n",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\x21\x11\0\x0c",
        b"\x21\x21\0\x24",
        b"\x20\0\0\0",
        b"\x04\0\0",
        b"\x03\0\x04\0\0\0\0",
        b"\x05\0\x01x",
    ],
};

/// A peer for whom no source is out of the question but those of nobody (P-14).
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

fn run(input: &[u8]) {
    let found = parse(input, PEER);
    let plain = read(input);
    let Ok(Parse::Done { header, consumed }) = &found else {
        if let Some(said) = plain {
            let nobody = said
                .addresses
                .is_some_and(|(source, _)| nobody(source.ip()));
            assert!(nobody && found.is_err(), "{found:?} is plainly {said:?}");
        }
        return;
    };
    let said = plain.expect("plainly a header");
    assert_eq!(*consumed, said.taken);
    let pair = header.source.zip(header.destination);
    assert_eq!(pair, said.addresses.map(|(a, b)| (folded(a), folded(b))));
    for end in 0..*consumed {
        assert_eq!(parse(&input[..end], PEER), Ok(Parse::NeedMore), "{end}");
    }
    let Some((source, destination)) = pair else {
        return;
    };
    for version in [BindProxyProtocol::V1, BindProxyProtocol::V2] {
        let sent = encode(version, source, destination);
        let Ok(Parse::Done { header, consumed }) = parse(&sent, PEER) else {
            panic!("we would not read what we send: {sent:?}");
        };
        assert_eq!(consumed, sent.len());
        assert_eq!(
            (header.source, header.destination),
            (Some(source), Some(destination))
        );
    }
}

fn folded(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn nobody(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let broadcast = matches!(address, IpAddr::V4(four) if four.is_broadcast());
    broadcast || address.is_unspecified() || address.is_multicast()
}
