//! A bucket that fills by the clock, in whole milliseconds.
//!
//! What it holds is the time that has to pass until it is empty again: a taken token adds the time
//! of one, the clock takes it away. So it is two words, and no division is ever made.

use std::time::Duration;

/// So many at once, and one more after each `refill`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Milliseconds until everything that was taken is forgiven.
    debt: u64,
    /// The clock at which that was so.
    at: u64,
    most: u64,
    each: u64,
}

impl Bucket {
    pub(super) fn new(burst: u32, refill: Duration) -> Self {
        let each = u64::try_from(refill.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            debt: 0,
            at: 0,
            most: each.saturating_mul(u64::from(burst)),
            each,
        }
    }

    /// Takes one; `false` if there is none.
    pub(super) fn take(&mut self, now: u64) -> bool {
        let passed = now.saturating_sub(self.at);
        self.at = now;
        let debt = self.debt.saturating_sub(passed);
        let after = debt.saturating_add(self.each);
        let there = after <= self.most;
        self.debt = if there { after } else { debt };
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, now: u64) -> usize {
        (0..10_000).take_while(|_| bucket.take(now)).count()
    }

    #[test]
    fn holds_the_burst_and_refills_by_the_clock() {
        let mut bucket = Bucket::new(20, Duration::from_millis(500));
        assert_eq!(taken(&mut bucket, 7), 20);
        assert_eq!(taken(&mut bucket, 506), 0);
        assert_eq!(taken(&mut bucket, 507), 1);
        assert_eq!(taken(&mut bucket, 2_507), 4);
        assert_eq!(
            taken(&mut bucket, 1_000_000),
            20,
            "never more than the burst"
        );
    }

    #[test]
    fn a_refused_taker_costs_nobody_else() {
        let mut bucket = Bucket::new(1, Duration::from_secs(1));
        assert!(bucket.take(0));
        for now in 1..1000 {
            assert!(!bucket.take(now));
        }
        assert!(bucket.take(1000));
    }

    #[test]
    fn a_clock_that_stands_or_jumps_back_gives_nothing() {
        let mut bucket = Bucket::new(2, Duration::from_secs(1));
        assert_eq!(taken(&mut bucket, 5_000), 2);
        assert_eq!(taken(&mut bucket, 4_000), 0);
    }
}
