//! Which route answers, what it may answer by itself, and how backends are chosen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adit_bench::Kind;

use crate::support::adit::Adit;
use crate::support::backend::Backend;
use crate::support::site::Site;
use crate::support::{eventually, free_addr, origin};

fn backend_of(site: &Site, adit: &Adit, url: &str, extra: &[&str]) -> String {
    let answer = site.curl(adit.addr("web")).args(extra).get(url);
    match answer.status {
        200 => answer.seen().backend,
        status => status.to_string(),
    }
}

#[test]
fn the_most_particular_route_answers() {
    let site = Site::new();
    let names = [
        "root", "v1", "v1deep", "exact", "regex", "post", "header", "query", "wild", "deep", "any",
    ];
    let origins: BTreeMap<_, _> = names
        .into_iter()
        .map(|name| (name, origin(Kind::Http1, name)))
        .collect();
    let to = |name: &str| format!("backends: [\"http://{}\"]", origins[name].addr());
    let adit = site.run(&format!(
        "routes:\n\
         - host: api.example.test\n\
         \x20 paths:\n\
         \x20   - {{prefix: /, {}}}\n\
         \x20   - {{prefix: /v1, {}}}\n\
         \x20   - {{prefix: /v1/deep/, {}}}\n\
         \x20   - {{exact: /v1/exact, {}}}\n\
         \x20   - {{regex: \"/re/[0-9]+\", {}}}\n\
         \x20   - {{prefix: /v1, match: {{methods: [POST]}}, {}}}\n\
         \x20   - {{prefix: /v1, match: {{headers: {{x-kind: special}}}}, {}}}\n\
         \x20   - {{prefix: /v1, match: {{query: {{kind: special}}}}, {}}}\n\
         - {{host: \"*.example.test\", {}}}\n\
         - {{host: \"**.example.test\", {}}}\n\
         - {{host: \"*\", {}}}\n",
        to("root"),
        to("v1"),
        to("v1deep"),
        to("exact"),
        to("regex"),
        to("post"),
        to("header"),
        to("query"),
        to("wild"),
        to("deep"),
        to("any"),
    ));
    let api = "http://api.example.test";
    let cases: [(&str, &[&str], &str); 19] = [
        ("/", &[], "root"),
        ("/v1", &[], "v1"),
        ("/v1/", &[], "v1"),
        ("/v1/a", &[], "v1"),
        ("/v1a", &[], "root"),
        ("/V1", &[], "root"),
        ("/v1/deep", &[], "v1deep"),
        ("/v1/deep/x", &[], "v1deep"),
        ("/v1/deeper", &[], "v1"),
        ("/v1/exact", &[], "exact"),
        ("/v1/exact/", &[], "v1"),
        ("/v1/exact?q", &[], "exact"),
        ("/re/12", &[], "regex"),
        ("/re/x", &[], "root"),
        ("/v1", &["-d", "x"], "post"),
        ("/v1", &["-H", "X-Kind: special"], "header"),
        ("/v1?kind=special", &[], "query"),
        ("/v1?kind=plain", &[], "v1"),
        ("/v1", &["-H", "X-Kind: other"], "v1"),
    ];
    for (path, extra, name) in cases {
        let got = backend_of(&site, &adit, &format!("{api}{path}"), extra);
        assert_eq!(got, name, "{path} {extra:?}");
    }
    for (host, name) in [
        ("a.example.test", "wild"),
        ("API.example.test", "root"),
        ("b.a.example.test", "deep"),
        ("example.test", "any"),
        ("elsewhere.org", "any"),
    ] {
        let got = backend_of(&site, &adit, &format!("http://{host}/"), &[]);
        assert_eq!(got, name, "{host}");
    }
}

