//! Request and response heads, read strictly.
//!
//! A head is cut from the stream once its last empty line has arrived and is then parsed in one
//! pass. What comes out holds values only: the framing decision, the canonical host, the target in
//! origin form. Nothing of the received text is relayed (D-03).

use adit_route::{CanonicalHost, FieldList, path};
use bytes::{Buf, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version};

use super::chunked::is_token_byte;
use super::fields::{Fields, SectionLimits, SectionScan, parse_fields};
use super::violation::Violation;
use crate::limits::Limits;

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// This many bytes.
    Exact(u64),
    /// Chunked coding.
    Chunked,
    /// The connection's end.
    UntilClose,
}

/// A request head.
#[derive(Debug)]
pub struct RequestHead {
    /// What is to be done.
    pub method: Method,
    /// 1.0 or 1.1.
    pub version: Version,
    /// The host of the `Host` field, with which an absolute target agrees.
    pub host: CanonicalHost,
    /// The port beside it, if one is written.
    pub port: Option<u16>,
    /// What is asked for.
    pub target: Target,
    /// All fields but those of host and framing.
    pub headers: FieldList,
    /// How the body ends.
    pub length: BodyLength,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A path with an optional query.
    Path(PathAndQuery),
    /// `OPTIONS *`.
    Asterisk,
    /// `CONNECT host:port`.
    Authority,
}

/// A response head.
#[derive(Debug)]
pub struct ResponseHead {
    /// From 100 to 599.
    pub status: StatusCode,
    /// 1.0 or 1.1.
    pub version: Version,
    /// All fields but those of framing.
    pub headers: FieldList,
    /// How the body ends.
    pub length: BodyLength,
}

/// Cuts heads from a stream.
#[derive(Debug, Default)]
pub struct HeadReader {
    scan: SectionScan,
    leading_line: bool,
}

impl HeadReader {
    /// The next head, empty last line included, once it is complete. `leading_lines` is true where
    /// one empty line may come first (requests; L-13).
    pub fn read(
        &mut self,
        input: &mut BytesMut,
        limits: &Limits,
        leading_lines: bool,
    ) -> Result<Option<Bytes>, Violation> {
        if leading_lines && !self.leading_line && input.starts_with(b"\r\n") {
            input.advance(2);
            self.leading_line = true;
        }
        if matches!(input.first(), Some(b'\r' | b'\n')) && input.len() != 1 {
            return Err(Violation::LEADING_LINES);
        }
        if input.first() == Some(&b'\n') {
            return Err(Violation::LEADING_LINES);
        }
        let section = SectionLimits {
            first_line: limits.request_line,
            line: limits.field_line,
            total: limits.header_bytes,
        };
        let end = self.scan.find_end(input, &section)?;
        Ok(end.map(|end| {
            *self = Self::default();
            input.split_to(end).freeze()
        }))
    }

    /// Whether nothing of a head has arrived.
    pub(crate) fn is_idle(&self, input: &BytesMut) -> bool {
        !self.leading_line && input.is_empty()
    }
}

/// Parses a complete request head. `secure` says whether the connection has TLS.
pub fn parse_request(
    head: &Bytes,
    secure: bool,
    limits: &Limits,
) -> Result<RequestHead, Violation> {
    let line_end = memchr::memchr(b'\r', head).ok_or(Violation::REQUEST_LINE)?;
    let (line, rest) = head.split_at(line_end);
    if !rest.starts_with(b"\r\n") {
        return Err(Violation::BARE_CR);
    }
    let (method, target, version) = request_line(line)?;
    let mut fields = parse_fields(head, line_end + 2, limits)?;
    if fields.chunked && version == Version::HTTP_10 {
        return Err(Violation::CODING_IN_1_0);
    }
    let (host, port) = host(&fields)?;
    let target = request_target(&head.slice_ref(target), &method, secure, &host, port)?;
    Ok(RequestHead {
        method,
        version,
        host,
        port,
        target,
        length: request_length(&fields),
        headers: std::mem::take(&mut fields.map),
    })
}

