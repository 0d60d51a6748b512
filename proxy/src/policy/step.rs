//! One step of a plan, and the order of all of them.
//!
//! Users of ingress-nginx depend on the order in which nginx works (section 1.18), so the `nginx`
//! profile keeps it. The `strict` profile asks first who may come at all: lists and rates stand
//! before redirects and preflights, so that a refused client learns nothing.

use std::sync::Arc;

use adit_route::Profile;
use adit_route::policy::Redirect;
use http::StatusCode;

use super::access::{Addresses, Any, Basic, Certificate, External};
use super::cors::CompiledCors;
use super::https::Upgrade;
use super::passage::{Passage, Scene};
use super::rate::Rate;
use super::redirect;
use super::rewrite::{NotCanonical, Rewriting, Rewritten};
use crate::http::headers;
use crate::http::message::{Request, Response};
use crate::http::reply;
use crate::snapshot::CompiledUpstream;

/// When a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Certificate,
    Closed,
    Https,
    Addresses,
    Rate,
    Preflight,
    Redirect,
    Rewrite,
    Basic,
    External,
    Endpoints,
}

impl Stage {
    /// The place of the stage in a profile's order. A new stage is a decision about both profiles.
    pub(crate) fn rank(self, profile: Profile) -> u8 {
        match profile {
            // The numbers of section 1.18.
            Profile::Nginx => match self {
                Self::Certificate => 3,
                Self::Closed => 8,
                Self::Preflight => 9,
                Self::Redirect => 10,
                Self::Rewrite => 11,
                Self::Https => 12,
                Self::Endpoints => 13,
                Self::Rate => 14,
                Self::Addresses => 15,
                Self::Basic => 16,
                Self::External => 17,
            },
            Profile::Strict => match self {
                Self::Certificate => 0,
                Self::Closed => 1,
                Self::Https => 2,
                Self::Addresses => 3,
                Self::Rate => 4,
                Self::Preflight => 5,
                Self::Redirect => 6,
                Self::Rewrite => 7,
                Self::Basic => 9,
                Self::External => 10,
                Self::Endpoints => 8,
            },
        }
    }
}

/// Something that is done before a request is forwarded.
#[derive(Debug)]
pub(crate) enum Step {
    /// A policy that guards the route is broken: nobody passes (ANN-08).
    Closed(Arc<str>),
    /// Other origins ask what they may do.
    Preflight(Arc<CompiledCors>),
    /// Everybody is sent elsewhere.
    Redirect(Redirect),
    /// Lists of addresses.
    Addresses(Addresses),
    /// Limits per client.
    Rate(Rate),
    /// The backend sees another path.
    Rewrite(Rewriting),
    /// Plain HTTP is sent to HTTPS.
    Https(Upgrade),
    /// Names and passwords.
    Basic(Basic),
    /// A server that decides.
    External(Arc<External>),
    /// One of several demands is enough.
    Any(Any),
    /// What becomes of the client's certificate.
    Certificate(Certificate),
    /// Without any endpoint there is nobody to be let in to: that shows before limits and logins.
    Endpoints(Box<[Arc<CompiledUpstream>]>),
}

