//! The speed of one response: bytes leave no faster than they are earned.
//!
//! What is at hand is passed on in pieces of an eighth of a second, so that a large piece of a body
//! does not leave in one go. While a piece waits nothing is read from the backend, and its flow
//! control holds it back.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use adit_route::policy::Bandwidth;
use bytes::Bytes;
use tokio::time::Instant;

use crate::deadline::Deadline;

/// The state of one response.
#[derive(Debug)]
pub(crate) struct Pace {
    speed: Bandwidth,
    /// Bytes that have been passed on.
    sent: u64,
    /// When the first byte behind `after` was passed on.
    since: Option<Instant>,
    /// What was read and may not leave yet.
    held: Bytes,
    pause: Deadline,
}

impl Pace {
    pub(crate) fn new(speed: Bandwidth) -> Self {
        Self {
            speed,
            sent: 0,
            since: None,
            held: Bytes::new(),
            pause: Deadline::default(),
        }
    }

    /// Whether something was read that has not left.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Ready when a byte may leave; with it what is held, if anything is.
    pub(crate) fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.pause.is_armed() {
            ready!(self.pause.poll(cx));
        }
        let held = std::mem::take(&mut self.held);
        Poll::Ready((!held.is_empty()).then(|| self.pass(held, Instant::now())))
    }

    /// The part of `data` that may leave now; the rest is held. There is always a part.
    pub(crate) fn pass(&mut self, mut data: Bytes, now: Instant) -> Bytes {
        const PIECES: u64 = 8;
        let free = self.speed.after.saturating_sub(self.sent);
        let piece = (self.speed.bytes_per_second / PIECES).max(1);
        let most = if free > 0 { free } else { piece };
        if data.len() as u64 > most {
            self.held = data.split_off(usize::try_from(most).unwrap_or(data.len()));
        }
        self.sent = self.sent.saturating_add(data.len() as u64);
        if self.sent > self.speed.after {
            self.since.get_or_insert(now);
        }
        let wait = self.wait(now);
        if !wait.is_zero() {
            self.pause.arm(wait);
        }
        data
    }

    /// How long what was sent has not been earned.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let Some(since) = self.since else {
            return Duration::ZERO;
        };
        let owed = self.sent.saturating_sub(self.speed.after);
        let due = owed.saturating_mul(1000) / self.speed.bytes_per_second.max(1);
        Duration::from_millis(due).saturating_sub(now.duration_since(since))
    }
}
