//! When streams were opened, roughly: who resets most of what he opens within a second wants the
//! work and not the answer (L-29, CVE-2023-44487).
//!
//! Stream numbers only grow, so a few marks on their way say how old each one is. A mark stands for
//! a quarter of a second; a stream is taken to be as old as its mark, which errs by that much and
//! in the client's favour.

/// Marks: two seconds' worth.
const MARKS: usize = 8;
const APART: u64 = 250;
const SOON: u64 = 1000;

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at: u64,
    first: u32,
}

/// Streams that a client opened.
#[derive(Debug)]
pub(super) struct Openings {
    marks: [Mark; MARKS],
    newest: usize,
    last: u32,
    opened: u32,
    /// Reset within a second.
    soon: u32,
    judged_from: u32,
}

impl Openings {
    /// Judges from so many streams on.
    pub(super) fn new(judged_from: u32) -> Self {
        Self {
            marks: [Mark::default(); MARKS],
            newest: 0,
            last: 0,
            opened: 0,
            soon: 0,
            judged_from,
        }
    }

    /// A header block on a stream, and whether it opens it.
    pub(super) fn open(&mut self, stream: u32, now: u64) -> bool {
        if stream <= self.last {
            return false;
        }
        self.last = stream;
        self.opened = self.opened.saturating_add(1);
        let newest = self.marks.get(self.newest).copied().unwrap_or_default();
        if newest.first != 0 && now < newest.at + APART {
            return true;
        }
        self.newest = (self.newest + 1) % MARKS;
        if let Some(mark) = self.marks.get_mut(self.newest) {
            *mark = Mark {
                at: now,
                first: stream,
            };
        }
        true
    }

    /// The client reset a stream. Whether it has done so with more than half of all, too soon.
    pub(super) fn reset(&mut self, stream: u32, now: u64) -> bool {
        let known = stream <= self.last;
        let mark = self
            .marks
            .iter()
            .filter(|mark| mark.first != 0 && mark.first <= stream)
            .max_by_key(|mark| mark.first);
        if known && mark.is_some_and(|mark| now < mark.at + SOON) {
            self.soon = self.soon.saturating_add(1);
        }
        self.opened >= self.judged_from && self.soon > self.opened / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens a stream every `each` ms and resets it `after` ms later; the stream that ended it.
    fn ended(each: u64, after: u64, share: u64) -> Option<u64> {
        let mut openings = Openings::new(500);
        let mut events: Vec<(u64, bool, u64)> = (0..2000)
            .flat_map(|n| [(n * each, false, n), (n * each + after, true, n)])
            .filter(|(_, reset, n)| !reset || n % 10 < share)
            .collect();
        events.sort_unstable();
        for (now, reset, n) in events {
            let stream = u32::try_from(n).unwrap() * 2 + 1;
            if !reset {
                openings.open(stream, now);
            } else if openings.reset(stream, now) {
                return Some(n);
            }
        }
        None
    }

    #[test]
    fn most_streams_reset_at_once_end_the_connection() {
        assert_eq!(ended(10, 0, 10), Some(499), "each one, at once");
        assert_eq!(ended(100, 500, 10), Some(494), "each one, after a while");
        assert!(ended(10, 300, 6).is_some(), "six of ten");
    }

    #[test]
    fn a_client_that_changes_its_mind_now_and_then_stays() {
        assert_eq!(ended(10, 0, 4), None, "four of ten");
        assert_eq!(ended(100, 1000, 10), None, "all of them, after a second");
        assert_eq!(ended(10_000, 9_999, 10), None, "long polls, one by one");
        assert_eq!(ended(10_000, 10_000, 10), None);
    }
}