#[test]
fn a_host_without_a_route_is_unknown() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, paths: [{{prefix: /a, backends: [\"http://{}\"]}}]}}\n",
        one.addr()
    ));
    for url in ["http://other.example.test/a", "http://www.example.test/b"] {
        let answer = site.curl(adit.addr("web")).get(url).expect(404);
        assert_eq!(answer.field("location"), None);
    }
}

/// Acceptance: 14
#[test]
fn readings_of_a_path_that_disagree_are_refused() {
    let site = Site::new();
    let (open, admin) = (origin(Kind::Http1, "open"), origin(Kind::Http1, "admin"));
    let adit = site.run(&format!(
        "routes:\n- host: www.example.test\n  paths:\n\
         \x20   - {{prefix: /, backends: [\"http://{}\"]}}\n\
         \x20   - {{prefix: /admin, backends: [\"http://{}\"]}}\n",
        open.addr(),
        admin.addr()
    ));
    let ask = |path: &str| {
        let url = format!("http://www.example.test{path}");
        backend_of(&site, &adit, &url, &["--path-as-is"])
    };
    for path in [
        "/x/../admin",
        "/%61dmin",
        "/%2561dmin",
        "//admin",
        "/x/%2e%2e/admin",
        "/admin/../x",
        "/x%2f..%2fadmin",
        "/x/..;/admin",
        "/../etc",
        "/x\\..\\admin",
    ] {
        assert_eq!(ask(path), "400", "{path}");
    }
    // What every reader reads alike goes through as it was sent.
    for path in ["/a%20b", "/a//b", "/pkg/@scope%2fname", "/a;b=c", "/a/./b"] {
        let url = format!("http://www.example.test{path}");
        let curl = site.curl(adit.addr("web")).arg("--path-as-is");
        let seen = curl.get(&url).expect(200).seen();
        assert_eq!(seen.request, format!("GET {path} HTTP/1.1"));
        assert_eq!(seen.backend, "open");
    }
}

#[test]
fn plain_doors_send_people_to_the_tls_door() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let own = origin(Kind::Tls(site.pki.leaf(&["own.example.test"])), "own");
    let doors = r#"
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0", redirect: {scheme: https, port: 8443, status: 308}}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}
"#;
    let adit = site.run_with(
        doors,
        &format!(
            "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n\
             - {{host: own.example.test, tls: passthrough, backends: [\"{}\"]}}\n",
            one.addr(),
            own.addr()
        ),
    );
    for host in ["www", "own"] {
        let url = format!("http://{host}.example.test/a%20b?c=d");
        let answer = site.curl(adit.addr("web")).get(&url).expect(308);
        let location = answer.field("location").unwrap();
        assert_eq!(
            location,
            format!("https://{host}.example.test:8443/a%20b?c=d")
        );
    }
    // A host that is not served is not told where to go.
    let answer = site
        .curl(adit.addr("web"))
        .get("http://other.example.test/");
    assert_eq!(answer.expect(404).field("location"), None);
}

#[test]
fn a_fixed_answer_needs_no_backend() {
    let site = Site::new();
    let adit = site.run(
        "routes:\n- host: www.example.test\n\
         \x20 respond: {status: 503, headers: {retry-after: \"60\"}, body: \"Back in a minute\"}\n",
    );
    for (scheme, door) in [("http", "web"), ("https", "webs")] {
        let url = format!("{scheme}://www.example.test/any/path");
        let answer = site.curl(adit.addr(door)).get(&url).expect(503);
        assert_eq!(answer.text(), "Back in a minute");
        assert_eq!(answer.field("retry-after").as_deref(), Some("60"));
    }
}

#[test]
fn doors_may_be_bound_to_an_interface_and_to_both_families() {
    let site = Site::new();
    let doors = "listeners:\n\
         - {name: lo, role: lan, bind: \"0.0.0.0:0\", interface: lo}\n\
         - {name: dual, role: lan, bind: \"[::]:0\"}\n";
    let routes = "routes:\n- {host: \"*\", respond: {status: 200, body: here}}\n";
    let adit = Adit::run(&site.dir, &Site::config_with(doors, routes));
    for (door, address) in [("lo", "127.0.0.1"), ("dual", "127.0.0.1"), ("dual", "::1")] {
        let port = adit.addr(door).port();
        let at = std::net::SocketAddr::new(address.parse().unwrap(), port);
        let answer = site.curl(at).get("http://any.example.test/");
        assert_eq!(answer.expect(200).text(), "here", "{door} {address}");
    }
    adit.stop();
}

fn spread(site: &Site, adit: &Adit, count: usize, path: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for n in 0..count {
        let url = format!("http://www.example.test{path}{n}");
        *counts.entry(backend_of(site, adit, &url, &[])).or_default() += 1;
    }
    counts
}

#[test]
fn requests_are_spread_by_weight() {
    let site = Site::new();
    let (a, b) = (origin(Kind::Http1, "a"), origin(Kind::Http1, "b"));
    let adit = site.run(&format!(
        "workers: 1\nroutes:\n- host: www.example.test\n  balance: roundRobin\n\
         \x20 backends: [{{url: \"http://{}\", weight: 3}}, {{url: \"http://{}\", weight: 1}}]\n",
        a.addr(),
        b.addr()
    ));
    let counts = spread(&site, &adit, 40, "/");
    assert_eq!(counts["a"], 30, "{counts:?}");
    assert_eq!(counts["b"], 10, "{counts:?}");
}

