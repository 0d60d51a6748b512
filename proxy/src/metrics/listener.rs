//! What is counted of a door: connections, TLS handshakes and refusals.
//!
//! Every refusal has the id of the rule that made it (O-01), in one counter per rule and door.

use std::sync::{Arc, OnceLock};

use super::family::{OTHER, label};
use super::refusals::{self, Refusals};
use super::shard::{Counter, PerWorker};
use crate::h2;

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handshake {
    /// A new session.
    Full,
    /// A resumed session.
    Resumed,
    /// The client named no host, and there is no certificate for that.
    NoName,
    /// The client named a host that is not served here.
    UnknownName,
    /// The client's certificate was missing or not accepted.
    ClientCertificate,
    /// Nothing in common, or not TLS.
    Protocol,
    /// Not finished in time (L-62).
    Timeout,
    /// The client went away.
    Closed,
}

impl Handshake {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 8] = [
        Self::Full,
        Self::Resumed,
        Self::NoName,
        Self::UnknownName,
        Self::ClientCertificate,
        Self::Protocol,
        Self::Timeout,
        Self::Closed,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::NoName => "no_name",
            Self::UnknownName => "unknown_name",
            Self::ClientCertificate => "client_certificate",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
        }
    }
}

/// The TLS version of a handshake, as far as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeVersion {
    /// None was agreed on.
    None,
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl HandshakeVersion {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::None, Self::V1_2, Self::V1_3];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// Counters of a door, shared by all generations that have it.
#[derive(Debug)]
pub struct ListenerStats {
    name: Box<str>,
    shards: PerWorker<ListenerShard>,
}

#[derive(Debug, Default)]
struct ListenerShard {
    opened: Counter,
    closed: Counter,
    handshakes: [[Counter; HandshakeVersion::ALL.len()]; Handshake::ALL.len()],
    refused: OnceLock<Refusals>,
    h2_frames: [Counter; h2::KINDS.len()],
}

impl ListenerStats {
    pub(super) fn new(name: &str, workers: usize) -> Self {
        Self {
            name: label(name).into(),
            shards: PerWorker::new(workers),
        }
    }

    pub(super) fn other(workers: usize) -> Self {
        Self::new(OTHER, workers)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a connection until the answer is dropped.
    pub fn connection(self: &Arc<Self>, worker: usize) -> OpenConnection {
        self.shards.of(worker).opened.increment();
        OpenConnection {
            listener: Arc::clone(self),
            worker,
        }
    }

    /// Counts a TLS handshake that ended.
    pub fn handshake(&self, worker: usize, result: Handshake, version: HandshakeVersion) {
        let versions = self.shards.of(worker).handshakes.get(result as usize);
        if let Some(counter) = versions.and_then(|counters| counters.get(version as usize)) {
            counter.increment();
        }
    }

    /// Counts a refusal by the id of the rule that made it (O-01).
    pub fn refused(&self, worker: usize, rule: &'static str) {
        self.refused_times(worker, rule, 1);
    }

    /// Counts so many refusals.
    pub fn refused_times(&self, worker: usize, rule: &'static str, times: u32) {
        let shard = self.shards.of(worker);
        shard
            .refused
            .get_or_init(Refusals::default)
            .count(rule, times);
    }

    /// Counts HTTP/2 frames from clients, of one type.
    pub(crate) fn h2_frames(&self, worker: usize, kind: usize, count: u32) {
        if let Some(counter) = self.shards.of(worker).h2_frames.get(kind) {
            counter.add(u64::from(count));
        }
    }

    /// The counters of this moment.
    pub fn read(&self) -> ListenerReading {
        let opened = self.shards.sum(|shard| shard.opened.value());
        let closed = self.shards.sum(|shard| shard.closed.value());
        let refused = refusals::sum(self.shards.iter().map(|shard| &shard.refused));
        ListenerReading {
            name: self.name.clone(),
            connections: opened,
            active: opened.saturating_sub(closed),
            handshakes: self.read_handshakes(),
            refused,
            h2_frames: std::array::from_fn(|kind| {
                let count =
                    |shard: &ListenerShard| shard.h2_frames.get(kind).map_or(0, Counter::value);
                self.shards.sum(count)
            }),
        }
    }

    fn read_handshakes(&self) -> Vec<(Handshake, HandshakeVersion, u64)> {
        let mut handshakes = Vec::new();
        for result in Handshake::ALL {
            for version in HandshakeVersion::ALL {
                let count = self.shards.sum(|shard| {
                    let versions = shard.handshakes.get(result as usize);
                    let counter = versions.and_then(|counters| counters.get(version as usize));
                    counter.map_or(0, Counter::value)
                });
                if count > 0 {
                    handshakes.push((result, version, count));
                }
            }
        }
        handshakes
    }
}

/// A connection that is open as long as this lives.
#[derive(Debug)]
pub struct OpenConnection {
    listener: Arc<ListenerStats>,
    worker: usize,
}

impl OpenConnection {
    /// The door it came through.
    pub fn listener(&self) -> &Arc<ListenerStats> {
        &self.listener
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.listener.shards.of(self.worker).closed.increment();
    }
}

/// The counters of a door at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerReading {
    /// Its name.
    pub name: Box<str>,
    /// Connections accepted so far.
    pub connections: u64,
    /// Connections open now.
    pub active: u64,
    /// TLS handshakes that happened at all.
    pub handshakes: Vec<(Handshake, HandshakeVersion, u64)>,
    /// Refusals by rule, in the order of the ids.
    pub refused: Vec<(&'static str, u64)>,
    /// HTTP/2 frames that came, by type.
    pub h2_frames: [u64; h2::KINDS.len()],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_active_until_they_are_dropped() {
        let listener = Arc::new(ListenerStats::new("lan", 2));
        let open = [0, 1, 1].map(|worker| listener.connection(worker));
        let reading = listener.read();
        assert_eq!((reading.connections, reading.active), (3, 3));
        drop(open);
        let reading = listener.read();
        assert_eq!((reading.connections, reading.active), (3, 0));
    }

    #[test]
    fn refusals_are_counted_by_rule_over_all_workers() {
        let listener = ListenerStats::new("lan", 2);
        for (worker, rule) in [(0, "D-30"), (1, "D-30"), (0, "P-05"), (2, "D-30")] {
            listener.refused(worker, rule);
        }
        assert_eq!(listener.read().refused, [("D-30", 3), ("P-05", 1)]);
    }

    #[test]
    fn handshakes_are_told_apart_by_result_and_version() {
        let listener = ListenerStats::new("lan", 1);
        listener.handshake(0, Handshake::Full, HandshakeVersion::V1_3);
        listener.handshake(1, Handshake::Full, HandshakeVersion::V1_3);
        listener.handshake(0, Handshake::UnknownName, HandshakeVersion::None);
        assert_eq!(
            listener.read().handshakes,
            [
                (Handshake::Full, HandshakeVersion::V1_3, 2),
                (Handshake::UnknownName, HandshakeVersion::None, 1)
            ]
        );
    }
}
