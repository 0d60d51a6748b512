//! A data worker: one thread's share of everything.
//!
//! All state here is local to the thread. What workers share is read through one pointer that is
//! looked at once per request; what they count is theirs alone.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use adit_route::{CanonicalHost, Role};
use bytes::BytesMut;
use http::HeaderValue;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::access_log::WorkerLog;
use crate::h1::Pipes;
use crate::info::ConnInfo;
use crate::limits::Limits;
use crate::metrics::OpenConnection;
use crate::overload::{Handshakes, Lag, Measure, Overload, Patience};
use crate::relay::{Cause, RelayEnd};
use crate::shared::Shared;
use crate::snapshot::{Door, Snapshot};
use crate::trace::Spans;
use crate::trail;
use crate::upstream::pool::Pool;
use crate::view::ConnectionView;

/// One thread's share.
pub(crate) struct Worker {
    pub index: usize,
    pub shared: Arc<Shared>,
    pub pool: Rc<Pool>,
    pub log: WorkerLog,
    pub random: RefCell<fastrand::Rng>,
    pub retries: RetryBudget,
    pub scratch: Scratch,
    pub pipes: Pipes,
    pub overload: Arc<Overload>,
    pub handshakes: Rc<Handshakes>,
    pub lag: Lag,
    /// Requests and connections so far: whether there is work at all.
    pub served: Cell<u64>,
    measures: Cell<Measures>,
    /// Copies of requests under way.
    pub copies: Cell<usize>,
    /// Spans that wait to be sent.
    pub spans: Spans,
    current: RefCell<Rc<Current>>,
    connections: RefCell<HashMap<u64, Rc<LiveState>, foldhash::fast::RandomState>>,
    next_id: Cell<u64>,
    date: RefCell<(u64, HeaderValue)>,
    draining: Cell<bool>,
    /// Told when the last connection has ended.
    pub empty: Notify,
}

/// The generation that the worker serves.
pub(crate) struct Current {
    pub snapshot: Arc<Snapshot>,
    pub limits: Rc<Limits>,
}

/// How many requests may be in flight.
#[derive(Clone, Copy)]
pub(crate) struct Measures {
    /// In the process (L-85).
    pub requests: Measure,
    /// On one route (L-86).
    pub on_route: Measure,
}

