//! HTTP/2 from clients and to backends: many streams, trailers, resets, windows.

use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use adit_bench::Kind;
use bytes::Bytes;
use h2::Reason;
use http::Request;

use crate::support::backend::Backend;
use crate::support::h2client::{H2, collect, run};
use crate::support::site::Site;
use crate::support::{PATIENCE, origin};

fn www(backend: impl std::fmt::Display) -> String {
    format!("workers: 1\nroutes:\n  - {{host: www.example.test, backends: [\"{backend}\"]}}\n")
}

#[test]
fn every_protocol_of_clients_meets_every_protocol_of_backends() {
    let site = Site::new();
    let identity = site.pki.leaf(&["internal.example.test"]);
    let http1 = origin(Kind::Http1, "http1");
    let h2c = origin(Kind::H2c, "h2c");
    let tls = origin(Kind::Tls(identity), "tls");
    let doors = r#"
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0"}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}
  - {name: prior, role: lan, bind: "127.0.0.1:0", protocol: h2c}
"#;
    let verified = "backendTls: {ca: ca.pem, serverName: internal.example.test}";
    let routes = format!(
        "routes:\n\
         - {{host: http1.example.test, backends: [\"http://{}\"]}}\n\
         - {{host: h2c.example.test, backends: [\"h2c://{}\"]}}\n\
         - {{host: https.example.test, backends: [\"https://{tls}\"], {verified}}}\n\
         - {{host: h2.example.test, backends: [\"h2://{tls}\"], {verified}}}\n",
        http1.addr(),
        h2c.addr(),
        tls = tls.addr()
    );
    let adit = site.run_with(doors, &routes);
    let file = site.dir.write("body", vec![b'x'; 300_000]);
    let data = format!("@{}", file.display());
    for (door, scheme, option) in [
        ("web", "http", "--http1.0"),
        ("web", "http", "--http1.1"),
        ("webs", "https", "--http1.1"),
        ("webs", "https", "--http2"),
        ("prior", "http", "--http2-prior-knowledge"),
    ] {
        for (name, spoken) in [
            ("http1", "HTTP/1.1"),
            ("h2c", "HTTP/2.0"),
            ("https", "HTTP/1.1"),
            ("h2", "HTTP/2.0"),
        ] {
            let case = format!("{option} over {scheme} to {name}");
            let url = format!("{scheme}://{name}.example.test");
            let curl = || site.curl(adit.addr(door)).arg(option);
            let seen = curl().get(&format!("{url}/a?b")).expect(200).seen();
            assert_eq!(seen.request, format!("GET /a?b {spoken}"), "{case}");
            let whole = curl().get(&format!("{url}/size/200000")).expect(200);
            assert_eq!(whole.body.len(), 200_000, "{case}");
            let sent = curl()
                .args(&["--data-binary", &data])
                .get(&format!("{url}/upload"))
                .expect(200);
            assert_eq!(sent.text(), "300000\n", "{case}");
        }
    }
    adit.stop();
}

#[test]
fn streams_of_one_connection_do_not_wait_for_each_other() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let start = Instant::now();
        let mut waiting = Vec::new();
        for n in 0..50 {
            let url = format!("https://www.example.test/delay/300?{n}");
            let request = Request::get(url).body(()).unwrap();
            waiting.push(h2.open(request, true).await.unwrap().0);
        }
        for answer in waiting {
            assert_eq!(collect(answer).await.unwrap().status(), 200);
        }
        assert!(start.elapsed() < Duration::from_secs(5), "one by one");
    });
}

#[test]
fn a_stream_that_is_not_read_holds_nobody_else_back() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let big = Request::get("https://www.example.test/size/1000000000");
        let (big, _) = h2.open(big.body(()).unwrap(), true).await.unwrap();
        let unread = big.await.unwrap();
        for _ in 0..20 {
            let answer = h2.get("https://www.example.test/size/1000").await.unwrap();
            assert_eq!(answer.body.len(), 1000);
        }
        drop(unread);
        let answer = h2.get("https://www.example.test/").await.unwrap();
        assert_eq!(answer.status(), 200);
    });
    let (_, peak) = adit.process().memory();
    assert!(peak < 200 * 1024, "{peak} KiB held for one slow reader");
}

/// Acceptance: 6
#[test]
fn trailers_follow_the_body() {
    let site = Site::new();
    for kind in [Kind::Http1, Kind::H2c] {
        let scheme = if matches!(kind, Kind::Http1) {
            "http"
        } else {
            "h2c"
        };
        let one = origin(kind, "one");
        let adit = site.run(&www(format!("{scheme}://{}", one.addr())));
        run(async {
            let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
            let answer = h2.get("https://www.example.test/trailers").await.unwrap();
            let trailers = answer.trailers.expect("a trailer section");
            assert_eq!(trailers.get("x-checksum").unwrap(), "a5", "{scheme}");
        });
    }
}

