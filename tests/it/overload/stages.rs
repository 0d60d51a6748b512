//! Stages of overload: what is shed, who is not, and how they end (L-91, L-92, S-23).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{GET, is_served, metric, refused};
use crate::support::adit::Adit;
use crate::support::raw::{Raw, turned_away};
use crate::support::site::Site;
use crate::support::{PATIENCE, eventually, within};

const ROUTES: &str = "workers: 2\nroutes:\n\
    - {host: www.example.test, respond: {status: 200, body: here}}\n\
    - {host: low.example.test, limits: {priority: low}, respond: {status: 200, body: here}}\n";

fn config(limits: &str) -> String {
    Site::config(&format!(
        "{ROUTES}limits: {{shutdownGrace: 0s, {limits}}}\n"
    ))
}

fn serve(site: &Site, limits: &str) -> Adit {
    Adit::run(&site.dir, &config(limits))
}

fn stage(site: &Site, adit: &Adit, signal: &str) -> u8 {
    let label = format!("signal=\"{signal}\"");
    metric(site, adit, &["adit_overload_stage{", &label]) as u8
}

fn enters(site: &Site, adit: &Adit, signal: &str, wanted: u8) {
    // A stage is left after five quiet seconds, one at a time.
    within(PATIENCE * 2, &format!("stage {wanted} of {signal}"), || {
        (stage(site, adit, signal) == wanted).then_some(())
    });
}

fn answer(adit: &Adit, host: &str) -> String {
    let mut client = Raw::connect(adit.addr("web"));
    client.send(GET.replace("www.example.test", host));
    client.answer().0.to_ascii_lowercase()
}

/// Acceptance: 40
#[test]
fn when_memory_gets_scarce_keep_alive_and_low_priority_go_first() {
    let site = Site::new();
    let scarce = "memory: 512MiB, memorySoft: 1, memoryHigh: 100, memoryFull: 100";
    let adit = serve(&site, scarce);
    enters(&site, &adit, "memory", 1);
    let head = answer(&adit, "www.example.test");
    assert!(
        head.starts_with("http/1.1 200") && head.contains("connection: close"),
        "{head}"
    );
    let head = answer(&adit, "low.example.test");
    assert!(
        head.starts_with("http/1.1 503") && head.contains("retry-after: 1"),
        "{head}"
    );
    refused(&site, &adit, "L-91", 1.0);
    assert_eq!(most_streams(&site, &adit), 10);
    let readyz = site.curl(adit.addr("adm")).get("http://localhost/readyz");
    let text = readyz.expect(200).text();
    assert!(
        text.contains("degraded: overload by memory, stage 1"),
        "{text}"
    );
    let log = adit.process().stderr();
    assert!(log.contains("overload, memory at"), "{log}");
    adit.rewrite(&config("memory: 1TiB"));
    enters(&site, &adit, "memory", 0);
    let head = answer(&adit, "www.example.test");
    assert!(!head.contains("connection: close"), "{head}");
    assert!(answer(&adit, "low.example.test").starts_with("http/1.1 200"));
    assert!(adit.process().stderr().contains("less overload, memory"));
}

/// Acceptance: 40
#[test]
fn when_memory_is_used_up_clients_are_closed_and_operators_are_not() {
    let site = Site::new();
    let adit = serve(&site, "memory: 1TiB");
    let mut operator = Raw::connect(adit.addr("adm"));
    let ask = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    operator.send(ask);
    assert!(operator.answer().0.starts_with("HTTP/1.1 200"));
    let mut idle: Vec<_> = (0..20)
        .map(|_| is_served(Raw::connect(adit.addr("web"))).unwrap())
        .collect();
    adit.rewrite(&config("memory: 2MiB"));
    enters(&site, &adit, "memory", 3);
    assert!(turned_away(adit.addr("web"), GET.as_bytes()));
    refused(&site, &adit, "L-91", 1.0);
    for client in &mut idle {
        client.rest();
    }
    operator.send(ask);
    assert!(operator.answer().0.starts_with("HTTP/1.1 200"));
    let limits = site.curl(adit.addr("adm")).get("http://localhost/limits");
    let limits: serde_json::Value = serde_json::from_str(&limits.expect(200).text()).unwrap();
    assert_eq!(limits["derived"]["memory"], 2 << 20);
    adit.rewrite(&config("memory: 1TiB"));
    enters(&site, &adit, "memory", 0);
    eventually("clients are let in", || {
        is_served(Raw::connect(adit.addr("web")))
    });
}

