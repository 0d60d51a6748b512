//! The rules of the PROXY protocol as tables: each row is a header and what becomes of it.

use super::crc32c::checksum;
use super::*;
use adit_route::BindProxyProtocol;

const PEER: &str = "198.51.100.1:4000";

fn read(buf: &[u8]) -> Result<Parse, ProxyHeaderError> {
    parse(buf, PEER.parse().unwrap())
}

fn done(buf: &[u8]) -> (ProxyHeader, usize) {
    match read(buf) {
        Ok(Parse::Done { header, consumed }) => (header, consumed),
        other => panic!("{:?}: {other:?}", buf.escape_ascii().to_string()),
    }
}

fn addresses(buf: &[u8]) -> (String, String) {
    let (header, consumed) = done(buf);
    assert_eq!(consumed, buf.len());
    (
        header.source.unwrap().to_string(),
        header.destination.unwrap().to_string(),
    )
}

fn block(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = v2::SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

const INET: [u8; 12] = [203, 0, 113, 9, 192, 0, 2, 1, 0x1F, 0x90, 0x01, 0xBB];

fn inet6() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(
        "2001:db8::9"
            .parse::<std::net::Ipv6Addr>()
            .unwrap()
            .octets(),
    );
    body.extend(
        "2001:db8::1"
            .parse::<std::net::Ipv6Addr>()
            .unwrap()
            .octets(),
    );
    body.extend([0x1F, 0x90, 0x01, 0xBB]);
    body
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut tlv = vec![kind];
    tlv.extend((value.len() as u16).to_be_bytes());
    tlv.extend(value);
    tlv
}

fn with_tlvs(tlvs: &[Vec<u8>]) -> Vec<u8> {
    block(0x21, 0x11, &[INET.to_vec(), tlvs.concat()].concat())
}

/// A header whose CRC32C stands in the middle of other extensions.
fn with_checksum() -> Vec<u8> {
    let mut header = with_tlvs(&[tlv(1, b"h2"), tlv(3, &[0; 4]), tlv(4, &[0; 9])]);
    let sum = checksum(&header).to_be_bytes();
    let place = header.len() - (3 + 9) - 4;
    header[place..place + 4].copy_from_slice(&sum);
    header
}

fn valid_headers() -> Vec<Vec<u8>> {
    vec![
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.9 192.0.2.1 0 65535\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::9 2001:db8::1 8080 443\r\n".to_vec(),
        b"PROXY TCP6 ::ffff:203.0.113.9 2001:db8::1 8080 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 whatever 1 2\r\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 91], b"\r\n"].concat(),
        block(0x21, 0x11, &INET),
        block(0x21, 0x21, &inet6()),
        block(0x20, 0x00, b""),
        block(0x20, 0x11, &INET),
        block(0x20, 0xFF, &[0xAA; 300]),
        with_tlvs(&[
            tlv(4, b""),
            tlv(2, b"example.test"),
            tlv(0x20, &[1; 40]),
            tlv(0xEE, b"x"),
        ]),
        with_tlvs(&[tlv(5, b"id-\x00\"\xFF")]),
        with_tlvs(&[tlv(4, &[0; 2048 - 16 - 12 - 3])]),
        with_checksum(),
    ]
}

