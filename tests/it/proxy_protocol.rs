//! PROXY protocol: who the client is, told across connections. Rules P-01 to P-19.
//!
//! nginx sends version 1, HAProxy both; both receive both. Their own logs say whom they saw.

use std::fmt::Write;
use std::net::SocketAddr;

use adit_bench::Kind;

use crate::support::adit::Adit;
use crate::support::backend::Backend;
use crate::support::curl::Seen;
use crate::support::netns::{self, Namespace};
use crate::support::pki::write_identity;
use crate::support::raw::{Raw, turned_away};
use crate::support::servers::{haproxy, nginx, nginx_within};
use crate::support::site::Site;
use crate::support::{Dir, eventually, free_addr, origin};

const DOORS: &str = r#"
listeners:
  - {name: plain, role: lan, bind: "127.0.0.1:0", proxyProtocol: required, trustProxy: [127.0.0.1/32]}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true, proxyProtocol: required, trustProxy: [127.0.0.1/32]}
  - {name: strangers, role: lan, bind: "127.0.0.1:0", proxyProtocol: required, trustProxy: [192.0.2.0/24]}
  - {name: never, role: lan, bind: "127.0.0.1:0"}
  - {name: choosy, role: lan, bind: "127.0.0.1:0", proxyProtocol: required, trustProxy: [127.0.0.1/32], allow: [203.0.113.0/24]}
"#;

fn www(backend: impl std::fmt::Display) -> String {
    format!("routes:\n  - {{host: www.example.test, backends: [\"http://{backend}\"]}}\n")
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n";

/// A version 2 header around these bytes.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend(rest);
    header
}

const V4: [u8; 12] = [203, 0, 113, 7, 192, 0, 2, 1, 0x30, 0x39, 0x01, 0xbb];

fn v6() -> Vec<u8> {
    let mut rest = Vec::new();
    for addr in ["2001:db8::7", "2001:db8::1"] {
        rest.extend(addr.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    rest.extend([0x30, 0x39, 0x01, 0xbb]);
    rest
}

/// The client that the backend was told of, if it was asked at all.
fn told(to: SocketAddr, header: &[u8]) -> Option<String> {
    let mut client = Raw::connect(to);
    let _ = client.try_send(&[header, REQUEST.as_bytes()].concat());
    let answer = client.rest();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.1 200") {
        return None;
    }
    let seen = Seen::parse(body.as_bytes());
    seen.one("x-forwarded-for").map(str::to_owned)
}

#[test]
fn a_believed_header_names_the_client() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run_with(DOORS, &www(one.addr()));
    let noop_and_unique_id = [
        &V4[..],
        &[0x04, 0, 2, 0, 0],
        &[0x05, 0, 3, b'x', b'y', b'z'],
    ];
    let cases: [(&str, Vec<u8>, &str); 8] = [
        (
            "v1 TCP4",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n".to_vec(),
            "203.0.113.7",
        ),
        (
            "v1 TCP6",
            b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n".to_vec(),
            "2001:db8::7",
        ),
        ("v1 UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (
            "v1 UNKNOWN with a rest",
            b"PROXY UNKNOWN ff::1 ff::2 1 2\r\n".to_vec(),
            "127.0.0.1",
        ),
        ("v2 INET", v2(1, 0x11, &V4), "203.0.113.7"),
        ("v2 INET6", v2(1, 0x21, &v6()), "2001:db8::7"),
        ("v2 LOCAL", v2(0, 0x00, &[]), "127.0.0.1"),
        (
            "v2 with fields",
            v2(1, 0x11, &noop_and_unique_id.concat()),
            "203.0.113.7",
        ),
    ];
    for (name, header, client) in cases {
        let got = told(adit.addr("plain"), &header);
        assert_eq!(got.as_deref(), Some(client), "{name}");
        // Byte by byte is the same header (P-04).
        let mut slow = Raw::connect(adit.addr("plain"));
        for byte in &header {
            slow.send([*byte]);
        }
        slow.send(REQUEST);
        let answer = slow.rest().to_ascii_lowercase();
        let line = format!("x-forwarded-for: {client}");
        assert!(answer.contains(&line), "{name}: {answer}");
    }
}

