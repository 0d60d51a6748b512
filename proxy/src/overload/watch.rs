//! The thread that watches over memory and over the workers themselves (L-91, L-92, S-23).
//!
//! It has no other work, so it still looks when control reads a large configuration and when a
//! worker is stuck. It reads, decides on the stages, and writes them where workers look; it counts
//! its own rounds and not the clock, so a process that was stopped and goes on is not taken for one
//! whose workers hang.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use adit_sys::limits::{descriptor_limit, resident_memory};
use adit_sys::memory::Group;

use super::pressure::Stages;
use super::{LAG, MEMORY, Overload};
use crate::limits::Limits;
use crate::shared::Shared;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(250);

/// Rounds without a sign after which a worker counts as late by as much: 2 s.
const UNHEARD: u32 = 8;

/// Rounds without a sign after which a worker counts as silent: 5 s.
const SILENT: u32 = 20;

/// Rounds after which only a restart helps: 30 s.
const HOPELESS: u32 = 120;

/// Rounds after which the limits of the machine are read anew.
const AGAIN: u32 = 20;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut watcher = Watcher::new(shared);
        // The derived limits hold from the first connection on.
        watcher.look(Instant::now());
        let thread = std::thread::Builder::new()
            .name("adit-watch".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    watcher.look(Instant::now());
                    std::thread::park_timeout(EVERY);
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // If it panicked, the panic hook has said so.
            let _ = thread.join();
        }
    }
}

struct Watcher {
    shared: Arc<Shared>,
    memory: Stages<3>,
    lag: Stages<2>,
    group: Option<Group>,
    rounds: u32,
    workers: Vec<Sign>,
    tickets_misused: u64,
}

/// The last sign of a worker.
#[derive(Clone, Copy, Debug, Default)]
struct Sign {
    beats: u64,
    rounds: u32,
}

impl Watcher {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            memory: Stages::new(),
            lag: Stages::new(),
            group: None,
            rounds: 0,
            workers: vec![Sign::default(); shared.workers],
            tickets_misused: 0,
            shared,
        }
    }

    fn look(&mut self, now: Instant) {
        if self.rounds.is_multiple_of(AGAIN) {
            self.group = Group::find();
        }
        self.rounds = self.rounds.wrapping_add(1);
        let snapshot = self.shared.snapshot.load();
        let limits = &snapshot.limits;
        let overload = self.shared.metrics.overload();
        let (used, limit) = usage(self.group.as_ref(), limits);
        overload.tell_memory(used, limit);
        let connections = most_connections(descriptor_limit(), limit);
        overload
            .most_connections
            .store(connections, Ordering::Relaxed);
        let written = match limits.connections {
            0 => connections,
            written => written,
        };
        let in_force = [written, limits.requests, limits.handshakes];
        for (told, limit) in overload.in_force.iter().zip(in_force) {
            told.store(limit as u64, Ordering::Relaxed);
        }
        let share = if limit == 0 {
            0.0
        } else {
            used as f64 * 100.0 / limit as f64
        };
        let percents = [limits.memory_soft, limits.memory_high, limits.memory_full];
        let stage = self
            .memory
            .observe(share, percents.map(|percent| percent as f64), now);
        overload.enter(
            &MEMORY,
            stage,
            format_args!("{share:.0} % of {limit} bytes"),
        );
        let late = listen_to(&mut self.workers, overload);
        let thresholds = [limits.lag_soft, limits.lag_high].map(|time| time.as_secs_f64());
        let stage = self.lag.observe(late.as_secs_f64(), thresholds, now);
        overload.enter(&LAG, stage, format_args!("{} ms", late.as_millis()));
        let misused = self.shared.tickets.misused();
        let more = misused - std::mem::replace(&mut self.tickets_misused, misused);
        if more > 0 {
            self.shared.metrics.security().tickets_misused(more);
        }
    }
}

/// Memory in use and how much there may be; a limit of 0 is none.
fn usage(group: Option<&Group>, limits: &Limits) -> (u64, u64) {
    let (used, limit) = match (limits.memory as u64, group) {
        (0, None) => (resident_memory(), 0),
        (0, Some(group)) => (group.used(), group.limit()),
        (cap, _) => (resident_memory(), cap),
    };
    (used.unwrap_or(0), limit)
}

