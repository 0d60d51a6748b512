//! Frame heads, found in bytes that come in pieces of any size (RFC 9113 §4.1).
//!
//! Payloads are stepped over, but for the one word that some short frames consist of. Nothing is
//! copied unless a head lies across two pieces.

/// Types of frames (RFC 9113 §6).
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub(super) mod flag {
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

const HEAD: usize = 9;
const WORD: usize = 4;

/// What is to be known of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub len: u32,
    /// The payload of a well-formed RST_STREAM or WINDOW_UPDATE frame, else 0.
    pub word: u32,
}

/// Walks one direction of a connection.
#[derive(Debug)]
pub(super) struct Walker {
    /// Bytes that belong to nothing of interest.
    skip: u32,
    /// The beginning of a head that lies across two pieces.
    partial: [u8; HEAD + WORD],
    have: usize,
}

impl Walker {
    /// Begins after `preface` bytes that are no frame.
    pub(super) fn after(preface: u32) -> Self {
        Self {
            skip: preface,
            partial: [0; HEAD + WORD],
            have: 0,
        }
    }

    /// The next frame of `bytes`, which is moved behind its head; `None` at the end of the bytes.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        self.payload(bytes);
        if self.skip > 0 {
            return None;
        }
        if self.have == 0
            && let Some((frame, used)) = parse(bytes)
        {
            *bytes = bytes.get(used..).unwrap_or_default();
            self.skip = rest(&frame, used);
            return Some(frame);
        }
        self.next_from_pieces(bytes)
    }

    #[cold]
    fn next_from_pieces(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        while let Some((&byte, behind)) = bytes.split_first() {
            *bytes = behind;
            if let Some(place) = self.partial.get_mut(self.have) {
                *place = byte;
                self.have += 1;
            }
            let known = self.partial.get(..self.have).unwrap_or_default();
            if let Some((frame, used)) = parse(known) {
                self.have = 0;
                self.skip = rest(&frame, used);
                return Some(frame);
            }
        }
        None
    }

    /// Takes what is there of the payload of the last frame, and says whether that was its end.
    pub(super) fn payload<'b>(&mut self, bytes: &mut &'b [u8]) -> (&'b [u8], bool) {
        let len = bytes.len().min(self.skip as usize);
        let (payload, behind) = bytes.split_at_checked(len).unwrap_or_default();
        *bytes = behind;
        // Not more than `skip`, so it fits.
        self.skip -= u32::try_from(len).unwrap_or(self.skip);
        (payload, self.skip == 0)
    }
}

/// What of the frame lies behind the bytes that were used.
fn rest(frame: &Frame, used: usize) -> u32 {
    if used > HEAD { 0 } else { frame.len }
}

/// A frame whose head, and word if it has one, are there; and how many bytes that took.
#[inline]
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (head, payload) = bytes.split_first_chunk::<HEAD>()?;
    let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = *head;
    let mut frame = Frame {
        kind,
        flags,
        stream: u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]),
        len: u32::from_be_bytes([0, l2, l1, l0]),
        word: 0,
    };
    if matches!(kind, kind::RST_STREAM | kind::WINDOW_UPDATE) && frame.len as usize == WORD {
        frame.word = u32::from_be_bytes(*payload.first_chunk::<WORD>()?);
        return Some((frame, HEAD + WORD));
    }
    Some((frame, HEAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn walk(pieces: &[&[u8]]) -> Vec<Frame> {
        let mut walker = Walker::after(24);
        let mut frames = Vec::new();
        for piece in pieces {
            let mut piece = *piece;
            while let Some(frame) = walker.next(&mut piece) {
                frames.push(frame);
            }
            assert!(piece.is_empty());
        }
        frames
    }

    #[test]
    fn frames_are_the_same_however_their_bytes_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(kind::SETTINGS, 0, 0, &[]));
        bytes.extend(frame(kind::DATA, 1, 5, &[0xff; 300]));
        bytes.extend(frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 2]));
        bytes.extend(frame(kind::RST_STREAM, 0, 0x8000_0003, &[0, 0, 0, 8]));
        bytes.extend(frame(kind::RST_STREAM, 0, 3, &[1, 2, 3, 4, 5]));
        bytes.extend(frame(77, 9, 1, &[0; 20]));
        let one = |kind, flags, stream, len, word| Frame {
            kind,
            flags,
            stream,
            len,
            word,
        };
        let expected = [
            one(kind::SETTINGS, 0, 0, 0, 0),
            one(kind::DATA, 1, 5, 300, 0),
            one(kind::WINDOW_UPDATE, 0, 0, 4, 0x102),
            one(kind::RST_STREAM, 0, 3, 4, 8),
            one(kind::RST_STREAM, 0, 3, 5, 0),
            one(77, 9, 1, 20, 0),
        ];
        assert_eq!(walk(&[&bytes]), expected);
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(walk(&[first, second]), expected, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(walk(&single), expected);
    }

    #[test]
    fn a_payload_can_be_read_along() {
        let bytes = frame(kind::HEADERS, flag::END_HEADERS, 1, b"block");
        let mut walker = Walker::after(0);
        let mut piece = &bytes[..11];
        assert!(walker.next(&mut piece).is_some());
        assert_eq!(walker.payload(&mut piece), (&b"bl"[..], false));
        let mut piece = &bytes[11..];
        assert_eq!(walker.payload(&mut piece), (&b"ock"[..], true));
    }
}
