//! What all workers read, and the few numbers that they share.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::http::message::{Request, Response};
use crate::metrics::{Metrics, PerWorker};
use crate::snapshot::Snapshot;
use crate::tls::TicketSecrets;
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
    /// Misused ones are looked for.
    pub tickets: Arc<TicketSecrets>,
    /// Descriptors from this number on are for operators and ourselves (L-93).
    pub most_descriptors: u64,
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

    /// Whether a descriptor leaves enough of them to operators and to ourselves (L-93). The kernel
    /// gives the lowest number that is free, so a high one says how many are in use.
    pub(crate) fn may_hold(&self, stream: &impl AsRawFd) -> bool {
        let number = u64::try_from(stream.as_raw_fd()).unwrap_or(0);
        number < self.most_descriptors
    }

    /// Whether one more client connection is within the limit (L-80); 0 is what the machine allows.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        let most = if limit == 0 {
            self.metrics.overload().most_connections()
        } else {
            limit
        };
        self.connections.load(Ordering::Relaxed) < most
    }
}