/// L-80: what descriptors allow when each client may need a backend, and half of the memory at 64 KiB
/// each. Where descriptors are few, half of them are left to everything else.
fn most_connections(descriptors: u64, memory: u64) -> usize {
    const MOST: u64 = 50_000;
    const RESERVED: u64 = 512;
    const EACH: u64 = 64 * 1024;
    const FEWEST: u64 = 16;
    let by_descriptors = descriptors.saturating_sub(RESERVED.min(descriptors / 2)) / 2;
    let by_memory = match memory {
        0 => MOST,
        memory => memory / 2 / EACH,
    };
    let most = by_descriptors.min(by_memory).clamp(FEWEST, MOST);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// The longest lateness of a worker; who says nothing is late by as long as that.
fn listen_to(signs: &mut [Sign], overload: &Overload) -> Duration {
    let mut longest = Duration::ZERO;
    for (worker, sign) in signs.iter_mut().enumerate() {
        let pulse = overload.pulses.of(worker);
        let beats = pulse.beats.load(Ordering::Relaxed);
        if beats == sign.beats {
            sign.rounds += 1;
        } else {
            if sign.rounds >= SILENT {
                tracing::info!(worker, "a worker that hung turns again");
            }
            *sign = Sign { beats, rounds: 0 };
        }
        pulse.silent.store(sign.rounds >= SILENT, Ordering::Relaxed);
        if sign.rounds == SILENT {
            say_where(worker, pulse.thread.load(Ordering::Relaxed));
        }
        if sign.rounds >= HOPELESS {
            tracing::error!(
                worker,
                "a worker hangs for 30 s: ending, so that a new start can serve"
            );
            std::process::abort();
        }
        let told = Duration::from_micros(pulse.lag.load(Ordering::Relaxed));
        // Some rounds may pass between the signs of a worker that is well, on a machine that is busy.
        let unheard = if sign.rounds < UNHEARD {
            Duration::ZERO
        } else {
            EVERY * sign.rounds
        };
        longest = longest.max(told).max(unheard);
    }
    longest
}

/// Says what the kernel knows of a worker that hangs.
fn say_where(worker: usize, thread: u32) {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/self/task/{thread}/{name}"));
        text.unwrap_or_default().trim().to_owned()
    };
    let stat = read("stat");
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.get(..1));
    tracing::error!(
        worker,
        thread,
        state = state.unwrap_or_default(),
        wchan = read("wchan"),
        syscall = read("syscall"),
        stack = read("stack"),
        "a worker has not turned for 5 s"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_what_descriptors_and_memory_allow() {
        const MIB: u64 = 1 << 20;
        for (descriptors, memory, most) in [
            (1 << 20, 0, 50_000),
            (65_536, 0, 32_512),
            (1024, 0, 256),
            (256, 0, 64),
            (20, 0, 16),
            (1 << 20, 256 * MIB, 2048),
            (1024, 8192 * MIB, 256),
            (1 << 20, MIB, 16),
        ] {
            let found = most_connections(descriptors, memory);
            assert_eq!(found, most, "{descriptors} descriptors, {memory} bytes");
        }
    }

    #[test]
    fn a_worker_that_says_nothing_is_late_and_then_silent() {
        let overload = Overload::new(2);
        let mut signs = [Sign::default(); 2];
        let healthy = overload.pulses.of(1);
        for round in 0..30_u32 {
            healthy.beats.fetch_add(1, Ordering::Relaxed);
            let late = listen_to(&mut signs, &overload);
            let unheard = if round + 1 < UNHEARD { 0 } else { round + 1 };
            assert_eq!(late, EVERY * unheard, "round {round}");
            let silent = round + 1 >= SILENT;
            assert_eq!(overload.silent(), if silent { vec![0] } else { vec![] });
        }
        overload.pulses.of(0).beats.fetch_add(1, Ordering::Relaxed);
        healthy.beats.fetch_add(1, Ordering::Relaxed);
        assert_eq!(listen_to(&mut signs, &overload), Duration::ZERO);
        assert_eq!(overload.silent(), Vec::<usize>::new());
    }
}
