//! What is counted of upstreams and their endpoints.
//!
//! Counters belong to the name and the address, not to the object: they continue when an upstream
//! is replaced or an address leaves and comes back, so that nothing jumps back. The recent window
//! that ejection looks at lives here too, because every outcome is counted once and at one place.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::outlier::FailureKind;
use crate::metrics::refusals::{self, Refusals};
use crate::metrics::{Counter, Histogram, HistogramReading, PerWorker};
use crate::overload::Queue;

/// Addresses that left are forgotten when more than this many are remembered.
const REMEMBERED_ENDPOINTS: usize = 1_024;

/// Slots of the recent window; one more is being filled.
const SLOTS: u64 = 6;

/// Counters of an upstream as a whole.
#[derive(Debug)]
pub struct UpstreamStats {
    workers: usize,
    shards: PerWorker<UpstreamShard>,
    ejections: AtomicU64,
    /// Names whose last lookup failed.
    dns_stale: AtomicUsize,
    endpoints: Mutex<HashMap<Arc<str>, Arc<EndpointStats>>>,
    queue: Queue,
}

#[derive(Debug, Default)]
struct UpstreamShard {
    connect: Histogram,
    retries: Counter,
    refused: OnceLock<Refusals>,
    dropped: Counter,
    retries_denied: Counter,
}

