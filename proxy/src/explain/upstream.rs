//! The last step: which upstreams a route has, and whether any endpoint could take the request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use adit_route::Address;

use super::{Destination, Verdict, Walk, Why, words};
use crate::error::Error;
use crate::snapshot::{CompiledAction, CompiledRoute, CompiledUpstream};
use crate::upstream::{Choice, destination};

/// What is known of an upstream before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prospect {
    /// An endpoint can be chosen, or DNS may give one.
    Good,
    /// Nothing can be chosen.
    Empty,
    /// Everything that can be chosen is one of our own doors.
    Loop,
}

impl Walk<'_> {
    /// Who answers for the route.
    pub(super) fn served(&mut self, route: &CompiledRoute) -> Result<Verdict, Verdict> {
        let (shares, total) = match &route.action {
            CompiledAction::Respond(fixed) => {
                self.passed("upstream", "none: the route has a fixed answer");
                return Ok(Verdict::Fixed(fixed.status));
            }
            CompiledAction::Policy => {
                self.passed("upstream", "none: a policy of the route answers");
                return Ok(Verdict::Fixed(http::StatusCode::NOT_FOUND));
            }
            CompiledAction::Forward { shares, total } => (shares, u64::from(*total)),
        };
        let prospects: Vec<_> = shares.iter().map(|(one, _)| self.prospect(one)).collect();
        let mut destinations = Vec::with_capacity(shares.len());
        for ((compiled, weight), prospect) in shares.iter().zip(&prospects) {
            let mut one = self.destination(compiled, *prospect == Prospect::Good);
            one.percent = u64::from(*weight) * 100 / total.max(1);
            destinations.push(one);
        }
        if prospects.contains(&Prospect::Good) {
            return Ok(Verdict::Forwarded(destinations));
        }
        let loops = prospects.contains(&Prospect::Loop);
        let (error, why) = useless(if loops {
            Prospect::Loop
        } else {
            Prospect::Empty
        });
        if prospects.is_empty() {
            self.failed("upstream", why.text.clone());
        }
        Err(Verdict::Answered(error.status(), why))
    }

    /// The upstream of a connection that is relayed.
    pub(super) fn relayed(&mut self, compiled: &CompiledUpstream) -> Result<Destination, Verdict> {
        let prospect = self.prospect(compiled);
        let one = self.destination(compiled, prospect == Prospect::Good);
        if prospect == Prospect::Good {
            return Ok(one);
        }
        Err(Verdict::Closed(useless(prospect).1))
    }

    /// The upstream, with a step that names it.
    fn destination(&mut self, compiled: &CompiledUpstream, usable: bool) -> Destination {
        let spec = compiled.upstream.spec();
        let own = self.own();
        let mut notes = Vec::new();
        let mut endpoints = Vec::new();
        for target in &spec.targets {
            let text = words::target(target);
            match &target.address {
                _ if target.weight == 0 => {
                    notes.push(format!("{text} has weight 0 and gets nothing"));
                    continue;
                }
                Address::Socket(address) if is_own(*address, &own) => {
                    notes.push(format!(
                        "{text} is a listener of adit itself: refused as a loop"
                    ));
                }
                Address::Dns(_) => notes.push(format!("{text} is looked up by the running adit")),
                Address::Socket(_) | Address::Unix(_) => {}
            }
            endpoints.push(text);
        }
        if let Some(health) = &spec.health {
            let what = health.path.as_deref().unwrap_or("connecting");
            notes.push(format!(
                "health checks ({what}) take endpoints out while serving"
            ));
        }
        let destination = Destination {
            upstream: Arc::clone(&spec.name),
            percent: 100,
            endpoints,
        };
        let step = self.step("upstream", usable, destination.to_string());
        step.notes = notes;
        step.fact("upstream", &destination.upstream);
        for endpoint in &destination.endpoints {
            step.fact("endpoint", endpoint);
        }
        destination
    }

    fn prospect(&self, compiled: &CompiledUpstream) -> Prospect {
        let spec = compiled.upstream.spec();
        let mut weighty = spec.targets.iter().filter(|target| target.weight > 0);
        if weighty
            .clone()
            .any(|target| matches!(target.address, Address::Dns(_)))
        {
            return Prospect::Good;
        }
        let choice = Choice {
            worker: 0,
            hash: None,
            session: None,
            tried: &[],
            limit: self.snapshot.limits.requests_per_endpoint,
            now: Instant::now(),
        };
        if compiled
            .upstream
            .pick(&choice, &mut fastrand::Rng::new())
            .is_err()
        {
            return Prospect::Empty;
        }
        let own = self.own();
        let loops = weighty.all(
            |target| matches!(&target.address, Address::Socket(address) if is_own(*address, &own)),
        );
        if loops {
            Prospect::Loop
        } else {
            Prospect::Good
        }
    }

    fn own(&self) -> Vec<SocketAddr> {
        let doors = self.snapshot.doors().iter();
        doors
            .flat_map(|door| door.spec().binds.iter().copied())
            .collect()
    }
}

/// What a request meets that no endpoint can take.
fn useless(prospect: Prospect) -> (Error, Why) {
    let (error, text) = match prospect {
        Prospect::Loop => (Error::Loop, "every endpoint is a listener of adit itself"),
        Prospect::Empty | Prospect::Good => (Error::NoEndpoint, "no endpoint has a weight above 0"),
    };
    let why = Why::because(error.reason(), text);
    (error, why)
}

fn is_own(address: SocketAddr, own: &[SocketAddr]) -> bool {
    destination::is_listener(address.ip(), address.port(), own).is_some()
}