fn request_line(line: &[u8]) -> Result<(Method, &[u8], Version), Violation> {
    const MAX_METHOD: usize = 32;
    if line.iter().any(|&byte| byte < 0x20 || byte == 0x7f) {
        return Err(Violation::REQUEST_LINE);
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Violation::REQUEST_LINE);
    };
    if method.is_empty() || target.is_empty() || !method.iter().all(|&byte| is_token_byte(byte)) {
        return Err(Violation::REQUEST_LINE);
    }
    if method.len() > MAX_METHOD {
        return Err(Violation::METHOD_TOO_LONG);
    }
    if line == b"PRI * HTTP/2.0" {
        return Err(Violation::PREFACE);
    }
    let version = parse_version(version, Violation::REQUEST_LINE)?;
    let method = Method::from_bytes(method).map_err(|_| Violation::REQUEST_LINE)?;
    Ok((method, target, version))
}

fn parse_version(text: &[u8], malformed: Violation) -> Result<Version, Violation> {
    match text {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Violation::VERSION)
        }
        _ => Err(malformed),
    }
}

/// D-17 and D-18: content needs explicit framing, whatever the method.
fn request_length(fields: &Fields) -> BodyLength {
    match (fields.chunked, fields.content_length) {
        (true, _) => BodyLength::Chunked,
        (false, Some(length)) if length > 0 => BodyLength::Exact(length),
        (false, _) => BodyLength::None,
    }
}

fn host(fields: &Fields) -> Result<(CanonicalHost, Option<u16>), Violation> {
    let value = fields.host.as_ref().ok_or(Violation::NO_HOST)?;
    if value.is_empty() {
        return Err(Violation::NO_HOST);
    }
    CanonicalHost::parse_authority(value.as_bytes()).map_err(|_| Violation::HOST)
}

/// Origin, absolute, asterisk or authority form (RFC 9112 §3.2; N-04 to N-06).
fn request_target(
    target: &Bytes,
    method: &Method,
    secure: bool,
    host: &CanonicalHost,
    port: Option<u16>,
) -> Result<Target, Violation> {
    if method == Method::CONNECT {
        let named = CanonicalHost::parse_authority(target).map_err(|_| Violation::TARGET_FORM)?;
        return match named {
            (name, Some(number)) if name == *host && port.is_none_or(|port| port == number) => {
                Ok(Target::Authority)
            }
            _ => Err(Violation::HOST_DISAGREES),
        };
    }
    match target.as_ref() {
        b"*" if method == Method::OPTIONS => Ok(Target::Asterisk),
        [b'/', ..] => path_and_query(target.clone()).map(Target::Path),
        _ => absolute_form(target, method, secure, host, port),
    }
}

fn absolute_form(
    target: &Bytes,
    method: &Method,
    secure: bool,
    host: &CanonicalHost,
    port: Option<u16>,
) -> Result<Target, Violation> {
    let scheme_end = memchr::memmem::find(target, b"://").ok_or(Violation::TARGET_FORM)?;
    let (scheme, rest) = target.split_at(scheme_end);
    let wanted: &[u8] = if secure { b"https" } else { b"http" };
    if !scheme.eq_ignore_ascii_case(wanted) {
        return Err(Violation::HOST_DISAGREES);
    }
    let rest = rest.get(3..).unwrap_or_default();
    let authority_end = memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let default_port = if secure { 443 } else { 80 };
    let named = CanonicalHost::parse_authority(authority).map_err(|_| Violation::HOST_DISAGREES)?;
    if named.0 != *host || named.1.unwrap_or(default_port) != port.unwrap_or(default_port) {
        return Err(Violation::HOST_DISAGREES);
    }
    match path {
        [] if method == Method::OPTIONS => Ok(Target::Asterisk),
        [] => Ok(Target::Path(PathAndQuery::from_static("/"))),
        [b'/', ..] => path_and_query(target.slice_ref(path)).map(Target::Path),
        [b'?', ..] => {
            let mut with_root = BytesMut::with_capacity(path.len() + 1);
            with_root.extend_from_slice(b"/");
            with_root.extend_from_slice(path);
            path_and_query(with_root.freeze()).map(Target::Path)
        }
        _ => Err(Violation::HOST_DISAGREES),
    }
}

