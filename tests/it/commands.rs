//! The command line: what it says, where, and with which exit code.

use std::fmt::Write;

use adit_bench::Kind;
use serde_json::Value;

use crate::support::adit::{adit, command};
use crate::support::pki::write_identity;
use crate::support::site::Site;
use crate::support::{eventually, free_addr, origin};

fn said(output: &std::process::Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn usage_errors_are_2_and_the_version_is_told() {
    let output = adit(&["version"]);
    assert!(output.status.success());
    assert!(said(&output).contains(env!("CARGO_PKG_VERSION")));
    for arguments in [
        &["no-such-command"][..],
        &["run", "--no-such-flag"],
        &["explain"],
        &[],
    ] {
        assert_eq!(adit(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = adit(&["completion", shell]);
        assert!(output.status.success(), "{output:?}");
        assert!(said(&output).contains("explain"));
    }
    let output = adit(&["check", "/no/such/file.yaml"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("/no/such/file.yaml"));
}

#[test]
fn every_error_of_a_file_is_shown_at_once_with_its_place() {
    let site = Site::new();
    let file = site.dir.write(
        "bad.yaml",
        "version: 1\n\
         listeners:\n\
         \x20 - {name: web, role: lan, bnid: \"127.0.0.1:80\"}\n\
         \x20 - {name: web, role: wan, bind: \"127.0.0.1:81\"}\n\
         \x20 - {name: far, role: lan, bind: \"127.0.0.1:99999\"}\n\
         routes:\n\
         \x20 - {host: \"foo*.example.test\", backends: [\"http://127.0.0.1:1\"]}\n\
         \x20 - {host: www.example.test, backends: [\"ftp://127.0.0.1:1\"]}\n\
         \x20 - {host: www.example.test, timeouts: {response: 30 parsecs}, backends: [\"http://127.0.0.1:1\"]}\n\
         default: {exposure: public}\n",
    );
    let output = adit(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    let text = said(&output);
    for part in [
        "bad.yaml:3:",
        "bnid",
        "bind",
        "bad.yaml:4:",
        "wan",
        "internet",
        "bad.yaml:5:",
        "99999",
        "bad.yaml:7:",
        "foo*",
        "bad.yaml:8:",
        "ftp",
        "bad.yaml:9:",
        "parsecs",
        "bad.yaml:10:",
        "^",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains('\x1b'), "colours although NO_COLOR is set");
    let output = adit(&["check", "-o", "json", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = value.to_string();
    assert!(
        text.contains("\"line\":3") && text.contains("ADIT-"),
        "{text}"
    );
}

#[test]
fn keys_of_later_releases_are_refused_with_a_word_about_them() {
    let site = Site::new();
    for key in ["tunnels: []", "owner: x", "cloudflare: {}", "publish: {}"] {
        let file = site.dir.write("later.yaml", format!("version: 1\n{key}\n"));
        let output = adit(&["check", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3), "{key}");
        assert!(said(&output).contains(key.split(':').next().unwrap()));
    }
}

#[test]
fn odd_documents_are_refused_and_not_misread() {
    let site = Site::new();
    for (name, text) in [
        ("duplicate key", "version: 1\nversion: 1\n"),
        ("two documents", "version: 1\n---\nversion: 1\n"),
        ("no version", "routes: []\n"),
        ("newer version", "version: 2\n"),
        ("empty", ""),
        ("a list", "- version: 1\n"),
        ("not YAML", "version: [1\n"),
        ("tabs", "version: 1\nroutes:\n\t- {}\n"),
        ("not UTF-8", "version: 1 # \u{fffd}\0\n"),
    ] {
        let file = site.dir.write("odd.yaml", text);
        let output = adit(&["check", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3), "{name}: {}", said(&output));
        assert!(said(&output).contains("odd.yaml"), "{name}");
    }
    // `off` is a word and not a truth value.
    let file = site.dir.write(
        "off.yaml",
        "version: 1\nlisteners:\n- {name: web, role: lan, bind: \"127.0.0.1:0\"}\n\
         rules:\n- {name: a, hosts: [a.example.test], exposure: off}\n\
         - {name: b, hosts: [b.example.test], exposure: false}\n",
    );
    let output = adit(&["check", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    // A bomb of aliases costs nothing.
    let mut bomb = String::from("version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let list = format!("*a{}, ", n - 1).repeat(10);
        writeln!(bomb, "a{n}: &a{n} [{}]", list.trim_end_matches(", ")).unwrap();
    }
    let file = site.dir.write("bomb.yaml", bomb);
    let output = adit(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
}

/// The file that the guide shows, with ports given out by the system where it runs.
const WALK_THROUGH: &str = r#"
version: 1
networks:
  lan:  {role: lan, cidrs: [192.168.10.0/24, 127.0.0.0/8, "::1/128"]}
listeners:
  - {name: web,    role: lan, bind: "127.0.0.1:8080", redirect: https, allow: [lan]}
  - {name: plain,  role: lan, bind: "127.0.0.1:8081", allow: [lan]}
  - {name: webs,   role: lan, bind: "127.0.0.1:8443", tls: true, allow: [lan]}
  - {name: fromlb, role: lan, bind: "127.0.0.1:9443", tls: true, proxyProtocol: required, trustProxy: [127.0.0.1/32]}
  - {name: ldaps,  role: lan, bind: "127.0.0.1:6636", tcp: {backends: ["127.0.0.1:636"]}}
  - {name: adm,    role: admin, bind: "127.0.0.1:9090"}
certificates:
  files: [{cert: tls/example.pem, key: tls/example.key}]
routes:
  - {host: www.example.test, backends: ["http://127.0.0.1:8000", "http://[::1]:8000"]}
  - host: api.example.test
    paths:
      - {prefix: /v1, backends: ["http://127.0.0.1:8001"], timeouts: {response: 30s}}
      - {exact: /healthz, backends: ["http://127.0.0.1:8002"]}
  - {host: grpc.example.test, backends: ["h2c://127.0.0.1:50051"]}
  - {host: secure.example.test, backends: ["https://127.0.0.1:8444"], backendTls: {ca: tls/ca.pem, serverName: internal.example.test}}
  - {host: argocd.example.test, tls: passthrough, backends: ["127.0.0.1:30443"], proxyProtocol: v2}
  - {host: "**.c1.example.test", tls: passthrough, backends: [{dns: ingress.c1.example.test, family: ipv6, port: 443}]}
rules:
  - {name: hidden, hosts: [old.example.test], exposure: off}
default: {exposure: lan}
"#;

#[test]
fn the_file_of_the_walk_through_works_as_written() {
    let site = Site::new();
    write_identity(
        &site.dir,
        "tls/example",
        &site.pki.leaf(&["*.example.test"]),
    );
    site.dir.write("tls/ca.pem", &site.pki.ca);
    let file = site.dir.write("walk.yaml", WALK_THROUGH);
    let output = adit(&["check", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));

    let www = origin(Kind::Http1, "www");
    let api = origin(Kind::Http1, "api");
    let secure = origin(
        Kind::Tls(site.pki.leaf(&["internal.example.test"])),
        "secure",
    );
    let mut served = WALK_THROUGH.to_owned();
    for door in ["8080", "8081", "8443", "9443", "6636", "9090"] {
        served = served.replace(
            &format!("bind: \"127.0.0.1:{door}\""),
            "bind: \"127.0.0.1:0\"",
        );
    }
    for (port, addr) in [
        ("8000", www.addr()),
        ("8001", api.addr()),
        ("8444", secure.addr()),
    ] {
        served = served.replace(&format!("127.0.0.1:{port}"), &addr.to_string());
    }
    // The second address of www has nobody behind it.
    served = served.replace("[::1]:8000", &free_addr().to_string());
    let adit = crate::support::adit::Adit::run(&site.dir, &served);
    let webs = adit.addr("webs");
    let backend = |url: &str| site.curl(webs).get(url).expect(200).seen().backend;
    assert_eq!(backend("https://www.example.test/"), "www");
    assert_eq!(backend("https://api.example.test/v1/x"), "api");
    assert_eq!(backend("https://secure.example.test/"), "secure");
    site.curl(webs)
        .get("https://api.example.test/v2")
        .expect(404);
    site.curl(adit.addr("web"))
        .get("http://www.example.test/")
        .expect(308);
    site.curl(adit.addr("plain"))
        .get("http://www.example.test/")
        .expect(200);
    adit.stop();
}

#[test]
fn explain_walks_the_way_of_a_request_and_names_where_it_ends() {
    let site = Site::new();
    write_identity(
        &site.dir,
        "tls/example",
        &site.pki.leaf(&["*.example.test"]),
    );
    site.dir.write("tls/ca.pem", &site.pki.ca);
    let file = site.dir.write("walk.yaml", WALK_THROUGH);
    let explain = |arguments: &[&str]| {
        let output = command()
            .arg("explain")
            .args(arguments)
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (arguments, parts) in [
        (
            &["https://www.example.test/", "--from", "webs"][..],
            &["www.example.test", "127.0.0.1:8000"][..],
        ),
        (
            &["https://api.example.test/v1/x", "--from", "webs"],
            &["/v1", "127.0.0.1:8001"],
        ),
        (
            &["https://api.example.test/v2", "--from", "webs"],
            &["404", "/v1"],
        ),
        (
            &["http://www.example.test/", "--from", "web"],
            &["308", "https://"],
        ),
        (
            &["https://old.example.test/", "--from", "webs"],
            &["no route"],
        ),
        (
            &["https://argocd.example.test/", "--from", "webs"],
            &["passthrough", "127.0.0.1:30443"],
        ),
        (
            &["https://ww.example.test/", "--from", "webs"],
            &["www.example.test"],
        ),
        (
            &[
                "https://www.example.test/",
                "--from",
                "webs",
                "--client",
                "203.0.113.7",
            ],
            &["allow"],
        ),
    ] {
        let text = explain(arguments);
        for part in parts {
            assert!(
                text.contains(part),
                "{part} is not in {arguments:?}:\n{text}"
            );
        }
    }
    let json = explain(&["https://www.example.test/", "--from", "webs", "-o", "json"]);
    let _: Value = serde_json::from_str(&json).unwrap();
    let output = command()
        .args([
            "explain",
            "https://www.example.test/",
            "--from",
            "wbes",
            "--config",
        ])
        .arg(&file)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(said(&output).contains("webs"), "{}", said(&output));
}

#[test]
fn status_asks_the_running_process() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
        one.addr()
    ));
    let url = format!("http://{}", adit.addr("adm"));
    let output = command()
        .args(["status", "--admin", &url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("web"), "{}", said(&output));
    let output = command()
        .args(["status", "-o", "json", "--admin", &url])
        .output()
        .unwrap();
    let _: Value = serde_json::from_slice(&output.stdout).unwrap();
    adit.stop();
    let output = command()
        .args(["status", "--admin", &url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

#[test]
fn a_second_adit_at_the_same_address_does_not_start() {
    let site = Site::new();
    let door = free_addr();
    let text = format!(
        "version: 1\nlisteners:\n- {{name: web, role: lan, bind: \"{door}\"}}\nlimits: {{shutdownGrace: 0s}}\n"
    );
    let first = crate::support::adit::Adit::run(&site.dir, &text);
    let second = command()
        .args(["run", "--config"])
        .arg(site.dir.join("adit.yaml"))
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    let told = format!("listener web: somebody listens on {door} already");
    assert!(said(&second).contains(&told), "{}", said(&second));
    first.stop();
}

#[test]
fn an_answer_that_nobody_reads_to_its_end_is_no_failure() {
    for command in ["check --reference", "completion bash", "version"] {
        let line = format!("{} {command} | true", env!("CARGO_BIN_EXE_adit"));
        let output = std::process::Command::new("sh")
            .args(["-c", &line])
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{command}: {}", said(&output));
    }
}

#[test]
fn the_demo_prints_what_to_try_and_all_of_it_works() {
    let site = Site::new();
    let ready = site.dir.join("ready.json");
    let mut command = command();
    command
        .args(["demo", "--port", "0", "--ready-file"])
        .arg(&ready);
    let mut process = crate::support::process::Process::start(&mut command);
    let text = eventually("what to try", || {
        if let Some(status) = process.ended() {
            panic!("the demo ended with {status}");
        }
        let text = process.stdout();
        (ready.exists() && text.contains("/metrics")).then_some(text)
    });
    let mut tried = 0;
    for line in text.lines() {
        let Some(at) = line.find("printf ").or_else(|| line.find("curl ")) else {
            continue;
        };
        let (what, command) = line.split_at(at);
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("{command} --silent --show-error")])
            .output()
            .unwrap();
        let answer = said(&output);
        let right = match what.trim() {
            refused if refused.contains("refused") => !output.status.success(),
            socket if socket.starts_with("WebSocket") => answer.contains(" 101"),
            call if call.starts_with("gRPC") => answer.contains("grpc-status: 0"),
            page if page.contains("maintenance") => answer.contains("back soon"),
            redirect if redirect.contains("way to TLS") => answer.contains(" 308"),
            _ => output.status.success() && !answer.is_empty(),
        };
        assert!(right, "{line}:\n{answer}");
        tried += 1;
    }
    assert!(tried >= 10, "{text}");
    process.signal(rustix::process::Signal::INT);
    assert!(process.wait().success());
}

/// Files that a configuration names are made, so that only its own errors are left.
fn furnish(site: &Site, text: &str) -> String {
    let names = ["*.example.test", "example.test", "*.example.com"];
    let identity = site.pki.leaf(&names);
    write_identity(&site.dir, "etc/any", &identity);
    for name in regex::Regex::new(r"(cert|key|ca): ([\w./-]+)")
        .unwrap()
        .captures_iter(text)
    {
        match &name[1] {
            "ca" => site.dir.write(&name[2], &site.pki.ca),
            "cert" => site.dir.write(&name[2], &identity.certificates),
            _ => {
                let path = site.dir.write(&name[2], &identity.key);
                let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(&path, secret).unwrap();
                path
            }
        };
    }
    for name in regex::Regex::new(r"file: ([\w./-]+\.htpasswd)")
        .unwrap()
        .captures_iter(text)
    {
        let path = site.dir.write(
            &name[1],
            "anna:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n",
        );
        let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, secret).unwrap();
    }
    let directories = regex::Regex::new(r"directories: \[[^\]]*\]").unwrap();
    directories
        .replace_all(text, "directories: [etc]")
        .into_owned()
}

#[test]
fn every_file_that_the_guide_shows_is_valid() {
    let site = Site::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> = std::fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(root.join("README.md"));
    let mut shown = 0;
    let mut wrong = String::new();
    let mut check = |name: String, text: &str| {
        let file = site.dir.write("shown.yaml", furnish(&site, text));
        let output = adit(&["check", "--strict", file.to_str().unwrap()]);
        shown += 1;
        if !output.status.success() {
            wrong += &format!("{name}:\n{}\n", said(&output));
        }
    };
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            // A block in a list is indented as the list is.
            let indent = block.len() - block.trim_start().len();
            let block: Vec<_> = block
                .lines()
                .map(|line| line.get(indent..).unwrap_or(""))
                .collect();
            if block
                .first()
                .is_some_and(|line| line.starts_with("version:"))
            {
                check(page.display().to_string(), &block.join("\n"));
            }
        }
    }
    let sample = std::fs::read_to_string(root.join("deploy/systemd/adit.yaml")).unwrap();
    check("deploy/systemd/adit.yaml".to_owned(), &sample);
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(shown >= 10, "only {shown} files are shown");
}
