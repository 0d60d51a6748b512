//! What happened lately: requests per second, share of 5xx and 95th percentile, by host.
//!
//! Counters only grow; a rate is the difference of two readings. Readings are kept for as long as
//! somebody keeps asking, and of them only hosts that had requests at all, so that watching ten
//! thousand idle hosts costs nothing.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use adit_proxy::metrics::{Reading, RouteReading};
use serde_json::{Value, json};

/// What "lately" means.
const WINDOW: Duration = Duration::from_secs(10);
/// Between two readings that are kept.
const SPACING: Duration = Duration::from_millis(1_900);
/// Two readings that are nearer than this say little.
const LEAST: Duration = Duration::from_millis(400);
/// A reading that is older than this says nothing about lately.
const STALE: Duration = Duration::from_secs(30);

/// The readings of the last seconds, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    samples: VecDeque<Sample>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    hosts: HashMap<Box<str>, RouteReading>,
}

/// What happened between two readings.
#[derive(Debug)]
pub(super) struct Rates {
    /// The time between.
    pub between: Duration,
    /// Hosts that had requests.
    hosts: HashMap<Box<str>, RouteReading>,
    total: RouteReading,
}

impl Traffic {
    /// Takes a reading and says what changed; nothing while there is none to compare with.
    pub(super) fn observe(&mut self, reading: &Reading) -> Option<Rates> {
        self.take(reading.at, Reading::by_host(&reading.routes))
    }

    fn take(&mut self, at: Instant, hosts: Vec<RouteReading>) -> Option<Rates> {
        let busy = hosts.into_iter().filter(|host| host.requests() > 0);
        let now = Sample {
            at,
            hosts: busy.map(|host| (host.host.clone(), host)).collect(),
        };
        let age = |sample: &Sample| at.saturating_duration_since(sample.at);
        self.samples.retain(|sample| age(sample) <= STALE);
        // The youngest that is a whole window old, else the oldest that there is.
        while self.samples.get(1).is_some_and(|next| age(next) >= WINDOW) {
            self.samples.pop_front();
        }
        let base = self.samples.front().filter(|base| age(base) >= LEAST);
        let rates = base.map(|base| Rates::between(base, &now));
        if self.samples.back().is_none_or(|last| age(last) >= SPACING) {
            self.samples.push_back(now);
        }
        rates
    }
}

impl Rates {
    fn between(earlier: &Sample, now: &Sample) -> Self {
        let mut total = RouteReading::default();
        let mut hosts = HashMap::new();
        for (name, host) in &now.hosts {
            let change = match earlier.hosts.get(name) {
                Some(then) => host.since(then),
                None => host.clone(),
            };
            if change.requests() > 0 {
                total.merge(&change);
                hosts.insert(name.clone(), change);
            }
        }
        Self {
            between: now.at.saturating_duration_since(earlier.at),
            hosts,
            total,
        }
    }

    /// Of all hosts together.
    pub(super) fn total(&self) -> Value {
        self.value(&self.total)
    }

    /// Of one host.
    pub(super) fn host(&self, name: &str) -> Value {
        match self.hosts.get(name) {
            Some(host) => self.value(host),
            None => self.value(&RouteReading::default()),
        }
    }

    /// Without requests there is neither a share nor a percentile.
    fn value(&self, reading: &RouteReading) -> Value {
        let requests = reading.requests() as f64;
        let share = (requests > 0.0).then(|| reading.server_errors() as f64 / requests);
        let p95 = reading.duration.quantile(0.95);
        json!({
            "requestsPerSecond": requests / self.between.as_secs_f64().max(0.001),
            "serverErrorShare": share,
            "p95Milliseconds": p95.map(|p95| p95.as_secs_f64() * 1_000.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, good: u64, bad: u64) -> RouteReading {
        let mut reading = RouteReading {
            host: name.into(),
            classes: [0, 0, good, 0, 0, bad],
            ..RouteReading::default()
        };
        reading.duration.buckets[9] = good + bad;
        reading
    }

    #[test]
    fn rates_are_those_of_the_last_ten_seconds() {
        let (mut traffic, start) = (Traffic::default(), Instant::now());
        let mut at = |seconds: u64, hosts: Vec<RouteReading>| {
            traffic.take(start + Duration::from_secs(seconds), hosts)
        };
        assert!(
            at(0, vec![host("a", 100, 0)]).is_none(),
            "nothing to compare"
        );
        // Asked every two seconds: ten requests each time, one of them failing.
        let mut last = None;
        for turn in 1..=20 {
            last = at(
                turn * 2,
                vec![host("a", 100 + 9 * turn, turn), host("idle", 0, 0)],
            );
        }
        let rates = last.unwrap();
        assert_eq!(rates.between, Duration::from_secs(10));
        let total = rates.total();
        assert_eq!(total["requestsPerSecond"], 5.0);
        assert_eq!(total["serverErrorShare"], 0.1);
        assert!(total["p95Milliseconds"].as_f64().unwrap() > 7.0);
        assert_eq!(rates.host("a"), total);
        let idle = json!({"requestsPerSecond": 0.0, "serverErrorShare": null,
            "p95Milliseconds": null});
        assert_eq!(rates.host("idle"), idle);
    }

    #[test]
    fn what_was_long_ago_is_not_lately() {
        let (mut traffic, start) = (Traffic::default(), Instant::now());
        traffic.take(start, vec![host("a", 1, 0)]);
        let later = start + Duration::from_mins(5);
        assert!(traffic.take(later, vec![host("a", 1_000, 0)]).is_none());
        let soon = later + Duration::from_secs(1);
        let rates = traffic.take(soon, vec![host("a", 1_010, 0)]).unwrap();
        assert_eq!(rates.total()["requestsPerSecond"], 10.0);
        let readings = traffic.samples.len();
        traffic.take(soon + Duration::from_millis(1), Vec::new());
        assert_eq!(traffic.samples.len(), readings, "many who ask keep no more");
    }
}
