//! HTTP/2 heads with two readings, or none, never reach a backend (D-60 to D-69, D-80 to D-84);
//! those that do arrive as one HTTP/1.1 head (D-70 to D-72).

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::adit::Adit;
use crate::support::backend::Backend;
use crate::support::h2raw::*;
use crate::support::site::Site;

const DOORS: &str = "\
listeners:
- {name: prior, role: lan, bind: \"127.0.0.1:0\", protocol: h2c}
";

/// A backend that tells what it is sent, head and body as bytes, and answers each request.
fn telling() -> (Backend, Receiver<String>) {
    let (tell, told) = channel();
    let backend = Backend::start(move |_, mut client| {
        while let Some(head) = client.try_head() {
            let mut all = head.clone();
            if head.contains("transfer-encoding: chunked") {
                all.push_str(&client.until("0\r\n"));
                all.push_str(&client.until("\r\n"));
            } else if let Some((_, rest)) = head.split_once("content-length: ") {
                let length = rest.split("\r\n").next().unwrap().parse().unwrap();
                all.push_str(&String::from_utf8_lossy(&client.take(length)));
            }
            tell.send(all).unwrap();
            client.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    (backend, told)
}

fn serve(site: &Site, backend: &Backend) -> Adit {
    let routes = format!(
        "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    );
    site.run_with(DOORS, &routes)
}

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    Reset(u32),
    Answered(u16),
    /// The connection ended with this code.
    Ended(u32),
}

fn became(client: &mut H2Raw, stream: u32) -> Became {
    let wanted = |frame: &Frame| {
        let on_stream = frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM);
        on_stream || frame.kind == GOAWAY
    };
    let frame = client.until(wanted);
    match frame.kind {
        RST_STREAM => Became::Reset(frame.code()),
        GOAWAY => Became::Ended(frame.code()),
        _ => Became::Answered(status(&frame.payload)),
    }
}

/// `:status` is the first field of an answer; it is in the static table, or spelled with a name
/// from there (RFC 7541, appendix A).
fn status(block: &[u8]) -> u16 {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [first @ 0x88..=0x8e, ..] => STATIC[usize::from(first - 0x88)],
        [0x48 | 0x08, 3, a, b, c, ..] => [a, b, c]
            .iter()
            .fold(0, |number, digit| number * 10 + u16::from(**digit - b'0')),
        [0x48 | 0x08, long @ (0x82 | 0x83), spelled @ ..] => {
            let spelled = spelled.iter().take(usize::from(long & 0x7f));
            let bits: String = spelled.map(|byte| format!("{byte:08b}")).collect();
            let mut rest = bits.as_str();
            let mut number = 0;
            while number < 100 {
                // Codes of digits: five bits up to 2, six from 3 on.
                let five = u16::from_str_radix(&rest[..5], 2).unwrap();
                let used = if five < 3 { 5 } else { 6 };
                let six = u16::from_str_radix(&rest[..used], 2).unwrap();
                number = number * 10 + if five < 3 { five } else { six - 0x19 + 3 };
                rest = &rest[used..];
            }
            number
        }
        other => panic!("no status in {other:?}"),
    }
}

const PLAIN: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "www.example.test"),
    (":path", "/"),
];

/// The usual fields, with these changed, added, or, without a value, left out.
fn with(changes: &[(&'static str, Option<&'static str>)]) -> Vec<(&'static str, &'static str)> {
    let mut fields = PLAIN.to_vec();
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    let (pseudo, plain): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .partition(|(name, _)| name.starts_with(':'));
    pseudo.into_iter().chain(plain).collect()
}

fn and(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    PLAIN.into_iter().chain([(name, value)]).collect()
}

type Fields = Vec<(&'static str, &'static str)>;

