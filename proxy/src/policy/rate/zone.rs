//! What a zone remembers of each client: how far ahead of its rates it is, and how many of its
//! requests are in progress.
//!
//! Sharded by client, one lock for a few dozen nanoseconds each, exact for the process. The table is
//! bounded: where it is full, whoever has been silent longest is forgotten, and nobody is refused
//! for it (RAT-06). Clients with requests in progress are never forgotten; there are no more of
//! them than requests.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adit_route::policy::{Period, RequestRate};

const SHARDS: usize = 16;
/// Clients of a zone that are remembered: 65536, with about 100 bytes for each.
const MOST_PER_SHARD: usize = 4096;
/// One request, in the unit of levels: fine enough that a rate of one an hour loses nothing.
const ONE: u64 = 1_000_000;
const NONE: u32 = u32::MAX;

/// The counters of one zone.
#[derive(Debug)]
pub(crate) struct Zone {
    shards: [Mutex<Shard>; SHARDS],
    hasher: foldhash::fast::RandomState,
    started: Instant,
}

/// What a client must keep to; a level for each period.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    pub rates: [Option<RequestRate>; Period::ALL.len()],
    pub connections: Option<u32>,
}

/// Whether a request may go on.
#[derive(Debug)]
pub(super) enum Entry {
    /// It may, and is in progress while the place is held, if that is counted.
    Admitted(Option<Place>),
    /// It comes too soon by this much.
    TooSoon(Duration),
    /// Too many requests of the client are in progress.
    TooMany,
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct Place {
    zone: Arc<Zone>,
    client: u128,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.zone.shard(self.client).leave(self.client);
    }
}

impl Zone {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: foldhash::fast::RandomState::default(),
            started: Instant::now(),
        }
    }

    /// Counts a request at `now`, if all terms let it pass; a refused one counts nowhere.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr, terms: &Terms, now: Instant) -> Entry {
        let now = now.saturating_duration_since(self.started).as_millis() as u64;
        let client = number(client);
        let mut shard = self.shard(client);
        match shard.enter(client, terms, now) {
            Ok(()) => Entry::Admitted(terms.connections.map(|_| Place {
                zone: Arc::clone(self),
                client,
            })),
            Err(refusal) => refusal,
        }
    }

    /// How many clients are remembered.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        let count = |shard: &Mutex<Shard>| shard.lock().map_or(0, |shard| shard.slots.len());
        self.shards.iter().map(count).sum()
    }

    fn shard(&self, client: u128) -> MutexGuard<'_, Shard> {
        let at = (self.hasher.hash_one(client) >> 32) as usize % SHARDS;
        let shard = self.shards.get(at).unwrap_or(&self.shards[0]);
        // Nothing that is done under the lock can panic half-way.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole address (RAT-01), IPv4 in its mapped form.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// What is known of a client, in a list from the newest to the oldest while nothing is in progress.
#[derive(Debug)]
struct Slot {
    client: u128,
    /// When it was counted last, in milliseconds of the zone.
    at: u64,
    /// How far it is ahead of each rate.
    levels: [u64; Period::ALL.len()],
    in_progress: u32,
    newer: u32,
    older: u32,
}

#[derive(Debug)]
struct Shard {
    index: HashMap<u128, u32, foldhash::fast::RandomState>,
    slots: Vec<Slot>,
    newest: u32,
    oldest: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            index: HashMap::default(),
            slots: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }
}

impl Shard {
    fn enter(&mut self, client: u128, terms: &Terms, now: u64) -> Result<(), Entry> {
        let known = self.index.get(&client).copied();
        let levels = match known.and_then(|at| self.slots.get(at as usize)) {
            Some(slot) => slot.after(terms, now)?,
            None if terms.connections == Some(0) => return Err(Entry::TooMany),
            None => [0; Period::ALL.len()],
        };
        let at = known.unwrap_or_else(|| self.add(client));
        self.unlink(at);
        let Some(slot) = self.slots.get_mut(at as usize) else {
            return Ok(());
        };
        slot.levels = levels;
        slot.at = now;
        if terms.connections.is_some() {
            slot.in_progress += 1;
        }
        self.link(at);
        Ok(())
    }

    fn leave(&mut self, client: u128) {
        let Some(&at) = self.index.get(&client) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(at as usize) {
            slot.in_progress = slot.in_progress.saturating_sub(1);
        }
        self.unlink(at);
        self.link(at);
    }

    /// A slot for a client that is new here: that of the oldest, if there are enough.
    fn add(&mut self, client: u128) -> u32 {
        let fresh = Slot {
            client,
            at: 0,
            levels: [0; Period::ALL.len()],
            in_progress: 0,
            newer: NONE,
            older: NONE,
        };
        let at = if self.slots.len() >= MOST_PER_SHARD && self.oldest != NONE {
            let at = self.oldest;
            self.unlink(at);
            if let Some(slot) = self.slots.get_mut(at as usize) {
                self.index.remove(&slot.client);
                *slot = fresh;
            }
            at
        } else {
            self.slots.push(fresh);
            (self.slots.len() - 1) as u32
        };
        self.index.insert(client, at);
        at
    }

    fn is_linked(&self, at: u32) -> bool {
        let slot = self.slots.get(at as usize);
        slot.is_some_and(|slot| slot.newer != NONE || slot.older != NONE || self.newest == at)
    }

    fn unlink(&mut self, at: u32) {
        if !self.is_linked(at) {
            return;
        }
        let Some(slot) = self.slots.get_mut(at as usize) else {
            return;
        };
        let (newer, older) = (slot.newer, slot.older);
        (slot.newer, slot.older) = (NONE, NONE);
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// Makes it the newest, unless something of it is in progress.
    fn link(&mut self, at: u32) {
        let newest = self.newest;
        match self.slots.get_mut(at as usize) {
            Some(slot) if slot.in_progress == 0 => slot.older = newest,
            _ => return,
        }
        match self.slots.get_mut(newest as usize) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

impl Slot {
    /// The levels with one more request at `now`, if that is within the terms (RAT-02).
    fn after(&self, terms: &Terms, now: u64) -> Result<[u64; Period::ALL.len()], Entry> {
        if terms
            .connections
            .is_some_and(|most| self.in_progress >= most)
        {
            return Err(Entry::TooMany);
        }
        let elapsed = now.saturating_sub(self.at);
        let mut levels = self.levels;
        let mut wait = 0;
        for (level, rate) in levels.iter_mut().zip(&terms.rates) {
            // A level that no rate looks at is not kept.
            let Some(rate) = rate else {
                *level = 0;
                continue;
            };
            let period = rate.period.length().as_millis() as u64;
            let speed = u64::from(rate.count).saturating_mul(ONE);
            let drained = elapsed.saturating_mul(speed) / period;
            *level = level.saturating_add(ONE).saturating_sub(drained);
            let burst = u64::from(rate.burst).saturating_mul(ONE);
            if let Some(over) = level.checked_sub(burst).filter(|over| *over > 0) {
                wait = wait.max(over.saturating_mul(period).div_ceil(speed.max(1)));
            }
        }
        if wait > 0 {
            return Err(Entry::TooSoon(Duration::from_millis(wait)));
        }
        Ok(levels)
    }
}
