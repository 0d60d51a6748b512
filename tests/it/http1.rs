//! HTTP/1.0 and 1.1 from clients: bodies of every framing, both directions at once, and ends.

use std::fs::File;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use adit_bench::Kind;
use rustix::process::Signal;

use crate::support::backend::Backend;
use crate::support::raw::Raw;
use crate::support::servers::nginx;
use crate::support::site::Site;
use crate::support::{PATIENCE, eventually, free_addr, origin};

fn www(backend: impl std::fmt::Display) -> String {
    format!("workers: 1\nroutes:\n  - {{host: www.example.test, backends: [\"{backend}\"]}}\n")
}

#[test]
fn every_kind_of_answer_arrives_whole() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let cases = [
        ("/size/0", 200, 0),
        ("/size/1000000", 200, 1_000_000),
        ("/chunked/1000000", 200, 1_000_000),
        ("/drip/5", 200, 5),
        ("/sse/3", 200, 3 * 21),
        ("/trailers", 200, 21),
        ("/status/204", 204, 0),
        ("/status/304", 304, 0),
    ];
    for (path, status, length) in cases {
        for version in ["--http1.0", "--http1.1"] {
            for (scheme, door) in [("http", "web"), ("https", "webs")] {
                let url = format!("{scheme}://www.example.test{path}");
                let answer = site.curl(adit.addr(door)).arg(version).get(&url);
                let answer = answer.expect(status);
                assert_eq!(answer.body.len(), length, "{version} {url} {answer:?}");
            }
        }
    }
    adit.stop();
}

#[test]
fn a_head_has_a_length_and_no_body() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let mut client = Raw::connect(adit.addr("web"));
    for _ in 0..2 {
        client.send("HEAD /size/5 HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
        let head = client.until("\r\n\r\n").to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-length: 5"), "{head}");
    }
    client.send("GET /size/3 HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n");
    assert!(client.rest().ends_with("\r\n\r\nabc"));
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let mut client = Raw::connect(adit.addr("web"));
    let all: String = ["/delay/100?a", "/b", "/delay/30?c"]
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: www.example.test\r\n\r\n"))
        .concat();
    client.send(all);
    for path in ["/delay/100?a", "/b", "/delay/30?c"] {
        let (head, body) = client.answer();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(&format!("GET {path} HTTP/1.1")), "{body}");
    }
}

#[test]
fn uploads_of_every_framing_arrive_whole() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let file = site.dir.write("body", vec![b'x'; 3_000_000]);
    let data = format!("@{}", file.display());
    for extra in ["Accept: a", "Transfer-Encoding: chunked"] {
        for expect in ["X-None: 1", "Expect: 100-continue"] {
            let answer = site
                .curl(adit.addr("web"))
                .header(extra)
                .header(expect)
                .args(&["--data-binary", &data])
                .get("http://www.example.test/upload")
                .expect(200);
            assert_eq!(answer.text(), "3000000\n");
        }
    }
}

#[test]
fn three_gigabytes_go_up_and_down_in_flat_memory() {
    const SIZE: u64 = 3 << 30;
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let path = site.dir.join("big");
    File::create(&path).unwrap().set_len(SIZE).unwrap();
    let path = path.to_str().unwrap();
    let url = "https://www.example.test/upload";
    site.curl(adit.addr("webs")).get(url).expect(200);
    let (before, _) = adit.process().memory();
    for (door, scheme, version) in [
        ("web", "http", "--http1.1"),
        ("webs", "https", "--http1.1"),
        ("webs", "https", "--http2"),
    ] {
        let answer = site
            .curl(adit.addr(door))
            .args(&[version, "--max-time", "300", "--upload-file", path])
            .get(&format!("{scheme}://www.example.test/upload"))
            .expect(200);
        assert_eq!(answer.text(), format!("{SIZE}\n"), "{version} {scheme}");
    }
    let down = site
        .curl(adit.addr("webs"))
        .args(&["--max-time", "300", "--output", "/dev/null"])
        .get(&format!("https://www.example.test/size/{SIZE}"));
    assert_eq!(down.exit, 0, "{down:?}");
    let (_, peak) = adit.process().memory();
    assert!(
        peak < before + 32 * 1024,
        "memory went from {before} to {peak} KiB"
    );
    adit.stop();
}

