//! Counters without shared cache lines: one shard per worker, one writer per shard.
//!
//! A [`Counter`] is read and written with plain relaxed loads and stores, because only its worker
//! writes it; a scrape sums the shards. Shards are made on first use, so that ten thousand idle
//! routes cost a pointer each and not a page. What must stay true: no read-modify-write on the
//! path of a request, and no two workers on one cache line.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows and that one thread writes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; a second writer would lose counts, never corrupt them.
    pub fn add(&self, amount: u64) {
        self.0
            .store(self.value().wrapping_add(amount), Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// The number so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Keeps a shard off its neighbours' cache lines, the prefetched one included.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Padded<T>(T);

type Shard<T> = OnceLock<Box<Padded<T>>>;

/// One `T` per data worker, and one for the control thread.
pub struct PerWorker<T> {
    workers: Box<[Shard<T>]>,
    control: Shard<T>,
}

impl<T: Default> PerWorker<T> {
    /// Shards for so many data workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Shard::new()).collect(),
            control: Shard::new(),
        }
    }

    /// The shard of a worker; any number beyond the workers means the control thread.
    pub fn of(&self, worker: usize) -> &T {
        &self
            .workers
            .get(worker)
            .unwrap_or(&self.control)
            .get_or_init(Box::default)
            .0
    }

    /// The shards that have been used.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let shards = self.workers.iter().chain(std::iter::once(&self.control));
        shards.filter_map(|shard| shard.get().map(|padded| &padded.0))
    }

    /// A sum over the shards.
    pub fn sum(&self, read: impl Fn(&T) -> u64) -> u64 {
        self.iter()
            .fold(0, |total, shard| total.wrapping_add(read(shard)))
    }
}

impl<T> fmt::Debug for PerWorker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerWorker")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_and_control_count_into_one_sum() {
        let counters = PerWorker::<Counter>::new(3);
        for worker in [0, 1, 2, 3, 99] {
            counters.of(worker).add(10);
        }
        assert_eq!(counters.sum(Counter::value), 50);
        assert_eq!(counters.iter().count(), 4, "three workers and control");
    }

    #[test]
    fn an_unused_shard_takes_no_memory_of_its_own() {
        let counters = PerWorker::<Counter>::new(64);
        counters.of(7).increment();
        assert_eq!(counters.iter().count(), 1);
    }

    #[test]
    fn shards_never_share_a_cache_line() {
        let counters = PerWorker::<Counter>::new(2);
        for worker in 0..3 {
            assert_eq!(std::ptr::from_ref(counters.of(worker)) as usize % 128, 0);
        }
    }
}