impl Measures {
    fn new(limits: &Limits, workers: usize) -> Self {
        Self {
            requests: Measure::new(limits.requests, workers),
            on_route: Measure::new(limits.requests_per_route, workers),
        }
    }
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>, log: WorkerLog) -> Rc<Self> {
        let snapshot = shared.snapshot.load_full();
        Rc::new(Self {
            index,
            pool: Rc::default(),
            log,
            random: RefCell::new(fastrand::Rng::new()),
            retries: RetryBudget::default(),
            scratch: Scratch::default(),
            pipes: Pipes::default(),
            overload: Arc::clone(shared.metrics.overload()),
            handshakes: Rc::default(),
            lag: Lag::default(),
            served: Cell::new(0),
            measures: Cell::new(Measures::new(&snapshot.limits, shared.workers)),
            copies: Cell::new(0),
            spans: Spans::default(),
            current: RefCell::new(Rc::new(Current::new(snapshot))),
            connections: RefCell::default(),
            next_id: Cell::new(index as u64),
            date: RefCell::new((0, HeaderValue::from_static(""))),
            draining: Cell::new(false),
            empty: Notify::new(),
            shared,
        })
    }

    /// The newest generation. Whoever answers a request asks once.
    pub(crate) fn current(&self) -> Rc<Current> {
        let newest = self.shared.generation.load(Ordering::Acquire);
        let current = Rc::clone(&self.current.borrow());
        if current.snapshot.generation == newest {
            return current;
        }
        let fresh = Rc::new(Current::new(self.shared.snapshot.load_full()));
        self.measures
            .set(Measures::new(&fresh.limits, self.shared.workers));
        *self.current.borrow_mut() = Rc::clone(&fresh);
        fresh
    }

    /// How many requests may be in flight.
    pub(crate) fn measures(&self) -> Measures {
        self.measures.get()
    }

    pub(crate) fn limits(&self) -> Rc<Limits> {
        Rc::clone(&self.current().limits)
    }

    /// Counts a refusal by a rule.
    pub(crate) fn refused(&self, info: &ConnInfo, rule: &'static str) {
        self.refused_times(info, rule, 1);
    }

    /// Counts so many refusals by a rule.
    pub(crate) fn refused_times(&self, info: &ConnInfo, rule: &'static str, times: u32) {
        info.door.stats.refused_times(self.index, rule, times);
        self.shared.metrics.security().refused(info, rule);
        tracing::debug!(rule, times, listener = %info.door.spec().name, client = %info.client, "refused");
    }

    /// The current date as a field value.
    pub(crate) fn date(&self) -> HeaderValue {
        let now = SystemTime::now();
        let seconds = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.0 != seconds {
            let text = httpdate::fmt_http_date(now);
            if let Ok(value) = HeaderValue::from_str(&text) {
                *date = (seconds, value);
            }
        }
        date.1.clone()
    }

    /// Registers a connection for as long as the answer lives.
    pub(crate) fn enter(self: &Rc<Self>, door: &Arc<Door>, own: Rc<OwnTask>) -> Rc<Live> {
        let id = self.next_id.get();
        self.next_id.set(id + self.shared.workers as u64);
        let state = Rc::new(LiveState {
            since: Instant::now(),
            requests: Cell::new(0),
            info: OnceCell::new(),
            closing: Cell::new(self.draining.get()),
            waker: RefCell::default(),
            cut: Notify::new(),
            is_cut: Cell::new(false),
            buffers: RefCell::new(None),
            own,
            relayed: RefCell::default(),
        });
        self.connections.borrow_mut().insert(id, Rc::clone(&state));
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        self.shared
            .load
            .of(self.index)
            .store(self.open(), Ordering::Relaxed);
        Rc::new(Live {
            id,
            worker: Rc::clone(self),
            state,
            _open: door.stats.connection(self.index),
        })
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Runs `see` on every connection.
    pub(crate) fn each_connection(&self, mut see: impl FnMut(u64, &Rc<LiveState>)) {
        for (id, state) in self.connections.borrow().iter() {
            see(*id, state);
        }
    }

    /// Lets connections end: idle ones now, others after their current request.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.each_connection(|_, state| state.close());
        self.pool.clear();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Ends relayed connections whose host their door may no longer know; idle ones are answered
    /// anew with their next request anyway.
    pub(crate) fn recheck(&self) {
        let current = self.current();
        self.each_connection(|_, state| {
            let Some(info) = state.info.get() else { return };
            let role = info.door.spec().role;
            let hidden =
                |sni: &CanonicalHost| current.snapshot.reachable(sni.as_str(), role).is_none();
            let refused = |relayed: &Relayed| {
                let entry = current
                    .snapshot
                    .reachable(relayed.host.as_str(), relayed.role);
                !entry.is_some_and(|entry| {
                    let verdict = entry.verdict(relayed.host.as_str(), &relayed.path);
                    let from = verdict.from.as_ref();
                    verdict.class.reaches(relayed.role)
                        && from.is_none_or(|from| info.verified && from.contains(info.client.ip()))
                })
            };
            let sni = info.tls.as_ref().and_then(|tls| tls.sni.as_ref());
            if sni.is_some_and(hidden) || current.snapshot.door(&info.door.spec().name).is_none() {
                state.close();
            }
            if state.relayed.borrow().iter().any(refused) {
                state.cut();
            }
        });
    }

    /// What is open, the oldest first.
    pub(crate) fn inspect(&self, most: usize) -> Vec<ConnectionView> {
        let mut views = Vec::new();
        self.each_connection(|id, state| views.push(ConnectionView::new(id, self.index, state)));
        views.sort_by_key(|view| std::cmp::Reverse(view.age));
        views.truncate(most);
        views
    }

    /// Sheds what the stage of overload asks for (L-91). Operators keep their connections.
    pub(crate) fn shed(&self) {
        if !self.overload.ends_connections() {
            return;
        }
        self.pool.clear();
        let now = Instant::now();
        let is_client = |state: &LiveState| {
            let info = state.info.get();
            info.is_some_and(|info| info.door.spec().role != Role::Admin)
        };
        let mut heavy = Vec::new();
        self.each_connection(|_, state| {
            if !is_client(state) {
                return;
            }
            // Who came a moment ago gets at least one answer.
            if now.duration_since(state.since) >= Self::ONE_ANSWER && !state.closing.get() {
                state.close();
            }
            if self.overload.closes_the_largest() {
                heavy.push((state.buffered(), Rc::clone(state)));
            }
        });
        heavy.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let most = heavy.len().div_ceil(Self::SHARE_OF_LARGEST);
        for (_, state) in heavy.iter().take(most) {
            if let Some(info) = state.info.get() {
                self.refused(info, "L-91");
                trail::refused_connection(self, info, "L-91");
            }
            state.end();
        }
    }

    /// Time after which a connection may be ended for want of memory.
    const ONE_ANSWER: Duration = Duration::from_secs(1);

    /// At each look, one of so many connections is closed: the largest ones.
    const SHARE_OF_LARGEST: usize = 20;

    /// Ends what is left.
    pub(crate) fn cut_all(&self) {
        self.each_connection(|_, state| state.cut());
    }
}

impl Current {
    /// How long requests may wait for a place (L-86).
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            most: self.limits.queued_requests,
            time: self.limits.queue_time,
        }
    }

    fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            limits: Rc::new(snapshot.limits.clone()),
            snapshot,
        }
    }
}

/// The task of a connection, by which it can be ended at any time.
pub(crate) type OwnTask = OnceCell<AbortHandle>;

/// A connection that is open on this worker.
pub(crate) struct Live {
    id: u64,
    worker: Rc<Worker>,
    state: Rc<LiveState>,
    _open: OpenConnection,
}

