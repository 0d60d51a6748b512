//! Redirects, rewrites and header fields.

use adit_bench::Kind;

use crate::support::site::Site;
use crate::support::{eventually, origin};

#[test]
fn a_redirect_answers_with_its_location_alone() {
    let site = Site::new();
    let adit = site.run(
        "routes:\n\
         - host: www.example.test\n\
         \x20 paths:\n\
         \x20   - {prefix: /fixed, redirect: \"https://new.example.test/home\"}\n\
         \x20   - {prefix: /kept, redirect: {to: \"https://new.example.test$request_uri\", status: 308}}\n\
         \x20   - {prefix: /path, redirect: {to: /elsewhere, status: 302}}\n",
    );
    let cases = [
        ("/fixed/a?b=c", 301, "https://new.example.test/home"),
        ("/kept/a?b=c", 308, "https://new.example.test/kept/a?b=c"),
        ("/path", 302, "http://www.example.test/elsewhere"),
    ];
    for (target, status, location) in cases {
        let url = format!("http://www.example.test{target}");
        let answer = site.curl(adit.addr("web")).get(&url).expect(status);
        assert_eq!(
            answer.field("location").as_deref(),
            Some(location),
            "{target}"
        );
    }
}

#[test]
fn fields_are_edited_in_both_directions() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 requestHeaders: {{set: {{x-tenant: blue, x-asked: \"$request_method $host\", x-none: \"$arg_none\"}}, remove: [x-debug]}}\n\
         \x20 responseHeaders: {{set: {{x-frame-options: DENY}}, add: {{x-for: \"$remote_addr\"}}, remove: [content-type]}}\n",
        one.addr()
    ));
    let curl = site.curl(adit.addr("web"));
    let answer = curl
        .header("X-Tenant: red")
        .header("X-Debug: 1")
        .header("X-None: 1")
        .get("http://www.example.test/")
        .expect(200);
    assert_eq!(answer.field("x-frame-options").as_deref(), Some("DENY"));
    assert_eq!(answer.field("x-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(answer.field("content-type"), None);
    let seen = answer.seen();
    assert_eq!(seen.one("x-tenant"), Some("blue"));
    assert_eq!(seen.one("x-asked"), Some("GET www.example.test"));
    assert_eq!(seen.one("x-none"), None);
    assert_eq!(seen.one("x-debug"), None);
}

#[test]
fn plain_http_is_sent_to_https_where_a_certificate_is() {
    let site = Site::new();
    let doors = "listeners:\n\
         - {name: web, role: lan, bind: \"127.0.0.1:0\", trustForwarded: [127.0.0.1]}\n\
         - {name: webs, role: lan, bind: \"127.0.0.1:0\", tls: true}\n";
    let routes = "routes:\n\
         - {host: www.example.test, httpsRedirect: certificate, hsts: true, respond: {}}\n\
         - {host: www.other.test, httpsRedirect: certificate, respond: {}}\n\
         - {host: always.other.test, httpsRedirect: {when: always, status: 307}, respond: {}}\n\
         - {host: \"*\", httpsRedirect: certificate, respond: {}}\n";
    let adit = site.run_with(doors, routes);
    let forwarded = "X-Forwarded-Proto: https";
    let cases = [
        (
            "http://www.example.test/a/?b=/",
            "",
            308,
            "https://www.example.test/a/?b=/",
        ),
        ("http://www.example.test/", forwarded, 200, ""),
        (
            "http://www.example.test/x",
            "X-Forwarded-Host: pub.example.test:81",
            308,
            "https://pub.example.test/x",
        ),
        ("http://www.other.test/", "", 200, ""),
        (
            "http://always.other.test/a",
            "",
            307,
            "https://always.other.test/a",
        ),
        ("http://nobody.example.test/", "", 200, ""),
    ];
    for (url, field, status, location) in cases {
        let mut curl = site.curl(adit.addr("web"));
        if !field.is_empty() {
            curl = curl.header(field);
        }
        let answer = curl.get(url).expect(status);
        assert_eq!(
            answer.field("location").unwrap_or_default(),
            location,
            "{url} {field}"
        );
        let hsts = answer.field("strict-transport-security");
        assert_eq!(hsts.is_some(), field == forwarded, "{url} {field}");
    }
    let answer = site
        .curl(adit.addr("webs"))
        .get("https://www.example.test/")
        .expect(200);
    let hsts = answer.field("strict-transport-security");
    assert_eq!(hsts.as_deref(), Some("max-age=31536000"));
}

#[test]
fn a_twin_sends_its_requests_to_the_host() {
    let site = Site::new();
    let adit = site.run(
        "routes:\n\
         - {host: example.test, wwwRedirect: true, respond: {}}\n\
         - {host: www.c1.example.test, profile: nginx, wwwRedirect: true, respond: {}}\n",
    );
    let port = adit.addr("web").port();
    let cases = [
        (
            "http://www.example.test/a/?b",
            "http://example.test/a/?b".to_owned(),
        ),
        (
            "http://www.example.test:81/a/",
            "http://example.test:81/a/".to_owned(),
        ),
        (
            "http://c1.example.test/a?b",
            format!("http://www.c1.example.test:{port}/a?b"),
        ),
        (
            "http://c1.example.test/a/",
            format!("http://www.c1.example.test:{port}/a"),
        ),
        (
            "http://c1.example.test/",
            format!("http://www.c1.example.test:{port}"),
        ),
    ];
    for (url, location) in cases {
        let answer = site.curl(adit.addr("web")).get(url).expect(308);
        assert_eq!(answer.field("location"), Some(location), "{url}");
    }
    let answer = site
        .curl(adit.addr("webs"))
        .get("https://www.example.test/a")
        .expect(308);
    assert_eq!(
        answer.field("location").as_deref(),
        Some("https://example.test/a")
    );
}

#[test]
fn backends_see_the_path_that_a_rewrite_makes() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let two = origin(Kind::H2c, "two");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 paths:\n\
         \x20   - {{prefix: /api, rewrite: {{stripPrefix: /api}}}}\n\
         \x20   - {{prefix: /fixed, rewrite: {{stripPrefix: /fixed, forwardedPrefix: /said}}}}\n\
         \x20   - {{prefix: /more, rewrite: {{addPrefix: /even}}}}\n\
         \x20   - {{prefix: /v1, rewrite: {{replacePrefix: {{from: /v1, to: /v2/x}}}}}}\n\
         \x20   - {{prefix: /whole, rewrite: \"/all?from=$location_path\"}}\n\
         \x20   - {{prefix: /value, rewrite: \"/v/$arg_to/$http_x_to\"}}\n\
         \x20   - {{regex: \"/user/([0-9]+)$\", rewrite: \"/users?id=$1\"}}\n\
         \x20   - {{prefix: /h2, rewrite: {{stripPrefix: /h2}}, upstreamHost: inner.test, backends: [\"h2c://{}\"]}}\n\
         \x20   - {{prefix: /host, upstreamHost: \"$request_method.inner.test:81\"}}\n",
        one.addr(),
        two.addr()
    ));
    let cases = [
        ("/api/users?x=y", "/users?x=y", "/api", "www.example.test"),
        ("/api", "/", "/api", "www.example.test"),
        ("/api//a/./b", "/a/b", "/api", "www.example.test"),
        ("/fixed/a", "/a", "/said", "www.example.test"),
        ("/more/a", "/even/more/a", "", "www.example.test"),
        ("/v1/a", "/v2/x/a", "", "www.example.test"),
        ("/whole/a?b", "/all?from=/whole&b", "", "www.example.test"),
        (
            "/value?to=a%20b",
            "/v/a%20b/x%20%3F%23y?to=a%20b",
            "",
            "www.example.test",
        ),
        ("/user/7?x=y", "/users?id=7&x=y", "", "www.example.test"),
        ("/h2/a", "/a", "/h2", "inner.test"),
        ("/host/a", "/host/a", "", "get.inner.test:81"),
    ];
    for (target, path, prefix, host) in cases {
        let url = format!("http://www.example.test{target}");
        let curl = site.curl(adit.addr("web")).arg("--path-as-is");
        let curl = curl
            .header("X-To: x ?#y")
            .header("X-Forwarded-Prefix: /lie");
        let seen = curl.get(&url).expect(200).seen();
        assert_eq!(seen.request.split(' ').nth(1), Some(path), "{target}");
        assert_eq!(
            seen.one("x-forwarded-prefix").unwrap_or_default(),
            prefix,
            "{target}"
        );
        let authority = seen.one(":authority").or(seen.one("host"));
        assert_eq!(authority, Some(host), "{target}");
        assert_eq!(
            seen.one("x-forwarded-host"),
            Some("www.example.test"),
            "{target}"
        );
    }
    for target in ["/value?to=..", "/value?to=%2e%2e", "/value?to=%zz"] {
        let url = format!("http://www.example.test{target}");
        site.curl(adit.addr("web")).get(&url).expect(400);
    }
    eventually("three refusals in the log", || {
        (adit.access("N-12").len() >= 3).then_some(())
    });
}

#[test]
fn strict_preflights_are_those_that_browsers_send() {
    let site = Site::new();
    let adit = site.run(
        "routes:\n\
         - {host: www.example.test, cors: true, limits: {body: 4}, respond: {body: ok}}\n",
    );
    let url = "http://www.example.test/";
    let origin = "Origin: https://a.test";
    let curl = || site.curl(adit.addr("web")).header(origin);
    let asked = curl().args(&["--request", "OPTIONS"]);
    let asked = asked
        .header("Access-Control-Request-Method: PUT")
        .get(url)
        .expect(204);
    let plain = curl().args(&["--request", "OPTIONS"]).get(url).expect(200);
    let large = curl()
        .arg("--data-binary")
        .arg("too large")
        .get(url)
        .expect(413);
    for answer in [asked, plain, large] {
        assert_eq!(
            answer.field("access-control-allow-origin").as_deref(),
            Some("*")
        );
        assert_eq!(answer.field("access-control-allow-credentials"), None);
    }
}

#[test]
fn explain_names_the_policy_that_answers() {
    let site = Site::new();
    let file = site.dir.write(
        "adit.yaml",
        Site::config(
            "routes:\n\
             - {host: www.example.test, httpsRedirect: always, respond: {}}\n\
             - {host: api.example.test, rewrite: {stripPrefix: /api}, backends: [\"http://127.0.0.1:1\"]}\n",
        ),
    );
    let cases = [
        ("http://www.example.test/a", "https://www.example.test/a"),
        (
            "http://api.example.test/api/x",
            "the backend is asked for /x",
        ),
    ];
    for (url, wanted) in cases {
        let file = file.to_str().unwrap();
        let output =
            crate::support::adit::adit(&["explain", url, "--from", "web", "--config", file]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains(wanted), "{url}:\n{told}");
    }
}
