//! What a load counts: units, bytes, failures and latencies.
//!
//! Only what ends inside the window counts. Latencies run from the *intended* begin of a unit: a
//! server that stalls makes an open load late, and the wait of those who could not even be sent is
//! part of the figure (no coordinated omission).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Three digits, 1 µs to 60 s.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).unwrap_or_else(|_| {
        // The bounds are constants that the library accepts; a histogram that grows is as good.
        let mut any =
            Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are allowed"));
        any.auto(true);
        any
    })
}

/// The counts of one thread.
#[derive(Debug)]
pub(crate) struct Tally {
    open: Cell<bool>,
    pub(crate) counts: RefCell<Counts>,
}

/// What is merged at the end.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) units: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) connections: u64,
    pub(crate) resumed: u64,
    /// Closed by the server without harm: `Connection: close`, GOAWAY, between two requests.
    pub(crate) moved: u64,
    /// Due, but not answered when the window closed.
    pub(crate) unfinished: u64,
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) latency: Histogram<u64>,
    /// How late the generator itself was to send.
    pub(crate) late: Histogram<u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            units: 0,
            received: 0,
            sent: 0,
            connections: 0,
            resumed: 0,
            moved: 0,
            unfinished: 0,
            failures: BTreeMap::new(),
            latency: histogram(),
            late: histogram(),
        }
    }
}

impl Counts {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.units += other.units;
        self.received += other.received;
        self.sent += other.sent;
        self.connections += other.connections;
        self.resumed += other.resumed;
        self.moved += other.moved;
        self.unfinished += other.unfinished;
        for (why, count) in &other.failures {
            *self.failures.entry(why.clone()).or_default() += count;
        }
        // Both have the same bounds.
        let _ = self.latency.add(&other.latency);
        let _ = self.late.add(&other.late);
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            open: Cell::new(false),
            counts: RefCell::default(),
        }
    }

    /// Opens or closes the window.
    pub(crate) fn window(&self, open: bool) {
        self.open.set(open);
    }

    pub(crate) fn done(&self, intended: Instant) {
        if self.open.get() {
            let mut counts = self.counts.borrow_mut();
            counts.units += 1;
            counts.latency.saturating_record(micros(intended.elapsed()));
        }
    }

    /// A unit that had begun when the window closed: it took at least so long.
    pub(crate) fn unfinished(&self, intended: Instant, end: Instant) {
        let mut counts = self.counts.borrow_mut();
        counts.unfinished += 1;
        let age = end.saturating_duration_since(intended);
        counts.latency.saturating_record(micros(age));
    }

    pub(crate) fn late(&self, by: Duration) {
        if self.open.get() {
            let mut counts = self.counts.borrow_mut();
            counts.late.saturating_record(micros(by));
        }
    }

    /// Failures count from the first moment on: a run with any is void.
    pub(crate) fn failed(&self, why: &str) {
        let mut counts = self.counts.borrow_mut();
        *counts.failures.entry(why.to_owned()).or_default() += 1;
    }

    pub(crate) fn received(&self, bytes: usize) {
        if self.open.get() {
            self.counts.borrow_mut().received += bytes as u64;
        }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        if self.open.get() {
            self.counts.borrow_mut().sent += bytes as u64;
        }
    }

    pub(crate) fn connected(&self, resumed: bool) {
        if self.open.get() {
            let mut counts = self.counts.borrow_mut();
            counts.connections += 1;
            counts.resumed += u64::from(resumed);
        }
    }

    pub(crate) fn moved(&self) {
        self.counts.borrow_mut().moved += 1;
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_outside_of_the_window_does_not_count() {
        let tally = Tally::new();
        let now = Instant::now();
        tally.done(now);
        tally.window(true);
        tally.done(now);
        tally.received(5);
        tally.window(false);
        tally.received(7);
        tally.done(now);
        let counts = tally.counts.borrow();
        assert_eq!((counts.units, counts.received), (1, 5));
        assert_eq!(counts.latency.len(), 1);
    }

    #[test]
    fn what_was_due_and_not_answered_is_as_slow_as_it_is_old() {
        let tally = Tally::new();
        let now = Instant::now();
        tally.unfinished(now, now + Duration::from_millis(500));
        let mut sum = Counts::default();
        sum.merge(&tally.counts.borrow());
        sum.merge(&tally.counts.borrow());
        assert_eq!(sum.unfinished, 2);
        let longest = sum.latency.max();
        assert!((500_000..501_000).contains(&longest), "{longest}");
    }

    #[test]
    fn percentiles_keep_three_digits() {
        let mut all = histogram();
        for value in 1..=10_000 {
            all.saturating_record(value);
        }
        for (quantile, exact) in [(0.5, 5000.0), (0.99, 9900.0), (0.999, 9990.0)] {
            let found = all.value_at_quantile(quantile) as f64;
            assert!((found - exact).abs() / exact < 0.002, "{quantile}: {found}");
        }
        all.saturating_record(u64::MAX);
        assert!(all.max() >= 60_000_000);
    }
}
