//! What all clients together may take, and what one of them may: the numbers that workers share.
//!
//! `places` counts requests in flight, `sources` what an address takes, `handshakes` those that are
//! not finished. Nothing here is touched by traffic that the limit in question does not concern.

mod handshakes;
mod places;
mod sources;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::limits::Limits;
use crate::metrics::PerWorker;

pub(crate) use handshakes::{Handshakes, Unfinished};
pub(crate) use places::{Measure, Patience, Places, Queue, Stock};
use sources::{Source, Sources};

/// The state of the process as far as its limits are concerned.
#[derive(Debug)]
pub struct Overload {
    requests: Places,
    stocks: PerWorker<Stock>,
    sources: Sources,
    handshakes: AtomicUsize,
}

impl Overload {
    /// For so many data workers.
    pub fn new(workers: usize) -> Self {
        Self {
            requests: Places::default(),
            stocks: PerWorker::new(workers),
            sources: Sources::default(),
            handshakes: AtomicUsize::new(0),
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

    /// The numbers of this moment.
    pub(crate) fn read(&self) -> OverloadReading {
        OverloadReading {
            requests: self.stocks.sum(|stock| stock.taken() as u64),
            handshakes: self.handshakes.load(Ordering::Relaxed),
            sources: self.sources.known(),
        }
    }
}

/// What all clients together have taken at one moment.
#[derive(Clone, Debug, Default)]
pub struct OverloadReading {
    /// Requests in flight (L-85).
    pub requests: u64,
    /// Unfinished TLS handshakes (L-82).
    pub handshakes: usize,
    /// Sources that are remembered (L-81).
    pub sources: usize,
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
