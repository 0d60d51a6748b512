//! Rates, requests in progress, and speed, with clocks that the tests set.

use std::net::Ipv6Addr;

use adit_route::CidrSet;
use adit_route::policy::{Bandwidth, RequestRate};
use bytes::Bytes;

use super::*;
use crate::http::body::{Body, Frame};

fn limit(requests: &[(u32, Period, u32)], connections: Option<u32>) -> RateLimit {
    let rate = |&(count, period, burst)| RequestRate {
        count,
        period,
        burst,
    };
    RateLimit {
        zone: "shop".into(),
        requests: requests.iter().map(rate).collect(),
        connections,
        exempt: CidrSet::new(["192.0.2.0/24".parse().unwrap()]),
        request_status: StatusCode::TOO_MANY_REQUESTS,
        connection_status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: true,
        bandwidth: None,
    }
}

fn client(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

/// How many of `count` requests at one moment pass.
fn passed(rate: &Rate, from: IpAddr, count: usize, at: Instant) -> usize {
    (0..count).filter(|_| rate.enter(from, at).is_ok()).count()
}

#[test]
fn a_silent_client_may_send_its_burst_and_one_and_then_at_the_rate() {
    let zones = Zones::default();
    let rate = Rate::compile(&limit(&[(10, Period::Second, 50)], None), &zones).unwrap();
    let start = Instant::now();
    let after = |millis| start + Duration::from_millis(millis);
    for (millis, sent, expected) in [
        (0, 60, 51),
        (0, 5, 0),
        (99, 5, 0),
        (100, 5, 1),
        (1100, 50, 10),
        (60_000, 60, 51),
    ] {
        let found = passed(&rate, client(1), sent, after(millis));
        assert_eq!(found, expected, "{millis} ms");
    }
    assert_eq!(passed(&rate, client(2), 60, after(0)), 51, "another client");
    assert_eq!(
        passed(&rate, [192, 0, 2, 1].into(), 200, after(0)),
        200,
        "exempt"
    );
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let zones = Zones::default();
    let rate = Rate::compile(&limit(&[(2, Period::Minute, 0)], None), &zones).unwrap();
    let start = Instant::now();
    assert!(rate.enter(client(1), start).is_ok());
    let (status, wait) = rate.enter(client(1), start).unwrap_err();
    assert_eq!(
        (status, wait),
        (StatusCode::TOO_MANY_REQUESTS, Duration::from_secs(30))
    );
    let answer = rate.refusal(status, Duration::from_millis(29_100));
    assert_eq!(
        answer.response.headers.get(header::RETRY_AFTER).unwrap(),
        "30"
    );
    assert!(
        rate.enter(client(1), start + Duration::from_millis(29_999))
            .is_err()
    );
    assert!(
        rate.enter(client(1), start + Duration::from_secs(30))
            .is_ok()
    );
    let silent = RateLimit {
        retry_after: false,
        ..limit(&[(2, Period::Minute, 0)], None)
    };
    let silent = Rate::compile(&silent, &zones).unwrap();
    let answer = silent.refusal(StatusCode::SERVICE_UNAVAILABLE, wait);
    assert!(!answer.response.headers.contains_key(header::RETRY_AFTER));
}

#[test]
fn each_rate_must_let_a_request_pass_and_a_refused_one_counts_nowhere() {
    let zones = Zones::default();
    let policy = limit(&[(10, Period::Second, 0), (3, Period::Minute, 2)], None);
    let rate = Rate::compile(&policy, &zones).unwrap();
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let sent = [0, 0, 50, 100, 200, 300, 20_100];
    let found = sent.map(|millis| rate.enter(client(1), at(millis)).is_ok());
    assert_eq!(found, [true, false, false, true, true, false, true]);
}

#[test]
fn requests_in_progress_are_counted_until_they_end() {
    let zones = Zones::default();
    let rate = Rate::compile(&limit(&[], Some(2)), &zones).unwrap();
    let now = Instant::now();
    let first = rate.enter(client(1), now).unwrap();
    let second = rate.enter(client(1), now).unwrap();
    assert_eq!(
        rate.enter(client(1), now).unwrap_err().0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(rate.enter(client(2), now).is_ok());
    drop(first);
    let third = rate.enter(client(1), now).unwrap();
    assert!(rate.enter(client(1), now).is_err());
    drop((second, third));
    assert_eq!(passed(&rate, client(1), 2, now), 2);
}

#[test]
fn counters_outlive_a_plan_while_their_zone_is_used() {
    let zones = Zones::default();
    let before = Rate::compile(&limit(&[(1, Period::Minute, 1)], None), &zones).unwrap();
    let now = Instant::now();
    assert_eq!(passed(&before, client(1), 5, now), 2);
    let after = Rate::compile(&limit(&[(1, Period::Minute, 4)], None), &zones).unwrap();
    drop(before);
    assert_eq!(passed(&after, client(1), 9, now), 3);
    drop(after);
    let fresh = Rate::compile(&limit(&[(1, Period::Minute, 1)], None), &zones).unwrap();
    assert_eq!(passed(&fresh, client(1), 5, now), 2);
    assert_eq!(zones.0.lock().unwrap().len(), 1);
}

/// An attacker with a network of addresses neither fills the memory nor locks anybody out; who is
/// busy is remembered.
#[test]
fn a_full_table_forgets_who_was_silent_longest_and_refuses_nobody() {
    let zones = Zones::default();
    let counted = Rate::compile(&limit(&[(1, Period::Hour, 0)], Some(1)), &zones).unwrap();
    let now = Instant::now();
    let busy = counted.enter(client(1), now).unwrap();
    assert!(counted.enter(client(2), now).is_ok());
    for number in 0..300_000_u128 {
        let from = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + number));
        assert!(counted.enter(from, now).is_ok(), "{from}");
    }
    let known = counted.zone.clients();
    assert!(known <= 65_537, "{known}");
    assert!(
        counted.enter(client(1), now).is_err(),
        "its request is in progress"
    );
    assert!(counted.enter(client(2), now).is_ok(), "it was forgotten");
    drop(busy);
    assert!(
        counted.enter(client(1), now).is_err(),
        "the rate is known still"
    );
}

#[test]
fn a_response_leaves_no_faster_than_its_bandwidth() {
    let speed = Bandwidth {
        bytes_per_second: 800,
        after: 300,
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    let _entered = runtime.enter();
    let mut pace = Pace::new(speed);
    let start = tokio::time::Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    for (millis, read, left, wait) in [
        (0, 250, 250, 0),
        (0, 350, 50, 0),
        (0, 300, 100, 125),
        (50, 100, 100, 200),
        (5000, 100, 100, 0),
    ] {
        let left_now = pace.pass(Bytes::from(vec![0; read]), at(millis)).len();
        assert_eq!(left_now, left, "{millis} ms, {read} bytes");
        assert_eq!(
            pace.wait(at(millis)),
            Duration::from_millis(wait),
            "{millis} ms, {read} bytes"
        );
    }
    let mut body = Body::full(vec![7; 1000]);
    body.slow_down(Pace::new(Bandwidth {
        bytes_per_second: 8000,
        after: 500,
    }));
    let sizes = runtime.block_on(async {
        let mut sizes = Vec::new();
        while !body.is_empty() {
            match body.frame().await {
                Some(Ok(Frame::Data(data))) => sizes.push(data.len()),
                other => panic!("{other:?}"),
            }
        }
        assert!(body.frame().await.is_none());
        sizes
    });
    assert_eq!(sizes, [500, 500]);
}
