//! What a backend is told about the client, and what never reaches it.
//!
//! Rules H-01 to H-17: fields that say who the client is are written by adit and by nobody else,
//! unless a proxy is trusted by its address.

use adit_bench::Kind;

use crate::support::curl::{Answer, Seen};
use crate::support::raw::Raw;
use crate::support::servers::nginx;
use crate::support::site::Site;
use crate::support::{free_addr, origin};

fn www(backend: impl std::fmt::Display) -> String {
    format!("routes:\n  - {{host: www.example.test, backends: [\"http://{backend}\"]}}\n")
}

#[test]
fn the_client_is_named_by_its_socket() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    for (scheme, door) in [("http", "web"), ("https", "webs")] {
        let seen = site
            .curl(adit.addr(door))
            .get(&format!("{scheme}://www.example.test/"))
            .expect(200)
            .seen();
        assert_eq!(seen.one("host"), Some("www.example.test"));
        assert_eq!(seen.one("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.one("x-real-ip"), Some("127.0.0.1"));
        assert_eq!(seen.one("x-forwarded-proto"), Some(scheme));
        assert_eq!(seen.one("x-forwarded-host"), Some("www.example.test"));
        assert!(seen.one("x-request-id").is_some_and(|id| id.len() >= 16));
        assert!(seen.one("via").is_some());
    }
}

/// Acceptance: 32
#[test]
fn a_client_cannot_say_who_it_is() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let mut curl = site.curl(adit.addr("web"));
    for field in [
        "X-Forwarded-For: 1.2.3.4",
        "x-forwarded-for: 5.6.7.8",
        "X-Real-IP: 1.2.3.4",
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-Server: evil",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "X-Client-IP: 1.2.3.4",
        "X-Cluster-Client-IP: 1.2.3.4",
        "True-Client-IP: 1.2.3.4",
        "X-Envoy-Internal: true",
        "X-Forwarded-Client-Cert: By=evil",
        "Ssl-Client-Verify: SUCCESS",
        "X-SSL-Client-CN: admin",
        "Early-Data: 1",
        "Front-End-Https: on",
        "Cf-Cloudflared-Proxy-Connection-Upgrade: 1",
    ] {
        curl = curl.header(field);
    }
    let answer = curl.get("http://www.example.test/").expect(200);
    let text = answer.text();
    for part in ["1.2.3.4", "5.6.7.8", "evil", "/admin", "SUCCESS", "Early"] {
        assert!(!text.contains(part), "{part} reached the backend: {text}");
    }
    let seen = answer.seen();
    assert_eq!(seen.one("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.one("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.one("x-forwarded-host"), Some("www.example.test"));
}

/// Acceptance: 32
#[test]
fn an_underscore_is_not_a_way_around() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let ask = |field: &str| -> Answer {
        let curl = site.curl(adit.addr("web")).header(field);
        curl.get("http://www.example.test/")
    };
    ask("X_Forwarded_For: 1.2.3.4").expect(400);
    ask("x-real_ip: 1.2.3.4").expect(400);
    // gRPC metadata uses underscores.
    let seen = ask("my_field: kept").expect(200).seen();
    assert_eq!(seen.one("my_field"), Some("kept"));
}

/// Acceptance: 32
#[test]
fn a_trusted_proxy_is_believed() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let doors = r#"
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0", trustForwarded: [127.0.0.1/32, 10.0.0.0/8]}
"#;
    let adit = site.run_with(doors, &www(one.addr()));
    let seen = site
        .curl(adit.addr("web"))
        .header("X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.1.2.3")
        .header("X-Forwarded-Proto: https")
        .get("http://www.example.test/")
        .expect(200)
        .seen();
    let chain = seen.one("x-forwarded-for").unwrap();
    assert!(
        chain.ends_with("203.0.113.7, 10.1.2.3, 127.0.0.1"),
        "{chain}"
    );
    assert_eq!(seen.one("x-real-ip"), Some("203.0.113.7"));
    assert_eq!(seen.one("x-forwarded-proto"), Some("https"));
}

