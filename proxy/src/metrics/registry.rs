//! The one object that all counters hang on.
//!
//! Sources hold what they count ([`RouteStats`], [`ListenerStats`], an upstream's own); this hands
//! them out, keeps them over generations, and reads them together for a scrape or a status page.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::family::{Family, SERIES_LIMIT};
use super::histogram::HistogramReading;
use super::listener::{ListenerReading, ListenerStats};
use super::render;
use super::route::{RouteReading, RouteStats};
use super::shard::{Counter, PerWorker};
use crate::access_log::AccessLog;
use crate::overload::{Overload, OverloadReading};
use crate::security::{Attempt, Security};
use crate::upstream::pool::PoolReading;
use crate::upstream::stats::{EndpointStats, UpstreamStats};
use crate::upstream::{FailureKind, Upstream};

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    workers: usize,
    started: SystemTime,
    routes: Family<RouteStats>,
    listeners: Family<ListenerStats>,
    generation: AtomicU64,
    config: Mutex<ConfigState>,
    certificates: Mutex<Vec<CertificateSpan>>,
    upstreams: Mutex<Vec<Weak<Upstream>>>,
    shards: PerWorker<WorkerShard>,
    access_log: OnceLock<AccessLog>,
    overload: Arc<Overload>,
    security: Arc<Security>,
    relaxed: Mutex<Vec<(&'static str, usize)>>,
    digest: Mutex<String>,
}

#[derive(Debug, Default)]
struct WorkerShard {
    panics: Counter,
    foreign_tunnel: Counter,
    /// What the worker's pool said last.
    pool: [AtomicU64; 3],
}

/// What is known of the configuration that is served.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfigState {
    /// The generation that is served; 0 before the first.
    pub generation: u64,
    /// Whether the newest statement of the sources is the one that is served.
    pub valid: bool,
    /// When the served generation was published.
    pub published: Option<Instant>,
}

