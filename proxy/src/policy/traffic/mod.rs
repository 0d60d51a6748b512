//! What is done with a request on its way to a backend beside sending it there: which upstream gets
//! it, and which endpoint.
//!
//! Compiled beside the steps of a [`Plan`](super::Plan); a route without any of this has none. In
//! this order: a session goes where it was, a canary takes its share, the route's upstreams share
//! the rest by weight. Bodies are gathered, copied and read ahead here too.

mod canary;
mod mirror;
mod sticky;

use std::sync::Arc;

use adit_route::policy::{Buffering, Canary, Policies, Sticky};
use adit_route::{FieldList, PathMatch};
use http::{HeaderName, StatusCode, header};

use self::mirror::{CompiledMirror, Copied};
use super::passage::Passage;
use super::plan::Compiling;
use crate::error::Error;
use crate::http::ahead::read_ahead;
use crate::http::body::Body;
use crate::http::forward::{self, Aim, hash_of, share};
use crate::http::handle::{Serving, act, fail};
use crate::http::message::{Request, Response};
use crate::http::spool;
use crate::snapshot::{CompiledAction, CompiledUpstream};
use crate::trail::Trail;
use crate::upstream::sessions::upstream_digest;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The part of a plan that forwards.
#[derive(Debug)]
pub(crate) struct Traffic {
    canary: Option<CompiledCanary>,
    sticky: Option<CompiledSticky>,
    mirrors: Box<[CompiledMirror]>,
    buffering: Buffering,
}

#[derive(Debug)]
struct CompiledCanary {
    policy: Canary,
    upstream: Arc<CompiledUpstream>,
    digest: Box<str>,
}

#[derive(Debug)]
struct CompiledSticky {
    policy: Sticky,
    path: Box<str>,
    /// Digests of the route's upstreams, in their order.
    digests: Box<[Box<str>]>,
}

impl Traffic {
    /// Compiles what concerns forwarding; `None` if nothing does.
    pub(super) fn compile(policies: &Policies, with: &mut Compiling<'_>) -> Option<Box<Self>> {
        let Compiling {
            path,
            action,
            upstreams,
            ..
        } = with;
        let CompiledAction::Forward { shares, .. } = action else {
            return None;
        };
        let canary = policies.canary.as_ref().and_then(|policy| {
            Some(CompiledCanary {
                upstream: upstreams(&policy.upstream)?,
                digest: upstream_digest(&policy.upstream.name).into(),
                policy: policy.clone(),
            })
        });
        let digest = |(upstream, _): &(Arc<CompiledUpstream>, u32)| {
            upstream_digest(&upstream.upstream.spec().name).into()
        };
        let sticky = policies.sticky.as_ref().map(|policy| CompiledSticky {
            policy: policy.clone(),
            path: cookie_path(policy, path).into(),
            digests: shares.iter().map(digest).collect(),
        });
        let mirrors: Box<[_]> = policies
            .mirrors
            .iter()
            .filter_map(|policy| Some(CompiledMirror::new(policy, upstreams(&policy.upstream)?)))
            .collect();
        let buffering = policies.buffering;
        let any = canary.is_some()
            || sticky.is_some()
            || !mirrors.is_empty()
            || buffering != Buffering::default();
        any.then(|| {
            Box::new(Self {
                canary,
                sticky,
                mirrors,
                buffering,
            })
        })
    }

    /// What the policies would do with a request, by their keys in the file.
    pub(crate) fn tell(&self, request: &Request) -> Vec<(&'static str, String)> {
        let mut told = Vec::new();
        if let Some(sticky) = &self.sticky {
            let policy = &sticky.policy;
            let goes_on = sticky::claim(policy, request).is_some();
            let what = if goes_on {
                "a session goes on by"
            } else {
                "a session begins with"
            };
            told.push(("sticky", format!("{what} cookie {}", policy.cookie)));
        }
        if let Some(canary) = &self.canary {
            told.push(("canary", canary::tell(&canary.policy, request)));
        }
        for mirror in &self.mirrors {
            told.push(("mirror", format!("a copy goes to {}", mirror.name())));
        }
        told
    }

