//! What adit survives: kills while it writes, signals at bad moments, backends that leave at every
//! possible moment, cold starts with thousands of routes.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use adit_bench::Kind;
use rustix::process::Signal;

use crate::support::adit::{ADIT, Adit, command};
use crate::support::backend::Backend;
use crate::support::pki::write_identity;
use crate::support::process::Process;
use crate::support::raw::{Raw, tcp};
use crate::support::site::{DOORS, Site};
use crate::support::{eventually, free_addr, origin, pass, soak};

/// A configuration whose answer tells its number.
fn numbered(number: usize) -> String {
    Site::config(&format!(
        "routes:\n- {{host: www.example.test, respond: {{body: \"number {number}\"}}}}\n"
    ))
}

/// Killed at twenty random moments while it writes its state (two hundred with `--soak`): each start
/// that follows, with a file that is broken, serves one of the configurations that were there.
///
/// Acceptance: 50, R-05
#[test]
fn a_kill_while_state_is_written_costs_no_state() {
    let site = Site::new();
    let state = site.dir.join("state");
    let argument = state.to_str().unwrap();
    let file = site.dir.write("adit.yaml", numbered(0));
    let mut last = 0;
    for round in 0..if soak() { 200 } else { 20 } {
        let adit = Adit::run_with(&site.dir, &file, &["--state-dir", argument]);
        if round > 0 {
            let body = site
                .curl(adit.addr("web"))
                .get("http://www.example.test/")
                .expect(200)
                .text();
            let number: usize = body
                .trim()
                .strip_prefix("number ")
                .unwrap()
                .parse()
                .unwrap();
            assert!(number <= last, "round {round}: {body}");
        }
        // Every change is written down; one of the writes is met by the kill.
        let end = Instant::now() + Duration::from_millis(fastrand::u64(50..400));
        while Instant::now() < end {
            last += 1;
            adit.rewrite(&numbered(last));
            adit.hup();
            pass(Duration::from_millis(fastrand::u64(1..30)));
        }
        adit.process().signal(Signal::KILL);
        drop(adit);
        site.dir
            .write("adit.yaml", "version: 1\nthis is: [broken\n");
    }
    let entries = fs::read_dir(&state).unwrap();
    let left: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "new"))
        .collect();
    assert!(left.len() <= 2, "half-written files pile up: {left:?}");
}

/// SIGTERM and SIGHUP in the middle of a handshake, a PROXY header, a head, an upload, a WebSocket
/// and a reload: the process ends by its deadline, cleanly.
///
/// Acceptance: R-29
#[test]
fn a_signal_at_a_bad_moment_ends_or_reloads_as_always() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let doors = format!(
        "{DOORS}  - {{name: told, role: lan, bind: \"127.0.0.1:0\", proxyProtocol: required, trustProxy: [127.0.0.0/8]}}\n"
    );
    let config = Site::config_with(
        &doors,
        &format!(
            "limits: {{shutdownGrace: 0s, drainTimeout: 1s}}\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n",
            one.addr()
        ),
    );
    let head = "Host: www.example.test\r\n";
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let moments: [(&str, &str, Vec<u8>); 6] = [
        (
            "a handshake",
            "webs",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        ("a PROXY header", "told", b"PROXY TCP4 192.0.2.1 ".to_vec()),
        ("a head", "web", b"GET / HTTP/1.1\r\nHo".to_vec()),
        (
            "an upload",
            "web",
            format!("POST /upload HTTP/1.1\r\n{head}Content-Length: 100000\r\n\r\nxyz").into(),
        ),
        (
            "a WebSocket",
            "web",
            format!(
                "GET /ws HTTP/1.1\r\n{head}Connection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n"
            )
            .into(),
        ),
        (
            "a download",
            "web",
            format!("GET /size/100000000 HTTP/1.1\r\n{head}\r\n").into(),
        ),
    ];
    for reloads in [false, true] {
        for (moment, door, bytes) in &moments {
            let mut adit = Adit::run(&site.dir, &config);
            let mut client = Raw::connect(adit.addr(door));
            client.send(bytes);
            pass(Duration::from_millis(50));
            if reloads {
                adit.hup();
                adit.rewrite(&config.replace("drainTimeout: 1s", "drainTimeout: 2s"));
            }
            adit.process().signal(Signal::TERM);
            let status = adit.process_mut().wait();
            assert!(status.success(), "in the middle of {moment}: {status}");
        }
    }
}

/// What a backend does with a request that it has read so much of.
const ENDS: [&str; 3] = ["closes", "resets", "stalls"];

