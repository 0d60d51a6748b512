//! How fast a request body must come (L-67).
//!
//! Only the time counts in which we wait for the client: a backend that takes its time makes nobody
//! slow. After a grace the waiting is cut into windows, and each of them must bring so many bytes.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::limits::Limits;

/// What is demanded of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    /// Bytes in each window.
    bytes: u64,
    window: Duration,
    grace: Duration,
}

impl Floor {
    pub(crate) fn new(limits: &Limits) -> Self {
        let millis = limits.body_rate_window.as_millis() as u64;
        Self {
            bytes: limits.body_rate as u64 * millis / 1000,
            window: limits.body_rate_window,
            grace: limits.body_rate_grace,
        }
    }
}

/// How a body comes.
#[derive(Debug)]
pub(crate) struct Progress {
    floor: Floor,
    /// Bytes of this window.
    bytes: u64,
    /// Time of waiting that is left in it.
    left: Duration,
    /// Whether this is the grace, in which nothing is demanded.
    in_grace: bool,
    since: Option<Instant>,
    deadline: Deadline,
}

impl Progress {
    pub(crate) fn new(floor: Floor) -> Self {
        Self {
            floor,
            bytes: 0,
            left: floor.grace,
            in_grace: true,
            since: None,
            deadline: Deadline::default(),
        }
    }

    /// Something came.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// We wait: ready when it has been too slow.
    pub(crate) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            self.deadline.arm(self.left);
        }
        while self.deadline.poll(cx).is_ready() {
            if !self.in_grace && self.bytes < self.floor.bytes {
                return Poll::Ready(());
            }
            self.in_grace = false;
            self.bytes = 0;
            self.left = self.floor.window;
            self.since = Some(Instant::now());
            self.deadline.arm(self.left);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Sends so many bytes every 10 ms for this long; whether that was fast enough.
    async fn is_fast_enough(bytes: usize, millis: u64) -> bool {
        let limits = Limits {
            body_rate: 10_000,
            body_rate_window: Duration::from_millis(100),
            body_rate_grace: Duration::from_millis(50),
            ..Limits::default()
        };
        let mut progress = Progress::new(Floor::new(&limits));
        let until = Instant::now() + Duration::from_millis(millis);
        while Instant::now() < until {
            let step = Duration::from_millis(10);
            let slow = poll_fn(|cx| progress.poll_too_slow(cx));
            if tokio::time::timeout(step, slow).await.is_ok() {
                return false;
            }
            progress.came(bytes);
        }
        true
    }

    #[tokio::test]
    async fn a_trickle_is_too_slow_once_the_grace_is_over() {
        assert!(is_fast_enough(0, 100).await, "within grace and window");
        assert!(!is_fast_enough(1, 2000).await, "a hundred bytes a second");
        assert!(is_fast_enough(2000, 600).await, "far above");
    }

    #[tokio::test]
    async fn time_in_which_nobody_waits_for_the_client_does_not_count() {
        let limits = Limits {
            body_rate: 10_000,
            body_rate_window: Duration::from_millis(40),
            body_rate_grace: Duration::from_millis(10),
            ..Limits::default()
        };
        let mut progress = Progress::new(Floor::new(&limits));
        for _ in 0..10 {
            let step = Duration::from_millis(1);
            let slow = poll_fn(|cx| progress.poll_too_slow(cx));
            assert!(tokio::time::timeout(step, slow).await.is_err());
            progress.came(1);
            // The backend is slow.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
