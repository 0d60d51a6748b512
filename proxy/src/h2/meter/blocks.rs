//! Header blocks of requests as the peer sent them, for the rules that the library makes it
//! impossible to check afterwards (D-60, D-66, D-67).
//!
//! A block that lies in one piece of input, as nearly all do, is read where it is; others are put
//! together first, from no more pieces than L-27 allows.

use super::frames::{Frame, flag};
use super::hpack::{Decoder, Scheme, Summary};

/// What is wrong with the head or the trailers of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// `:path` has a fragment (D-67).
    Fragment,
    /// The scheme is not that of the connection, and there is no `:authority` (D-66).
    Scheme,
    /// Trailers with a pseudo-field (D-60).
    Trailers,
}

/// Findings that nobody has asked for. The library refuses some of these streams itself.
const MOST_FINDINGS: usize = 64;

/// Buffers up to this size are kept.
const KEPT: usize = 4096;

#[derive(Debug)]
pub(super) struct Blocks {
    decoder: Decoder,
    own: Scheme,
    stream: u32,
    /// Whether the block opens its stream.
    opens: bool,
    flags: u8,
    partial: Vec<u8>,
    /// Where the present frame begins in it.
    from: usize,
    /// The library is about to refuse the connection.
    lost: bool,
    findings: Vec<(u32, Finding)>,
}

impl Blocks {
    pub(super) fn new(secure: bool) -> Self {
        Self {
            decoder: Decoder::new(),
            own: if secure { Scheme::Https } else { Scheme::Http },
            stream: 0,
            opens: false,
            flags: 0,
            partial: Vec::new(),
            from: 0,
            lost: false,
            findings: Vec::new(),
        }
    }

    /// A HEADERS frame begins.
    pub(super) fn headers(&mut self, frame: &Frame, opens: bool) {
        self.stream = frame.stream;
        self.opens = opens;
        self.flags = frame.flags;
        self.partial.clear();
        self.from = 0;
    }

    /// A CONTINUATION frame begins.
    pub(super) fn continuation(&mut self) {
        self.flags = 0;
        self.from = self.partial.len();
    }

    /// Takes what came of a frame; `false` if there is more to complain of than anybody wants.
    pub(super) fn piece(&mut self, piece: &[u8], frame_ended: bool, block_ended: bool) -> bool {
        if self.lost {
            return true;
        }
        if frame_ended && block_ended && self.partial.is_empty() {
            if let Some((from, to)) = fragment(self.flags, piece) {
                self.read(piece.get(from..to).unwrap_or_default());
            }
            return self.findings.len() <= MOST_FINDINGS;
        }
        self.partial.extend_from_slice(piece);
        if frame_ended {
            let frame = self.partial.get(self.from..).unwrap_or_default();
            if let Some((from, to)) = fragment(self.flags, frame) {
                self.partial.truncate(self.from + to);
                self.partial.drain(self.from..self.from + from);
            }
        }
        if frame_ended && block_ended {
            let mut block = std::mem::take(&mut self.partial);
            self.read(&block);
            if block.capacity() <= KEPT {
                block.clear();
                self.partial = block;
            }
        }
        self.findings.len() <= MOST_FINDINGS
    }

    fn read(&mut self, block: &[u8]) {
        let Some(summary) = self.decoder.read(block) else {
            self.lost = true;
            return;
        };
        if let Some(finding) = self.judge(summary) {
            self.findings.push((self.stream, finding));
        }
    }

    fn judge(&self, summary: Summary) -> Option<Finding> {
        if !self.opens {
            return summary.pseudo.then_some(Finding::Trailers);
        }
        if summary.fragment {
            return Some(Finding::Fragment);
        }
        let foreign = summary.scheme.is_some_and(|scheme| scheme != self.own);
        (foreign && !summary.authority).then_some(Finding::Scheme)
    }

    /// What was found of a stream, told once.
    pub(super) fn take(&mut self, stream: u32) -> Option<Finding> {
        let at = self
            .findings
            .iter()
            .position(|(known, _)| *known == stream)?;
        Some(self.findings.swap_remove(at).1)
    }
}

/// Where the fragment lies in the payload of a frame (RFC 9113 §6.2); `None` if nowhere, which the
/// library refuses.
fn fragment(flags: u8, payload: &[u8]) -> Option<(usize, usize)> {
    let (mut from, mut padding) = (0, 0);
    if flags & flag::PADDED != 0 {
        padding = usize::from(*payload.first()?);
        from = 1;
    }
    if flags & flag::PRIORITY != 0 {
        from += 5;
    }
    let to = payload.len().checked_sub(padding)?;
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h2::meter::frames::kind;

    fn frame(flags: u8, stream: u32) -> Frame {
        Frame {
            kind: kind::HEADERS,
            flags,
            stream,
            len: 0,
            word: 0,
        }
    }

    const BAD: &[u8] = b"\x04\x04/a#b";

    #[test]
    fn a_block_is_read_however_it_is_cut() {
        for flags in [
            0,
            flag::PADDED,
            flag::PRIORITY,
            flag::PADDED | flag::PRIORITY,
        ] {
            let mut payload = Vec::new();
            payload.extend((flags & flag::PADDED != 0).then_some(3));
            if flags & flag::PRIORITY != 0 {
                payload.extend([0xff; 5]);
            }
            payload.extend(BAD);
            if flags & flag::PADDED != 0 {
                payload.extend([0; 3]);
            }
            for cut in 0..=payload.len() {
                let mut blocks = Blocks::new(true);
                blocks.headers(&frame(flags, 5), true);
                let (first, second) = payload.split_at(cut);
                assert!(blocks.piece(first, false, true));
                assert_eq!(blocks.take(5), None);
                assert!(blocks.piece(second, true, true));
                assert_eq!(blocks.take(5), Some(Finding::Fragment), "{flags} {cut}");
                assert_eq!(blocks.take(5), None, "told once");
            }
        }
        for cut in 0..=BAD.len() {
            let mut blocks = Blocks::new(true);
            let (first, second) = BAD.split_at(cut);
            let padded = [&[2], first, &[0, 0]].concat();
            blocks.headers(&frame(flag::PADDED, 5), true);
            assert!(blocks.piece(&padded, true, false));
            blocks.continuation();
            assert!(blocks.piece(second, true, true));
            assert_eq!(blocks.take(5), Some(Finding::Fragment), "{cut}");
        }
    }

    #[test]
    fn what_is_wrong_depends_on_where_it_stands() {
        let mut blocks = Blocks::new(true);
        let mut found = |opens, block: &[u8]| {
            blocks.headers(&frame(0, 1), opens);
            blocks.piece(block, true, true);
            blocks.take(1)
        };
        assert_eq!(found(true, &[0x82, 0x87, 0x84]), None);
        assert_eq!(found(true, &[0x82, 0x86, 0x84]), Some(Finding::Scheme));
        assert_eq!(
            found(true, b"\x86\x01\x01a"),
            None,
            "checked where there is an authority"
        );
        assert_eq!(found(false, b"\x00\x01a\x01b"), None);
        assert_eq!(found(false, &[0x84]), Some(Finding::Trailers));
    }

    #[test]
    fn findings_do_not_pile_up() {
        let mut blocks = Blocks::new(true);
        let kept = (0..1000).take_while(|n| {
            blocks.headers(&frame(0, 2 * n + 1), true);
            blocks.piece(BAD, true, true)
        });
        assert_eq!(kept.count(), MOST_FINDINGS);
    }
}
