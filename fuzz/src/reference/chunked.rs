//! Chunked bodies, read plainly (D-39 to D-41, D-52, L-07 to L-09).

use super::{is_token, trimmed};

const DIGITS: usize = 16;
const EXTENSION: usize = 256;
const EXCESS: usize = 16 * 1024;
const TRAILERS: usize = 8 * 1024;
const TRAILER_FIELDS: usize = 32;
const FORBIDDEN: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A whole body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub data: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Bytes of the input that are its.
    pub taken: usize,
}

/// What an input is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Whole(Body),
    /// Good so far, as long as whole lines are looked at.
    Cut,
    Wrong,
}

/// Reads the body at the front of the input.
pub(crate) fn read(input: &[u8]) -> Reading {
    let mut rest = input;
    let mut data = Vec::new();
    let mut excess = 0_usize;
    loop {
        let Some((line, after)) = line(rest) else {
            return Reading::Cut;
        };
        let Some(size) = line.strip_suffix(b"\r").and_then(size) else {
            return Reading::Wrong;
        };
        excess += (line.len() + 1).saturating_sub(size.saturating_mul(2).saturating_add(16));
        if excess > EXCESS {
            return Reading::Wrong;
        }
        rest = after;
        if size == 0 {
            break;
        }
        let Some((chunk, after)) = rest.split_at_checked(size) else {
            return Reading::Cut;
        };
        data.extend_from_slice(chunk);
        rest = match after {
            [b'\r', b'\n', after @ ..] => after,
            [] | [b'\r'] => return Reading::Cut,
            _ => return Reading::Wrong,
        };
    }
    let mut section = Vec::new();
    let start = rest;
    loop {
        let Some((line, after)) = line(rest) else {
            return Reading::Cut;
        };
        rest = after;
        match line {
            b"\r" => break,
            _ => section.push(line),
        }
    }
    if start.len() - rest.len() > TRAILERS + 2 {
        return Reading::Wrong;
    }
    match section.into_iter().map(field).collect::<Option<Vec<_>>>() {
        Some(trailers) if small(&trailers) => Reading::Whole(Body {
            data,
            trailers,
            taken: input.len() - rest.len(),
        }),
        _ => Reading::Wrong,
    }
}

fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = input.iter().position(|&byte| byte == b'\n')?;
    Some((&input[..at], &input[at + 1..]))
}

fn size(line: &[u8]) -> Option<usize> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, extensions) = line.split_at(digits.count());
    if digits.len() > DIGITS || extensions.len() > EXTENSION || !good_extensions(extensions) {
        return None;
    }
    let size = i64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    usize::try_from(size).ok()
}

/// Cut at the semicolons that stand outside of quotes.
fn good_extensions(text: &[u8]) -> bool {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text {
        if byte == b';' && !quoted {
            pieces.push(Vec::new());
            continue;
        }
        let Some(piece) = pieces.last_mut() else {
            return false;
        };
        if (byte < 0x20 && !(quoted && byte == b'\t')) || byte == 0x7f {
            return false;
        }
        piece.push(byte);
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        }
    }
    !quoted && pieces.iter().all(|piece| good_extension(piece))
}

fn good_extension(piece: &[u8]) -> bool {
    let Some(equals) = piece.iter().position(|&byte| byte == b'=') else {
        return is_token(piece);
    };
    let (name, value) = (&piece[..equals], &piece[equals + 1..]);
    let quoted = || {
        let Some(inner) = value
            .strip_prefix(b"\"")
            .and_then(|v| v.strip_suffix(b"\""))
        else {
            return false;
        };
        // One quote only: no unescaped one inside.
        let mut bytes = inner.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => return false,
                b'\\' if bytes.next().is_none() => return false,
                _ => {}
            }
        }
        true
    };
    is_token(name) && (is_token(value) || quoted())
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let line = line.strip_suffix(b"\r")?;
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
    let control = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f;
    if !is_token(name) || value.iter().any(control) {
        return None;
    }
    let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
    (!FORBIDDEN.contains(&name.as_str())).then(|| (name, value.to_vec()))
}

fn small(trailers: &[(String, Vec<u8>)]) -> bool {
    trailers.len() <= TRAILER_FIELDS
}
