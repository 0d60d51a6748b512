//! Attacks over HTTP/2, frame by frame: what a library would never send.
//!
//! Each attack is a maker of bytes that is asked again and again; the connection that carries them
//! must be ended by the other side before its deadline.

use std::time::Duration;

/// An attack: its name, by when it must have been ended, what opens it, and what goes on.
pub(super) struct Flood {
    pub(super) name: &'static str,
    pub(super) deadline: Duration,
    pub(super) opening: fn() -> Vec<u8>,
    /// The n-th piece; nothing means that the attack consists of waiting.
    pub(super) piece: fn(u32) -> Vec<u8>,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// The preface with these settings, as pairs of number and value.
fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (number, value) in settings {
        payload.extend(number.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &payload),
    ]
    .concat()
}

fn usual() -> Vec<u8> {
    preface(&[])
}

/// A literal field that is not indexed.
fn literal(name: &str, value: &str) -> Vec<u8> {
    [
        &[0, name.len() as u8],
        name.as_bytes(),
        &[value.len() as u8],
        value.as_bytes(),
    ]
    .concat()
}

/// The fields of a request, compressed without a table.
fn block(method: &str, path: &str) -> Vec<u8> {
    [
        literal(":method", method),
        vec![0x87],
        literal(":path", path),
        literal(":authority", "www.example.test"),
    ]
    .concat()
}

fn get(stream: u32, flags: u8, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block("GET", path))
}

/// The n-th stream of a client.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

/// So many pieces in one write.
fn many(n: u32, each: u32, piece: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (n * each..(n + 1) * each).flat_map(piece).collect()
}

/// Opens a request in the middle of the preface, for attacks on something that is running.
fn upload() -> Vec<u8> {
    [
        usual(),
        frame(HEADERS, END_HEADERS, 1, &block("POST", "/upload")),
    ]
    .concat()
}

/// Makes the server reset a stream in one of six ways (CVE-2025-8671).
fn made_you_reset(n: u32) -> Vec<u8> {
    let id = stream(n);
    let open = get(id, END_STREAM, "/delay/1000");
    let provoke = match n % 6 {
        0 => frame(WINDOW_UPDATE, 0, id, &[0; 4]),
        1 => frame(WINDOW_UPDATE, 0, id, &[0x7f, 0xff, 0xff, 0xff]),
        2 => frame(DATA, 0, id, b"late"),
        3 => get(id, END_STREAM, "/"),
        4 => frame(PRIORITY, 0, id, &[0; 4]),
        _ => frame(
            PRIORITY,
            0,
            id,
            &[id.to_be_bytes().as_slice(), &[0]].concat(),
        ),
    };
    [open, provoke].concat()
}

/// A field of 4 000 bytes goes into the table once, and is then named by one byte each time.
fn bomb(n: u32) -> Vec<u8> {
    let mut fields = block("GET", "/");
    fields.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    fields.extend([b'v'; 4000]);
    fields.extend([0xbe; 8000]);
    frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &fields)
}

fn crumbs(n: u32) -> Vec<u8> {
    let mut fields = block("GET", "/");
    for _ in 0..1500 {
        fields.extend(literal("cookie", "a=b"));
    }
    fields.truncate(16_000);
    frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &fields)
}

fn stalled() -> Vec<u8> {
    let requests = many(0, 50, |n| get(stream(n), END_STREAM, "/size/10000000"));
    // No window for any stream.
    [preface(&[(4, 0)]), requests].concat()
}

const SOON: Duration = Duration::from_secs(5);

/// All of them. Deadlines of stalls are those that the siege configures, or the default ones.
pub(super) const FLOODS: &[Flood] = &[
    Flood {
        name: "rapid reset",
        deadline: SOON,
        opening: usual,
        piece: |n| {
            many(n, 50, |n| {
                let reset = frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes());
                [get(stream(n), END_STREAM, "/delay/1000"), reset].concat()
            })
        },
    },
    Flood {
        name: "made you reset",
        deadline: SOON,
        opening: usual,
        piece: |n| many(n, 20, made_you_reset),
    },
    Flood {
        name: "continuations",
        deadline: SOON,
        opening: || [usual(), frame(HEADERS, END_STREAM, 1, &block("GET", "/"))].concat(),
        piece: |_| frame(CONTINUATION, 0, 1, b"").repeat(100),
    },
    Flood {
        name: "header bomb",
        deadline: SOON,
        opening: usual,
        piece: bomb,
    },
    Flood {
        name: "cookie crumbs",
        deadline: Duration::from_mins(1),
        opening: usual,
        piece: crumbs,
    },
    Flood {
        name: "settings",
        deadline: SOON,
        opening: usual,
        piece: |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]).repeat(100),
    },
    Flood {
        name: "pings",
        deadline: SOON,
        opening: usual,
        piece: |_| frame(PING, 0, 0, b"12345678").repeat(100),
    },
    Flood {
        name: "priorities",
        deadline: SOON,
        opening: usual,
        piece: |_| frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]).repeat(200),
    },
    Flood {
        name: "window updates",
        deadline: SOON,
        opening: upload,
        piece: |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()).repeat(200),
    },
    Flood {
        name: "unknown frames",
        deadline: SOON,
        opening: usual,
        piece: |_| frame(0xee, 0, 0, b"?").repeat(200),
    },
    Flood {
        name: "empty data",
        deadline: SOON,
        opening: upload,
        piece: |_| frame(DATA, 0, 1, b"").repeat(100),
    },
    Flood {
        name: "data of one byte",
        deadline: Duration::from_secs(10),
        opening: upload,
        piece: |_| frame(DATA, 0, 1, b"x").repeat(100),
    },
    Flood {
        name: "streams without a window",
        deadline: Duration::from_secs(75),
        opening: stalled,
        piece: |_| Vec::new(),
    },
    Flood {
        name: "an open header block",
        deadline: Duration::from_secs(20),
        opening: || [usual(), frame(HEADERS, END_STREAM, 1, &block("GET", "/"))].concat(),
        piece: |_| Vec::new(),
    },
];
