//! What programs are told: routes, limits, rates, readiness, and `adit status`.

use std::time::Duration;

use adit_bench::Kind;
use serde_json::Value;

use super::{admin, serve};
use crate::support::adit::{Adit, command};
use crate::support::site::Site;
use crate::support::{eventually, free_addr, origin, pass};

/// What is asked for, as JSON.
fn json(site: &Site, adit: &Adit, path: &str) -> Value {
    serde_json::from_str(&admin(site, adit, path)).unwrap()
}

#[test]
fn routes_say_who_may_see_what_through_which_door() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run_with(
        "listeners:\n\
         - {name: web, role: lan, bind: \"127.0.0.1:0\"}\n\
         - {name: webs, role: lan, bind: \"127.0.0.1:0\", tls: true}\n\
         - {name: inet, role: internet, bind: \"127.0.0.1:0\", tls: true}\n\
         - {name: adm, role: admin, bind: \"127.0.0.1:0\"}\n",
        &format!(
            "routes:\n\
             - host: git.example.test\n  \
               paths:\n    \
               - {{prefix: /, backends: [\"http://{0}\"]}}\n    \
               - {{prefix: /hooks/in, backends: [\"http://{0}\"]}}\n\
             - {{host: own.example.test, tls: passthrough, backends: [\"{0}\"]}}\n\
             - {{host: shop.example.test, respond: {{status: 503, body: closed}}}}\n\
             - {{host: old.example.test, backends: [\"http://{0}\"]}}\n\
             rules:\n\
             - {{name: hidden, hosts: [old.example.test], exposure: off}}\n\
             - {{name: hook, hosts: [git.example.test], paths: [/hooks], exposure: public}}\n\
             - {{name: shop, hosts: [shop.example.test], exposure: both, from: [127.0.0.0/8]}}\n",
            one.addr()
        ),
    );
    let routes = json(&site, &adit, "/routes");
    assert_eq!(routes["generation"], 1);
    let host = |name: &str| {
        let hosts = routes["hosts"].as_array().unwrap().iter();
        let mut named = hosts.filter(|host| host["host"] == name);
        named.next().unwrap_or_else(|| panic!("{name} in {routes}"))
    };
    for (name, doors, class, rule) in [
        (
            "git.example.test",
            vec!["web", "webs", "inet"],
            "public",
            "hook",
        ),
        ("own.example.test", vec!["webs"], "lan", "default"),
        (
            "shop.example.test",
            vec!["web", "webs", "inet"],
            "both",
            "shop",
        ),
        ("old.example.test", vec![], "off", "hidden"),
    ] {
        let found = host(name);
        assert_eq!(found["doors"], Value::from(doors), "{name}");
        assert_eq!(found["exposure"][0]["class"], class, "{name}");
        assert_eq!(found["exposure"][0]["rule"], rule, "{name}");
        assert!(
            found["place"].as_str().unwrap().contains("adit.yaml:"),
            "{found}"
        );
    }
    let git = host("git.example.test");
    assert_eq!(git["exposure"][0]["paths"][0], "/hooks");
    assert_eq!(git["exposure"][1]["class"], "lan", "and the rest of it");
    for (index, path, class) in [(0, "/", "lan"), (1, "/hooks/in", "public")] {
        assert_eq!(git["rules"][index]["path"], path);
        assert_eq!(git["rules"][index]["exposure"]["class"], class, "{path}");
    }
    assert_eq!(host("own.example.test")["passthrough"], "own.example.test");
    assert_eq!(
        host("shop.example.test")["exposure"][0]["from"][0],
        "127.0.0.0/8"
    );
    assert_eq!(host("shop.example.test")["rules"][0]["respond"], 503);
    let inet = &routes["doors"][2];
    assert_eq!(inet["addresses"][0], adit.addr("inet").to_string());
}

