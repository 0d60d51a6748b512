//! Answers that are remembered for a while (AUT-09), for the whole process.
//!
//! Bounded in number and in bytes; where it is full, what was not used for longest goes. What an
//! answer is kept under is a keyed digest: keys are often tokens.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};

use crate::policy::seal::{Digest, Seal};

/// Answers that are kept.
const MOST: usize = 8192;
/// Bytes of their fields.
const MOST_BYTES: usize = 16 << 20;
/// A longer answer is not kept.
const LARGEST: usize = 64 << 10;

/// What a server said of a request.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub status: StatusCode,
    /// The fields that the backend gets, in the order of the policy.
    pub fields: Vec<Option<HeaderValue>>,
    /// `WWW-Authenticate`.
    pub challenges: Vec<HeaderValue>,
    /// `Set-Cookie`.
    pub cookies: Vec<HeaderValue>,
}

// Fields of the answer are often tokens.
impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Said({})", self.status)
    }
}

impl Said {
    fn size(&self) -> usize {
        let values = self.fields.iter().flatten();
        let values = values.chain(&self.challenges).chain(&self.cookies);
        values.map(HeaderValue::len).sum::<usize>() + size_of::<Self>()
    }
}

/// The memory of answers.
#[derive(Debug)]
pub(crate) struct Answers {
    seal: Option<Seal>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Digest, Entry>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    said: Arc<Said>,
    until: Instant,
    used: u64,
    size: usize,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            seal: Seal::new(),
            table: Mutex::default(),
        }
    }
}

impl Answers {
    /// What an answer is kept under.
    pub(super) fn digest(&self, parts: &[&[u8]]) -> Option<Digest> {
        Some(self.seal.as_ref()?.digest(parts))
    }

    /// The answer, if it is known and still good.
    pub(super) fn find(&self, key: &Digest, now: Instant) -> Option<Arc<Said>> {
        let mut table = self.table();
        table.clock += 1;
        let used = table.clock;
        let entry = table.entries.get_mut(key)?;
        if entry.until > now {
            entry.used = used;
            return Some(Arc::clone(&entry.said));
        }
        table.remove(key);
        None
    }

    /// Remembers an answer for so long.
    pub(super) fn keep(&self, key: Digest, said: &Arc<Said>, time: Duration, now: Instant) {
        let size = said.size();
        let Some(until) = now.checked_add(time).filter(|_| size <= LARGEST) else {
            return;
        };
        let mut table = self.table();
        table.remove(&key);
        if table.entries.len() >= MOST || table.bytes + size > MOST_BYTES {
            table.make_room(now);
        }
        table.clock += 1;
        let used = table.clock;
        table.bytes += size;
        let entry = Entry {
            said: Arc::clone(said),
            until,
            used,
            size,
        };
        table.entries.insert(key, entry);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing that is done under the lock leaves it half changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, key: &Digest) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.size;
        }
    }

    /// Drops what is over; if that is less than a quarter, the quarter that was not used for
    /// longest. In one go, so that a flood of new keys does not look for the oldest with each.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.until > now);
        let count = self.entries.len();
        if count > MOST / 4 * 3
            || self.entries.values().map(|entry| entry.size).sum::<usize>() > MOST_BYTES / 4 * 3
        {
            let mut used: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
            let (_, border, _) = used.select_nth_unstable(count / 4);
            let border = *border;
            self.entries.retain(|_, entry| entry.used > border);
        }
        self.bytes = self.entries.values().map(|entry| entry.size).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(size: usize) -> Arc<Said> {
        let value = HeaderValue::try_from("x".repeat(size)).unwrap();
        Arc::new(Said {
            status: StatusCode::OK,
            fields: vec![Some(value)],
            challenges: Vec::new(),
            cookies: Vec::new(),
        })
    }

    #[test]
    fn answers_are_known_for_their_time() {
        let answers = Answers::default();
        let key = answers.digest(&[b"anna"]).unwrap();
        let other = answers.digest(&[b"an", b"na"]).unwrap();
        let now = Instant::now();
        let minute = Duration::from_mins(1);
        answers.keep(key, &said(10), minute, now);
        assert!(answers.find(&key, now + minute / 2).is_some());
        assert!(answers.find(&other, now).is_none());
        assert!(answers.find(&key, now + minute).is_none());
        assert_eq!(answers.table().bytes, 0);
        answers.keep(key, &said(LARGEST), minute, now);
        assert!(answers.find(&key, now).is_none(), "too large to keep");
    }

    #[test]
    fn a_flood_of_keys_pushes_out_what_is_not_used() {
        let answers = Answers::default();
        let now = Instant::now();
        let hour = Duration::from_hours(1);
        let key = |number: usize| answers.digest(&[&number.to_be_bytes()]).unwrap();
        answers.keep(key(0), &said(10), hour, now);
        for number in 1..3 * MOST {
            answers.keep(key(number), &said(10), hour, now);
            if number % 100 == 0 {
                assert!(answers.find(&key(0), now).is_some(), "used, so kept");
            }
        }
        assert!(answers.find(&key(1), now).is_none());
        assert!(answers.table().entries.len() <= MOST);
        for number in 0..2000 {
            answers.keep(key(number), &said(60_000), hour, now);
        }
        let table = answers.table();
        assert!(table.bytes <= MOST_BYTES, "{}", table.bytes);
        let sum: usize = table.entries.values().map(|entry| entry.size).sum();
        assert_eq!(table.bytes, sum);
    }
}
