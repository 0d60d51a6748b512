//! Heads of HTTP/1 messages, read plainly (D-10 to D-42, N-01 to N-08, D-90).
//!
//! A head is split into lines, every line into its parts, and every part is held against its rule.
//! There is no order of errors and no early refusal: a head is good or it is not.

use super::host::authority;
use super::{is_token, trimmed};

const REQUEST_LINE: usize = 8 * 1024;
const FIELD_LINE: usize = 16 * 1024;
const SECTION: usize = 32 * 1024;
const FIELDS: usize = 128;
const COOKIES: usize = 256;
const METHOD: usize = 32;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Unsaid,
    Exact(u64),
    Chunked,
}

/// A field section: framing, host, and the others in order with names in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub length: Length,
    pub host: Option<Vec<u8>>,
    pub others: Vec<(String, Vec<u8>)>,
}

/// A good request head.
#[derive(Debug)]
pub(crate) struct Request {
    pub method: Vec<u8>,
    pub minor: u8,
    pub host: String,
    pub port: Option<u16>,
    /// Path and query, `*`, or nothing for CONNECT.
    pub target: Option<Vec<u8>>,
    pub section: Section,
}

/// Where the first head of the input ends, its empty line included. `None`: not yet.
pub(crate) fn end(input: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let line = input[start..].iter().position(|&byte| byte == b'\n')?;
        start += line + 1;
        // A line of nothing, whether or not its end is written as it should be.
        if line == 0 || (line == 1 && input[start - 2] == b'\r') {
            return Some(start);
        }
    }
}

/// The lines of a whole head, or nothing if one does not end in CRLF or is too long.
fn lines(head: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r\n")?;
        let longest = if found.is_empty() {
            REQUEST_LINE
        } else {
            FIELD_LINE
        };
        if line.len() > longest || line.contains(&b'\r') {
            return None;
        }
        found.push(line);
    }
    // The empty line at the end.
    found.pop();
    let raw = head.len();
    (raw <= SECTION + REQUEST_LINE + 4 * found.len()).then_some(found)
}

fn section(lines: &[&[u8]]) -> Option<Section> {
    let mut found = Section {
        length: Length::Unsaid,
        host: None,
        others: Vec::new(),
    };
    let (mut size, mut cookies) = (0, 0);
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
        if !is_token(name) || value.iter().any(|&byte| control(byte)) {
            return None;
        }
        let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
        size += name.len() + value.len() + 32;
        cookies += usize::from(name == "cookie");
        match name.as_str() {
            "content-length" | "transfer-encoding" if found.length != Length::Unsaid => {
                return None;
            }
            "content-length" => found.length = Length::Exact(length(value)?),
            "transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => {
                found.length = Length::Chunked;
            }
            "transfer-encoding" => return None,
            "host" if found.host.is_some() => return None,
            "host" => found.host = Some(value.to_vec()),
            _ => found.others.push((name, value.to_vec())),
        }
    }
    let small = size <= SECTION && lines.len() - cookies <= FIELDS && cookies <= COOKIES;
    small.then_some(found)
}

fn control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

fn length(value: &[u8]) -> Option<u64> {
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == value)
        .then(|| u64::try_from(number).ok())
        .flatten()
}

/// A whole request head without the one empty line that may stand before it.
pub(crate) fn request(head: &[u8], secure: bool) -> Option<Request> {
    let lines = lines(head)?;
    let (first, fields) = lines.split_first()?;
    let parts: Vec<&[u8]> = first.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return None;
    };
    let minor = match version {
        b"HTTP/1.0" => 0,
        b"HTTP/1.1" => 1,
        _ => return None,
    };
    let section = section(fields)?;
    let coded = section.length == Length::Chunked;
    if !is_token(method) || method.len() > METHOD || (coded && minor == 0) {
        return None;
    }
    let (host, port) = authority(section.host.as_ref()?)?;
    let target = match method {
        b"CONNECT" => {
            let (name, number) = authority(target)?;
            let same = name == host && (port.is_none() || port == number);
            if !same || number.is_none() {
                return None;
            }
            None
        }
        _ => Some(origin_form(method, target, secure, &host, port)?),
    };
    Some(Request {
        method: method.to_vec(),
        minor,
        host,
        port,
        target,
        section,
    })
}

fn origin_form(
    method: &[u8],
    target: &[u8],
    secure: bool,
    host: &str,
    port: Option<u16>,
) -> Option<Vec<u8>> {
    if target == b"*" {
        return (method == b"OPTIONS").then(|| b"*".to_vec());
    }
    if target.first() == Some(&b'/') {
        return good_target(target).then(|| target.to_vec());
    }
    let (scheme, default) = if secure {
        (&b"https://"[..], 443)
    } else {
        (&b"http://"[..], 80)
    };
    let (start, rest) = target.split_at_checked(scheme.len())?;
    if !start.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let path = rest.iter().position(|byte| b"/?#".contains(byte));
    let (name, path) = rest.split_at(path.unwrap_or(rest.len()));
    let (name, number) = authority(name)?;
    if name != host || number.unwrap_or(default) != port.unwrap_or(default) {
        return None;
    }
    let path = match path {
        [] if method == b"OPTIONS" => return Some(b"*".to_vec()),
        [] => b"/".to_vec(),
        [b'/', ..] => path.to_vec(),
        [b'?', ..] => [b"/", path].concat(),
        _ => return None,
    };
    good_target(&path).then_some(path)
}

/// N-08, byte by byte.
pub(crate) fn good_target(target: &[u8]) -> bool {
    let query = target.iter().position(|&byte| byte == b'?');
    let (path, query) = target.split_at(query.unwrap_or(target.len()));
    good_path(path) && good_query(query)
}

pub(crate) fn good_path(path: &[u8]) -> bool {
    path.iter().enumerate().all(|(at, &byte)| match byte {
        b'#' | b'<' | b'>' | b'`' | b'\\' => false,
        b'%' => match path.get(at + 1..at + 3) {
            Some(digits) => digits != b"00" && digits.iter().all(u8::is_ascii_hexdigit),
            None => false,
        },
        _ => byte.is_ascii_graphic(),
    })
}

pub(crate) fn good_query(query: &[u8]) -> bool {
    query
        .iter()
        .all(|&byte| byte.is_ascii_graphic() && !b"#<>\"".contains(&byte))
}

/// A whole response head: status, minor version, fields.
pub(crate) fn response(head: &[u8]) -> Option<(u16, u8, Section)> {
    let lines = lines(head)?;
    let (first, fields) = lines.split_first()?;
    let minor = match first.get(..9)? {
        b"HTTP/1.0 " => 0,
        b"HTTP/1.1 " => 1,
        _ => return None,
    };
    let code = first.get(9..12)?;
    let reason = match &first[12..] {
        [] => &[][..],
        [b' ', reason @ ..] => reason,
        _ => return None,
    };
    if !code.iter().all(u8::is_ascii_digit) || reason.iter().any(|&byte| control(byte)) {
        return None;
    }
    let status: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    let section = section(fields)?;
    let coded = section.length == Length::Chunked;
    let good = (100..=599).contains(&status) && !(coded && minor == 0);
    good.then_some((status, minor, section))
}
