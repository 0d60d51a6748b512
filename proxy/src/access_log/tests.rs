//! Lines as a collector reads them, and a writer that is slow, full or gone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;

use super::*;

fn record() -> Record<'static> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_636_363_123);
    Record {
        protocol: "HTTP/1.1",
        method: b"GET",
        host: b"a.example",
        path: b"/x?token=secret&page=2",
        status: 200,
        bytes_out: 512,
        ..Record::new(time, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)))
    }
}

fn line(format: AccessLogFormat, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    Formatter::new(format, 3).line(&mut out, record);
    String::from_utf8(out).expect("lines are ASCII")
}

fn full() -> Record<'static> {
    Record {
        request_id: "0af7651916cd43dd",
        channel: "internet",
        listener: "www",
        client_ip_from: "proxy_protocol",
        peer: Some(SocketAddr::from(([10, 0, 0, 1], 4711))),
        sni: b"a.example",
        alpn: b"http/1.1",
        tls_version: "TLSv1.3",
        tls_cipher: "TLS13_AES_128_GCM_SHA256",
        tls_resumed: true,
        route: "a.example/x",
        upstream: "app",
        endpoint: "[2001:db8::1]:8080",
        attempts: 2,
        bytes_in: 10,
        timings: Timings {
            total: Duration::from_micros(12_345),
            handshake: Some(Duration::from_millis(3)),
            head: Some(Duration::from_micros(7)),
            connect: Some(Duration::ZERO),
            first_byte: Some(Duration::from_secs(61)),
        },
        termination: Termination::ClientResponse,
        rule: "D-30",
        draining: true,
        user_agent: b"curl/8.14",
        referer: b"https://b.example/y?secret#z",
        ..record()
    }
}

#[test]
fn json_says_everything_that_is_known() {
    let line = line(AccessLogFormat::Json, &full());
    assert_eq!(
        line,
        concat!(
            r#"{"time":"2025-11-20T10:59:23.123Z","worker":3,"seq":1,"#,
            r#""request_id":"0af7651916cd43dd","channel":"internet","listener":"www","#,
            r#""client_ip":"192.0.2.7","client_ip_from":"proxy_protocol","peer":"10.0.0.1:4711","#,
            r#""sni":"a.example","alpn":"http/1.1","tls_version":"TLSv1.3","#,
            r#""tls_cipher":"TLS13_AES_128_GCM_SHA256","tls_resumed":true,"protocol":"HTTP/1.1","#,
            r#""method":"GET","host":"a.example","path":"/x?token&page","route":"a.example/x","#,
            r#""upstream":"app","endpoint":"[2001:db8::1]:8080","attempts":2,"status":200,"#,
            r#""bytes_in":10,"bytes_out":512,"duration_ms":12.345,"handshake_ms":3,"#,
            r#""head_ms":0.007,"connect_ms":0,"first_byte_ms":61000,"#,
            r#""termination":"client_response","rule":"D-30","draining":true,"#,
            r#""user_agent":"curl/8.14","referer":"https://b.example/y"}"#,
            "\n"
        )
    );
}

#[test]
fn combined_is_what_log_readers_expect() {
    assert_eq!(
        line(AccessLogFormat::Combined, &full()),
        concat!(
            r#"192.0.2.7 - - [20/Nov/2025:10:59:23 +0000] "GET /x?token&page HTTP/1.1" 200 512 "#,
            r#""https://b.example/y" "curl/8.14""#,
            "\n"
        )
    );
    assert_eq!(
        line(AccessLogFormat::Combined, &record()),
        concat!(
            r#"192.0.2.7 - - [20/Nov/2025:10:59:23 +0000] "GET /x?token&page HTTP/1.1" 200 512 "#,
            "\"-\" \"-\"\n"
        )
    );
}

