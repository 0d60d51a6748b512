//! What would become of a request, step by step, without serving it.
//!
//! An [`Explainer`] compiles a blueprint as the data plane does and asks the functions that decide
//! there: `conn::decide` for the name in the ClientHello, the HTTP/1 gate for the request, and
//! `handle::decide` for the rest. This module decides nothing itself; it finds words for what was
//! decided and, where a step fails, for what almost matched. Nothing is bound and no backend is
//! asked.

mod connection;
mod request;
#[cfg(test)]
mod tests;
mod upstream;
mod words;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use adit_route::{CanonicalHost, Place};
use http::StatusCode;

use crate::blueprint::{Blueprint, ListenerKind};
use crate::metrics::Metrics;
use crate::policy::Memory;
use crate::snapshot::{BuildError, Door, Foundations, Snapshot};
use crate::tls::{ServerTls, TicketSecrets};

/// A request that nobody sends.
#[derive(Clone, Debug)]
pub struct Question {
    /// Name of the listener through which it would come.
    pub listener: Arc<str>,
    /// Whether it would come over TLS.
    pub secure: bool,
    /// The host of the URL: the name in the ClientHello, and the `Host` unless `fields` has one.
    pub host: CanonicalHost,
    /// The port of the URL, if it names one.
    pub port: Option<u16>,
    /// Path and query, as they would be sent.
    pub target: String,
    /// The method.
    pub method: String,
    /// Field lines, `Name: value`.
    pub fields: Vec<String>,
    /// The client's address; without it one is assumed that the lists let in.
    pub client: Option<IpAddr>,
}

/// The way of a request, as far as it got, and where it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What was looked at, in order; at most the last has not passed.
    pub steps: Vec<Step>,
    /// The end of it.
    pub verdict: Verdict,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was looked at.
    pub name: &'static str,
    /// Whether the request goes on from here.
    pub passed: bool,
    /// What was found.
    pub text: String,
    /// Further words: what was skipped and why, what almost matched.
    pub notes: Vec<String>,
    /// The same for programs.
    pub facts: Vec<(&'static str, String)>,
}

/// What the client would get.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The connection is closed without an answer.
    Closed(Why),
    /// TLS ends with the alert unrecognized_name.
    UnrecognizedName(Why),
    /// adit itself answers, for this reason.
    Answered(StatusCode, Why),
    /// The client is sent elsewhere.
    Redirected {
        /// 301, 302, 307 or 308.
        status: StatusCode,
        /// Where to.
        location: String,
    },
    /// The route's fixed answer.
    Fixed(StatusCode),
    /// The admin surface answers.
    Admin,
    /// A backend answers. Several destinations share by weight.
    Forwarded(Vec<Destination>),
    /// The TLS connection goes to a backend as it is.
    PassedThrough(Destination),
    /// The bytes go to a backend.
    Relayed(Destination),
}

/// Why a request ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The rule's id, as it stands in the access log and in metrics.
    pub rule: &'static str,
    /// The exposure policy hides a host that is there: what it says. To the client it looks as if
    /// the host did not exist.
    pub hidden: bool,
    /// In words.
    pub text: String,
}

/// Where requests would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// Its share of the requests.
    pub percent: u64,
    /// Its endpoints as they were declared.
    pub endpoints: Vec<String>,
}

/// Answers questions about one blueprint.
#[derive(Debug)]
pub struct Explainer {
    snapshot: Snapshot,
    places: HashMap<Arc<str>, Place>,
}

impl Explainer {
    /// Compiles the blueprint, or says what the data plane would refuse it for.
    pub fn new(blueprint: &Blueprint) -> Result<Self, Vec<BuildError>> {
        let tickets = TicketSecrets::generate(SystemTime::now()).map_err(|error| {
            vec![BuildError {
                place: Place::default(),
                message: error.to_string(),
            }]
        })?;
        let foundations = Foundations {
            tls: ServerTls::new(Arc::new(tickets)),
            metrics: Arc::new(Metrics::new(1)),
            workers: 1,
            memory: Memory::default(),
        };
        Ok(Self {
            snapshot: Snapshot::build(blueprint, 1, None, &foundations)?,
            places: HashMap::new(),
        })
    }

