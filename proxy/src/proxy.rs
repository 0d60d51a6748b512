//! The data plane as control sees it: start, publish, watch, drain.
//!
//! Lives on the control thread. A publication is whole or nothing: the blueprint is compiled and
//! every new address is bound before anything that serves is touched.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use adit_route::{Place, Protocol};
use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::oneshot;

use crate::access_log::AccessLog;
use crate::blueprint::Blueprint;
use crate::listen::{self, BindKey, Bound, Inherited};
use crate::metrics::{Metrics, PerWorker};
use crate::overload::Watch;
use crate::policy::Memory;
use crate::shared::{AdminSurface, Shared};
use crate::snapshot::{BuildError, CompiledUpstream, Foundations, Snapshot};
use crate::thread::{Order, Peers, WorkerThread};
use crate::tls::{ServerTls, TicketSecrets};
use crate::upstream::connect::server_name;
use crate::upstream::health;
use crate::upstream::resolve::{self, Resolver, ResolverOptions};
use crate::view::ConnectionView;

/// What the data plane is started with.
pub struct Options {
    /// Number of data workers, at least 1.
    pub workers: usize,
    /// Where requests are logged.
    pub access_log: AccessLog,
    /// Counters, made for the same number of workers.
    pub metrics: Arc<Metrics>,
    /// Secrets of session tickets.
    pub tickets: Arc<TicketSecrets>,
    /// Answers on admin doors.
    pub admin: Arc<dyn AdminSurface>,
    /// How names are resolved.
    pub resolver: ResolverOptions,
}

/// Descriptors that clients and backends leave alone (L-93).
const RESERVED: u64 = 64;

/// The running data plane.
pub struct Proxy {
    shared: Arc<Shared>,
    foundations: Foundations,
    threads: RefCell<Vec<WorkerThread>>,
    watch: RefCell<Watch>,
    bound: RefCell<HashMap<BindKey, (Arc<str>, Bound)>>,
    /// Generations that a worker may still be using; freed here and not there.
    retired: RefCell<Vec<Arc<Snapshot>>>,
    resolver: Rc<Resolver>,
    draining: Cell<bool>,
}