/// Acceptance: 86
#[test]
fn nothing_a_client_sends_can_break_a_line() {
    for (sent, json, combined) in [
        (&b"plain ~ text"[..], "plain ~ text", "plain ~ text"),
        (b"a\"b\\c", r#"a\"b\\c"#, r"a\x22b\x5cc"),
        (b"a\r\n\tb", r"a\r\n\tb", r"a\x0d\x0a\x09b"),
        (
            b"\x1b[31m\x00\x7f",
            r"\u001b[31m\u0000\u007f",
            r"\x1b[31m\x00\x7f",
        ),
        (
            "é\u{202e}".as_bytes(),
            r"\u00e9\u202e",
            r"\xc3\xa9\xe2\x80\xae",
        ),
        ("\u{1f600}".as_bytes(), r"\ud83d\ude00", r"\xf0\x9f\x98\x80"),
        (b"a\xff\xc3(", r"a\\xff\\xc3(", r"a\xff\xc3("),
    ] {
        let mut out = Vec::new();
        text::json_escaped(&mut out, sent, 100);
        assert_eq!(String::from_utf8(out).unwrap(), json);
        let mut out = Vec::new();
        text::hex_escaped(&mut out, sent, 100);
        assert_eq!(String::from_utf8(out).unwrap(), combined);
    }
}

#[test]
fn the_quick_look_finds_every_byte_that_must_be_escaped() {
    for length in 1..=20 {
        for place in 0..length {
            for byte in 0..=u8::MAX {
                let mut sent = vec![b'~'; length];
                sent[place] = byte;
                let mut out = Vec::new();
                text::hex_escaped(&mut out, &sent, 100);
                let plain = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
                assert_eq!(out == sent, plain, "{byte:#x} at {place} of {length}");
            }
        }
    }
}

#[test]
fn long_fields_are_cut_at_a_character() {
    for (sent, limit, shown) in [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcdef..."),
        ("abcdeé", 6, "abcde..."),
        ("abcdé", 6, r"abcd\u00e9"),
        ("", 0, ""),
    ] {
        let mut out = Vec::new();
        text::json_escaped(&mut out, sent.as_bytes(), limit);
        assert_eq!(String::from_utf8(out).unwrap(), shown, "{sent}");
    }
}

/// Acceptance: 49
#[test]
fn of_a_query_only_the_names_are_written() {
    for (target, shown) in [
        ("/", "/"),
        ("/a?", "/a?"),
        ("/a?b", "/a?b"),
        ("/a?b=1&c=2&&d", "/a?b&c&&d"),
        ("/a?b=1?c=2", "/a?b"),
        ("*", "*"),
        ("/aaaaaaaaaaaaa", "/aaaaaaaaa..."),
        ("/a?bbbbb=1&ccccc=2&ddddd=3&eeeee=4", "/a?bbbbb&cccc..."),
    ] {
        let mut out = Vec::new();
        text::path(&mut out, target.as_bytes(), 10, text::hex_escaped);
        assert_eq!(String::from_utf8(out).unwrap(), shown, "{target}");
    }
}

/// Acceptance: 86
#[test]
fn any_bytes_make_one_line_of_valid_json() {
    let mut rng = fastrand::Rng::with_seed(1);
    for round in 0..2_000 {
        let junk: Vec<u8> = (0..round).map(|_| rng.u8(..)).collect();
        let record = Record {
            sni: &junk,
            alpn: &junk,
            method: &junk,
            host: &junk,
            path: &junk,
            user_agent: &junk,
            referer: &junk,
            ..record()
        };
        for format in [AccessLogFormat::Json, AccessLogFormat::Combined] {
            let line = line(format, &record);
            assert!(
                line.bytes()
                    .all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte))
            );
            assert_eq!(line.matches('\n').count(), 1);
            assert!(line.len() < 32 * 1024);
        }
        let line = line(AccessLogFormat::Json, &record);
        assert!(closes_all_strings(&line), "{line}");
    }
}

