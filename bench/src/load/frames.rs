//! Frames and header blocks of HTTP/2, as far as a client that repeats one request needs them.
//!
//! A request's fields enter the server's table with the first request and are named by index from
//! then on, as libraries do it. Of an answer's block only `:status` is read: it comes first, and
//! 200 is an entry of the static table (RFC 7541 appendix A).

use bytes::{BufMut, BytesMut};

use super::plan::{Plan, Protocol};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITY: u8 = 0x20;

/// Length of a frame's head.
pub(crate) const HEAD: usize = 9;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Frame {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, s0, s1, s2, s3] = bytes.first_chunk()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        })
    }

    pub(crate) fn put(self, out: &mut BytesMut) {
        out.put_uint(self.length as u64, 3);
        out.put_u8(self.kind);
        out.put_u8(self.flags);
        out.put_u32(self.stream);
    }

    /// Payload without padding and priority; nothing if they lie.
    pub(crate) fn content(self, payload: &[u8]) -> &[u8] {
        let mut content = payload;
        if self.flags & PADDED != 0 {
            let Some((padding, rest)) = content.split_first() else {
                return &[];
            };
            let end = rest.len().saturating_sub(usize::from(*padding));
            content = rest.get(..end).unwrap_or_default();
        }
        if self.kind == HEADERS && self.flags & PRIORITY != 0 {
            content = content.get(5..).unwrap_or_default();
        }
        content
    }
}

/// The header blocks of one request that is sent again and again.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// Puts the fields into the server's table.
    pub(crate) first: Vec<u8>,
    /// Names them by their places in it.
    pub(crate) again: Vec<u8>,
    /// For a server without a table.
    pub(crate) plain: Vec<u8>,
}

/// Places of names in the static table.
const STATIC: &[(&str, u8)] = &[
    (":authority", 1),
    (":path", 4),
    ("accept", 19),
    ("content-length", 28),
    ("content-type", 31),
    ("user-agent", 58),
];

impl Blocks {
    pub(crate) fn new(plan: &Plan, length: u64) -> Self {
        let mut fields = vec![
            (":path", plan.path.clone()),
            (":authority", plan.authority.clone()),
            ("user-agent", "adit-bench".to_owned()),
        ];
        if plan.protocol == Protocol::Grpc {
            fields.push(("content-type", "application/grpc".to_owned()));
            fields.push(("te", "trailers".to_owned()));
        } else {
            fields.push(("accept", "*/*".to_owned()));
            if length > 0 {
                fields.push(("content-length", length.to_string()));
            }
        }
        for (name, value) in &plan.headers {
            fields.push((name, value.clone()));
        }
        let method = if length > 0 { 0x83 } else { 0x82 };
        let scheme = if plan.tls.is_some() { 0x87 } else { 0x86 };
        let mut blocks = Self {
            first: vec![method, scheme],
            again: vec![method, scheme],
            plain: vec![method, scheme],
        };
        for (at, (name, value)) in fields.iter().enumerate() {
            let name = name.to_ascii_lowercase();
            put_field(&mut blocks.first, 0x40, 6, &name, value);
            put_field(&mut blocks.plain, 0, 4, &name, value);
            // The newest entry is 62, the first of ours the farthest.
            put_integer(&mut blocks.again, 0x80, 7, 62 + fields.len() - 1 - at);
        }
        blocks
    }
}

fn put_field(out: &mut Vec<u8>, form: u8, bits: u8, name: &str, value: &str) {
    if let Some((_, place)) = STATIC.iter().find(|(known, _)| *known == name) {
        put_integer(out, form, bits, usize::from(*place));
    } else {
        out.push(form);
        put_text(out, name);
    }
    put_text(out, value);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_integer(out, 0, 7, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// An integer after a prefix (RFC 7541 §5.1).
fn put_integer(out: &mut Vec<u8>, form: u8, bits: u8, value: usize) {
    let most = (1usize << bits) - 1;
    if value < most {
        out.push(form | value as u8);
        return;
    }
    out.push(form | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(0x80 | (rest % 128) as u8);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// `:status` of a block, if it is one of the seven that have a place of their own.
pub(crate) fn status(block: &[u8]) -> Option<u16> {
    let mut bytes = block.iter();
    let mut first = *bytes.next()?;
    // A new size of the table may come first (RFC 7541 §4.2).
    while first & 0xe0 == 0x20 {
        if first & 0x1f == 0x1f {
            bytes.find(|byte| *byte & 0x80 == 0)?;
        }
        first = *bytes.next()?;
    }
    match first {
        0x88 => Some(200),
        0x89 => Some(204),
        0x8a => Some(206),
        0x8b => Some(304),
        0x8c => Some(400),
        0x8d => Some(404),
        0x8e => Some(500),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_request_names_what_the_first_has_told() {
        let plan = Plan {
            path: "/size/130".to_owned(),
            authority: "a".to_owned(),
            ..Plan::default()
        };
        let blocks = Blocks::new(&plan, 0);
        assert_eq!(
            blocks.first,
            b"\x82\x86\x44\x09/size/130\x41\x01a\x7a\x0aadit-bench\x53\x03*/*"
        );
        assert_eq!(blocks.again, b"\x82\x86\xc1\xc0\xbf\xbe");
        assert!(
            blocks
                .plain
                .starts_with(b"\x82\x86\x04\x09/size/130\x01\x01a\x0f\x2b")
        );
    }

    #[test]
    fn a_status_is_found_behind_a_change_of_the_table() {
        for (block, expected) in [
            (&b"\x88\x01"[..], Some(200)),
            (b"\x20\x88", Some(200)),
            (b"\x3f\xe1\x1f\x8e", Some(500)),
            (b"\x3f\xe1", None),
            (b"\x48\x03302", None),
            (b"", None),
        ] {
            assert_eq!(status(block), expected, "{block:?}");
        }
    }

    #[test]
    fn padding_and_priority_are_not_content() {
        let frame = |kind, flags| Frame {
            length: 0,
            kind,
            flags,
            stream: 1,
        };
        assert_eq!(frame(DATA, PADDED).content(b"\x02abcd"), b"ab");
        assert_eq!(frame(DATA, PADDED).content(b"\x09abcd"), b"");
        assert_eq!(frame(HEADERS, PRIORITY).content(b"12345x"), b"x");
        let mut out = BytesMut::new();
        let whole = Frame {
            length: 70_000,
            kind: PING,
            flags: ACK,
            stream: 0x7fff_ffff,
        };
        whole.put(&mut out);
        assert_eq!(Frame::parse(&out), Some(whole));
    }
}
