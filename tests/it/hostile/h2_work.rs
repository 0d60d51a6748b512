//! Work that outlives its stream, and backends that keep adit busy over HTTP/2.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use adit_bench::Kind;

use crate::support::backend::Backend;
use crate::support::h2raw::*;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{eventually, origin};

const DOORS: &str = r#"
listeners:
  - {name: prior, role: lan, bind: "127.0.0.1:0", protocol: h2c}
  - {name: web, role: lan, bind: "127.0.0.1:0"}
  - {name: adm, role: admin, bind: "127.0.0.1:0"}
"#;

/// A backend that answers nothing, and counts how many requests it is at at once. One thread looks
/// at all connections in turn, old ones first: what was closed before another was opened is never
/// counted beside it.
struct Counting {
    addr: SocketAddr,
    most: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Counting {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let counting = Self {
            addr: listener.local_addr().unwrap(),
            most: Arc::default(),
            all: Arc::default(),
            now: Arc::default(),
            stop: Arc::default(),
        };
        let (most, all) = (Arc::clone(&counting.most), Arc::clone(&counting.all));
        let (now, stop) = (Arc::clone(&counting.now), Arc::clone(&counting.stop));
        thread::spawn(move || {
            let mut running: Vec<TcpStream> = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let fresh = listener.accept().ok();
                // Whoever was accepted came after everything that was closed before.
                running.retain_mut(|stream| match stream.read(&mut [0; 4096]) {
                    Ok(read) => read > 0,
                    Err(error) => error.kind() == ErrorKind::WouldBlock,
                });
                if let Some((stream, _)) = fresh {
                    stream.set_nonblocking(true).unwrap();
                    running.push(stream);
                    all.fetch_add(1, Ordering::Relaxed);
                } else {
                    thread::park_timeout(Duration::from_micros(200));
                }
                now.store(running.len(), Ordering::Relaxed);
                most.fetch_max(running.len(), Ordering::Relaxed);
            }
        });
        counting
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Resets by the client: each ends its work before another takes the place. Resets that a client
/// provokes are not part of this.
///
/// Acceptance: 38
#[test]
fn resets_never_buy_more_work_than_streams_are_allowed() {
    const STREAMS: u32 = 20;
    let site = Site::new();
    // None of the limits that would end such a client sooner.
    let limits = "limits: {concurrentStreams: 20, resets: 100000, resetShareFrom: 1000000, \
                  pendingResets: 100000, localResets: 100000, glitchesBeforeDrain: 1000000, \
                  glitchesBeforeClose: 1000000, shutdownGrace: 0s}\n";
    let reset = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    let backend = Counting::start();
    let routes = format!(
        "workers: 1\nroutes:\n- {{host: www.example.test, backends: [\"http://{}\"]}}\n{limits}",
        backend.addr
    );
    let adit = site.run_with(DOORS, &routes);
    let mut client = H2Raw::connect(adit.addr("prior"));
    let mut next = 1;
    for _ in 0..10 {
        let streams: Vec<u32> = (0..STREAMS).map(|n| next + 2 * n).collect();
        next += 2 * STREAMS;
        let opened: Vec<u8> = streams
            .iter()
            .flat_map(|stream| get(*stream, "/"))
            .collect();
        client.send(opened);
        let busy = || (backend.now.load(Ordering::Relaxed) == STREAMS as usize).then_some(());
        eventually("work on every stream", busy);
        // All of them over, and as many others, in one piece.
        let mut both: Vec<u8> = streams.iter().flat_map(|stream| reset(*stream)).collect();
        let more: Vec<u32> = (0..STREAMS).map(|n| next + 2 * n).collect();
        next += 2 * STREAMS;
        both.extend(more.iter().flat_map(|stream| get(*stream, "/")));
        let before = backend.all.load(Ordering::Relaxed);
        client.send(both);
        let served = || {
            let all = backend.all.load(Ordering::Relaxed);
            (all >= before + STREAMS as usize).then_some(())
        };
        eventually("work on as many others", served);
        let over: Vec<u8> = more.iter().flat_map(|stream| reset(*stream)).collect();
        client.send(over);
        let idle = || (backend.now.load(Ordering::Relaxed) == 0).then_some(());
        eventually("an end of all work", idle);
    }
    let most = backend.most.load(Ordering::Relaxed);
    assert!(most <= STREAMS as usize, "{most} at once");
    adit.stop();
}

/// A backend that speaks HTTP/2 until it is asked for something.
fn hostile(flood: Vec<u8>) -> Backend {
    Backend::start(move |_, mut client: Raw| {
        if client.try_take(PREFACE.len()).is_none() {
            return;
        }
        let _ = client.try_send(&frame(SETTINGS, 0, 0, &[]));
        while let Some(frame) = read(&mut client) {
            if frame.kind == HEADERS {
                while client.try_send(&flood).is_ok() {}
                return;
            }
        }
    })
}

#[test]
fn a_backend_that_floods_loses_its_connection_and_nothing_else() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let floods = [
        ("ping", "L-31", frame(PING, 0, 0, &[7; 8]).repeat(50)),
        (
            "settings",
            "L-32",
            frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(50),
        ),
        (
            "priority",
            "L-33",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]).repeat(50),
        ),
        ("unknown", "L-33", frame(0xfa, 0, 0, b"12345678").repeat(50)),
        (
            "update",
            "L-33",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(50),
        ),
        ("broken", "h2-connection", frame(DATA, 0, 2, b"x")),
    ];
    let backends: Vec<_> = floods
        .iter()
        .map(|(name, _, flood)| (*name, hostile(flood.clone())))
        .collect();
    let silent = Backend::start(|_, mut client| {
        let _ = client.try_take(PREFACE.len());
        let _ = client.try_send(&frame(SETTINGS, 0, 0, &[]));
        // An answer whose head never ends.
        let _ = client.try_send(&frame(HEADERS, 0, 1, &[0x88]));
        client.drain();
    });
    let mut routes = format!(
        "workers: 1\naccessLog: {{format: off}}\nlimits: {{headerBlockTimeout: 1s, shutdownGrace: 0s}}\nroutes:\n\
         - {{host: www.example.test, backends: [\"http://{}\"]}}\n\
         - {{host: silent.example.test, backends: [\"h2c://{}\"]}}\n",
        one.addr(),
        silent.addr()
    );
    for (name, backend) in &backends {
        routes.push_str(&format!(
            "- {{host: {name}.example.test, backends: [\"h2c://{}\"]}}\n",
            backend.addr()
        ));
    }
    let adit = site.run_with(DOORS, &routes);
    let curl = || site.curl(adit.addr("web")).args(&["--max-time", "15"]);
    let counted = |rule: &str, upstream: &str| {
        let page = site.curl(adit.addr("adm")).get("http://localhost/metrics");
        let start = format!("adit_upstream_refused_total{{rule=\"{rule}\",upstream=\"{upstream}");
        page.expect(200).text().contains(&start)
    };
    let silent_too = [("silent", "L-39")];
    let all = floods.iter().map(|(name, rule, _)| (*name, *rule));
    for (name, rule) in all.chain(silent_too) {
        let begun = Instant::now();
        let answer = curl().get(&format!("http://{name}.example.test/"));
        assert_eq!(answer.status, 502, "{name}: {answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{name}");
        curl().get("http://www.example.test/").expect(200);
        eventually(name, || counted(rule, name).then_some(()));
    }
    adit.stop();
}
