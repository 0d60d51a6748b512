//! Each limit of a message one below, at, and one above it (L-01 to L-16).

use std::fmt::Write as _;

use http::Request;

use crate::support::adit::Adit;
use crate::support::backend::Backend;
use crate::support::h2client::run;
use crate::support::raw::Raw;
use crate::support::site::Site;

/// A backend that takes anything: it answers each head at once and does not mind what follows.
fn patient() -> Backend {
    Backend::start(|_, mut client| {
        while client.try_until_head() {
            let _ = client.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

fn serve(site: &Site, backend: &Backend, limits: &str) -> Adit {
    site.run(&format!(
        "limits: {{shutdownGrace: 0s{limits}}}\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    ))
}

const HOST: &str = "Host: www.example.test\r\n";
/// What the host counts in a section: name, value, 32.
const HOST_COST: usize = 4 + 16 + 32;

fn head(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\n{HOST}{fields}\r\n")
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{body}")
}

/// A limit: its name, its value, what a request of so much is, and the answer to too much of it.
type Case = (&'static str, usize, fn(usize) -> String, &'static str);

const CASES: &[Case] = &[
    (
        "L-01 request line",
        8192,
        |n| {
            let path = "x".repeat(n - "GET / HTTP/1.1".len());
            format!("GET /{path} HTTP/1.1\r\n{HOST}\r\n")
        },
        "414",
    ),
    (
        "L-02 method",
        32,
        |n| format!("{} / HTTP/1.1\r\n{HOST}\r\n", "M".repeat(n)),
        "400",
    ),
    (
        "L-03 section",
        32 * 1024,
        |n| {
            let left = n - HOST_COST - 3 * (3 + 32);
            let value = "v".repeat(left / 3);
            let rest = "v".repeat(left - 2 * (left / 3));
            head(&format!("x-a: {value}\r\nx-b: {value}\r\nx-c: {rest}\r\n"))
        },
        "431",
    ),
    (
        "L-04 field line",
        16 * 1024,
        |n| head(&format!("x: {}\r\n", "v".repeat(n - 3))),
        "431",
    ),
    (
        "L-05 fields",
        128,
        |n| {
            head(
                &(1..n)
                    .map(|at| format!("x-{at}: v\r\n"))
                    .collect::<String>(),
            )
        },
        "431",
    ),
    (
        "L-06 cookies",
        256,
        |n| head(&"Cookie: a=b\r\n".repeat(n)),
        "431",
    ),
    (
        "L-07 trailers",
        32,
        |n| {
            chunked(&format!(
                "0\r\n{}\r\n",
                (0..n)
                    .map(|at| format!("x-{at}: v\r\n"))
                    .collect::<String>()
            ))
        },
        "400",
    ),
    (
        "L-07 size of trailers",
        8192,
        |n| {
            let half = "v".repeat(n / 2 - 5);
            let rest = "v".repeat(n - n / 2 - 5);
            chunked(&format!("0\r\nx: {half}\r\ny: {rest}\r\n\r\n"))
        },
        "400",
    ),
    (
        "L-08 digits of a chunk size",
        16,
        |n| chunked(&format!("{:0>n$}\r\nx\r\n0\r\n\r\n", 1)),
        "400",
    ),
    (
        "L-09 extension",
        256,
        |n| chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(n - 1))),
        "400",
    ),
    (
        "L-13 empty lines",
        1,
        |n| format!("{}{}", "\r\n".repeat(n), head("")),
        "400",
    ),
];

/// Acceptance: 34
#[test]
fn each_limit_holds_at_its_number() {
    let site = Site::new();
    let backend = patient();
    let adit = serve(&site, &backend, "");
    let mut wrong = String::new();
    for (name, limit, request, refusal) in CASES {
        for (n, status) in [(limit - 1, "200"), (*limit, "200"), (limit + 1, *refusal)] {
            let mut client = Raw::connect(adit.addr("web"));
            let _ = client.try_send(request(n).as_bytes());
            let answer = client.try_head().unwrap_or_default();
            // A body that breaks may find the answer of the backend on its way.
            let broken = request(n).starts_with("POST") && n > *limit;
            let late = broken && answer.starts_with("HTTP/1.1 200") && ends(client);
            if !answer.starts_with(&format!("HTTP/1.1 {status}")) && !late {
                let _ = writeln!(wrong, "{name} {n}: {answer:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Whether the connection ends, whatever comes before that.
fn ends(mut client: Raw) -> bool {
    client.rest();
    true
}

/// Acceptance: 34
#[test]
fn a_body_may_be_as_long_as_its_route_allows() {
    let site = Site::new();
    let backend = crate::support::origin(adit_bench::Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"], limits: {{body: 1000}}}}\n",
        backend.addr()
    ));
    for (n, status) in [(999, "200"), (1000, "200"), (1001, "413")] {
        let body = "b".repeat(n);
        let start = format!("POST /upload HTTP/1.1\r\n{HOST}Connection: close\r\n");
        let mut client = Raw::connect(adit.addr("web"));
        let _ = client.try_send(format!("{start}Content-Length: {n}\r\n\r\n{body}").as_bytes());
        let answer = client.try_head().unwrap_or_default();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{n}: {answer}"
        );
        // A length that is not stated is counted.
        let mut client = Raw::connect(adit.addr("web"));
        let _ = client.try_send(
            format!("{start}Transfer-Encoding: chunked\r\n\r\n{n:x}\r\n{body}\r\n0\r\n\r\n")
                .as_bytes(),
        );
        let answer = client.try_head().unwrap_or_default();
        assert_eq!(
            answer.starts_with("HTTP/1.1 200"),
            n <= 1000,
            "{n} in chunks: {answer}"
        );
    }
}

/// Acceptance: 34
#[test]
fn a_connection_ends_after_its_last_request() {
    let site = Site::new();
    let backend = patient();
    let adit = serve(
        &site,
        &backend,
        ", requestsPerConnection: 3, streamsPerConnection: 3",
    );
    let mut client = Raw::connect(adit.addr("web"));
    for number in 1..=3 {
        let (answer, _) = client.send(head("")).answer();
        let closes = answer.to_ascii_lowercase().contains("connection: close");
        assert_eq!(closes, number == 3, "{number}: {answer}");
    }
    assert_eq!(client.rest(), "");
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        for number in 1..=3 {
            let answer = h2.get("https://www.example.test/").await;
            assert_eq!(answer.unwrap().status(), 200, "{number}");
        }
        // The end is announced, not an error: the next request goes elsewhere.
        assert!(h2.get("https://www.example.test/").await.is_err());
        h2.end().await;
    });
}

/// Eight are passed on; from the thirty-third on the backend has said too much.
///
/// Acceptance: 9, 34
#[test]
fn interim_answers_are_passed_on_up_to_their_number() {
    let site = Site::new();
    for (sent, seen, status) in [
        (7, 7, "200"),
        (8, 8, "200"),
        (9, 8, "200"),
        (32, 8, "200"),
        (33, 8, "502"),
    ] {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(sent);
        let backend = Backend::answering(format!(
            "{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        ));
        let adit = serve(&site, &backend, "");
        let mut client = Raw::connect(adit.addr("web"));
        client.send(head("Connection: close\r\n"));
        let answer = client.rest();
        assert_eq!(
            answer.matches("HTTP/1.1 103").count(),
            seen,
            "{sent}: {answer}"
        );
        assert!(
            answer.contains(&format!("HTTP/1.1 {status}")),
            "{sent}: {answer}"
        );
    }
}

/// Acceptance: 34
#[test]
fn http2_heads_have_the_same_limits() {
    let site = Site::new();
    let backend = patient();
    let adit = serve(&site, &backend, "");
    run(async {
        for (name, n, status) in [
            ("L-01", 8192, Some(200)),
            ("L-01", 8193, Some(414)),
            ("L-05", 126, Some(200)),
            ("L-05", 129, Some(431)),
            ("L-06", 256, Some(200)),
            ("L-06", 257, Some(431)),
            ("L-03", 33 * 1024, None),
        ] {
            let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
            let mut request = Request::get("https://www.example.test/");
            match name {
                "L-01" => {
                    let path = "x".repeat(n - 1);
                    request = Request::get(format!("https://www.example.test/{path}"));
                }
                "L-05" => {
                    for at in 0..n {
                        request = request.header(format!("x-{at}"), "v");
                    }
                }
                "L-06" => {
                    for _ in 0..n {
                        request = request.header("cookie", "a=b");
                    }
                }
                _ => request = request.header("x", "v".repeat(n)),
            }
            let answer = h2
                .send(request.body(()).unwrap(), bytes::Bytes::new())
                .await;
            let found = answer.map(|answer| answer.status());
            match status {
                Some(status) => assert_eq!(found.ok(), Some(status), "{name} {n}"),
                // The library answers it before the head reaches us.
                None => assert!(!matches!(found, Ok(200)), "{name} {n}: {found:?}"),
            }
        }
    });
}
