//! One source cannot take everything, and a flood of handshakes closes itself (L-80 to L-82, L-93).

use std::process::Command;

use super::{FIXED, from, is_served, metric, refused};
use crate::support::adit::{ADIT, Adit};
use crate::support::raw::{Raw, turned_away};
use crate::support::site::Site;
use crate::support::{eventually, pass};

const DOORS: &str = r#"
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0"}
  - {name: counted, role: lan, bind: "127.0.0.1:0", limits: {perSource: true}}
  - {name: inet, role: internet, bind: "127.0.0.1:0"}
  - {name: inets, role: internet, bind: "127.0.0.1:0", tls: true}
  - {name: open, role: internet, bind: "127.0.0.1:0", limits: {perSource: false}}
  - {name: behind, role: lan, bind: "127.0.0.1:0", proxyProtocol: required, trustProxy: [127.0.0.1/32]}
  - {name: adm, role: admin, bind: "127.0.0.1:0"}
"#;

fn serve(site: &Site, limits: &str) -> Adit {
    let rules = "rules:\n- {name: site, hosts: [www.example.test], exposure: both}\n";
    let limits = format!("limits: {{shutdownGrace: 0s, {limits}}}\n");
    site.run_with(DOORS, &format!("workers: 2\n{FIXED}{rules}{limits}"))
}

#[test]
fn a_source_has_so_many_connections_and_others_have_theirs() {
    let site = Site::new();
    let adit = serve(&site, "sourceConnections: 3, sourceExempt: [127.0.0.9/32]");
    for door in ["counted", "inet"] {
        let to = adit.addr(door);
        let held: Vec<_> = (0..3)
            .map(|_| is_served(from("127.0.0.2", to)).expect("within the limit"))
            .collect();
        assert!(
            is_served(from("127.0.0.2", to)).is_none(),
            "{door}: a fourth"
        );
        assert!(
            is_served(from("127.0.0.3", to)).is_some(),
            "{door}: another"
        );
        let exempt: Vec<_> = (0..5).map(|_| is_served(from("127.0.0.9", to))).collect();
        assert!(exempt.iter().all(Option::is_some), "{door}");
        drop(held);
        eventually("a place is free again", || is_served(from("127.0.0.2", to)));
    }
    refused(&site, &adit, "L-81", 2.0);
    // Nobody counts where nobody asked for it.
    for door in ["web", "open"] {
        let held: Vec<_> = (0..6)
            .map(|_| is_served(from("127.0.0.2", adit.addr(door))))
            .collect();
        assert!(held.iter().all(Option::is_some), "{door}");
    }
}

#[test]
fn a_source_makes_so_many_new_connections() {
    let site = Site::new();
    let adit = serve(&site, "sourceRate: 1, sourceBurst: 5");
    let to = adit.addr("inet");
    let served = (0..20).filter(|_| is_served(from("127.0.0.2", to)).is_some());
    let served = served.count();
    assert!((5..15).contains(&served), "{served} of 20 at once");
    assert!(is_served(from("127.0.0.3", to)).is_some());
    eventually("the next second brings one more", || {
        is_served(from("127.0.0.2", to))
    });
}

#[test]
fn behind_a_balancer_the_client_is_the_source() {
    let site = Site::new();
    let adit = serve(&site, "sourceConnections: 2");
    let to = adit.addr("behind");
    let conveyed = |client: &str| {
        let mut raw = Raw::connect(to);
        raw.send(format!("PROXY TCP4 {client} 192.0.2.1 1234 80\r\n"));
        is_served(raw)
    };
    let held = [conveyed("203.0.113.1"), conveyed("203.0.113.1")];
    assert!(held.iter().all(Option::is_some));
    assert!(conveyed("203.0.113.1").is_none());
    assert!(conveyed("203.0.113.2").is_some());
    // The balancer itself is no client: its own checks go on.
    let checks: Vec<_> = (0..5)
        .map(|_| {
            let mut raw = Raw::connect(to);
            raw.send("PROXY UNKNOWN\r\n");
            is_served(raw)
        })
        .collect();
    assert!(checks.iter().all(Option::is_some));
}

