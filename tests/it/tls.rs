//! TLS that ends here: certificates, names, versions, client certificates; TLS to backends.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use adit_bench::Kind;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion};

use crate::support::adit::Adit;
use crate::support::pki::write_identity;
use crate::support::raw::{Raw, tcp};
use crate::support::site::Site;
use crate::support::{Dir, eventually, origin};

fn www(backend: impl std::fmt::Display) -> String {
    format!("routes:\n  - {{host: www.example.test, backends: [\"http://{backend}\"]}}\n")
}

/// The alert that ended a handshake.
fn alert(to: SocketAddr, name: &str, config: Arc<ClientConfig>) -> Option<AlertDescription> {
    let error = Raw::tls(to, name, config).err()?;
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        other => panic!("{other}"),
    }
}

fn leaf_of(raw: &Raw) -> Vec<u8> {
    raw.session().peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn the_newest_version_and_a_hybrid_group_are_chosen() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let raw = site.raw_tls(adit.addr("webs"), "www.example.test");
    let session = raw.session();
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}

/// What `openssl s_client` says about a handshake.
fn openssl(to: SocketAddr, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &to.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// Acceptance: 27
#[test]
fn old_versions_and_weak_suites_are_refused() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let to = adit.addr("webs");
    let name = ["-servername", "www.example.test"];
    let with = |more: &[&str]| openssl(to, &[&name[..], more].concat());
    assert!(with(&["-tls1_2"]).contains("Protocol  : TLSv1.2"));
    assert!(with(&["-tls1_3"]).contains("TLSv1.3"));
    for refused in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
    ] {
        let said = with(refused);
        assert!(said.contains("Cipher is (NONE)"), "{refused:?}: {said}");
    }
}

#[test]
fn a_host_may_demand_the_newest_version() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "tls: {{minVersion: \"1.3\"}}\n{}",
        www(one.addr())
    ));
    let to = adit.addr("webs");
    let name = ["-servername", "www.example.test"];
    let said = openssl(to, &[&name[..], &["-tls1_2"]].concat());
    assert!(said.contains("Cipher is (NONE)"), "{said}");
    let said = openssl(to, &[&name[..], &["-tls1_3"]].concat());
    assert!(said.contains("Cipher is TLS_"), "{said}");
}

/// Acceptance: 22
#[test]
fn an_unknown_name_is_shown_no_certificate() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let to = adit.addr("webs");
    // The certificate covers this name too; no route does.
    for name in ["other.example.test", "www.example.org", "example.test"] {
        let got = alert(to, name, site.tls(&["http/1.1"]));
        assert_eq!(got, Some(AlertDescription::UnrecognisedName), "{name}");
    }
    let said = openssl(to, &["-noservername"]);
    assert!(said.contains("no peer certificate available"), "{said}");
    let said = openssl(to, &["-servername", "other.example.test"]);
    assert!(said.contains("no peer certificate available"), "{said}");
}

/// Acceptance: 22, 23
#[test]
fn a_default_certificate_is_for_clients_without_a_name_only() {
    let site = Site::new();
    write_identity(&site.dir, "fallback", &site.pki.leaf(&["www.example.test"]));
    let one = origin(Kind::Http1, "one");
    let config = format!(
        "version: 1\nlisteners:\n  - {{name: webs, role: lan, bind: \"127.0.0.1:0\", tls: true}}\n\
         tls: {{defaultCertificate: spare}}\n\
         certificates:\n  files:\n\
         \x20   - {{cert: site.pem, key: site.key}}\n\
         \x20   - {{name: spare, cert: fallback.pem, key: fallback.key}}\n{}",
        www(one.addr())
    );
    let adit = Adit::run(&site.dir, &config);
    let to = adit.addr("webs");
    let said = openssl(to, &["-noservername"]);
    assert!(said.contains("CN = www.example.test"), "{said}");
    let said = openssl(to, &["-servername", "other.example.test"]);
    assert!(said.contains("no peer certificate available"), "{said}");
}

