//! Choosing one endpoint of an upstream for a request.
//!
//! Every way of choosing looks at the same endpoints: fit ones that were not tried yet; if there is
//! none, any that were not tried (a bad endpoint is better than none); then the tried ones. Busy
//! ones (L-86) are passed over, and if that leaves none the answer is "busy", never an unfit one.
//! What must stay true: a choice allocates nothing, takes no lock, and writes only to the worker's
//! own cursor and to the in-flight count of the endpoint that it returns.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use adit_route::Balance;

use crate::upstream::endpoint::{InFlight, Load, Upstream, millis};
use crate::upstream::outlier::Outcome;
use crate::upstream::set::{EndpointSet, Member};

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// The worker that chooses.
    pub worker: usize,
    /// Hash of the value that [`Balance::Hash`] names, by [`hash_key`]; `None` goes in turn.
    pub hash: Option<u64>,
    /// Where the request's session is, before any way of balancing.
    pub session: Option<Session>,
    /// Ids of endpoints that this request has been sent to already.
    pub tried: &'a [u32],
    /// Requests in flight at one endpoint, at most (L-86).
    pub limit: usize,
    /// Now.
    pub now: Instant,
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// At this place of the ring (`crate::upstream::sessions`).
    Ring(u32),
    /// At the endpoint with this id.
    Endpoint(u32),
}

/// Why there is no endpoint for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickError {
    /// None is known: a name without an address, or weights of 0.
    NoEndpoints,
    /// Each has as many requests in flight as it may have.
    AllBusy,
}

/// A worker's place in the round; workers start at different places.
#[derive(Debug)]
pub(super) struct Cursor(AtomicUsize);

impl Default for Cursor {
    fn default() -> Self {
        Self(AtomicUsize::new(fastrand::usize(..)))
    }
}

impl Cursor {
    fn next(&self) -> usize {
        let place = self.0.load(Ordering::Relaxed);
        self.0.store(place.wrapping_add(1), Ordering::Relaxed);
        place
    }
}

/// Which endpoints are considered, from the best case to the worst.
#[derive(Clone, Copy, Debug)]
struct Pass {
    fit: bool,
    untried: bool,
}

const FIRST_ATTEMPT: [Pass; 2] = [
    Pass {
        fit: true,
        untried: false,
    },
    Pass {
        fit: false,
        untried: false,
    },
];

/// A further attempt never goes to the same endpoint if there is another.
const FURTHER_ATTEMPT: [Pass; 4] = [
    Pass {
        fit: true,
        untried: true,
    },
    Pass {
        fit: false,
        untried: true,
    },
    Pass {
        fit: true,
        untried: false,
    },
    Pass {
        fit: false,
        untried: false,
    },
];

/// A choice under one of the passes.
struct Search<'a> {
    upstream: &'a Upstream,
    set: &'a EndpointSet,
    choice: &'a Choice<'a>,
    pass: Pass,
    now: u64,
}

impl Upstream {
    /// Whether there is any endpoint at all.
    pub fn has_endpoints(&self) -> bool {
        let set = self.endpoints();
        set.members.iter().any(|member| member.weight > 0)
    }

    /// Whether there is an endpoint that is not known to fail.
    pub fn has_fit_endpoint(&self) -> bool {
        let (set, now) = (self.endpoints(), millis(Instant::now()));
        let mut members = set.members.iter();
        members.any(|member| member.weight > 0 && member.endpoint.standing().fit_at(now))
    }

    /// Chooses an endpoint and takes a place at it.
    pub fn pick(
        &self,
        choice: &Choice<'_>,
        rng: &mut fastrand::Rng,
    ) -> Result<InFlight, PickError> {
        let set = self.endpoints();
        let passes: &[Pass] = if choice.tried.is_empty() {
            &FIRST_ATTEMPT
        } else {
            &FURTHER_ATTEMPT
        };
        let now = millis(choice.now);
        for pass in passes {
            let search = Search {
                upstream: self,
                set: &set,
                choice,
                pass: *pass,
                now,
            };
            // The last place may go to another worker between looking and taking.
            while let Some(member) = search.choose(rng) {
                if let Some(place) = member.endpoint.try_begin(choice.limit) {
                    return Ok(place);
                }
            }
            if set.members.iter().any(|member| search.considers(member)) {
                return Err(PickError::AllBusy);
            }
        }
        Err(PickError::NoEndpoints)
    }
}

