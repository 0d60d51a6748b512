//! The pattern that bodies are made of and checked against.
//!
//! Byte `k` of a body is `a` + `k` mod 16, so that any part can be checked by itself. All lengths
//! are checked; of the content the beginning of each piece, which costs nothing next to reading it.

use bytes::Bytes;

/// 64 KiB of the pattern.
static BLOCK: [[u8; 16]; 4096] = [*b"abcdefghijklmnop"; 4096];

/// How much of each piece is looked at.
const SAMPLE: usize = 64;

/// Up to `len` bytes of a body from `offset` on.
pub(crate) fn piece(offset: u64, len: usize) -> Bytes {
    let skip = (offset % 16) as usize;
    let block = Bytes::from_static(BLOCK.as_flattened());
    let end = skip.saturating_add(len).min(block.len());
    block.slice(skip..end)
}

/// Whether `data` can be what lies at `offset` of a body.
pub(crate) fn matches(offset: u64, data: &[u8]) -> bool {
    let sample = data.get(..SAMPLE).unwrap_or(data);
    piece(offset, sample.len()) == sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_body_can_be_checked() {
        assert_eq!(&piece(14, 4)[..], b"opab");
        assert!(matches(15, b"pabc"));
        assert!(!matches(14, b"pabc"));
        assert_eq!(piece(3, usize::MAX).len(), 65536 - 3);
        assert!(matches(0, b""));
    }
}
