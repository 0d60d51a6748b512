//! Who is chosen: shares, health, retries, hashing. Seeds are fixed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use adit_route::{Address, HashKey, Outlier, Protocol, Target, UpstreamSpec};

use super::*;
use crate::upstream::outlier::FailureKind;
use crate::upstream::{Endpoint, Health};

fn upstream(balance: Balance, weights: &[u32]) -> Upstream {
    let target = |(index, weight): (usize, &u32)| Target {
        address: Address::Socket(format!("192.0.2.{}:80", index + 1).parse().unwrap()),
        protocol: Protocol::Http1,
        weight: *weight,
    };
    let spec = UpstreamSpec {
        name: "test".into(),
        targets: weights.iter().enumerate().map(target).collect(),
        balance,
        ..crate::upstream::test_spec()
    };
    Upstream::new(Arc::new(spec), 2)
}

/// Asks so many times and counts by endpoint, in declared order.
struct Trial<'a> {
    upstream: &'a Upstream,
    tried: Vec<u32>,
    limit: usize,
    now: Instant,
    rng: fastrand::Rng,
}

impl<'a> Trial<'a> {
    fn new(upstream: &'a Upstream) -> Self {
        let rng = fastrand::Rng::with_seed(7);
        Self {
            upstream,
            tried: Vec::new(),
            limit: 1_000,
            now: Instant::now(),
            rng,
        }
    }

    fn pick(&mut self, worker: usize, hash: Option<u64>) -> Result<InFlight, PickError> {
        let choice = Choice {
            worker,
            hash,
            session: None,
            tried: &self.tried,
            limit: self.limit,
            now: self.now,
        };
        self.upstream.pick(&choice, &mut self.rng)
    }

    fn counts(&mut self, times: usize) -> Vec<usize> {
        let mut counts = HashMap::new();
        for time in 0..times {
            *counts
                .entry(self.pick(time % 2, None).unwrap().id())
                .or_insert(0) += 1;
        }
        let set = self.upstream.endpoints();
        set.iter()
            .map(|endpoint| counts.get(&endpoint.id()).copied().unwrap_or(0))
            .collect()
    }
}

fn endpoint(upstream: &Upstream, index: usize) -> Arc<Endpoint> {
    Arc::clone(&upstream.endpoints().members()[index].endpoint)
}

fn close(counts: &[usize], wanted: &[usize]) {
    for (count, wanted) in counts.iter().zip(wanted) {
        let allowed = wanted / 10 + 5;
        assert!(count.abs_diff(*wanted) <= allowed, "{counts:?}");
    }
}

const EVERY: [Balance; 4] = [
    Balance::RoundRobin,
    Balance::PowerOfTwo,
    Balance::Ewma,
    Balance::Hash(HashKey::Path),
];

#[test]
fn shares_follow_the_weights() {
    for balance in [Balance::RoundRobin, Balance::PowerOfTwo, Balance::Ewma] {
        for (weights, wanted) in [
            (&[1, 1, 1][..], &[4_000, 4_000, 4_000][..]),
            (&[3, 2, 1], &[6_000, 4_000, 2_000]),
            (&[1, 0, 1], &[6_000, 0, 6_000]),
        ] {
            // Latency and weight together decide for EWMA; only equal weights are shares.
            if balance == Balance::Ewma && weights[0] != weights[2] {
                continue;
            }
            let upstream = upstream(balance.clone(), weights);
            close(&Trial::new(&upstream).counts(12_000), wanted);
        }
    }
}

#[test]
fn turns_are_exact_for_each_worker() {
    let upstream = upstream(Balance::RoundRobin, &[5, 3, 2]);
    let mut trial = Trial::new(&upstream);
    assert_eq!(trial.counts(2_000), [1_000, 600, 400]);
}

#[test]
fn the_share_of_a_missing_endpoint_is_spread_over_all_others() {
    let upstream = upstream(Balance::RoundRobin, &[1, 1, 1, 1]);
    endpoint(&upstream, 1)
        .standing()
        .set_health(Health::Unhealthy, Instant::now());
    close(
        &Trial::new(&upstream).counts(3_000),
        &[1_000, 0, 1_000, 1_000],
    );
}