#[test]
fn the_client_is_who_the_header_says() {
    let v4 = ("203.0.113.9:8080".to_owned(), "192.0.2.1:443".to_owned());
    let v6 = (
        "[2001:db8::9]:8080".to_owned(),
        "[2001:db8::1]:443".to_owned(),
    );
    assert_eq!(
        addresses(b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\r\n"),
        v4
    );
    assert_eq!(
        addresses(b"PROXY TCP6 2001:db8::9 2001:db8::1 8080 443\r\n"),
        v6
    );
    assert_eq!(addresses(&block(0x21, 0x11, &INET)), v4);
    assert_eq!(addresses(&block(0x21, 0x21, &inet6())), v6);
    // H-15: mapped addresses are IPv4 addresses.
    let mapped = addresses(b"PROXY TCP6 ::ffff:203.0.113.9 ::ffff:192.0.2.1 8080 443\r\n");
    assert_eq!(mapped, v4);
}

#[test]
fn without_a_client_the_socket_speaks_for_itself() {
    let table: [(&[u8], Version, Command, bool); 4] = [
        (b"PROXY UNKNOWN\r\n", Version::V1, Command::Proxy, false),
        (
            b"PROXY UNKNOWN 1.2.3.4 x\r\n",
            Version::V1,
            Command::Proxy,
            false,
        ),
        (&block(0x20, 0x00, b""), Version::V2, Command::Local, true),
        (
            &block(0x20, 0x21, &inet6()),
            Version::V2,
            Command::Local,
            true,
        ),
    ];
    for (bytes, version, command, verified) in table {
        let (header, consumed) = done(bytes);
        assert_eq!(
            header,
            ProxyHeader::without_addresses(version, command, verified)
        );
        assert_eq!(consumed, bytes.len());
    }
}

/// Acceptance: 30
#[test]
fn every_beginning_of_a_valid_header_waits_and_what_follows_is_payload() {
    for header in valid_headers() {
        for end in 0..header.len() {
            assert_eq!(
                read(&header[..end]),
                Ok(Parse::NeedMore),
                "{end} of {header:02x?}"
            );
        }
        let alone = done(&header);
        assert_eq!(alone.1, header.len());
        // P-15: a second header is payload like anything else.
        for payload in [
            &b"\x16\x03\x01"[..],
            b"PROXY UNKNOWN\r\n",
            &header,
            &[b'x'; 4000],
        ] {
            assert_eq!(done(&[&header, payload].concat()), alone);
        }
    }
}

/// Acceptance: 30
#[test]
fn a_line_that_is_not_exactly_right_is_refused() {
    let table: [&[u8]; 38] = [
        b"proxy TCP4 203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY  TCP4 203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY\tTCP4 203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY tcp4 203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY TCP5 203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY UDP4 203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY TCP4\t203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY TCP4  203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY TCP4 203.0.113.9  192.0.2.1 8080 443\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1  8080 443\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080  443\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443 \r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443 x\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\r\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\rx",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 203.0.113.09 192.0.2.1 8080 443\r\n",
        b"PROXY TCP4 203.0.113.256 192.0.2.1 8080 443\r\n",
        b"PROXY TCP4 203.0.113 192.0.2.1 8080 443\r\n",
        b"PROXY TCP4 0xcb.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY TCP4 2001:db8::9 2001:db8::1 8080 443\r\n",
        b"PROXY TCP6 203.0.113.9 192.0.2.1 8080 443\r\n",
        b"PROXY TCP6 2001:db8::9 192.0.2.1 8080 443\r\n",
        b"PROXY TCP6 2001:0db8::9 2001:db8::1 8080 443\r\n",
        b"PROXY TCP6 2001:DB8::9 2001:db8::1 8080 443\r\n",
        b"PROXY TCP6 2001:db8:0:0:0:0:0:9 2001:db8::1 8080 443\r\n",
        b"PROXY TCP6 [2001:db8::9] 2001:db8::1 8080 443\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 8080 443\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 08080 443\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 65536 443\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 00\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 +80 443\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UNKNOWN\n",
        b"PROXY UNKNOWN a\rb\r\n",
    ];
    for line in table {
        let error = read(line).expect_err(&line.escape_ascii().to_string());
        let expected = if line.starts_with(b"P") {
            "P-05"
        } else {
            "P-04"
        };
        assert_eq!(error.rule(), expected, "{}", line.escape_ascii());
    }
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 93]].concat();
    assert_eq!(read(&endless[..106]), Ok(Parse::NeedMore));
    assert_eq!(read(&endless).unwrap_err().rule(), "P-05");
}

