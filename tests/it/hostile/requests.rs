//! Requests that two readers could read differently never reach a backend.

use std::sync::mpsc;

use crate::support::backend::Backend;
use crate::support::raw::Raw;
use crate::support::site::Site;

/// The second request of every case: it must never be answered, nor seen by the backend.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: www.example.test\r\n\r\n";

/// Whole requests as they are sent; `{}` is where nothing may follow.
fn cases() -> Vec<(&'static str, String)> {
    let post = |fields: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: www.example.test\r\n{fields}\r\n{body}")
    };
    let line = |line: &str| format!("{line}\r\nHost: www.example.test\r\n\r\n");
    let field =
        |field: &str| format!("GET / HTTP/1.1\r\nHost: www.example.test\r\n{field}\r\n\r\n");
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    vec![
        ("D-10 length then chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("D-10 chunks then length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
        ("D-10 chunks and an invalid length", post("Transfer-Encoding: chunked\r\nContent-Length: abc\r\n", "0\r\n\r\n")),
        ("D-11 two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "12345")),
        ("D-11 two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "12345")),
        ("D-11 list of lengths", post("Content-Length: 5, 5\r\n", "12345")),
        ("D-12 plus", post("Content-Length: +5\r\n", "12345")),
        ("D-12 minus", post("Content-Length: -5\r\n", "12345")),
        ("D-12 hexadecimal", post("Content-Length: 0x5\r\n", "12345")),
        ("D-12 underscore", post("Content-Length: 1_0\r\n", "1234567890")),
        ("D-12 empty", post("Content-Length:\r\n", "12345")),
        ("D-12 fraction", post("Content-Length: 5.0\r\n", "12345")),
        ("D-12 inner space", post("Content-Length: 5 5\r\n", "12345")),
        ("D-12 too large", post("Content-Length: 9223372036854775808\r\n", "12345")),
        ("D-12 wraps around", post("Content-Length: 18446744073709551621\r\n", "12345")),
        ("D-13 leading zero", post("Content-Length: 05\r\n", "12345")),
        ("D-14 unknown coding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")),
        ("D-14 list", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")),
        ("D-14 identity", post("Transfer-Encoding: identity\r\n", "")),
        ("D-14 empty element", post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n")),
        ("D-14 parameter", post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n")),
        ("D-14 quotes", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n")),
        ("D-14 vertical tab", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n")),
        ("D-14 two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("D-15 twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")),
        ("D-15 not last", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")),
        ("D-16 chunks in 1.0", "POST / HTTP/1.0\r\nHost: www.example.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        ("D-30 bare LF in the head", "GET / HTTP/1.1\nHost: www.example.test\n\n".into()),
        ("D-30 bare LF after one field", "GET / HTTP/1.1\r\nHost: www.example.test\r\nA: b\nC: d\r\n\r\n".into()),
        ("D-30 bare LF after a chunk size", chunked("5\n12345\r\n0\r\n\r\n")),
        ("D-30 bare LF after a chunk", chunked("5\r\n12345\n0\r\n\r\n")),
        ("D-30 bare LF after the last chunk", chunked("0\n\n")),
        ("D-31 bare CR in a value", field("A: b\rC: d")),
        ("D-31 bare CR as line end", "GET / HTTP/1.1\rHost: www.example.test\r\r".into()),
        ("D-32 NUL in a value", field("A: b\0c")),
        ("D-32 control in a value", field("A: b\x01c")),
        ("D-32 DEL in a value", field("A: b\x7fc")),
        ("D-34 space before the colon", field("A : b")),
        ("D-34 tab before the colon", field("Transfer-Encoding\t: chunked")),
        ("D-35 folding with a space", field("A: b\r\n c")),
        ("D-35 folding with a tab", field("A: b\r\n\tc")),
        ("D-36 space before the first field", "GET / HTTP/1.1\r\n Host: www.example.test\r\n\r\n".into()),
        ("D-36 no colon", field("nothing")),
        ("D-36 empty name", field(": value")),
        ("D-36 name that is no token", field("a(b): c")),
        ("D-36 name that is not ASCII", field("ä: c")),
        ("D-37 two spaces", line("GET  / HTTP/1.1")),
        ("D-37 tab", line("GET\t/\tHTTP/1.1")),
        ("D-37 trailing space", line("GET / HTTP/1.1 ")),
        ("D-37 lower case", line("GET / http/1.1")),
        ("D-37 version 1.2", line("GET / HTTP/1.2")),
        ("D-37 version 1.10", line("GET / HTTP/1.10")),
        ("D-37 version 2.0", line("GET / HTTP/2.0")),
        ("D-37 no version", line("GET /")),
        ("D-37 no target", line("GET HTTP/1.1")),
        ("D-37 space in the target", line("GET /a b HTTP/1.1")),
        ("D-38 preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        ("D-39 plus in a chunk size", chunked("+5\r\n12345\r\n0\r\n\r\n")),
        ("D-39 0x in a chunk size", chunked("0x5\r\n12345\r\n0\r\n\r\n")),
        ("D-39 underscore in a chunk size", chunked("0_5\r\n12345\r\n0\r\n\r\n")),
        ("D-39 space before a chunk size", chunked(" 5\r\n12345\r\n0\r\n\r\n")),
        ("D-39 space after a chunk size", chunked("5 \r\n12345\r\n0\r\n\r\n")),
        ("D-39 empty chunk size", chunked("\r\n12345\r\n0\r\n\r\n")),
        ("D-39 seventeen digits", chunked("00000000000000005\r\n12345\r\n0\r\n\r\n")),
        ("D-39 wraps around", chunked("10000000000000005\r\n12345\r\n0\r\n\r\n")),
        ("D-39 minus", chunked("-1\r\n12345\r\n0\r\n\r\n")),
        ("D-40 control in an extension", chunked("5;a=\x01\r\n12345\r\n0\r\n\r\n")),
        ("D-40 LF in an extension", chunked("5;a\nb\r\n12345\r\n0\r\n\r\n")),
        ("D-40 open quotes", chunked("5;a=\"b\r\n12345\r\n0\r\n\r\n")),
        ("D-40 no semicolon", chunked("5 a\r\n12345\r\n0\r\n\r\n")),
        ("D-40 endless", chunked(&format!("5;{}\r\n12345\r\n0\r\n\r\n", "a".repeat(5000)))),
        ("D-41 chunk longer than its size", chunked("4\r\n12345\r\n0\r\n\r\n")),
        ("D-41 no CRLF after a chunk", chunked("5\r\n123450\r\n\r\n")),
        ("D-41 junk after the last chunk", chunked("0\r\njunk\r\n\r\n")),
        ("D-42 two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n".into()),
        ("D-42 an empty line of LF first", "\nGET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n".into()),
        ("no host", "GET / HTTP/1.1\r\n\r\n".into()),
        ("two hosts", "GET / HTTP/1.1\r\nHost: www.example.test\r\nHost: other.example.test\r\n\r\n".into()),
        ("two equal hosts", "GET / HTTP/1.1\r\nHost: www.example.test\r\nHost: www.example.test\r\n\r\n".into()),
        ("list of hosts", "GET / HTTP/1.1\r\nHost: www.example.test, other\r\n\r\n".into()),
        ("host with a user", "GET / HTTP/1.1\r\nHost: u@www.example.test\r\n\r\n".into()),
        ("host with a path", "GET / HTTP/1.1\r\nHost: www.example.test/x\r\n\r\n".into()),
        ("host with a bad port", "GET / HTTP/1.1\r\nHost: www.example.test:80x\r\n\r\n".into()),
        ("fragment in the target", line("GET /a#b HTTP/1.1")),
        ("target without a slash", line("GET admin HTTP/1.1")),
    ]
}

/// Acceptance: 1, 2, 3, 85
#[test]
fn a_request_that_can_be_read_in_two_ways_is_answered_once_and_ends_the_connection() {
    let site = Site::new();
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        loop {
            let head = client.try_head();
            let Some(head) = head else { return };
            tell.send(head).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if client.try_send(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let adit = site.run(&format!(
        "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    ));
    for (name, request) in cases() {
        for tls in [false, true] {
            let mut client = if tls {
                site.raw_tls(adit.addr("webs"), "www.example.test")
            } else {
                Raw::connect(adit.addr("web"))
            };
            let _ = client.try_send(request.as_bytes());
            let _ = client.try_send(SMUGGLED.as_bytes());
            let answer = client.rest();
            let answers = answer.matches("HTTP/1.1 ").count();
            assert!(answers <= 1, "{name}: answered {answers} times: {answer}");
            if answers == 1 {
                let status: u16 = answer[9..12].parse().unwrap();
                let refused = matches!(status, 400 | 404 | 414 | 431 | 501 | 505);
                // A body that breaks after its head was sent may find the backend's answer.
                let late =
                    name.starts_with("D-4") || name.starts_with("D-39") || name.contains("chunk");
                assert!(refused || late, "{name}: {answer}");
            }
        }
    }
    while let Ok(head) = told.try_recv() {
        assert!(!head.contains("/smuggled"), "a backend was sent {head}");
    }
    // Each refusal is counted by its rule.
    let counted = site
        .curl(adit.addr("adm"))
        .get("http://localhost/metrics")
        .text();
    for (name, _) in cases() {
        let rule = name.split(' ').next().unwrap_or_default();
        let line = format!("adit_refused_total{{rule=\"{rule}\"");
        // Chunks that are broken end an exchange that had begun.
        let begun = rule.starts_with("D-39") || rule.starts_with("D-4");
        assert!(
            !rule.starts_with("D-") || begun || counted.contains(&line),
            "{rule} is not counted"
        );
    }
    // The door is none the worse for it.
    site.curl(adit.addr("web"))
        .get("http://www.example.test/")
        .expect(200);
    adit.stop();
}

/// Acceptance: 2
#[test]
fn a_1_0_body_without_a_length_is_no_next_request() {
    let site = Site::new();
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        while let Some(head) = client.try_head() {
            tell.send(head).unwrap();
            let _ = client.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    ));
    let mut client = Raw::connect(adit.addr("web"));
    client.send(format!(
        "POST / HTTP/1.0\r\nHost: www.example.test\r\nConnection: keep-alive\r\n\r\n{SMUGGLED}"
    ));
    let answer = client.rest();
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{answer}");
    while let Ok(head) = told.try_recv() {
        assert!(!head.contains("/smuggled"), "a backend was sent {head}");
    }
}

/// Acceptance: 3
#[test]
fn what_is_unusual_and_clear_is_served() {
    let site = Site::new();
    let one = crate::support::origin(adit_bench::Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    ));
    let host = "Host: www.example.test\r\nConnection: close\r\n";
    let cases: [(&str, Vec<u8>); 9] = [
        ("one empty line first", format!("\r\nGET / HTTP/1.1\r\n{host}\r\n").into()),
        ("absolute form", format!("GET http://www.example.test/ HTTP/1.1\r\n{host}\r\n").into()),
        ("no space after the colon", format!("GET / HTTP/1.1\r\n{host}A:b\r\n\r\n").into()),
        ("tabs around a value", format!("GET / HTTP/1.1\r\n{host}A:\t b\t \r\n\r\n").into()),
        ("empty value", format!("GET / HTTP/1.1\r\n{host}A:\r\n\r\n").into()),
        ("high bytes in a value", [format!("GET / HTTP/1.1\r\n{host}A: ").as_bytes(), b"caf\xc3\xa9", b"\r\n\r\n"].concat()),
        ("chunked in capitals", format!("POST /upload HTTP/1.1\r\n{host}Transfer-Encoding: CHUNKED\r\n\r\n5\r\n12345\r\n0\r\n\r\n").into()),
        ("chunk extensions", format!("POST /upload HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d e\"\r\n12345\r\n0;x\r\n\r\n").into()),
        ("a body of GET", format!("GET /upload HTTP/1.1\r\n{host}Content-Length: 5\r\n\r\n12345").into()),
    ];
    for (name, request) in cases {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(&request);
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    }
}

/// Acceptance: 8
#[test]
fn forbidden_methods_and_expectations_are_refused() {
    let site = Site::new();
    let one = crate::support::origin(adit_bench::Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    ));
    let host = "Host: www.example.test\r\n";
    for (request, status) in [
        (
            format!("CONNECT www.example.test:443 HTTP/1.1\r\n{host}\r\n"),
            "405",
        ),
        (format!("TRACE / HTTP/1.1\r\n{host}\r\n"), "405"),
        (
            format!("GET / HTTP/1.1\r\n{host}Expect: magic\r\n\r\n"),
            "417",
        ),
    ] {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(&request).send(SMUGGLED);
        let answer = client.rest();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{request}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    let mut client = Raw::connect(adit.addr("web"));
    client.send(format!(
        "OPTIONS * HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
    ));
    assert!(client.rest().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let site = Site::new();
    let one = crate::support::origin(adit_bench::Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    ));
    let long = "x".repeat(20_000);
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    for (name, request, status) in [
        (
            "target",
            format!("GET /{long} HTTP/1.1\r\nHost: www.example.test\r\n\r\n"),
            "414",
        ),
        (
            "field",
            format!("GET / HTTP/1.1\r\nHost: www.example.test\r\nA: {long}\r\n\r\n"),
            "431",
        ),
        (
            "fields",
            format!("GET / HTTP/1.1\r\nHost: www.example.test\r\n{many}\r\n"),
            "431",
        ),
    ] {
        let mut client = Raw::connect(adit.addr("web"));
        let _ = client.try_send(request.as_bytes());
        let answer = client.rest();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{name}: {answer}"
        );
    }
}
