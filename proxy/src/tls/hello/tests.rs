//! Hellos built by hand and by a real TLS library, whole, cut, fragmented and damaged.

use std::sync::Arc;

use adit_route::HostError;
use rustls::pki_types::ServerName;

use super::*;

/// A ClientHello with these extensions, as a handshake message.
fn message(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let list: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, data)| extension(*kind, data))
        .collect();
    let mut body = vec![3, 3];
    body.extend([0xAB; 32]);
    body.extend(short(&[7; 32]));
    body.extend(long(&[0x13, 0x01, 0xC0, 0x2B]));
    body.extend(short(&[0]));
    body.extend(long(&list));
    handshake(&body)
}

fn handshake(body: &[u8]) -> Vec<u8> {
    let mut message = vec![CLIENT_HELLO];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    message
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &long(data)].concat()
}

fn short(data: &[u8]) -> Vec<u8> {
    [&[data.len() as u8][..], data].concat()
}

fn long(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes()[..], data].concat()
}

fn name(text: &[u8]) -> (u16, Vec<u8>) {
    (SERVER_NAME, long(&[&[0][..], &long(text)].concat()))
}

fn protocols(names: &[&str]) -> (u16, Vec<u8>) {
    let list: Vec<u8> = names
        .iter()
        .flat_map(|name| short(name.as_bytes()))
        .collect();
    (ALPN, long(&list))
}

/// The message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|part| [&[HANDSHAKE, 3, 1][..], &long(part)].concat())
        .collect()
}

fn read(bytes: &[u8]) -> Result<Progress, HelloError> {
    HelloReader::default().read(bytes)
}

