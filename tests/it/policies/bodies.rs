//! Copies, encodings and buffers: what becomes of bodies.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use adit_bench::Kind;

use crate::support::backend::Backend;
use crate::support::raw::Raw;
use crate::support::servers::nginx;
use crate::support::site::Site;
use crate::support::{Dir, PATIENCE, eventually, free_addr, origin};

const URL: &str = "http://www.example.test/";

#[test]
fn copies_reach_their_server_and_nobody_waits_for_them() {
    let site = Site::new();
    let main = origin(Kind::Http1, "main");
    let copies = Dir::new();
    let at = free_addr();
    let server = format!("server {{ listen {at}; location / {{ return 500; }} }}");
    let _nginx = nginx(&copies, &server, "", at);
    // The second mirror takes connections and never answers.
    let silent = Backend::start(|_, mut client| {
        let _ = client.read_to_end();
    });
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 mirror:\n\
         \x20   - {{to: \"http://{at}\", path: \"/copy$request_uri\", host: copies.example.test}}\n\
         \x20   - {{to: \"http://{}\"}}\n",
        main.addr(),
        silent.addr()
    ));
    for number in 0..20 {
        let url = format!("{URL}echo?n={number}");
        let curl = site.curl(adit.addr("web"));
        let answer = curl.args(&["--data", "body"]).get(&url).expect(200);
        assert_eq!(answer.text(), "body");
    }
    let copied = || {
        copies
            .read("nginx.log")
            .matches("POST /copy/echo?n=")
            .count()
    };
    eventually("every request was copied", || {
        (copied() == 20).then_some(())
    });
    assert!(silent.accepted() > 0);
}

#[test]
fn a_copy_has_the_fields_and_the_body_of_its_original() {
    let site = Site::new();
    let main = origin(Kind::Http1, "main");
    let (told, copies) = mpsc::channel();
    let told = Mutex::new(told);
    let mirror = Backend::start(move |_, mut client| {
        if let Some(head) = client.try_head() {
            let body = client.take(9);
            let _ = told.lock().unwrap().send((head, body));
            let _ = client.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            client.drain();
        }
    });
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 mirror: {{to: \"http://{}\"}}\n",
        main.addr(),
        mirror.addr()
    ));
    let curl = site.curl(adit.addr("web")).header("X-Mine: 7");
    curl.args(&["--data", "some body"])
        .get(&format!("{URL}upload?q=1"))
        .expect(200);
    let (head, body) = copies.recv_timeout(PATIENCE).unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("post /upload?q=1 http/1.1\r\n"), "{head}");
    for field in ["host: www.example.test", "x-mine: 7", "content-length: 9"] {
        assert!(
            head.contains(&format!("\r\n{field}\r\n")),
            "{field} in {head}"
        );
    }
    assert_eq!(body, b"some body");
}

#[test]
fn what_is_encoded_is_the_same_when_it_is_decoded() {
    let site = Site::new();
    let pages = Dir::new();
    let at = free_addr();
    let text: String = (0..4000)
        .map(|line| format!("line {line} of a page\n"))
        .collect();
    pages.write("page.html", &text);
    pages.write("small.html", "small");
    pages.write("image.png", &text);
    let root = pages.path().display();
    let server = format!(
        "types {{ text/html html; image/png png; text/event-stream events; }}\n\
         server {{ listen {at}; root {root}; etag on; }}"
    );
    let _nginx = nginx(&pages, &server, "", at);
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{at}\"]\n\
         \x20 compression: true\n"
    ));
    let ask = |path: &str, accept: &str| {
        let curl = site.curl(adit.addr("web")).arg("--compressed");
        curl.header(&format!("Accept-Encoding: {accept}"))
            .get(&format!("{URL}{path}"))
            .expect(200)
    };
    let cases = [
        ("gzip", Some("gzip")),
        ("br", Some("br")),
        ("zstd", Some("zstd")),
        ("gzip, br;q=0.5", Some("gzip")),
        ("deflate, gzip, br, zstd", Some("zstd")),
        ("identity", None),
    ];
    for (accept, coding) in cases {
        let answer = ask("page.html", accept);
        assert_eq!(
            answer.field("content-encoding").as_deref(),
            coding,
            "{accept}"
        );
        assert!(answer.body == text.as_bytes(), "{accept}: byte for byte");
        assert_eq!(answer.field("vary").as_deref(), Some("Accept-Encoding"));
        let etag = answer.field("etag").unwrap();
        assert_eq!(etag.starts_with("W/"), coding.is_some(), "{etag}");
        assert_eq!(answer.field("content-length").is_some(), coding.is_none());
    }
    for path in ["small.html", "image.png"] {
        assert_eq!(ask(path, "gzip").field("content-encoding"), None, "{path}");
    }
    let part = site
        .curl(adit.addr("web"))
        .args(&["--range", "0-999", "--header", "Accept-Encoding: gzip"])
        .get(&format!("{URL}page.html"))
        .expect(206);
    assert_eq!(part.field("content-encoding"), None);
    assert_eq!(part.body, &text.as_bytes()[..1000]);
    // Over HTTP/2 and TLS too.
    let secure = site
        .curl(adit.addr("webs"))
        .args(&["--http2", "--compressed"])
        .get("https://www.example.test/page.html")
        .expect(200);
    assert!(secure.field("content-encoding").is_some() && secure.body == text.as_bytes());
}