/// Whether any of these has an endpoint.
fn is_served(shares: &[Arc<CompiledUpstream>]) -> bool {
    shares.iter().any(|share| share.upstream.has_endpoints())
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
            Self::Preflight(_) => Stage::Preflight,
            Self::Redirect(_) => Stage::Redirect,
            Self::Addresses(_) => Stage::Addresses,
            Self::Rate(_) => Stage::Rate,
            Self::Rewrite(_) => Stage::Rewrite,
            Self::Https(_) => Stage::Https,
            Self::Basic(_) | Self::Any(_) => Stage::Basic,
            Self::External(_) => Stage::External,
            Self::Certificate(_) => Stage::Certificate,
            Self::Endpoints(_) => Stage::Endpoints,
        }
    }

    /// The policy's name, as its key in the file.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Closed(_) => "closed",
            Self::Preflight(_) => "cors",
            Self::Redirect(_) => "redirect",
            Self::Addresses(_) => "access",
            Self::Rate(_) => "rateLimit",
            Self::Rewrite(_) => "rewrite",
            Self::Https(_) => "httpsRedirect",
            Self::Basic(_) => "auth.basic",
            Self::External(_) => "auth.external",
            Self::Any(_) => "auth",
            Self::Certificate(_) => "clientCertificate",
            Self::Endpoints(_) => "endpoints",
        }
    }

    /// Takes the step. Rare steps that wait are boxed: they must not make every request larger.
    pub(crate) async fn take(
        &self,
        passage: &mut Passage<'_>,
        request: &mut Request,
    ) -> Result<(), Answer> {
        let scene = passage.scene(request);
        let answer = match self {
            Self::Closed(_) => Some(Answer::refused(StatusCode::SERVICE_UNAVAILABLE, "ANN-08")),
            Self::Preflight(cors) => {
                let asked = passage.origin.is_some() && cors.is_preflight(request);
                asked.then(|| Answer::plain(CompiledCors::preflight()))
            }
            Self::Redirect(policy) => Some(Answer::plain(redirect::answer(policy, &scene))),
            Self::Rewrite(rewriting) => rewrite(rewriting, passage, request),
            Self::Https(upgrade) => upgrade
                .location(&scene)
                .map(|location| Answer::plain(redirect::to(upgrade.status, location))),
            Self::Addresses(lists) => lists.refuse(&scene),
            Self::Rate(rate) => rate.refuse(passage),
            Self::Basic(basic) => Box::pin(basic.refuse(passage, request)).await,
            Self::External(external) => Box::pin(external.refuse(passage, request)).await,
            Self::Any(any) => Box::pin(any.refuse(passage, request)).await,
            Self::Certificate(certificate) => certificate.refuse(passage.info, request),
            Self::Endpoints(shares) => (!is_served(shares))
                .then(|| Answer::refused(StatusCode::SERVICE_UNAVAILABLE, "no-endpoint")),
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
            Self::Preflight(cors) => match cors.allowed(scene.request) {
                None => Told::Passes("the origin is not listed: no CORS fields".to_owned()),
                Some(_) if cors.is_preflight(scene.request) => Told::Answers(
                    StatusCode::NO_CONTENT,
                    "",
                    "a preflight from an origin that is let in".to_owned(),
                ),
                Some(_) => Told::Passes("the origin may read the answer".to_owned()),
            },
            Self::Redirect(policy) => Told::Redirects(
                policy.status,
                redirect::location(policy, scene),
                "the route sends every request elsewhere".to_owned(),
            ),
            Self::Addresses(lists) => lists.tell(scene),
            Self::Rate(rate) => Told::Passes(rate.tell(scene.client)),
            Self::Rewrite(rewriting) => match rewriting.of(scene) {
                Ok(Rewritten {
                    target: Some(target),
                    ..
                }) => Told::Passes(format!("the backend is asked for {target}")),
                Ok(_) => Told::Passes("the path stays: the rewrite finds nothing".to_owned()),
                Err(NotCanonical) => Told::Answers(
                    StatusCode::BAD_REQUEST,
                    "N-12",
                    "the path would have more than one reading".to_owned(),
                ),
            },
            Self::Https(upgrade) => match upgrade.location(scene) {
                Some(location) => Told::Redirects(
                    upgrade.status,
                    location,
                    "plain HTTP is sent to HTTPS by this route".to_owned(),
                ),
                None => Told::Passes("no redirect to HTTPS".to_owned()),
            },
            Self::Basic(basic) => basic.tell(scene.request),
            Self::External(external) => external.tell(),
            Self::Any(any) => any.tell(scene),
            Self::Certificate(certificate) => certificate.tell(scene.info),
            // The upstreams are told of at the end, with their endpoints.
            Self::Endpoints(_) => Told::Passes("no endpoint would show here".to_owned()),
        }
    }
}

fn rewrite(rewriting: &Rewriting, passage: &Passage<'_>, request: &mut Request) -> Option<Answer> {
    let rewritten = rewriting.of(&passage.scene(request));
    let Ok(Rewritten { target, prefix }) = rewritten else {
        return Some(Answer::refused(StatusCode::BAD_REQUEST, "N-12"));
    };
    if let Some(target) = target {
        request.target = target;
    }
    if let Some(prefix) = prefix {
        request.headers.insert(headers::X_FORWARDED_PREFIX, prefix);
    }
    None
}