fn done(bytes: &[u8]) -> ClientHello {
    match read(bytes) {
        Ok(Progress::Done(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

/// The same, but the bytes come one by one.
fn done_bytewise(bytes: &[u8]) -> ClientHello {
    let mut reader = HelloReader::default();
    for end in 0..=bytes.len() {
        match reader.read(&bytes[..end]).unwrap() {
            Progress::NeedMore => assert!(end < bytes.len()),
            Progress::Done(hello) => {
                assert_eq!(end, bytes.len(), "finished before the end");
                return hello;
            }
        }
    }
    unreachable!("the last byte finishes the hello")
}

fn ordinary() -> Vec<u8> {
    message(&[
        (0x1A1A, vec![]),
        name(b"WWW.Example.Test."),
        protocols(&["h2", "http/1.1"]),
        (SUPPORTED_VERSIONS, short(&[0x2A, 0x2A, 3, 4, 3, 3])),
        (0xFE0D, vec![0; 180]),
    ])
}

/// A hello as a real client sends it.
fn real(host: &str, alpn: &[&str]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), host).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn the_offer_of_a_client_is_understood() {
    let bytes = records(&ordinary(), MAX_RECORD);
    let hello = done(&[&bytes[..], b"\x14\x03\x03\0\x01\x01"].concat());
    assert_eq!(hello.server_name.unwrap().as_str(), "www.example.test");
    assert_eq!(
        hello.alpn,
        AlpnSet {
            h2: true,
            http1: true,
            sent: true,
            ..AlpnSet::default()
        }
    );
    assert_eq!(hello.max_version, 0x0304);
    assert_eq!(hello.record_bytes, bytes.len());
}

#[test]
fn a_hello_without_name_or_extensions_is_complete() {
    let hello = done(&records(&message(&[]), MAX_RECORD));
    assert_eq!(
        (hello.server_name, hello.max_version, hello.alpn.sent),
        (None, 0x0303, false)
    );
    // TLS 1.2 without the extensions field.
    let mut bare = vec![3, 1];
    bare.extend([0; 32]);
    bare.extend([0, 0, 2, 0, 0x2F, 1, 0]);
    let hello = done(&records(&handshake(&bare), MAX_RECORD));
    assert_eq!((hello.server_name, hello.max_version), (None, 0x0301));
}

#[test]
fn application_protocols_and_versions_are_told_apart() {
    let table: [(&[&str], AlpnSet); 4] = [
        (
            &["h2"],
            AlpnSet {
                h2: true,
                sent: true,
                ..AlpnSet::default()
            },
        ),
        (
            &["acme-tls/1"],
            AlpnSet {
                acme: true,
                sent: true,
                ..AlpnSet::default()
            },
        ),
        (
            &["\x0A\x0A", "http/1.1"],
            AlpnSet {
                http1: true,
                sent: true,
                ..AlpnSet::default()
            },
        ),
        (
            &["xmpp", "H2"],
            AlpnSet {
                other: true,
                sent: true,
                ..AlpnSet::default()
            },
        ),
    ];
    for (names, expected) in table {
        let hello = done(&records(&message(&[protocols(names)]), MAX_RECORD));
        assert_eq!(hello.alpn, expected, "{names:?}");
    }
    let table: [(&[u8], u16); 4] = [
        (&[3, 3], 0x0303),
        (&[0xFA, 0xFA, 3, 4], 0x0304),
        (&[0xFA, 0xFA], 0),
        (&[0x7F, 0x1C, 3, 3], 0x0303),
    ];
    for (versions, expected) in table {
        let hello = done(&records(
            &message(&[(SUPPORTED_VERSIONS, short(versions))]),
            MAX_RECORD,
        ));
        assert_eq!(hello.max_version, expected, "{versions:02x?}");
    }
}

/// Acceptance: 21
#[test]
fn fragments_of_any_size_give_the_same_hello() {
    let message = ordinary();
    let mut whole = done(&records(&message, MAX_RECORD));
    for size in 1..=message.len() {
        let bytes = records(&message, size);
        whole.record_bytes = bytes.len();
        assert_eq!(done(&bytes), whole, "records of {size}");
        if size < 40 {
            assert_eq!(
                done_bytewise(&bytes),
                whole,
                "records of {size}, byte by byte"
            );
        }
    }
}

/// Acceptance: 21
#[test]
fn every_split_of_a_real_hello_gives_the_same_hello() {
    let bytes = real("Shop.example.test", &["h2", "http/1.1"]);
    assert!(
        bytes.len() > 1200,
        "the post-quantum key share is there: {}",
        bytes.len()
    );
    let whole = done(&bytes);
    assert_eq!(
        whole.server_name.as_ref().unwrap().as_str(),
        "shop.example.test"
    );
    assert!(whole.alpn.h2 && whole.alpn.http1 && whole.max_version == 0x0304);
    for split in 0..bytes.len() {
        let mut reader = HelloReader::default();
        assert_eq!(
            reader.read(&bytes[..split]),
            Ok(Progress::NeedMore),
            "{split}"
        );
        assert_eq!(
            reader.read(&bytes),
            Ok(Progress::Done(whole.clone())),
            "{split}"
        );
    }
    assert_eq!(done_bytewise(&bytes), whole);
    let message = &bytes[RECORD_HEADER..];
    for size in 1..message.len() {
        let hello = done(&records(message, size));
        assert_eq!(hello.server_name, whole.server_name, "records of {size}");
    }
}

#[test]
fn a_real_client_that_asks_for_an_address_sends_no_name() {
    assert_eq!(done(&real("192.0.2.1", &[])).server_name, None);
}

/// Acceptance: 22
#[test]
fn a_name_that_is_no_host_name_is_refused() {
    let two = long(&[&[0][..], &long(b"a.test"), &[0], &long(b"b.test")].concat());
    let other = long(&[&[1][..], &long(b"a.test")].concat());
    let mixed = long(&[&[0][..], &long(b"a.test"), &[9], &long(b"b")].concat());
    let long_name = [&b"a.".repeat(126)[..], b"ab"].concat();
    let label = [&[b'a'; 64][..], b".test"].concat();
    let character = HelloError::Name(HostError::Character);
    let table: [((u16, Vec<u8>), HelloError); 18] = [
        ((SERVER_NAME, two), HelloError::SeveralNames),
        ((SERVER_NAME, other), HelloError::NameType(1)),
        ((SERVER_NAME, mixed), HelloError::NameType(9)),
        ((SERVER_NAME, long(b"")), HelloError::NoName),
        (name(b""), HelloError::Name(HostError::Empty)),
        (name(b"."), HelloError::Name(HostError::Empty)),
        (name(b"a..test"), HelloError::Name(HostError::Label)),
        (name(&label), HelloError::Name(HostError::Label)),
        (name(&long_name), HelloError::Name(HostError::TooLong)),
        (name(b"a.test\0.evil"), character),
        (name(b"a.test:443"), character),
        (name(b"*.test"), character),
        (name("b\u{fc}cher.test".as_bytes()), character),
        (name(b"2001:db8::1"), character),
        (name(b"a test"), character),
        (name(b"192.0.2.1"), HelloError::NameIsAddress),
        (name(b"192.0.2.1."), HelloError::NameIsAddress),
        (name(b"[2001:db8::1]"), HelloError::NameIsAddress),
    ];
    for (extension, expected) in table {
        let bytes = records(&message(std::slice::from_ref(&extension)), MAX_RECORD);
        assert_eq!(read(&bytes), Err(expected), "{extension:02x?}");
        assert_eq!(
            (expected.rule(), expected.alert()),
            ("TL-11", alert::ILLEGAL_PARAMETER)
        );
    }
}

/// Acceptance: 22
#[test]
fn a_malformed_hello_is_never_a_hello_without_a_name() {
    let empty = (SERVER_NAME, vec![]);
    let behind = (SERVER_NAME, [name(b"a.test").1, vec![0]].concat());
    let beyond = (SERVER_NAME, vec![0, 9, 0, 0, 6, b'a']);
    let table: Vec<Vec<u8>> = vec![
        message(&[empty]),
        message(&[behind]),
        message(&[beyond]),
        message(&[(ALPN, vec![])]),
        message(&[(ALPN, long(b""))]),
        message(&[protocols(&[""])]),
        message(&[(ALPN, long(&[3, b'h', b'2']))]),
        message(&[(SUPPORTED_VERSIONS, short(&[3]))]),
        message(&[(SUPPORTED_VERSIONS, vec![0])]),
        handshake(b""),
        handshake(&[3, 3]),
        handshake(&[&[3, 3][..], &[0; 32], &[33], &[0; 33], &[0, 2, 0, 1, 1, 0]].concat()),
        handshake(&[&[3, 3][..], &[0; 32], &[0, 0, 1, 0, 1, 0]].concat()),
        handshake(&[&[3, 3][..], &[0; 32], &[0, 0, 0, 1, 0]].concat()),
        handshake(&[&[3, 3][..], &[0; 32], &[0, 0, 2, 0, 1, 0]].concat()),
        handshake(&[&[3, 3][..], &[0; 32], &[0, 0, 2, 0, 1, 1, 0, 0]].concat()),
        handshake(&[&[3, 3][..], &[0; 32], &[0, 0, 2, 0, 1, 1, 0, 0, 0, 9]].concat()),
        handshake(&[&[3, 3][..], &[0; 32], &[0, 0, 2, 0, 1, 1, 0, 0, 2, 0, 0]].concat()),
    ];
    for message in table {
        let error = read(&records(&message, MAX_RECORD)).expect_err("malformed");
        assert!(
            matches!(error, HelloError::Malformed(_)),
            "{error:?} of {message:02x?}"
        );
        assert_eq!(
            (error.rule(), error.alert()),
            ("TL-08", alert::DECODE_ERROR)
        );
    }
    for extension in [name(b"a.test"), protocols(&["h2"]), (51, vec![0; 8])] {
        let repeated = message(&[extension.clone(), extension.clone()]);
        let error = read(&records(&repeated, MAX_RECORD)).unwrap_err();
        assert_eq!(error, HelloError::Repeated(extension.0));
        assert_eq!(error.alert(), alert::ILLEGAL_PARAMETER);
    }
}

#[test]
fn what_is_not_a_handshake_is_refused_at_its_first_wrong_byte() {
    let hello = records(&ordinary(), MAX_RECORD);
    let http = HelloError::NotTls {
        looks_like_http: true,
    };
    let other = HelloError::NotTls {
        looks_like_http: false,
    };
    let server_hello = records(&[2, 0, 0, 0], MAX_RECORD);
    let two = records(&[ordinary(), vec![1]].concat(), MAX_RECORD);
    let interrupted = [&records(&ordinary()[..9], 9), &b"\x17"[..]].concat();
    let empty_later = [&records(&ordinary()[..9], 9), &b"\x16\x03\x01\0\0"[..]].concat();
    let table: [(&[u8], HelloError, &str, u8); 16] = [
        (b"G", http, "TL-09", 10),
        (b"GET / HTTP/1.1\r\n", http, "TL-09", 10),
        (b"PRI * HTTP/2.0\r\n", http, "TL-09", 10),
        (b"GEX", other, "TL-09", 10),
        (b"PROXY TCP4", other, "TL-09", 10),
        (b"\x80\x2E\x01\x03\x01", other, "TL-09", 10),
        (b"\x15\x03\x01", other, "TL-09", 10),
        (b"\x17", other, "TL-09", 10),
        (b"\0", other, "TL-09", 10),
        (b"\x16\x02", HelloError::RecordVersion, "TL-08", 70),
        (b"\x16\x03\x01\0\0", HelloError::EmptyRecord, "TL-06", 10),
        (b"\x16\x03\x01\x40\x01", HelloError::LongRecord, "TL-07", 22),
        (&server_hello[..6], HelloError::Unexpected, "TL-08", 10),
        (&two, HelloError::Unexpected, "TL-08", 10),
        (&interrupted, HelloError::Unexpected, "TL-08", 10),
        (&empty_later, HelloError::EmptyRecord, "TL-06", 10),
    ];
    for (bytes, expected, rule, alert) in table {
        let mut reader = HelloReader::default();
        assert_eq!(
            reader.read(bytes),
            Err(expected),
            "{}",
            bytes.escape_ascii()
        );
        assert_eq!(
            (expected.rule(), expected.alert()),
            (rule, alert),
            "{expected}"
        );
        // Nothing that follows makes it good again.
        assert_eq!(reader.read(&hello), Err(expected));
    }
}

/// Acceptance: 22
#[test]
fn a_message_over_the_limit_is_refused_by_its_length_alone() {
    let mut reader = HelloReader::new(1000);
    let bytes = [HANDSHAKE, 3, 1, 0, 4, CLIENT_HELLO, 0, 3, 233];
    assert_eq!(reader.read(&bytes[..8]), Ok(Progress::NeedMore));
    assert_eq!(reader.read(&bytes), Err(HelloError::TooLong));
    assert_eq!(HelloError::TooLong.rule(), "TL-07");
    assert_eq!(
        reader.message.len(),
        MESSAGE_HEADER,
        "nothing else was kept"
    );
    // Up to the limit all is well, over several records too.
    let padding = |length| message(&[name(b"a.test"), (21, vec![0; length])]);
    let room = MESSAGE_HEADER + MAX_HELLO - padding(0).len();
    let padded = padding(room);
    assert_eq!(padded.len(), MESSAGE_HEADER + MAX_HELLO);
    assert!(done(&records(&padded, MAX_RECORD)).server_name.is_some());
    assert!(done(&records(&padded, 1)).server_name.is_some());
    let longer = records(&padding(room + 1), MAX_RECORD);
    assert_eq!(read(&longer), Err(HelloError::TooLong));
}

#[test]
fn alerts_are_whole_records() {
    assert_eq!(
        alert_record(alert::UNRECOGNIZED_NAME),
        [21, 3, 3, 0, 2, 2, 112]
    );
}

#[test]
fn damaged_hellos_never_panic_and_cut_ones_are_never_complete() {
    let mut random = fastrand::Rng::with_seed(0x0DD5);
    let real = real("shop.example.test", &["h2"]);
    for sample in [
        records(&ordinary(), MAX_RECORD),
        records(&ordinary(), 7),
        real,
    ] {
        for end in 0..sample.len() {
            assert_eq!(read(&sample[..end]), Ok(Progress::NeedMore));
        }
        for _ in 0..20_000 {
            let mut bytes = sample.clone();
            for _ in 0..random.usize(1..4) {
                let place = random.usize(..bytes.len());
                match random.u8(..3) {
                    0 => bytes[place] = random.u8(..),
                    1 => bytes.insert(place, random.u8(..)),
                    _ => drop(bytes.remove(place)),
                }
            }
            // However the bytes come, the outcome is one and the same.
            let at_once = read(&bytes);
            let mut reader = HelloReader::default();
            let cut = random.usize(..=bytes.len());
            let stepwise = match reader.read(&bytes[..cut]) {
                Ok(Progress::NeedMore) => reader.read(&bytes),
                early => early,
            };
            assert_eq!(stepwise, at_once);
        }
    }
}