#[test]
fn a_source_has_so_many_unfinished_handshakes() {
    let site = Site::new();
    let adit = serve(&site, "sourceHandshakes: 2");
    let to = adit.addr("inets");
    let silent = [from("127.0.0.2", to), from("127.0.0.2", to)];
    eventually("both are counted", || {
        (metric(&site, &adit, &["adit_handshakes_unfinished"]) >= 2.0).then_some(())
    });
    assert_eq!(from("127.0.0.2", to).rest(), "", "a third one is closed");
    refused(&site, &adit, "L-81", 1.0);
    // Those that finish theirs are no part of it.
    let config = site.tls(&["http/1.1"]);
    let finished: Vec<_> = (0..4)
        .map(|_| Raw::tls(to, "www.example.test", config.clone()))
        .collect();
    assert!(finished.iter().all(Result::is_ok));
    drop(silent);
}

#[test]
fn a_flood_of_silent_handshakes_closes_its_oldest() {
    let site = Site::new();
    let adit = site.run(&format!("workers: 1\n{FIXED}limits: {{handshakes: 5}}\n"));
    let to = adit.addr("webs");
    let mut silent: Vec<_> = (0..20).map(|_| Raw::connect(to)).collect();
    refused(&site, &adit, "L-82", 15.0);
    for client in &mut silent[..10] {
        assert_eq!(client.rest(), "");
    }
    site.curl(to).get("https://www.example.test/").expect(200);
}

#[test]
fn beyond_the_limit_of_connections_only_operators_are_let_in() {
    let site = Site::new();
    let adit = site.run(&format!("workers: 2\n{FIXED}limits: {{connections: 3}}\n"));
    let to = adit.addr("web");
    let held: Vec<_> = (0..3).map(|_| is_served(Raw::connect(to))).collect();
    assert!(held.iter().all(Option::is_some));
    assert!(turned_away(to, b""));
    refused(&site, &adit, "L-80", 1.0);
    // What a reload says holds at once.
    adit.rewrite(&Site::config(&format!(
        "workers: 2\n{FIXED}limits: {{connections: 100}}\n"
    )));
    eventually("the limit is raised", || is_served(Raw::connect(to)));
}

/// Acceptance: R-12
#[test]
fn when_descriptors_run_out_operators_and_those_who_are_in_do_not_notice() {
    const CLIENTS: usize = 400;
    let site = Site::new();
    let config = Site::config(&format!(
        "workers: 2\n{FIXED}limits: {{connections: 100000}}\n"
    ));
    let file = site.dir.write("adit.yaml", config);
    let ready = site.dir.join("ready.json");
    let run = format!("ulimit -n 192; exec {ADIT} run --config \"$0\" --ready-file \"$1\"");
    let mut command = Command::new("sh");
    command.args(["-c", &run]).arg(&file).arg(&ready);
    let adit = Adit::start(&mut command, &file, &ready);
    let to = adit.addr("web");
    let mut first = is_served(Raw::connect(to)).expect("there is room for one");
    let held: Vec<_> = (0..CLIENTS).map(|_| Raw::connect(to)).collect();
    refused(&site, &adit, "L-93", 200.0);
    let before = adit.process().cpu();
    pass(std::time::Duration::from_secs(2));
    let used = adit.process().cpu() - before;
    assert!(used < 0.4, "{used} s of CPU in 2 s of doing nothing");
    first = is_served(first).expect("who is in stays in");
    site.curl(adit.addr("adm"))
        .get("http://localhost/readyz")
        .expect(200);
    drop(held);
    eventually("there is room again", || is_served(Raw::connect(to)));
    drop(first);
    adit.stop();
}