    /// Names the places of the exposure rules, of which the data plane knows the lines only.
    #[must_use]
    pub fn with_rule_places(mut self, places: impl IntoIterator<Item = (Arc<str>, Place)>) -> Self {
        self.places.extend(places);
        self
    }

    /// The doors.
    pub fn doors(&self) -> &[Arc<Door>] {
        self.snapshot.doors()
    }

    /// The way of the request; `None` if there is no such listener.
    pub fn explain(&self, question: &Question) -> Option<Explanation> {
        let mut walk = Walk {
            explainer: self,
            snapshot: &self.snapshot,
            question,
            door: Arc::clone(self.snapshot.door(&question.listener)?),
            steps: Vec::new(),
        };
        let (Ok(verdict) | Err(verdict)) = walk.all();
        Some(Explanation {
            steps: walk.steps,
            verdict,
        })
    }
}

/// A request on its way. A step that fails returns the verdict as its error.
struct Walk<'a> {
    explainer: &'a Explainer,
    snapshot: &'a Snapshot,
    question: &'a Question,
    door: Arc<Door>,
    steps: Vec<Step>,
}

impl Walk<'_> {
    fn all(&mut self) -> Result<Verdict, Verdict> {
        let door = Arc::clone(&self.door);
        self.listener();
        let mut info = self.client()?;
        match (&door.spec().kind, &door.tcp) {
            (_, Some(tcp)) => return self.tcp(&mut info, tcp),
            (ListenerKind::Https, _) => {
                if let Some(passed_through) = self.tls(&mut info)? {
                    return Ok(passed_through);
                }
            }
            _ => self.clear_text()?,
        }
        if door.spec().kind == ListenerKind::Admin {
            return Ok(Verdict::Admin);
        }
        let request = self.request(&info)?;
        self.decided(&info, request)
    }

    fn passed(&mut self, name: &'static str, text: impl Into<String>) -> &mut Step {
        self.step(name, true, text.into())
    }

    fn failed(&mut self, name: &'static str, text: impl Into<String>) -> &mut Step {
        self.step(name, false, text.into())
    }

    fn step(&mut self, name: &'static str, passed: bool, text: String) -> &mut Step {
        self.steps.push_mut(Step {
            name,
            passed,
            text,
            notes: Vec::new(),
            facts: Vec::new(),
        })
    }
}

impl Step {
    fn fact(&mut self, name: &'static str, value: impl fmt::Display) -> &mut Self {
        self.facts.push((name, value.to_string()));
        self
    }

    fn note(&mut self, note: impl Into<String>) -> &mut Self {
        self.notes.push(note.into());
        self
    }
}

impl Why {
    fn because(rule: &'static str, text: impl Into<String>) -> Self {
        Self {
            rule,
            hidden: false,
            text: text.into(),
        }
    }

    fn hidden(rule: &'static str, policy: impl Into<String>) -> Self {
        Self {
            rule,
            hidden: true,
            text: policy.into(),
        }
    }
}

impl Verdict {
    /// A word for what happens.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Closed(_) => "closed",
            Self::UnrecognizedName(_) => "tls-alert",
            Self::Answered(..) => "answered",
            Self::Redirected { .. } => "redirected",
            Self::Fixed(_) => "fixed",
            Self::Admin => "admin",
            Self::Forwarded(_) => "forwarded",
            Self::PassedThrough(_) => "passed-through",
            Self::Relayed(_) => "relayed",
        }
    }

    /// The status, where it is adit that answers.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered(status, _) | Self::Redirected { status, .. } | Self::Fixed(status) => {
                Some(*status)
            }
            _ => None,
        }
    }

    /// Why the request ends, if it does.
    pub fn why(&self) -> Option<&Why> {
        match self {
            Self::Closed(why) | Self::UnrecognizedName(why) | Self::Answered(_, why) => Some(why),
            _ => None,
        }
    }

    /// Where it goes, if it goes to a backend.
    pub fn destinations(&self) -> &[Destination] {
        match self {
            Self::Forwarded(all) => all,
            Self::PassedThrough(one) | Self::Relayed(one) => std::slice::from_ref(one),
            _ => &[],
        }
    }
}