/// Acceptance: 23
#[test]
fn a_name_is_found_whatever_its_case_and_final_dot() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    for name in ["WWW.Example.TEST", "www.example.test."] {
        let said = openssl(adit.addr("webs"), &["-servername", name]);
        assert!(said.contains("Cipher is TLS_"), "{name}: {said}");
    }
    for name in ["127.0.0.1", "www.example.test:443", "*.example.test"] {
        let said = openssl(adit.addr("webs"), &["-servername", name]);
        assert!(
            said.contains("no peer certificate available"),
            "{name}: {said}"
        );
    }
}

/// Sends what the client writes in pieces of `size` bytes, each in a segment of its own.
fn handshake_in_pieces(to: SocketAddr, config: Arc<ClientConfig>, size: usize) -> usize {
    let mut stream = tcp(to);
    let name = ServerName::try_from("www.example.test").unwrap();
    let mut session = ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut hello).unwrap();
    }
    for piece in hello.chunks(size) {
        stream.write_all(piece).unwrap();
        stream.flush().unwrap();
    }
    while session.is_handshaking() {
        session.complete_io(&mut stream).unwrap();
    }
    hello.len()
}

/// Acceptance: 21
#[test]
fn a_hello_may_come_in_any_pieces() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let to = adit.addr("webs");
    let whole = site.tls(&["h2", "http/1.1"]);
    for size in [1, 2, 5, 7, 100, 1400] {
        let length = handshake_in_pieces(to, Arc::clone(&whole), size);
        assert!(length > 1400, "a post-quantum hello needs two packets");
    }
    // The same message over many records (TL-06).
    for fragment in [32, 33, 64, 500] {
        let mut config = (*whole).clone();
        config.max_fragment_size = Some(fragment);
        handshake_in_pieces(to, Arc::new(config), 1400);
    }
}

/// Acceptance: 22
#[test]
fn what_is_not_a_hello_is_never_taken_for_one_without_a_name() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let junk: [&[u8]; 6] = [
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff\x01\x00\x00",
        b"\x16\x03\x01\x00\x08\x01\xff\xff\xff\x03\x03\x00\x00",
        b"\x80\x2e\x01\x00\x02",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
    ];
    for bytes in junk {
        let mut client = Raw::connect(adit.addr("webs"));
        client.send(bytes).finish();
        let answer = client.rest();
        assert!(!answer.contains("\x0b\x00"), "a certificate for {bytes:?}");
        assert!(answer.len() < 64, "{answer:?}");
    }
    let mut client = Raw::connect(adit.addr("webs"));
    client.send("GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    let answer = client.rest();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
}

#[test]
fn the_protocol_is_what_both_sides_know() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let to = adit.addr("webs");
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let raw = Raw::tls(to, "www.example.test", site.tls(offered)).unwrap();
        assert_eq!(raw.session().alpn_protocol(), chosen, "{offered:?}");
    }
    for none in [&["spdy/3"][..], &["acme-tls/1"]] {
        let got = alert(to, "www.example.test", site.tls(none));
        assert_eq!(got, Some(AlertDescription::NoApplicationProtocol));
    }
}

/// Acceptance: 26
#[test]
fn a_session_is_resumed_by_its_own_host_only() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let two = origin(Kind::Http1, "two");
    let adit = site.run(&format!(
        "{}  - {{host: api.example.test, backends: [\"http://{}\"]}}\n",
        www(one.addr()),
        two.addr()
    ));
    let config = site.tls(&["http/1.1"]);
    let ask = |name: &str| {
        let mut raw = Raw::tls(adit.addr("webs"), name, Arc::clone(&config)).unwrap();
        // Tickets follow the handshake: an answer brings them in.
        raw.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        assert!(raw.answer().0.starts_with("HTTP/1.1 200"));
        raw.session().handshake_kind().unwrap()
    };
    assert_eq!(ask("www.example.test"), HandshakeKind::Full);
    assert_eq!(ask("www.example.test"), HandshakeKind::Resumed);
    assert_eq!(ask("api.example.test"), HandshakeKind::Full);
}

