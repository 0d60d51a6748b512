//! What all clients together may take, and what one of them may: the numbers that workers share.
//!
//! `places` counts requests in flight, `sources` what an address takes, `handshakes` those that are
//! not finished. `watch` looks at memory and at the workers' `lag`, `pressure` makes stages of them,
//! and `stages` says what each of them sheds. Nothing here is touched by traffic that the limit in question does not concern.

mod handshakes;
mod lag;
mod places;
mod pressure;
mod sources;
mod stages;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::metrics::PerWorker;

pub(crate) use handshakes::{Handshakes, Unfinished};
pub(crate) use lag::Lag;
pub(crate) use places::{Measure, Patience, Places, Queue, Stock};
use sources::{Source, Sources};
use stages::{LAG, MEMORY, Pulse};
pub(crate) use watch::Watch;

/// The state of the process as far as its limits are concerned.
#[derive(Debug)]
pub struct Overload {
    requests: Places,
    stocks: PerWorker<Stock>,
    sources: Sources,
    handshakes: AtomicUsize,
    workers: usize,
    pulses: PerWorker<Pulse>,
    memory_stage: AtomicU8,
    lag_stage: AtomicU8,
    memory_used: AtomicU64,
    memory_limit: AtomicU64,
    /// Stages that were entered.
    entered: AtomicU64,
    /// What the machine allows (L-80).
    most_connections: AtomicUsize,
    in_force: [AtomicU64; 3],
}

impl Overload {
    /// For so many data workers.
    pub fn new(workers: usize) -> Self {
        Self {
            requests: Places::default(),
            stocks: PerWorker::new(workers),
            sources: Sources::default(),
            handshakes: AtomicUsize::new(0),
            workers,
            pulses: PerWorker::new(workers),
            memory_stage: AtomicU8::new(0),
            lag_stage: AtomicU8::new(0),
            memory_used: AtomicU64::new(0),
            memory_limit: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            most_connections: AtomicUsize::new(0),
            in_force: Default::default(),
        }
    }

    /// Takes a place for a request (L-85).
    pub(crate) fn begin_request(&self, worker: usize, measure: Measure) -> bool {
        self.requests.take(self.stocks.of(worker), measure)
    }

    /// Gives it back.
    pub(crate) fn end_request(&self, worker: usize, measure: Measure) {
        self.requests.give(self.stocks.of(worker), measure);
    }

    /// Client connections that the machine allows (L-80).
    pub fn most_connections(&self) -> usize {
        self.most_connections.load(Ordering::Relaxed)
    }

    /// The limit of memory that is in force; 0 is none.
    pub fn memory_limit(&self) -> u64 {
        self.memory_limit.load(Ordering::Relaxed)
    }

    /// The numbers of this moment.
    pub(crate) fn read(&self) -> OverloadReading {
        OverloadReading {
            requests: self.stocks.sum(|stock| stock.taken() as u64),
            handshakes: self.handshakes.load(Ordering::Relaxed),
            sources: self.sources.known(),
            stages: [&MEMORY, &LAG].map(|signal| (signal.name, signal.stage(self))),
            entered: self.entered.load(Ordering::Relaxed),
            memory_used: self.memory_used.load(Ordering::Relaxed),
            memory_limit: self.memory_limit.load(Ordering::Relaxed),
            lag: (0..self.workers)
                .map(|worker| self.lag_of(worker))
                .collect(),
            silent: self.silent().len(),
            limits: {
                let [connections, requests, handshakes] = self
                    .in_force
                    .each_ref()
                    .map(|limit| limit.load(Ordering::Relaxed));
                InForce {
                    connections,
                    requests,
                    handshakes,
                }
            },
        }
    }
}

/// What all clients together have taken at one moment.
#[derive(Clone, Debug)]
pub struct OverloadReading {
    /// Requests in flight (L-85).
    pub requests: u64,
    /// Unfinished TLS handshakes (L-82).
    pub handshakes: usize,
    /// Sources that are remembered (L-81).
    pub sources: usize,
    /// The stage of each signal (L-91, L-92).
    pub stages: [(&'static str, u8); 2],
    /// Stages that were entered so far.
    pub entered: u64,
    /// Memory that counts against the limit, in bytes.
    pub memory_used: u64,
    /// The limit of memory; 0 is none.
    pub memory_limit: u64,
    /// How late the loop of each worker is.
    pub lag: Vec<Duration>,
    /// Workers that do not turn any more.
    pub silent: usize,
    /// The limits that are in force.
    pub limits: InForce,
}

/// Limits of the process as they are in force: written, or derived from the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct InForce {
    /// L-80.
    pub connections: u64,
    /// L-85.
    pub requests: u64,
    /// L-82.
    pub handshakes: u64,
}

/// A connection that counts for its source until this is dropped.
#[derive(Debug)]
pub(crate) struct OfSource {
    overload: Arc<Overload>,
    source: Source,
    shaking: bool,
}

impl OfSource {
    /// Counts a connection from an address; `None` if that is too much (L-81).
    pub(crate) fn enter(
        overload: &Arc<Overload>,
        address: IpAddr,
        handshake: bool,
        limits: &Limits,
    ) -> Option<Self> {
        let source = Source::from(address);
        let now = Instant::now();
        let entered = overload.sources.enter(source, handshake, limits, now);
        entered.then(|| Self {
            overload: Arc::clone(overload),
            source,
            shaking: handshake,
        })
    }

    /// The TLS handshake is over.
    pub(crate) fn shaken(&mut self) {
        if std::mem::take(&mut self.shaking) {
            self.overload.sources.shaken(self.source);
        }
    }
}

impl Drop for OfSource {
    fn drop(&mut self) {
        self.shaken();
        self.overload.sources.leave(self.source);
    }
}
