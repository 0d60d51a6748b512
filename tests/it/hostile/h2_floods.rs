//! HTTP/2 clients that keep adit busy with anything but requests: each is disconnected within
//! seconds, costs little memory, is counted by its rule, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use adit_bench::Kind;
use http::Request;

use crate::support::adit::Adit;
use crate::support::h2client::{H2, run};
use crate::support::h2raw::*;
use crate::support::site::Site;
use crate::support::{eventually, origin};

/// Checklist item 35.
const AT_MOST: Duration = Duration::from_secs(5);
const MOST_KIB: u64 = 64 * 1024;

/// Error codes (RFC 9113 §7).
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const CALM: u32 = 11;

const DOORS: &str = r#"
listeners:
  - {name: prior, role: lan, bind: "127.0.0.1:0", protocol: h2c}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}
  - {name: adm, role: admin, bind: "127.0.0.1:0"}
"#;

fn serve(site: &Site, backend: impl std::fmt::Display, more: &str) -> Adit {
    let routes = format!(
        "workers: 1\naccessLog: {{format: off}}\nroutes:\n- {{host: www.example.test, backends: [\"{backend}\"]}}\n{more}"
    );
    site.run_with(DOORS, &routes)
}

/// The number behind a series of the metrics.
fn metric(site: &Site, adit: &Adit, series: &str) -> f64 {
    let page = site.curl(adit.addr("adm")).get("http://localhost/metrics");
    let page = page.expect(200).text();
    let line = page.lines().find(|line| line.starts_with(series));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0.0)
}

fn refused(site: &Site, adit: &Adit, rule: &str) -> f64 {
    let series = format!("adit_refused_total{{rule=\"{rule}\",listener=\"prior\"}}");
    metric(site, adit, &series)
}

