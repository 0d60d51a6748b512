//! What must appear nowhere: a canary is put wherever secrets are, and looked for in everything that
//! a run has produced.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::adit::{Adit, adit};
use crate::support::backend::Backend;
use crate::support::pki::write_identity;
use crate::support::raw::Raw;
use crate::support::site::Site;

/// No word of any log.
const CANARY: &str = "c4n4ry-5ecret";

/// Everything that the process shows of itself, by where it was found.
fn traces(site: &Site, adit: &Adit) -> Vec<(String, Vec<u8>)> {
    let process = adit.process();
    let mut found = vec![
        ("standard output".to_owned(), process.stdout().into_bytes()),
        ("standard error".to_owned(), process.stderr().into_bytes()),
    ];
    for file in ["cmdline", "environ"] {
        let path = format!("/proc/{}/{file}", process.pid());
        found.push((path.clone(), fs::read(path).unwrap()));
    }
    for page in [
        "/",
        "/readyz",
        "/metrics",
        "/status",
        "/routes",
        "/connections",
        "/limits",
        "/nothing",
    ] {
        let answer = site
            .curl(adit.addr("adm"))
            .get(&format!("http://localhost{page}"));
        found.push((page.to_owned(), answer.body.clone()));
    }
    found
}

fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(content) = fs::read(&path) {
            found.push((path.display().to_string(), content));
        }
    }
}

fn holds(content: &[u8], secret: &str) -> bool {
    content
        .windows(secret.len())
        .any(|part| part == secret.as_bytes())
}

/// Acceptance: 49
#[test]
fn a_secret_appears_in_nothing_that_a_run_produces() {
    let site = Site::new();
    write_identity(&site.dir, "client", &site.pki.client("edge"));
    let backend = Backend::start(|_, mut client| {
        while client.try_until_head() {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nSet-Cookie: session={CANARY}\r\nContent-Length: {}\r\n\r\n{CANARY}",
                CANARY.len()
            );
            let _ = client.try_send(answer.as_bytes());
        }
    });
    let state = site.dir.join("state");
    let routes = format!(
        "accessLog: {{format: json}}\nlog: {{level: debug}}\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n\
         - {{host: tls.example.test, backends: [\"https://{}\"], backendTls: {{ca: ca.pem, cert: client.pem, key: client.key}}}}\n",
        backend.addr(),
        backend.addr()
    );
    let file = site.dir.write("adit.yaml", Site::config(&routes));
    let adit = Adit::run_with(&site.dir, &file, &["--state-dir", state.to_str().unwrap()]);
    let secret = format!(
        "Authorization: Bearer {CANARY}\r\nProxy-Authorization: Basic {CANARY}\r\nCookie: s={CANARY}\r\nX-Api-Key: {CANARY}\r\n"
    );
    for request in [
        format!(
            "GET /?token={CANARY} HTTP/1.1\r\nHost: www.example.test\r\n{secret}Connection: close\r\n\r\n"
        ),
        // A body.
        format!(
            "POST / HTTP/1.1\r\nHost: www.example.test\r\n{secret}Connection: close\r\nContent-Length: 13\r\n\r\n{CANARY}"
        ),
        // What is refused is spoken of in the log.
        format!(
            "GET / HTTP/1.1\r\nHost: www.example.test\r\n{secret}Content-Length: {CANARY}\r\n\r\n"
        ),
        format!("GET / HTTP/1.1\r\nHost: www.example.test\r\n{secret}bad name{CANARY}: x\r\n\r\n"),
        format!(
            "GET /?x={CANARY} HTTP/1.1\r\nHost: nowhere.example.test\r\n{secret}Connection: close\r\n\r\n"
        ),
        format!(
            "GET /?x={CANARY} HTTP/1.1\r\nHost: tls.example.test\r\n{secret}Connection: close\r\n\r\n"
        ),
    ] {
        let mut client = Raw::connect(adit.addr("web"));
        let _ = client.try_send(request.as_bytes());
        client.rest();
        let mut client = site.raw_tls(adit.addr("webs"), "www.example.test");
        let _ = client.try_send(request.as_bytes());
        client.rest();
    }
    // Keys that are spoken of: unreadable, broken, of another certificate.
    let key = fs::read_to_string(site.dir.join("site.key")).unwrap();
    let material = key.lines().nth(1).unwrap().to_owned();
    let mut found = traces(&site, &adit);
    site.dir
        .write("site.key", key.replace("BEGIN", "BEGINNING"));
    fs::set_permissions(site.dir.join("site.key"), fs::Permissions::from_mode(0o600)).unwrap();
    for arguments in [
        &["check", file.to_str().unwrap()][..],
        &["check", "--format", "json", file.to_str().unwrap()],
        &[
            "explain",
            "--config",
            file.to_str().unwrap(),
            "https://www.example.test/",
        ],
    ] {
        let output = adit_output(arguments);
        found.push((arguments.join(" "), output));
    }
    adit.hup();
    site.curl(adit.addr("adm"))
        .get("http://localhost/status")
        .expect(200);
    found.extend(traces(&site, &adit));
    files(&state, &mut found);
    let tickets = fs::read(state.join("tickets")).unwrap();
    adit.stop();
    for (place, content) in &found {
        assert!(!holds(content, CANARY), "{place} holds what was secret");
        assert!(!holds(content, &material), "{place} holds a part of a key");
        let whole = place.ends_with("/tickets") || content != &tickets;
        assert!(whole, "{place} holds the keys of tickets");
    }
    assert!(found.len() > 20, "{} places", found.len());
}

fn adit_output(arguments: &[&str]) -> Vec<u8> {
    let output = adit(arguments);
    [output.stdout, output.stderr].concat()
}

#[test]
fn what_is_written_can_be_read_by_its_owner_alone() {
    let site = Site::new();
    let state = site.dir.join("state");
    let file = site.dir.write("adit.yaml", Site::config("routes: []\n"));
    let adit = Adit::run_with(&site.dir, &file, &["--state-dir", state.to_str().unwrap()]);
    for entry in fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
    adit.stop();
}