/// Acceptance: 24, R-23
#[test]
fn a_certificate_is_replaced_when_its_file_is_and_not_by_a_broken_one() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let to = adit.addr("webs");
    let shown = || leaf_of(&site.raw_tls(to, "www.example.test"));
    let first = shown();
    write_identity(&site.dir, "site", &site.pki.leaf(&["www.example.test"]));
    let second = eventually("the new certificate", || {
        let leaf = shown();
        (leaf != first).then_some(leaf)
    });
    // A key of another certificate, then no certificate at all.
    let other = site.pki.leaf(&["www.example.test"]);
    site.dir.write("site.key", &other.key);
    site.dir
        .write("site.pem", "nothing that is a certificate\n");
    adit.hup();
    eventually("a word about it", || {
        let log = adit.process().stdout() + &adit.process().stderr();
        log.contains("site.pem").then_some(())
    });
    assert_eq!(shown(), second);
}

#[test]
fn directories_hold_pairs_and_the_layout_of_certbot() {
    let site = Site::new();
    let pairs = Dir::new();
    write_identity(&pairs, "one", &site.pki.leaf(&["one.example.org"]));
    let bot = Dir::new();
    let identity = site.pki.leaf(&["two.example.org"]);
    bot.write(
        "archive/two.example.org/fullchain1.pem",
        &identity.certificates,
    );
    let key = bot.write("archive/two.example.org/privkey1.pem", &identity.key);
    fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::create_dir_all(bot.join("live/two.example.org")).unwrap();
    for name in ["fullchain", "privkey"] {
        let target = format!("../../archive/two.example.org/{name}1.pem");
        let link = bot.join(&format!("live/two.example.org/{name}.pem"));
        std::os::unix::fs::symlink(target, link).unwrap();
    }
    bot.write("live/README", "not a certificate");
    let one = origin(Kind::Http1, "one");
    let config = format!(
        "version: 1\nlisteners:\n  - {{name: webs, role: lan, bind: \"127.0.0.1:0\", tls: true}}\n\
         certificates:\n  directories: [\"{}\", \"{}\"]\n\
         routes:\n  - {{hosts: [one.example.org, two.example.org], backends: [\"http://{}\"]}}\n",
        pairs.path().display(),
        bot.path().display(),
        one.addr()
    );
    let adit = Adit::run(&site.dir, &config);
    for name in ["one.example.org", "two.example.org"] {
        let url = format!("https://{name}/");
        site.curl(adit.addr("webs")).get(&url).expect(200);
    }
}

/// Acceptance: 25
#[test]
fn a_request_for_another_host_than_the_handshake_is_misdirected() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "{}  - {{host: other.example.org, backends: [\"http://{}\"]}}\n",
        www(one.addr()),
        one.addr()
    ));
    let mut raw = site.raw_tls(adit.addr("webs"), "www.example.test");
    raw.send("GET / HTTP/1.1\r\nHost: other.example.org\r\n\r\n");
    assert!(raw.until("\r\n").starts_with("HTTP/1.1 421"));
    crate::support::h2client::run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let answer = h2.get("https://other.example.org/").await.unwrap();
        assert_eq!(answer.status(), 421);
        let answer = h2.get("https://www.example.test/").await.unwrap();
        assert_eq!(answer.status(), 200);
    });
}

#[test]
fn client_certificates_are_asked_for_and_verified() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let strangers = crate::support::pki::Pki::new();
    let adit = site.run(&format!(
        "tls: {{clientAuth: {{ca: ca.pem, mode: require}}}}\n{}",
        www(one.addr())
    ));
    let to = adit.addr("webs");
    let mine = site.pki.client("somebody");
    let ask = |config: Arc<ClientConfig>| -> Option<String> {
        let mut raw = Raw::tls(to, "www.example.test", config).ok()?;
        raw.try_send(b"GET / HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")
            .ok()?;
        Some(raw.rest())
    };
    let config = site.pki.client_config_as(&mine, &["http/1.1"]);
    let answer = ask(config).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let stranger = strangers.client("somebody");
    for config in [
        site.tls(&["http/1.1"]),
        site.pki.client_config_as(&stranger, &["http/1.1"]),
    ] {
        let answer = ask(config).unwrap_or_default();
        assert!(!answer.contains(" 200 "), "{answer}");
    }
}