#[test]
fn fields_of_one_hop_stay_on_it() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let mut client = Raw::connect(adit.addr("web"));
    client.send(
        "GET / HTTP/1.1\r\nHost: www.example.test\r\nConnection: keep-alive, x-mine\r\n\
         X-Mine: gone\r\nKeep-Alive: timeout=9\r\nProxy-Connection: x\r\n\
         Proxy-Authorization: Basic eA==\r\nTE: gzip\r\nTrailer: x\r\nX-Other: stays\r\n\r\n",
    );
    let (head, body) = client.answer();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let seen = Seen::parse(&body);
    for name in [
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
    ] {
        assert_eq!(seen.one(name), None, "{name} in {seen:?}");
    }
    assert_eq!(seen.one("x-other"), Some("stays"));
}

/// Acceptance: 33
#[test]
fn our_own_fields_cannot_be_nominated_away() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    for name in [
        "host",
        "content-length",
        "cookie",
        "authorization",
        "x-forwarded-for",
        "x-real-ip",
    ] {
        let answer = site
            .curl(adit.addr("web"))
            .header(&format!("Connection: {name}"))
            .get("http://www.example.test/");
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
    }
}

#[test]
fn a_request_that_meets_itself_is_ended() {
    let site = Site::new();
    // Round through another proxy, which no check of addresses can see.
    let (door, proxy) = (free_addr(), free_addr());
    let server = format!(
        "server {{ listen {proxy}; location / {{\n\
         proxy_pass http://{door}; proxy_set_header Host $host; }} }}"
    );
    let _nginx = nginx(&site.dir, &server, "", proxy);
    let doors = format!("listeners:\n- {{name: web, role: lan, bind: \"{door}\"}}\n");
    let adit = site.run_with(&doors, &www(proxy));
    let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
    answer.expect(508);
    let log = site.dir.read("nginx.log");
    assert!(log.lines().count() <= 6, "{log}");
}

#[test]
fn cookies_of_http2_arrive_as_one_field() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    crate::support::h2client::run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let request = http::Request::get("https://www.example.test/")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(())
            .unwrap();
        let answer = h2.send(request, bytes::Bytes::new()).await.unwrap();
        let seen = Seen::parse(&answer.body);
        assert_eq!(seen.one("cookie"), Some("a=1; b=2"));
        assert_eq!(seen.one("host"), Some("www.example.test"));
    });
}

#[test]
fn an_id_is_made_for_each_request_and_logged() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&www(one.addr()));
    let id = |path: &str| {
        let url = format!("http://www.example.test/{path}");
        let seen = site.curl(adit.addr("web")).get(&url).expect(200).seen();
        seen.one("x-request-id").unwrap().to_owned()
    };
    let (first, second) = (id("first"), id("second"));
    assert_ne!(first, second);
    let lines = crate::support::eventually("access log", || {
        let lines = adit.access(&second);
        (!lines.is_empty()).then_some(lines)
    });
    assert_eq!(lines.len(), 1);
    assert!(lines[0].to_string().contains("/second"), "{lines:?}");
}

/// Names that only we may say (H-01 to H-09), and what a backend must see of each: our value, or
/// nothing at all.
const PROTECTED: &[(&str, Option<&str>)] = &[
    ("X-Forwarded-For", Some("127.0.0.1")),
    ("X-Real-IP", Some("127.0.0.1")),
    ("X-Forwarded-Host", Some("www.example.test")),
    ("X-Forwarded-Proto", Some("")),
    ("X-Forwarded-Port", Some("")),
    ("Forwarded", None),
    ("X-Forwarded-Prefix", None),
    ("X-Forwarded-Server", None),
    ("X-Forwarded-Uri", None),
    ("X-Forwarded-Method", None),
    ("X-Forwarded-Ssl", None),
    ("X-Forwarded-Scheme", None),
    ("X-Scheme", None),
    ("X-Original-URL", None),
    ("X-Original-Host", None),
    ("X-Rewrite-URL", None),
    ("Front-End-Https", None),
    ("X-Envoy-Internal", None),
    ("X-Envoy-External-Address", None),
    ("X-Client-IP", None),
    ("X-Cluster-Client-IP", None),
    ("True-Client-IP", None),
    ("Fastly-Client-IP", None),
    ("CF-Connecting-IP", None),
    ("CF-Connecting-IPv6", None),
    ("CF-Pseudo-IPv4", None),
    ("CF-IPCountry", None),
    ("CF-Visitor", None),
    ("CF-Ray", None),
    ("CF-Worker", None),
    ("Cf-Access-Jwt-Assertion", None),
    ("Cf-Cloudflared-Proxy-Src", None),
    ("cf-int-x", None),
    ("cf-proxy-x", None),
    ("X-Forwarded-Client-Cert", None),
    ("X-Forwarded-Tls-Client-Cert", None),
    ("Ssl-Client-Verify", None),
    ("X-Ssl-Client-Cn", None),
    ("Early-Data", None),
];

