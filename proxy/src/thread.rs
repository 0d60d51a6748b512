//! The thread of a worker: its runtime, its accept loops, and the orders it takes from control.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::access_log::{AccessLog, WorkerLog};
use crate::blueprint::ListenerKind;
use crate::conn;
use crate::housekeeping;
use crate::listen::{BindKey, Ends, Patience};
use crate::shared::Shared;
use crate::snapshot::Door;
use crate::trace;
use crate::view::ConnectionView;
use crate::worker::{Current, OwnTask, Worker};

/// An order of control to a worker.
pub(crate) enum Order {
    /// Accepts on these sockets for a door.
    Listen {
        key: BindKey,
        door: Arc<str>,
        sockets: Vec<TcpListener>,
    },
    /// The sockets of this address belong to another door from now on.
    Rename { key: BindKey, door: Arc<str> },
    /// Stops accepting on an address and closes its sockets.
    Unlisten { key: BindKey },
    /// A connection that another worker accepted.
    Connection {
        stream: std::net::TcpStream,
        ends: Ends,
        door: Arc<str>,
    },
    /// Stops accepting and lets connections end.
    Drain { done: oneshot::Sender<()> },
    /// Ends connections whose host has moved out of reach of their door.
    Recheck,
    /// Ends every connection.
    Cut,
    /// What is open.
    Inspect {
        answer: oneshot::Sender<Vec<ConnectionView>>,
        most: usize,
    },
    /// Ends the thread.
    Stop,
}

/// A running worker as control sees it.
#[derive(Debug)]
pub(crate) struct WorkerThread {
    pub orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

const ORDERS: usize = 1024;

impl WorkerThread {
    /// Starts worker `index`; `peers` are the queues of all workers, itself included.
    pub(crate) fn start(
        index: usize,
        shared: Arc<Shared>,
        access_log: &AccessLog,
        peers: Arc<Peers>,
        orders: mpsc::Receiver<Order>,
    ) -> io::Result<Self> {
        let log = access_log.clone();
        let sender = peers.sender(index);
        // The runtime belongs to its thread, so it is the thread that says whether it could be made.
        let (told, ready) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("adit-worker-{index}"))
            .spawn(move || match runtime() {
                Ok(runtime) => {
                    let _ = told.send(Ok(()));
                    run(index, &runtime, shared, log.worker(), peers, orders);
                }
                Err(error) => {
                    let _ = told.send(Err(error));
                }
            })?;
        ready.recv().map_err(io::Error::other)??;
        Ok(Self {
            orders: sender,
            thread: Some(thread),
        })
    }

    /// Waits for the thread to end.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The queues of all workers.
#[derive(Debug)]
pub(crate) struct Peers {
    senders: Vec<mpsc::Sender<Order>>,
}

impl Peers {
    pub(crate) fn new(workers: usize) -> (Arc<Self>, Vec<mpsc::Receiver<Order>>) {
        let (senders, receivers) = (0..workers).map(|_| mpsc::channel(ORDERS)).unzip();
        (Arc::new(Self { senders }), receivers)
    }

    fn sender(&self, index: usize) -> mpsc::Sender<Order> {
        let own = self.senders.get(index).cloned();
        own.unwrap_or_else(|| mpsc::channel(1).0)
    }
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
}

fn run(
    index: usize,
    runtime: &LocalRuntime,
    shared: Arc<Shared>,
    log: WorkerLog,
    peers: Arc<Peers>,
    orders: mpsc::Receiver<Order>,
) {
    let worker = Worker::new(index, shared, log);
    let (stop, stopped) = oneshot::channel();
    let serving = Serving {
        worker: Rc::clone(&worker),
        peers,
        accepting: HashMap::new(),
    };
    runtime.spawn_local(serving.take_orders(orders, stop));
    runtime.spawn_local(housekeeping::keep(Rc::clone(&worker)));
    // The root future stays asleep: waking it costs a system call (performance, A.2).
    let _ = runtime.block_on(stopped);
    worker.log.flush();
}

struct Serving {
    worker: Rc<Worker>,
    peers: Arc<Peers>,
    accepting: HashMap<BindKey, Vec<Accepting>>,
}

struct Accepting {
    task: AbortHandle,
    door: Rc<std::cell::RefCell<Arc<str>>>,
}

impl Serving {
    async fn take_orders(mut self, mut orders: mpsc::Receiver<Order>, stop: oneshot::Sender<()>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Listen { key, door, sockets } => self.listen(&key, &door, sockets),
                Order::Rename { key, door } => {
                    for accepting in self.accepting.get(&key).into_iter().flatten() {
                        *accepting.door.borrow_mut() = Arc::clone(&door);
                    }
                }
                Order::Unlisten { key } => self.unlisten(&key),
                Order::Connection { stream, ends, door } => {
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        serve(&self.worker, stream, ends, &door);
                    }
                }
                Order::Drain { done } => self.drain(done),
                Order::Recheck => self.worker.recheck(),
                Order::Cut => self.worker.cut_all(),
                Order::Inspect { answer, most } => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.worker.inspect(most));
                }
                Order::Stop => break,
            }
        }
        trace::finish(&self.worker).await;
        let _ = stop.send(());
    }

    fn listen(&mut self, key: &BindKey, door: &Arc<str>, sockets: Vec<TcpListener>) {
        for socket in sockets {
            let listener = match tokio::net::TcpListener::from_std(socket) {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::error!(%error, listener = %door, "a listening socket cannot be used");
                    continue;
                }
            };
            let door = Rc::new(std::cell::RefCell::new(Arc::clone(door)));
            let loop_ = accept(
                Rc::clone(&self.worker),
                Arc::clone(&self.peers),
                listener,
                Rc::clone(&door),
            );
            let task = tokio::task::spawn_local(loop_).abort_handle();
            self.accepting
                .entry(key.clone())
                .or_default()
                .push(Accepting { task, door });
        }
    }

    fn unlisten(&mut self, key: &BindKey) {
        for accepting in self.accepting.remove(key).into_iter().flatten() {
            accepting.task.abort();
        }
    }

    fn drain(&mut self, done: oneshot::Sender<()>) {
        let keys: Vec<BindKey> = self.accepting.keys().cloned().collect();
        for key in keys {
            self.unlisten(&key);
        }
        self.worker.drain();
        let worker = Rc::clone(&self.worker);
        tokio::task::spawn_local(async move {
            loop {
                let empty = worker.empty.notified();
                if worker.open() == 0 {
                    break;
                }
                empty.await;
            }
            let _ = done.send(());
        });
    }
}