/// Quotes outside escapes come in pairs, and an escape is one that JSON knows.
fn closes_all_strings(line: &str) -> bool {
    let mut inside = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => inside = !inside,
            '\\' => match characters.next() {
                Some('"' | '\\' | 'n' | 'r' | 't') if inside => {}
                Some('u') if inside => {
                    if !characters
                        .by_ref()
                        .take(4)
                        .all(|digit| digit.is_ascii_hexdigit())
                    {
                        return false;
                    }
                }
                _ => return false,
            },
            _ => {}
        }
    }
    !inside
}

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let (_open, never) = std::sync::mpsc::sync_channel::<()>(0);
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        let _ = never.recv_timeout(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

#[test]
fn every_line_of_every_worker_arrives() {
    let scratch = Scratch::new("all");
    let path = scratch.file("access.log");
    let target = AccessLogTarget::File(path.clone());
    let log = AccessLog::start(AccessLogFormat::Json, target).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let worker = log.worker();
                for _ in 0..2_000 {
                    worker.record(&record());
                }
            });
        }
    });
    log.finish(Duration::from_secs(10));
    assert_eq!((lines(&path), log.dropped()), (8_000, 0));
    let text = std::fs::read_to_string(&path).unwrap();
    for worker in 0..4 {
        assert!(text.contains(&format!("\"worker\":{worker},\"seq\":2000,")));
    }
}

#[test]
fn a_buffer_is_sent_when_it_is_old() {
    let scratch = Scratch::new("old");
    let path = scratch.file("access.log");
    let log = AccessLog::start(
        AccessLogFormat::Combined,
        AccessLogTarget::File(path.clone()),
    )
    .unwrap();
    let worker = log.worker();
    worker.record(&record());
    let now = Instant::now();
    worker.flush_if_old(now);
    assert_eq!(lines(&path), 0);
    worker.flush_if_old(now + Duration::from_millis(201));
    until("a line", || lines(&path) == 1);
    drop(worker);
    log.finish(Duration::from_secs(10));
    assert_eq!(lines(&path), 1);
}

#[test]
fn a_moved_file_is_opened_again_under_its_name() {
    let scratch = Scratch::new("move");
    let (path, moved) = (scratch.file("access.log"), scratch.file("access.log.1"));
    let log = AccessLog::start(AccessLogFormat::Json, AccessLogTarget::File(path.clone())).unwrap();
    let worker = log.worker();
    worker.record(&record());
    worker.flush();
    until("the first line", || lines(&path) == 1);
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    until("the new file", || path.exists());
    worker.record(&record());
    drop(worker);
    log.finish(Duration::from_secs(10));
    assert_eq!((lines(&moved), lines(&path)), (1, 1));
}

#[test]
fn what_cannot_be_written_is_dropped_and_counted() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let target = AccessLogTarget::File("/dev/full".into());
    let log = AccessLog::start(AccessLogFormat::Json, target).unwrap();
    let worker = log.worker();
    for _ in 0..10 {
        worker.record(&record());
    }
    drop(worker);
    log.finish(Duration::from_secs(10));
    assert_eq!(log.dropped(), 10);
}

#[test]
fn traffic_does_not_wait_for_a_reader_that_stopped() {
    let scratch = Scratch::new("pipe");
    let path = scratch.file("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // Both ends, so that opening does not wait; nobody reads.
    let held = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let log = AccessLog::start(AccessLogFormat::Json, AccessLogTarget::File(path)).unwrap();
    let worker = log.worker();
    let started = Instant::now();
    for _ in 0..50_000 {
        worker.record(&record());
    }
    drop(worker);
    assert!(log.dropped() > 0);
    log.finish(Duration::from_millis(100));
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(held);
}

#[test]
fn a_log_that_is_off_costs_nothing() {
    let log = AccessLog::start(AccessLogFormat::Off, AccessLogTarget::Stdout).unwrap();
    let worker = log.worker();
    worker.record(&record());
    assert!(!worker.is_on());
    assert_eq!(worker.buffer.borrow().lines.capacity(), 0);
    log.reopen();
    log.finish(Duration::from_secs(1));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let target = AccessLogTarget::File("/nonexistent/access.log".into());
    let error = AccessLog::start(AccessLogFormat::Json, target).unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/access.log"),
        "{error}"
    );
}
