//! Reads header blocks along with the library, for what it does not tell (RFC 7541).
//!
//! It cuts a fragment off `:path`, drops pseudo-fields of trailers, and forgets `:scheme` where
//! `:authority` is missing. A block is stepped through; only values that matter are looked at, and
//! of the dynamic table only what its entries are and how much of it they take is kept.

use std::collections::VecDeque;

use super::huffman::{may_hold_number_sign, symbols};

/// What a field is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Plain,
    /// A pseudo-field that is not listed here.
    Pseudo,
    Authority,
    Path,
    PathWithFragment,
    Scheme(Scheme),
}

/// A scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    Other,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub pseudo: bool,
    pub authority: bool,
    pub fragment: bool,
    pub scheme: Option<Scheme>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    class: Class,
    name: usize,
    size: usize,
}

/// The state of the peer's compressor.
#[derive(Debug)]
pub(super) struct Decoder {
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
}

/// The largest table that we offer (L-24).
const MOST: usize = 4096;
/// What an entry takes beside its texts (RFC 7541 §4.1).
const OVERHEAD: usize = 32;
const STATIC: usize = 61;

/// Lengths of the names in the static table (RFC 7541, appendix A).
static NAMES: [u8; STATIC] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];

/// A text in a block.
#[derive(Clone, Copy, Debug)]
struct Text<'b> {
    bytes: &'b [u8],
    huffman: bool,
}

impl Text<'_> {
    fn len(self) -> usize {
        if self.huffman {
            symbols(self.bytes).count()
        } else {
            self.bytes.len()
        }
    }

    fn is(self, text: &str) -> bool {
        if self.huffman {
            symbols(self.bytes).eq(text.bytes())
        } else {
            self.bytes == text.as_bytes()
        }
    }

    fn begins_with_colon(self) -> bool {
        match self.bytes.first() {
            // Its code has seven bits.
            Some(first) if self.huffman => first >> 1 == 0x5c,
            first => first == Some(&b':'),
        }
    }

    fn holds_number_sign(self) -> bool {
        if self.huffman {
            may_hold_number_sign(self.bytes) && symbols(self.bytes).any(|symbol| symbol == b'#')
        } else {
            memchr::memchr(b'#', self.bytes).is_some()
        }
    }
}

impl Class {
    /// Of a field in the static table.
    fn of_static(index: usize) -> Self {
        match index {
            1 => Self::Authority,
            4 | 5 => Self::Path,
            6 => Self::Scheme(Scheme::Http),
            7 => Self::Scheme(Scheme::Https),
            2 | 3 | 8..=14 => Self::Pseudo,
            _ => Self::Plain,
        }
    }

    fn of_name(name: Text<'_>) -> Self {
        if !name.begins_with_colon() {
            return Self::Plain;
        }
        let known = [
            (":path", Self::Path),
            (":authority", Self::Authority),
            (":scheme", Self::Scheme(Scheme::Other)),
        ];
        let class = known.into_iter().find(|(text, _)| name.is(text));
        class.map_or(Self::Pseudo, |(_, class)| class)
    }

