//! The running side of an upstream: its endpoints, how busy they are and how they stand.
//!
//! An [`Upstream`] is shared by all workers and outlives reloads while its spec stays equal. Its
//! endpoints sit behind their own pointer, so that a changed DNS answer or a failing backend never
//! rebuilds routes. An [`Endpoint`] keeps its id, load and health as long as its (address,
//! protocol, name) stays declared. What must stay true: per request only the endpoint's in-flight
//! line is shared between workers; everything else is read-mostly or per worker.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adit_route::{Address, Protocol, UpstreamSpec};
use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::metrics::PerWorker;
use crate::upstream::balance::Cursor;
use crate::upstream::outlier::{Outcome, Standing};
use crate::upstream::set::EndpointSet;
use crate::upstream::stats::{EndpointStats, UpstreamStats};

/// Where connections to an endpoint go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// An address and port.
    Socket(SocketAddr),
    /// A UNIX stream socket.
    Unix(PathBuf),
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What makes two endpoints of an upstream the same over answers and reloads.
///
/// The declared target is part of it, because TLS verifies the declared name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::upstream) struct Identity {
    pub(in crate::upstream) address: EndpointAddress,
    pub(in crate::upstream) protocol: Protocol,
    pub(in crate::upstream) declared: Address,
}

/// Written on every request, by every worker: kept on the cache line of the reference counts,
/// which are written just as often, and away from what is only read.
#[derive(Debug, Default)]
#[repr(C)]
pub(in crate::upstream) struct Load {
    in_flight: AtomicUsize,
    /// Peak-EWMA of response times: `f64` bits in nanoseconds, and when it was last updated.
    pub(in crate::upstream) ewma: AtomicU64,
    pub(in crate::upstream) ewma_at: AtomicU64,
    _apart: [u64; 11],
}

/// One backend address with its load, standing and counters.
#[derive(Debug)]
#[repr(C)]
pub struct Endpoint {
    pub(in crate::upstream) load: Load,
    id: u32,
    identity: Identity,
    label: Arc<str>,
    pub(in crate::upstream) standing: Standing,
    stats: Arc<EndpointStats>,
    /// Of the upstream that it belongs to.
    upstream: Arc<UpstreamStats>,
}

impl Endpoint {
    pub(in crate::upstream) fn new(
        identity: Identity,
        stats: Arc<EndpointStats>,
        upstream: Arc<UpstreamStats>,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            load: Load::default(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            label: identity.address.to_string().into(),
            identity,
            standing: Standing::default(),
            stats,
            upstream,
        }
    }

    /// Unique in the process, and the key of its connection pools.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where it is.
    pub fn address(&self) -> &EndpointAddress {
        &self.identity.address
    }

    /// What is spoken there.
    pub fn protocol(&self) -> Protocol {
        self.identity.protocol
    }

    /// The target as it was declared: what TLS has to verify, whatever DNS made of it.
    pub fn declared(&self) -> &Address {
        &self.identity.declared
    }

    /// The address as text, formatted once: for logs and labels.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(in crate::upstream) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Counters that survive a replacement of the endpoint.
    pub fn stats(&self) -> &Arc<EndpointStats> {
        &self.stats
    }

    /// How it stands: health, ejection, slow start.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Requests and relayed connections under way.
    pub fn in_flight(&self) -> usize {
        self.load.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one more in flight, whatever the limit.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.load.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            endpoint: Arc::clone(self),
        }
    }

    /// Counts one more in flight unless `limit` are (L-86); exact over all workers.
    pub fn try_begin(self: &Arc<Self>, limit: usize) -> Option<InFlight> {
        if self.load.in_flight.fetch_add(1, Ordering::Relaxed) < limit {
            return Some(InFlight {
                endpoint: Arc::clone(self),
            });
        }
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Says how a request or connection ended: counters, load figures and ejection follow.
    pub fn report(&self, worker: usize, outcome: Outcome, upstream: &Upstream, now: Instant) {
        upstream.observe(self, worker, outcome, now);
    }
}

/// Holds one place at an endpoint; dropping it gives the place back.
#[derive(Debug)]
pub struct InFlight {
    endpoint: Arc<Endpoint>,
}

impl InFlight {
    /// The endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl std::ops::Deref for InFlight {
    type Target = Arc<Endpoint>;

    fn deref(&self) -> &Self::Target {
        &self.endpoint
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.load.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.endpoint.upstream.queue().freed();
    }
}

/// An address that a declared name has at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address, with the port to use.
    pub address: SocketAddr,
    /// Its weight among the addresses of the same name (SRV); 1 otherwise.
    pub weight: u32,
}