    /// Gathers the body of a request, if the route asks for that.
    pub(super) async fn gather(&self, request: &mut Request) -> Result<(), Error> {
        let Some(policy) = self.buffering.request else {
            return Ok(());
        };
        if request.body.is_empty() || request.upgrade.is_some() {
            return Ok(());
        }
        if std::mem::replace(&mut request.expects_continue, false) {
            let interim = &request.interim;
            interim.send(StatusCode::CONTINUE, FieldList::new()).await;
        }
        let body = std::mem::replace(&mut request.body, Body::empty());
        request.body = Box::pin(spool::gather(body, policy)).await?;
        Ok(())
    }

    /// Sends copies of the request on their way.
    fn mirror(&self, serving: Serving<'_>, passage: &Passage<'_>, request: &mut Request) {
        if self.mirrors.is_empty() || request.upgrade.is_some() {
            return;
        }
        let copies: Vec<_> = self
            .mirrors
            .iter()
            .filter_map(|mirror| mirror.copy(serving, passage.scene(request)))
            .collect();
        if !copies.is_empty() {
            let body = std::mem::replace(&mut request.body, Body::empty());
            request.body = Copied::wrap(body, copies);
        }
    }

    /// Reads the response ahead of its client, unless the backend says otherwise.
    fn read_ahead(&self, response: &mut Response) {
        /// What a backend that asks for it gets where the route says nothing.
        const USUAL: u64 = 256 * 1024;
        let said = response.headers.remove(X_ACCEL_BUFFERING);
        let most = match said.as_ref().map(http::HeaderValue::as_bytes) {
            Some(b"no") => None,
            Some(b"yes") => self.buffering.response.or(Some(USUAL)),
            _ => self.buffering.response,
        };
        if let Some(most) = most {
            let body = std::mem::replace(&mut response.body, Body::empty());
            response.body = read_ahead(body, most);
        }
    }

    /// Sends the request on. The forwarding fields are set, the policies before have passed.
    pub(super) async fn serve(
        &self,
        serving: Serving<'_>,
        passage: &mut Passage<'_>,
        request: &mut Request,
        trail: &mut Trail,
    ) -> Response {
        if !matches!(serving.route.action, CompiledAction::Forward { .. }) {
            return act(serving, request, trail).await;
        }
        match self.forward(serving, passage, request, trail).await {
            Ok(response) => response,
            Err(error) => fail(&error, trail),
        }
    }

    async fn forward(
        &self,
        serving: Serving<'_>,
        passage: &mut Passage<'_>,
        request: &mut Request,
        trail: &mut Trail,
    ) -> Result<Response, Error> {
        let worker = serving.worker;
        self.mirror(serving, passage, request);
        let chosen = self.choose(serving, request).ok_or(Error::NoEndpoint)?;
        let scene = passage.scene(request);
        let compiled = chosen.upstream;
        let mut aim = Aim::of(serving, compiled);
        aim.hash = hash_of(
            &compiled.upstream.spec().balance,
            serving.info,
            request,
            Some(&scene),
        );
        let secure = scene.scheme() == "https";
        let session = chosen.session.map(|(policy, claim)| {
            let visit = sticky::visit(
                &policy.policy,
                claim,
                compiled,
                &mut worker.random.borrow_mut(),
            );
            (policy, visit)
        });
        aim.session = session.as_ref().and_then(|(_, visit)| visit.session);
        let agent = session
            .as_ref()
            .and_then(|_| request.headers.get(header::USER_AGENT).cloned());
        let sent = forward::send(worker, serving.current, &aim, request, trail).await;
        let mut response = sent?;
        response.body.set_upgraded_idle(serving.route.upgraded_idle);
        self.read_ahead(&mut response);
        if let (Some((sticky, visit)), Some(endpoint)) = (session, trail.endpoint()) {
            let random = &mut worker.random.borrow_mut();
            if let Some(key) = visit.written(&sticky.policy, compiled, endpoint, random) {
                let value = format!("{key}|{}", chosen.digest);
                let (policy, path) = (&sticky.policy, &sticky.path);
                passage.session = sticky::cookie_of(policy, path, &value, secure, agent.as_ref());
            }
        }
        Ok(response)
    }