#[test]
fn the_answer_comes_while_the_request_is_being_sent() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let mut client = Raw::connect(adit.addr("web"));
    client.send(
        "POST /echo HTTP/1.1\r\nHost: www.example.test\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let head = client.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    for piece in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        client.until(&format!("{piece}\r\n"));
    }
    client.send("0\r\n\r\n");
    client.until("0\r\n\r\n");
}

#[test]
fn events_are_passed_on_as_they_come() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let mut client = Raw::connect(adit.addr("web"));
    let start = Instant::now();
    client.send("GET /sse HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    client.until("data: event 0\n\n");
    client.until("data: event 3\n\n");
    assert!(start.elapsed() < Duration::from_secs(3));
}

/// Acceptance: 8
#[test]
fn permission_to_send_is_the_backends_to_give() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let head =
        "HTTP/1.1\r\nHost: www.example.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

    let mut client = Raw::connect(adit.addr("web"));
    client.send(format!("POST /upload {head}"));
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 100"));
    client.send("body");
    let (head_of_answer, body) = client.answer();
    assert!(head_of_answer.starts_with("HTTP/1.1 200"));
    assert_eq!(body, b"4\n");

    let mut client = Raw::connect(adit.addr("web"));
    client.send(format!("POST /early {head}"));
    let (answer, body) = client.answer();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(body.starts_with(b"answered before"));
}

#[test]
fn interim_answers_reach_the_client() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let mut client = Raw::connect(adit.addr("web"));
    client.send("GET /interim HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    let hints = client.until("\r\n\r\n");
    assert!(hints.starts_with("HTTP/1.1 103"), "{hints}");
    assert!(hints.to_ascii_lowercase().contains("link: </style.css>"));
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 200"));
    // An HTTP/1.0 client knows no interim answers.
    let mut client = Raw::connect(adit.addr("web"));
    client.send("GET /interim HTTP/1.0\r\nHost: www.example.test\r\n\r\n");
    let answer = client.rest();
    assert!(answer.contains(" 200 "), "{answer}");
    assert!(!answer.contains(" 103 "), "{answer}");
}

/// Acceptance: 6
#[test]
fn trailers_reach_a_client_that_asks_for_them() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    for (te, shown) in [("TE: trailers\r\n", true), ("", false)] {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(format!(
            "GET /trailers HTTP/1.1\r\nHost: www.example.test\r\n{te}Connection: close{}\r\n\r\n",
            if te.is_empty() { "" } else { ", TE" }
        ));
        let answer = client.rest().to_ascii_lowercase();
        let (_, tail) = answer.rsplit_once("a body with trailers").unwrap();
        assert_eq!(tail.contains("x-checksum: a5"), shown, "{answer}");
    }
}

#[test]
fn a_client_that_leaves_is_missed_by_the_backend_within_a_second() {
    let site = Site::new();
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        client.until("\r\n\r\n");
        tell.send(None).unwrap();
        client.drain();
        tell.send(Some(Instant::now())).unwrap();
    });
    let adit = site.run(&www(format!("http://{}", backend.addr())));
    for body in ["", "Content-Length: 100000\r\n"] {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: www.example.test\r\n{body}\r\n"
        ));
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), None);
        let left = Instant::now();
        drop(client);
        let missed = told.recv_timeout(PATIENCE).unwrap().unwrap();
        assert!(
            missed - left < Duration::from_secs(1),
            "{:?}",
            missed - left
        );
    }
}

