//! Lists of addresses: `deny` is read before `allow`.
//!
//! What counts is the client that section 4.2 finds. A client that nobody vouches for (PROXY v1
//! `UNKNOWN`) stands on no list: it is not denied by one, and not let in by one.

use std::net::IpAddr;

use adit_route::CidrSet;
use http::StatusCode;

use crate::policy::passage::Scene;
use crate::policy::step::{Answer, Told};

/// The id of a refusal.
const RULE: &str = "ACL-01";

/// The lists of a route.
#[derive(Debug)]
pub(crate) struct Addresses {
    deny: CidrSet,
    allow: Option<CidrSet>,
}

/// What the lists say of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opinion {
    /// `deny` names it.
    Denied,
    /// There is an `allow`, and it does not name it.
    NotAllowed,
    /// `allow` names it.
    Allowed,
    /// No list is about it.
    None,
}

impl Addresses {
    /// Compiles the lists; `None` if there is neither.
    pub(crate) fn compile(deny: &CidrSet, allow: Option<&CidrSet>) -> Option<Self> {
        (!deny.is_empty() || allow.is_some()).then(|| Self {
            deny: deny.clone(),
            allow: allow.cloned(),
        })
    }

    /// What the lists say of a client.
    pub(super) fn opinion(&self, client: IpAddr, verified: bool) -> Opinion {
        if verified && self.deny.contains(client) {
            return Opinion::Denied;
        }
        match &self.allow {
            Some(allow) if verified && allow.contains(client) => Opinion::Allowed,
            Some(_) => Opinion::NotAllowed,
            None => Opinion::None,
        }
    }

    /// The answer to a client that is kept out.
    pub(crate) fn refuse(&self, scene: &Scene<'_>) -> Option<Answer> {
        match self.opinion(scene.client, scene.info.verified) {
            Opinion::Allowed | Opinion::None => None,
            Opinion::Denied | Opinion::NotAllowed => Some(refusal()),
        }
    }

    /// What they would do.
    pub(crate) fn tell(&self, scene: &Scene<'_>) -> Told {
        let client = scene.client;
        let refused = |list: &str| Told::Answers(StatusCode::FORBIDDEN, RULE, list.to_owned());
        match self.opinion(client, scene.info.verified) {
            Opinion::Denied => refused(&format!("{client} is on `access.deny` of the route")),
            Opinion::NotAllowed => {
                refused(&format!("{client} is not on `access.allow` of the route"))
            }
            Opinion::Allowed => Told::Passes(format!("{client} is on `access.allow`")),
            Opinion::None => Told::Passes(format!("{client} is not on `access.deny`")),
        }
    }
}

/// The answer to a client that the lists keep out.
pub(super) fn refusal() -> Answer {
    Answer::refused(StatusCode::FORBIDDEN, RULE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(blocks: &[&str]) -> CidrSet {
        CidrSet::new(blocks.iter().map(|block| block.parse().unwrap()))
    }

    #[test]
    fn a_denied_client_is_denied_also_where_it_is_allowed() {
        let deny = set(&["10.0.0.9/32"]);
        let allow = set(&["10.0.0.0/24", "2001:db8::/32"]);
        let both = Addresses::compile(&deny, Some(&allow)).unwrap();
        let denying = Addresses::compile(&deny, None).unwrap();
        let nobody = Addresses::compile(&CidrSet::default(), Some(&CidrSet::default())).unwrap();
        assert!(Addresses::compile(&CidrSet::default(), None).is_none());
        for (lists, client, verified, expected) in [
            (&both, "10.0.0.9", true, Opinion::Denied),
            (&both, "::ffff:10.0.0.9", true, Opinion::Denied),
            (&both, "10.0.0.8", true, Opinion::Allowed),
            (&both, "2001:db8::1", true, Opinion::Allowed),
            (&both, "10.0.1.8", true, Opinion::NotAllowed),
            (&both, "10.0.0.8", false, Opinion::NotAllowed),
            (&denying, "10.0.0.9", true, Opinion::Denied),
            (&denying, "10.0.0.9", false, Opinion::None),
            (&denying, "10.0.0.8", true, Opinion::None),
            (&nobody, "10.0.0.8", true, Opinion::NotAllowed),
        ] {
            let found = lists.opinion(client.parse().unwrap(), verified);
            assert_eq!(found, expected, "{client} {verified} {lists:?}");
        }
    }
}
