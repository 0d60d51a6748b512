//! What is counted of a route: requests by class of status, bytes, and how long they took.

use std::time::Duration;

use super::family::{OTHER, label};
use super::histogram::{Histogram, HistogramReading};
use super::shard::{Counter, PerWorker};
use crate::overload::{Measure, Places, Queue, Stock};

/// Classes of status codes as they are labelled; the first is "no response was sent".
pub const CODE_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters of a route, shared by all generations that have it.
#[derive(Debug)]
pub struct RouteStats {
    host: Box<str>,
    route: Box<str>,
    shards: PerWorker<RouteShard>,
    places: Places,
    /// Whether it stands for many routes, which have no limit together.
    is_rest: bool,
}

#[derive(Debug, Default)]
struct RouteShard {
    classes: [Counter; CODE_CLASSES.len()],
    bytes_in: Counter,
    bytes_out: Counter,
    duration: Histogram,
    stock: Stock,
}

impl RouteStats {
    pub(super) fn new(host: &str, route: &str, workers: usize) -> Self {
        Self {
            host: label(host).into(),
            route: label(route).into(),
            shards: PerWorker::new(workers),
            places: Places::default(),
            is_rest: false,
        }
    }

    /// What tells it from other routes; names cannot run into each other.
    pub(super) fn key(&self) -> String {
        format!("{:?} {:?}", self.host, self.route)
    }

    pub(super) fn other(workers: usize) -> Self {
        Self {
            is_rest: true,
            ..Self::new(OTHER, OTHER, workers)
        }
    }

    /// Takes a place for a request (L-86); given back by [`RouteStats::leave`].
    pub(crate) fn enter(&self, worker: usize, measure: Measure) -> bool {
        self.is_rest || self.places.take(&self.shards.of(worker).stock, measure)
    }

    pub(crate) fn leave(&self, worker: usize, measure: Measure) {
        if !self.is_rest {
            self.places.give(&self.shards.of(worker).stock, measure);
        }
    }

    /// Where to wait for a place.
    pub(crate) fn queue(&self) -> &Queue {
        self.places.queue()
    }

    /// Counts a request that ended. A status of 0 means that no response was sent.
    pub fn record(
        &self,
        worker: usize,
        status: u16,
        duration: Duration,
        bytes_in: u64,
        bytes_out: u64,
    ) {
        let shard = self.shards.of(worker);
        let class = usize::from(status / 100);
        if let Some(counter) = shard.classes.get(class).or(shard.classes.first()) {
            counter.increment();
        }
        shard.bytes_in.add(bytes_in);
        shard.bytes_out.add(bytes_out);
        shard.duration.record(duration);
    }

    /// Counts bytes of a stream that is relayed without requests, as they pass.
    pub fn relayed(&self, worker: usize, bytes_in: u64, bytes_out: u64) {
        let shard = self.shards.of(worker);
        shard.bytes_in.add(bytes_in);
        shard.bytes_out.add(bytes_out);
    }

    /// The counters of this moment.
    pub fn read(&self) -> RouteReading {
        let mut classes = [0; CODE_CLASSES.len()];
        for shard in self.shards.iter() {
            for (total, counter) in classes.iter_mut().zip(&shard.classes) {
                *total += counter.value();
            }
        }
        RouteReading {
            host: self.host.clone(),
            route: self.route.clone(),
            classes,
            queued: self.places.queue().waiting() as u64,
            active: self.shards.sum(|shard| shard.stock.taken() as u64),
            bytes_in: self.shards.sum(|shard| shard.bytes_in.value()),
            bytes_out: self.shards.sum(|shard| shard.bytes_out.value()),
            duration: HistogramReading::of(&self.shards, |shard| &shard.duration),
        }
    }
}

/// The counters of a route at one moment, or between two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteReading {
    /// The host pattern.
    pub host: Box<str>,
    /// The route within it.
    pub route: Box<str>,
    /// Requests by [`CODE_CLASSES`].
    pub classes: [u64; CODE_CLASSES.len()],
    /// Requests in flight.
    pub active: u64,
    /// Requests that wait for a place (L-86).
    pub queued: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// How long requests took.
    pub duration: HistogramReading,
}

impl RouteReading {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Requests answered with 5xx.
    pub fn server_errors(&self) -> u64 {
        self.classes.last().copied().unwrap_or_default()
    }

    /// What came since an earlier reading of the same route.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (now, then) in difference.classes.iter_mut().zip(earlier.classes) {
            *now = now.saturating_sub(then);
        }
        difference.bytes_in = self.bytes_in.saturating_sub(earlier.bytes_in);
        difference.bytes_out = self.bytes_out.saturating_sub(earlier.bytes_out);
        difference.duration = self.duration.since(&earlier.duration);
        difference
    }

    /// Adds another route, for a sum per host.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            *mine += theirs;
        }
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.duration.merge(&other.duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_class_of_status() {
        let route = RouteStats::new("a.example", "/", 2);
        let cases = [
            (0, 0),
            (101, 1),
            (200, 2),
            (299, 2),
            (304, 3),
            (499, 4),
            (503, 5),
            (999, 0),
        ];
        for (status, class) in cases {
            let before = route.read();
            route.record(0, status, Duration::from_millis(1), 10, 20);
            let between = route.read().since(&before);
            assert_eq!(between.classes[class], 1, "{status}");
            assert_eq!(
                (between.requests(), between.bytes_in, between.bytes_out),
                (1, 10, 20)
            );
        }
        assert_eq!(route.read().server_errors(), 1);
    }

    #[test]
    fn a_host_is_the_sum_of_its_routes() {
        let mut host = RouteReading::default();
        for worker in 0..2 {
            let route = RouteStats::new("a.example", "/", 2);
            route.record(worker, 200, Duration::from_secs(1), 1, 2);
            route.relayed(worker, 3, 4);
            host.merge(&route.read());
        }
        assert_eq!((host.requests(), host.bytes_in, host.bytes_out), (2, 8, 12));
        assert_eq!(host.duration.count(), 2);
    }
}
