//! Distributions of durations: 28 fixed log-linear bounds from 100 µs to 60 s.
//!
//! Fixed bounds make histograms of different routes, replicas and versions add up, and a record
//! costs one search in half a kilobyte of constants and two stores. Six linear steps per decade
//! keep the error of a quantile below a third of its value. The last bucket has no bound.

use std::time::Duration;

use super::shard::{Counter, PerWorker};

/// Upper bounds of the buckets in microseconds; inclusive, as Prometheus' `le` is.
pub const BOUNDS_MICROS: [u64; 28] = [
    100, 250, 500, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000,
    50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 500_000, 750_000, 1_000_000, 2_000_000,
    3_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// One worker's share of a distribution.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    nanos: Counter,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let micros = nanos.div_ceil(1_000);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(count) = self.buckets.get(bucket) {
            count.increment();
        }
        self.nanos.add(nanos);
    }
}

/// A distribution as it was at one moment, summed over the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramReading {
    /// Observations per bucket, not cumulative; the last bucket has no upper bound.
    pub buckets: [u64; BUCKETS],
    /// Sum of all observations in nanoseconds.
    pub nanos: u64,
}

impl HistogramReading {
    /// Sums the shards that `select` finds in each worker's part.
    pub fn of<T: Default>(shards: &PerWorker<T>, select: impl Fn(&T) -> &Histogram) -> Self {
        let mut reading = Self::default();
        for shard in shards.iter() {
            let histogram = select(shard);
            for (total, count) in reading.buckets.iter_mut().zip(&histogram.buckets) {
                *total = total.wrapping_add(count.value());
            }
            reading.nanos = reading.nanos.wrapping_add(histogram.nanos.value());
        }
        reading
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (now, then) in difference.buckets.iter_mut().zip(&earlier.buckets) {
            *now = now.saturating_sub(*then);
        }
        difference.nanos = self.nanos.saturating_sub(earlier.nanos);
        difference
    }

    /// Adds another distribution, for a sum over routes.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.wrapping_add(*theirs);
        }
        self.nanos = self.nanos.wrapping_add(other.nanos);
    }

    /// The duration below which a share (0 to 1) of the observations lies, interpolated within its
    /// bucket; `None` without observations. The unbounded bucket answers with the highest bound.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = share.clamp(0.0, 1.0) * count as f64;
        let mut below = 0.0;
        let mut lower = 0;
        for (bucket, upper) in self.buckets.iter().zip(BOUNDS_MICROS) {
            let inside = *bucket as f64;
            if inside > 0.0 && below + inside >= rank {
                let part = ((rank - below) / inside).clamp(0.0, 1.0);
                let micros = lower as f64 + part * (upper - lower) as f64;
                return Some(Duration::from_nanos((micros * 1_000.0) as u64));
            }
            below += inside;
            lower = upper;
        }
        Some(Duration::from_micros(lower))
    }

    /// Mean of the observations.
    pub fn mean(&self) -> Option<Duration> {
        self.nanos
            .checked_div(self.count())
            .map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(durations: impl IntoIterator<Item = Duration>) -> HistogramReading {
        let shards = PerWorker::<Histogram>::new(2);
        for (index, duration) in durations.into_iter().enumerate() {
            shards.of(index % 2).record(duration);
        }
        HistogramReading::of(&shards, |histogram| histogram)
    }

    #[test]
    fn bounds_rise_and_include_their_own_value() {
        assert!(BOUNDS_MICROS.is_sorted());
        for (index, bound) in BOUNDS_MICROS.into_iter().enumerate() {
            let at = reading([Duration::from_micros(bound)]);
            assert_eq!(at.buckets[index], 1, "{bound} µs is within its own bound");
            let over = reading([Duration::from_micros(bound) + Duration::from_nanos(1)]);
            assert_eq!(over.buckets[index + 1], 1, "just over {bound} µs");
        }
    }

    #[test]
    fn quantiles_are_near_the_truth() {
        let evenly = reading((1..=1_000).map(Duration::from_millis));
        for (share, wanted) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = evenly.quantile(share).unwrap().as_secs_f64() * 1_000.0;
            assert!(
                (found - wanted).abs() / wanted < 0.06,
                "q{share}: {found} ms"
            );
        }
        assert_eq!(evenly.mean(), Some(Duration::from_micros(500_500)));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let extreme = reading([Duration::ZERO, Duration::MAX]);
        assert_eq!(extreme.count(), 2);
        assert_eq!(extreme.quantile(1.0), Some(Duration::from_mins(1)));
        assert_eq!(reading([]).quantile(0.5), None);
        assert_eq!(reading([]).mean(), None);
    }

    #[test]
    fn a_difference_shows_only_what_came_between() {
        let before = reading([Duration::from_millis(1)]);
        let after = reading([Duration::from_millis(1), Duration::from_secs(2)]);
        let between = after.since(&before);
        assert_eq!(between.count(), 1);
        assert!(between.quantile(0.5).unwrap() > Duration::from_secs(1));
    }
}
