//! What all workers read, and the two numbers that they share.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::http::message::{Request, Response};
use crate::metrics::{Metrics, PerWorker};
use crate::snapshot::Snapshot;
use crate::upstream::destination;

/// Answers on doors of role `admin`. Read-only: nothing it does changes anything.
pub trait AdminSurface: Send + Sync {
    /// The answer to a request.
    fn respond<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Response> + 'a>>;
}

pub(crate) struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    /// Number of the newest generation; looked at before the pointer is.
    pub generation: AtomicU64,
    pub workers: usize,
    pub metrics: Arc<Metrics>,
    /// Our own name in `Via`.
    pub pseudonym: HeaderValue,
    /// Client connections of the process (L-80).
    pub connections: AtomicUsize,
    pub most_connections: usize,
    /// Connections by worker, looked at when one is accepted.
    pub load: PerWorker<AtomicUsize>,
    pub admin: Arc<dyn AdminSurface>,
    /// Addresses of our own doors.
    pub own: ArcSwap<Vec<SocketAddr>>,
}

impl Shared {
    /// Whether a backend address is one of our own doors.
    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        destination::is_listener(address.ip(), address.port(), &self.own.load()).is_some()
    }

    /// Whether one more client connection is within the limit (L-80).
    pub(crate) fn has_room(&self) -> bool {
        self.connections.load(Ordering::Relaxed) < self.most_connections
    }
}