/// Acceptance: 30
#[test]
fn a_header_that_is_not_exactly_right_closes_the_connection() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run_with(DOORS, &www(one.addr()));
    let mut crc = V4.to_vec();
    crc.extend([0x03, 0, 4, 1, 2, 3, 4]);
    let mut over = V4.to_vec();
    over.extend([0x04, 0, 9, 1]);
    let mut stub = V4.to_vec();
    stub.extend([0x04, 0]);
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no header", Vec::new()),
        (
            "LF alone",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n".to_vec(),
        ),
        (
            "two spaces",
            b"PROXY TCP4  203.0.113.7 192.0.2.1 1 2\r\n".to_vec(),
        ),
        ("tab", b"PROXY\tTCP4 203.0.113.7 192.0.2.1 1 2\r\n".to_vec()),
        (
            "lower case",
            b"proxy TCP4 203.0.113.7 192.0.2.1 1 2\r\n".to_vec(),
        ),
        (
            "lower case family",
            b"PROXY tcp4 203.0.113.7 192.0.2.1 1 2\r\n".to_vec(),
        ),
        (
            "leading zero",
            b"PROXY TCP4 203.0.113.07 192.0.2.1 1 2\r\n".to_vec(),
        ),
        (
            "zero in port",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 01 2\r\n".to_vec(),
        ),
        (
            "port too large",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 2\r\n".to_vec(),
        ),
        (
            "family and text differ",
            b"PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n".to_vec(),
        ),
        (
            "one more field",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2 3\r\n".to_vec(),
        ),
        (
            "one field less",
            b"PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n".to_vec(),
        ),
        ("too long", long.into_bytes()),
        (
            "multicast",
            b"PROXY TCP4 224.0.0.1 192.0.2.1 1 2\r\n".to_vec(),
        ),
        (
            "unspecified",
            b"PROXY TCP4 0.0.0.0 192.0.2.1 1 2\r\n".to_vec(),
        ),
        ("v2 unknown command", v2(2, 0x11, &V4)),
        ("v2 UNSPEC", v2(1, 0x00, &[])),
        ("v2 UNIX", v2(1, 0x31, &[0; 216])),
        ("v2 DGRAM", v2(1, 0x12, &V4)),
        ("v2 unknown family", v2(1, 0x41, &V4)),
        ("v2 too short", v2(1, 0x11, &V4[..11])),
        ("v2 wrong checksum", v2(1, 0x11, &crc)),
        ("v2 field over the end", v2(1, 0x11, &over)),
        ("v2 rest that is no field", v2(1, 0x11, &stub)),
        ("v2 wrong version", {
            let mut header = v2(1, 0x11, &V4);
            header[12] = 0x11;
            header
        }),
        ("v2 huge", v2(1, 0x11, &[0; 60_000])),
    ];
    for (name, header) in cases {
        let request = [&header[..], REQUEST.as_bytes()].concat();
        assert!(
            turned_away(adit.addr("plain"), &request),
            "{name} was answered"
        );
    }
    // A second header is what the client says, and no request.
    let header = b"PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n";
    let twice = [&header[..], header].concat();
    assert_eq!(told(adit.addr("plain"), &twice), None);
}

/// Acceptance: 30
#[test]
fn only_trusted_peers_are_heard() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run_with(DOORS, &www(one.addr()));
    let header = b"PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n";
    let request = [header, REQUEST.as_bytes()].concat();
    assert!(turned_away(adit.addr("strangers"), &request));
    // A door that reads no headers takes one for what it is there: a bad request.
    assert_eq!(told(adit.addr("never"), header), None);
    assert_eq!(told(adit.addr("never"), &v2(1, 0x11, &V4)), None);
    assert_eq!(told(adit.addr("never"), b"").as_deref(), Some("127.0.0.1"));
}

#[test]
fn lists_are_checked_on_the_address_that_was_told() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run_with(DOORS, &www(one.addr()));
    let door = adit.addr("choosy");
    let inside = b"PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n";
    let outside = b"PROXY TCP4 198.51.100.7 192.0.2.1 12345 443\r\n";
    assert_eq!(told(door, inside).as_deref(), Some("203.0.113.7"));
    assert_eq!(told(door, outside), None);
    assert_eq!(told(door, b"PROXY UNKNOWN\r\n"), None);
}

