//! Who may see what. A host that is not public answers the Internet as if it did not exist, in
//! whatever way it is asked for.

use adit_bench::Kind;
use http::Request;

use crate::support::h2client::run;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{eventually, origin};

const DOORS: &str = r#"
networks:
  loop: {role: lan, cidrs: [127.0.0.0/8]}
listeners:
  - {name: home, role: lan, bind: "127.0.0.1:0", allow: [loop]}
  - {name: homes, role: lan, bind: "127.0.0.1:0", tls: true, allow: [loop]}
  - {name: net, role: internet, bind: "127.0.0.1:0", redirect: https}
  - {name: nets, role: internet, bind: "127.0.0.1:0", tls: true}
  - {name: open, role: internet, bind: "127.0.0.1:0"}
"#;

const RULES: &str = r"
rules:
  - {name: site, hosts: [pub.example.test], exposure: public}
  - {name: hooks, hosts: [git.example.test], paths: [/hook], exposure: public}
  - {name: hidden, hosts: [off.example.test], exposure: off}
  - {name: few, hosts: [few.example.test], exposure: lan, from: [192.0.2.0/24]}
default: {exposure: lan}
";

fn routes(backend: impl std::fmt::Display, own: impl std::fmt::Display) -> String {
    let mut routes = String::from("routes:\n");
    for host in ["pub", "lan", "git", "off", "few"] {
        routes += &format!("- {{host: {host}.example.test, backends: [\"http://{backend}\"]}}\n");
    }
    routes += &format!("- {{host: own.example.test, tls: passthrough, backends: [\"{own}\"]}}\n");
    routes + RULES
}

/// An answer without what differs between any two answers.
fn shape(answer: &str) -> String {
    let mut lines: Vec<_> = answer
        .lines()
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("date:") && !line.starts_with("x-request-id:")
        })
        .collect();
    lines.dedup();
    lines.join("\n")
}

/// Acceptance: 18
#[test]
fn a_lan_host_is_unknown_to_the_internet_however_it_is_asked_for() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run_with(DOORS, &routes(one.addr(), own.addr()));
    let open = adit.addr("open");
    let ask = |request: String| {
        let mut client = Raw::connect(open);
        client.send(request);
        shape(&client.rest())
    };
    let forms: [fn(&str) -> String; 6] = [
        |host| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        |host| format!("GET / HTTP/1.1\r\nHost: {host}:80\r\nConnection: close\r\n\r\n"),
        |host| {
            format!(
                "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                host.to_uppercase()
            )
        },
        |host| format!("GET / HTTP/1.1\r\nHost: {host}.\r\nConnection: close\r\n\r\n"),
        |host| format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        |host| {
            format!(
                "GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: pub.example.test\r\n\
                 X-Original-Host: pub.example.test\r\nForwarded: host=pub.example.test\r\n\
                 Connection: close\r\n\r\n"
            )
        },
    ];
    for (index, form) in forms.iter().enumerate() {
        let unknown = ask(form("none.example.test"));
        assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
        for host in [
            "lan.example.test",
            "off.example.test",
            "own.example.test",
            "few.example.test",
        ] {
            assert_eq!(ask(form(host)), unknown, "form {index} of {host}");
        }
        assert!(
            ask(form("pub.example.test")).starts_with("HTTP/1.1 200"),
            "form {index}"
        );
    }
    // A target that names another host than the field is no request at all.
    let torn =
        ask("GET http://pub.example.test/ HTTP/1.1\r\nHost: lan.example.test\r\n\r\n".into());
    assert!(torn.starts_with("HTTP/1.1 400"), "{torn}");
}

/// Acceptance: 18
#[test]
fn a_lan_name_gets_the_alert_of_an_unknown_one() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run_with(DOORS, &routes(one.addr(), own.addr()));
    let nets = adit.addr("nets");
    let alert = |name: &str| {
        let error = Raw::tls(nets, name, site.tls(&["h2", "http/1.1"])).err();
        error.map(|error| error.to_string())
    };
    let unknown = alert("none.example.test");
    assert!(
        unknown
            .as_ref()
            .is_some_and(|text| text.contains("UnrecognisedName"))
    );
    for name in ["lan.example.test", "off.example.test", "own.example.test"] {
        assert_eq!(alert(name), unknown, "{name}");
    }
    assert_eq!(alert("pub.example.test"), None);
    // On the LAN all of them are there, except the one that is off.
    let lans = adit.addr("homes");
    for name in ["lan", "pub", "own", "git"] {
        let url = format!("https://{name}.example.test/");
        site.curl(lans).get(&url).expect(200);
    }
    assert!(Raw::tls(lans, "off.example.test", site.tls(&[])).is_err());
}