impl Metrics {
    /// Counters for so many data workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            started: SystemTime::now(),
            routes: Family::new(RouteStats::other(workers), SERIES_LIMIT),
            listeners: Family::new(ListenerStats::other(workers), SERIES_LIMIT),
            generation: AtomicU64::new(0),
            config: Mutex::default(),
            certificates: Mutex::default(),
            upstreams: Mutex::default(),
            shards: PerWorker::new(workers),
            access_log: OnceLock::new(),
            overload: Arc::new(Overload::new(workers)),
            security: Arc::default(),
            relaxed: Mutex::default(),
            digest: Mutex::default(),
        }
    }

    /// The counters of a route: the same object for the same names in every generation.
    pub fn route(&self, host: &str, route: &str) -> Arc<RouteStats> {
        let stats = RouteStats::new(host, route, self.workers);
        self.routes.intern(stats.key(), self.generation(), || stats)
    }

    /// The counters of a door: the same object for the same name in every generation.
    pub fn listener(&self, name: &str) -> Arc<ListenerStats> {
        let stats = ListenerStats::new(name, self.workers);
        self.listeners
            .intern(stats.name().into(), self.generation(), || stats)
    }

    /// Reads an upstream at every scrape, for as long as it lives.
    pub fn watch(&self, upstream: &Arc<Upstream>) {
        let mut upstreams = lock(&self.upstreams);
        upstreams
            .retain(|known| known.strong_count() > 0 && known.as_ptr() != Arc::as_ptr(upstream));
        upstreams.push(Arc::downgrade(upstream));
    }

    /// A generation was published and is served. Series that nobody uses any more go after two.
    pub fn published(&self, generation: u64, now: Instant) {
        *lock(&self.config) = ConfigState {
            generation,
            valid: true,
            published: Some(now),
        };
        self.generation.store(generation, Ordering::Relaxed);
        self.routes.retire(generation);
        self.listeners.retire(generation);
    }

    /// The newest statement of the sources was refused; the last good generation is served on.
    pub fn rejected(&self) {
        lock(&self.config).valid = false;
    }

    /// What is known of the configuration.
    pub fn config(&self) -> ConfigState {
        *lock(&self.config)
    }

    /// The certificates in use and when they expire.
    pub fn set_certificates(&self, certificates: Vec<CertificateSpan>) {
        *lock(&self.certificates) = certificates;
    }

    /// Reports lines that the access log dropped.
    pub fn set_access_log(&self, log: AccessLog) {
        // There is one access log for the life of the process.
        let _ = self.access_log.set(log);
    }

    /// Counts a panic that cost a connection.
    pub fn panicked(&self, worker: usize) {
        self.shards.of(worker).panics.increment();
    }

    /// Counts a request with the marks of a foreign tunnel on a LAN door.
    pub fn foreign_tunnel(&self, worker: usize) {
        self.shards.of(worker).foreign_tunnel.increment();
    }

    /// What all clients together have taken.
    pub fn overload(&self) -> &Arc<Overload> {
        &self.overload
    }

    /// Attempts at what is refused, and the heads that were refused last.
    pub fn security(&self) -> &Arc<Security> {
        &self.security
    }

    /// Settings in force that give up a protection, and how often each stands in the configuration.
    pub fn set_relaxed(&self, relaxed: Vec<(&'static str, usize)>) {
        *lock(&self.relaxed) = relaxed;
    }

    /// What the pool of a worker holds and has done.
    pub(crate) fn pool(&self, worker: usize, reading: PoolReading) {
        let said = [reading.open, reading.reused, reading.discarded];
        for (kept, value) in self.shards.of(worker).pool.iter().zip(said) {
            kept.store(value, Ordering::Relaxed);
        }
    }

    /// Digest of the configuration that is served.
    pub fn set_config_digest(&self, digest: &str) {
        digest.clone_into(&mut lock(&self.digest));
    }

    /// Everything at one moment. Two readings subtract: see the `since` of their parts.
    pub fn read(&self) -> Reading {
        let span = |span: &CertificateSpan| CertificateReading {
            name: Arc::clone(&span.name),
            left: seconds_until(span.until),
            lifetime: span.until.duration_since(span.since).unwrap_or_default(),
        };
        Reading {
            at: Instant::now(),
            started: self.started,
            config: self.config(),
            routes: self.routes.all().iter().map(|route| route.read()).collect(),
            listeners: self
                .listeners
                .all()
                .iter()
                .map(|listener| listener.read())
                .collect(),
            upstreams: self.read_upstreams(),
            certificates: lock(&self.certificates).iter().map(span).collect(),
            panics: self.shards.sum(|shard| shard.panics.value()),
            foreign_tunnel: self.shards.sum(|shard| shard.foreign_tunnel.value()),
            access_log_dropped: self.access_log.get().map_or(0, AccessLog::dropped),
            overload: self.overload.read(),
            attempts: self.security.attempts().to_vec(),
            relaxed: lock(&self.relaxed).clone(),
            digest: lock(&self.digest).clone(),
            pool: [0, 1, 2].map(|index| {
                let value = |kept: &AtomicU64| kept.load(Ordering::Relaxed);
                self.shards
                    .sum(|shard| shard.pool.get(index).map_or(0, value))
            }),
        }
    }

    /// Everything as Prometheus text, version 0.0.4.
    pub fn render(&self) -> String {
        render::text(&self.read(), SERIES_LIMIT)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Old and new generations of an upstream live side by side until the old one has drained: they
    /// share their counters, and what is in flight adds up.
    fn read_upstreams(&self) -> Vec<UpstreamReading> {
        let live: Vec<_> = lock(&self.upstreams)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let now = Instant::now();
        let mut readings = BTreeMap::new();
        for upstream in &live {
            let name = Arc::clone(&upstream.spec().name);
            let reading: &mut UpstreamReading = readings.entry(Arc::clone(&name)).or_default();
            reading.name = name;
            reading.take(upstream.stats());
            // What the newest one declares tells who is healthy.
            reading
                .endpoints
                .iter_mut()
                .for_each(|endpoint| endpoint.fit = None);
            for endpoint in upstream.endpoints().iter() {
                reading.add(
                    endpoint.label(),
                    endpoint.in_flight(),
                    endpoint.standing().is_fit(now),
                    endpoint.stats(),
                );
            }
        }
        readings.into_values().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds from now on; negative if it has passed.
fn seconds_until(at: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match at.duration_since(SystemTime::now()) {
        Ok(left) => seconds(left),
        Err(passed) => -seconds(passed.duration()),
    }
}

/// A certificate in use, and when it is valid.
#[derive(Clone, Debug)]
pub struct CertificateSpan {
    /// Its name.
    pub name: Arc<str>,
    /// From when.
    pub since: SystemTime,
    /// Until when.
    pub until: SystemTime,
}

/// A certificate at one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateReading {
    /// Its name.
    pub name: Arc<str>,
    /// Seconds until it expires; negative once it has.
    pub left: i64,
    /// Its whole life.
    pub lifetime: Duration,
}

/// All counters at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The moment.
    pub at: Instant,
    /// When the process started.
    pub started: SystemTime,
    /// The configuration that is served.
    pub config: ConfigState,
    /// Every route; the last one is what is beyond the cap.
    pub routes: Vec<RouteReading>,
    /// Every door; the last one is what is beyond the cap.
    pub listeners: Vec<ListenerReading>,
    /// Every upstream.
    pub upstreams: Vec<UpstreamReading>,
    /// The certificates in use.
    pub certificates: Vec<CertificateReading>,
    /// Panics that cost a connection.
    pub panics: u64,
    /// Requests with the marks of a foreign tunnel on LAN doors.
    pub foreign_tunnel: u64,
    /// Lines that the access log dropped.
    pub access_log_dropped: u64,
    /// What all clients together have taken.
    pub overload: OverloadReading,
    /// Attempts at what is refused, by kind.
    pub attempts: Vec<(Attempt, u64)>,
    /// Settings that give up a protection.
    pub relaxed: Vec<(&'static str, usize)>,
    /// Digest of the configuration that is served.
    pub digest: String,
    /// Backend connections that are kept, were used again, and were dropped unused.
    pub pool: [u64; 3],
}

impl Reading {
    /// Routes as they changed since an earlier reading, and the time between. A route that the
    /// earlier one lacks counts from zero.
    pub fn routes_since(&self, earlier: &Self) -> (Duration, Vec<RouteReading>) {
        let known: BTreeMap<_, _> = earlier
            .routes
            .iter()
            .map(|route| ((&route.host, &route.route), route))
            .collect();
        let change = |route: &RouteReading| match known.get(&(&route.host, &route.route)) {
            Some(then) => route.since(then),
            None => route.clone(),
        };
        let between = self.at.saturating_duration_since(earlier.at);
        (between, self.routes.iter().map(change).collect())
    }

    /// The routes summed by host.
    pub fn by_host(routes: &[RouteReading]) -> Vec<RouteReading> {
        let mut hosts: BTreeMap<&str, RouteReading> = BTreeMap::new();
        for route in routes {
            let sum = hosts.entry(&route.host).or_default();
            sum.host = route.host.clone();
            sum.merge(route);
        }
        hosts.into_values().collect()
    }
}

/// The counters of an upstream at one moment.
#[derive(Clone, Debug, Default)]
pub struct UpstreamReading {
    /// Its name.
    pub name: Arc<str>,
    /// Its endpoints, in declared order.
    pub endpoints: Vec<EndpointReading>,
    /// Times of making connections.
    pub connect: HistogramReading,
    /// Further attempts.
    pub retries: u64,
    /// Copies and spans that were given up.
    pub drops: u64,
    /// Further attempts that the budget did not allow.
    pub retries_denied: u64,
    /// Requests that wait for a place (L-86).
    pub queued: usize,
    /// Ejections.
    pub ejections: u64,
    /// Breaches of HTTP/2's limits by its backends, in the order of the ids.
    pub refused: Vec<(&'static str, u64)>,
    /// Whether a name is served from its last good answer.
    pub dns_stale: bool,
}

/// The counters of an endpoint at one moment.
#[derive(Clone, Debug, Default)]
pub struct EndpointReading {
    /// Its address.
    pub address: Arc<str>,
    /// In flight now.
    pub active: usize,
    /// Whether it gets requests; `None` if it is on its way out.
    pub fit: Option<bool>,
    /// Requests that ended well.
    pub successes: u64,
    /// Requests that failed, in the order of [`FailureKind::ALL`].
    pub failures: [u64; FailureKind::ALL.len()],
}

impl UpstreamReading {
    fn take(&mut self, stats: &UpstreamStats) {
        self.connect = stats.connect_times();
        self.retries = stats.retries();
        self.drops = stats.drops();
        self.retries_denied = stats.retries_denied();
        self.queued = stats.queue().waiting();
        self.ejections = stats.ejections();
        self.refused = stats.refusals();
        self.dns_stale = stats.dns_stale();
    }

    fn add(&mut self, address: &Arc<str>, active: usize, fit: bool, stats: &EndpointStats) {
        // An address may be declared with two protocols: it is one line, and its counters are one.
        if let Some(known) = self
            .endpoints
            .iter_mut()
            .find(|known| known.address == *address)
        {
            known.active += active;
            known.fit = Some(fit || known.fit.unwrap_or(false));
            return;
        }
        self.endpoints.push(EndpointReading {
            address: Arc::clone(address),
            active,
            fit: Some(fit),
            successes: stats.successes(),
            failures: FailureKind::ALL.map(|kind| stats.failures(kind)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_continues_the_counters() {
        let metrics = Metrics::new(1);
        metrics.published(1, Instant::now());
        let first = metrics.route("a.example", "/");
        first.record(0, 200, Duration::from_millis(1), 0, 0);
        drop(first);
        metrics.published(2, Instant::now());
        let again = metrics.route("a.example", "/");
        assert_eq!(again.read().requests(), 1);
        assert!(metrics.config().valid);
        metrics.rejected();
        assert_eq!(
            (metrics.config().valid, metrics.config().generation),
            (false, 2)
        );
    }

    #[test]
    fn names_with_a_separator_in_them_stay_apart() {
        let metrics = Metrics::new(1);
        let one = metrics.route("a", "b\nc");
        let other = metrics.route("a\nb", "c");
        assert!(!Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn a_status_page_sees_rates_between_two_readings() {
        let metrics = Metrics::new(2);
        let route = metrics.route("a.example", "/");
        route.record(0, 200, Duration::from_millis(1), 0, 0);
        let before = metrics.read();
        for worker in 0..2 {
            route.record(worker, 503, Duration::from_millis(40), 0, 0);
        }
        metrics
            .route("a.example", "/api")
            .record(0, 200, Duration::from_millis(40), 0, 0);
        let (_, routes) = metrics.read().routes_since(&before);
        let hosts = Reading::by_host(&routes);
        let host = hosts
            .iter()
            .find(|host| &*host.host == "a.example")
            .unwrap();
        assert_eq!((host.requests(), host.server_errors()), (3, 2));
        assert!(host.duration.quantile(0.95).unwrap() > Duration::from_millis(30));
    }
}
