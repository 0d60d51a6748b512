//! What a client sees instead of an error (section 6.7).
//!
//! Decided on the status alone, before a byte of the answer is passed on. A page of our own keeps
//! the status; an error backend is asked once, with the request's method and what went wrong, and
//! its answer is final, whatever its status.

use std::sync::Arc;

use adit_route::policy::{ErrorPages, Errors};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::passage::Passage;
use super::plan::UpstreamCompiler;
use crate::http::body::Body;
use crate::http::forward::{self, Aim};
use crate::http::handle::Serving;
use crate::http::message::{Interim, Request, Response};
use crate::http::reply;
use crate::snapshot::{CompiledAction, CompiledUpstream};

const X_CODE: HeaderName = HeaderName::from_static("x-code");
const X_FORMAT: HeaderName = HeaderName::from_static("x-format");
const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");

/// The compiled policy.
#[derive(Debug)]
pub(super) struct CompiledErrors {
    statuses: Box<[StatusCode]>,
    pages: ErrorPages,
    backend: Option<Arc<CompiledUpstream>>,
    without_endpoints: Option<Arc<CompiledUpstream>>,
    labels: Box<[(HeaderName, HeaderValue)]>,
}

impl CompiledErrors {
    pub(super) fn compile(policy: &Errors, upstreams: &mut UpstreamCompiler<'_>) -> Self {
        Self {
            statuses: policy.statuses.clone().into(),
            pages: policy.pages.clone(),
            backend: policy.backend.as_ref().and_then(&mut *upstreams),
            without_endpoints: policy.without_endpoints.as_ref().and_then(upstreams),
            labels: policy.labels.clone().into(),
        }
    }

    /// Whether the policy serves requests while the route's own upstreams have no endpoint.
    pub(super) fn stands_in(&self) -> bool {
        self.without_endpoints.is_some()
    }

    /// The request's body as the error backend will get it, if it can be had twice.
    pub(super) fn kept(&self, request: &Request) -> Option<Body> {
        self.backend.as_ref()?;
        request.body.again()
    }

    /// Replaces an answer, if the policy is about its status.
    pub(super) async fn intercept(
        &self,
        serving: Serving<'_>,
        passage: &Passage<'_>,
        request: &Request,
        kept: Option<Body>,
        response: Response,
    ) -> Response {
        let status = response.status;
        if response.headers.contains_key(reply::GRPC_STATUS) {
            return response;
        }
        if let Some(page) = self.pages.get(&status.as_u16()) {
            let mut headers = page.headers.clone();
            for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW] {
                if let Some(value) = response.headers.get(&name).cloned() {
                    headers.append(name, value);
                }
            }
            return Response {
                status,
                headers,
                body: Body::full(page.body.clone()),
            };
        }
        let Some(backend) = self
            .backend
            .as_ref()
            .filter(|_| self.statuses.contains(&status))
        else {
            return response;
        };
        // What is discarded gives its connection up, or back if it was read to the end.
        drop(response);
        let query = passage.target.query();
        let target = query.map_or_else(|| "/".to_owned(), |query| format!("/?{query}"));
        let target = PathAndQuery::try_from(target);
        let target = target.unwrap_or_else(|_| PathAndQuery::from_static("/"));
        let mut asked = self.told(request, target, status);
        if let Ok(uri) = HeaderValue::from_str(passage.target.as_str()) {
            asked.headers.insert(X_ORIGINAL_URI, uri);
        }
        asked.body = kept.unwrap_or_else(Body::empty);
        self.ask(serving, backend, &mut asked).await
    }

    /// Serves the request itself while the route's upstreams have no endpoint (ERR-05).
    pub(super) async fn stand_in(
        &self,
        serving: Serving<'_>,
        request: &mut Request,
    ) -> Option<Response> {
        let backend = self.without_endpoints.as_ref()?;
        let CompiledAction::Forward { shares, .. } = &serving.route.action else {
            return None;
        };
        if shares
            .iter()
            .any(|(share, _)| share.upstream.has_endpoints())
        {
            return None;
        }
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut asked = self.told(request, request.target.clone(), status);
        asked.body = std::mem::replace(&mut request.body, Body::empty());
        Some(self.ask(serving, backend, &mut asked).await)
    }

    /// The request with what went wrong.
    fn told(&self, request: &Request, target: PathAndQuery, status: StatusCode) -> Request {
        let mut headers = request.headers.clone();
        headers.insert(X_CODE, HeaderValue::from(status.as_u16()));
        let accept = headers.get(header::ACCEPT).cloned();
        match accept {
            Some(accept) => drop(headers.insert(X_FORMAT, accept)),
            None => drop(headers.remove(X_FORMAT)),
        }
        headers.remove(X_ORIGINAL_URI);
        for (name, value) in &self.labels {
            headers.insert(name.clone(), value.clone());
        }
        Request {
            method: request.method.clone(),
            version: request.version,
            host: request.host.clone(),
            port: request.port,
            target,
            headers,
            body: Body::empty(),
            expects_continue: false,
            upgrade: None,
            accepts_trailers: false,
            interim: Interim::None,
        }
    }

    async fn ask(
        &self,
        serving: Serving<'_>,
        backend: &CompiledUpstream,
        asked: &mut Request,
    ) -> Response {
        let aim = Aim {
            authority: None,
            ..Aim::of(serving, backend)
        };
        match Box::pin(forward::ask(serving.worker, serving.current, &aim, asked)).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, "the error backend failed");
                reply::page(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }
}