impl<'a> Search<'a> {
    fn considers(&self, member: &Member) -> bool {
        member.weight > 0
            && (!self.pass.fit || member.endpoint.standing().fit_at(self.now))
            && (!self.pass.untried || !self.choice.tried.contains(&member.endpoint.id()))
    }

    fn admits(&self, member: &Member) -> bool {
        self.considers(member) && member.endpoint.in_flight() < self.choice.limit
    }

    /// Part of its weight that the member has at present (slow start).
    fn share(&self, member: &Member) -> f64 {
        member
            .endpoint
            .standing()
            .share_at(self.now, self.upstream.spec().outlier.slow_start)
    }

    fn weight(&self, member: &Member) -> f64 {
        f64::from(member.weight) * self.share(member)
    }

    fn choose(&self, rng: &mut fastrand::Rng) -> Option<&'a Member> {
        if let Some(session) = self.choice.session
            && let Some(member) = self.of_session(session)
        {
            return Some(member);
        }
        match (&self.upstream.spec().balance, self.choice.hash) {
            (Balance::RoundRobin, _) | (Balance::Hash(_), None) => self.in_turn(rng),
            (Balance::Hash(_), Some(hash)) => self.by_hash(hash),
            (Balance::PowerOfTwo, _) => self.better_of_two(rng, |member| {
                member.endpoint.in_flight() as f64 / self.weight(member)
            }),
            (Balance::Ewma, _) => self.better_of_two(rng, |member| {
                let (load, pending) = (&member.endpoint.load, member.endpoint.in_flight());
                let latency = match (load.is_measured(), pending) {
                    (true, _) => load.latency(self.choice.now),
                    // Nobody is finding out: next to a fast one it would never be tried.
                    (false, 0) => return 0.0,
                    (false, _) => self.usual_latency(),
                };
                latency * (pending as f64 + 1.0) / self.weight(member)
            }),
        }
    }

    /// The endpoint of a session, or on a ring the next one that is admitted.
    fn of_session(&self, session: Session) -> Option<&'a Member> {
        match session {
            Session::Endpoint(id) => {
                let mut members = self.set.members.iter();
                members.find(|member| member.endpoint.id() == id && self.admits(member))
            }
            Session::Ring(place) => {
                let ring = self.set.sessions(self.upstream.spec());
                let mut members = ring
                    .from(place)
                    .filter_map(|index| self.set.members.get(index));
                members.find(|member| self.admits(member))
            }
        }
    }

    /// The worker's next turn. An endpoint that is passed over uses up its turn, so that its share
    /// is spread over all others and not given to its neighbour.
    fn in_turn(&self, rng: &mut fastrand::Rng) -> Option<&'a Member> {
        let cursor = self.upstream.cursors.of(self.choice.worker);
        let places = self.set.order.len();
        for _ in 0..places.min(2 * self.set.members.len() + 8) {
            let member = self.at(cursor.next().checked_rem(places)?)?;
            if self.admits(member) && self.accepts(member, rng) {
                return Some(member);
            }
        }
        self.any(rng)
    }

    fn better_of_two(
        &self,
        rng: &mut fastrand::Rng,
        cost: impl Fn(&Member) -> f64,
    ) -> Option<&'a Member> {
        let first = self.sample(rng)?;
        for _ in 0..4 {
            let second = self.sample(rng)?;
            if second.endpoint != first.endpoint {
                let better = cost(second) < cost(first);
                return Some(if better { second } else { first });
            }
        }
        Some(first)
    }

    /// What an endpoint that was not measured yet counts as: the average of the others (LBA-03).
    fn usual_latency(&self) -> f64 {
        let loads = self.set.members.iter().map(|member| &member.endpoint.load);
        let measured = loads.filter(|load| load.is_measured());
        let (count, sum) = measured.fold((0.0, 0.0), |(count, sum), load| {
            (count + 1.0, sum + load.latency(self.choice.now))
        });
        if count > 0.0 {
            sum / count
        } else {
            UNKNOWN_NANOS
        }
    }

    /// Weighted rendezvous: each endpoint draws a number from (key, address), the highest wins. All
    /// replicas agree, and an endpoint that leaves or joins moves no key between the others.
    fn by_hash(&self, key: u64) -> Option<&'a Member> {
        let admitted = || self.set.members.iter().filter(|member| self.admits(member));
        let draw = |member: &Member| mix(key ^ member.seed);
        // With equal weights the draws alone decide: -1 / ln(u) rises with u.
        if self.set.uniform && admitted().all(|member| self.share(member) >= 1.0) {
            return admitted().max_by_key(|member| draw(member));
        }
        let score = |member: &Member| {
            let uniform = ((draw(member) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            -self.weight(member) / uniform.ln()
        };
        let mut best: Option<(f64, &Member)> = None;
        for member in admitted() {
            let score = score(member);
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, member));
            }
        }
        best.map(|(_, member)| member)
    }

    /// One at random by weight.
    fn sample(&self, rng: &mut fastrand::Rng) -> Option<&'a Member> {
        let places = self.set.order.len();
        if places == 0 {
            return None;
        }
        for _ in 0..8 {
            let member = self.at(rng.usize(..places))?;
            if self.admits(member) && self.accepts(member, rng) {
                return Some(member);
            }
        }
        self.any(rng)
    }

    /// One at random by weight among all that are admitted, however few: a look at each.
    fn any(&self, rng: &mut fastrand::Rng) -> Option<&'a Member> {
        let mut total = 0.0;
        let mut chosen = None;
        for member in self.set.members.iter().filter(|member| self.admits(member)) {
            let weight = self.weight(member);
            total += weight;
            if rng.f64() * total < weight {
                chosen = Some(member);
            }
        }
        chosen
    }

    fn at(&self, place: usize) -> Option<&'a Member> {
        let index = *self.set.order.get(place)?;
        self.set.members.get(index as usize)
    }

    fn accepts(&self, member: &Member, rng: &mut fastrand::Rng) -> bool {
        let share = self.share(member);
        share >= 1.0 || rng.f64() < share
    }
}

