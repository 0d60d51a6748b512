//! Connections that are relayed and not read: TLS passthrough by name, and raw TCP.

use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use adit_bench::Kind;
use rustix::net::sockopt;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::backend::Backend;
use crate::support::h2client::run;
use crate::support::pki::Pki;
use crate::support::raw::{Raw, turned_away};
use crate::support::site::Site;
use crate::support::{PATIENCE, free_addr, origin};

fn routes(www: SocketAddr, own: SocketAddr) -> String {
    format!(
        "routes:\n\
         - {{host: www.example.test, backends: [\"http://{www}\"]}}\n\
         - {{host: own.example.test, tls: passthrough, backends: [\"{own}\"]}}\n\
         - {{host: \"**.c1.example.test\", tls: passthrough, backends: [\"{own}\"]}}\n"
    )
}

#[test]
fn passthrough_and_terminated_hosts_share_a_port() {
    let site = Site::new();
    let theirs = Pki::new();
    let dir = crate::support::Dir::new();
    let their_ca = theirs.write_ca(&dir);
    let names = [
        "own.example.test",
        "a.c1.example.test",
        "b.a.c1.example.test",
    ];
    let www = origin(Kind::Http1, "www");
    let own = origin(Kind::Tls(theirs.leaf(&names)), "own");
    let adit = site.run(&routes(www.addr(), own.addr()));
    let to = adit.addr("webs");
    for version in ["--http1.1", "--http2"] {
        let seen = site
            .curl(to)
            .arg(version)
            .get("https://www.example.test/")
            .expect(200)
            .seen();
        assert_eq!(seen.backend, "www");
        for name in names {
            let seen = crate::support::curl::curl(to)
                .ca(&their_ca)
                .arg(version)
                .get(&format!("https://{name}/"))
                .expect(200)
                .seen();
            assert_eq!(seen.backend, "own", "{name}");
            // Nothing was opened, so nothing could be added.
            assert_eq!(seen.one("x-forwarded-for"), None);
        }
    }
    // The two authorities are not mixed up.
    let wrong = site.curl(to).get("https://own.example.test/");
    assert_eq!(wrong.exit, 60, "{wrong:?}");
    adit.stop();
}

/// Acceptance: 25
#[test]
fn a_passthrough_host_is_not_served_inside_a_terminated_connection() {
    let site = Site::new();
    let www = origin(Kind::Http1, "www");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run(&routes(www.addr(), own.addr()));
    let mut raw = site.raw_tls(adit.addr("webs"), "www.example.test");
    raw.send("GET / HTTP/1.1\r\nHost: own.example.test\r\n\r\n");
    assert!(raw.until("\r\n").starts_with("HTTP/1.1 421"));
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let answer = h2.get("https://own.example.test/").await.unwrap();
        assert_eq!(answer.status(), 421);
    });
    // Nor in clear text.
    let answer = site.curl(adit.addr("web")).get("http://own.example.test/");
    assert_ne!(answer.status, 200, "{answer:?}");
}

#[test]
fn wildcards_cover_what_they_say() {
    let site = Site::new();
    let www = origin(Kind::Http1, "www");
    let own = origin(Kind::Tls(site.pki.leaf(&["x.example.test"])), "own");
    let adit = site.run(&routes(www.addr(), own.addr()));
    // `**.` is one label or more, never none.
    let config = site.tls(&[]);
    let error = Raw::tls(adit.addr("webs"), "c1.example.test", config).err();
    let error = error.expect("refused").to_string();
    assert!(error.contains("UnrecognisedName"), "{error}");
}

/// Acceptance: 28
#[test]
fn the_backend_receives_the_hello_byte_for_byte() {
    let site = Site::new();
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        let length = client.take(5);
        let length = usize::from(u16::from_be_bytes([length[3], length[4]]));
        tell.send(client.take(length)).unwrap();
    });
    let adit = site.run(&routes(free_addr(), backend.addr()));
    let name = ServerName::try_from("own.example.test").unwrap();
    let mut session = ClientConnection::new(site.tls(&["h2"]), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    let mut client = Raw::connect(adit.addr("webs"));
    for piece in hello.chunks(100) {
        client.send(piece);
    }
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), &hello[5..]);
}

/// Acceptance: 21
#[test]
fn a_hello_in_many_records_finds_its_host() {
    let site = Site::new();
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run(&routes(free_addr(), own.addr()));
    let mut config = (*site.tls(&["http/1.1"])).clone();
    config.max_fragment_size = Some(40);
    let mut raw = Raw::tls(adit.addr("webs"), "own.example.test", Arc::new(config)).unwrap();
    raw.send("GET /size/100000 HTTP/1.1\r\nHost: own.example.test\r\n\r\n");
    assert_eq!(raw.answer().1.len(), 100_000);
}

