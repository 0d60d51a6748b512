//! Stages of pressure: entered at once, left when the signal has been well below for a while.
//!
//! Each stage stands for itself: it begins when the signal rises above its threshold, and ends when
//! the signal has been a tenth below it for five seconds. So a signal that sways about a threshold
//! does not make the stage come and go.

use std::time::{Duration, Instant};

/// How long the signal must be low before a stage is left.
const QUIET: Duration = Duration::from_secs(5);

/// How low.
const BELOW: f64 = 0.9;

/// The stages of one signal; 0 is none.
#[derive(Debug)]
pub(super) struct Stages<const N: usize> {
    stages: [Stage; N],
}

#[derive(Clone, Copy, Debug, Default)]
struct Stage {
    is_on: bool,
    low_since: Option<Instant>,
}

impl<const N: usize> Stages<N> {
    pub(super) fn new() -> Self {
        Self {
            stages: [Stage::default(); N],
        }
    }

    /// The highest stage that is on, after a look at the signal.
    pub(super) fn observe(&mut self, signal: f64, thresholds: [f64; N], now: Instant) -> u8 {
        let mut highest = 0;
        for (number, (stage, threshold)) in (1..).zip(self.stages.iter_mut().zip(thresholds)) {
            stage.observe(signal, threshold, now);
            if stage.is_on {
                highest = number;
            }
        }
        highest
    }
}

impl Stage {
    fn observe(&mut self, signal: f64, threshold: f64, now: Instant) {
        if signal > threshold {
            self.is_on = true;
        }
        if signal >= threshold * BELOW {
            self.low_since = None;
            return;
        }
        let since = *self.low_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= QUIET {
            self.is_on = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_come_at_once_and_go_after_five_quiet_seconds() {
        let start = Instant::now();
        let mut stages = Stages::new();
        for (seconds, signal, stage) in [
            (0.0, 50.0, 0),
            (0.25, 80.0, 0),
            (0.5, 81.0, 1),
            (0.75, 99.0, 3),
            // A tenth below 95 is 85.5: the third goes after five seconds there.
            (1.0, 85.0, 3),
            (5.9, 85.0, 3),
            (6.0, 85.0, 2),
            // It sways: the second stage needs 81, and five seconds of it.
            (7.0, 80.0, 2),
            (9.0, 82.0, 2),
            (10.0, 80.0, 2),
            (14.9, 80.0, 2),
            (15.0, 80.0, 1),
            (16.0, 20.0, 1),
            (20.9, 20.0, 1),
            (21.0, 20.0, 0),
            (22.0, 91.0, 2),
        ] {
            let now = start + Duration::from_secs_f64(seconds);
            let found = stages.observe(signal, [80.0, 90.0, 95.0], now);
            assert_eq!(found, stage, "{signal} at {seconds} s");
        }
    }
}
