//! What is refused can be seen: counted and logged by rule, told apart from requests, kept for a
//! look, and never a way into the log (O-01, O-05 to O-07).

use adit_bench::{Kind, Origin};
use serde_json::Value;

use super::{FIXED, metric, refused};
use crate::support::adit::Adit;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{eventually, origin};

const DOORS: &str = r#"
log: {level: info, format: json}
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0"}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}
  - {name: inet, role: internet, bind: "127.0.0.1:0"}
  - {name: deny, role: lan, bind: "127.0.0.1:0", foreignTunnel: deny}
  - {name: choosy, role: lan, bind: "127.0.0.1:0", allow: [203.0.113.0/24]}
  - {name: behind, role: lan, bind: "127.0.0.1:0", proxyProtocol: required, trustProxy: [127.0.0.1/32]}
  - {name: strangers, role: lan, bind: "127.0.0.1:0", proxyProtocol: required, trustProxy: [192.0.2.0/24]}
  - {name: adm, role: admin, bind: "127.0.0.1:0"}
"#;

const POLICY: &str = "rules:\n\
    - {name: site, hosts: [www.example.test, small.example.test], exposure: both}\n\
    - {name: few, hosts: [few.example.test], exposure: lan, from: [203.0.113.0/24]}\n\
    - {name: inner, hosts: [inner.example.test], exposure: lan}\n";

const MORE: &str = "- {host: few.example.test, respond: {status: 200}}\n\
    - {host: inner.example.test, respond: {status: 200}}\n\
    - {host: small.example.test, limits: {body: 10}, respond: {status: 200}}\n\
    - {host: own.example.test, tls: passthrough, backends: [\"127.0.0.1:9\"]}\n";

fn serve(site: &Site) -> (Adit, Origin) {
    let origin = origin(Kind::Http1, "one");
    let forward = format!(
        "- {{host: fwd.example.test, backends: [\"http://{}\"]}}\n",
        origin.addr()
    );
    let limits = "limits: {shutdownGrace: 0s, headTimeout: 300ms, firstByteTimeout: 300ms, \
                  proxyHeaderTimeout: 300ms}\n";
    let routes = format!("workers: 1\n{FIXED}{forward}{MORE}{POLICY}{limits}");
    (site.run_with(DOORS, &routes), origin)
}

type Message = (&'static str, &'static str, String);

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: www.example.test\r\n{fields}\r\n")
}