/// What the worker knows of an open connection.
pub(crate) struct LiveState {
    pub since: Instant,
    pub requests: Cell<u64>,
    pub info: OnceCell<Rc<ConnInfo>>,
    closing: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    cut: Notify,
    is_cut: Cell<bool>,
    /// What knows how much is buffered for it.
    buffers: RefCell<Option<Weak<dyn Buffers>>>,
    own: Rc<OwnTask>,
    /// Upgraded and passed-through streams, which no further request checks.
    relayed: RefCell<Vec<Relayed>>,
}

/// What holds bytes for a client (L-88).
pub(crate) trait Buffers {
    /// How many, at this moment.
    fn buffered(&self) -> usize;
}

/// What a stream was let through by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relayed {
    pub host: CanonicalHost,
    pub path: String,
    /// The role under which it was admitted.
    pub role: Role,
}

impl Live {
    /// Notes that bytes are relayed from now on.
    pub(crate) fn relays(&self, stream: Relayed) {
        let mut relayed = self.state.relayed.borrow_mut();
        if !relayed.contains(&stream) {
            relayed.push(stream);
        }
    }

    /// Counts a relayed stream that its client did not read (L-74).
    pub(crate) fn relay_ended(&self, end: RelayEnd) {
        if let (Cause::Stalled, Some(info)) = (end.cause, self.state.info.get()) {
            self.worker.refused(info, end.reason());
        }
    }

    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    pub(crate) fn set_info(&self, info: &Rc<ConnInfo>) {
        // Told once, when the handshake is over.
        let _ = self.state.info.set(Rc::clone(info));
    }

    /// Says what holds bytes for this client.
    pub(crate) fn buffers_in(&self, buffers: Weak<dyn Buffers>) {
        *self.state.buffers.borrow_mut() = Some(buffers);
    }

    pub(crate) fn count_request(&self) {
        self.state.requests.set(self.state.requests.get() + 1);
    }

    /// Whether the connection should end when it is idle.
    pub(crate) fn is_closing(&self) -> bool {
        self.state.closing.get()
    }

    /// Ready when the connection should end; wakes the task that asked last.
    pub(crate) fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.closing.get() {
            return Poll::Ready(());
        }
        let mut waker = self.state.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Completes when the connection must end at once.
    pub(crate) async fn cut(&self) {
        if !self.state.is_cut.get() {
            self.state.cut.notified().await;
        }
    }
}

impl LiveState {
    /// Bytes that are buffered for the client, as far as that is known.
    pub(crate) fn buffered(&self) -> usize {
        let buffers = self.buffers.borrow();
        let buffers = buffers.as_ref().and_then(Weak::upgrade);
        buffers.map_or(0, |buffers| buffers.buffered())
    }

    pub(crate) fn close(&self) {
        self.closing.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Ends it whatever it does: what is relayed in its own way, anything else where it stands.
    fn end(&self) {
        self.cut();
        if let (true, Some(task)) = (self.relayed.borrow().is_empty(), self.own.get()) {
            task.abort();
        }
    }

    pub(crate) fn cut(&self) {
        self.is_cut.set(true);
        self.cut.notify_waiters();
        self.close();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(&self.id);
        let shared = &self.worker.shared;
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        shared
            .load
            .of(self.worker.index)
            .store(self.worker.open(), Ordering::Relaxed);
        if self.worker.open() == 0 {
            self.worker.empty.notify_waiters();
        }
    }
}

/// Buffers for heads on their way out, used again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratch(RefCell<Vec<BytesMut>>);

impl Scratch {
    const SIZE: usize = 2 * 1024;
    const LARGEST: usize = 16 * 1024;
    const MOST: usize = 64;

    /// An empty buffer.
    pub(crate) fn take(&self) -> BytesMut {
        let mut buffer = self.0.borrow_mut().pop().unwrap_or_default();
        buffer.reserve(Self::SIZE);
        buffer
    }

    /// Gives a buffer back.
    pub(crate) fn put(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut buffers = self.0.borrow_mut();
        if buffers.len() < Self::MOST && (1..=Self::LARGEST).contains(&buffer.capacity()) {
            buffers.push(buffer);
        }
    }
}

/// Retries are at most a fifth of the requests, with ten a second free.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tokens: Cell<f64>,
    filled: Cell<Instant>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            tokens: Cell::new(Self::MOST),
            filled: Cell::new(Instant::now()),
        }
    }
}

impl RetryBudget {
    const PER_REQUEST: f64 = 0.2;
    const PER_SECOND: f64 = 10.0;
    const MOST: f64 = 100.0;

    pub(crate) fn request(&self) {
        self.tokens
            .set((self.tokens.get() + Self::PER_REQUEST).min(Self::MOST));
    }

    /// Takes one retry out of the budget.
    pub(crate) fn retry(&self) -> bool {
        let now = Instant::now();
        let refill = now.duration_since(self.filled.replace(now)).as_secs_f64() * Self::PER_SECOND;
        let tokens = (self.tokens.get() + refill).min(Self::MOST);
        let allowed = tokens >= 1.0;
        self.tokens.set(if allowed { tokens - 1.0 } else { tokens });
        allowed
    }
}