    fn with_value(self, value: Text<'_>) -> Self {
        match self {
            Self::Path | Self::PathWithFragment if value.holds_number_sign() => {
                Self::PathWithFragment
            }
            Self::Path | Self::PathWithFragment => Self::Path,
            Self::Scheme(_) if value.is("http") => Self::Scheme(Scheme::Http),
            Self::Scheme(_) if value.is("https") => Self::Scheme(Scheme::Https),
            Self::Scheme(_) => Self::Scheme(Scheme::Other),
            other => other,
        }
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            most: MOST,
        }
    }

    /// Reads a whole block; `None` for one that the library refuses, with the connection.
    pub(super) fn read(&mut self, mut block: &[u8]) -> Option<Summary> {
        let mut summary = Summary::default();
        while let Some(&first) = block.first() {
            let class = if first & 0x80 != 0 {
                let index = integer(&mut block, 0x7f)?;
                self.indexed(index)?.0
            } else if first & 0xe0 == 0x20 {
                self.most = integer(&mut block, 0x1f).filter(|size| *size <= MOST)?;
                self.evict(0);
                continue;
            } else {
                self.literal(first, &mut block)?
            };
            match class {
                Class::Plain => continue,
                Class::Pseudo | Class::Path => {}
                Class::PathWithFragment => summary.fragment = true,
                Class::Authority => summary.authority = true,
                Class::Scheme(scheme) => summary.scheme = Some(scheme),
            }
            summary.pseudo = true;
        }
        Some(summary)
    }

    /// A literal field, which the peer may have both tables remember.
    fn literal(&mut self, first: u8, block: &mut &[u8]) -> Option<Class> {
        let remembered = first & 0x40 != 0;
        let index = integer(block, if remembered { 0x3f } else { 0x0f })?;
        let (class, name) = if index == 0 {
            let name = text(block)?;
            (Class::of_name(name), Err(name))
        } else {
            let (class, len) = self.indexed(index)?;
            (class, Ok(len))
        };
        let value = text(block)?;
        let class = class.with_value(value);
        if remembered {
            let name = name.unwrap_or_else(Text::len);
            let size = name + value.len() + OVERHEAD;
            self.evict(size);
            if size <= self.most {
                self.size += size;
                self.entries.push_front(Entry { class, name, size });
            }
        }
        Some(class)
    }

    /// A field of either table, and the length of its name.
    fn indexed(&self, index: usize) -> Option<(Class, usize)> {
        let place = index.checked_sub(1)?;
        if let Some(len) = NAMES.get(place) {
            return Some((Class::of_static(index), usize::from(*len)));
        }
        let entry = self.entries.get(place - STATIC)?;
        Some((entry.class, entry.name))
    }

    /// Makes room for so much (RFC 7541 §4.4).
    fn evict(&mut self, room: usize) {
        while self.size + room > self.most
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

/// A number that begins in the low bits of the first byte (RFC 7541 §5.1).
fn integer(block: &mut &[u8], mask: u8) -> Option<usize> {
    let (&first, mut rest) = block.split_first()?;
    let mut value = usize::from(first & mask);
    if first & mask == mask {
        let mut shift = 0;
        loop {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 28 {
                return None;
            }
        }
    }
    *block = rest;
    Some(value)
}

fn text<'b>(block: &mut &'b [u8]) -> Option<Text<'b>> {
    let huffman = block.first()? & 0x80 != 0;
    let len = integer(block, 0x7f)?;
    let (bytes, rest) = block.split_at_checked(len)?;
    *block = rest;
    Some(Text { bytes, huffman })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    fn fragment(block: &[u8]) -> bool {
        Decoder::new().read(block).unwrap().fragment
    }

    #[test]
    fn the_requests_of_the_rfc_are_read() {
        // RFC 7541, appendix C.4.
        let host = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        let value = [0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
        let first = bytes(&[&[0x82, 0x86, 0x84, 0x41, 0x8c], &host]);
        let second = bytes(&[&[0x82, 0x86, 0x84, 0xbe, 0x58, 0x86], &value]);
        let mut decoder = Decoder::new();
        for block in [first, second] {
            let expected = Summary {
                pseudo: true,
                authority: true,
                fragment: false,
                scheme: Some(Scheme::Http),
            };
            assert_eq!(decoder.read(&block), Some(expected));
        }
        assert_eq!((decoder.entries.len(), decoder.size), (2, 57 + 53));
    }

    #[test]
    fn a_fragment_is_seen_in_every_spelling_of_a_path() {
        // `/a#b`, plain and with Huffman coding.
        let plain = &b"\x04/a#b"[..];
        let huffman = &[0x84, 0x60, 0x7f, 0xf5, 0x1f][..];
        let name = &b"\x05:path"[..];
        let name_huffman = &[0x84, 0xb9, 0x58, 0xd3, 0x3f][..];
        for value in [plain, huffman] {
            for first in [0x04, 0x14, 0x44, 0x05, 0x45] {
                assert!(fragment(&bytes(&[&[first], value])), "{first:#x}");
            }
            for name in [name, name_huffman] {
                assert!(fragment(&bytes(&[&[0x40], name, value])));
                assert!(fragment(&bytes(&[&[0x00], name, value])));
            }
            // As a whole from the dynamic table, or its name only.
            let mut decoder = Decoder::new();
            assert!(decoder.read(&bytes(&[&[0x44], value])).unwrap().fragment);
            assert!(decoder.read(&[0xbe]).unwrap().fragment);
            let other = b"\x7e\x02/x";
            assert!(!decoder.read(other).unwrap().fragment);
            assert!(!decoder.read(&[0xbe]).unwrap().fragment);
            assert!(decoder.read(&bytes(&[&[0x7e], value])).unwrap().fragment);
            // A cookie may hold what it likes.
            assert!(!fragment(&bytes(&[&[0x60], value])));
            assert!(!fragment(&bytes(&[&[0x00], b"\x05xpath", value])));
        }
    }

    #[test]
    fn schemes_and_pseudo_fields_are_told_apart() {
        let read = |block: &[u8]| Decoder::new().read(block).unwrap();
        assert_eq!(read(&[0x87]).scheme, Some(Scheme::Https));
        assert_eq!(read(b"\x06\x03ftp").scheme, Some(Scheme::Other));
        assert_eq!(read(b"\x00\x07:scheme\x04http").scheme, Some(Scheme::Http));
        assert!(read(b"\x00\x04:new\x01x").pseudo);
        assert!(!read(b"\x00\x03new\x01x").pseudo);
        assert!(!read(b"").pseudo);
    }

    #[test]
    fn the_table_forgets_as_the_peer_forgets() {
        let mut decoder = Decoder::new();
        // Each entry takes 2 + 1966 + 32 bytes: two of them fit, and 96 bytes are left.
        let long = bytes(&[&[0x40, 1, b'a', 0x7f, 0xb0, 0x0f], &[b'x'; 2095]]);
        for _ in 0..3 {
            decoder.read(&long).unwrap();
        }
        assert_eq!(decoder.entries.len(), 1);
        assert!(decoder.read(&[0xbf]).is_none(), "beyond the table");
        // An update of its size to nothing, and back.
        decoder.read(&[0x20]).unwrap();
        assert_eq!((decoder.entries.len(), decoder.size), (0, 0));
        assert!(decoder.read(b"\x40\x01a\x01b").is_some());
        assert_eq!(decoder.entries.len(), 0, "larger than the table");
        assert!(decoder.read(&[0x3f, 0xe1, 0x1f]).is_some());
        assert!(
            decoder.read(&[0x3f, 0xe2, 0x1f]).is_none(),
            "more than offered"
        );
    }

    #[test]
    fn no_block_makes_it_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200_000 {
            let mut decoder = Decoder::new();
            for _ in 0..3 {
                let len = random.usize(..40);
                let block: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
                decoder.read(&block);
                let sum: usize = decoder.entries.iter().map(|entry| entry.size).sum();
                assert_eq!(decoder.size, sum);
                assert!(sum <= decoder.most);
            }
        }
    }
}