/// Every protected name in three spellings on every kind of door: as it is usually written, in lower
/// case, and with underscores, which is refused because some backends cannot tell.
///
/// Acceptance: 32
#[test]
fn every_protected_field_arrives_with_our_value_or_not_at_all() {
    const LIE: &str = "lied-about";
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let doors = format!(
        "{}  - {{name: told, role: lan, bind: \"127.0.0.1:0\", proxyProtocol: required, trustProxy: [127.0.0.0/8]}}\n  - {{name: net, role: internet, bind: \"127.0.0.1:0\"}}\n",
        crate::support::site::DOORS
    );
    let adit = site.run_with(
        &doors,
        // The marks of a tunnel make a LAN door an Internet door: the host is public.
        &format!(
            "rules:\n- {{name: site, hosts: [www.example.test], exposure: public}}\n{}",
            www(one.addr())
        ),
    );
    let connect = |door: &str| match door {
        "webs" => site.raw_tls(adit.addr("webs"), "www.example.test"),
        "told" => {
            let mut client = Raw::connect(adit.addr("told"));
            client.send("PROXY TCP4 203.0.113.9 198.51.100.1 1234 80\r\n");
            client
        }
        door => Raw::connect(adit.addr(door)),
    };
    let check = |door: &str, name: &str, body: &[u8]| {
        let text = String::from_utf8_lossy(body).into_owned();
        assert!(!text.contains(LIE), "{door} {name}: {text}");
        let seen = Seen::parse(body);
        for (protected, expected) in PROTECTED {
            let found = seen.one(&protected.to_ascii_lowercase());
            let expected = match *expected {
                Some("127.0.0.1") if door == "told" => Some("203.0.113.9"),
                expected => expected,
            };
            match expected {
                None => assert_eq!(found, None, "{door} {name}: {protected}"),
                Some("") => assert!(found.is_some(), "{door} {name}: {protected}"),
                Some(value) => assert_eq!(found, Some(value), "{door} {name}: {protected}"),
            }
        }
    };
    for door in ["web", "webs", "told", "net"] {
        for (name, _) in PROTECTED {
            for spelling in [(*name).to_owned(), name.to_ascii_lowercase()] {
                let mut client = connect(door);
                client.send(format!(
                    "GET / HTTP/1.1\r\nHost: www.example.test\r\n{spelling}: {LIE}\r\n{spelling}: {LIE}\r\n\r\n"
                ));
                let (head, body) = client.answer();
                assert!(
                    head.starts_with("HTTP/1.1 200"),
                    "{door} {spelling}: {head}"
                );
                check(door, &spelling, &body);
            }
            if name.contains('-') {
                let spelling = name.replacen('-', "_", 1);
                let mut client = connect(door);
                client.send(format!(
                    "GET / HTTP/1.1\r\nHost: www.example.test\r\n{spelling}: {LIE}\r\n\r\n"
                ));
                let answer = client.rest();
                assert!(
                    answer.starts_with("HTTP/1.1 400"),
                    "{door} {spelling}: {answer}"
                );
            }
        }
    }
    crate::support::h2client::run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        for (name, _) in PROTECTED {
            let request = http::Request::get("https://www.example.test/").header(*name, LIE);
            let request = request.body(()).unwrap();
            let answer = h2.send(request, bytes::Bytes::new()).await.unwrap();
            assert_eq!(answer.status(), 200, "{name}");
            check("h2", name, &answer.body);
        }
    });
}
