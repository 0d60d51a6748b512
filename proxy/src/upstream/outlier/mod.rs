//! Passive ejection: an endpoint that keeps failing is left out for a while.
//!
//! Five failures in a row, or half of at least twenty requests within thirty seconds, eject for 30 s
//! times the number of ejections, at most 5 min; at most half of the endpoints are out at once, and
//! never the last that is fit to serve. A returning endpoint regains its share over the slow start.
//! What must stay true: a success costs no store to a shared line while all is well.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adit_route::Balance;
use http::StatusCode;

use crate::upstream::endpoint::{Endpoint, Upstream, duration_millis, millis};
use crate::upstream::stats::slot_of;

/// The least share that a returning endpoint gets.
const SLOWEST_START: f64 = 0.1;

/// How a request, or a connection that is relayed, ended for the endpoint.
///
/// What the client broke off is not reported at all: it says nothing about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered; the time is from the request to the response head.
    Success {
        /// How long it took.
        latency: Duration,
    },
    /// It failed.
    Failure(FailureKind),
}

impl Outcome {
    /// Judges a response by its status: 500, 502, 503 and 504 are the endpoint's failures.
    pub fn of_status(status: StatusCode, latency: Duration) -> Self {
        match status.as_u16() {
            500 | 502..=504 => Self::Failure(FailureKind::Status),
            _ => Self::Success { latency },
        }
    }
}

/// In what way an endpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The connection was refused, unreachable or not made in time (L-68).
    Connect,
    /// The TLS handshake failed (L-69).
    Tls,
    /// No answer in time (L-70), or no progress (L-71).
    Timeout,
    /// The connection was lost, or the stream reset.
    Reset,
    /// The answer broke the protocol.
    Protocol,
    /// It answered with a status that means that it cannot serve.
    Status,
}

impl FailureKind {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Status,
    ];

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Status => "status",
        }
    }
}

/// What active checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Not checked, or not decided yet: served.
    #[default]
    Unknown = 0,
    /// Served.
    Healthy = 1,
    /// Left out.
    Unhealthy = 2,
}

/// How an endpoint stands: read by every choice, written only when something happens.
#[derive(Debug, Default)]
pub struct Standing {
    health: AtomicU8,
    consecutive: AtomicU32,
    /// Ejections that count for the length of the next.
    ejections: AtomicU32,
    ejected_until: AtomicU64,
    slow_since: AtomicU64,
}

impl Standing {
    /// What active checks say.
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            1 => Health::Healthy,
            2 => Health::Unhealthy,
            _ => Health::Unknown,
        }
    }

    /// Takes the verdict of an active check; who comes back starts slowly.
    pub(in crate::upstream) fn set_health(&self, health: Health, now: Instant) {
        let before = self.health.swap(health as u8, Ordering::Relaxed);
        if before == Health::Unhealthy as u8 && health == Health::Healthy {
            self.consecutive.store(0, Ordering::Relaxed);
            self.slow_since.store(millis(now), Ordering::Relaxed);
        }
    }

    /// Whether it is ejected now.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_at(millis(now))
    }

    /// Whether it should get requests.
    pub fn is_fit(&self, now: Instant) -> bool {
        self.fit_at(millis(now))
    }

    pub(in crate::upstream) fn ejected_at(&self, now: u64) -> bool {
        now < self.ejected_until.load(Ordering::Relaxed)
    }

    pub(in crate::upstream) fn fit_at(&self, now: u64) -> bool {
        self.health() != Health::Unhealthy && !self.ejected_at(now)
    }

    /// The part of its weight that a returning endpoint has by now.
    pub(in crate::upstream) fn share_at(&self, now: u64, slow_start: Duration) -> f64 {
        let since = self.slow_since.load(Ordering::Relaxed);
        let length = duration_millis(slow_start);
        let passed = now.saturating_sub(since);
        if since == 0 || passed >= length {
            return 1.0;
        }
        (passed as f64 / length as f64).max(SLOWEST_START)
    }

    /// Length of the next ejection; those long past are forgiven.
    fn next_ejection(&self, now: u64, base: Duration, max: Duration) -> Duration {
        let quiet = now.saturating_sub(self.ejected_until.load(Ordering::Relaxed));
        if quiet > duration_millis(max) {
            self.ejections.store(0, Ordering::Relaxed);
        }
        let count = self.ejections.load(Ordering::Relaxed).saturating_add(1);
        self.ejections.store(count, Ordering::Relaxed);
        base.saturating_mul(count).min(max)
    }
}

impl Upstream {
    pub(in crate::upstream) fn observe(
        &self,
        endpoint: &Endpoint,
        worker: usize,
        outcome: Outcome,
        now: Instant,
    ) {
        let spec = &self.spec().outlier;
        let at = millis(now);
        let slot = slot_of(at, spec.window);
        let standing = endpoint.standing();
        if self.spec().balance == Balance::Ewma {
            endpoint.load.observe(outcome, now);
        }
        let kind = match outcome {
            Outcome::Success { .. } => {
                endpoint.stats().succeeded(worker, slot);
                if standing.consecutive.load(Ordering::Relaxed) != 0 {
                    standing.consecutive.store(0, Ordering::Relaxed);
                }
                return;
            }
            Outcome::Failure(kind) => kind,
        };
        endpoint.stats().failed(worker, kind, slot);
        if spec.consecutive == 0 || standing.ejected_at(at) {
            return;
        }
        let consecutive = standing
            .consecutive
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if consecutive >= spec.consecutive || self.fails_too_often(endpoint, slot) {
            self.eject(endpoint, at);
        }
    }

    fn fails_too_often(&self, endpoint: &Endpoint, slot: u64) -> bool {
        let spec = &self.spec().outlier;
        // What failed before the last ejection has been paid for.
        let returned = endpoint.standing().ejected_until.load(Ordering::Relaxed);
        let (successes, failures) = endpoint
            .stats()
            .recent(slot_of(returned, spec.window), slot);
        let requests = successes + failures;
        requests >= u64::from(spec.min_requests)
            && failures * 100 >= requests * u64::from(spec.error_percent)
    }

    fn eject(&self, endpoint: &Endpoint, now: u64) {
        let spec = &self.spec().outlier;
        // One decision at a time over all workers, or two of them could eject the last two.
        let _deciding = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = endpoint.standing();
        let set = self.endpoints();
        let served = set.members().iter().filter(|member| member.weight > 0);
        let (mut total, mut out, mut others_fit) = (0, 0, false);
        for member in served {
            let theirs = member.endpoint.standing();
            total += 1;
            out += u64::from(theirs.ejected_at(now));
            others_fit |= *member.endpoint != *endpoint && theirs.fit_at(now);
        }
        let allowed = (out + 1) * 100 <= total * u64::from(spec.max_percent);
        if standing.ejected_at(now) || !allowed || !others_fit {
            return;
        }
        let length = standing.next_ejection(now, spec.base, spec.max);
        let until = now.saturating_add(duration_millis(length));
        standing.slow_since.store(until, Ordering::Relaxed);
        standing.ejected_until.store(until, Ordering::Relaxed);
        standing.consecutive.store(0, Ordering::Relaxed);
        self.stats().ejected();
        tracing::warn!(
            upstream = %self.spec().name,
            endpoint = %endpoint.label(),
            seconds = length.as_secs(),
            "endpoint ejected"
        );
    }
}

#[cfg(test)]
mod tests;