/// What DNS says of one target. Literal targets are never asked for.
pub(in crate::upstream) type Answered = Option<Vec<Found>>;

/// The runtime object of an [`UpstreamSpec`].
pub struct Upstream {
    spec: Arc<UpstreamSpec>,
    endpoints: ArcSwap<EndpointSet>,
    /// What DNS says of each target; `None` until it said something. Written on control only.
    found: Mutex<Vec<Answered>>,
    pub(in crate::upstream) cursors: PerWorker<Cursor>,
    pub(in crate::upstream) ejecting: Mutex<()>,
    changes: watch::Sender<()>,
    stats: Arc<UpstreamStats>,
}

impl Upstream {
    /// Endpoints for the literal targets at once; those of names come with their answers.
    pub fn new(spec: Arc<UpstreamSpec>, workers: usize) -> Self {
        let found = vec![None; spec.targets.len()];
        let stats = Arc::new(UpstreamStats::new(workers));
        Self::build(spec, workers, found, stats, None)
    }

    /// Takes over from an upstream of the same name whose spec changed. Counters continue, what
    /// DNS said of names that remain stays known, and endpoints that are still declared keep their
    /// pools, load and health, unless the way to connect changed with the spec.
    pub fn replacing(previous: &Self, spec: Arc<UpstreamSpec>, workers: usize) -> Self {
        let known = previous.lock_found();
        let find = |address: &Address| {
            let index = previous
                .spec
                .targets
                .iter()
                .position(|target| target.address == *address);
            index.and_then(|index| known.get(index)).cloned().flatten()
        };
        let found = spec
            .targets
            .iter()
            .map(|target| find(&target.address))
            .collect();
        drop(known);
        Self::build(
            spec,
            workers,
            found,
            Arc::clone(&previous.stats),
            Some(previous),
        )
    }

    fn build(
        spec: Arc<UpstreamSpec>,
        workers: usize,
        found: Vec<Answered>,
        stats: Arc<UpstreamStats>,
        previous: Option<&Self>,
    ) -> Self {
        let same_way = previous.is_some_and(|previous| {
            previous.spec.tls == spec.tls && previous.spec.proxy_protocol == spec.proxy_protocol
        });
        let earlier = previous
            .filter(|_| same_way)
            .map(|previous| previous.endpoints.load_full());
        let set = EndpointSet::new(&spec, &found, earlier.as_deref(), &stats);
        Self {
            spec,
            endpoints: ArcSwap::from_pointee(set),
            found: Mutex::new(found),
            cursors: PerWorker::new(workers),
            ejecting: Mutex::new(()),
            changes: watch::Sender::new(()),
            stats,
        }
    }

    /// What was declared.
    pub fn spec(&self) -> &Arc<UpstreamSpec> {
        &self.spec
    }

    /// The endpoints of this moment.
    pub fn endpoints(&self) -> Guard<Arc<EndpointSet>> {
        self.endpoints.load()
    }

    /// Counters of the upstream as a whole.
    pub fn stats(&self) -> &Arc<UpstreamStats> {
        &self.stats
    }

    /// Takes a new answer for a target; endpoints that stay are kept as they are.
    pub fn resolved(&self, target: usize, answer: Vec<Found>) {
        let mut found = self.lock_found();
        match found.get_mut(target) {
            Some(known) if known.as_ref() != Some(&answer) => *known = Some(answer),
            _ => return,
        }
        let set = EndpointSet::new(
            &self.spec,
            &found,
            Some(&self.endpoints.load()),
            &self.stats,
        );
        self.endpoints.store(Arc::new(set));
        drop(found);
        self.changes.send_replace(());
    }

    /// Waits until DNS has said something of every name, be it that it is not there.
    pub async fn settled(&self) {
        let mut changes = self.changes.subscribe();
        while !self.is_settled() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_settled(&self) -> bool {
        let found = self.lock_found();
        let mut targets = self.spec.targets.iter().zip(&*found);
        targets.all(|(target, found)| !matches!(target.address, Address::Dns(_)) || found.is_some())
    }

    /// Tells of changed endpoints, and by its error that the upstream is gone.
    pub(in crate::upstream) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn lock_found(&self) -> MutexGuard<'_, Vec<Answered>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.spec.name)
            .field("endpoints", &self.endpoints.load())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Endpoint {}

impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// Milliseconds since the process first asked, plus one: 0 is free to mean "never".
pub(in crate::upstream) fn millis(now: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = now.saturating_duration_since(*START);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1) + 1
}

/// A duration in milliseconds.
pub(in crate::upstream) fn duration_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
