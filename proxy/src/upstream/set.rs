//! The endpoints of one moment with what choosing among them needs, worked out beforehand.
//!
//! A set is immutable: a changed answer or spec makes a new one, in which endpoints with an
//! unchanged identity are the same objects. The order of turns is the smooth weighted one (heavy
//! endpoints are spread out, never served in bursts), and the seeds of consistent hashing depend on
//! addresses alone, so that every replica maps a key to the same endpoint.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use adit_route::{Address, Target, UpstreamSpec};

use super::balance::hash_key;
use super::endpoint::{Answered, Endpoint, EndpointAddress, Found, Identity};
use super::sessions::Sessions;
use super::stats::UpstreamStats;

/// Turns in one round, at most: weights are rounded to fit.
const LONGEST_ROUND: u64 = 4_096;

/// An endpoint and its share.
#[derive(Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its weight; 0 is never chosen.
    pub weight: u32,
    /// Place in consistent hashing.
    pub(super) seed: u64,
}

/// The endpoints of an upstream.
#[derive(Debug, Default)]
pub struct EndpointSet {
    pub(super) members: Box<[Member]>,
    /// Indices of members, one round of smooth weighted turns.
    pub(super) order: Box<[u32]>,
    /// Whether all weights are equal.
    pub(super) uniform: bool,
    /// Where sessions are, worked out when the first one asks.
    sessions: OnceLock<Sessions>,
}

impl EndpointSet {
    pub(super) fn new(
        spec: &UpstreamSpec,
        found: &[Answered],
        earlier: Option<&Self>,
        stats: &Arc<UpstreamStats>,
    ) -> Self {
        let kept: HashMap<&Identity, &Arc<Endpoint>> = earlier
            .into_iter()
            .flat_map(Self::iter)
            .map(|old| (old.identity(), old))
            .collect();
        let mut places = HashMap::new();
        let mut members: Vec<Member> = Vec::with_capacity(spec.targets.len());
        let identity = |target: &Target, address| Identity {
            address,
            protocol: target.protocol,
            declared: target.address.clone(),
        };
        let mut add = |identity: Identity, weight: u32| {
            let place = *places.entry(identity.clone()).or_insert(members.len());
            match members.get_mut(place) {
                // Declared twice: one endpoint with both shares.
                Some(member) => member.weight = member.weight.saturating_add(weight),
                None => members.push(Member::new(identity, weight, &kept, stats)),
            }
        };
        for (target, found) in spec.targets.iter().zip(found) {
            match &target.address {
                Address::Socket(address) => {
                    let address = EndpointAddress::Socket(*address);
                    add(identity(target, address), target.weight);
                }
                Address::Unix(path) => {
                    let address = EndpointAddress::Unix(path.clone());
                    add(identity(target, address), target.weight);
                }
                Address::Dns(_) => {
                    for (address, weight) in
                        shares(target.weight, found.as_deref().unwrap_or_default())
                    {
                        let address = EndpointAddress::Socket(address);
                        add(identity(target, address), weight);
                    }
                }
            }
        }
        let mut weights = members.iter().map(|member| member.weight);
        let first = weights.next();
        let uniform = weights.all(|weight| Some(weight) == first);
        let order = smooth_order(members.iter().map(|member| member.weight));
        Self {
            members: members.into(),
            order,
            uniform,
            sessions: OnceLock::new(),
        }
    }

    /// The endpoints with their weights, in declared order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Where sessions are among these endpoints.
    pub(crate) fn sessions(&self, spec: &UpstreamSpec) -> &Sessions {
        let members = self.members.iter();
        let shares = members.map(|member| (&**member.endpoint.label(), member.weight));
        self.sessions
            .get_or_init(|| Sessions::new(&spec.name, shares))
    }

    /// The endpoints.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.members.iter().map(|member| &member.endpoint)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }
}

impl Member {
    fn new(
        identity: Identity,
        weight: u32,
        kept: &HashMap<&Identity, &Arc<Endpoint>>,
        stats: &Arc<UpstreamStats>,
    ) -> Self {
        let endpoint = kept.get(&identity).copied().cloned().unwrap_or_else(|| {
            let counters = stats.endpoint(&identity.address.to_string());
            Arc::new(Endpoint::new(identity, counters, Arc::clone(stats)))
        });
        let seed = hash_key(endpoint.label().as_bytes());
        Self {
            endpoint,
            weight,
            seed,
        }
    }
}

/// Spreads a target's weight over its addresses: all of them together weigh what was declared
/// times their number, so that two pods behind a name count as two, and SRV weights tell how they
/// share.
fn shares(weight: u32, found: &[Found]) -> impl Iterator<Item = (SocketAddr, u32)> {
    found
        .iter()
        .map(move |found| (found.address, weight.saturating_mul(found.weight)))
}

/// One round of turns in which each index comes up by its weight, spread as evenly as can be.
fn smooth_order(weights: impl Iterator<Item = u32>) -> Box<[u32]> {
    let weights: Vec<u64> = weights.map(u64::from).collect();
    let divisor = weights
        .iter()
        .copied()
        .fold(0, greatest_common_divisor)
        .max(1);
    let total: u64 = weights.iter().map(|weight| weight / divisor).sum();
    let round = |weight: u64| match weight / divisor {
        0 => 0,
        reduced if total > LONGEST_ROUND => (reduced * LONGEST_ROUND / total).max(1),
        reduced => reduced,
    };
    // The k-th of w turns is due at (2k + 1) / 2w of the round.
    let mut turns = Vec::new();
    for (index, weight) in weights.into_iter().map(round).enumerate() {
        turns.extend((0..weight).map(|turn| ((2 * turn + 1) as f64 / weight as f64, index as u32)));
    }
    turns.sort_by(|(mine, _), (theirs, _)| mine.total_cmp(theirs));
    turns.into_iter().map(|(_, index)| index).collect()
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spread_by_weight() {
        let cases: [(&[u32], &[u32]); 7] = [
            (&[], &[]),
            (&[0, 0], &[]),
            (&[7], &[0]),
            (&[1, 1, 1], &[0, 1, 2]),
            (&[10, 20], &[1, 0, 1]),
            (&[5, 0, 5], &[0, 2]),
            (&[5, 1, 1], &[0, 0, 0, 1, 2, 0, 0]),
        ];
        for (weights, order) in cases {
            assert_eq!(
                &*smooth_order(weights.iter().copied()),
                order,
                "{weights:?}"
            );
        }
    }

    #[test]
    fn huge_weights_make_a_short_round_and_nobody_vanishes() {
        let order = smooth_order([u32::MAX, 1, u32::MAX - 1].into_iter());
        assert!(order.len() as u64 <= LONGEST_ROUND + 3);
        assert_eq!(order.iter().filter(|index| **index == 1).count(), 1);
        let many = smooth_order(std::iter::repeat_n(3, 10_000));
        assert_eq!(many.len(), 10_000);
    }
}
