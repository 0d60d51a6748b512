//! Slow peers in every phase: each ends by its own deadline, and nobody else notices (item 37).

use std::thread;
use std::time::Duration;

use crate::support::adit::Adit;
use crate::support::backend::Backend;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{eventually, pass};

const DOORS: &str = r#"
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0"}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}
  - {name: behind, role: lan, bind: "127.0.0.1:0", proxyProtocol: required, trustProxy: [127.0.0.1/32]}
  - {name: adm, role: admin, bind: "127.0.0.1:0"}
"#;

const LIMITS: &str = "limits: {shutdownGrace: 0s, proxyHeaderTimeout: 1s, firstByteTimeout: 1s, \
    handshakeTimeout: 1s, headTimeout: 1s, bodyIdleTimeout: 5s, bodyRate: 1000, bodyRateWindow: 1s, \
    bodyRateGrace: 500ms, writeTimeout: 1s, lingerTime: 100ms, keepAliveTimeout: 1s}\n";

/// As many of each kind; the long form has a quarter of what the reference asks for.
fn clients() -> usize {
    if crate::support::soak() { 500 } else { 20 }
}

fn serve(site: &Site, backend: &Backend) -> Adit {
    let address = backend.addr();
    site.run_with(
        DOORS,
        &format!(
            "workers: 2\nroutes:\n\
             - {{host: www.example.test, backends: [\"http://{address}\"]}}\n\
             - {{host: own.example.test, tls: passthrough, backends: [\"{address}\"]}}\n\
             - {{host: fixed.example.test, respond: {{status: 200, body: here}}}}\n{LIMITS}"
        ),
    )
}

/// Answers without end, and takes whatever is sent.
fn endless() -> Backend {
    let block = "x".repeat(64 * 1024);
    Backend::start(move |_, mut client| {
        let Some(head) = client.try_head() else {
            return;
        };
        if head.starts_with("POST") {
            client.drain();
            return;
        }
        client.send("HTTP/1.1 200 OK\r\n\r\n");
        while client.try_send(block.as_bytes()).is_ok() {}
    })
}

/// Acceptance: 37
#[test]
fn slow_peers_end_by_their_own_deadline_and_hurt_nobody() {
    let site = Site::new();
    let backend = endless();
    let adit = serve(&site, &backend);
    let post = "POST / HTTP/1.1\r\nHost: www.example.test\r\nContent-Length: 100000\r\n\r\n";
    let get = "GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n";
    // Door, what comes first, what trickles after it, and the rule that ends it.
    let kinds: [(&str, &str, &str, &str); 8] = [
        ("web", "", "", "L-61"),
        ("webs", "", "", "L-61"),
        (
            "webs",
            "\x16\x03\x01\x01\x70\x01\x00\x01\x6c\x03\x03",
            "\0",
            "L-62",
        ),
        ("behind", "", "", "L-60"),
        ("behind", "PROXY TCP4 ", "1", "L-60"),
        ("web", "GET / HT", "x", "L-63"),
        ("web", post, "x", "L-67"),
        ("web", get, "", "L-74"),
    ];
    let mut slow = Vec::new();
    for (door, first, trickle, rule) in kinds {
        for _ in 0..clients() {
            let mut client = Raw::connect(adit.addr(door));
            let _ = client.try_send(first.as_bytes());
            slow.push((client, trickle, rule));
        }
    }
    let trickling = thread::spawn(move || {
        for _ in 0..40 {
            for (client, trickle, _) in &mut slow {
                let _ = client.try_send(trickle.as_bytes());
            }
            pass(Duration::from_millis(100));
        }
        slow
    });
    // Meanwhile everybody else is served.
    let mut good = Raw::connect(adit.addr("web"));
    for _ in 0..20 {
        good.send("GET / HTTP/1.1\r\nHost: fixed.example.test\r\n\r\n");
        assert!(good.answer().0.starts_with("HTTP/1.1 200"));
        pass(Duration::from_millis(100));
    }
    for rule in ["L-60", "L-61", "L-62", "L-63", "L-67", "L-74"] {
        let word = format!("\"rule\":\"{rule}\"");
        let least = clients();
        eventually(&format!("{least} connections ended by {rule}"), || {
            (adit.access(&word).len() >= least).then_some(())
        });
    }
    for (client, _, rule) in trickling.join().unwrap() {
        if rule != "L-74" {
            // It has ended: what was sent of it can be read, and then the end.
            let mut client = client;
            client.rest();
        }
    }
}

#[test]
fn a_relayed_client_that_does_not_read_is_reset() {
    let site = Site::new();
    let backend = endless();
    let doors = format!(
        "listeners:\n\
         - {{name: raw, role: lan, bind: \"127.0.0.1:0\", tcp: {{backends: [\"{}\"]}}}}\n\
         - {{name: adm, role: admin, bind: \"127.0.0.1:0\"}}\n",
        backend.addr()
    );
    let adit = site.run_with(&doors, LIMITS);
    let mut stuck = Raw::connect(adit.addr("raw"));
    stuck.send("GET / HTTP/1.1\r\n\r\n");
    // Who reads, if slowly, is served on.
    let mut slow = Raw::connect(adit.addr("raw"));
    slow.send("GET / HTTP/1.1\r\n\r\n");
    for _ in 0..30 {
        slow.take(200_000);
        pass(Duration::from_millis(100));
    }
    eventually("the one that reads nothing is given up", || {
        (!adit.access("\"rule\":\"L-74\"").is_empty()).then_some(())
    });
    assert_eq!(adit.access("\"rule\":\"L-74\"").len(), 1);
    slow.take(200_000);
}

#[test]
fn a_stream_of_messages_may_be_slow() {
    let site = Site::new();
    let backend = Backend::start(|_, mut client| {
        let Some(_) = client.try_head() else { return };
        client.until("last");
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let adit = serve(&site, &backend);
    let mut client = Raw::connect(adit.addr("web"));
    client.send(
        "POST / HTTP/1.1\r\nHost: www.example.test\r\nContent-Type: application/grpc\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    for _ in 0..30 {
        client.send("1\r\nx\r\n");
        pass(Duration::from_millis(100));
    }
    client.send("4\r\nlast\r\n0\r\n\r\n");
    assert!(client.answer().0.starts_with("HTTP/1.1 200"));
}