#[test]
fn unfit_endpoints_are_left_out_unless_all_are_unfit() {
    for balance in EVERY {
        let upstream = upstream(balance.clone(), &[1, 1, 1]);
        let mut trial = Trial::new(&upstream);
        for out in 0..2 {
            endpoint(&upstream, out)
                .standing()
                .set_health(Health::Unhealthy, trial.now);
        }
        for key in 0..100 {
            let picked = trial.pick(0, Some(key)).unwrap();
            assert_eq!(*picked.endpoint(), endpoint(&upstream, 2), "{balance:?}");
        }
        endpoint(&upstream, 2)
            .standing()
            .set_health(Health::Unhealthy, trial.now);
        assert!(
            trial.pick(0, Some(1)).is_ok(),
            "{balance:?}: a bad endpoint is better than none"
        );
    }
}

#[test]
fn a_further_attempt_goes_elsewhere_if_there_is_another() {
    for balance in EVERY {
        let upstream = upstream(balance.clone(), &[1, 1]);
        let mut trial = Trial::new(&upstream);
        trial.tried = vec![endpoint(&upstream, 0).id()];
        // Even an unfit one.
        endpoint(&upstream, 1)
            .standing()
            .set_health(Health::Unhealthy, trial.now);
        for key in 0..50 {
            let picked = trial.pick(0, Some(key)).unwrap();
            assert_eq!(*picked.endpoint(), endpoint(&upstream, 1), "{balance:?}");
        }
        trial.tried.push(endpoint(&upstream, 1).id());
        let again = trial.pick(0, Some(1)).unwrap();
        assert_eq!(
            *again.endpoint(),
            endpoint(&upstream, 0),
            "the fit one once more"
        );
    }
}

#[test]
fn busy_endpoints_are_passed_over_and_then_it_is_said() {
    for balance in EVERY {
        let upstream = upstream(balance.clone(), &[1, 1, 1]);
        let mut trial = Trial::new(&upstream);
        trial.limit = 2;
        let held: Vec<_> = (0..6)
            .map(|key| trial.pick(0, Some(key)).expect("six places"))
            .collect();
        for index in 0..3 {
            assert_eq!(endpoint(&upstream, index).in_flight(), 2, "{balance:?}");
        }
        assert_eq!(trial.pick(0, Some(1)).unwrap_err(), PickError::AllBusy);
        drop(held);
        assert!(trial.pick(0, Some(1)).is_ok());
        assert_eq!(endpoint(&upstream, 0).in_flight(), 0);
    }
}

#[test]
fn being_busy_does_not_let_requests_through_to_the_unfit() {
    let upstream = upstream(Balance::RoundRobin, &[1, 1]);
    let mut trial = Trial::new(&upstream);
    endpoint(&upstream, 1)
        .standing()
        .set_health(Health::Unhealthy, trial.now);
    trial.limit = 1;
    let held = trial.pick(0, None).unwrap();
    assert_eq!(trial.pick(0, None).unwrap_err(), PickError::AllBusy);
    drop(held);
}

#[test]
fn without_endpoints_there_is_nothing_to_choose() {
    for balance in EVERY {
        for weights in [&[][..], &[0, 0]] {
            let upstream = upstream(balance.clone(), weights);
            let picked = Trial::new(&upstream).pick(0, Some(1)).map(drop);
            assert_eq!(picked, Err(PickError::NoEndpoints), "{balance:?}");
        }
    }
}

#[test]
fn the_less_loaded_of_two_is_chosen_by_weight() {
    let upstream = upstream(Balance::PowerOfTwo, &[2, 1]);
    let mut trial = Trial::new(&upstream);
    let held: Vec<_> = (0..300).map(|_| trial.pick(0, None).unwrap()).collect();
    let load = [0, 1].map(|index| endpoint(&upstream, index).in_flight());
    assert!(load[0].abs_diff(200) <= 15, "{load:?}");
    drop(held);
}

#[test]
fn the_faster_endpoint_gets_more() {
    let upstream = upstream(Balance::Ewma, &[1, 1]);
    let mut trial = Trial::new(&upstream);
    for (index, millis) in [(0, 10), (1, 100)] {
        let latency = Duration::from_millis(millis);
        endpoint(&upstream, index).report(0, Outcome::Success { latency }, &upstream, trial.now);
    }
    let counts = trial.counts(1_000);
    assert!(counts[0] > 900, "{counts:?}");
    // What was slow once is tried again when it has been left alone for a while.
    let slow = endpoint(&upstream, 1);
    let before = slow.load.latency(trial.now);
    assert!(slow.load.latency(trial.now + Duration::from_mins(1)) < before / 100.0);
}

