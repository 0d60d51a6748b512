//! The way of a request through its route's plan, and of the response back.

use adit_route::CanonicalHost;
use http::header;

use super::compress::Accepted;
use super::cookies::{edit_cookies, edit_locations};
use super::expand::expand;
use super::fields::Edits;
use super::passage::Passage;
use super::plan::Plan;
use super::rate::Pace;
use super::tracing;
use crate::error::Error;
use crate::http::handle::{
    Authority, Serving, Unserved, act, answer, fail, forwarded_client, set_forwarding,
};
use crate::http::message::{Request, Response};
use crate::http::reply;
use crate::trail::Trail;

/// Answers a request of a route that has a plan.
pub(crate) async fn serve(
    serving: Serving<'_>,
    plan: &Plan,
    mut request: Request,
    admitted: Result<(), Unserved>,
    trail: &mut Trail,
) -> Response {
    let info = serving.info;
    let mut passage = Passage {
        serving,
        info,
        client: forwarded_client(info, &request).unwrap_or_else(|| info.client.ip()),
        target: request.target.clone(),
        location: &plan.location,
        user: None,
        place: None,
        session: None,
        origin: plan.cors.as_ref().and_then(|cors| cors.allowed(&request)),
        said: None,
    };
    // First, so that every step and every server that is asked sees the fields of section 4.1.
    match set_forwarding(serving.worker, info, &mut request, trail) {
        Ok(id) => trail.identified(&id),
        Err(violation) => return fail(&Error::Request(violation), trail),
    }
    let accepted = plan
        .compression
        .as_ref()
        .map(|policy| policy.accepted(&request));
    if let Some(policy) = &plan.tracing {
        tracing::begin(policy, serving, &passage, &mut request, trail);
    }
    let mut kept = None;
    let admitted = match admitted {
        Ok(()) => plan.admit(&mut passage, &mut request, trail).await,
        Err(unserved) => Err(answer(unserved, &request, trail)),
    };
    let forwarded = admitted.is_ok();
    let response = match admitted {
        Ok(()) => {
            let authority = plan.authority(&passage, &request);
            if let Some(user) = &passage.user {
                trail.authenticated(user);
            }
            plan.prove(&passage, &mut request);
            let edits = Edits::of(&plan.request_fields, &passage.scene(&request));
            edits.apply(&mut request.headers);
            let serving = Serving {
                authority: authority.as_ref(),
                ..serving
            };
            match plan.gather(&mut request).await {
                Ok(()) => {
                    let errors = plan.errors.as_ref();
                    kept = errors.and_then(|errors| errors.kept(&request));
                    plan.forward(serving, &mut passage, &mut request, trail)
                        .await
                }
                Err(error) => fail(&error, trail),
            }
        }
        Err(response) => response,
    };
    let mut response = match &plan.errors {
        Some(errors) => {
            let replaced = errors.intercept(serving, &passage, &request, kept, response);
            Box::pin(replaced).await
        }
        None => response,
    };
    if forwarded {
        plan.translate(&passage, &request, &mut response);
    }
    plan.finish(&mut passage, &request, accepted, response)
}

impl Plan {
    /// Takes the steps up to the first that answers.
    async fn admit(
        &self,
        passage: &mut Passage<'_>,
        request: &mut Request,
        trail: &mut Trail,
    ) -> Result<(), Response> {
        for step in &self.steps {
            if let Err(answer) = step.take(passage, request).await {
                let mut response = answer.response;
                if let Some(rule) = answer.rule {
                    trail.refused(rule);
                    if trail.is_grpc() {
                        reply::as_grpc(&mut response);
                    }
                }
                return Err(response);
            }
        }
        Ok(())
    }

    /// The host that the backend is asked for, if it is not that of the client. A value that is no
    /// host is left out.
    fn authority(&self, passage: &Passage<'_>, request: &Request) -> Option<Authority> {
        let host = expand(self.upstream_host.as_ref()?, &passage.scene(request));
        CanonicalHost::parse_authority(host.as_bytes()).ok()
    }

    /// What the backend says of places, in words that the client can use.
    fn translate(&self, passage: &Passage<'_>, request: &Request, response: &mut Response) {
        let scene = passage.scene(request);
        edit_cookies(&self.cookies, &scene, &mut response.headers);
        edit_locations(&self.locations, &scene, &mut response.headers);
    }

    /// What was proven takes the place of what the client brought to prove it.
    fn prove(&self, passage: &Passage<'_>, request: &mut Request) {
        if self.keeps_password {
            request.headers.remove(header::AUTHORIZATION);
        }
        if let Some(external) = &self.external {
            external.grant(passage.said.as_deref(), &mut request.headers);
        }
    }

    /// Gathers the body first, where the route asks for it.
    async fn gather(&self, request: &mut Request) -> Result<(), Error> {
        match &self.traffic {
            Some(traffic) => traffic.gather(request).await,
            None => Ok(()),
        }
    }

    /// Does what the route does, in the way that its policies say.
    async fn forward(
        &self,
        serving: Serving<'_>,
        passage: &mut Passage<'_>,
        request: &mut Request,
        trail: &mut Trail,
    ) -> Response {
        if let Some(errors) = self.errors.as_ref().filter(|errors| errors.stands_in())
            && let Some(response) = Box::pin(errors.stand_in(serving, request)).await
        {
            return response;
        }
        match &self.traffic {
            Some(traffic) => Box::pin(traffic.serve(serving, passage, request, trail)).await,
            None => act(serving, request, trail).await,
        }
    }

    /// The response stage, whoever answered.
    fn finish(
        &self,
        passage: &mut Passage<'_>,
        request: &Request,
        accepted: Option<Accepted>,
        mut response: Response,
    ) -> Response {
        // Ours, so no policy about the backend's cookies changes it.
        if let Some(cookie) = passage.session.take() {
            response.headers.append(header::SET_COOKIE, cookie);
        }
        if let Some(cors) = &self.cors {
            cors.apply(passage.origin.as_ref(), &mut response.headers);
        }
        if !self.response_fields.is_empty() {
            let edits = Edits::of(&self.response_fields, &passage.scene(request));
            edits.apply(&mut response.headers);
        }
        if let Some(hsts) = &self.hsts
            && passage.scene(request).scheme() == "https"
        {
            let name = header::STRICT_TRANSPORT_SECURITY;
            response.headers.insert(name, hsts.clone());
        }
        if let (Some(external), Some(said)) = (&self.external, &passage.said) {
            external.set_cookies(said, &mut response);
        }
        if let (Some(policy), Some(accepted)) = (&self.compression, accepted) {
            policy.apply(accepted, &mut response);
        }
        if let Some(place) = passage.place.take() {
            response.body.occupy(place);
        }
        if let Some(speed) = self.bandwidth {
            response.body.slow_down(Pace::new(speed));
        }
        response
    }
}
