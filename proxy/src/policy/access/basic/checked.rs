//! Passwords that were found right, so that a page of fifty requests costs one bcrypt and not fifty.
//!
//! What is kept is a keyed digest of user, hash and password: a changed hash is another entry, so a
//! changed file holds at once. The table is small and of fixed size, and is wiped when it goes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroize as _;

use crate::policy::seal::{Digest, Seal};

/// Entries that are kept.
const MOST: usize = 1024;
/// Checks that may wait for their turn; further ones are answered with 503.
const MOST_WAITING: usize = 256;

/// What was found out about passwords, and how many are being looked at.
#[derive(Debug)]
pub(crate) struct Checked {
    seal: Option<Seal>,
    right: Mutex<Right>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Right {
    entries: Vec<Entry>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    digest: Digest,
    used: u64,
}

impl Default for Checked {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            seal: Seal::new(),
            right: Mutex::default(),
            turns: Arc::new(Semaphore::new(processors.div_ceil(2))),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        for entry in &mut self.entries {
            entry.digest.zeroize();
        }
    }
}

impl Checked {
    /// What stands for a user's password beside a hash.
    pub(super) fn digest(&self, user: &str, hash: &str, password: &[u8]) -> Option<Digest> {
        let seal = self.seal.as_ref()?;
        Some(seal.digest(&[user.as_bytes(), hash.as_bytes(), password]))
    }

    /// Whether it was found right before.
    pub(super) fn is_right(&self, digest: &Digest) -> bool {
        let mut right = self.right();
        right.clock += 1;
        let now = right.clock;
        // A keyed digest cannot be approached byte by byte, so its comparison may tell its time.
        let found = right
            .entries
            .iter_mut()
            .find(|entry| entry.digest == *digest);
        found.is_some_and(|entry| {
            entry.used = now;
            true
        })
    }

    /// Remembers that it is right.
    pub(super) fn keep(&self, digest: Digest) {
        let mut right = self.right();
        right.clock += 1;
        let used = right.clock;
        if right.entries.iter().any(|entry| entry.digest == digest) {
            return;
        }
        if right.entries.len() < MOST {
            // Made in full at once: a table that grows leaves copies behind.
            if right.entries.is_empty() {
                right.entries.reserve_exact(MOST);
            }
            right.entries.push(Entry { digest, used });
            return;
        }
        if let Some(oldest) = right.entries.iter_mut().min_by_key(|entry| entry.used) {
            *oldest = Entry { digest, used };
        }
    }

    /// A turn to look at a password off the event loop; `None` if too many wait for one.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let waiting = Waiting::new(&self.waiting)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        drop(waiting);
        turn
    }

    fn right(&self) -> MutexGuard<'_, Right> {
        // Nothing that is done under the lock leaves it half changed.
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, given back also by whoever leaves it.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_passwords_are_known_until_others_push_them_out() {
        let checked = Checked::default();
        let digest = |number: usize| {
            let password = number.to_string();
            checked.digest("anna", "hash", password.as_bytes()).unwrap()
        };
        assert!(!checked.is_right(&digest(0)));
        for number in 0..MOST {
            checked.keep(digest(number));
        }
        assert!(checked.is_right(&digest(0)), "it is used, so it stays");
        checked.keep(digest(MOST));
        assert!(checked.is_right(&digest(0)));
        assert!(!checked.is_right(&digest(1)));
        assert_eq!(checked.right().entries.len(), MOST);
        let other = checked.digest("anna", "another hash", b"0").unwrap();
        assert!(!checked.is_right(&other), "a changed hash holds at once");
        assert!(!format!("{checked:?}").contains("hash"));
    }
}
