//! Each byte value in each position of a message: what is accepted is the specified set, no more and
//! no less.

use std::fmt::Write as _;

use adit_proxy::h1::{ChunkedDecoder, Decoded, HeadReader, parse_request, parse_response};
use adit_proxy::limits::Limits;
use bytes::BytesMut;
use http::Method;

fn request(text: &[u8]) -> bool {
    let limits = Limits::default();
    let mut input = BytesMut::from(text);
    let head = HeadReader::default().read(&mut input, &limits, true);
    // A head must end where the text ends: otherwise a byte has ended it early.
    matches!(head, Ok(Some(head)) if input.is_empty() && parse_request(&head, false, &limits).is_ok())
}

fn response(text: &[u8]) -> bool {
    let limits = Limits::default();
    let mut input = BytesMut::from(text);
    let head = HeadReader::default().read(&mut input, &limits, false);
    matches!(head, Ok(Some(head)) if input.is_empty() && parse_response(&head, &Method::GET, &limits).is_ok())
}

fn chunked(text: &[u8]) -> bool {
    let mut input = BytesMut::from(text);
    let mut decoder = ChunkedDecoder::default();
    loop {
        match decoder.decode(&mut input, &Limits::default()) {
            Ok(Decoded::Data(_)) => {}
            Ok(Decoded::End(_)) => return input.is_empty(),
            Ok(Decoded::NeedMore) | Err(_) => return false,
        }
    }
}

fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn value(byte: u8) -> bool {
    byte == b'\t' || (0x20..0x7f).contains(&byte) || byte >= 0x80
}

fn path(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"#<>`\\%".contains(&byte)
}

fn query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"#<>\"".contains(&byte)
}

fn host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

fn extension(byte: u8) -> bool {
    // A token goes on, or another extension begins.
    token(byte)
}

fn quoted(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\' || byte >= 0x80
}

/// A position: its name, whether a text is accepted, a text with `\0\0` where the byte stands, and
/// the set.
type Position = (
    &'static str,
    fn(&[u8]) -> bool,
    &'static [u8],
    fn(u8) -> bool,
);

const POSITIONS: &[Position] = &[
    (
        "method",
        request,
        b"G\0\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
        token,
    ),
    (
        "path",
        request,
        b"GET /a\0\0b HTTP/1.1\r\nHost: a\r\n\r\n",
        path,
    ),
    (
        "query",
        request,
        b"GET /?a\0\0b HTTP/1.1\r\nHost: a\r\n\r\n",
        query,
    ),
    (
        "major version",
        request,
        b"GET / HTTP/\0\0.1\r\nHost: a\r\n\r\n",
        |byte| byte == b'1',
    ),
    (
        "minor version",
        request,
        b"GET / HTTP/1.\0\0\r\nHost: a\r\n\r\n",
        |byte| byte == b'0' || byte == b'1',
    ),
    (
        "behind the version",
        request,
        b"GET / HTTP/1.1\0\0\r\nHost: a\r\n\r\n",
        |_| false,
    ),
    (
        "before the method",
        request,
        b"\0\0GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        token,
    ),
    (
        "name of a field",
        request,
        b"GET / HTTP/1.1\r\nHost: a\r\nx\0\0y: z\r\n\r\n",
        |byte| token(byte) || byte == b':',
    ),
    (
        "start of a name",
        request,
        b"GET / HTTP/1.1\r\nHost: a\r\n\0\0y: z\r\n\r\n",
        token,
    ),
    (
        "value of a field",
        request,
        b"GET / HTTP/1.1\r\nHost: a\r\nx: y\0\0z\r\n\r\n",
        value,
    ),
    (
        "start of a value",
        request,
        b"GET / HTTP/1.1\r\nHost: a\r\nx:\0\0z\r\n\r\n",
        value,
    ),
    (
        "host",
        request,
        b"GET / HTTP/1.1\r\nHost: a\0\0b\r\n\r\n",
        host,
    ),
    (
        "port",
        request,
        b"GET / HTTP/1.1\r\nHost: a:1\0\0\r\n\r\n",
        |byte| byte.is_ascii_digit() || blank(byte),
    ),
    (
        "length",
        request,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\0\0\r\n\r\n",
        |byte| byte.is_ascii_digit() || blank(byte),
    ),
    (
        "coding",
        request,
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\0\0\r\n\r\n",
        blank,
    ),
    (
        "status",
        response,
        b"HTTP/1.1 2\0\x000 OK\r\n\r\n",
        |byte| byte.is_ascii_digit(),
    ),
    (
        "class of a status",
        response,
        b"HTTP/1.1 \0\x0000 OK\r\n\r\n",
        |byte| (b'1'..=b'5').contains(&byte),
    ),
    ("reason", response, b"HTTP/1.1 200 O\0\0K\r\n\r\n", value),
    (
        "field of a response",
        response,
        b"HTTP/1.1 200 OK\r\nx: y\0\0z\r\n\r\n",
        value,
    ),
    ("chunk size", chunked, b"\0\0\r\n\r\n", |byte| byte == b'0'),
    (
        "behind a chunk size",
        chunked,
        b"1\0\0\r\nx\r\n0\r\n\r\n",
        |_| false,
    ),
    (
        "extension of a chunk",
        chunked,
        b"1;a\0\0b\r\nx\r\n0\r\n\r\n",
        |byte| extension(byte) || byte == b';' || byte == b'=',
    ),
    (
        "quoted extension",
        chunked,
        b"1;a=\"b\0\0c\"\r\nx\r\n0\r\n\r\n",
        |byte| quoted(byte) || byte == b'\\',
    ),
    (
        "data of a chunk",
        chunked,
        b"1\r\n\0\0\r\n0\r\n\r\n",
        |_| true,
    ),
    (
        "behind the data of a chunk",
        chunked,
        b"1\r\nx\0\0\n0\r\n\r\n",
        |byte| byte == b'\r',
    ),
    (
        "name of a trailer",
        chunked,
        b"0\r\nx\0\0y: z\r\n\r\n",
        |byte| token(byte) || byte == b':',
    ),
    (
        "value of a trailer",
        chunked,
        b"0\r\nx: y\0\0z\r\n\r\n",
        value,
    ),
];

fn blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Acceptance: 4
#[test]
fn each_byte_in_each_position_is_accepted_or_refused_as_specified() {
    let mut wrong = String::new();
    for (name, accepts, text, set) in POSITIONS {
        let at = text.windows(2).position(|two| two == b"\0\0").unwrap();
        for byte in 0..=255 {
            let whole = [&text[..at], &[byte], &text[at + 2..]].concat();
            let found = accepts(&whole);
            if found != set(byte) {
                let _ = writeln!(wrong, "{name}: {byte:#04x} gives {found}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
