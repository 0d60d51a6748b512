//! When units begin.
//!
//! A closed load hands out the present; an open one a schedule that goes on whether or not anybody
//! is free to take from it. The schedule is kept by a timer of the kernel: the clock of the runtime
//! has steps of a millisecond, which would send in bursts.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::plan::Pace;

/// Where the clients of one thread learn when to begin.
#[derive(Debug)]
pub(crate) struct Schedule {
    open: bool,
    over: Cell<bool>,
    due: RefCell<VecDeque<Instant>>,
    some: Notify,
}

impl Schedule {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            open: pace != Pace::Closed,
            over: Cell::new(false),
            due: RefCell::default(),
            some: Notify::new(),
        }
    }

    /// Whether units begin by the clock.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Nothing begins any more.
    pub(crate) fn end(&self) {
        self.over.set(true);
        self.some.notify_waiters();
    }

    /// Intended begin of the next unit, if one is due.
    pub(crate) fn take(&self) -> Option<Instant> {
        if self.over.get() {
            None
        } else if self.open {
            self.due.borrow_mut().pop_front()
        } else {
            Some(Instant::now())
        }
    }

    /// Waits until a unit is due; `None` when the load is over.
    pub(crate) async fn next(&self) -> Option<Instant> {
        loop {
            if self.over.get() {
                return None;
            }
            let some = self.some.notified();
            if let Some(intended) = self.take() {
                return Some(intended);
            }
            some.await;
        }
    }

    /// Ready when something became due, or the load is over.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.some.notified()
    }

    /// Waits for the end of the load.
    pub(crate) async fn ended(&self) {
        while !self.over.get() {
            self.some.notified().await;
        }
    }

    /// Takes back what nobody could begin.
    pub(crate) fn left(&self) -> VecDeque<Instant> {
        self.due.take()
    }

    /// Makes units due until the load is over.
    pub(crate) async fn keep(&self, pace: Pace) -> io::Result<()> {
        let mut gaps = match pace {
            Pace::Closed => return Ok(()),
            Pace::Constant(rate) => Gaps::new(rate, false),
            Pace::Poisson(rate) => Gaps::new(rate, true),
        };
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        // A descriptor that is read like a pipe: the runtime has no type of its own for it.
        let mut timer = pipe::Receiver::from_owned_fd_unchecked(timer)?;
        let mut next = Instant::now();
        while !self.over.get() {
            let now = Instant::now();
            while next <= now {
                self.due.borrow_mut().push_back(next);
                self.some.notify_one();
                next += gaps.next();
            }
            arm(&timer, next.saturating_duration_since(Instant::now()))?;
            let mut expirations = [0u8; 8];
            timer.read_exact(&mut expirations).await?;
        }
        Ok(())
    }
}

fn arm(timer: &pipe::Receiver, wait: Duration) -> io::Result<()> {
    // Zero would disarm it.
    let wait = wait.max(Duration::from_nanos(1));
    let value = Timespec {
        tv_sec: wait.as_secs() as _,
        tv_nsec: wait.subsec_nanos().into(),
    };
    let once = Itimerspec {
        it_interval: Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: value,
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

/// Times between two units.
struct Gaps {
    mean: f64,
    random: Option<fastrand::Rng>,
}

impl Gaps {
    fn new(rate: f64, random: bool) -> Self {
        Self {
            mean: 1.0 / rate.max(0.001),
            random: random.then(fastrand::Rng::new),
        }
    }

    fn next(&mut self) -> Duration {
        let gap = match &mut self.random {
            None => self.mean,
            // Exponential gaps are what independent clients make together.
            Some(random) => -(1.0 - random.f64()).ln() * self.mean,
        };
        Duration::try_from_secs_f64(gap).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_rate_as_their_mean() {
        let mut even = Gaps::new(1000.0, false);
        assert_eq!(even.next(), Duration::from_millis(1));
        let mut gaps = Gaps {
            mean: 0.001,
            random: Some(fastrand::Rng::with_seed(7)),
        };
        let sum: Duration = (0..20_000).map(|_| gaps.next()).sum();
        let mean = sum.as_secs_f64() / 20_000.0;
        assert!((mean - 0.001).abs() < 0.000_05, "{mean}");
    }

    #[test]
    fn a_schedule_goes_on_when_nobody_takes_from_it() {
        let schedule = Schedule::new(Pace::Constant(1000.0));
        let now = Instant::now();
        for _ in 0..3 {
            schedule.due.borrow_mut().push_back(now);
        }
        assert_eq!(schedule.take(), Some(now));
        assert_eq!(schedule.left().len(), 2);
        schedule.end();
        assert_eq!(schedule.take(), None);
    }
}
