//! How late a worker's loop is: what a request that comes now has to wait before it is looked at.
//!
//! A timer tells: it fires late by as much as the loop is busy. Of the last five seconds the third
//! largest value counts, so that one long step, or a machine that was asleep, is no overload.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is looked back at.
const WINDOW: Duration = Duration::from_secs(5);

/// How many values are passed over.
const OUTLIERS: usize = 2;

/// The lateness of one worker's loop.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    samples: RefCell<VecDeque<(Instant, Duration)>>,
}

impl Lag {
    /// Notes how late a timer was.
    pub(crate) fn note(&self, late: Duration, now: Instant) {
        let mut samples = self.samples.borrow_mut();
        samples.push_back((now, late));
        while samples
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW)
        {
            samples.pop_front();
        }
    }

    /// The lateness of the last seconds.
    pub(crate) fn value(&self) -> Duration {
        let mut largest = [Duration::ZERO; OUTLIERS + 1];
        for (_, late) in self.samples.borrow().iter() {
            if let Some(smallest) = largest.first_mut()
                && late > smallest
            {
                *smallest = *late;
                largest.sort_unstable();
            }
        }
        largest.first().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_step_is_no_overload_and_three_are() {
        let (lag, start) = (Lag::default(), Instant::now());
        let millis = Duration::from_millis;
        for (at, late, value) in [
            (0, 1, 0),
            (20, 400, 0),
            (40, 300, 1),
            (60, 200, 200),
            (80, 1, 200),
            (5_050, 1, 1),
            (6_000, 90, 0),
        ] {
            lag.note(millis(late), start + millis(at));
            assert_eq!(lag.value(), millis(value), "at {at}");
        }
    }
}