/// Heads whose stream is reset.
fn malformed() -> Vec<(&'static str, Fields)> {
    let first = |name, value| [(name, value)].into_iter().chain(PLAIN).collect();
    vec![
        ("D-60 two paths", first(":path", "/admin")),
        ("D-60 two methods", first(":method", "POST")),
        ("D-60 two schemes", first(":scheme", "http")),
        (
            "D-60 two authorities",
            first(":authority", "www.example.test"),
        ),
        ("D-60 unknown pseudo-field", first(":new", "x")),
        ("D-60 status in a request", first(":status", "200")),
        (
            "D-60 protocol without CONNECT",
            first(":protocol", "websocket"),
        ),
        ("D-60 pseudo-field after a field", first("accept", "*/*")),
        ("D-60 no method", with(&[(":method", None)])),
        ("D-60 no scheme", with(&[(":scheme", None)])),
        ("D-60 no path", with(&[(":path", None)])),
        ("D-61 upper case", and("X-Name", "x")),
        ("D-61 colon", and("x:name", "x")),
        ("D-61 space", and("x name", "x")),
        ("D-61 control", and("x\x01name", "x")),
        ("D-61 not ASCII", and("x-n\u{e4}me", "x")),
        ("D-61 empty", and("", "x")),
        ("D-62 NUL", and("x-name", "a\0b")),
        ("D-62 CR LF", and("x-name", "a\r\nb: c")),
        ("D-62 LF", and("x-name", "a\nb")),
        ("D-62 control", and("x-name", "a\x01b")),
        ("D-62 leading space", and("x-name", " a")),
        ("D-62 trailing tab", and("x-name", "a\t")),
        ("D-63 connection", and("connection", "close")),
        ("D-63 keep-alive", and("keep-alive", "timeout=5")),
        ("D-63 proxy-connection", and("proxy-connection", "close")),
        (
            "D-63 transfer-encoding",
            and("transfer-encoding", "chunked"),
        ),
        ("D-63 upgrade", and("upgrade", "h2c")),
        ("D-63 te", and("te", "gzip")),
        ("D-67 empty path", with(&[(":path", Some(""))])),
        ("D-67 relative path", with(&[(":path", Some("admin"))])),
        ("D-67 asterisk", with(&[(":path", Some("*"))])),
        ("D-67 space", with(&[(":path", Some("/a b"))])),
        ("D-67 control", with(&[(":path", Some("/a\x01b"))])),
        ("D-67 fragment", with(&[(":path", Some("/a#b"))])),
        (
            "D-67 fragment of a query",
            with(&[(":path", Some("/a?b#"))]),
        ),
        ("D-67 only a fragment", with(&[(":path", Some("/#"))])),
        ("D-68 no token", with(&[(":method", Some("GE T"))])),
        (
            "D-68 long",
            with(&[(":method", Some("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"))]),
        ),
        ("D-69 two lengths", {
            let mut fields = and("content-length", "0");
            fields.push(("content-length", "1"));
            fields
        }),
        ("D-69 no number", and("content-length", "0x0")),
        ("D-69 list", and("content-length", "0, 0")),
        ("D-69 leading zero", and("content-length", "00")),
        (
            "D-69 nothing where the length says something",
            and("content-length", "5"),
        ),
    ]
}

/// Heads that are well-formed, and answered with an error.
fn refused() -> Vec<(&'static str, u16, Fields)> {
    let host = |value| with(&[(":authority", None), ("host", Some(value))]);
    vec![
        (
            "D-64 http2-settings",
            400,
            and("http2-settings", "AAMAAABk"),
        ),
        ("D-64 another host", 400, and("host", "other.example.test")),
        ("D-64 two hosts", 400, {
            let mut fields = host("www.example.test");
            fields.push(("host", "www.example.test"));
            fields
        }),
        ("D-65 no host", 400, with(&[(":authority", None)])),
        ("D-65 empty host", 400, host("")),
        ("D-66 scheme", 400, with(&[(":scheme", Some("ftp"))])),
        (
            "D-66 scheme of TLS",
            400,
            with(&[(":scheme", Some("https"))]),
        ),
        ("D-66 scheme beside host", 400, {
            let mut fields = host("www.example.test");
            fields[1] = (":scheme", "ftp");
            fields
        }),
        ("D-67 not ASCII", 400, with(&[(":path", Some("/\u{e4}"))])),
        ("D-80 expectation", 417, and("expect", "the best")),
        (
            "D-82 CONNECT",
            405,
            vec![(":method", "CONNECT"), (":authority", "www.example.test")],
        ),
        ("D-83 extended CONNECT", 501, {
            let mut fields = with(&[(":method", Some("CONNECT"))]);
            fields.insert(0, (":protocol", "connect-udp"));
            fields
        }),
        ("D-84 TRACE", 405, with(&[(":method", Some("TRACE"))])),
        (
            "N-02 userinfo",
            400,
            with(&[(":authority", Some("a@www.example.test"))]),
        ),
        ("N-02 list", 400, host("www.example.test, b")),
    ]
}

/// Acceptance: 7, 8
#[test]
fn a_malformed_head_is_reset_and_a_refused_one_answered_and_none_arrives() {
    let site = Site::new();
    let (backend, told) = telling();
    let adit = serve(&site, &backend);
    let resets = malformed()
        .into_iter()
        .map(|(name, fields)| (name, fields, Became::Reset(1)));
    let answers = refused()
        .into_iter()
        .map(|(name, status, fields)| (name, fields, Became::Answered(status)));
    for (name, fields, expected) in resets.chain(answers) {
        let mut client = H2Raw::connect(adit.addr("prior"));
        let head = block(&fields);
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
        let became = became(&mut client, 1);
        // An authority that is none is refused by the library already; a field that is none ends
        // the connection, as RFC 9113 §5.4.1 allows.
        let sooner = name.starts_with("N-02") && became == Became::Reset(1);
        let harder =
            matches!(&name[..4], "D-60" | "D-61" | "D-62" | "D-68") && became == Became::Ended(1);
        assert!(became == expected || sooner || harder, "{name}: {became:?}");
        if harder {
            client = H2Raw::connect(adit.addr("prior"));
        }
        // The connection is as good as before.
        client.send(get(3, &format!("/after?{}", name.len())));
        let answered = self::became(&mut client, 3);
        assert_eq!(answered, Became::Answered(204), "{name}");
        let seen = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(seen.starts_with("GET /after?"), "{name} arrived: {seen}");
    }
    adit.stop();
}