/// Acceptance: 18
#[test]
fn an_open_connection_is_not_a_way_in() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run_with(DOORS, &routes(one.addr(), own.addr()));
    let nets = adit.addr("nets");
    run(async {
        let mut h2 = site.h2(nets, "pub.example.test").await;
        let mut ask = async |authority: &str| {
            let request = Request::get(format!("https://{authority}/"));
            let answer = h2
                .send(request.body(()).unwrap(), bytes::Bytes::new())
                .await;
            let answer = answer.unwrap();
            let mut fields: Vec<_> = answer
                .head
                .headers
                .iter()
                .filter(|(name, _)| *name != "date" && *name != "x-request-id")
                .map(|(name, value)| format!("{name}: {value:?}"))
                .collect();
            fields.sort();
            (answer.status(), fields, answer.text())
        };
        let unknown = ask("none.example.test").await;
        assert!(matches!(unknown.0, 404 | 421), "{unknown:?}");
        for host in ["lan.example.test", "off.example.test", "own.example.test"] {
            assert_eq!(ask(host).await, unknown, "coalesced {host}");
        }
        assert_eq!(ask("pub.example.test").await.0, 200);
    });
    let mut raw = site.raw_tls(nets, "pub.example.test");
    let mut ask = |host: &str| {
        raw.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let (head, body) = raw.answer();
        shape(&(head + &String::from_utf8_lossy(&body)))
    };
    let unknown = ask("none.example.test");
    assert_eq!(ask("lan.example.test"), unknown);
    assert_eq!(ask("off.example.test"), unknown);
    assert!(ask("pub.example.test").starts_with("HTTP/1.1 200"));
}

/// Acceptance: 18
#[test]
fn a_redirect_tells_nothing_about_lan_hosts() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run_with(DOORS, &routes(one.addr(), own.addr()));
    let net = adit.addr("net");
    let answer = site.curl(net).get("http://pub.example.test/");
    assert!(answer.expect(308).field("location").is_some());
    for host in ["lan", "off", "own", "none"] {
        let url = format!("http://{host}.example.test/");
        let answer = site.curl(net).get(&url).expect(404);
        assert_eq!(answer.field("location"), None, "{host}");
    }
}

#[test]
fn one_path_may_be_public_and_the_rest_not() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run_with(DOORS, &routes(one.addr(), own.addr()));
    for (path, status) in [
        ("/hook", 200),
        ("/hook/push", 200),
        ("/hooks", 404),
        ("/", 404),
        ("/admin", 404),
    ] {
        let url = format!("http://git.example.test{path}");
        site.curl(adit.addr("open")).get(&url).expect(status);
        site.curl(adit.addr("home")).get(&url).expect(200);
    }
    for path in ["/hook/../admin", "/hook/%2e%2e/admin", "/%2e/admin/../hook"] {
        let url = format!("http://git.example.test{path}");
        let answer = site.curl(adit.addr("open")).arg("--path-as-is").get(&url);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
    }
}

#[test]
fn the_marks_of_a_foreign_tunnel_make_a_lan_door_an_internet_door() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run_with(DOORS, &routes(one.addr(), own.addr()));
    for mark in [
        "Cf-Ray: 0000-XXX",
        "CF-Connecting-IP: 203.0.113.7",
        "Cf-Visitor: {\"scheme\":\"https\"}",
        "Cdn-Loop: cloudflare; loops=1",
        "Cf-Warp-Tag-Id: x",
    ] {
        let ask = |host: &str| {
            let curl = site.curl(adit.addr("home")).header(mark);
            curl.get(&format!("http://{host}.example.test/")).status
        };
        assert_eq!(ask("lan"), 404, "{mark}");
        assert_eq!(ask("pub"), 200, "{mark}");
    }
}

#[test]
fn an_address_outside_of_a_rule_is_refused() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let adit = site.run_with(DOORS, &routes(one.addr(), own.addr()));
    site.curl(adit.addr("home"))
        .get("http://few.example.test/")
        .expect(403);
}

#[test]
fn a_door_closes_on_addresses_it_does_not_allow() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let doors = r#"
listeners:
  - {name: some, role: lan, bind: "127.0.0.1:0", allow: [127.0.0.0/8], deny: [127.0.0.2/32]}
  - {name: none, role: lan, bind: "127.0.0.1:0", allow: [192.0.2.0/24]}
"#;
    let adit = site.run_with(
        doors,
        &format!(
            "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
            one.addr()
        ),
    );
    let ask = |door: &str, from: &str| {
        let curl = site.curl(adit.addr(door)).args(&["--interface", from]);
        curl.get("http://www.example.test/").status
    };
    assert_eq!(ask("some", "127.0.0.1"), 200);
    assert_eq!(ask("some", "127.0.0.2"), 0);
    assert_eq!(ask("none", "127.0.0.1"), 0);
}

#[test]
fn a_host_that_becomes_lan_only_loses_its_open_streams() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let config = |class: &str| {
        Site::config_with(
            DOORS,
            &format!(
                "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n\
                 rules:\n- {{name: site, hosts: [www.example.test], exposure: {class}}}\n\
                 default: {{exposure: lan}}\n",
                one.addr()
            ),
        )
    };
    let adit = crate::support::adit::Adit::run(&site.dir, &config("public"));
    let url = "ws://www.example.test/ws";
    let mut outside = crate::support::websocket::plain(adit.addr("open"), url);
    let mut inside = crate::support::websocket::plain(adit.addr("home"), url);
    let hello = tokio_tungstenite::tungstenite::Message::text("hello");
    crate::support::websocket::echo(&mut outside, &hello);
    adit.rewrite(&config("lan"));
    eventually("the host is unknown outside", || {
        let answer = site.curl(adit.addr("open")).get("http://www.example.test/");
        (answer.status == 404).then_some(())
    });
    eventually("the open stream ends", || {
        outside.read().is_err().then_some(())
    });
    crate::support::websocket::echo(&mut inside, &hello);
}