/// Response times are forgotten by half in about seven seconds.
const DECAY_NANOS: f64 = 10e9;

/// What a failure counts as: refusing quickly must not look fast.
const FAILURE_NANOS: f64 = 1e9;

/// What an endpoint counts as while none was measured yet.
const UNKNOWN_NANOS: f64 = 1e6;

impl Load {
    /// Takes a response time into the peak-sensitive average: a rise counts at once, a fall slowly.
    /// Two workers at once may lose one observation, never more.
    pub(super) fn observe(&self, outcome: Outcome, now: Instant) {
        let observed = match outcome {
            Outcome::Success { latency } => latency.as_nanos() as f64,
            Outcome::Failure(_) => FAILURE_NANOS,
        };
        let now = millis(now);
        let passed = now.saturating_sub(self.ewma_at.swap(now, Ordering::Relaxed));
        let average = f64::from_bits(self.ewma.load(Ordering::Relaxed));
        let kept = (-(passed as f64) * 1e6 / DECAY_NANOS).exp();
        let average = if average <= 0.0 || observed > average {
            observed
        } else {
            // At least a hundredth of each observation, or a busy endpoint would never look better.
            let kept = kept.min(0.99);
            average * kept + observed * (1.0 - kept)
        };
        self.ewma
            .store(average.max(1.0).to_bits(), Ordering::Relaxed);
    }

    /// Whether any response time is known.
    fn is_measured(&self) -> bool {
        f64::from_bits(self.ewma.load(Ordering::Relaxed)) > 0.0
    }

    /// The average in nanoseconds, decayed to now so that a slow endpoint is tried again.
    fn latency(&self, now: Instant) -> f64 {
        let average = f64::from_bits(self.ewma.load(Ordering::Relaxed));
        let passed = millis(now).saturating_sub(self.ewma_at.load(Ordering::Relaxed));
        average * (-(passed as f64) * 1e6 / DECAY_NANOS).exp()
    }
}

/// Hashes a value of a request for [`Choice::hash`]: the same on every machine and in every version,
/// because replicas of different versions must agree (FNV-1a, then mixed).
pub fn hash_key(value: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(value.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Spreads every bit over all others (the finalizer of SplitMix64).
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
