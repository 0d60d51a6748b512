//! What the gate costs per head: `cargo bench -p adit-fuzz` prints nanoseconds.
//!
//! The budget is one microsecond for a typical head. Instructions are steadier than time: run the
//! binary under `valgrind --tool=callgrind` with `ROUNDS=1000` and `ROUNDS=2000` and divide the
//! difference by a thousand.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on says where by panicking"
)]

use std::hint::black_box;
use std::time::Instant;

use adit_proxy::h1::{HeadReader, parse_request, parse_response};
use adit_proxy::limits::Limits;
use bytes::BytesMut;
use http::Method;

const CURL: &str = "GET /index.html HTTP/1.1\r\nHost: www.example.test\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
const BROWSER: &str = "GET /path/to/page.html?q=search&lang=en HTTP/1.1\r\nHost: www.example.test\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef; theme=dark\r\n\
    Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n\
    Priority: u=0, i\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Fri, 20 Nov 2026 14:00:00 GMT\r\nContent-Type: text/html\r\n\
    Content-Length: 1024\r\nLast-Modified: Fri, 20 Nov 2026 13:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"673de8f0-400\"\r\n\
    Accept-Ranges: bytes\r\n\r\n";

/// Reads and parses one head; `true` if it was good, which it is.
fn pass(text: &str, buffer: &mut BytesMut, limits: &Limits) -> bool {
    buffer.clear();
    buffer.extend_from_slice(text.as_bytes());
    let head = HeadReader::default()
        .read(buffer, limits, true)
        .unwrap()
        .unwrap();
    if text.starts_with("HTTP") {
        black_box(parse_response(&head, &Method::GET, limits)).is_ok()
    } else {
        black_box(parse_request(&head, false, limits)).is_ok()
    }
}

fn main() {
    let rounds = std::env::var("ROUNDS").map_or(200_000_u32, |text| text.parse().unwrap());
    let limits = Limits::default();
    for (name, text) in [("curl", CURL), ("browser", BROWSER), ("answer", ANSWER)] {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        let start = Instant::now();
        for _ in 0..rounds {
            assert!(pass(black_box(text), &mut buffer, &limits));
        }
        let each = start.elapsed().as_nanos() / u128::from(rounds);
        println!("{name}: {} bytes, {each} ns per head", text.len());
    }
}