#[test]
fn nginx_and_haproxy_tell_us_who_the_client_is() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run_with(DOORS, &www(one.addr()));
    let (plain, webs) = (adit.addr("plain"), adit.addr("webs"));
    let senders: Vec<SocketAddr> = (0..6).map(|_| free_addr()).collect();
    let mut stream = String::new();
    let mut sections = String::new();
    for (door, at) in [(plain, senders[0]), (webs, senders[1])] {
        writeln!(
            stream,
            "server {{ listen {at}; proxy_pass {door}; proxy_protocol on; }}"
        )
        .unwrap();
    }
    for (name, door, at, option) in [
        ("a", plain, senders[2], "send-proxy"),
        ("b", webs, senders[3], "send-proxy"),
        ("c", plain, senders[4], "send-proxy-v2"),
        ("d", webs, senders[5], "send-proxy-v2"),
    ] {
        write!(
            sections,
            "listen {name}\n  mode tcp\n  bind {at}\n  server s {door} {option}\n"
        )
        .unwrap();
    }
    let _nginx = nginx(&site.dir, "", &stream, senders[0]);
    let _haproxy = haproxy(&site.dir, &sections, senders[2]);
    for (index, to) in senders.into_iter().enumerate() {
        let scheme = if index % 2 == 0 { "http" } else { "https" };
        for interface in ["127.0.0.1", "127.0.0.77"] {
            let seen = site
                .curl(to)
                .args(&["--interface", interface])
                .get(&format!("{scheme}://www.example.test/"))
                .expect(200)
                .seen();
            assert_eq!(seen.one("x-forwarded-for"), Some(interface), "{index}");
            assert_eq!(seen.one("x-forwarded-proto"), Some(scheme));
        }
    }
}

/// nginx in clear text, nginx with its own TLS, and HAProxy, all demanding a header.
struct Receivers {
    plain: SocketAddr,
    own: SocketAddr,
    haproxy: SocketAddr,
}

impl Receivers {
    fn reserve() -> Self {
        Self {
            plain: free_addr(),
            own: free_addr(),
            haproxy: free_addr(),
        }
    }

    fn http(&self, dir: &Dir) -> String {
        format!(
            "ssl_certificate {}; ssl_certificate_key {};\n\
             server {{ listen {} proxy_protocol; location / {{ return 200 plain; }} }}\n\
             server {{ listen {} ssl proxy_protocol; location / {{ return 200 own; }} }}",
            dir.join("own.pem").display(),
            dir.join("own.key").display(),
            self.plain,
            self.own,
        )
    }

    fn sections(&self) -> String {
        format!(
            "frontend receiver\n  mode http\n  log global\n  log-format client=%ci:%cp\n\
             \x20 bind {} accept-proxy\n\
             \x20 http-request return status 200 string haproxy content-type text/plain\n",
            self.haproxy
        )
    }
}

/// Acceptance: 31
#[test]
fn receivers_log_the_client_that_we_tell_them() {
    for version in ["v1", "v2"] {
        let site = Site::new();
        write_identity(&site.dir, "own", &site.pki.leaf(&["own.example.test"]));
        let to = Receivers::reserve();
        let _nginx = nginx(&site.dir, &to.http(&site.dir), "", to.own);
        let haproxy = haproxy(&site.dir, &to.sections(), to.haproxy);
        let adit = site.run(&format!(
            "routes:\n\
             - {{host: www.example.test, backends: [\"http://{}\"], proxyProtocol: {version}}}\n\
             - {{host: own.example.test, tls: passthrough, backends: [\"{}\"], proxyProtocol: {version}}}\n\
             - {{host: ha.example.test, backends: [\"http://{}\"], proxyProtocol: {version}}}\n",
            to.plain, to.own, to.haproxy
        ));
        for (name, body) in [("www", "plain"), ("own", "own"), ("ha", "haproxy")] {
            for source in ["127.0.0.1", "127.0.0.9"] {
                let answer = site
                    .curl(adit.addr("webs"))
                    .args(&["--interface", source])
                    .get(&format!("https://{name}.example.test/{version}"));
                assert_eq!(answer.expect(200).text(), body, "{version}");
            }
        }
        let log = eventually("nginx wrote its log", || {
            let log = site.dir.read("nginx.log");
            (log.matches(&format!("/{version} ")).count() == 4).then_some(log)
        });
        for source in ["127.0.0.1", "127.0.0.9"] {
            let count = log
                .lines()
                .filter(|line| line.starts_with(&format!("{source} 127.0.0.1 ")));
            assert_eq!(count.count(), 2, "{version}: {log}");
        }
        eventually("HAProxy wrote its log", || {
            let log = haproxy.stdout();
            let both = log.contains("client=127.0.0.1:") && log.contains("client=127.0.0.9:");
            both.then_some(())
        });
    }
}