/// A backend that reads a part of each request and then leaves in some way, and counts how often each
/// id arrived in a way that could have been acted on.
fn leaving(part: usize, how: &'static str, arrived: Arc<AtomicUsize>) -> Backend {
    Backend::start(move |_, mut client| {
        let whole = part == 2;
        match part {
            0 => {}
            1 => drop(client.try_take(1)),
            _ => drop(client.try_until_head()),
        }
        arrived.fetch_add(usize::from(whole), Ordering::Relaxed);
        match how {
            "resets" => {
                let socket = socket2::Socket::from(client.into_tcp());
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
            "stalls" => client.drain(),
            _ => drop(client),
        }
    })
}

/// Backends that leave after nothing, a byte, or the whole head, in three ways, for methods that may
/// and may not be repeated: what may not arrives once at most.
///
/// Acceptance: R-08
#[test]
fn a_request_is_not_done_twice_whenever_its_backend_leaves() {
    let site = Site::new();
    for how in ENDS {
        for part in 0..3 {
            let arrived = Arc::new(AtomicUsize::new(0));
            let backends: Vec<_> = (0..2)
                .map(|_| leaving(part, how, Arc::clone(&arrived)))
                .collect();
            let adit = site.run(&format!(
                "limits: {{shutdownGrace: 0s, responseTimeout: 300ms}}\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\", \"http://{}\"]}}\n",
                backends[0].addr(),
                backends[1].addr()
            ));
            for method in ["GET", "PUT", "DELETE", "POST", "PATCH"] {
                let before = arrived.load(Ordering::Relaxed);
                let mut client = Raw::connect(adit.addr("web"));
                client.send(format!(
                    "{method} / HTTP/1.1\r\nHost: www.example.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                ));
                let answer = client.rest();
                let status = answer.get(9..12).unwrap_or_default();
                assert!(
                    ["502", "503", "504"].contains(&status),
                    "{how} {part} {method}: {answer}"
                );
                let times = arrived.load(Ordering::Relaxed) - before;
                let most = if method == "POST" || method == "PATCH" {
                    1
                } else {
                    2
                };
                assert!(times <= most, "{how} {part} {method}: {times} times");
            }
        }
    }
}

/// One of three backends answers 503 or refuses connections: clients see few of its failures, and
/// then none.
///
/// Acceptance: R-09
#[test]
fn one_bad_backend_of_three_is_left_out() {
    let site = Site::new();
    let good = [origin(Kind::Http1, "one"), origin(Kind::Http1, "two")];
    let failing = Backend::start(|_, mut client| {
        while client.try_until_head() {
            let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
            let _ = client.try_send(answer);
        }
    });
    for bad in [failing.addr(), free_addr()] {
        let adit = site.run(&format!(
            "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\", \"http://{bad}\", \"http://{}\"]}}\n",
            good[0].addr(),
            good[1].addr()
        ));
        let mut client = Raw::connect(adit.addr("web"));
        let mut failures = 0;
        for number in 0..120 {
            client.send("GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
            let (head, _) = client.answer();
            let failed = !head.starts_with("HTTP/1.1 200");
            failures += usize::from(failed);
            assert!(
                !failed || number < 60,
                "{bad}: still asked at {number}: {head}"
            );
        }
        assert!(failures <= 10, "{bad}: {failures} failures");
    }
}

/// Five thousand routes and a thousand certificates (a tenth of it unless `--soak` is given): from
/// the first connection on, every route is there.
///
/// Acceptance: R-22
#[test]
fn a_cold_start_never_denies_a_route_that_exists() {
    let (routes, certificates) = if soak() { (5000, 1000) } else { (500, 100) };
    let site = Site::new();
    for number in 0..certificates {
        let name = format!("h{number}.many.test");
        write_identity(
            &site.dir,
            &format!("many/{number}"),
            &site.pki.leaf(&[&name]),
        );
    }
    let mut config = format!(
        "version: 1\nlisteners:\n- {{name: web, role: lan, bind: \"{}\"}}\n- {{name: webs, role: lan, bind: \"{}\", tls: true}}\n\
         certificates: {{directories: [many]}}\nroutes:\n",
        free_addr(),
        free_addr()
    );
    for number in 0..routes {
        let _ = writeln!(
            config,
            "- {{host: h{number}.many.test, respond: {{body: \"{number}\"}}}}"
        );
    }
    let file = site.dir.write("adit.yaml", config.clone());
    let door = config.split("bind: \"").nth(1).unwrap();
    let door = door.split('"').next().unwrap().parse().unwrap();
    let mut start = command();
    start.arg("run").arg("--config").arg(&file);
    let process = Process::start(&mut start);
    // The door is closed until everything is there.
    eventually("the door opens", || std::net::TcpStream::connect(door).ok());
    for number in (0..routes).step_by(routes / 50).chain([routes - 1]) {
        let mut client = Raw::over(tcp(door));
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: h{number}.many.test\r\nConnection: close\r\n\r\n"
        ));
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 200"), "h{number}: {answer}");
    }
    assert!(!process.stderr().contains("panicked"), "{ADIT}");
}