#[test]
fn a_backend_must_prove_its_name() {
    let site = Site::new();
    let identity = site.pki.leaf(&["internal.example.test"]);
    let tls = origin(Kind::Tls(identity), "tls");
    let to = tls.addr();
    let cases = [
        (
            "right",
            "{ca: ca.pem, serverName: internal.example.test}",
            200,
        ),
        ("wrong", "{ca: ca.pem, serverName: other.example.test}", 502),
        ("public", "{serverName: internal.example.test}", 502),
        ("insecure", "{insecure: true}", 200),
    ];
    let mut routes = String::from("routes:\n");
    for (name, policy, _) in cases {
        routes += &format!(
            "  - {{host: {name}.example.test, backends: [\"https://{to}\"], backendTls: {policy}}}\n"
        );
    }
    let adit = site.run(&routes);
    for (name, _, status) in cases {
        let url = format!("http://{name}.example.test/");
        let answer = site.curl(adit.addr("web")).get(&url);
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
}

#[test]
fn a_backend_may_ask_who_we_are() {
    let site = Site::new();
    write_identity(&site.dir, "us", &site.pki.client("adit"));
    write_identity(
        &site.dir,
        "server",
        &site.pki.leaf(&["internal.example.test"]),
    );
    let addr = crate::support::free_addr();
    let server = format!(
        "server {{ listen {addr} ssl; ssl_certificate server.pem; ssl_certificate_key server.key;\n\
         ssl_client_certificate ca.pem; ssl_verify_client on;\n\
         location / {{ return 200 $ssl_client_s_dn; }} }}"
    );
    let server = server.replace(
        "server.pem",
        &site.dir.join("server.pem").display().to_string(),
    );
    let server = server.replace(
        "server.key",
        &site.dir.join("server.key").display().to_string(),
    );
    let server = server.replace("ca.pem", &site.ca.display().to_string());
    let _nginx = crate::support::servers::nginx(&site.dir, &server, "", addr);
    let adit = site.run(&format!(
        "routes:\n  - {{host: www.example.test, backends: [\"https://{addr}\"], \
         backendTls: {{ca: ca.pem, serverName: internal.example.test, cert: us.pem, key: us.key}}}}\n"
    ));
    let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
    assert_eq!(answer.expect(200).text(), "CN=adit");
}

#[test]
fn tls_ends_here_for_protocols_that_are_not_http() {
    let site = Site::new();
    let echo = crate::support::backend::Backend::start(|_, mut client| {
        let line = client.until("\n");
        client.send(line.to_uppercase());
        client.finish();
    });
    let doors = format!(
        "listeners:\n  - {{name: ldaps, role: lan, bind: \"127.0.0.1:0\", tls: true, \
         tcp: {{backends: [\"{}\"]}}}}\n",
        echo.addr()
    );
    let adit = site.run_with(&doors, "tls: {defaultCertificate: site}");
    let mut raw = Raw::tls(adit.addr("ldaps"), "ldap.example.test", site.tls(&[])).unwrap();
    raw.send("hello\n");
    assert_eq!(raw.rest(), "HELLO\n");
    // Bytes that are not TLS never reach the backend.
    let mut plain = TcpStream::connect(adit.addr("ldaps")).unwrap();
    plain.write_all(b"hello\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HELLO"));
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    let site = Site::new();
    let key = site.dir.join("site.key");
    fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let file = site.dir.write("adit.yaml", Site::config("routes: []\n"));
    let output = crate::support::adit::adit(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("site.key"), "{said}");
}