#[test]
fn a_told_client_is_told_on() {
    let site = Site::new();
    let to = free_addr();
    let http = format!("server {{ listen {to} proxy_protocol; location / {{ return 200 ok; }} }}");
    let _nginx = nginx(&site.dir, &http, "", to);
    for version in ["v1", "v2"] {
        let adit = site.run_with(
            DOORS,
            &format!(
                "routes:\n- {{host: www.example.test, backends: [\"http://{to}\"], proxyProtocol: {version}}}\n"
            ),
        );
        for (header, source) in [
            (v2(1, 0x11, &V4), "203.0.113.7"),
            (v2(1, 0x21, &v6()), "2001:db8::7"),
        ] {
            let mut client = Raw::connect(adit.addr("plain"));
            client.send([&header, REQUEST.as_bytes()].concat());
            assert!(client.rest().ends_with("ok"));
            eventually("nginx wrote its log", || {
                let log = site.dir.read("nginx.log");
                log.contains(&format!("{source} 127.0.0.1 ")).then_some(())
            });
        }
    }
}

/// Acceptance: 11, 31
#[test]
fn a_connection_with_a_header_serves_one_client() {
    let site = Site::new();
    let backend = Backend::start(|_, mut client| {
        let header = client.until("\r\n");
        while client.try_until_head() {
            let length = header.len();
            client.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{header}"
            ));
        }
    });
    let adit = site.run(&format!(
        "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"], proxyProtocol: v1}}\n",
        backend.addr()
    ));
    let mut clients: Vec<_> = (0..3).map(|_| Raw::connect(adit.addr("web"))).collect();
    for _ in 0..3 {
        for client in &mut clients {
            let port = client.local_addr().port();
            client.send("GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
            let header = String::from_utf8(client.answer().1).unwrap();
            assert!(
                header.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
                "{header}"
            );
            assert!(header.contains(&format!(" {port} ")), "{port}: {header}");
        }
    }
}

#[test]
fn an_ipv4_client_reaches_an_ipv6_only_backend_and_is_named_to_it() {
    if !netns::available("an_ipv4_client_reaches_an_ipv6_only_backend_and_is_named_to_it") {
        return;
    }
    let site = Site::new();
    let (client, edge, backend) = (Namespace::new(), Namespace::new(), Namespace::new());
    client.link(&edge, "lan", "10.77.0.2/24", "10.77.0.1/24");
    edge.link(&backend, "dc", "fd77::1/64", "fd77::2/64");
    write_identity(&site.dir, "own", &site.pki.leaf(&["own.example.test"]));
    let at = site.dir.path().display();
    let http = format!(
        "ssl_certificate {at}/own.pem; ssl_certificate_key {at}/own.key;\n\
         server {{ listen [fd77::2]:443 ssl proxy_protocol; location / {{ return 200 own; }} }}\n\
         server {{ listen [fd77::2]:80 proxy_protocol; location / {{ return 200 www; }} }}"
    );
    let _nginx = nginx_within(&backend, &site.dir, &http);

    let file = site.dir.write(
        "adit.yaml",
        Site::config_with(
            "listeners:\n- {name: webs, role: lan, bind: \"10.77.0.1:443\", tls: true, interface: lan}\n",
            "routes:\n\
             - {host: www.example.test, backends: [\"http://[fd77::2]:80\"], proxyProtocol: v2}\n\
             - {host: own.example.test, tls: passthrough, backends: [\"[fd77::2]:443\"], proxyProtocol: v2}\n",
        ),
    );
    let ready = site.dir.join("ready.json");
    let mut command = edge.command(crate::support::adit::ADIT);
    command.args(["run", "--config"]).arg(&file);
    command.arg("--ready-file").arg(&ready);
    let _adit = Adit::start(&mut command, &file, &ready);

    for (name, body) in [("www", "www"), ("own", "own")] {
        let output = client
            .command("curl")
            .args(["-sS", "--max-time", "20", "--cacert"])
            .arg(&site.ca)
            .args(["--connect-to", "::10.77.0.1:443"])
            .arg(format!("https://{name}.example.test/"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), body, "{said}");
    }
    eventually("nginx names the IPv4 client", || {
        let log = site.dir.read("nginx.log");
        let lines = log.lines().filter(|line| {
            let source = line.strip_prefix("::ffff:").unwrap_or(line);
            source.starts_with("10.77.0.2 fd77::1")
        });
        (lines.count() == 2).then_some(())
    });
}