#[test]
fn failing_fast_does_not_look_fast() {
    let upstream = upstream(Balance::Ewma, &[1, 1]);
    let mut trial = Trial::new(&upstream);
    let latency = Duration::from_millis(20);
    endpoint(&upstream, 0).report(0, Outcome::Success { latency }, &upstream, trial.now);
    let refused = Outcome::Failure(FailureKind::Connect);
    endpoint(&upstream, 1).report(0, refused, &upstream, trial.now);
    let counts = trial.counts(1_000);
    assert!(counts[0] > 900, "{counts:?}");
}

#[test]
fn a_returning_endpoint_regains_its_share_slowly() {
    for (balance, seconds, wanted) in [
        (Balance::RoundRobin, 1, 1_000),
        (Balance::RoundRobin, 15, 3_333),
        (Balance::RoundRobin, 30, 5_000),
        (Balance::PowerOfTwo, 15, 3_333),
    ] {
        let upstream = upstream(balance, &[1, 1]);
        let mut trial = Trial::new(&upstream);
        let returning = endpoint(&upstream, 1);
        returning
            .standing()
            .set_health(Health::Unhealthy, trial.now);
        returning.standing().set_health(Health::Healthy, trial.now);
        trial.now += Duration::from_secs(seconds);
        let counts = trial.counts(10_000);
        assert!(
            counts[1].abs_diff(wanted) < 300,
            "after {seconds} s: {counts:?}"
        );
    }
}

fn places(upstream: &Upstream, keys: u64) -> Vec<String> {
    let mut trial = Trial::new(upstream);
    let place = |key| {
        trial
            .pick(0, Some(hash_key(&u64::to_le_bytes(key))))
            .unwrap()
    };
    (0..keys)
        .map(place)
        .map(|place| place.label().to_string())
        .collect()
}

#[test]
fn replicas_agree_on_where_a_key_belongs() {
    let weights = [1, 2, 1, 1];
    let balance = Balance::Hash(HashKey::ClientIp);
    let mine = places(&upstream(balance.clone(), &weights), 1_000);
    assert_eq!(mine, places(&upstream(balance, &weights), 1_000));
    let first = mine.iter().filter(|place| *place == "192.0.2.1:80").count();
    let second = mine.iter().filter(|place| *place == "192.0.2.2:80").count();
    assert!(
        first.abs_diff(200) < 40 && second.abs_diff(400) < 50,
        "{first} {second}"
    );
    // Known values: other versions of adit must come to the same.
    assert_eq!(hash_key(b""), 0xf52a_15e9_a9b5_e89b);
}

#[test]
fn a_leaving_endpoint_moves_only_its_own_keys() {
    let upstream = upstream(Balance::Hash(HashKey::ClientIp), &[1, 1, 1, 1, 1]);
    let before = places(&upstream, 2_000);
    endpoint(&upstream, 2)
        .standing()
        .set_health(Health::Unhealthy, Instant::now());
    let after = places(&upstream, 2_000);
    let gone = endpoint(&upstream, 2);
    let mut moved = 0;
    for (before, after) in before.iter().zip(&after) {
        if **before == **gone.label() {
            moved += 1;
            assert_ne!(before, after);
        } else {
            assert_eq!(before, after);
        }
    }
    assert!(moved > 300, "a fifth of the keys belonged to it");
}

#[test]
fn requests_without_the_hashed_value_go_in_turn() {
    let upstream = upstream(Balance::Hash(HashKey::Path), &[1, 1]);
    assert_eq!(Trial::new(&upstream).counts(100), [50, 50]);
}

#[test]
fn workers_take_their_own_turns_at_the_same_time() {
    let upstream = upstream(Balance::RoundRobin, &[1, 1, 1, 1]);
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let upstream = &upstream;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(worker as u64);
                for _ in 0..20_000 {
                    let choice = Choice {
                        worker,
                        hash: None,
                        session: None,
                        tried: &[],
                        limit: 1,
                        now: Instant::now(),
                    };
                    let place = upstream
                        .pick(&choice, &mut rng)
                        .expect("two of four places");
                    assert!(place.in_flight() >= 1);
                    place.report(
                        worker,
                        Outcome::Success {
                            latency: Duration::ZERO,
                        },
                        upstream,
                        choice.now,
                    );
                }
            });
        }
    });
    let set = upstream.endpoints();
    assert_eq!(
        set.iter()
            .map(|endpoint| endpoint.stats().successes())
            .sum::<u64>(),
        40_000
    );
    assert!(set.iter().all(|endpoint| endpoint.in_flight() == 0));
    assert_eq!(Outlier::default().slow_start, Duration::from_secs(30));
}
