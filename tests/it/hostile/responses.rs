//! A backend's broken answer is a 502 or a visible break, never somebody else's answer.

use crate::support::backend::Backend;
use crate::support::h2client::run;
use crate::support::raw::Raw;
use crate::support::site::Site;

fn routes(backend: &Backend) -> String {
    format!(
        "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    )
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n";

/// Acceptance: 1, 9
#[test]
fn a_broken_head_is_a_bad_gateway() {
    let site = Site::new();
    let ok = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}");
    let cases = [
        (
            "both framings",
            ok(
                "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "two lengths",
            ok("Content-Length: 2\r\nContent-Length: 3\r\n", "okk"),
        ),
        ("list of lengths", ok("Content-Length: 2, 2\r\n", "ok")),
        (
            "length that is no number",
            ok("Content-Length: abc\r\n", "ok"),
        ),
        ("signed length", ok("Content-Length: +2\r\n", "ok")),
        (
            "unknown coding",
            ok("Transfer-Encoding: xchunked\r\n", "ok"),
        ),
        (
            "list of codings",
            ok("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        ),
        (
            "chunks in 1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        ),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".into()),
        ("folding", ok("A: b\r\n c\r\nContent-Length: 2\r\n", "ok")),
        ("NUL", ok("A: b\0\r\nContent-Length: 2\r\n", "ok")),
        (
            "space before the colon",
            ok("A : b\r\nContent-Length: 2\r\n", "ok"),
        ),
        (
            "status of two digits",
            "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "status 999",
            "HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "status 000",
            "HTTP/1.1 000 No\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "another protocol",
            "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "another version",
            "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        ("nothing", String::new()),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-Le".into()),
        (
            "not asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".into(),
        ),
    ];
    for (name, answer) in cases {
        let backend = Backend::answering(answer);
        let adit = site.run(&routes(&backend));
        let mut client = Raw::connect(adit.addr("web"));
        client.send(REQUEST);
        let head = client.until("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 502"), "{name}: {head}");
        run(async {
            let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
            let answer = h2.get("https://www.example.test/").await.unwrap();
            assert_eq!(answer.status(), 502, "{name} over HTTP/2");
        });
    }
}

/// Acceptance: 9
#[test]
fn a_body_that_breaks_off_is_seen_to_break_off() {
    let site = Site::new();
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let cases = [
        (
            "short of its length",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".into(),
        ),
        (
            "long and short of its length",
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n{}",
                "x".repeat(300_000)
            ),
        ),
        ("no last chunk", chunked("5\r\nshort\r\n")),
        ("half a chunk", chunked("50\r\nshort")),
        (
            "a chunk size that is none",
            chunked("5\r\nshort\r\nxyz\r\n"),
        ),
        (
            "a chunk longer than its size",
            chunked("4\r\nshort\r\n0\r\n\r\n"),
        ),
        ("no end of trailers", chunked("5\r\nshort\r\n0\r\nA: b\r\n")),
    ];
    for (name, answer) in cases {
        let backend = Backend::answering(answer);
        let adit = site.run(&routes(&backend));
        let got = site.curl(adit.addr("web")).get("http://www.example.test/");
        assert_ne!(got.exit, 0, "{name} came as a whole answer: {got:?}");
        run(async {
            let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
            match h2.get("https://www.example.test/").await {
                Err(error) => assert!(error.is_reset(), "{name}: {error}"),
                Ok(answer) => assert_eq!(answer.status(), 502, "{name}: a clean end"),
            }
        });
    }
}

/// Acceptance: 9
#[test]
fn bytes_after_an_answer_belong_to_nobody() {
    let site = Site::new();
    // The long one does not pass through adit's memory.
    for body in ["ok".to_owned(), "ok".repeat(150_000)] {
        let poisoned = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}\
             HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned",
            body.len()
        );
        let backend = Backend::start(move |_, mut client| {
            while client.try_until_head() {
                if client.try_send(poisoned.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let adit = site.run(&routes(&backend));
        let mut client = Raw::connect(adit.addr("web"));
        for _ in 0..10 {
            client.send(REQUEST);
            assert!(client.answer().1 == body.as_bytes());
        }
        assert_eq!(
            backend.accepted(),
            10,
            "a poisoned connection was used again"
        );
    }
}

/// Acceptance: 9
#[test]
fn bytes_on_an_idle_connection_discard_it() {
    let site = Site::new();
    let backend = Backend::start(|_, mut client| {
        while client.try_until_head() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            // After the answer has been taken: an answer to nothing.
            crate::support::pass(std::time::Duration::from_millis(100));
            let _ = client.try_send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let adit = site.run(&routes(&backend));
    for _ in 0..3 {
        let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
        assert_eq!(answer.expect(200).text(), "ok");
        crate::support::pass(std::time::Duration::from_millis(200));
    }
}

/// Acceptance: 9
#[test]
fn a_body_where_none_may_be_is_not_the_next_answer() {
    let site = Site::new();
    for status in ["204 No Content", "304 Not Modified"] {
        let backend = Backend::start(move |_, mut client| {
            while client.try_until_head() {
                let answer = format!(
                    "HTTP/1.1 {status}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
                );
                if client.try_send(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let adit = site.run(&routes(&backend));
        let mut client = Raw::connect(adit.addr("web"));
        for _ in 0..3 {
            client.send(REQUEST);
            let head = client.until("\r\n\r\n");
            assert!(head.contains(&status[..3]), "{head}");
        }
    }
}

/// Acceptance: 9
#[test]
fn interim_answers_have_an_end() {
    let site = Site::new();
    let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
    let backend = Backend::answering(format!(
        "{flood}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ));
    let adit = site.run(&routes(&backend));
    let mut client = Raw::connect(adit.addr("web"));
    client.send(REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    let answer = client.rest();
    assert!(answer.matches(" 103 ").count() <= 8, "{}", answer.len());
}

/// Acceptance: 9
#[test]
fn an_answer_ended_by_close_is_whole_and_ends_its_connection() {
    let site = Site::new();
    let backend =
        Backend::answering("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end");
    let adit = site.run(&routes(&backend));
    for _ in 0..2 {
        let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
        assert_eq!(answer.expect(200).text(), "until the end");
        let answer = site
            .curl(adit.addr("webs"))
            .get("https://www.example.test/");
        assert_eq!(answer.expect(200).text(), "until the end");
    }
    assert_eq!(backend.accepted(), 4);
}
