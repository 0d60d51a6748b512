//! Ejection and return, by the numbers of R-09.

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
    Upstream::new(
        Arc::new(UpstreamSpec {
            targets,
            ..crate::upstream::test_spec()
        }),
        2,
    )
}

fn endpoint(upstream: &Upstream, index: usize) -> Arc<Endpoint> {
    Arc::clone(&upstream.endpoints().members()[index].endpoint)
}

const FAILED: Outcome = Outcome::Failure(FailureKind::Connect);
const FINE: Outcome = Outcome::Success {
    latency: Duration::from_millis(1),
};

fn report(upstream: &Upstream, index: usize, outcomes: &[Outcome], now: Instant) {
    for (worker, outcome) in outcomes.iter().enumerate() {
        endpoint(upstream, index).report(worker % 2, *outcome, upstream, now);
    }
}

fn ejected(upstream: &Upstream, now: Instant) -> Vec<bool> {
    upstream
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.standing().is_ejected(now))
        .collect()
}

/// Acceptance: R-09
#[test]
fn five_failures_in_a_row_eject_and_four_do_not() {
    let now = Instant::now();
    for (outcomes, out) in [
        (vec![FAILED; 4], false),
        (vec![FAILED; 5], true),
        (
            [vec![FAILED; 4], vec![FINE], vec![FAILED; 4]].concat(),
            false,
        ),
    ] {
        let upstream = upstream(3);
        report(&upstream, 0, &outcomes, now);
        assert_eq!(ejected(&upstream, now), [out, false, false], "{outcomes:?}");
    }
}

/// Acceptance: R-09
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
        assert_eq!(
            ejected(&upstream, now)[0],
            out,
            "{pairs} pairs, {apart:?} apart"
        );
    }
    let mostly_fine = upstream(3);
    for _ in 0..100 {
        report(&mostly_fine, 0, &[FAILED, FINE, FINE], start);
    }
    assert!(!ejected(&mostly_fine, start)[0], "a third is not half");
}

/// Acceptance: R-09
#[test]
fn each_ejection_is_longer_up_to_five_minutes() {
    let upstream = upstream(3);
    let mut now = Instant::now();
    for seconds in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300] {
        report(&upstream, 0, &[FAILED; 5], now);
        let length = Duration::from_secs(seconds);
        assert!(
            ejected(
                &upstream,
                now + length.saturating_sub(Duration::from_millis(2))
            )[0],
            "{seconds} s"
        );
        now += length + Duration::from_millis(2);
        assert!(!ejected(&upstream, now)[0], "{seconds} s");
    }
    assert_eq!(upstream.stats().ejections(), 11);
    // Long quiet: the count begins anew.
    now += Duration::from_secs(301);
    report(&upstream, 0, &[FAILED; 5], now);
    assert!(!ejected(&upstream, now + Duration::from_secs(31))[0]);
}

/// Acceptance: R-09
#[test]
fn at_most_half_are_ejected_and_never_the_last() {
    let now = Instant::now();
    for (endpoints, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (10, 5)] {
        let upstream = upstream(endpoints);
        for index in 0..endpoints {
            report(&upstream, index, &[FAILED; 50], now);
        }
        let out = ejected(&upstream, now)
            .into_iter()
            .filter(|out| *out)
            .count();
        assert_eq!(out, most, "of {endpoints}");
    }
    let upstream = upstream(2);
    endpoint(&upstream, 1)
        .standing()
        .set_health(Health::Unhealthy, now);
    report(&upstream, 0, &[FAILED; 50], now);
    assert_eq!(
        ejected(&upstream, now),
        [false, false],
        "the other one is unhealthy"
    );
}

/// Acceptance: R-09
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
    assert_eq!(
        endpoint(&upstream, 0)
            .stats()
            .failures(FailureKind::Connect),
        100
    );
}

#[test]
fn only_statuses_that_mean_unable_are_failures() {
    for (status, fails) in [
        (200, false),
        (404, false),
        (500, true),
        (501, false),
        (503, true),
    ] {
        let outcome = Outcome::of_status(
            StatusCode::from_u16(status).unwrap(),
            Duration::from_secs(1),
        );
        assert_eq!(
            outcome == Outcome::Failure(FailureKind::Status),
            fails,
            "{status}"
        );
    }
}