#[test]
fn every_way_of_balancing_reaches_every_backend() {
    let site = Site::new();
    let (a, b) = (origin(Kind::Http1, "a"), origin(Kind::Http1, "b"));
    for balance in ["roundRobin", "p2c", "ewma", "{hash: path}"] {
        let adit = site.run(&format!(
            "workers: 1\nroutes:\n- host: www.example.test\n  balance: {balance}\n\
             \x20 backends: [\"http://{}\", \"http://{}\"]\n",
            a.addr(),
            b.addr()
        ));
        let counts = spread(&site, &adit, 40, "/");
        assert_eq!(counts.values().sum::<usize>(), 40, "{balance} {counts:?}");
        assert_eq!(counts.len(), 2, "{balance} {counts:?}");
    }
}

/// Acceptance: R-08
#[test]
fn a_backend_that_refuses_is_passed_over() {
    let site = Site::new();
    let alive = origin(Kind::Http1, "alive");
    let adit = site.run(&format!(
        "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\", \"http://{}\"]}}\n",
        free_addr(),
        alive.addr()
    ));
    let counts = spread(&site, &adit, 20, "/");
    assert_eq!(counts.get("alive"), Some(&20), "{counts:?}");
}

/// Acceptance: R-08
#[test]
fn a_request_that_may_have_been_acted_on_is_not_sent_again() {
    let site = Site::new();
    let broken = Backend::start(|_, mut client| {
        client.try_until_head();
    });
    let adit = site.run(&format!(
        "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        broken.addr()
    ));
    let answer = site
        .curl(adit.addr("web"))
        .args(&["-d", "pay=1"])
        .get("http://www.example.test/");
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(broken.accepted(), 1, "a POST was sent twice");
}

/// Acceptance: R-09
#[test]
fn an_unhealthy_backend_gets_no_requests_until_it_is_well() {
    let site = Site::new();
    let well = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&well);
    let moody = Backend::start(move |_, mut client| {
        // Only its health page knows: requests alone would have it ejected for much longer.
        while let Some(head) = client.try_head() {
            let ill = head.contains(" /healthz ") && !state.load(Ordering::Relaxed);
            let status = if ill {
                "503 Service Unavailable"
            } else {
                "200 OK"
            };
            let body = r#"{"backend": "moody", "headers": []}"#;
            let length = body.len();
            client.send(format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
        }
    });
    let steady = origin(Kind::Http1, "steady");
    let adit = site.run(&format!(
        "workers: 1\nroutes:\n- host: www.example.test\n  backends: [\"http://{}\", \"http://{}\"]\n\
         \x20 health: {{path: /healthz, interval: 100ms}}\n",
        moody.addr(),
        steady.addr()
    ));
    eventually("only the steady one is asked", || {
        (spread(&site, &adit, 10, "/").get("steady") == Some(&10)).then_some(())
    });
    well.store(true, Ordering::Relaxed);
    eventually("both are asked", || {
        (spread(&site, &adit, 10, "/").contains_key("moody")).then_some(())
    });
}

#[test]
fn a_backend_that_is_silent_is_given_up() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"], timeouts: {{response: 300ms}}}}\n",
        one.addr()
    ));
    let start = Instant::now();
    let answer = site
        .curl(adit.addr("web"))
        .get("http://www.example.test/delay/30000");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    // The time is for the head: a slow body may take longer.
    let answer = site
        .curl(adit.addr("web"))
        .get("http://www.example.test/drip/20");
    assert_eq!(answer.expect(200).body.len(), 20);
}

#[test]
fn a_backend_that_is_our_own_door_is_refused() {
    let site = Site::new();
    let door = free_addr();
    let file = site.dir.write(
        "adit.yaml",
        Site::config_with(
            &format!("listeners:\n- {{name: web, role: lan, bind: \"{door}\"}}\n"),
            &format!("routes:\n- {{host: www.example.test, backends: [\"http://{door}\"]}}\n"),
        ),
    );
    let check = crate::support::adit::adit(&["check", file.to_str().unwrap()]);
    if check.status.success() {
        let adit = Adit::run_with(&site.dir, &file, &[]);
        let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
        assert_eq!(answer.status, 508, "{answer:?}");
    } else {
        assert_eq!(check.status.code(), Some(3), "{check:?}");
    }
}