/// Acceptance: 28
#[test]
fn bulk_goes_both_ways_whole_and_in_flat_memory() {
    const SIZE: u64 = 1 << 30;
    let site = Site::new();
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run(&routes(free_addr(), own.addr()));
    let file = site.dir.join("big");
    std::fs::File::create(&file).unwrap().set_len(SIZE).unwrap();
    let (before, _) = adit.process().memory();
    let sent = site
        .curl(adit.addr("webs"))
        .args(&["--max-time", "200", "--upload-file", file.to_str().unwrap()])
        .get("https://own.example.test/upload")
        .expect(200);
    assert_eq!(sent.text(), format!("{SIZE}\n"));
    let got = site
        .curl(adit.addr("webs"))
        .args(&["--max-time", "200", "--output", "/dev/null"])
        .get(&format!("https://own.example.test/size/{SIZE}"));
    assert_eq!(got.exit, 0, "{got:?}");
    let (_, peak) = adit.process().memory();
    assert!(peak < before + 24 * 1024, "{before} to {peak} KiB");
}

fn raw_door(to: SocketAddr) -> String {
    format!(
        "listeners:\n  - {{name: raw, role: lan, bind: \"127.0.0.1:0\", tcp: {{backends: [\"{to}\"]}}}}\n"
    )
}

#[test]
fn each_direction_ends_by_itself() {
    let site = Site::new();
    // Answers only when it has seen the end of what the client sends.
    let backend = Backend::start(|_, mut client| {
        let all = client.rest();
        client.send(format!("{} bytes", all.len()));
        client.finish();
    });
    let adit = site.run_with(&raw_door(backend.addr()), "");
    let mut client = Raw::connect(adit.addr("raw"));
    client.send(vec![b'x'; 1_000_000]).finish();
    assert_eq!(client.rest(), "1000000 bytes");

    // And the other way round: the server has finished, the client goes on.
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |_, mut client| {
        client.send("greeting").finish();
        tell.send(client.rest()).unwrap();
    });
    let adit = site.run_with(&raw_door(backend.addr()), "");
    let mut client = Raw::connect(adit.addr("raw"));
    assert_eq!(client.rest(), "greeting");
    client.send("afterwards").finish();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "afterwards");
}

#[test]
fn a_reset_is_passed_on() {
    let site = Site::new();
    let (tell, told) = mpsc::channel();
    let backend = Backend::start(move |number, mut client| {
        client.send("ready");
        client.until("go");
        if number == 0 {
            reset(&client);
        } else {
            client.send("gone");
            tell.send(client.read_to_end().1).unwrap();
        }
    });
    let adit = site.run_with(&raw_door(backend.addr()), "");
    let mut client = Raw::connect(adit.addr("raw"));
    client.until("ready");
    client.send("go");
    let (_, ended) = client.read_to_end();
    assert!(ended.is_err(), "the backend's reset came as a clean end");

    let mut client = Raw::connect(adit.addr("raw"));
    client.until("ready");
    client.send("go");
    // What is not read when a reset comes is lost: the backend must have it first.
    client.until("gone");
    reset(&client);
    drop(client);
    let ended = told.recv_timeout(PATIENCE).unwrap();
    assert!(ended.is_err(), "the client's reset came as a clean end");
}

/// Closed with a linger of zero, a connection is reset.
fn reset(connection: &Raw) {
    sockopt::set_socket_linger(connection.tcp(), Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_backend_that_refuses_is_a_closed_connection() {
    let site = Site::new();
    let adit = site.run(&routes(free_addr(), free_addr()));
    let error = Raw::tls(adit.addr("webs"), "own.example.test", site.tls(&[]));
    assert!(error.is_err());
    let adit = site.run_with(&raw_door(free_addr()), "");
    assert!(turned_away(adit.addr("raw"), b"hello"));
}

/// Acceptance: 28
#[test]
fn many_relayed_connections_are_kept_apart() {
    let site = Site::new();
    let backend = Backend::start(|_, mut client| {
        loop {
            let line = client.until("\n");
            client.send(&line);
            if line == "bye\n" {
                return;
            }
        }
    });
    let adit = site.run_with(&raw_door(backend.addr()), "");
    let mut clients: Vec<_> = (0..100).map(|_| Raw::connect(adit.addr("raw"))).collect();
    for round in 0..3 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(format!("{n} in {round}\n"));
        }
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.until("\n"), format!("{n} in {round}\n"));
        }
    }
    for client in &mut clients {
        client.send("bye\n");
        assert_eq!(client.rest(), "bye\n");
        let _ = client.tcp().shutdown(Shutdown::Both);
    }
}