/// A path and query whose bytes obey N-08.
pub(crate) fn path_and_query(text: Bytes) -> Result<PathAndQuery, Violation> {
    let (path, query) = match memchr::memchr(b'?', &text) {
        Some(at) => (text.get(..at), text.get(at + 1..)),
        None => (Some(text.as_ref()), None),
    };
    path::check_target(path.unwrap_or_default(), query).map_err(|_| Violation::TARGET_BYTES)?;
    PathAndQuery::from_maybe_shared(text).map_err(|_| Violation::TARGET_BYTES)
}

/// Parses a complete response head to a request with this method (D-90, D-93, D-97).
pub fn parse_response(
    head: &Bytes,
    method: &Method,
    limits: &Limits,
) -> Result<ResponseHead, Violation> {
    let line_end = memchr::memchr(b'\r', head).ok_or(Violation::STATUS_LINE)?;
    let (line, rest) = head.split_at(line_end);
    if !rest.starts_with(b"\r\n") {
        return Err(Violation::BARE_CR);
    }
    let (version, status) = status_line(line)?;
    let mut fields = parse_fields(head, line_end + 2, limits)?;
    if fields.chunked && version == Version::HTTP_10 {
        return Err(Violation::CODING_IN_1_0);
    }
    if let Some(host) = fields.host.take() {
        fields.map.insert(http::header::HOST, host);
    }
    let bodyless = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || method == Method::HEAD;
    let length = match (bodyless, fields.chunked, fields.content_length) {
        (true, ..) => BodyLength::None,
        (false, true, _) => BodyLength::Chunked,
        (false, false, Some(0)) => BodyLength::None,
        (false, false, Some(length)) => BodyLength::Exact(length),
        (false, false, None) => BodyLength::UntilClose,
    };
    let mut headers = std::mem::take(&mut fields.map);
    // A HEAD or 304 answer says how long the body would be; that is information, not framing. 1xx
    // and 204 say nothing of the kind (RFC 9110 §8.6).
    let silent = status.is_informational() || status == StatusCode::NO_CONTENT;
    if let Some(length) = fields.content_length
        && (method == Method::HEAD || status == StatusCode::NOT_MODIFIED)
        && !silent
    {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    Ok(ResponseHead {
        status,
        version,
        headers,
        length,
    })
}

fn status_line(line: &[u8]) -> Result<(Version, StatusCode), Violation> {
    let wrong = Violation::STATUS_LINE;
    let (version, rest) = line.split_at_checked(8).ok_or(wrong)?;
    let version = parse_version(version, wrong).map_err(|_| wrong)?;
    let (code, reason) = match rest {
        [b' ', a, b, c] => ([*a, *b, *c], &[][..]),
        [b' ', a, b, c, b' ', reason @ ..] => ([*a, *b, *c], reason),
        _ => return Err(wrong),
    };
    let printable = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    let status = StatusCode::from_bytes(&code).map_err(|_| wrong)?;
    if !reason.iter().all(printable) || status.as_u16() > 599 {
        return Err(wrong);
    }
    Ok((version, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<RequestHead, &'static str> {
        let mut input = BytesMut::from(text.as_bytes());
        let limits = Limits::default();
        let head = HeadReader::default()
            .read(&mut input, &limits, true)
            .map_err(Violation::rule)?;
        parse_request(&head.ok_or("incomplete")?, false, &limits).map_err(Violation::rule)
    }

    /// Acceptance: 3, 13
    #[test]
    fn request_lines_are_exact() {
        for (line, expected) in [
            ("GET / HTTP/1.1", Ok("/")),
            ("GET /a?b=c HTTP/1.1", Ok("/a?b=c")),
            ("GET http://a.test/x HTTP/1.1", Ok("/x")),
            ("GET http://A.test:80/x HTTP/1.1", Ok("/x")),
            ("GET http://a.test?q HTTP/1.1", Ok("/?q")),
            ("GET http://a.test HTTP/1.1", Ok("/")),
            ("OPTIONS * HTTP/1.1", Ok("*")),
            ("GET http://b.test/ HTTP/1.1", Err("N-05")),
            ("GET http://u@a.test/ HTTP/1.1", Err("N-05")),
            ("GET https://a.test/ HTTP/1.1", Err("N-05")),
            ("GET http://a.test/#f HTTP/1.1", Err("N-08")),
            ("GET * HTTP/1.1", Err("N-06")),
            ("GET admin HTTP/1.1", Err("N-06")),
            ("GET  / HTTP/1.1", Err("D-37")),
            ("GET / HTTP/1.1 ", Err("D-37")),
            (" GET / HTTP/1.1", Err("D-37")),
            ("GET\t/ HTTP/1.1", Err("D-37")),
            ("GET / http/1.1", Err("D-37")),
            ("GET / HTTP/1.10", Err("D-37")),
            ("GET / HTTP/1.2", Err("D-37")),
            ("GET /", Err("D-37")),
            ("G(T / HTTP/1.1", Err("D-37")),
            ("PRI * HTTP/2.0", Err("D-38")),
            ("GET /a b HTTP/1.1", Err("D-37")),
            ("GET /\u{e9} HTTP/1.1", Err("N-08")),
            ("GET /a\\b HTTP/1.1", Err("N-08")),
            ("GET /%zz HTTP/1.1", Err("N-08")),
        ] {
            let found = request(&format!("{line}\r\nhost: a.test\r\n\r\n"));
            let found = found.map(|head| match head.target {
                Target::Path(path) => path.as_str().to_owned(),
                Target::Asterisk => "*".to_owned(),
                Target::Authority => "authority".to_owned(),
            });
            assert_eq!(found, expected.map(str::to_owned), "{line:?}");
        }
    }

    /// Acceptance: 13
    #[test]
    fn heads_without_one_clear_host_or_framing_are_refused() {
        for (text, rule) in [
            ("GET / HTTP/1.1\r\n\r\n", "N-01"),
            ("GET / HTTP/1.0\r\n\r\n", "N-01"),
            ("GET / HTTP/1.1\r\nhost: \r\n\r\n", "N-01"),
            ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", "N-02"),
            ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", "N-02"),
            (
                "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
                "D-16",
            ),
            ("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "D-42"),
            ("\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "D-42"),
            ("GET / HTTP/1.1\nhost: a\r\n\r\n", "D-30"),
            ("GET / HTTP/1.1\rx\r\nhost: a\r\n\r\n", "D-31"),
        ] {
            assert_eq!(request(text).map(|_| ()), Err(rule), "{text:?}");
        }
        assert!(request("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").is_ok());
    }

    #[test]
    fn response_heads_decide_their_framing() {
        let parse = |text: &str, method: Method| {
            let mut input = BytesMut::from(text.as_bytes());
            let limits = Limits::default();
            let head = HeadReader::default()
                .read(&mut input, &limits, false)
                .map_err(Violation::rule)?;
            let head = parse_response(&head.ok_or("incomplete")?, &method, &limits);
            head.map(|head| head.length).map_err(Violation::rule)
        };
        for (text, expected) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Ok(BodyLength::Exact(5)),
            ),
            ("HTTP/1.1 200\r\n\r\n", Ok(BodyLength::UntilClose)),
            (
                "HTTP/1.1 204 None\r\ncontent-length: 5\r\n\r\n",
                Ok(BodyLength::None),
            ),
            (
                "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n",
                Ok(BodyLength::Chunked),
            ),
            (
                "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                Err("D-16"),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
                Err("D-11"),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n",
                Err("D-14"),
            ),
            ("HTTP/1.1 099 OK\r\n\r\n", Err("D-90")),
            ("HTTP/1.1 600 OK\r\n\r\n", Err("D-90")),
            ("HTTP/1.1  200 OK\r\n\r\n", Err("D-90")),
            ("HTTP/2 200\r\n\r\n", Err("D-90")),
            ("HTTP/1.1 200 OK\nx: y\r\n\r\n", Err("D-30")),
        ] {
            assert_eq!(parse(text, Method::GET), expected, "{text:?}");
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(parse(head, Method::HEAD), Ok(BodyLength::None));
    }
}