/// A well-behaved client that asks all the time, and how often it was answered.
struct Bystander {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Bystander {
    fn start(site: &Site, adit: &Adit) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU32>::default());
        let (to, config) = (adit.addr("webs"), site.tls(&["h2"]));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let (stopped, count) = (Arc::clone(&stopped), Arc::clone(&count));
                let config = Arc::clone(&config);
                run(async move {
                    let mut h2 = H2::tls(to, "www.example.test", config).await;
                    while !stopped.load(Ordering::Relaxed) {
                        let url = "https://www.example.test/size/1000";
                        let answer = tokio::time::timeout(AT_MOST, h2.get(url)).await;
                        let answer = answer.expect("an answer in time").unwrap();
                        assert_eq!(answer.body.len(), 1000);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        if count.fetch_add(1, Ordering::Relaxed) % 1000 == 999 {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            stop,
            answered,
            thread: Some(thread),
        }
    }

    /// Waits until it has been answered some more.
    #[track_caller]
    fn is_served(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let more = || (self.answered.load(Ordering::Relaxed) > before + 3).then_some(());
        eventually("answers for somebody else", more);
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn odd(n: u32) -> u32 {
    2 * n + 1
}

fn many(times: usize, one: &[u8]) -> Vec<u8> {
    one.repeat(times)
}

struct Attack {
    name: &'static str,
    /// One of these counts it.
    rules: &'static [&'static str],
    round: Box<dyn Fn(u32) -> Vec<u8>>,
}

fn attack(
    name: &'static str,
    rules: &'static [&'static str],
    round: impl Fn(u32) -> Vec<u8> + 'static,
) -> Attack {
    Attack {
        name,
        rules,
        round: Box::new(round),
    }
}

/// A request, and frames after it that make adit reset its stream (CVE-2025-8671).
fn made_you_reset(
    name: &'static str,
    flags: u8,
    more: &'static [(&'static str, &'static str)],
    then: impl Fn(u32) -> Vec<u8> + 'static,
) -> Attack {
    attack(name, &["D-60", "L-28", "h2-connection"], move |n| {
        let mut head = request("POST", "/delay/3000");
        head.extend(block(more));
        let mut bytes = frame(HEADERS, flags, odd(n), &head);
        bytes.extend(then(odd(n)));
        bytes
    })
}

/// Streams that are opened to be reset (CVE-2023-44487, CVE-2025-8671), or that are no requests.
fn resets() -> Vec<Attack> {
    vec![
        attack("rapid reset", &["L-29"], |n| {
            [
                get(odd(n), "/delay/1000"),
                frame(RST_STREAM, 0, odd(n), &[0, 0, 0, 8]),
            ]
            .concat()
        }),
        made_you_reset("an increment of zero", END_HEADERS, &[], |stream| {
            frame(WINDOW_UPDATE, 0, stream, &[0; 4])
        }),
        made_you_reset("a window that overflows", END_HEADERS, &[], |stream| {
            frame(WINDOW_UPDATE, 0, stream, &[0x7f, 255, 255, 255])
        }),
        made_you_reset(
            "DATA after the end",
            END_HEADERS | END_STREAM,
            &[],
            |stream| frame(DATA, 0, stream, b"x"),
        ),
        made_you_reset(
            "HEADERS after the end",
            END_HEADERS | END_STREAM,
            &[],
            |stream| {
                frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    stream,
                    &block(&[("a", "b")]),
                )
            },
        ),
        made_you_reset(
            "more than the length says",
            END_HEADERS,
            &[("content-length", "3")],
            |stream| frame(DATA, 0, stream, b"four"),
        ),
        made_you_reset("trailers that do not end", END_HEADERS, &[], |stream| {
            frame(HEADERS, END_HEADERS, stream, &block(&[("a", "b")]))
        }),
        attack("malformed requests", &["D-60"], |n| {
            let head = block(&[(":method", "GET"), (":status", "200")]);
            frame(HEADERS, END_HEADERS | END_STREAM, odd(n), &head)
        }),
        attack("refused requests", &["D-66"], |n| {
            let head = block(&[
                (":method", "GET"),
                (":scheme", "ftp"),
                (":authority", "www.example.test"),
                (":path", "/"),
            ]);
            frame(HEADERS, END_HEADERS | END_STREAM, odd(n), &head)
        }),
    ]
}

/// Header blocks of any size.
fn bombs() -> Vec<Attack> {
    let x = "x".repeat(4000);
    let bomb = (0..120).map(|n| (format!("x-{n}"), x.clone()));
    let bomb: Vec<u8> = bomb
        .flat_map(|(name, value)| field(name.as_bytes(), value.as_bytes()))
        .collect();
    // One crumb is remembered by HPACK, and repeated by a byte each.
    let mut crumbs = request("GET", "/");
    crumbs.extend([0x60, 100]);
    crumbs.extend([b'c'; 100]);
    crumbs.extend([0xbe; 12_000]);
    vec![
        attack("CONTINUATION flood", &["L-27"], |n| match n {
            0 => frame(HEADERS, END_STREAM, 1, &request("GET", "/")),
            _ => frame(CONTINUATION, 0, 1, &block(&[("a", "b")])),
        }),
        attack(
            "header bomb by fields",
            &["L-03", "L-27", "h2-connection"],
            move |n| pieces(odd(n), &bomb),
        ),
        attack(
            "header bomb by crumbs",
            &["L-03", "L-27", "h2-connection"],
            move |n| pieces(odd(n), &crumbs),
        ),
    ]
}

/// Frames that carry nothing.
fn floods() -> Vec<Attack> {
    let settings = many(100, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]));
    let toggle = many(
        50,
        &[
            frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]),
            frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        ]
        .concat(),
    );
    let pings = many(100, &frame(PING, 0, 0, &[7; 8]));
    let priorities = many(100, &frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 16]));
    let updates = many(100, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
    let unknown = many(100, &frame(0xfa, 0, 0, b"12345678"));
    let open = frame(HEADERS, END_HEADERS, 1, &request("POST", "/upload"));
    let (opened, opened_too) = (open.clone(), open);
    vec![
        attack("SETTINGS flood", &["L-32"], move |_| settings.clone()),
        attack("SETTINGS toggle", &["L-32"], move |_| toggle.clone()),
        attack("PING flood", &["L-31"], move |_| pings.clone()),
        attack("PRIORITY flood", &["L-33"], move |_| priorities.clone()),
        attack("WINDOW_UPDATE flood", &["L-33"], move |_| updates.clone()),
        attack("unknown frames", &["L-33"], move |_| unknown.clone()),
        attack("empty DATA", &["L-34"], move |n| match n {
            0 => opened.clone(),
            _ => frame(DATA, 0, 1, b""),
        }),
        attack("one byte at a time", &["L-34"], move |n| match n {
            0 => opened_too.clone(),
            _ => many(50, &frame(DATA, 0, 1, b"x")),
        }),
    ]
}

/// A header block in frames of the largest size.
fn pieces(stream: u32, block: &[u8]) -> Vec<u8> {
    let count = block.len().div_ceil(16_384);
    let piece = |(n, part): (usize, &[u8])| {
        let kind = if n == 0 { HEADERS } else { CONTINUATION };
        let end = if n + 1 == count { END_HEADERS } else { 0 };
        let whole = if n == 0 { END_STREAM } else { 0 };
        frame(kind, end | whole, stream, part)
    };
    block.chunks(16_384).enumerate().flat_map(piece).collect()
}

/// Acceptance: 35
#[test]
fn every_flood_ends_within_seconds_and_nobody_else_notices() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, format!("http://{}", one.addr()), "");
    let (before, _) = adit.process().memory();
    let bystander = Bystander::start(&site, &adit);
    bystander.is_served();
    for Attack { name, rules, round } in resets().into_iter().chain(bombs()).chain(floods()) {
        let count = || {
            rules
                .iter()
                .map(|rule| refused(&site, &adit, rule))
                .sum::<f64>()
        };
        let known = count();
        let codes = H2Raw::connect(adit.addr("prior")).flood(AT_MOST, round);
        // The words may be lost where the peer goes on sending; there is never another code.
        let fitting = |code: &u32| [NO_ERROR, PROTOCOL_ERROR, CALM].contains(code);
        assert!(codes.iter().all(fitting), "{name}: {codes:?}");
        eventually(name, || (count() > known).then_some(()));
        bystander.is_served();
        let (_, peak) = adit.process().memory();
        assert!(
            peak < before + MOST_KIB,
            "{name}: {before}, then {peak} KiB"
        );
    }
    bystander.end();
    let pings = metric(
        &site,
        &adit,
        "adit_h2_frames_total{type=\"ping\",listener=\"prior\"}",
    );
    assert!(pings > 20.0, "{pings}");
    adit.stop();
}