fn to(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

fn line(line: &str) -> String {
    format!("{line}\r\nHost: www.example.test\r\n\r\n")
}

fn chunked(body: &str) -> String {
    let head = "POST / HTTP/1.1\r\nHost: fwd.example.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    format!("{head}{body}")
}

/// Requests in clear text, each with the door it goes to and the rule that refuses it.
fn messages() -> Vec<Message> {
    let mut messages = framing();
    messages.extend(others());
    messages
}

fn framing() -> Vec<Message> {
    vec![
        (
            "web",
            "D-10",
            get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ),
        (
            "web",
            "D-11",
            get("Content-Length: 5\r\nContent-Length: 5\r\n"),
        ),
        ("web", "D-12", get("Content-Length: +5\r\n")),
        ("web", "D-13", get("Content-Length: 05\r\n")),
        ("web", "D-14", get("Transfer-Encoding: gzip\r\n")),
        (
            "web",
            "D-15",
            get("Transfer-Encoding: chunked, chunked\r\n"),
        ),
        (
            "web",
            "D-16",
            "POST / HTTP/1.0\r\nHost: www.example.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                .into(),
        ),
        (
            "web",
            "D-30",
            "GET / HTTP/1.1\nHost: www.example.test\n\n".into(),
        ),
        ("web", "D-31", get("a: b\rc\r\n")),
        ("web", "D-32", get("a: b\x01\r\n")),
        ("web", "D-34", get("a : b\r\n")),
        ("web", "D-35", get("a: b\r\n c\r\n")),
        ("web", "D-36", get("nothing\r\n")),
        ("web", "D-37", line("GET  / HTTP/1.1")),
        ("web", "D-38", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        ("web", "D-42", "\r\n\r\nGET / HTTP/1.1\r\n\r\n".into()),
        ("web", "D-80", get("Expect: magic\r\n")),
        ("web", "D-82", line("CONNECT www.example.test:443 HTTP/1.1")),
        ("web", "D-84", line("TRACE / HTTP/1.1")),
        (
            "web",
            "D-85",
            get("Upgrade: websocket\r\nConnection: upgrade\r\n"),
        ),
    ]
}

fn others() -> Vec<Message> {
    let fields: String = (0..200).map(|n| format!("x{n}: 1\r\n")).collect();
    let cookies = "Cookie: a\r\n".repeat(300);
    let wide: String = (0..40)
        .map(|n| format!("x{n}: {}\r\n", "y".repeat(1000)))
        .collect();
    let long = "x".repeat(20_000);
    vec![
        (
            "web",
            "H-12",
            get("X_Forwarded_For: 1.2.3.4\r\n").replace("www", "fwd"),
        ),
        ("web", "H-13", get("Connection: content-length\r\n")),
        ("web", "N-01", "GET / HTTP/1.1\r\n\r\n".into()),
        ("web", "N-02", to("u@www.example.test")),
        (
            "web",
            "N-05",
            line("GET http://other.example.test/ HTTP/1.1"),
        ),
        ("web", "N-06", line("GET admin HTTP/1.1")),
        ("web", "N-08", line("GET /a#b HTTP/1.1")),
        ("web", "L-01", line(&format!("GET /{long} HTTP/1.1"))),
        (
            "web",
            "L-02",
            line(&format!("{} / HTTP/1.1", "M".repeat(40))),
        ),
        ("web", "L-03", get(&wide)),
        ("web", "L-04", get(&format!("a: {long}\r\n"))),
        ("web", "L-05", get(&fields)),
        ("web", "L-06", get(&cookies)),
        (
            "web",
            "L-10",
            "POST / HTTP/1.1\r\nHost: small.example.test\r\nContent-Length: 11\r\n\r\n".into(),
        ),
        ("web", "L-61", String::new()),
        ("web", "L-63", "GET /".into()),
        ("web", "E-02", to("none.example.test")),
        ("inet", "E-02", to("inner.example.test")),
        ("web", "E-from", to("few.example.test")),
        (
            "deny",
            "E-foreign-tunnel",
            get(
                "Cf-Ray: 8c-AMS\r\nCf-Connecting-Ip: 1.2.3.4\r\nCdn-Loop: cloudflare\r\nConnection: close\r\n",
            ),
        ),
        ("choosy", "listener-lists", to("www.example.test")),
        (
            "strangers",
            "P-02",
            "PROXY TCP4 203.0.113.1 192.0.2.1 1 2\r\n".into(),
        ),
        ("behind", "P-04", "PROXY TCP4 ".into()),
        ("behind", "P-05", "PROXY TCP4 x\r\n".into()),
        (
            "behind",
            "P-14",
            "PROXY TCP4 224.0.0.1 192.0.2.1 1 2\r\n".into(),
        ),
        ("behind", "L-60", "P".into()),
        ("webs", "TL-09", get("")),
        ("webs", "L-61", String::new()),
        ("web", "D-39", chunked("x\r\n")),
    ]
}

/// Acceptance: 85
#[test]
fn every_refusal_is_counted_and_logged_by_its_rule() {
    let site = Site::new();
    let (adit, _origin) = serve(&site);
    let mut missing = String::new();
    for (door, rule, message) in messages() {
        let label = format!("rule=\"{rule}\"");
        let count = || metric(&site, &adit, &["adit_refused_total{", &label]);
        let logged = || adit.access(&format!("\"rule\":\"{rule}\"")).len();
        let (counted, lines) = (count(), logged());
        let mut client = Raw::connect(adit.addr(door));
        let _ = client.try_send(message.as_bytes());
        if rule == "P-04" {
            client.finish();
        }
        let answer = client.rest();
        let seen = crate::support::poll(|| (count() > counted && logged() > lines).then_some(()));
        if seen.is_none() {
            let (now, lines) = (count() - counted, logged() - lines);
            missing += &format!("{door} {rule}: counted {now}, logged {lines}, {answer:?}\n");
        }
    }
    assert!(missing.is_empty(), "\n{missing}");
    for (name, rule) in [("none.example.test", "TL-13"), ("own.example.test", "")] {
        let shaken = Raw::tls(adit.addr("webs"), name, site.tls(&["http/1.1"]));
        assert!(shaken.is_err(), "{name}");
        if !rule.is_empty() {
            refused(&site, &adit, rule, 1.0);
        }
    }
    // A host that is passed through, asked for inside of a connection that ended here.
    let mut client = site.raw_tls(adit.addr("webs"), "www.example.test");
    client.send("GET / HTTP/1.1\r\nHost: own.example.test\r\n\r\n");
    assert!(client.answer().0.starts_with("HTTP/1.1 421"));
    refused(&site, &adit, "TL-20", 1.0);
}

#[test]
fn attacks_are_told_apart_from_requests_and_do_not_flood_the_log() {
    let site = Site::new();
    let (adit, _origin) = serve(&site);
    for _ in 0..50 {
        for (door, rule, message) in messages() {
            if ["D-10", "H-12", "P-02", "E-from"].contains(&rule)
                || (door, rule) == ("inet", "E-02")
            {
                let mut client = Raw::connect(adit.addr(door));
                let _ = client.try_send(message.as_bytes());
                client.rest();
            }
        }
    }
    let events = eventually("all kinds are told", || {
        let log = adit.process().stderr();
        let events: Vec<Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|event: &Value| event["target"] == "security")
            .collect();
        let kinds = ["desync", "spoofed_field", "untrusted_proxy", "exposure"];
        let told = |kind: &&str| events.iter().any(|event| event["attempt"] == **kind);
        kinds.iter().all(told).then_some(events)
    });
    assert!(events.len() < 100, "{} lines of 250 attempts", events.len());
    for event in &events {
        assert!(
            event["rule"].is_string() && event["client"] == "127.0.0.1",
            "{event}"
        );
        assert!(event["count"].as_u64().unwrap() >= 1, "{event}");
    }
    for (kind, least) in [("desync", 50.0), ("exposure", 100.0)] {
        let label = format!("attempt=\"{kind}\"");
        let count = metric(&site, &adit, &["adit_security_attempts_total{", &label]);
        assert!(count >= least, "{kind}: {count}");
    }
}

#[test]
fn the_last_refused_heads_can_be_looked_at_without_their_secrets() {
    let site = Site::new();
    let (adit, _origin) = serve(&site);
    let head = "GET /a?token=canary-1 HTTP/1.1\r\nHost: www.example.test\r\n\
                Authorization: Basic canary-2\r\nCookie : canary-3\r\n\r\n";
    let mut client = Raw::connect(adit.addr("web"));
    client.send(head);
    client.rest();
    let text = eventually("the head is kept", || {
        let answer = site.curl(adit.addr("adm")).get("http://localhost/refused");
        let text = answer.expect(200).text();
        text.contains("D-34").then_some(text)
    });
    let kept: Value = serde_json::from_str(&text).unwrap();
    let first = &kept["heads"][0];
    assert_eq!(
        (&first["rule"], &first["listener"]),
        (&"D-34".into(), &"web".into())
    );
    assert!(
        first["head"].as_str().unwrap().contains("token=<masked>"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
    assert!(!adit.process().stderr().contains("canary"));
    assert!(!adit.process().stdout().contains("canary-2"));
    // There are never more than a few.
    for _ in 0..100 {
        let mut client = Raw::connect(adit.addr("web"));
        client.send(head);
        client.rest();
    }
    let answer = site.curl(adit.addr("adm")).get("http://localhost/refused");
    let kept: Value = serde_json::from_str(&answer.expect(200).text()).unwrap();
    assert!(kept["heads"].as_array().unwrap().len() <= 64);
}

/// Acceptance: 86
#[test]
fn nothing_that_a_client_sends_breaks_a_line_of_the_log() {
    let site = Site::new();
    let (adit, _origin) = serve(&site);
    let nasty = [
        "\\",
        "\"",
        "\\\"",
        "\"}{\"",
        "%0a",
        "%0d%0a",
        "\u{7f}",
        "\u{80}",
        "\u{2028}",
        "\u{202e}",
        "\u{1f980}",
        "\u{1b}[31m",
        "\t",
        "$(id)",
        "{{7*7}}",
        "<script>",
        "%00",
        "\\u0000",
        "\\n",
        "'; DROP",
        "\u{fffd}",
        "ä",
        "{}",
    ];
    let mut sent = 0;
    for text in nasty {
        for request in [
            format!("GET /?{text} HTTP/1.1\r\nHost: www.example.test\r\n\r\n"),
            format!("GET /{text} HTTP/1.1\r\nHost: www.example.test\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: www.example.test\r\nUser-Agent: {text}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: www.example.test\r\nReferer: {text}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {text}\r\n\r\n"),
            format!("{text} / HTTP/1.1\r\nHost: www.example.test\r\n\r\n"),
        ] {
            let mut client = Raw::connect(adit.addr("web"));
            let _ = client.try_send(request.as_bytes());
            client.finish();
            client.rest();
            sent += 1;
        }
        let raw: Vec<u8> = [
            b"GET /\xff",
            text.as_bytes(),
            b" HTTP/1.1\r\nHost: \xc3\x28\r\n\r\n",
        ]
        .concat();
        let mut client = Raw::connect(adit.addr("web"));
        let _ = client.try_send(&raw);
        client.finish();
        client.rest();
        sent += 1;
    }
    let lines = eventually("each of them is logged", || {
        let log = adit.process().stdout();
        (log.lines().count() >= sent).then_some(log)
    });
    let (mut count, security) = (0, adit.process().stderr());
    for line in lines
        .split_terminator('\n')
        .chain(security.split_terminator('\n'))
    {
        let parsed: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(parsed.is_object(), "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.len() < 8 * 1024, "{line}");
        count += 1;
    }
    assert!(count >= sent);
}
