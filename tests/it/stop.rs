//! The end of a process: drained, at once, or handed over to the next one.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use adit_bench::Kind;
use rustix::process::Signal;

use crate::support::adit::{ADIT, Adit};
use crate::support::h2client::{collect, run};
use crate::support::load::Load;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{eventually, free_addr, origin, pass, soak};

fn www(backend: impl std::fmt::Display) -> String {
    format!("routes:\n- {{host: www.example.test, backends: [\"http://{backend}\"]}}\n")
}

#[test]
fn what_is_running_is_finished_and_then_the_process_ends() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let mut adit = site.run(&www(one.addr()));
    let slow = "GET /delay/1500 HTTP/1.1\r\nHost: www.example.test\r\n\r\n";
    let mut client = Raw::connect(adit.addr("web"));
    client.send(slow);
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        let request = http::Request::get("https://www.example.test/delay/1500");
        let (answer, _) = h2.open(request.body(()).unwrap(), true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        adit.process().signal(Signal::TERM);
        assert_eq!(collect(answer).await.unwrap().status(), 200);
        h2.end().await;
    });
    let (head, _) = client.answer();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("connection: close"),
        "{head}"
    );
    assert_eq!(client.rest(), "");
    let status = adit.process_mut().wait();
    assert!(status.success(), "{status}");
}

/// Acceptance: R-21
#[test]
fn readiness_ends_first() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    // Balancers are given time to look.
    let config = Site::config(&www(one.addr())).replace("Grace: 0s", "Grace: 1s");
    let mut adit = Adit::run(&site.dir, &config);
    let adm = adit.addr("adm");
    site.curl(adm).get("http://localhost/readyz").expect(200);
    // Something that keeps the process busy for a while.
    let mut client = Raw::connect(adit.addr("web"));
    client.send("GET /delay/2000 HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    pass(Duration::from_millis(200));
    adit.process().signal(Signal::TERM);
    eventually("not ready", || {
        let answer = site.curl(adm).get("http://localhost/readyz");
        (answer.status == 503).then_some(())
    });
    // Those who have not looked yet are still served.
    site.curl(adit.addr("web"))
        .get("http://www.example.test/")
        .expect(200);
    site.curl(adm).get("http://localhost/livez").expect(200);
    assert!(client.answer().0.starts_with("HTTP/1.1 200"));
    assert!(adit.process_mut().wait().success());
}

/// Acceptance: R-21
#[test]
fn a_second_signal_ends_it_at_once() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let mut adit = site.run(&www(one.addr()));
    let mut client = Raw::connect(adit.addr("web"));
    client.send("GET /delay/60000 HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    pass(Duration::from_millis(200));
    adit.process().signal(Signal::TERM);
    pass(Duration::from_millis(500));
    assert_eq!(adit.process_mut().ended(), None, "it did not wait");
    let start = Instant::now();
    adit.process().signal(Signal::TERM);
    adit.process_mut().wait();
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn an_idle_process_ends_promptly_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let site = Site::new();
        let one = origin(Kind::Http1, "one");
        let mut adit = site.run(&www(one.addr()));
        let idle: Vec<_> = (0..10).map(|_| Raw::connect(adit.addr("web"))).collect();
        adit.process().signal(signal);
        let status = adit.process_mut().wait();
        assert!(status.success(), "{signal:?}: {status}");
        drop(idle);
    }
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let doors = format!("listeners:\n- {{name: web, role: lan, bind: \"{at}\"}}\n");
    let file = site
        .dir
        .write("adit.yaml", Site::config_with(&doors, "routes: []\n"));
    let output = crate::support::adit::adit(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&at.to_string()) && said.contains("web"),
        "{said}"
    );
}

fn take_over(site: &Site, number: u32, arguments: &[&str]) -> Adit {
    let ready = site.dir.join(&format!("ready-{number}.json"));
    let file = site.dir.join("adit.yaml");
    let mut command = crate::support::adit::command();
    command.arg("run").arg("--config").arg(&file);
    command.arg("--ready-file").arg(&ready).args(arguments);
    Adit::start(&mut command, &file, &ready)
}

/// Twenty hand-overs; five unless `--soak` is given.
/// Acceptance: R-02
#[test]
fn a_new_process_takes_over_without_losing_a_request() {
    let rounds = if soak() { 20 } else { 5 };
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let state = site.dir.join("state");
    fs::create_dir_all(&state).unwrap();
    let state = state.to_str().unwrap();
    // Sockets are known by the addresses that the file gives them.
    let doors = format!(
        "listeners:\n- {{name: web, role: lan, bind: \"{}\"}}\n\
         - {{name: webs, role: lan, bind: \"{}\", tls: true}}\n",
        free_addr(),
        free_addr()
    );
    site.dir
        .write("adit.yaml", Site::config_with(&doors, &www(one.addr())));
    let mut current = take_over(&site, 0, &["--state-dir", state]);
    let (web, webs) = (current.addr("web"), current.addr("webs"));
    let load = Load::moving(web, webs, &site);
    for round in 1..=rounds {
        let next = take_over(&site, round, &["--state-dir", state, "--take-over"]);
        assert_eq!((next.addr("web"), next.addr("webs")), (web, webs));
        let status = current.process_mut().wait();
        assert!(status.success(), "round {round}: {status}");
        current = next;
        let before = load.asked();
        eventually("the load goes on", || {
            (load.asked() > before + 50).then_some(())
        });
    }
    let asked = load.finish();
    eprintln!("{rounds} hand-overs, {asked} requests");
    current.stop();
}

/// Acceptance: R-04
#[test]
fn a_process_that_fails_to_take_over_leaves_the_old_one_serving() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let state = site.dir.join("state");
    fs::create_dir_all(&state).unwrap();
    let state = state.to_str().unwrap();
    site.dir.write("adit.yaml", Site::config(&www(one.addr())));
    let adit = take_over(&site, 0, &["--state-dir", state]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let door = format!(
        "listeners:\n- {{name: web, role: lan, bind: \"{}\"}}\n",
        taken.local_addr().unwrap()
    );
    let bad = site
        .dir
        .write("bad.yaml", Site::config_with(&door, &www(one.addr())));
    let output = crate::support::adit::command()
        .args(["run", "--take-over", "--state-dir", state, "--config"])
        .arg(&bad)
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    // The last good file is in the state directory, but a successor is not to serve it.
    let broken = site.dir.write("broken.yaml", "version: 1\nroutse: []\n");
    let output = crate::support::adit::command()
        .args(["run", "--take-over", "--state-dir", state, "--config"])
        .arg(&broken)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    pass(Duration::from_millis(300));
    let answer = site.curl(adit.addr("web")).get("http://www.example.test/");
    answer.expect(200);
    adit.stop();
}

#[test]
fn sockets_of_systemd_are_used() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let door = free_addr();
    let doors = format!("listeners:\n- {{name: web, role: lan, bind: \"{door}\"}}\n");
    let file = site
        .dir
        .write("adit.yaml", Site::config_with(&doors, &www(one.addr())));
    let ready = site.dir.join("ready.json");
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(door.to_string());
    command.args([ADIT, "run", "--config"]).arg(&file);
    command.arg("--ready-file").arg(&ready);
    let process = crate::support::process::Process::start(&mut command);
    // It holds the socket and starts the program at the first connection.
    eventually("the socket is there", || {
        process.stderr().contains("Listening on").then_some(())
    });
    site.curl(door).get("http://www.example.test/").expect(200);
    let told = eventually("the ready file", || fs::read_to_string(&ready).ok());
    assert!(told.contains(&door.to_string()), "{told}");
}
