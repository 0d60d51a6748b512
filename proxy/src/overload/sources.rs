//! What one source may take: connections, new ones per second, unfinished handshakes (L-81).
//!
//! A source is an IPv4 address or an IPv6 /64. The numbers are exact per process, in shards that
//! only connections through limited doors touch. What must stay true: an attacker with many
//! addresses cannot make the table grow beyond what is really connected, and a little more.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use adit_route::cidr;

use crate::limits::Limits;

/// Parts of the table, each behind its own lock.
const SHARDS: usize = 64;

/// A shard is swept when it has so many sources, or twice as many as were left the last time.
const SWEEP_AT: usize = 1024;

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    is_v6: bool,
    bits: u64,
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match cidr::fold(address) {
            IpAddr::V4(address) => Self {
                is_v6: false,
                bits: u64::from(address.to_bits()),
            },
            IpAddr::V6(address) => Self {
                is_v6: true,
                bits: (address.to_bits() >> 64) as u64,
            },
        }
    }
}

/// All sources that are connected, or were a moment ago.
#[derive(Debug)]
pub(crate) struct Sources {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    known: HashMap<Source, Usage>,
    sweep_at: usize,
}

/// What a source has taken.
#[derive(Debug)]
struct Usage {
    connections: usize,
    handshakes: usize,
    /// Connections that it may still make at once.
    tokens: f64,
    filled: Instant,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl Sources {
    /// Counts a connection in, and its handshake if there will be one; `false` if that is too much.
    pub(crate) fn enter(
        &self,
        source: Source,
        handshake: bool,
        limits: &Limits,
        now: Instant,
    ) -> bool {
        let mut shard = self.shard(source);
        shard.make_room(limits, now);
        let usage = shard.known.entry(source).or_insert_with(|| Usage {
            connections: 0,
            handshakes: 0,
            tokens: limits.source_burst as f64,
            filled: now,
        });
        usage.fill(limits, now);
        let shaking = usize::from(handshake);
        let fits = usage.tokens >= 1.0
            && usage.connections < limits.source_connections
            && usage.handshakes + shaking <= limits.source_handshakes;
        if fits {
            usage.tokens -= 1.0;
            usage.connections += 1;
            usage.handshakes += shaking;
        }
        fits
    }

    /// The handshake of a connection is over, well or not.
    pub(crate) fn shaken(&self, source: Source) {
        if let Some(usage) = self.shard(source).known.get_mut(&source) {
            usage.handshakes = usage.handshakes.saturating_sub(1);
        }
    }

    /// A connection is over.
    pub(crate) fn leave(&self, source: Source) {
        if let Some(usage) = self.shard(source).known.get_mut(&source) {
            usage.connections = usage.connections.saturating_sub(1);
        }
    }

    /// How many sources are remembered.
    pub(crate) fn known(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| lock(shard).known.len())
            .sum()
    }

    fn shard(&self, source: Source) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(source) as usize % SHARDS;
        // The index is below the length: the first is never taken instead.
        let [first, ..] = &self.shards;
        lock(self.shards.get(index).unwrap_or(first))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Forgets sources without connections: those first that have nothing to answer for.
    fn make_room(&mut self, limits: &Limits, now: Instant) {
        if self.known.len() < self.sweep_at.max(SWEEP_AT) {
            return;
        }
        self.known.retain(|_, usage| {
            usage.fill(limits, now);
            usage.connections > 0 || usage.tokens < limits.source_burst as f64
        });
        if self.known.len() > SWEEP_AT / 2 {
            self.known.retain(|_, usage| usage.connections > 0);
        }
        self.sweep_at = self.known.len() * 2;
    }
}

impl Usage {
    fn fill(&mut self, limits: &Limits, now: Instant) {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        let tokens = self.tokens + since * limits.source_rate as f64;
        self.tokens = tokens.min(limits.source_burst as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits {
            source_connections: 3,
            source_rate: 10,
            source_burst: 5,
            source_handshakes: 2,
            ..Limits::default()
        }
    }

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_a_64_of_ipv6() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1:2:3", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::192.0.2.1", "192.0.2.1", false),
        ] {
            assert_eq!(source(one) == source(other), same, "{one} {other}");
        }
    }

    #[test]
    fn each_of_the_three_numbers_has_its_end() {
        let (sources, limits, now) = (Sources::default(), limits(), Instant::now());
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        let enter = |source, handshake, now| sources.enter(source, handshake, &limits, now);
        assert!(enter(one, true, now) && enter(one, true, now));
        assert!(!enter(one, true, now), "a third handshake");
        assert!(enter(one, false, now), "which is not the third connection");
        assert!(!enter(one, false, now), "a fourth connection");
        sources.shaken(one);
        assert!(
            !enter(one, true, now),
            "a handshake that ends frees no connection"
        );
        sources.leave(one);
        assert!(enter(one, true, now));
        // Five at once, and then ten a second.
        for n in 0..7 {
            let now = now + Duration::from_millis(n);
            assert_eq!(enter(other, false, now), n < 5, "{n}");
            sources.leave(other);
        }
        assert!(enter(other, false, now + Duration::from_millis(110)));
    }

    #[test]
    fn many_addresses_do_not_make_many_entries() {
        let (sources, limits, now) = (Sources::default(), limits(), Instant::now());
        let stays = source("198.51.100.1");
        assert!(sources.enter(stays, false, &limits, now));
        for n in 0..400_000_u32 {
            let source = IpAddr::V4(Ipv4Addr::from_bits(n)).into();
            assert!(sources.enter(source, true, &limits, now));
            sources.shaken(source);
            sources.leave(source);
        }
        for n in 0..400_000_u128 {
            let source = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | (n << 64))).into();
            assert!(sources.enter(source, true, &limits, now));
            sources.leave(source);
        }
        assert!(sources.known() <= SHARDS * SWEEP_AT, "{}", sources.known());
        sources.leave(stays);
        let shard = sources.shard(stays);
        assert_eq!(
            shard.known.get(&stays).map(|usage| usage.connections),
            Some(0)
        );
    }
}
