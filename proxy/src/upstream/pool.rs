//! Idle backend connections of one worker.
//!
//! Keyed by endpoint: an endpoint belongs to one upstream and so to one set of TLS, PROXY and
//! identity settings (D-04). The most recently used connection is taken first. A connection on
//! which anything arrived while it was idle is dropped (D-91).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::h1::client::Connection;
use crate::h2::client::Channel;

/// The idle connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<u32, Vec<Idle>, foldhash::fast::RandomState>>,
    channels: RefCell<HashMap<u32, Vec<Channel>, foldhash::fast::RandomState>>,
    /// Endpoints to which an HTTP/2 connection is being made; others wait for it.
    opening: RefCell<Vec<u32>>,
    opened: Notify,
    reused: Cell<u64>,
    discarded: Cell<u64>,
}

/// What a pool holds and has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolReading {
    /// Idle HTTP/1 connections, and open HTTP/2 ones.
    pub open: u64,
    /// Requests that found a connection.
    pub reused: u64,
    /// Connections that were too old or had been closed.
    pub discarded: u64,
}

/// The right to open an HTTP/2 connection; dropping it lets others look again.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    pool: &'a Pool,
    endpoint: u32,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.pool
            .opening
            .borrow_mut()
            .retain(|endpoint| *endpoint != self.endpoint);
        self.pool.opened.notify_waiters();
    }
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    keep: Duration,
}

/// A place to return to.
#[derive(Debug)]
pub(crate) struct Berth {
    pub pool: Rc<Pool>,
    pub endpoint: u32,
    /// Idle connections kept for the endpoint (L-87).
    pub most: usize,
    /// How long this one is kept.
    pub keep: Duration,
}

impl Berth {
    /// The backend closes after `announced`: we give up the connection a second earlier.
    pub(crate) fn no_longer_than(mut self, announced: Option<Duration>) -> Self {
        if let Some(announced) = announced {
            self.keep = self
                .keep
                .min(announced.saturating_sub(Duration::from_secs(1)));
        }
        self
    }

    /// Keeps the connection for a later request.
    pub(crate) fn moor(self, connection: Connection) {
        let mut idle = self.pool.idle.borrow_mut();
        let berths = idle.entry(self.endpoint).or_default();
        if berths.len() >= self.most && !berths.is_empty() {
            berths.remove(0);
        }
        if self.most > 0 {
            berths.push(Idle {
                connection,
                since: Instant::now(),
                keep: self.keep,
            });
        }
    }
}

/// A connection idle for longer than this may have been closed without our knowing yet; requests
/// that cannot be repeated do not risk it.
const FRESH: Duration = Duration::from_secs(1);

impl Pool {
    /// An idle connection to the endpoint, the freshest first.
    pub(crate) fn take(&self, endpoint: u32, repeatable: bool, now: Instant) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let berths = idle.get_mut(&endpoint)?;
        while let Some(candidate) = berths.pop() {
            let age = now.saturating_duration_since(candidate.since);
            if age < candidate.keep
                && candidate.connection.is_quiet()
                && (repeatable || age < FRESH)
            {
                self.reused.set(self.reused.get() + 1);
                return Some(candidate.connection);
            }
            self.discarded.set(self.discarded.get() + 1);
        }
        None
    }

    /// The HTTP/2 connections to an endpoint, the broken ones removed.
    pub(crate) fn channels(&self, endpoint: u32) -> Vec<Channel> {
        let mut channels = self.channels.borrow_mut();
        let Some(of_endpoint) = channels.get_mut(&endpoint) else {
            return Vec::new();
        };
        of_endpoint.retain(|channel| !channel.is_closed());
        of_endpoint.clone()
    }

    /// The right to open a connection, if nobody else is opening one to this endpoint.
    pub(crate) fn opening(&self, endpoint: u32) -> Option<Opening<'_>> {
        let mut opening = self.opening.borrow_mut();
        if opening.contains(&endpoint) {
            return None;
        }
        opening.push(endpoint);
        Some(Opening {
            pool: self,
            endpoint,
        })
    }

    /// Completes when some connection has been opened, or could not be.
    pub(crate) async fn opened(&self) {
        self.opened.notified().await;
    }

    pub(crate) fn add_channel(&self, endpoint: u32, channel: Channel) {
        self.channels
            .borrow_mut()
            .entry(endpoint)
            .or_default()
            .push(channel);
    }

    /// Drops what has been idle for too long or was closed by the backend, and everything of
    /// endpoints that `live` does not know any more.
    pub(crate) fn reap(&self, keep: Duration, live: impl Fn(u32) -> bool) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|endpoint, berths| {
            berths.retain(|idle| {
                now.duration_since(idle.since) < idle.keep && idle.connection.is_quiet()
            });
            !berths.is_empty() && live(*endpoint)
        });
        self.channels.borrow_mut().retain(|endpoint, channels| {
            channels.retain(|channel| !channel.is_closed() && !channel.is_idle_for(keep));
            !channels.is_empty() && live(*endpoint)
        });
    }

    /// The numbers of this moment.
    pub(crate) fn read(&self) -> PoolReading {
        let idle: usize = self.idle.borrow().values().map(Vec::len).sum();
        let channels: usize = self.channels.borrow().values().map(Vec::len).sum();
        PoolReading {
            open: (idle + channels) as u64,
            reused: self.reused.get(),
            discarded: self.discarded.get(),
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
        self.channels.borrow_mut().clear();
    }
}