#[test]
fn a_reset_stream_reaches_the_backend_within_a_second() {
    let site = Site::new();
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        client.until("\r\n\r\n");
        tell.send(None).unwrap();
        client.drain();
        tell.send(Some(Instant::now())).unwrap();
    });
    let adit = site.run(&www(format!("http://{}", backend.addr())));
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let request = Request::post("https://www.example.test/").body(()).unwrap();
        let (answer, mut stream) = h2.open(request, false).await.unwrap();
        let arrived = async { told.try_recv().ok() };
        let mut arrived_at = arrived.await;
        while arrived_at.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            arrived_at = told.try_recv().ok();
        }
        stream.send_reset(Reason::CANCEL);
        drop(answer);
        let reset = Instant::now();
        // The connection's task has to run for the frame to leave.
        let missed = loop {
            if let Ok(Some(at)) = told.try_recv() {
                break at;
            }
            assert!(reset.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(missed - reset < Duration::from_secs(1));
        // The connection is none the worse for it.
        assert_eq!(h2.ended(), None);
    });
}

/// Acceptance: R-06
#[test]
fn a_broken_backend_costs_one_stream() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let bad = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    let adit = site.run(&format!(
        "routes:\n\
         - {{host: www.example.test, paths: [{{prefix: /, backends: [\"http://{}\"]}}, \
           {{prefix: /bad, backends: [\"http://{}\"]}}]}}\n",
        one.addr(),
        bad.addr()
    ));
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let error = h2.get("https://www.example.test/bad").await.unwrap_err();
        assert!(error.is_reset(), "a clean end of a broken body: {error}");
        let answer = h2.get("https://www.example.test/").await.unwrap();
        assert_eq!(answer.status(), 200);
    });
}

#[test]
fn an_answer_before_the_end_of_the_upload_stops_it() {
    let site = Site::new();
    for kind in [Kind::Http1, Kind::H2c] {
        let scheme = if matches!(kind, Kind::Http1) {
            "http"
        } else {
            "h2c"
        };
        let one = origin(kind, "one");
        let adit = site.run(&www(format!("{scheme}://{}", one.addr())));
        run(async {
            let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
            let request = Request::post("https://www.example.test/early")
                .body(())
                .unwrap();
            let (answer, mut stream) = h2.open(request, false).await.unwrap();
            stream.reserve_capacity(100);
            stream
                .send_data(Bytes::from_static(b"the beginning"), false)
                .unwrap();
            let answer = collect(answer).await.unwrap();
            assert_eq!(answer.status(), 200, "{scheme}");
            assert!(answer.text().starts_with("answered before"), "{scheme}");
            drop(stream);
            let answer = h2.get("https://www.example.test/").await.unwrap();
            assert_eq!(answer.status(), 200, "{scheme}");
        });
    }
}

#[test]
fn h2load_loses_no_request() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let addr = adit.addr("webs");
    let output = Command::new("h2load")
        .args(["-n", "20000", "-c", "10", "-m", "20", "--connect-to"])
        .arg(addr.to_string())
        .arg(format!("https://www.example.test:{}/size/100", addr.port()))
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        report.contains("20000 succeeded, 0 failed, 0 errored, 0 timeout"),
        "{report}"
    );
    assert!(report.contains("20000 2xx"), "{report}");
}

#[test]
fn a_connection_without_streams_stays_open() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        h2.get("https://www.example.test/").await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        h2.get("https://www.example.test/").await.unwrap();
    });
}

/// Acceptance: 3
#[test]
fn http2_is_never_guessed_on_a_clear_text_door() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(format!("http://{}", one.addr())));
    let answer = site
        .curl(adit.addr("web"))
        .arg("--http2-prior-knowledge")
        .get("http://www.example.test/");
    assert_ne!(answer.status, 200, "{answer:?}");
    // The upgrade of RFC 7540 is not taken either: the request is served as HTTP/1.1.
    let answer = site
        .curl(adit.addr("web"))
        .arg("--http2")
        .get("http://www.example.test/")
        .expect(200);
    assert_eq!(answer.version, "1.1");
    let seen = answer.seen();
    assert_eq!(seen.all("upgrade"), Vec::<&str>::new());
    assert_eq!(seen.all("http2-settings"), Vec::<&str>::new());
}

#[test]
fn a_clear_text_door_for_http2_carries_many_streams() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let doors = "listeners:\n- {name: prior, role: lan, bind: \"127.0.0.1:0\", protocol: h2c}\n";
    let adit = site.run_with(doors, &www(format!("http://{}", one.addr())));
    run(async {
        let mut h2 = H2::plain(adit.addr("prior")).await;
        for _ in 0..50 {
            let answer = h2.get("http://www.example.test/size/10").await.unwrap();
            assert_eq!(answer.text(), "abcdefghij");
        }
    });
    // HTTP/1 there is no HTTP/2.
    let answer = site
        .curl(adit.addr("prior"))
        .get("http://www.example.test/");
    assert_ne!(answer.status, 200, "{answer:?}");
}

#[test]
fn one_connection_carries_many_requests_to_an_h2_backend() {
    let site = Site::new();
    let one = origin(Kind::H2c, "one");
    let adit = site.run(&www(format!("h2c://{}", one.addr())));
    run(async {
        let mut h2: H2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let mut peers = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let answer = h2.get("https://www.example.test/").await.unwrap();
            let seen = crate::support::curl::Seen::parse(&answer.body);
            peers.insert(seen.peer);
        }
        assert_eq!(peers.len(), 1, "{peers:?}");
    });
}