#[test]
fn a_page_that_is_written_slowly_appears_slowly_though_encoded() {
    let site = Site::new();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let backend = Backend::start(move |_, mut client| {
        if client.try_until_head() {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = client.try_send(head.as_bytes());
            let _ = client.try_send(b"6\r\nfirst \r\n");
            let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            let _ = client.try_send(b"4\r\nlast\r\n0\r\n\r\n");
            client.drain();
        }
    });
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 compression: {{encodings: [gzip]}}\n",
        backend.addr()
    ));
    let mut client = Raw::connect(adit.addr("web"));
    client.send("GET / HTTP/1.1\r\nHost: www.example.test\r\nAccept-Encoding: gzip\r\n\r\n");
    let head = client.until("\r\n\r\n").to_lowercase();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    // A chunk with the first words comes while the backend waits to be let on.
    let size = client.until("\r\n");
    let size = usize::from_str_radix(size.trim(), 16).unwrap();
    assert!(size > 10, "the gzip header and what was flushed: {size}");
    client.take(size + 2);
    go_on.send(()).unwrap();
    client.until("0\r\n\r\n");
}

#[test]
fn a_gathered_body_can_be_sent_again_and_has_a_limit() {
    // Buffering, method, statuses that may come.
    let cases = [
        ("true", "PUT", 200),
        ("false", "PUT", 502),
        ("true", "POST", 502),
    ];
    for (buffering, method, status) in cases {
        let site = Site::new();
        let live = origin(Kind::Http1, "live");
        let closing = Backend::start(|_, mut client| {
            let _ = client.try_until_head();
            let _ = client.take(100_000);
        });
        let body = site.dir.write("body", vec![b'x'; 100_000]);
        let adit = site.run(&format!(
            "routes:\n\
             - host: www.example.test\n\
             \x20 backends: [\"http://{}\", \"http://{}\"]\n\
             \x20 outlier: {{consecutive: 0}}\n\
             \x20 buffering: {{request: {buffering}}}\n\
             \x20 retry: {{attempts: 2, on: [closed]}}\n",
            closing.addr(),
            live.addr()
        ));
        let answers: Vec<_> = (0..4)
            .map(|_| {
                let curl = site.curl(adit.addr("web")).args(&["--request", method]);
                let data = format!("@{}", body.display());
                let answer = curl
                    .args(&["--data-binary", &data])
                    .get(&format!("{URL}upload"));
                if answer.status == 200 {
                    assert_eq!(answer.text().trim(), "100000");
                }
                answer.status
            })
            .collect();
        assert!(answers.contains(&200), "{answers:?}");
        assert_eq!(
            answers.contains(&502),
            status == 502,
            "{method} {buffering}: {answers:?}"
        );
    }
    let site = Site::new();
    let live = origin(Kind::Http1, "live");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 buffering: {{request: {{memory: 1KiB, most: 64KiB}}}}\n",
        live.addr()
    ));
    for (size, status) in [(65_536, 200), (65_537, 413)] {
        let body = site.dir.write("body", vec![b'x'; size]);
        let data = format!("@{}", body.display());
        for chunked in ["Transfer-Encoding: chunked", "X-Plain: 1"] {
            let curl = site.curl(adit.addr("web")).header(chunked);
            let answer = curl
                .args(&["--data-binary", &data])
                .get(&format!("{URL}upload"));
            assert_eq!(answer.status, status, "{size} {chunked}");
        }
    }
}

#[test]
fn a_slow_client_does_not_keep_a_backend_whose_response_is_read_ahead() {
    const SIZE: usize = 16 << 20;
    for (fields, ahead) in [("", true), ("X-Accel-Buffering: no\r\n", false)] {
        let site = Site::new();
        let (told, done) = mpsc::channel();
        let told = Mutex::new(told);
        let backend = Backend::start(move |_, mut client| {
            if client.try_until_head() {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n{fields}\r\n");
                let _ = client.try_send(head.as_bytes());
                let _ = client.try_send(&vec![b'x'; SIZE]);
                let _ = told.lock().unwrap().send(());
                client.drain();
            }
        });
        let adit = site.run(&format!(
            "routes:\n\
             - host: www.example.test\n\
             \x20 backends: [\"http://{}\"]\n\
             \x20 buffering: {{response: 32MiB}}\n",
            backend.addr()
        ));
        let mut client = Raw::connect(adit.addr("web"));
        client.send("GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
        let head = client.until("\r\n\r\n").to_lowercase();
        assert!(!head.contains("x-accel-buffering"), "{head}");
        if ahead {
            done.recv_timeout(PATIENCE)
                .expect("the backend is done before the client reads");
        }
        assert_eq!(client.take(SIZE).len(), SIZE);
        if !ahead {
            done.recv_timeout(PATIENCE).unwrap();
        }
    }
}
