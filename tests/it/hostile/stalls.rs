//! Peers that stand still, trickle, or leave at a bad moment: what they hold has an end, and they
//! are the only ones who wait.

use std::sync::mpsc;
use std::time::Duration;

use adit_bench::Kind;

use crate::support::backend::Backend;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{PATIENCE, eventually, origin, pass};

const GET: &str = "GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n";

fn routes(backend: impl std::fmt::Display, more: &str) -> String {
    format!("workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"{backend}\"]{more}}}\n")
}

/// Acceptance: R-20
#[test]
fn clients_that_do_not_read_cost_little_memory() {
    const CLIENTS: usize = 8;
    const MOST_KIB: u64 = 24 * 1024;
    let site = Site::new();
    let block = format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(1024);
    let backend = Backend::start(move |_, mut client| {
        if client.try_until_head() {
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while client.try_send(block.as_bytes()).is_ok() {}
        }
    });
    let address = format!("http://{}", backend.addr());
    let adit = site.run(&routes(address, ""));
    let (before, _) = adit.process().memory();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = Raw::connect(adit.addr("web"));
            client.send(GET);
            client
        })
        .collect();
    pass(Duration::from_secs(3));
    let (_, highest) = adit.process().memory();
    assert!(highest < before + MOST_KIB, "{before} KiB, then {highest}");
    drop(clients);
}

#[test]
fn a_backend_that_takes_no_body_is_given_up() {
    let site = Site::new();
    let backend = Backend::start(|_, client| {
        pass(PATIENCE);
        drop(client);
    });
    let address = format!("http://{}", backend.addr());
    let adit = site.run(&routes(address, ", timeouts: {response: 1s, idle: 1s}"));
    let mut client = Raw::connect(adit.addr("web"));
    let length = 64 << 20;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: www.example.test\r\nContent-Length: {length}\r\n\r\n"
    ));
    let mut sender = Raw::over(client.tcp().try_clone().unwrap());
    let sending = std::thread::spawn(move || {
        let block = vec![b'x'; 1 << 20];
        while sender.try_send(&block).is_ok() {}
    });
    let head = client.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 504"), "{head}");
    sending.join().unwrap();
}

/// Acceptance: R-20
#[test]
fn slow_readers_of_an_http2_backend_delay_nobody_else() {
    let site = Site::new();
    let h2c = origin(Kind::H2c, "h2c");
    let adit = site.run(&routes(format!("h2c://{}", h2c.addr()), ""));
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let mut client = Raw::connect(adit.addr("web"));
            client.send(GET.replace("GET /", "GET /size/50000000"));
            client
        })
        .collect();
    pass(Duration::from_secs(2));
    let curl = site.curl(adit.addr("web")).args(&["--max-time", "5"]);
    let answer = curl.get("http://www.example.test/size/200000").expect(200);
    assert_eq!(answer.body.len(), 200_000);
    drop(slow);
}

#[test]
fn an_http2_client_that_answers_no_ping_is_let_go() {
    let site = Site::new();
    let config = "routes:\n- {host: www.example.test, respond: {status: 200}}\n\
                  limits: {idleStreamsTimeout: 1s, pingTimeout: 1s}\n";
    let adit = site.run(config);
    let to = adit.addr("webs");
    let mut client = Raw::tls(to, "www.example.test", site.tls(&["h2"])).unwrap();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    // It ends, or this fails for a connection that is still open.
    client.rest();
}

#[test]
fn continue_answers_have_an_end() {
    let site = Site::new();
    let backend = Backend::start(|_, mut client| {
        let flood = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        if client.try_until_head() {
            while client.try_send(flood.as_bytes()).is_ok() {}
        }
    });
    let adit = site.run(&routes(format!("http://{}", backend.addr()), ""));
    let mut client = Raw::connect(adit.addr("web"));
    client.send(GET);
    let head = client.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
}

#[test]
fn a_client_that_leaves_behind_an_unread_byte_frees_its_backend() {
    let site = Site::new();
    let (told, asked) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        if client.try_until_head() {
            told.send(()).unwrap();
            let _ = client.read_to_end();
            told.send(()).unwrap();
        }
    });
    let adit = site.run(&routes(format!("http://{}", backend.addr()), ""));
    let mut client = Raw::connect(adit.addr("web"));
    client.send(format!("{GET}GET /"));
    asked.recv_timeout(PATIENCE).unwrap();
    drop(client);
    let freed = asked.recv_timeout(PATIENCE / 2);
    freed.expect("the backend is still waited for");
}

#[test]
fn the_rest_of_a_refused_body_is_not_waited_for_piece_by_piece() {
    let site = Site::new();
    let adit = site.run("routes:\n- {host: www.example.test, respond: {status: 200}}\n");
    let mut client = Raw::connect(adit.addr("web"));
    client.send("POST / HTTP/1.1\r\nHost: www.example.test\r\nContent-Length: 1000\r\n\r\n");
    client.until("\r\n\r\n");
    let pieces = (0..20).take_while(|_| {
        pass(Duration::from_millis(500));
        client.try_send(b"x").is_ok()
    });
    assert!(pieces.count() < 20, "it was read on for ten seconds");
}

/// A client that stops reading is reset: what it did not take does not stay in the kernel (L-74).
///
/// Acceptance: R-20
#[test]
fn a_client_that_stops_reading_is_reset() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "limits: {{shutdownGrace: 0s, writeTimeout: 300ms}}\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    ));
    let mut client = Raw::connect(adit.addr("web"));
    client.send("GET /size/50000000 HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    eventually("a reset", || client.tcp().take_error().unwrap());
}