    /// The upstream of the request.
    fn choose<'a>(&'a self, serving: Serving<'a>, request: &Request) -> Option<Chosen<'a>> {
        let CompiledAction::Forward { shares, .. } = &serving.route.action else {
            return None;
        };
        let claim = self
            .sticky
            .as_ref()
            .and_then(|sticky| sticky::claim(&sticky.policy, request));
        let claimed = claim.as_ref().and_then(|claim| claim.upstream.as_deref());
        let canary = self.canary.as_ref().filter(|_| {
            // Without endpoints of its own the route serves nobody (CAN-08).
            let mut shares = shares.iter();
            shares.any(|(share, _)| share.upstream.has_endpoints())
        });
        let sticks = canary.is_none_or(|canary| canary.policy.sticky);
        // A session goes where it was, whatever header, cookie and weight say (AFF-08).
        let session_at = claimed.filter(|_| sticks);
        if let (Some(canary), Some(digest)) = (canary, session_at)
            && *canary.digest == *digest
            && canary.upstream.upstream.has_fit_endpoint()
        {
            return Some(Chosen {
                session: self.sticky.as_ref().map(|sticky| (sticky, claim)),
                ..Chosen::canary(canary)
            });
        }
        let of_session = self.of_digest(claimed, shares);
        let stays = of_session.is_some() && sticks;
        let drawn = |total| serving.worker.random.borrow_mut().u32(..total);
        if let Some(canary) = canary
            && !stays
            && canary::takes(&canary.policy, request, drawn)
            && canary.upstream.upstream.has_fit_endpoint()
        {
            let begins = self.sticky.as_ref().filter(|_| canary.policy.sticky);
            return Some(Chosen {
                session: begins.map(|sticky| (sticky, None)),
                ..Chosen::canary(canary)
            });
        }
        let upstream = match of_session {
            Some(upstream) => upstream,
            None => share(serving.worker, serving.route)?,
        };
        let digest = self.sticky.as_ref().and_then(|sticky| {
            let mut named = shares.iter().zip(&sticky.digests);
            named.find_map(|((share, _), digest)| Arc::ptr_eq(share, upstream).then_some(&**digest))
        });
        // A claim on another upstream says nothing about this one.
        let here = claim.filter(|claim| {
            let named = claim.upstream.as_deref();
            named.is_none_or(|named| Some(named) == digest)
        });
        Some(Chosen {
            upstream,
            digest: digest.unwrap_or_default(),
            session: self.sticky.as_ref().map(|sticky| (sticky, here)),
        })
    }

    /// The route's upstream with this digest, while it takes anything at all.
    fn of_digest<'a>(
        &self,
        digest: Option<&str>,
        shares: &'a [(Arc<CompiledUpstream>, u32)],
    ) -> Option<&'a Arc<CompiledUpstream>> {
        let sticky = self.sticky.as_ref()?;
        let at = sticky
            .digests
            .iter()
            .position(|known| Some(&**known) == digest)?;
        shares.get(at).map(|(upstream, _)| upstream)
    }
}

/// What a request goes to.
struct Chosen<'a> {
    upstream: &'a Arc<CompiledUpstream>,
    digest: &'a str,
    session: Option<(&'a CompiledSticky, Option<sticky::Claim>)>,
}

impl<'a> Chosen<'a> {
    fn canary(canary: &'a CompiledCanary) -> Self {
        Self {
            upstream: &canary.upstream,
            digest: &canary.digest,
            session: None,
        }
    }
}

/// Where the cookie is valid: what the policy says, else the path of the rule (AFF-04).
fn cookie_path(policy: &Sticky, path: &PathMatch) -> String {
    match (&policy.path, path) {
        (Some(path), _) | (None, PathMatch::Exact(path) | PathMatch::Prefix(path)) => {
            path.to_string()
        }
        (None, PathMatch::Regex(_)) => "/".to_owned(),
    }
}
