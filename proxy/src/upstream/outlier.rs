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

use super::endpoint::{Endpoint, Upstream, duration_millis, millis};
use super::stats::slot_of;

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
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Tls, Self::Timeout, Self::Reset, Self::Protocol, Self::Status];

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
    pub(super) fn set_health(&self, health: Health, now: Instant) {
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

    pub(super) fn ejected_at(&self, now: u64) -> bool {
        now < self.ejected_until.load(Ordering::Relaxed)
    }

    pub(super) fn fit_at(&self, now: u64) -> bool {
        self.health() != Health::Unhealthy && !self.ejected_at(now)
    }

    /// The part of its weight that a returning endpoint has by now.
    pub(super) fn share_at(&self, now: u64, slow_start: Duration) -> f64 {
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
    pub(super) fn observe(
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
        let consecutive = standing.consecutive.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if consecutive >= spec.consecutive || self.fails_too_often(endpoint, slot) {
            self.eject(endpoint, at);
        }
    }

    fn fails_too_often(&self, endpoint: &Endpoint, slot: u64) -> bool {
        let spec = &self.spec().outlier;
        // What failed before the last ejection has been paid for.
        let returned = endpoint.standing().ejected_until.load(Ordering::Relaxed);
        let (successes, failures) =
            endpoint.stats().recent(slot_of(returned, spec.window), slot);
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
mod tests {
    use std::sync::Arc;

    use adit_route::{Address, Protocol, Target, UpstreamSpec};

    use super::*;

    fn upstream(endpoints: usize) -> Upstream {
        let target = |index| Target {
            address: Address::Socket(format!("192.0.2.{index}:80").parse().unwrap()),
            protocol: Protocol::Http1,
            weight: 1,
        };
        let targets = (1..=endpoints).map(target).collect();
        Upstream::new(Arc::new(UpstreamSpec { targets, ..crate::upstream::test_spec() }), 2)
    }

    fn endpoint(upstream: &Upstream, index: usize) -> Arc<Endpoint> {
        Arc::clone(&upstream.endpoints().members()[index].endpoint)
    }

    const FAILED: Outcome = Outcome::Failure(FailureKind::Connect);
    const FINE: Outcome = Outcome::Success { latency: Duration::from_millis(1) };

    fn report(upstream: &Upstream, index: usize, outcomes: &[Outcome], now: Instant) {
        for (worker, outcome) in outcomes.iter().enumerate() {
            endpoint(upstream, index).report(worker % 2, *outcome, upstream, now);
        }
    }

    fn ejected(upstream: &Upstream, now: Instant) -> Vec<bool> {
        upstream.endpoints().iter().map(|endpoint| endpoint.standing().is_ejected(now)).collect()
    }

    #[test]
    fn five_failures_in_a_row_eject_and_four_do_not() {
        let now = Instant::now();
        for (outcomes, out) in [
            (vec![FAILED; 4], false),
            (vec![FAILED; 5], true),
            ([vec![FAILED; 4], vec![FINE], vec![FAILED; 4]].concat(), false),
        ] {
            let upstream = upstream(3);
            report(&upstream, 0, &outcomes, now);
            assert_eq!(ejected(&upstream, now), [out, false, false], "{outcomes:?}");
        }
    }

    #[test]
    fn half_of_twenty_requests_within_thirty_seconds_eject() {
        let start = Instant::now();
        for (pairs, apart, out) in [
            (9, Duration::from_millis(1), false),
            (10, Duration::from_millis(1), true),
            (10, Duration::from_secs(2), true),
            // Older errors are forgotten.
            (10, Duration::from_secs(5), false),
        ] {
            let upstream = upstream(3);
            let mut now = start;
            for _ in 0..pairs {
                now += apart;
                report(&upstream, 0, &[FINE, FAILED], now);
            }
            assert_eq!(ejected(&upstream, now)[0], out, "{pairs} pairs, {apart:?} apart");
        }
        let mostly_fine = upstream(3);
        for _ in 0..100 {
            report(&mostly_fine, 0, &[FAILED, FINE, FINE], start);
        }
        assert!(!ejected(&mostly_fine, start)[0], "a third is not half");
    }

    #[test]
    fn each_ejection_is_longer_up_to_five_minutes() {
        let upstream = upstream(3);
        let mut now = Instant::now();
        for seconds in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300] {
            report(&upstream, 0, &[FAILED; 5], now);
            let length = Duration::from_secs(seconds);
            assert!(ejected(&upstream, now + length - Duration::from_millis(2))[0], "{seconds} s");
            now += length + Duration::from_millis(2);
            assert!(!ejected(&upstream, now)[0], "{seconds} s");
        }
        assert_eq!(upstream.stats().ejections(), 11);
        // Long quiet: the count begins anew.
        now += Duration::from_secs(301);
        report(&upstream, 0, &[FAILED; 5], now);
        assert!(!ejected(&upstream, now + Duration::from_secs(31))[0]);
    }

    #[test]
    fn at_most_half_are_ejected_and_never_the_last() {
        let now = Instant::now();
        for (endpoints, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (10, 5)] {
            let upstream = upstream(endpoints);
            for index in 0..endpoints {
                report(&upstream, index, &[FAILED; 50], now);
            }
            let out = ejected(&upstream, now).into_iter().filter(|out| *out).count();
            assert_eq!(out, most, "of {endpoints}");
        }
        let upstream = upstream(2);
        endpoint(&upstream, 1).standing().set_health(Health::Unhealthy, now);
        report(&upstream, 0, &[FAILED; 50], now);
        assert_eq!(ejected(&upstream, now), [false, false], "the other one is unhealthy");
    }

    #[test]
    fn a_returning_endpoint_starts_slowly() {
        let upstream = upstream(3);
        let now = Instant::now();
        report(&upstream, 0, &[FAILED; 5], now);
        let endpoint = endpoint(&upstream, 0);
        for (seconds, share) in [(30, 0.1), (45, 0.5), (60, 1.0), (600, 1.0)] {
            let at = millis(now + Duration::from_secs(seconds));
            let found = endpoint.standing().share_at(at, Duration::from_secs(30));
            assert!((found - share).abs() < 0.01, "{seconds} s: {found}");
        }
    }

    #[test]
    fn old_errors_do_not_eject_twice() {
        let mut spec = crate::upstream::test_spec();
        spec.outlier.base = Duration::from_secs(5);
        spec.targets = upstream(3).spec().targets.clone();
        let upstream = Upstream::new(Arc::new(spec), 1);
        let mut now = Instant::now();
        report(&upstream, 0, &[FAILED; 30], now);
        assert!(ejected(&upstream, now)[0]);
        now += Duration::from_secs(11);
        report(&upstream, 0, &[FAILED], now);
        assert!(!ejected(&upstream, now)[0]);
    }

    #[test]
    fn ejection_can_be_switched_off() {
        let mut spec = crate::upstream::test_spec();
        spec.outlier.consecutive = 0;
        spec.targets = upstream(3).spec().targets.clone();
        let upstream = Upstream::new(Arc::new(spec), 1);
        let now = Instant::now();
        report(&upstream, 0, &[FAILED; 100], now);
        assert_eq!(ejected(&upstream, now), [false; 3]);
        assert_eq!(endpoint(&upstream, 0).stats().failures(FailureKind::Connect), 100);
    }

    #[test]
    fn only_statuses_that_mean_unable_are_failures() {
        for (status, fails) in [(200, false), (404, false), (500, true), (501, false), (503, true)] {
            let outcome =
                Outcome::of_status(StatusCode::from_u16(status).unwrap(), Duration::from_secs(1));
            assert_eq!(outcome == Outcome::Failure(FailureKind::Status), fails, "{status}");
        }
    }
}