/// Acceptance: 30
#[test]
fn a_block_that_is_not_exactly_right_is_refused() {
    let long_id = tlv(5, &[b'x'; 129]);
    let mut broken_sum = with_checksum();
    broken_sum[20] ^= 1;
    let twice = with_tlvs(&[tlv(3, &[0; 4]), tlv(3, &[0; 4])]);
    let table: [(Vec<u8>, &str); 23] = [
        (b"\r\n\r\n\0\r\nQUIX\n".to_vec(), "P-04"),
        (block(0x11, 0x11, &INET), "P-07"),
        (block(0x31, 0x11, &INET), "P-07"),
        (block(0x22, 0x11, &INET), "P-07"),
        (block(0x2F, 0x11, &INET), "P-07"),
        (block(0x21, 0x41, &INET), "P-07"),
        (block(0x21, 0x13, &INET), "P-07"),
        (block(0x21, 0xF1, &INET), "P-07"),
        (block(0x21, 0x00, b""), "P-09"),
        (block(0x21, 0x01, &INET), "P-09"),
        (block(0x21, 0x10, &INET), "P-09"),
        (block(0x21, 0x12, &INET), "P-09"),
        (block(0x21, 0x22, &inet6()), "P-09"),
        (block(0x21, 0x31, &[0; 216]), "P-09"),
        (block(0x21, 0x11, &INET[..11]), "P-10"),
        (block(0x21, 0x21, &inet6()[..35]), "P-10"),
        (block(0x21, 0x11, &[0; 2033]), "P-10"),
        (block(0x20, 0x00, &[0; 2033]), "P-10"),
        (with_tlvs(&[vec![4]]), "P-11"),
        (with_tlvs(&[tlv(4, b"abc")[..5].to_vec()]), "P-11"),
        (broken_sum, "P-12"),
        (twice, "P-12"),
        (with_tlvs(&[long_id]), "P-13"),
    ];
    for (bytes, rule) in table {
        assert_eq!(read(&bytes).expect_err(rule).rule(), rule, "{bytes:02x?}");
    }
    // The length is refused as soon as it is known, before anything is kept.
    assert_eq!(
        read(&block(0x21, 0x11, &[0; 2033])[..16])
            .unwrap_err()
            .rule(),
        "P-10"
    );
    assert_eq!(
        read(&with_tlvs(&[tlv(3, &[0; 3])])).unwrap_err().rule(),
        "P-12"
    );
}

#[test]
fn a_second_checksum_is_refused_even_if_the_first_one_fits() {
    let mut header = with_tlvs(&[tlv(3, &[0; 4]), tlv(3, &[7; 4])]);
    let sum = checksum(&header).to_be_bytes();
    let place = header.len() - 7 - 4;
    header[place..place + 4].copy_from_slice(&sum);
    assert_eq!(read(&header), Err(ProxyHeaderError::Checksum));
}

#[test]
fn a_wrong_byte_is_refused_at_once() {
    let table: [&[u8]; 12] = [
        b"G",
        b"\x16",
        b"PU",
        b"PRI",
        b"PROXY X",
        b"PROXY TCP4 a",
        b"PROXY TCP4 1.2.3.4\t",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"PROXY TCP4 1111111111111111",
        b"\r\n\r\nG",
        b"\r\n\r\n\0\r\nQUIT\n\x22",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x31",
    ];
    for bytes in table {
        assert!(read(bytes).is_err(), "{}", bytes.escape_ascii());
        assert_eq!(
            read(&bytes[..bytes.len() - 1]),
            Ok(Parse::NeedMore),
            "{}",
            bytes.escape_ascii()
        );
    }
}

/// Acceptance: 30
#[test]
fn no_client_can_have_a_special_address() {
    let table = [
        ("0.0.0.0", PEER, false),
        ("224.0.0.1", PEER, false),
        ("255.255.255.255", PEER, false),
        ("127.0.0.1", PEER, false),
        ("127.0.0.1", "127.0.0.1:9", true),
        ("127.0.0.1", "[::1]:9", true),
        ("127.0.0.1", "[::ffff:127.0.0.1]:9", true),
        ("0.0.0.0", "127.0.0.1:9", false),
        ("10.0.0.1", PEER, true),
        ("::", PEER, false),
        ("ff02::1", PEER, false),
        ("::1", PEER, false),
        ("::1", "[::1]:9", true),
        ("::ffff:127.0.0.1", PEER, false),
        ("::ffff:224.0.0.1", PEER, false),
        ("fd00::1", PEER, true),
    ];
    for (source, peer, accepted) in table {
        let peer: SocketAddr = peer.parse().unwrap();
        let ip: IpAddr = source.parse().unwrap();
        let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {source} {source} 1 2\r\n");
        let result = parse(line.as_bytes(), peer);
        assert_eq!(result.is_ok(), accepted, "{source} from {peer}");
        if let Err(error) = result {
            assert_eq!(error.rule(), "P-14", "{source} from {peer}");
        }
        // The binary form must judge alike, mapped addresses included.
        let mut body = match ip {
            IpAddr::V4(v4) => [v4.octets(), v4.octets()].concat(),
            IpAddr::V6(v6) => [v6.octets(), v6.octets()].concat(),
        };
        body.extend([0, 1, 0, 2]);
        let family = if ip.is_ipv4() { 0x11 } else { 0x21 };
        assert_eq!(
            parse(&block(0x21, family, &body), peer).is_ok(),
            accepted,
            "{source}"
        );
    }
}

