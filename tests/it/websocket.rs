//! WebSocket by upgrade (RFC 6455) and by extended CONNECT (RFC 8441), to both kinds of backends.

use adit_bench::Kind;
use tokio_tungstenite::tungstenite::Message;

use crate::support::backend::Backend;
use crate::support::bridge;
use crate::support::origin;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::websocket;

#[test]
fn both_kinds_of_upgrade_meet_both_kinds_of_backends() {
    let site = Site::new();
    let http1 = origin(Kind::Http1, "http1");
    let h2c = origin(Kind::H2c, "h2c");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run(&format!(
        "routes:\n\
         - {{host: http1.example.test, backends: [\"http://{}\"]}}\n\
         - {{host: h2c.example.test, backends: [\"h2c://{}\"]}}\n\
         - {{host: own.example.test, tls: passthrough, backends: [\"{}\"]}}\n",
        http1.addr(),
        h2c.addr(),
        own.addr()
    ));
    let webs = adit.addr("webs");
    for host in ["http1.example.test", "h2c.example.test"] {
        websocket::exercise(websocket::plain(
            adit.addr("web"),
            &format!("ws://{host}/ws"),
        ));
    }
    for host in ["http1.example.test", "h2c.example.test", "own.example.test"] {
        let through = bridge::into_tls(webs, host, site.tls(&["http/1.1"]));
        websocket::exercise(websocket::plain(through, &format!("ws://{host}/ws")));
        websocket::exercise(websocket::over_h2(webs, host, "/ws", site.tls(&["h2"])));
    }
    adit.stop();
}

#[test]
fn two_hundred_sockets_are_kept_apart() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    ));
    let mut sockets: Vec<_> = (0..200)
        .map(|_| websocket::plain(adit.addr("web"), "ws://www.example.test/ws"))
        .collect();
    for round in 0..3 {
        for (n, socket) in sockets.iter_mut().enumerate() {
            let message = Message::text(format!("{n} in {round}"));
            socket.send(message).unwrap();
        }
        for (n, socket) in sockets.iter_mut().enumerate() {
            let expected = Message::text(format!("{n} in {round}"));
            assert_eq!(socket.read().unwrap(), expected);
        }
    }
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: www.example.test\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Acceptance: 8
#[test]
fn an_upgrade_that_is_refused_is_an_ordinary_answer() {
    let site = Site::new();
    let backend = Backend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    ));
    let mut client = Raw::connect(adit.addr("web"));
    client.send(UPGRADE);
    let (head, body) = client.answer();
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert_eq!(body, b"no");
}

/// Acceptance: 8
#[test]
fn a_false_yes_of_the_backend_is_not_believed() {
    let site = Site::new();
    let cases = [
        ("no accept", "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        (
            "wrong accept",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
        ),
        (
            "wrong protocol",
            "Upgrade: other\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        ),
    ];
    for (name, fields) in cases {
        let backend = Backend::answering(format!(
            "HTTP/1.1 101 Switching Protocols\r\n{fields}\r\nhello"
        ));
        let adit = site.run(&format!(
            "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
            backend.addr()
        ));
        let mut client = Raw::connect(adit.addr("web"));
        client.send(UPGRADE);
        let answer = client.until("\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 502"), "{name}: {answer}");
    }
    // 101 to a request that asked for nothing.
    let backend =
        Backend::answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    ));
    let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
    assert_eq!(answer.status, 502, "{answer:?}");
}

/// Acceptance: 8
#[test]
fn half_a_handshake_is_refused_and_other_upgrades_are_plain_requests() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    ));
    for missing in [
        "Sec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ] {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(UPGRADE.replace(missing, ""));
        let answer = client.until("\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 4"), "{missing}: {answer}");
    }
    let seen = site
        .curl(adit.addr("web"))
        .args(&["-H", "Connection: Upgrade", "-H", "Upgrade: irc/6.9"])
        .get("http://www.example.test/")
        .expect(200)
        .seen();
    assert_eq!(seen.one("upgrade"), None);
}

/// Acceptance: 8
#[test]
fn what_a_client_sends_too_early_waits_for_the_yes() {
    let site = Site::new();
    let (tell, told) = std::sync::mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        client.until("\r\n\r\n");
        client.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        tell.send(client.rest()).unwrap();
    });
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        backend.addr()
    ));
    let mut client = Raw::connect(adit.addr("web"));
    client.send(format!("{UPGRADE}GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"));
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    let leaked = told.recv_timeout(crate::support::PATIENCE).unwrap();
    assert_eq!(leaked, "");
}
