//! Where sessions are found again among the endpoints of a set.
//!
//! Both ways are those of ingress-nginx, so that its cookies go on working (AFF-07): a ring on which
//! each endpoint has 160 points by CRC-32, and a digest of each endpoint's address. What must stay
//! true: a place or a digest depends on the upstream's name and the addresses alone, so that every
//! replica and every generation finds the same endpoint.

use std::collections::HashMap;

use md5::{Digest, Md5};

/// Points of an endpoint of weight 1.
const POINTS: u32 = 160;

/// Points of one endpoint, at most: weights beyond are treated alike.
const MOST_POINTS: u32 = 100 * POINTS;

/// The ring and the digests of a set.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Hash and index of the endpoint, in order.
    ring: Box<[(u32, u32)]>,
    /// Index of the endpoint by its digest.
    digests: HashMap<Box<str>, u32>,
}

impl Sessions {
    /// Works out both for endpoints with their addresses and weights.
    pub(super) fn new<'a>(upstream: &str, members: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut ring = Vec::new();
        let mut digests = HashMap::new();
        for (index, (address, weight)) in members.enumerate() {
            let index = index as u32;
            digests.insert(digest_of(upstream, address).into(), index);
            let points = weight.saturating_mul(POINTS).min(MOST_POINTS);
            let mut before = 0_u32;
            for _ in 0..points {
                let mut hasher = crc32fast::Hasher::new();
                hasher.update(address.as_bytes());
                hasher.update(&before.to_le_bytes());
                before = hasher.finalize();
                ring.push((before, index));
            }
        }
        ring.sort_unstable();
        Self {
            ring: ring.into(),
            digests,
        }
    }

    /// Indices of the endpoints from a place on, around the ring.
    pub(crate) fn from(&self, place: u32) -> impl Iterator<Item = usize> {
        let at = self.ring.partition_point(|(hash, _)| *hash < place);
        let (before, after) = self.ring.split_at_checked(at).unwrap_or_default();
        after.iter().chain(before).map(|(_, index)| *index as usize)
    }

    /// Index of the endpoint with this digest.
    pub(crate) fn of_digest(&self, digest: &str) -> Option<usize> {
        self.digests.get(digest).map(|index| *index as usize)
    }
}

/// The place of a session's key on the ring.
pub(crate) fn place_of(key: &str) -> u32 {
    crc32fast::hash(key.as_bytes())
}

/// What a cookie says of an endpoint: nobody can read the address out of it without trying.
pub(crate) fn digest_of(upstream: &str, address: &str) -> String {
    hex(&[upstream, address])
}

/// What a cookie says of an upstream (AFF-01).
pub(crate) fn upstream_digest(name: &str) -> String {
    hex(&[&hex(&[name]), name])
}

/// MD5 of the parts one after the other, in hexadecimal digits. It hides and authenticates nothing
/// that matters; what is chosen by it is an endpoint that anybody may be sent to.
fn hex(parts: &[&str]) -> String {
    let mut digest = Md5::new();
    for part in parts {
        digest.update(part.as_bytes());
    }
    let nibble = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let digits = digest.finalize();
    let digits = digits.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.map(nibble).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(addresses: &[&str]) -> Sessions {
        Sessions::new(
            "default-web-80",
            addresses.iter().map(|address| (*address, 1)),
        )
    }

    #[test]
    fn cookies_of_ingress_nginx_lead_where_they_led() {
        let addresses = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
        let sessions = sessions(&addresses);
        let cases = [
            ("1700000000.123.31.204001", "10.0.0.3:80"),
            ("1700000001.5.31.7", "10.0.0.1:80"),
            ("1718000000.001.40.999999", "10.0.0.3:80"),
            ("1718000000.999.28.0", "10.0.0.1:80"),
            ("a", "10.0.0.1:80"),
            ("1690000000.250.33.55555", "10.0.0.2:80"),
        ];
        for (key, address) in cases {
            let index = sessions.from(place_of(key)).next().unwrap();
            assert_eq!(addresses[index], address, "{key}");
        }
        let digests = [
            ("b8a5164e2e7ecbe8f77a2f43f836ec3d", "10.0.0.1:80"),
            ("992af992597e2961d32bb4cbba5ba8a2", "10.0.0.2:80"),
            ("86c482dec09f1011905c051429b85e6a", "10.0.0.3:80"),
        ];
        for (digest, address) in digests {
            assert_eq!(addresses[sessions.of_digest(digest).unwrap()], address);
        }
        assert_eq!(sessions.of_digest("0"), None);
        assert_eq!(
            upstream_digest("default-web-80"),
            "6cde5721ec2c7e2bce07cff7d0e4ac37"
        );
    }

    #[test]
    fn a_further_endpoint_takes_its_share_and_moves_nobody_else() {
        let before = sessions(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        let after = sessions(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"]);
        let mut moved = 0;
        for key in 0..4000 {
            let place = place_of(&key.to_string());
            let (was, is) = (before.from(place).next(), after.from(place).next());
            if was != is {
                assert_eq!(is, Some(3));
                moved += 1;
            }
        }
        assert!((600..1400).contains(&moved), "{moved}");
    }

    #[test]
    fn the_ring_goes_round_and_an_empty_one_ends() {
        let ring = sessions(&["10.0.0.1:80", "10.0.0.2:80"]);
        assert_eq!(ring.from(u32::MAX).count(), 320);
        assert_eq!(sessions(&[]).from(7).next(), None);
        let unweighted = Sessions::new("u", [("10.0.0.1:80", 0)].into_iter());
        assert_eq!(unweighted.from(7).next(), None);
    }
}