#[test]
fn the_unique_id_is_printable_in_the_log() {
    let (header, _) = done(&with_tlvs(&[tlv(5, b"id-\x00\"\n\xFF")]));
    assert_eq!(header.unique_id.as_deref(), Some("id-\\x00\\\"\\n\\xff"));
    assert_eq!(done(&with_tlvs(&[tlv(2, b"x.test")])).0.unique_id, None);
}

#[test]
fn what_we_send_is_what_we_would_read() {
    let table = [
        (
            "203.0.113.9:1",
            "192.0.2.1:65535",
            "203.0.113.9:1",
            "192.0.2.1:65535",
        ),
        (
            "[2001:db8::9]:1",
            "[2001:db8::1]:2",
            "[2001:db8::9]:1",
            "[2001:db8::1]:2",
        ),
        (
            "203.0.113.9:1",
            "[2001:db8::1]:2",
            "203.0.113.9:1",
            "[2001:db8::1]:2",
        ),
        (
            "[2001:db8::9]:1",
            "192.0.2.1:2",
            "[2001:db8::9]:1",
            "192.0.2.1:2",
        ),
        (
            "[::ffff:203.0.113.9]:1",
            "192.0.2.1:2",
            "203.0.113.9:1",
            "192.0.2.1:2",
        ),
    ];
    for (source, destination, read_source, read_destination) in table {
        for version in [BindProxyProtocol::V1, BindProxyProtocol::V2] {
            let sent = encode(
                version,
                source.parse().unwrap(),
                destination.parse().unwrap(),
            );
            assert!(!sent.spilled(), "a header needs no heap");
            let expected = (read_source.to_owned(), read_destination.to_owned());
            assert_eq!(
                addresses(&sent),
                expected,
                "{version:?} {source} {destination}"
            );
        }
    }
    assert_eq!(done(&encode_local()).0.command, Command::Local);
}

/// Acceptance: 31
#[test]
fn what_we_send_is_byte_for_byte_what_the_protocol_says() {
    let (v4, v6) = ("203.0.113.9:8080", "[2001:db8::1]:443");
    let send = |version, source: &str, destination: &str| {
        encode(
            version,
            source.parse().unwrap(),
            destination.parse().unwrap(),
        )
        .to_vec()
    };
    let line = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert_eq!(
        line(send(BindProxyProtocol::V1, v4, "192.0.2.1:443")),
        "PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\r\n"
    );
    assert_eq!(
        line(send(BindProxyProtocol::V1, v4, v6)),
        "PROXY TCP6 ::ffff:203.0.113.9 2001:db8::1 8080 443\r\n"
    );
    assert_eq!(
        send(BindProxyProtocol::V2, v4, "192.0.2.1:443"),
        block(0x21, 0x11, &INET)
    );
    let mixed = send(BindProxyProtocol::V2, v4, v6);
    assert_eq!(mixed[12..16], [0x21, 0x21, 0, 36]);
    assert_eq!(
        mixed[16..32],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 203, 0, 113, 9]
    );
    assert_eq!(encode_local().as_slice(), block(0x20, 0x00, b"").as_slice());
    let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    let sent = encode(
        BindProxyProtocol::V1,
        longest.parse().unwrap(),
        longest.parse().unwrap(),
    );
    assert!(sent.len() <= v1::MAX_LINE);
}

#[test]
fn damaged_headers_never_panic_and_never_reach_past_their_end() {
    let mut random = fastrand::Rng::with_seed(0x5EED);
    for header in valid_headers() {
        for _ in 0..3000 {
            let mut bytes = header.clone();
            bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
            for _ in 0..random.usize(1..4) {
                let place = random.usize(..bytes.len());
                match random.u8(..3) {
                    0 => bytes[place] = random.u8(..),
                    1 => bytes.insert(place, random.u8(..)),
                    _ => drop(bytes.remove(place)),
                }
            }
            bytes.truncate(random.usize(..=bytes.len()));
            match read(&bytes) {
                Ok(Parse::Done { consumed, .. }) => assert!(consumed <= bytes.len()),
                Ok(Parse::NeedMore) => assert!(bytes.len() < MAX_HEADER),
                Err(error) => assert!(error.rule().starts_with("P-")),
            }
        }
    }
}
