//! What an operator sees: health, metrics, routes, connections, the access log, and the page.

mod chromium;
mod page;
mod reports;

use std::collections::BTreeMap;

use adit_bench::Kind;
use serde_json::Value;

use crate::support::adit::Adit;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{eventually, origin};

fn serve(site: &Site, backend: impl std::fmt::Display) -> Adit {
    site.run(&format!(
        "routes:\n\
         - {{host: www.example.test, backends: [\"http://{backend}\"]}}\n\
         - {{host: own.example.test, tls: passthrough, backends: [\"{backend}\"]}}\n\
         rules:\n- {{name: hidden, hosts: [old.example.test], exposure: off}}\n"
    ))
}

fn admin(site: &Site, adit: &Adit, path: &str) -> String {
    let url = format!("http://localhost{path}");
    site.curl(adit.addr("adm")).get(&url).expect(200).text()
}

#[test]
fn health_is_told_by_status() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    for path in ["/livez", "/readyz"] {
        admin(&site, &adit, path);
    }
    let answer = site.curl(adit.addr("adm")).get("http://localhost/nothing");
    assert_eq!(answer.status, 404);
}

/// Metrics by name with labels.
fn metrics(site: &Site, adit: &Adit) -> BTreeMap<String, f64> {
    let text = admin(site, adit, "/metrics");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or(f64::NAN))
        })
        .collect()
}

#[test]
fn requests_are_counted_and_names_of_clients_are_not_labels() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    for n in 0..20 {
        let url = format!("http://www.example.test/{n}");
        site.curl(adit.addr("web")).get(&url).expect(200);
        let url = format!("http://random{n}.example.org/");
        site.curl(adit.addr("web")).get(&url).expect(404);
    }
    let all = eventually("metrics show the requests", || {
        let all = metrics(&site, &adit);
        let served: f64 = all
            .iter()
            .filter(|(name, _)| name.contains("requests_total") && name.contains("2xx"))
            .map(|(_, value)| value)
            .sum();
        (served >= 20.0).then_some(all)
    });
    for name in all.keys() {
        assert!(!name.contains("random"), "a client made the label {name}");
    }
    // The text is what a collector accepts.
    let text = admin(&site, &adit, "/metrics");
    let mut typed = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap();
            assert!(typed.insert(name.to_owned()), "{name} is declared twice");
        }
    }
    assert!(typed.len() > 10, "{typed:?}");
}

#[test]
fn routes_and_connections_are_shown_as_they_are() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    let routes = admin(&site, &adit, "/routes");
    let _: Value = serde_json::from_str(&routes).unwrap();
    for part in [
        "www.example.test",
        "own.example.test",
        &one.addr().to_string(),
    ] {
        assert!(routes.contains(part), "{part} in {routes}");
    }
    let mut client = Raw::connect(adit.addr("web"));
    client.send("GET /sse HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    client.until("event 0");
    let from = client.local_addr().to_string();
    eventually("the connection is shown", || {
        let text = admin(&site, &adit, "/connections");
        let _: Value = serde_json::from_str(&text).unwrap();
        text.contains(&from).then_some(())
    });
    drop(client);
    eventually("the connection is gone", || {
        (!admin(&site, &adit, "/connections").contains(&from)).then_some(())
    });
}

#[test]
fn the_admin_door_serves_nobody_else() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    let adm = adit.addr("adm");
    // A page that another site's name leads to must not be read by that site.
    for host in ["evil.example.org", "www.example.test"] {
        let answer = site.curl(adm).get(&format!("http://{host}/routes"));
        assert!(answer.status >= 400, "{host}: {answer:?}");
        assert!(!answer.text().contains("example.test"));
    }
    // It is for looking, not for changing.
    for method in ["POST", "PUT", "DELETE"] {
        let answer = site
            .curl(adm)
            .args(&["-X", method])
            .get("http://localhost/routes");
        assert_eq!(answer.status, 405, "{method}");
    }
    // And no route leads there.
    for path in ["/metrics", "/routes"] {
        let url = format!("http://localhost{path}");
        let answer = site.curl(adit.addr("web")).get(&url);
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[test]
fn each_request_is_logged_once_with_who_and_what() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    site.curl(adit.addr("webs"))
        .arg("--http2")
        .get("https://www.example.test/logged?secret=1")
        .expect(200);
    let lines = eventually("the line", || {
        let lines = adit.access("/logged");
        (!lines.is_empty()).then_some(lines)
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let text = lines[0].to_string();
    for part in ["www.example.test", "webs", "127.0.0.1", "200", "GET"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains(&one.addr().to_string()), "{text}");
    adit.stop();
}

#[test]
fn the_log_can_be_combined_or_off_or_a_file() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let routes = format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    );
    let adit = site.run(&format!(
        "accessLog: {{format: combined, path: access.log}}\n{routes}"
    ));
    site.curl(adit.addr("web"))
        .header("User-Agent: a \"quoted\" agent")
        .get("http://www.example.test/x")
        .expect(200);
    let log = eventually("the line", || {
        let log = site.dir.read("access.log");
        log.contains('\n').then_some(log)
    });
    assert!(log.starts_with("127.0.0.1 - - ["), "{log}");
    assert!(log.contains("\"GET /x HTTP/1.1\" 200 "), "{log}");
    assert!(!log.contains("a \"quoted\""), "not escaped: {log}");
    // Rotated as logrotate does: renamed, then told.
    std::fs::rename(site.dir.join("access.log"), site.dir.join("access.log.1")).unwrap();
    adit.hup();
    eventually("a new file", || {
        site.curl(adit.addr("web"))
            .get("http://www.example.test/y")
            .expect(200);
        site.dir.read("access.log").contains("/y").then_some(())
    });
    adit.stop();

    let adit = site.run(&format!("accessLog: {{format: off}}\n{routes}"));
    site.curl(adit.addr("web"))
        .get("http://www.example.test/z")
        .expect(200);
    assert!(adit.access("/z").is_empty());
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_allows_nothing_else() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    let answer = site.curl(adit.addr("adm")).get("http://localhost/");
    let source = answer.text();
    for outside in ["src=", "href=\"http", "url(", "@import", "innerHTML"] {
        assert!(!source.contains(outside), "{outside} in the page");
    }
    assert!(source.len() < 40 * 1024, "{} bytes", source.len());
    let policy = answer.field("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    for path in [
        "/",
        "/livez",
        "/readyz",
        "/metrics",
        "/status",
        "/routes",
        "/connections",
        "/limits",
    ] {
        let url = format!("http://localhost{path}");
        let answer = site.curl(adit.addr("adm")).get(&url).expect(200);
        for (field, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.field(field).as_deref(), Some(value), "{path}");
        }
        let head = site.curl(adit.addr("adm")).arg("--head").get(&url);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
}