/// Acceptance: 2
#[test]
fn a_half_sent_upload_is_never_taken_for_a_whole_one() {
    let site = Site::new();
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        tell.send(client.rest()).unwrap();
    });
    let adit = site.run(&www(format!("http://{}", backend.addr())));
    for (framing, body) in [
        ("Content-Length: 10", "12345"),
        ("Transfer-Encoding: chunked", "5\r\n12345\r\n"),
    ] {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: www.example.test\r\n{framing}\r\n\r\n{body}"
        ));
        client.finish();
        let received = told.recv_timeout(PATIENCE).unwrap();
        assert!(received.contains("12345"), "{received}");
        assert!(!received.ends_with("0\r\n\r\n"), "{received}");
        assert!(!client.rest().contains(" 200 "));
    }
}

/// Acceptance: R-06
#[test]
fn a_backend_killed_in_the_middle_of_downloads_breaks_them_visibly() {
    let site = Site::new();
    let addr = free_addr();
    let file = site.dir.join("file");
    File::create(&file).unwrap().set_len(100 << 20).unwrap();
    let root = site.dir.path().display();
    let mut backend = nginx(
        &site.dir,
        &format!("server {{ listen {addr}; root {root}; limit_rate 200k; }}"),
        "",
        addr,
    );
    let adit = site.run(&www(format!("http://{addr}")));
    let downloads: Vec<_> = [("web", "http", "--http1.1"), ("webs", "https", "--http2")]
        .into_iter()
        .map(|(door, scheme, version)| {
            let curl = site.curl(adit.addr(door)).arg(version);
            std::thread::spawn(move || curl.get(&format!("{scheme}://www.example.test/file")))
        })
        .collect();
    eventually("both downloads run", || {
        let log = adit.process().pid();
        let open = std::fs::read_to_string(format!("/proc/{log}/net/tcp")).ok()?;
        let port = format!(":{:04X} 01", addr.port());
        (open.lines().filter(|line| line.contains(&port)).count() >= 2).then_some(())
    });
    crate::support::pass(Duration::from_millis(300));
    backend.signal(Signal::KILL);
    backend.wait();
    for download in downloads {
        let answer = download.join().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            matches!(answer.exit, 18 | 56 | 92),
            "a clean end after {} bytes: {answer:?}",
            answer.body.len()
        );
    }
    // A backend that is gone is 502, and the door is fine.
    let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    adit.stop();
}

#[test]
fn backends_are_asked_over_kept_connections() {
    let site = Site::new();
    let backend = Backend::start(|_, mut client| {
        while client.try_until_head() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let adit = site.run(&www(format!("http://{}", backend.addr())));
    let mut client = Raw::connect(adit.addr("web"));
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
        assert_eq!(client.answer().1, b"ok");
    }
    assert_eq!(backend.accepted(), 1);
}

#[test]
fn an_http_1_0_client_may_keep_its_connection() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let mut client = Raw::connect(adit.addr("web"));
    for _ in 0..2 {
        client.send(
            "GET /size/3 HTTP/1.0\r\nHost: www.example.test\r\nConnection: keep-alive\r\n\r\n",
        );
        let (head, body) = client.answer();
        assert!(head.to_ascii_lowercase().contains("connection: keep-alive"));
        assert_eq!(body, b"abc");
    }
    client.send("GET /size/3 HTTP/1.0\r\nHost: www.example.test\r\n\r\n");
    assert!(client.rest().ends_with("abc"));
}

#[test]
fn a_backend_behind_a_unix_socket_is_served() {
    let site = Site::new();
    let addr = free_addr();
    let socket = site.dir.join("backend.sock");
    let listen = format!("listen {addr}; listen unix:{};", socket.display());
    let _nginx = nginx(
        &site.dir,
        &format!("server {{ {listen} location / {{ return 200 unix; }} }}"),
        "",
        addr,
    );
    let adit = site.run(&www(format!("unix:{}", socket.display())));
    let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
    assert_eq!(answer.expect(200).text(), "unix");
}