/// Accepts for as long as the door lives.
async fn accept(
    worker: Rc<Worker>,
    peers: Arc<Peers>,
    listener: tokio::net::TcpListener,
    door: Rc<std::cell::RefCell<Arc<str>>>,
) {
    let mut patience = Patience::default();
    // Only a socket of all addresses has to be asked for each connection to which it came.
    let own = listener.local_addr().ok();
    let own = own.filter(|address| !address.ip().is_unspecified());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                patience.reset();
                let door = Arc::clone(&door.borrow());
                if let Some(local) = own.or_else(|| stream.local_addr().ok()) {
                    place(&worker, &peers, stream, Ends { peer, local }, &door);
                }
            }
            Err(error) => {
                let wait = patience.after(&error);
                tracing::debug!(%error, listener = %door.borrow(), "accept failed");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Serves a connection here, or hands it to a worker with clearly less to do.
fn place(worker: &Rc<Worker>, peers: &Peers, stream: TcpStream, ends: Ends, door: &Arc<str>) {
    let shared = &worker.shared;
    let current = worker.current();
    // A door that was removed a moment ago has no rules any more to serve by.
    let Some(spec) = current.snapshot.door(door) else {
        return;
    };
    if let Some(rule) = no_room(worker, &current, spec, &stream) {
        // Closed before TLS: the cheapest answer there is.
        return conn::turn_away(worker, &stream, spec, rule);
    }
    let own = shared.load.of(worker.index).load(Ordering::Relaxed);
    let total: usize = shared
        .load
        .iter()
        .map(|load| load.load(Ordering::Relaxed))
        .sum();
    let mean = total / shared.workers.max(1);
    if own > mean + mean / 4 + 16 {
        let least =
            (0..shared.workers).min_by_key(|&at| shared.load.of(at).load(Ordering::Relaxed));
        let slot = least
            .and_then(|at| peers.senders.get(at))
            .and_then(|peer| peer.try_reserve().ok());
        if let Some(slot) = slot {
            if let Ok(stream) = stream.into_std() {
                let door = Arc::clone(door);
                slot.send(Order::Connection { stream, ends, door });
            }
            return;
        }
    }
    serve(worker, stream, ends, door);
}

/// Why a connection cannot be taken, if it cannot. Operators are let in when nobody else is (L-93).
fn no_room(
    worker: &Worker,
    current: &Current,
    door: &Door,
    stream: &TcpStream,
) -> Option<&'static str> {
    if door.spec().kind == ListenerKind::Admin {
        return None;
    }
    if !worker.shared.has_room(current.limits.connections) {
        return Some("L-80");
    }
    if !worker.shared.may_hold(stream) {
        return Some("L-93");
    }
    worker.overload.refuses_connections()
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, ends: Ends, door: &str) {
    let current = worker.current();
    // A door that was removed a moment ago has no rules any more to serve by.
    let Some(door) = current.snapshot.door(door) else {
        return;
    };
    let door = Arc::clone(door);
    let own = Rc::<OwnTask>::default();
    let serving = conn::serve(Rc::clone(worker), stream, ends, door, Rc::clone(&own));
    let task = tokio::task::spawn_local(Box::pin(serving));
    // Set once, here.
    let _ = own.set(task.abort_handle());
}