/// Acceptance: 7
#[test]
fn more_or_less_than_the_length_says_is_no_request() {
    let site = Site::new();
    let (backend, told) = telling();
    let adit = serve(&site, &backend);
    let head = block(&with(&[
        (":method", Some("POST")),
        ("content-length", Some("5")),
    ]));
    for (name, body) in [("less", "1234"), ("more", "123456")] {
        let mut client = H2Raw::connect(adit.addr("prior"));
        client.send(frame(HEADERS, END_HEADERS, 1, &head));
        client.send(frame(DATA, END_STREAM, 1, body.as_bytes()));
        assert_eq!(became(&mut client, 1), Became::Reset(1), "{name}");
    }
    // What may have begun to arrive never ends.
    let whole = told.recv_timeout(Duration::from_millis(300));
    assert!(whole.is_err(), "{whole:?}");
    adit.stop();
}

/// Acceptance: 6, 7
#[test]
fn trailers_with_a_pseudo_field_break_the_request_off() {
    let site = Site::new();
    let (backend, told) = telling();
    let adit = serve(&site, &backend);
    let head = request("POST", "/");
    for trailers in [
        block(&[(":path", "/admin"), ("x-sum", "1")]),
        block(&[(":status", "200")]),
    ] {
        let mut client = H2Raw::connect(adit.addr("prior"));
        client
            .send(frame(HEADERS, END_HEADERS, 1, &head))
            .send(frame(DATA, 0, 1, b"the beginning"))
            .send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers));
        let became = became(&mut client, 1);
        let fitting = [Became::Reset(1), Became::Answered(400)];
        assert!(fitting.contains(&became), "{became:?}");
    }
    let whole = told.recv_timeout(Duration::from_millis(300));
    assert!(whole.is_err(), "{whole:?}");
    adit.stop();
}

/// Acceptance: 7
#[test]
fn what_arrives_is_one_head_with_one_framing() {
    let site = Site::new();
    let (backend, told) = telling();
    let adit = serve(&site, &backend);
    let mut crumbs = with(&[]);
    crumbs.extend([
        ("cookie", "a=1"),
        ("accept", "*/*"),
        ("cookie", "b=2"),
        ("cookie", "c=3"),
    ]);
    let host = with(&[(":authority", None), ("host", Some("www.example.test"))]);
    let post = with(&[(":method", Some("POST"))]);
    let long = with(&[(":method", Some("POST")), ("content-length", Some("4"))]);
    for (name, fields, body, first, has, lacks) in [
        (
            "plain",
            with(&[]),
            "",
            "GET / HTTP/1.1\r\nhost: www.example.test\r\n",
            "",
            "cookie",
        ),
        (
            "D-71 crumbs",
            crumbs,
            "",
            "GET / HTTP/1.1\r\nhost: www.example.test\r\n",
            "cookie: a=1; b=2; c=3\r\n",
            "content-length",
        ),
        (
            "host only",
            host,
            "",
            "GET / HTTP/1.1\r\nhost: www.example.test\r\n",
            "",
            "transfer-encoding",
        ),
        (
            "D-70 without length",
            post.clone(),
            "four",
            "POST / HTTP/1.1\r\n",
            "\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
            "content-length",
        ),
        (
            "D-70 without body",
            post,
            "",
            "POST / HTTP/1.1\r\n",
            "content-length: 0\r\n",
            "transfer-encoding",
        ),
        (
            "with length",
            long,
            "four",
            "POST / HTTP/1.1\r\n",
            "content-length: 4\r\n",
            "transfer-encoding",
        ),
    ] {
        let mut client = H2Raw::connect(adit.addr("prior"));
        let end = if body.is_empty() { END_STREAM } else { 0 };
        client.send(frame(HEADERS, END_HEADERS | end, 1, &block(&fields)));
        if !body.is_empty() {
            client.send(frame(DATA, END_STREAM, 1, body.as_bytes()));
        }
        assert_eq!(became(&mut client, 1), Became::Answered(204), "{name}");
        let seen = told.recv_timeout(Duration::from_secs(10)).unwrap();
        let low = seen.to_ascii_lowercase();
        assert!(
            low.starts_with(&first.to_ascii_lowercase()),
            "{name}: {seen}"
        );
        assert!(low.contains(has), "{name}: {seen}");
        assert!(!low.contains(lacks), "{name}: {seen}");
        for once in ["host: ", "\r\n\r\n"] {
            let times = low.split("\r\n\r\n").next().unwrap().matches(once).count();
            assert!(times <= 2, "{name}: {once:?} in {seen}");
        }
        assert_eq!(low.matches("\r\nhost: ").count(), 1, "{name}: {seen}");
    }
    adit.stop();
}