/// Acceptance: 40
#[test]
fn a_late_loop_gives_fewer_streams_and_a_very_late_one_lets_nobody_in() {
    let site = Site::new();
    // Handshakes are work of a millisecond.
    let adit = serve(&site, "lagSoft: 1h, lagHigh: 1h");
    assert_eq!(most_streams(&site, &adit), 100);
    adit.rewrite(&config("lagSoft: 1ms, lagHigh: 1h"));
    let busy = || {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let config = site.tls(&["http/1.1"]);
                        let _ = Raw::tls(adit.addr("webs"), "www.example.test", config);
                    }
                });
            }
        });
    };
    within(PATIENCE, "stage 1 of lag", || {
        busy();
        (stage(&site, &adit, "lag") >= 1).then_some(())
    });
    assert_eq!(most_streams(&site, &adit), 50);
    assert!(answer(&adit, "low.example.test").starts_with("http/1.1 503"));
    refused(&site, &adit, "L-92", 1.0);
    adit.rewrite(&config("lagSoft: 1ms, lagHigh: 1ms"));
    within(PATIENCE, "stage 2 of lag", || {
        busy();
        (stage(&site, &adit, "lag") >= 2).then_some(())
    });
    assert!(turned_away(adit.addr("web"), GET.as_bytes()));
    site.curl(adit.addr("adm"))
        .get("http://localhost/readyz")
        .expect(200);
    adit.rewrite(&config("lagSoft: 1h, lagHigh: 1h"));
    enters(&site, &adit, "lag", 0);
    eventually("clients are let in", || {
        is_served(Raw::connect(adit.addr("web")))
    });
}

/// SETTINGS_MAX_CONCURRENT_STREAMS as a new connection is told.
fn most_streams(site: &Site, adit: &Adit) -> u32 {
    let config = site.tls(&["h2"]);
    let mut client = Raw::tls(adit.addr("webs"), "www.example.test", config).unwrap();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    loop {
        let head = client.take(9);
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = client.take(length);
        if head[3] != 4 || head[4] & 1 != 0 {
            continue;
        }
        let settings = payload.chunks_exact(6);
        let mut most = settings.filter(|setting| setting[..2] == [0, 3]);
        let setting = most.next().expect("a limit of streams");
        return u32::from_be_bytes(setting[2..].try_into().unwrap());
    }
}

/// A thread in a freezer of its own (cgroup version 1); it thaws when this is dropped.
struct Frozen(PathBuf);

impl Frozen {
    /// Stops one worker; `None` where this machine cannot.
    fn worker(adit: &Adit, name: &str) -> Option<Self> {
        let pid = adit.process().pid();
        let group = PathBuf::from(format!("/sys/fs/cgroup/freezer/adit-test-{pid}"));
        fs::create_dir(&group).ok()?;
        let frozen = Self(group);
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let thread = threads.map(|entry| entry.path()).find(|path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name)
        })?;
        let number = thread.file_name()?.to_str()?.to_owned();
        fs::write(frozen.0.join("tasks"), number).ok()?;
        fs::write(frozen.0.join("freezer.state"), "FROZEN").ok()?;
        Some(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("freezer.state"), "THAWED");
        // A group goes away once it is empty.
        if let Ok(tasks) = fs::read_to_string(self.0.join("tasks")) {
            for task in tasks.lines() {
                let _ = fs::write("/sys/fs/cgroup/freezer/tasks", task);
            }
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// Acceptance: 51
#[test]
fn a_worker_that_hangs_is_noticed_by_the_others() {
    let site = Site::new();
    let adit = serve(&site, "lagSoft: 1h, lagHigh: 1h");
    let Some(frozen) = Frozen::worker(&adit, "adit-worker-1") else {
        eprintln!("skipped: stopping one thread needs root and the freezer of cgroup version 1");
        return;
    };
    // Who reaches the worker that hangs gets no answer at all.
    let ask = |path: &str| {
        let curl = site.curl(adit.addr("adm")).args(&["--max-time", "1"]);
        curl.get(&format!("http://localhost{path}"))
    };
    for (path, said) in [
        ("/livez", "workers that do not turn any more: 1"),
        ("/readyz", "not ready: a worker hangs"),
    ] {
        within(PATIENCE, path, || {
            let answer = ask(path);
            (answer.status == 503 && answer.text().contains(said)).then_some(())
        });
    }
    let log = eventually("the log says where", || {
        let log = adit.process().stderr();
        log.contains("a worker has not turned for 5 s")
            .then_some(log)
    });
    assert!(log.contains("worker=1"), "{log}");
    drop(frozen);
    within(Duration::from_secs(20), "it is alive again", || {
        (ask("/livez").status == 200).then_some(())
    });
}
