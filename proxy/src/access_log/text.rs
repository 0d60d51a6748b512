//! Bytes from anywhere as text that cannot break a line, a quote or a terminal (O-05).
//!
//! Everything outside printable ASCII is escaped, valid UTF-8 included: direction marks and
//! look-alikes do not belong into a log either. Cut fields end in `...`.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What a cut field ends with.
const CUT: &[u8] = b"...";

/// Whether a byte stands for itself in both formats.
fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

/// The same for many bytes, eight at a time: a borrow out of a byte marks one that is smaller than
/// what was subtracted, and what comes out nonzero has at least one true mark.
fn all_plain(value: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let marks = |block: [u8; 8]| {
        let word = u64::from_ne_bytes(block);
        let quoted = equal(word, b'"') | equal(word, b'\\');
        (word | below(word, 0x20) | equal(word, 0x7f) | quoted) & HIGH
    };
    // The last eight bytes overlap the last whole block.
    match value.last_chunk() {
        Some(last) => {
            let (blocks, _) = value.as_chunks();
            marks(*last) == 0 && blocks.iter().all(|block| marks(*block) == 0)
        }
        None => value.iter().all(|byte| is_plain(*byte)),
    }
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    for half in [byte >> 4, byte & 0xf] {
        out.extend(HEX.get(usize::from(half)));
    }
}

/// Splits off what is over the limit, at a character if the text is UTF-8.
fn cut(value: &[u8], limit: usize) -> (&[u8], &'static [u8]) {
    let Some((mut kept, rest)) = value.split_at_checked(limit) else {
        return (value, b"");
    };
    if rest.is_empty() {
        return (value, b"");
    }
    let continues = |byte: &u8| byte & 0xc0 == 0x80;
    if rest.first().is_some_and(continues)
        && let Some(start) = kept.iter().rposition(|byte| !continues(byte))
        && kept.len() - start < 4
    {
        kept = kept.get(..start).unwrap_or(kept);
    }
    (kept, CUT)
}

/// For the inside of a JSON string. Bytes that are not UTF-8 are shown as `\xNN` in the string.
pub(super) fn json_escaped(out: &mut Vec<u8>, value: &[u8], limit: usize) {
    let (value, end) = cut(value, limit);
    if all_plain(value) {
        out.extend_from_slice(value);
    } else {
        for chunk in value.utf8_chunks() {
            chunk
                .valid()
                .chars()
                .for_each(|character| json_character(out, character));
            for byte in chunk.invalid() {
                out.extend_from_slice(b"\\\\x");
                hex(out, *byte);
            }
        }
    }
    out.extend_from_slice(end);
}

fn json_character(out: &mut Vec<u8>, character: char) {
    match u8::try_from(character) {
        Ok(byte) if is_plain(byte) => out.push(byte),
        Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
        Ok(b'\n') => out.extend_from_slice(b"\\n"),
        Ok(b'\r') => out.extend_from_slice(b"\\r"),
        Ok(b'\t') => out.extend_from_slice(b"\\t"),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                hex(out, (*unit >> 8) as u8);
                hex(out, *unit as u8);
            }
        }
    }
}

/// For the inside of quotes in the combined format: `\xNN`, as the web servers write it.
pub(super) fn hex_escaped(out: &mut Vec<u8>, value: &[u8], limit: usize) {
    let (value, end) = cut(value, limit);
    if all_plain(value) {
        out.extend_from_slice(value);
    } else {
        for byte in value {
            if is_plain(*byte) {
                out.push(*byte);
            } else {
                out.extend_from_slice(b"\\x");
                hex(out, *byte);
            }
        }
    }
    out.extend_from_slice(end);
}

/// A path with the names of its query parameters, without their values (O-02).
pub(super) fn path(
    out: &mut Vec<u8>,
    target: &[u8],
    limit: usize,
    escaped: impl Fn(&mut Vec<u8>, &[u8], usize),
) {
    let Some(mark) = memchr::memchr(b'?', target) else {
        return escaped(out, target, limit);
    };
    let (path, query) = target.split_at_checked(mark).unwrap_or((target, b""));
    escaped(out, path, limit);
    let mut left = limit;
    let mut separator = b'?';
    for parameter in query
        .get(1..)
        .unwrap_or_default()
        .split(|byte| *byte == b'&')
    {
        let name = parameter
            .split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default();
        out.push(separator);
        separator = b'&';
        escaped(out, name, left);
        left = left.saturating_sub(name.len() + 1);
        if left == 0 {
            return;
        }
    }
}

/// A URL up to its query or fragment.
pub(super) fn without_query(url: &[u8]) -> &[u8] {
    url.split(|byte| matches!(byte, b'?' | b'#'))
        .next()
        .unwrap_or_default()
}

/// A number.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// `.NNN`, or nothing for 0.
pub(super) fn thousandths(out: &mut Vec<u8>, value: u64) {
    if value != 0 {
        let digit = |unit: u64| b'0' + (value / unit % 10) as u8;
        out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
    }
}

/// An address; IPv4 in IPv6 is shown as IPv4.
pub(super) fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => ipv4(out, address),
        // Writing into memory does not fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

fn ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        number(out, octet.into());
    }
}

/// An address with its port.
pub(super) fn socket(out: &mut Vec<u8>, address: SocketAddr) {
    let bracketed = matches!(address.ip().to_canonical(), IpAddr::V6(_));
    if bracketed {
        out.push(b'[');
    }
    ip(out, address.ip());
    if bracketed {
        out.push(b']');
    }
    out.push(b':');
    number(out, address.port().into());
}
