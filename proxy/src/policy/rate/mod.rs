//! Limits per client address: requests in a time, requests at once, bytes in a second.
//!
//! The key is the client that section 4.2 finds. Counters belong to a zone and not to a plan: a
//! reload keeps them while the zone keeps its name. Requests pass or are refused at once; nothing
//! is ever delayed.

mod pace;
#[cfg(test)]
mod tests;
mod zone;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use adit_route::policy::{Period, RateLimit};
use http::{HeaderValue, StatusCode, header};

pub(crate) use pace::Pace;
pub(crate) use zone::Place;
use zone::{Entry, Terms, Zone};

use super::passage::Passage;
use super::step::Answer;

/// The id of a refusal (RAT-04).
pub(super) const RULE: &str = "RAT-04";

/// The zones that some plan uses, by name.
#[derive(Debug, Default)]
pub(crate) struct Zones(Mutex<HashMap<Arc<str>, Weak<Zone>>>);

impl Zones {
    /// The zone of this name; the one before a reload, if that is not gone.
    fn zone(&self, name: &Arc<str>) -> Arc<Zone> {
        // Nothing below leaves the map half changed.
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = zones.get(name).and_then(Weak::upgrade) {
            return zone;
        }
        let fresh = Arc::new(Zone::new());
        zones.retain(|_, zone| zone.strong_count() > 0);
        zones.insert(Arc::clone(name), Arc::downgrade(&fresh));
        fresh
    }
}

/// The counting limits of a route.
#[derive(Debug)]
pub(crate) struct Rate {
    zone: Arc<Zone>,
    terms: Terms,
    policy: RateLimit,
}

impl Rate {
    /// Compiles what counts requests; `None` if nothing does.
    pub(super) fn compile(policy: &RateLimit, zones: &Zones) -> Option<Self> {
        if policy.requests.is_empty() && policy.connections.is_none() {
            return None;
        }
        let rate = |period| {
            let mut rates = policy.requests.iter();
            rates.find(|rate| rate.period == period && rate.count > 0)
        };
        Some(Self {
            zone: zones.zone(&policy.zone),
            terms: Terms {
                rates: Period::ALL.map(|period| rate(period).copied()),
                connections: policy.connections,
            },
            policy: policy.clone(),
        })
    }

    /// Counts the request; the answer if it is one too many.
    pub(super) fn refuse(&self, passage: &mut Passage<'_>) -> Option<Answer> {
        match self.enter(passage.client, Instant::now()) {
            Ok(place) => {
                passage.place = place;
                None
            }
            Err((status, wait)) => Some(self.refusal(status, wait)),
        }
    }

    fn enter(&self, client: IpAddr, now: Instant) -> Result<Option<Place>, (StatusCode, Duration)> {
        if !self.policy.exempt.is_empty() && self.policy.exempt.contains(client) {
            return Ok(None);
        }
        match self.zone.enter(client, &self.terms, now) {
            Entry::Admitted(place) => Ok(place),
            Entry::TooSoon(wait) => Err((self.policy.request_status, wait)),
            Entry::TooMany => Err((self.policy.connection_status, Duration::from_secs(1))),
        }
    }

    fn refusal(&self, status: StatusCode, wait: Duration) -> Answer {
        let mut answer = Answer::refused(status, RULE);
        let headers = &mut answer.response.headers;
        headers.remove(header::RETRY_AFTER);
        if self.policy.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }

    /// The limits in words, and whether the client is exempt.
    pub(super) fn tell(&self, client: IpAddr) -> String {
        if self.policy.exempt.contains(client) {
            return format!("{client} is exempt from the rate limit");
        }
        let mut text = String::from("each client has");
        for rate in self.terms.rates.iter().flatten() {
            let unit = rate.period.unit();
            let _ = write!(text, " {}/{unit} and {} ahead,", rate.count, rate.burst);
        }
        match self.terms.connections {
            Some(most) => text + &format!(" {most} requests at once"),
            None => text.trim_end_matches(',').to_owned(),
        }
    }
}
