//! A deadline that is cheap to move.
//!
//! Moving it later is a store: the timer behind it notices when it fires. A connection keeps one
//! for reading and one for writing through all its phases, so a request arms no timers of its own.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A point in time that a future can wait for.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    due: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Sets it to this long from now.
    pub(crate) fn arm(&mut self, after: Duration) {
        self.due = Instant::now().checked_add(after);
    }

    /// Whether it is set.
    pub(crate) fn is_armed(&self) -> bool {
        self.due.is_some()
    }

    /// Removes it.
    pub(crate) fn disarm(&mut self) {
        self.due = None;
    }

    /// Ready once the deadline has passed; pending for ever without one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                self.due = None;
                self.timer = None;
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}