impl UpstreamStats {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers,
            shards: PerWorker::new(workers),
            ejections: AtomicU64::new(0),
            dns_stale: AtomicUsize::new(0),
            endpoints: Mutex::default(),
            queue: Queue::default(),
        }
    }

    /// Where requests wait for a place at an endpoint (L-86).
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Counts a connection that was made, TLS included.
    pub fn connected(&self, worker: usize, took: Duration) {
        self.shards.of(worker).connect.record(took);
    }

    /// Counts a further attempt of a request.
    pub fn retried(&self, worker: usize) {
        self.shards.of(worker).retries.increment();
    }

    /// Counts breaches of a limit by a backend (O-01).
    pub fn refused(&self, worker: usize, rule: &'static str, times: u32) {
        let shard = self.shards.of(worker);
        shard
            .refused
            .get_or_init(Refusals::default)
            .count(rule, times);
    }

    /// Breaches so far, in the order of the ids.
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        refusals::sum(self.shards.iter().map(|shard| &shard.refused))
    }

    /// Counts copies or spans that were given up.
    pub fn dropped(&self, worker: usize, count: u64) {
        self.shards.of(worker).dropped.add(count);
    }

    /// Counts a further attempt that the budget did not allow.
    pub fn retry_denied(&self, worker: usize) {
        self.shards.of(worker).retries_denied.increment();
    }

    pub(super) fn ejected(&self) {
        self.ejections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lookup_failing(&self) {
        self.dns_stale.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lookup_recovered(&self) {
        self.dns_stale.fetch_sub(1, Ordering::Relaxed);
    }

    /// Times of making connections.
    pub fn connect_times(&self) -> HistogramReading {
        HistogramReading::of(&self.shards, |shard| &shard.connect)
    }

    /// Further attempts so far.
    pub fn retries(&self) -> u64 {
        self.shards.sum(|shard| shard.retries.value())
    }

    /// Copies and spans that were given up so far.
    pub fn drops(&self) -> u64 {
        self.shards.sum(|shard| shard.dropped.value())
    }

    /// Further attempts so far that the budget did not allow.
    pub fn retries_denied(&self) -> u64 {
        self.shards.sum(|shard| shard.retries_denied.value())
    }

    /// Ejections so far.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Whether a name of the upstream cannot be resolved at present, and its last good answer is
    /// used.
    pub fn dns_stale(&self) -> bool {
        self.dns_stale.load(Ordering::Relaxed) > 0
    }

    pub(super) fn endpoint(&self, label: &str) -> Arc<EndpointStats> {
        let mut known = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(stats) = known.get(label) {
            return Arc::clone(stats);
        }
        if known.len() >= REMEMBERED_ENDPOINTS {
            known.retain(|_, stats| Arc::strong_count(stats) > 1);
        }
        let stats = Arc::new(EndpointStats {
            shards: PerWorker::new(self.workers),
        });
        known.insert(label.into(), Arc::clone(&stats));
        stats
    }
}

/// Counters of an endpoint.
#[derive(Debug)]
pub struct EndpointStats {
    shards: PerWorker<EndpointShard>,
}

/// 13 words: one pair of cache lines.
#[derive(Debug, Default)]
struct EndpointShard {
    succeeded: Counter,
    failed: [Counter; FailureKind::ALL.len()],
    /// `slot number (16 bits) | successes (24) | failures (24)`: a slot is one store.
    recent: [AtomicU64; SLOTS as usize],
}

impl EndpointStats {
    pub(super) fn succeeded(&self, worker: usize, slot: u64) {
        let shard = self.shards.of(worker);
        shard.succeeded.increment();
        shard.count_recent(slot, 1 << 24);
    }

    pub(super) fn failed(&self, worker: usize, kind: FailureKind, slot: u64) {
        let shard = self.shards.of(worker);
        if let Some(counter) = shard.failed.get(kind as usize) {
            counter.increment();
        }
        shard.count_recent(slot, 1);
    }

    /// Successes and failures in the slots `oldest..=newest`.
    pub(super) fn recent(&self, oldest: u64, newest: u64) -> (u64, u64) {
        let oldest = oldest.max((newest + 1).saturating_sub(SLOTS));
        let mut sum = (0, 0);
        for shard in self.shards.iter() {
            for slot in oldest..=newest {
                let (successes, failures) = shard.slot(slot);
                sum = (sum.0 + successes, sum.1 + failures);
            }
        }
        sum
    }

    /// Requests that ended well.
    pub fn successes(&self) -> u64 {
        self.shards.sum(|shard| shard.succeeded.value())
    }

    /// Requests that failed in this way.
    pub fn failures(&self, kind: FailureKind) -> u64 {
        self.shards
            .sum(|shard| shard.failed.get(kind as usize).map_or(0, Counter::value))
    }
}

impl EndpointShard {
    fn count_recent(&self, slot: u64, amount: u64) {
        let Some(word) = self.recent.get((slot % SLOTS) as usize) else {
            return;
        };
        let tag = (slot & 0xffff) << 48;
        let mut value = word.load(Ordering::Relaxed);
        if value & (0xffff << 48) != tag {
            value = tag;
        }
        // A full field stays full: 16 million in one slot is past any decision.
        let field = if amount == 1 {
            0x00ff_ffff
        } else {
            0x00ff_ffff << 24
        };
        if value & field != field {
            value += amount;
        }
        word.store(value, Ordering::Relaxed);
    }

    fn slot(&self, slot: u64) -> (u64, u64) {
        let word = self.recent.get((slot % SLOTS) as usize);
        match word.map(|word| word.load(Ordering::Relaxed)) {
            Some(value) if value >> 48 == slot & 0xffff => {
                (value >> 24 & 0x00ff_ffff, value & 0x00ff_ffff)
            }
            _ => (0, 0),
        }
    }
}

/// Which slot a moment belongs to.
pub(super) fn slot_of(millis: u64, window: Duration) -> u64 {
    let length = super::endpoint::duration_millis(window) / SLOTS;
    millis / length.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_forgets_old_slots_and_sums_workers() {
        let stats = UpstreamStats::new(2).endpoint("192.0.2.1:80");
        stats.succeeded(0, 100);
        stats.failed(1, FailureKind::Connect, 101);
        stats.failed(1, FailureKind::Status, 105);
        assert_eq!(stats.recent(100, 105), (1, 2));
        assert_eq!(stats.recent(101, 106), (0, 2));
        stats.succeeded(0, 106);
        assert_eq!(
            stats.recent(0, 106),
            (1, 2),
            "never looks back further than the window"
        );
        assert_eq!(stats.recent(0, 1_000_000), (0, 0));
        assert_eq!(
            (stats.successes(), stats.failures(FailureKind::Connect)),
            (2, 1)
        );
    }

    #[test]
    fn a_full_slot_stays_full() {
        let shard = EndpointShard::default();
        shard.recent[1].store(1 << 48 | 0x00ff_ffff << 24 | 0x00ff_ffff, Ordering::Relaxed);
        shard.count_recent(1, 1);
        shard.count_recent(1, 1 << 24);
        assert_eq!(shard.slot(1), (0x00ff_ffff, 0x00ff_ffff));
    }

    #[test]
    fn counters_of_an_address_continue_when_it_comes_back() {
        let upstream = UpstreamStats::new(1);
        upstream.endpoint("192.0.2.1:80").succeeded(0, 1);
        assert_eq!(upstream.endpoint("192.0.2.1:80").successes(), 1);
        let kept = upstream.endpoint("192.0.2.2:80");
        for index in 0..5_000 {
            upstream.endpoint(&format!("192.0.2.3:{index}"));
        }
        kept.succeeded(0, 1);
        assert_eq!(upstream.endpoint("192.0.2.2:80").successes(), 1);
        assert!(upstream.endpoints.lock().unwrap().len() <= REMEMBERED_ENDPOINTS + 1);
    }
}
