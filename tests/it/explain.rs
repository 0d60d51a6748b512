//! What `adit explain` says, against what adit does.

use std::net::SocketAddr;
use std::path::Path;

use adit_bench::Kind;
use serde_json::Value;

use crate::support::adit::{Adit, adit};
use crate::support::curl::Answer;
use crate::support::origin;
use crate::support::site::Site;

const DOORS: &str = r#"
networks:
  loop: {role: lan, cidrs: [127.0.0.0/8]}
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0", allow: [loop]}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}
  - {name: shut, role: lan, bind: "127.0.0.1:0", deny: [loop], tls: true}
  - {name: net, role: internet, bind: "127.0.0.1:0", redirect: {port: 8443}}
  - {name: nets, role: internet, bind: "127.0.0.1:0", tls: true}
  - {name: open, role: internet, bind: "127.0.0.1:0"}
"#;

const RULES: &str = r"
rules:
  - {name: site, hosts: [www.example.test], exposure: public}
  - {name: hooks, hosts: [git.example.test], paths: [/hook], exposure: public}
  - {name: hidden, hosts: [off.example.test], exposure: off}
  - {name: few, hosts: [few.example.test], exposure: lan, from: [192.0.2.0/24]}
default: {exposure: lan}
";

fn routes(backend: SocketAddr, own: SocketAddr) -> String {
    let mut routes = format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 paths:\n\
         \x20 - {{prefix: /, backends: [\"http://{backend}\"]}}\n\
         \x20 - {{prefix: /api, match: {{methods: [POST]}}, respond: {{status: 202}}}}\n\
         \x20 - {{exact: /status, respond: {{status: 204}}}}\n\
         \x20 - {{prefix: /small, limits: {{body: 4}}, backends: [\"http://{backend}\"]}}\n\
         - host: git.example.test\n\
         \x20 paths:\n\
         \x20 - {{prefix: /hook, backends: [\"http://{backend}\"]}}\n\
         \x20 - {{prefix: /api, backends: [\"http://{backend}\"]}}\n\
         - {{host: own.example.test, tls: passthrough, backends: [\"{own}\"]}}\n"
    );
    for host in ["off.example.test", "few.example.test", "bare.test"] {
        routes += &format!("- {{host: {host}, backends: [\"http://{backend}\"]}}\n");
    }
    routes + RULES
}

/// The verdict for a request of a client on loopback.
fn explained(config: &Path, door: &str, url: &str, more: &[&str]) -> Value {
    let config = config.to_str().unwrap();
    let mut arguments = vec![
        "explain", url, "--from", door, "--config", config, "-o", "json",
    ];
    arguments.extend(["--client", "127.0.0.1"]);
    arguments.extend(more);
    let output = adit(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    value["verdict"].clone()
}

/// Whether the answer is what the verdict says.
fn agrees(verdict: &Value, answer: &Answer, backend: SocketAddr, own: SocketAddr) -> bool {
    let endpoint = verdict["destinations"][0]["endpoints"][0].as_str();
    let status = verdict["status"].as_u64();
    match verdict["kind"].as_str().unwrap() {
        "tls-alert" => answer.status == 0 && answer.exit == 35,
        "closed" => answer.status == 0 && answer.exit != 0,
        "forwarded" => {
            answer.status == 200
                && answer.seen().backend == "one"
                && endpoint == Some(&format!("http://{backend}"))
        }
        "passed-through" => {
            answer.status == 200
                && answer.seen().backend == "own"
                && endpoint == Some(&own.to_string())
        }
        "redirected" => {
            status == Some(answer.status.into())
                && verdict["location"].as_str() == answer.field("location").as_deref()
        }
        "answered" | "fixed" => status == Some(answer.status.into()),
        other => panic!("{other}"),
    }
}

struct Served {
    site: Site,
    adit: Adit,
    backend: adit_bench::Origin,
    own: adit_bench::Origin,
}

impl Served {
    fn new() -> Self {
        let site = Site::new();
        let backend = origin(Kind::Http1, "one");
        let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
        let adit = site.run_with(DOORS, &routes(backend.addr(), own.addr()));
        Self {
            site,
            adit,
            backend,
            own,
        }
    }

    /// Asks both, and requires that they agree.
    fn ask(&self, door: &str, method: &str, url: &str, fields: &[&str]) -> String {
        let config = self.site.dir.join("adit.yaml");
        let mut more = vec!["--method", method];
        let curl = self.site.curl(self.adit.addr(door));
        let mut curl = curl.args(&["--path-as-is", "--request", method]);
        for field in fields {
            more.extend(["--header", field]);
            curl = curl.header(field);
        }
        if fields
            .iter()
            .any(|field| field.starts_with("Content-Length"))
        {
            curl = curl.args(&["--data-binary", "hello"]);
        }
        let verdict = explained(&config, door, url, &more);
        let answer = curl.get(url);
        assert!(
            agrees(&verdict, &answer, self.backend.addr(), self.own.addr()),
            "{door} {method} {url} {fields:?}\n{verdict:#}\n{answer:?}"
        );
        verdict["kind"].as_str().unwrap().to_owned()
    }
}

#[test]
fn adit_answers_as_explain_says() {
    let served = Served::new();
    let doors = ["web", "webs", "net", "nets", "open"];
    let hosts = [
        "www.example.test",
        "git.example.test",
        "off.example.test",
        "few.example.test",
        "own.example.test",
        "none.example.test",
        "bare.test",
    ];
    let paths = ["/", "/hook/x", "/hook/%2e%2e/api", "/api"];
    let mut kinds = std::collections::BTreeSet::new();
    for door in doors {
        let scheme = if door.ends_with('s') { "https" } else { "http" };
        for host in hosts {
            for path in paths {
                let url = format!("{scheme}://{host}{path}");
                kinds.insert(served.ask(door, "GET", &url, &[]));
            }
        }
    }
    // The table met every end that these doors have.
    let all = [
        "answered",
        "forwarded",
        "passed-through",
        "redirected",
        "tls-alert",
    ];
    assert!(kinds.iter().eq(&all), "{kinds:?}");
}

#[test]
fn methods_fields_and_schemes_are_judged_alike() {
    let served = Served::new();
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("web", "POST", "http://www.example.test/api", &[]),
        ("web", "PUT", "http://www.example.test/api", &[]),
        ("web", "GET", "http://www.example.test/status", &[]),
        ("web", "GET", "http://www.example.test/status/", &[]),
        ("web", "TRACE", "http://www.example.test/", &[]),
        ("web", "GET", "http://www.example.test/a//b", &[]),
        ("web", "GET", "http://www.example.test/%00", &[]),
        ("web", "GET", "http://www.example.test/..", &[]),
        (
            "web",
            "POST",
            "http://www.example.test/small",
            &["Content-Length: 5"],
        ),
        (
            "web",
            "GET",
            "http://www.example.test/",
            &["Host: git.example.test"],
        ),
        ("web", "GET", "http://www.example.test/", &["Host: a b"]),
        ("web", "GET", "http://www.example.test/", &["Cf-Ray: 1"]),
        ("web", "GET", "http://git.example.test/hook", &["Cf-Ray: 1"]),
        ("web", "GET", "http://git.example.test/api", &["Cf-Ray: 1"]),
        (
            "webs",
            "GET",
            "https://www.example.test/",
            &["Host: git.example.test"],
        ),
        (
            "webs",
            "GET",
            "https://git.example.test/hook",
            &["Host: few.example.test"],
        ),
        (
            "webs",
            "GET",
            "https://git.example.test/api",
            &["Host: own.example.test"],
        ),
        (
            "nets",
            "GET",
            "https://www.example.test/",
            &["Host: git.example.test"],
        ),
        (
            "nets",
            "GET",
            "https://www.example.test/hook",
            &["Host: git.example.test"],
        ),
        ("shut", "GET", "https://www.example.test/", &[]),
        ("web", "GET", "https://www.example.test/", &[]),
        ("webs", "GET", "http://www.example.test/", &[]),
    ];
    for (door, method, url, fields) in cases {
        served.ask(door, method, url, fields);
    }
}

#[test]
fn people_get_a_line_per_step_and_the_verdict_last() {
    let site = Site::new();
    let backend = "127.0.0.1:8000".parse().unwrap();
    let own = "127.0.0.1:8001".parse().unwrap();
    let config = Site::config_with(DOORS, &routes(backend, own));
    let file = site.dir.write("adit.yaml", config);
    let explain = |url: &str, from: &str| {
        let output = adit(&["explain", url, "--from", from, "-c", file.to_str().unwrap()]);
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    };
    let (code, text) = explain("https://www.example.test/x", "lan");
    assert_eq!(code, 0);
    assert!(text.starts_with("ok listener  webs (lan)"), "{text}");
    assert!(text.contains("\nok tls       www.example.test: ends here, certificate site\n"));
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        "verdict: forwarded to upstream www.example.test/ via http://127.0.0.1:8000"
    );
    let (code, text) = explain("http://off.example.test/", "internet");
    assert_eq!(code, 0);
    let rule = format!("rule hidden, {} line ", file.display());
    assert!(text.contains(&format!("\nno exposure  {rule}")), "{text}");
    let last = text.lines().last().unwrap();
    let hidden = format!("verdict: 404 as for an unknown host ({rule}");
    assert!(
        last.starts_with(&hidden) && last.ends_with(": off)"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "colours although NO_COLOR is set");
    for (url, from, part) in [
        ("http://www.example.test/", "wbe", "did you mean `web`?"),
        (
            "http://www.example.test/",
            "tunnel",
            "listeners: web (lan), webs (lan)",
        ),
        ("www.example.test/", "web", "write http://www.example.test/"),
        ("ftp://www.example.test/", "web", "neither http nor https"),
    ] {
        let (code, text) = explain(url, from);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn a_broken_file_is_reported_as_check_reports_it() {
    let site = Site::new();
    let bad = site.dir.write("bad.yaml", "version: 1\nroutse: []\n");
    // What shows only once the certificates are read.
    let gone = "version: 1\nlisteners: [{name: web, role: lan, bind: \"127.0.0.1:0\"}]\n\
                certificates: {files: [{name: gone, cert: gone.pem, key: gone.key}]}\n";
    let gone = site.dir.write("gone.yaml", gone);
    for (file, output) in [
        (&bad, "text"),
        (&bad, "json"),
        (&gone, "text"),
        (&gone, "json"),
    ] {
        let path = file.to_str().unwrap();
        let url = "http://www.example.test/";
        let explained = adit(&["explain", url, "--from", "web", "-c", path, "-o", output]);
        let checked = adit(&["check", path, "-o", output]);
        assert_eq!(explained.status.code(), Some(3));
        assert_eq!(checked.status.code(), Some(3));
        assert_eq!(explained.stdout, checked.stdout);
        assert_eq!(explained.stderr, checked.stderr);
    }
}