#[test]
fn limits_and_status_are_told_to_programs() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n\
         limits: {{headTimeout: 7s}}\n",
        one.addr()
    ));
    let limits = json(&site, &adit, "/limits");
    let limits = limits["limits"].as_array().unwrap();
    let limit = |key: &str| limits.iter().find(|limit| limit["key"] == key).unwrap();
    assert_eq!(
        (
            &limit("headTimeout")["value"],
            &limit("headTimeout")["source"]
        ),
        (&"7s".into(), &"file".into())
    );
    assert_eq!(limit("headerBytes")["source"], "default");

    let first = json(&site, &adit, "/status");
    assert_eq!(
        (&first["phase"], &first["config"]["valid"]),
        (&"serving".into(), &true.into())
    );
    assert!(
        first["traffic"].is_null(),
        "one reading makes no rate: {first}"
    );
    for status in [200, 200, 503] {
        let url = format!("http://www.example.test/status/{status}");
        site.curl(adit.addr("web")).get(&url).expect(status);
    }
    eventually("a rate", || {
        let status = json(&site, &adit, "/status");
        let traffic = &status["hosts"][0]["traffic"];
        let share = traffic["serverErrorShare"].as_f64()?;
        assert!((share - 1.0 / 3.0).abs() < 0.01, "{status}");
        assert!(traffic["requestsPerSecond"].as_f64()? > 0.0);
        assert_eq!(status["traffic"], *traffic, "one host is all there is");
        traffic["p95Milliseconds"].as_f64()
    });
    let endpoint = &json(&site, &adit, "/status")["upstreams"][0]["endpoints"][0];
    assert_eq!(endpoint["address"], one.addr().to_string());
    assert_eq!(
        (&endpoint["fit"], &endpoint["failures"]),
        (&true.into(), &1.into())
    );
}

#[test]
fn a_refused_configuration_is_told_with_its_reason_and_its_time() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, one.addr());
    let ready = || {
        site.curl(adit.addr("adm"))
            .get("http://localhost/readyz")
            .expect(200)
    };
    assert_eq!(ready().text(), "ready\n");
    adit.rewrite("version: 1\nroutse: []\n");
    let text = eventually("it is told", || {
        let text = ready().text();
        (text != "ready\n").then_some(text)
    });
    assert!(
        text.starts_with("ready\ndegraded: configuration refused since 2"),
        "{text}"
    );
    assert!(
        text.contains("routse") && text.contains("generation 1"),
        "{text}"
    );
    // Asking again, or failing again, does not make it younger.
    let since = |text: &str| text.split("since ").nth(1).unwrap()[..20].to_owned();
    adit.hup();
    pass(Duration::from_millis(1_200));
    assert_eq!(since(&ready().text()), since(&text));
    let answer = site
        .curl(adit.addr("adm"))
        .header("Accept: application/json");
    let found: Value = serde_json::from_str(&answer.get("http://localhost/readyz").text()).unwrap();
    assert_eq!(
        (&found["ready"], &found["phase"]),
        (&true.into(), &"serving".into())
    );
    assert!(
        found["degraded"][0].as_str().unwrap().contains("routse"),
        "{found}"
    );
    let status = json(&site, &adit, "/status");
    assert_eq!(status["config"]["valid"], false);
    assert_eq!(
        status["config"]["refusedSince"].as_str().unwrap(),
        since(&text)
    );
    let address = adit.addr("adm").to_string();
    let output = command()
        .args(["status", "--admin", &address])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("routse") && said.contains("REFUSED"),
        "{said}"
    );
}

#[test]
fn status_finds_the_admin_listener_in_the_configuration() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let admin = free_addr();
    let doors = format!(
        "listeners:\n- {{name: web, role: lan, bind: \"127.0.0.1:0\"}}\n\
         - {{name: adm, role: admin, bind: \"{admin}\"}}\n"
    );
    let routes = format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    );
    let adit = site.run_with(&doors, &routes);
    let file = site.dir.join("adit.yaml");
    let status = |arguments: &[&str]| {
        let mut command = command();
        command
            .arg("status")
            .arg("--config")
            .arg(&file)
            .args(arguments);
        command.output().unwrap()
    };
    let output = status(&[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for part in [
        "serving, generation 1",
        "www.example.test",
        "lan",
        "web",
        "req/s",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let output = status(&["-o", "json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["window"].is_number(), "rates are measured: {found}");
    adit.stop();
    let output = status(&[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&admin.to_string()) && said.contains("running"),
        "{said}"
    );
    site.dir.write(
        "adit.yaml",
        Site::config_with(
            "listeners: [{name: web, role: lan, bind: \"127.0.0.1:0\"}]",
            "",
        ),
    );
    let output = status(&[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("role: admin"), "{said}");
}