impl Proxy {
    /// Starts the workers; nothing is served before the first publication.
    pub fn start(options: Options) -> io::Result<Self> {
        let workers = options.workers.max(1);
        let foundations = Foundations {
            tls: ServerTls::new(Arc::clone(&options.tickets)),
            metrics: Arc::clone(&options.metrics),
            workers,
            memory: Memory::default(),
        };
        let empty = Snapshot::build(&Blueprint::default(), 0, None, &foundations)
            .map_err(|errors| io::Error::other(format!("{errors:?}")))?;
        let pseudonym = format!("1.1 adit-{:08x}", fastrand::u32(..));
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(empty),
            generation: AtomicU64::new(0),
            workers,
            metrics: options.metrics,
            pseudonym: HeaderValue::from_str(&pseudonym).map_err(io::Error::other)?,
            connections: AtomicUsize::new(0),
            tickets: Arc::clone(&options.tickets),
            most_descriptors: adit_sys::limits::descriptor_limit().saturating_sub(RESERVED),
            load: PerWorker::new(workers),
            admin: options.admin,
            own: ArcSwap::from_pointee(Vec::new()),
        });
        let (peers, receivers) = Peers::new(workers);
        let mut threads = Vec::with_capacity(workers);
        for (index, orders) in receivers.into_iter().enumerate() {
            threads.push(WorkerThread::start(
                index,
                Arc::clone(&shared),
                &options.access_log,
                Arc::clone(&peers),
                orders,
            )?);
        }
        let watch = Watch::start(Arc::clone(&shared))?;
        Ok(Self {
            shared,
            watch: RefCell::new(watch),
            foundations,
            threads: RefCell::new(threads),
            bound: RefCell::default(),
            retired: RefCell::default(),
            resolver: Rc::new(Resolver::new(&options.resolver)?),
            draining: Cell::new(false),
        })
    }

    /// Publishes a blueprint: afterwards every new request is answered by it. On an error nothing
    /// has changed.
    pub async fn publish(
        &self,
        blueprint: &Blueprint,
        inherited: &mut Inherited,
    ) -> Result<u64, Vec<BuildError>> {
        let previous = self.shared.snapshot.load_full();
        let generation = previous.generation + 1;
        let snapshot = Snapshot::build(blueprint, generation, Some(&previous), &self.foundations)?;
        let change = self.bind(blueprint, inherited)?;
        self.set_own(&change);
        let snapshot = Arc::new(snapshot);
        self.follow(&snapshot, &previous);
        settle(&snapshot, &previous).await;
        self.shared.snapshot.store(Arc::clone(&snapshot));
        self.shared.generation.store(generation, Ordering::Release);
        self.foundations
            .metrics
            .published(generation, Instant::now());
        self.apply(change, blueprint.limits.tcp_keep_alive).await;
        self.order_all(|| Order::Recheck).await;
        self.retire(previous);
        Ok(generation)
    }

    /// The doors with the addresses that they listen on.
    pub fn addresses(&self) -> Vec<(Arc<str>, Vec<SocketAddr>)> {
        let bound = self.bound.borrow();
        let snapshot = self.shared.snapshot.load();
        let of_door = |name: &Arc<str>| {
            let mut found: Vec<_> = bound
                .values()
                .filter(|(door, _)| door == name)
                .map(|(_, bound)| bound.address)
                .collect();
            found.sort_unstable();
            found
        };
        let doors = snapshot.doors().iter();
        doors
            .map(|door| (Arc::clone(&door.spec().name), of_door(&door.spec().name)))
            .collect()
    }

    /// The generation that is served.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Client connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Up to `most` open connections of each worker.
    pub async fn inspect(&self, most: usize) -> Vec<ConnectionView> {
        let mut answers = Vec::new();
        self.order_all(|| {
            let (answer, answered) = oneshot::channel();
            answers.push(answered);
            Order::Inspect { answer, most }
        })
        .await;
        let mut views = Vec::new();
        for answer in answers {
            views.extend(answer.await.unwrap_or_default());
        }
        views
    }

    /// Runs `pass` on every listening socket, for a successor process.
    pub fn with_sockets<T>(&self, pass: impl FnOnce(&[BorrowedFd<'_>]) -> T) -> T {
        let bound = self.bound.borrow();
        let sockets: Vec<BorrowedFd<'_>> = bound
            .values()
            .flat_map(|(_, bound)| bound.sockets.iter().map(AsFd::as_fd))
            .collect();
        pass(&sockets)
    }

    /// Stops accepting and lets connections end; what is left after `patience` is cut.
    pub async fn drain(&self, patience: Duration) {
        self.draining.set(true);
        self.bound.borrow_mut().clear();
        let mut waiting = Vec::new();
        self.order_all(|| {
            let (done, drained) = oneshot::channel();
            waiting.push(drained);
            Order::Drain { done }
        })
        .await;
        let all = async {
            for drained in waiting {
                // A worker that is gone has nothing left to drain.
                let _ = drained.await;
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::info!(
                connections = self.connections(),
                "drain deadline passed, closing what is left"
            );
            self.order_all(|| Order::Cut).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the workers and waits for them.
    pub async fn stop(&self) {
        self.watch.borrow_mut().stop();
        self.order_all(|| Order::Stop).await;
        for thread in self.threads.borrow_mut().iter_mut() {
            thread.join();
        }
    }

    async fn order_all(&self, mut order: impl FnMut() -> Order) {
        let queues: Vec<_> = self
            .threads
            .borrow()
            .iter()
            .map(|thread| thread.orders.clone())
            .collect();
        for queue in queues {
            // A worker that is gone takes no orders.
            let _ = queue.send(order()).await;
        }
    }

    fn bind(
        &self,
        blueprint: &Blueprint,
        inherited: &mut Inherited,
    ) -> Result<Change, Vec<BuildError>> {
        let mut change = Change::default();
        let mut errors = Vec::new();
        let bound = self.bound.borrow();
        let mut wanted: HashMap<BindKey, Arc<str>> = HashMap::new();
        for spec in &blueprint.listeners {
            for address in &spec.binds {
                let key = BindKey {
                    address: *address,
                    interface: spec.interface.clone(),
                    // Port 0 is a different port each time.
                    door: (address.port() == 0).then(|| Arc::clone(&spec.name)),
                };
                wanted.insert(key, Arc::clone(&spec.name));
            }
        }
        for (key, door) in &wanted {
            match bound.get(key) {
                Some((known, _)) if known == door => {}
                Some(_) => change.renamed.push((key.clone(), Arc::clone(door))),
                None => match listen::bind(key, self.shared.workers, inherited) {
                    Ok(fresh) => change.added.push((Arc::clone(door), fresh)),
                    Err(error) => errors.push(BuildError {
                        place: Place::default(),
                        message: format!(
                            "listener {door}: {} cannot be bound: {error}",
                            key.address
                        ),
                    }),
                },
            }
        }
        change.removed = bound
            .keys()
            .filter(|key| !wanted.contains_key(key))
            .cloned()
            .collect();
        if errors.is_empty() {
            Ok(change)
        } else {
            Err(errors)
        }
    }

    fn set_own(&self, change: &Change) {
        let bound = self.bound.borrow();
        let kept = bound
            .iter()
            .filter(|(key, _)| !change.removed.contains(key));
        let own: Vec<SocketAddr> = kept
            .map(|(_, (_, bound))| bound.address)
            .chain(change.added.iter().map(|(_, bound)| bound.address))
            .collect();
        self.resolver.set_listeners(own.clone());
        self.shared.own.store(Arc::new(own));
    }

    async fn apply(&self, change: Change, keep_alive: Duration) {
        for (_, bound) in self.bound.borrow().values() {
            bound.tune(keep_alive);
        }
        let queues: Vec<_> = self
            .threads
            .borrow()
            .iter()
            .map(|thread| thread.orders.clone())
            .collect();
        let workers = self.shared.workers;
        for (door, bound) in change.added {
            bound.tune(keep_alive);
            let spread = bound.for_workers(workers).unwrap_or_else(|error| {
                tracing::error!(%error, listener = %door, "listening sockets cannot be shared");
                Vec::new()
            });
            for (queue, sockets) in queues.iter().zip(spread) {
                let (key, door) = (bound.key.clone(), Arc::clone(&door));
                // A worker that is gone takes no orders.
                let _ = queue.send(Order::Listen { key, door, sockets }).await;
            }
            self.bound
                .borrow_mut()
                .insert(bound.key.clone(), (door, bound));
        }
        for (key, door) in change.renamed {
            self.order_all(|| Order::Rename {
                key: key.clone(),
                door: Arc::clone(&door),
            })
            .await;
            if let Some(entry) = self.bound.borrow_mut().get_mut(&key) {
                entry.0 = door;
            }
        }
        for key in change.removed {
            self.order_all(|| Order::Unlisten { key: key.clone() })
                .await;
            self.bound.borrow_mut().remove(&key);
        }
    }

    /// Starts resolving and checking what is new.
    fn follow(&self, snapshot: &Snapshot, previous: &Snapshot) {
        for (name, compiled) in &snapshot.upstreams {
            let before = previous.upstreams.get(name);
            if before.is_some_and(|before| Arc::ptr_eq(&before.upstream, &compiled.upstream)) {
                continue;
            }
            resolve::follow(&compiled.upstream, &self.resolver);
            health::follow(&compiled.upstream, probe_tls(compiled));
        }
    }

    fn retire(&self, previous: Arc<Snapshot>) {
        let mut retired = self.retired.borrow_mut();
        retired.push(previous);
        retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}

/// Waits a moment for names that are new, so that the first requests find an address.
async fn settle(snapshot: &Snapshot, previous: &Snapshot) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let fresh = snapshot
        .upstreams
        .iter()
        .filter(|(name, _)| !previous.upstreams.contains_key(*name));
    let all = async {
        for (_, compiled) in fresh {
            compiled.upstream.settled().await;
        }
    };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        tracing::warn!("some backend names have no address yet");
    }
}

/// The TLS settings of requests, for health checks.
fn probe_tls(compiled: &CompiledUpstream) -> Rc<health::ClientTls> {
    let (tls_h1, tls_h2) = (compiled.tls_h1.clone(), compiled.tls_h2.clone());
    Rc::new(move |_, endpoint| {
        let connector = match endpoint.protocol() {
            Protocol::H2 => tls_h2.as_ref(),
            _ => tls_h1.as_ref(),
        };
        let connector = connector.ok_or(io::ErrorKind::Unsupported)?;
        let name = server_name(connector, endpoint).map_err(io::Error::other)?;
        Ok((Arc::clone(connector.config()), name))
    })
}

/// What a publication does to the listening sockets.
#[derive(Default)]
struct Change {
    added: Vec<(Arc<str>, Bound)>,
    renamed: Vec<(BindKey, Arc<str>)>,
    removed: Vec<BindKey>,
}
