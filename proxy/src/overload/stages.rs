//! What is shed, and when: the stages as workers see them (L-91, L-92).
//!
//! In this order: keep-alive, routes of low priority, streams, new connections, the largest
//! connections. Operators are never shed. A worker looks at one byte that is written a few times a
//! day.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::Overload;

/// Streams that a connection keeps, whatever happens.
const FEWEST_STREAMS: u32 = 10;

/// A signal with its stages.
pub(super) struct Signal {
    pub name: &'static str,
    rule: &'static str,
    of: fn(&Overload) -> &AtomicU8,
    /// What each stage means.
    means: &'static [&'static str],
}

impl Signal {
    pub(super) fn stage(&self, overload: &Overload) -> u8 {
        (self.of)(overload).load(Ordering::Relaxed)
    }
}

/// L-91.
pub(super) static MEMORY: Signal = Signal {
    name: "memory",
    rule: "L-91",
    of: |overload| &overload.memory_stage,
    means: &[
        "connections are kept alive again",
        "connections are not kept alive, and routes of low priority answer 503",
        "new connections are refused",
        "the largest connections are closed",
    ],
};

/// L-92.
pub(super) static LAG: Signal = Signal {
    name: "lag",
    rule: "L-92",
    of: |overload| &overload.lag_stage,
    means: &[
        "new HTTP/2 connections have all their streams again",
        "new HTTP/2 connections have half their streams, and routes of low priority answer 503",
        "new connections are refused",
    ],
};

/// The signs of life of a worker.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    pub beats: AtomicU64,
    /// Lateness of its loop in microseconds.
    pub lag: AtomicU64,
    /// Its thread.
    pub thread: AtomicU32,
    pub silent: AtomicBool,
}

impl Overload {
    /// A stage begins or ends; said once.
    pub(super) fn enter(&self, signal: &Signal, stage: u8, value: fmt::Arguments<'_>) {
        let before = (signal.of)(self).swap(stage, Ordering::Relaxed);
        if before == stage {
            return;
        }
        let (name, rule) = (signal.name, signal.rule);
        let means = signal.means.get(usize::from(stage)).unwrap_or(&"");
        if stage > before {
            self.entered.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(stage, rule, "overload, {name} at {value}: {means}");
        } else {
            tracing::info!(stage, rule, "less overload, {name} at {value}: {means}");
        }
    }

    pub(super) fn tell_memory(&self, used: u64, limit: u64) {
        self.memory_used.store(used, Ordering::Relaxed);
        self.memory_limit.store(limit, Ordering::Relaxed);
    }

    /// A worker is alive, and its loop so late.
    pub(crate) fn beat(&self, worker: usize, late: Duration) {
        let pulse = self.pulses.of(worker);
        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        pulse.lag.store(late, Ordering::Relaxed);
        pulse.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread of a worker, by its number in the kernel.
    pub(crate) fn runs_on(&self, worker: usize, thread: u32) {
        self.pulses
            .of(worker)
            .thread
            .store(thread, Ordering::Relaxed);
    }

    pub(super) fn lag_of(&self, worker: usize) -> Duration {
        Duration::from_micros(self.pulses.of(worker).lag.load(Ordering::Relaxed))
    }

    fn memory(&self) -> u8 {
        self.memory_stage.load(Ordering::Relaxed)
    }

    fn lag(&self) -> u8 {
        self.lag_stage.load(Ordering::Relaxed)
    }

    /// Whether connections are not kept for a further request.
    pub(crate) fn ends_connections(&self) -> bool {
        self.memory() >= 1
    }

    /// Whether routes of low priority are served no longer, and by which rule.
    pub(crate) fn refuses_low_priority(&self) -> Option<&'static str> {
        self.rule(1, 1)
    }

    /// Whether new connections are refused, and by which rule.
    pub(crate) fn refuses_connections(&self) -> Option<&'static str> {
        self.rule(2, 2)
    }

    /// Whether the largest connections are closed.
    pub(crate) fn closes_the_largest(&self) -> bool {
        self.memory() >= 3
    }

    fn rule(&self, memory: u8, lag: u8) -> Option<&'static str> {
        match (self.memory() >= memory, self.lag() >= lag) {
            (true, _) => Some(MEMORY.rule),
            (_, true) => Some(LAG.rule),
            _ => None,
        }
    }

    /// How many streams a new HTTP/2 connection may have, of so many.
    pub(crate) fn streams(&self, most: u32) -> u32 {
        let fewest = FEWEST_STREAMS.min(most);
        match (self.memory() >= 1, self.lag() >= 1) {
            (true, _) => fewest,
            (_, true) => (most / 2).max(fewest),
            _ => most,
        }
    }

    /// Workers that do not turn any more (S-23).
    pub fn silent(&self) -> Vec<usize> {
        let silent = |worker: &usize| self.pulses.of(*worker).silent.load(Ordering::Relaxed);
        (0..self.workers).filter(silent).collect()
    }

    /// What is shed at present, for people.
    pub fn shedding(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for signal in [&MEMORY, &LAG] {
            let stage = signal.stage(self);
            if stage > 0 {
                let means = signal.means.get(usize::from(stage)).unwrap_or(&"");
                reasons.push(format!(
                    "overload by {}, stage {stage}: {means}",
                    signal.name
                ));
            }
        }
        for worker in self.silent() {
            reasons.push(format!("worker {worker} does not turn any more"));
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_sheds_more_than_the_one_before() {
        let overload = Overload::new(1);
        for (memory, lag, streams, low, connections) in [
            (0, 0, 100, None, None),
            (0, 1, 50, Some("L-92"), None),
            (0, 2, 50, Some("L-92"), Some("L-92")),
            (1, 0, 10, Some("L-91"), None),
            (2, 2, 10, Some("L-91"), Some("L-91")),
            (3, 0, 10, Some("L-91"), Some("L-91")),
        ] {
            overload.enter(&MEMORY, memory, format_args!("-"));
            overload.enter(&LAG, lag, format_args!("-"));
            assert_eq!(overload.streams(100), streams);
            assert_eq!(
                overload.streams(4),
                if streams == 100 {
                    4
                } else {
                    overload.streams(4)
                }
            );
            assert_eq!(overload.refuses_low_priority(), low);
            assert_eq!(overload.refuses_connections(), connections);
            assert_eq!(overload.ends_connections(), memory > 0);
            assert_eq!(overload.closes_the_largest(), memory == 3);
        }
        assert_eq!(overload.shedding().len(), 1);
    }
}