#[test]
fn a_flood_through_tls_ends_with_a_warning_and_its_reason() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, format!("http://{}", one.addr()), "");
    let mut client =
        crate::support::raw::Raw::tls(adit.addr("webs"), "www.example.test", site.tls(&["h2"]))
            .unwrap();
    client.send(PREFACE).send(frame(SETTINGS, 0, 0, &[]));
    // Few enough to be taken in at once, so that every answer can be read.
    client.send(many(46, &frame(PING, 0, 0, &[7; 8])));
    let mut codes = Vec::new();
    while codes.is_empty() {
        let frame = read(&mut client).expect("a frame");
        codes.extend((frame.kind == GOAWAY).then(|| frame.code()));
    }
    assert_eq!(codes, [NO_ERROR], "a graceful end first");
    client.send(many(30, &frame(PING, 0, 0, &[7; 8])));
    while let Some(frame) = read(&mut client) {
        codes.extend((frame.kind == GOAWAY).then(|| frame.code()));
    }
    assert_eq!(codes.last(), Some(&CALM), "{codes:?}");
    adit.stop();
}

/// Acceptance: 35
#[test]
fn an_unfinished_header_block_has_its_time() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let more = "limits: {headerBlockTimeout: 1s, shutdownGrace: 0s}\n";
    let adit = serve(&site, format!("http://{}", one.addr()), more);
    let head = request("GET", "/");
    let whole = frame(HEADERS, END_STREAM | END_HEADERS, 1, &head);
    for (name, bytes) in [
        ("no end", frame(HEADERS, END_STREAM, 1, &head)),
        ("half a frame", whole[..20].to_vec()),
    ] {
        let known = refused(&site, &adit, "L-39");
        let mut client = H2Raw::connect(adit.addr("prior"));
        client.send(&bytes);
        let frames = client.rest();
        let last = frames.last().expect("a frame");
        assert_eq!((last.kind, last.code()), (GOAWAY, CALM), "{name}");
        assert!(refused(&site, &adit, "L-39") > known, "{name}");
    }
}

/// Acceptance: 35
#[test]
fn windows_that_stay_shut_pin_nothing() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let more = "limits: {streamStallTimeout: 1s, connectionStallTimeout: 2s, shutdownGrace: 0s}\n";
    let adit = serve(&site, format!("http://{}", one.addr()), more);
    // A stream whose window is zero from the beginning, or opens by a byte now and then.
    for trickle in [false, true] {
        let mut client = H2Raw::connect_with(adit.addr("prior"), &[0, 4, 0, 0, 0, 0]);
        client.send(get(1, "/size/1000000"));
        assert_eq!(client.answer(1).kind, HEADERS);
        if trickle {
            client.send(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]));
        }
        let reset = client.until(|frame| frame.kind == RST_STREAM);
        assert_eq!(reset.stream, 1);
        assert!(refused(&site, &adit, "L-35") > 0.0);
        // The connection is as good as before.
        client.send(get(3, "/size/0"));
        assert_eq!(client.answer(3).kind, HEADERS);
    }
    // Streams with all the window they want, on a connection that has none.
    let known = refused(&site, &adit, "L-35");
    let mut client = H2Raw::connect_with(adit.addr("prior"), &[0, 4, 0x7f, 255, 255, 255]);
    client.send(get(1, "/size/65535"));
    let frames = client.rest();
    let last = frames.last().expect("a frame");
    assert_eq!((last.kind, last.code()), (GOAWAY, CALM));
    assert!(refused(&site, &adit, "L-35") > known);
    adit.stop();
}

#[test]
fn a_client_that_does_what_browsers_do_is_left_alone() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = serve(&site, format!("http://{}", one.addr()), "");
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "www.example.test").await;
        // A page with many pictures, left before they are there, again and again.
        for _ in 0..3 {
            let mut pictures = Vec::new();
            for n in 0..30 {
                let url = format!(
                    "https://www.example.test/delay/{}",
                    if n < 15 { 0 } else { 5000 }
                );
                let request = Request::get(url).body(()).unwrap();
                pictures.push(h2.open(request, true).await.unwrap());
            }
            for (n, (answer, mut stream)) in pictures.into_iter().enumerate() {
                if n < 15 {
                    assert_eq!(answer.await.unwrap().status(), 200);
                } else {
                    stream.send_reset(h2::Reason::CANCEL);
                }
            }
        }
        let big = h2.get("https://www.example.test/size/50000000").await;
        assert_eq!(big.unwrap().body.len(), 50_000_000);
        assert_eq!(h2.ended(), None);
    });
    let drained = "adit_refused_total{rule=\"L-38\",listener=\"webs\"}";
    assert!(metric(&site, &adit, drained) < 1.0);
    adit.stop();
}
