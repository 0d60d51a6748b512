//! One step of a plan, and the order of all of them.
//!
//! Users of ingress-nginx depend on the order in which nginx works (section 1.18), so the `nginx`
//! profile keeps it. The `strict` profile asks first who may come at all: lists and rates stand
//! before redirects and preflights, so that a refused client learns nothing.

use adit_route::Profile;
use adit_route::policy::Redirect;
use http::StatusCode;

use super::access::Addresses;
use super::passage::{Passage, Scene};
use super::rate::Rate;
use super::redirect;
use crate::http::message::{Request, Response};
use crate::http::reply;

/// When a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Closed,
    Addresses,
    Rate,
    Redirect,
}

impl Stage {
    /// The place of the stage in a profile's order. A new stage is a decision about both profiles.
    pub(crate) fn rank(self, profile: Profile) -> u8 {
        match profile {
            // The numbers of section 1.18.
            Profile::Nginx => match self {
                Self::Closed => 8,
                Self::Redirect => 10,
                Self::Rate => 14,
                Self::Addresses => 15,
            },
            // Left out are the places of stages to come: HTTPS after `Closed`, a preflight after
            // `Rate`, rewriting and endpoints after `Redirect`.
            Profile::Strict => match self {
                Self::Closed => 1,
                Self::Addresses => 3,
                Self::Rate => 4,
                Self::Redirect => 6,
            },
        }
    }
}

/// Something that is done before a request is forwarded.
#[derive(Debug)]
pub(crate) enum Step {
    /// A policy that guards the route is broken: nobody passes (ANN-08).
    Closed(std::sync::Arc<str>),
    /// Everybody is sent elsewhere.
    Redirect(Redirect),
    /// Lists of addresses.
    Addresses(Addresses),
    /// Limits per client.
    Rate(Rate),
}

/// A step that ends the request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub response: Response,
    /// Id of the rule that refuses, for logs and metrics; `None` if nothing is refused.
    pub rule: Option<&'static str>,
}

impl Answer {
    /// An answer that refuses nothing.
    pub(crate) fn plain(response: Response) -> Self {
        Self {
            response,
            rule: None,
        }
    }

    /// A refusal by a rule.
    pub(crate) fn refused(status: StatusCode, rule: &'static str) -> Self {
        Self {
            response: reply::page(status),
            rule: Some(rule),
        }
    }
}

/// What a step would do, in words.
#[derive(Debug)]
pub(crate) enum Told {
    /// The request would go on.
    Passes(String),
    /// The step would answer.
    Answers(StatusCode, &'static str, String),
    /// The step would send the client elsewhere.
    Redirects(StatusCode, String, String),
}

impl Step {
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Closed(_) => Stage::Closed,
            Self::Redirect(_) => Stage::Redirect,
            Self::Addresses(_) => Stage::Addresses,
            Self::Rate(_) => Stage::Rate,
        }
    }

    /// The policy's name, as its key in the file.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Closed(_) => "closed",
            Self::Redirect(_) => "redirect",
            Self::Addresses(_) => "access",
            Self::Rate(_) => "rateLimit",
        }
    }

    /// Takes the step. Rare steps that wait are boxed: they must not make every request larger.
    #[expect(
        clippy::unused_async,
        reason = "steps that ask a server wait for its answer"
    )]
    pub(crate) async fn take(
        &self,
        passage: &mut Passage<'_>,
        request: &mut Request,
    ) -> Result<(), Answer> {
        let answer = match self {
            Self::Closed(_) => Some(Answer::refused(StatusCode::SERVICE_UNAVAILABLE, "ANN-08")),
            Self::Redirect(policy) => {
                let scene = passage.scene(request);
                Some(Answer::plain(redirect::answer(policy, &scene)))
            }
            Self::Addresses(lists) => lists.refuse(&passage.scene(request)),
            Self::Rate(rate) => rate.refuse(passage),
        };
        answer.map_or(Ok(()), Err)
    }

    /// Says what the step would do.
    pub(crate) fn tell(&self, scene: &Scene<'_>) -> Told {
        match self {
            Self::Closed(why) => Told::Answers(
                StatusCode::SERVICE_UNAVAILABLE,
                "ANN-08",
                format!("a policy that guards the route is broken: {why}"),
            ),
            Self::Redirect(policy) => Told::Redirects(
                policy.status,
                redirect::location(policy, scene),
                "the route sends every request elsewhere".to_owned(),
            ),
            Self::Addresses(lists) => lists.tell(scene),
            Self::Rate(rate) => Told::Passes(rate.tell(scene.client)),
        }
    }
}
