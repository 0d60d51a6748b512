//! Heads of requests: the gate against a plain reader, itself byte by byte, and httparse.

use adit_proxy::Violation;
use adit_proxy::h1::{
    BodyLength, HeadReader, RequestHead, RequestLine, Target as Asked, parse_request, request_head,
};
use adit_proxy::limits::Limits;
use adit_route::FieldList;
use bytes::{Bytes, BytesMut};
use http::Version;

use crate::Target;
use crate::reference::head::{self, Length};

pub(crate) const TARGET: Target = Target {
    name: "request",
    run,
    words: WORDS,
};

pub(crate) const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"GET / HTTP/1.1\r\n",
    b"POST ",
    b"OPTIONS * ",
    b"CONNECT a.test:443 ",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"http://a.test",
    b"https://a.test:443/",
    b"Host: a.test\r\n",
    b"host: [::1]:80\r\n",
    b"Content-Length: 5\r\n",
    b"content-length: 05\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:\x0bchunked\r\n",
    b" : ",
    b"\r\n ",
    b"cookie: a=b\r\n",
    b"%2e%2e/",
    b"%00",
    b"?a=b",
    b"#f",
];

/// Reads until a head, an error, or the end of the pieces.
pub(crate) fn read_head<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    leading: bool,
) -> Result<Option<Bytes>, Violation> {
    let mut reader = HeadReader::default();
    let mut input = BytesMut::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        if let Some(head) = reader.read(&mut input, &Limits::default(), leading)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn run(input: &[u8]) {
    let whole = read_head(std::iter::once(input), true);
    let cut = read_head(input.chunks(1), true);
    assert_eq!(whole, cut, "in one piece and byte by byte");
    let skipped = input.strip_prefix(b"\r\n").unwrap_or(input);
    let end = head::end(skipped);
    let found = match whole {
        Ok(None) => {
            assert!(end.is_none(), "a whole head is waited for");
            return;
        }
        // A head may be refused before it is whole; what was refused must then be there.
        Err(_) if end.is_none() => return assert!(hopeless(skipped), "refused too early"),
        Err(_) => None,
        Ok(Some(text)) => {
            assert_eq!(Some(text.len()), end, "the end of the head");
            Some(text)
        }
    };
    for secure in [false, true] {
        let parsed = found
            .as_ref()
            .and_then(|text| parse_request(text, secure, &Limits::default()).ok());
        let plain = head::request(&skipped[..end.unwrap_or_default()], secure);
        match (&parsed, &plain) {
            (None, None) => {}
            (Some(parsed), Some(plain)) => {
                same(parsed, plain);
                as_others_read(&skipped[..end.unwrap_or_default()], plain);
                written_anew(parsed, secure);
            }
            (parsed, plain) => panic!("we read {parsed:?}, plainly it is {plain:?}"),
        }
    }
}

/// Whether nothing that follows could make a good head of this.
pub(crate) fn hopeless(input: &[u8]) -> bool {
    let bare = input
        .iter()
        .enumerate()
        .any(|(at, &byte)| byte == b'\n' && (at == 0 || input[at - 1] != b'\r'));
    let long = input
        .split(|&byte| byte == b'\n')
        .any(|line| line.len() > 8 * 1024);
    let leading = input.first() == Some(&b'\r') && input.len() > 1;
    bare || long || leading || input.len() > 32 * 1024
}

fn same(parsed: &RequestHead, plain: &head::Request) {
    let target = match &parsed.target {
        Asked::Path(path) => Some(path.as_str().as_bytes()),
        Asked::Asterisk => Some(&b"*"[..]),
        Asked::Authority => None,
    };
    assert_eq!(parsed.method.as_str().as_bytes(), plain.method);
    assert_eq!(parsed.version == Version::HTTP_11, plain.minor == 1);
    assert_eq!(parsed.host.as_str(), plain.host);
    assert_eq!(parsed.port, plain.port);
    assert_eq!(target, plain.target.as_deref());
    assert_eq!(parsed.length, request_length(plain.section.length));
    same_fields(&parsed.headers, &plain.section.others);
}

fn request_length(length: Length) -> BodyLength {
    match length {
        Length::Unsaid | Length::Exact(0) => BodyLength::None,
        Length::Exact(length) => BodyLength::Exact(length),
        Length::Chunked => BodyLength::Chunked,
    }
}

/// The same fields in the same order.
pub(crate) fn same_fields(headers: &FieldList, plain: &[(String, Vec<u8>)]) {
    let ours = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let theirs = plain
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()));
    assert!(ours.eq(theirs), "{headers:?} is plainly {plain:?}");
}

/// What we let pass means the same to a common parser.
fn as_others_read(text: &[u8], plain: &head::Request) {
    let mut fields = [httparse::EMPTY_HEADER; 512];
    let mut other = httparse::Request::new(&mut fields);
    let status = other.parse(text).expect("a common parser takes it");
    assert_eq!(status, httparse::Status::Complete(text.len()));
    assert_eq!(other.method.unwrap().as_bytes(), plain.method);
    assert_eq!(other.version, Some(plain.minor));
    let of = |name: &str| -> Vec<&[u8]> {
        let same = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        other.headers.iter().filter(same).map(|f| f.value).collect()
    };
    for (name, _) in &plain.section.others {
        let ours: Vec<&[u8]> = plain
            .section
            .others
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_slice())
            .collect();
        assert_eq!(of(name), ours, "values of {name}");
    }
    assert_eq!(of("host").len(), 1);
    assert!(of("content-length").len() + of("transfer-encoding").len() <= 1);
}

/// The head that we would send is accepted by the gate and says the same (D-03, D-73).
fn written_anew(parsed: &RequestHead, secure: bool) {
    let target = match &parsed.target {
        Asked::Path(path) => path.as_str(),
        Asked::Asterisk => "*",
        Asked::Authority => return,
    };
    let line = RequestLine {
        method: &parsed.method,
        target,
        host: parsed.host.as_str(),
        port: parsed.port,
    };
    let mut out = BytesMut::new();
    request_head(&mut out, &line, &parsed.headers, parsed.length, None);
    let sent = read_head(std::iter::once(out.as_ref()), false)
        .expect("what we send passes the gate")
        .expect("what we send is a whole head");
    assert_eq!(sent.len(), out.len(), "one head and nothing else");
    let again =
        parse_request(&sent, secure, &Limits::default()).expect("what we send passes the gate");
    assert_eq!(again.method, parsed.method);
    assert_eq!(again.version, Version::HTTP_11);
    assert_eq!((&again.host, again.port), (&parsed.host, parsed.port));
    assert_eq!(again.target, parsed.target);
    assert_eq!(again.headers, parsed.headers);
    assert_eq!(again.length, parsed.length);
}
