//! Answers that send a client elsewhere.

use adit_route::policy::Redirect;
use http::{HeaderValue, StatusCode, header};

use super::expand::expand;
use super::passage::Scene;
use crate::http::message::Response;

/// The answer of a `redirect`.
pub(super) fn answer(policy: &Redirect, scene: &Scene<'_>) -> Response {
    to(policy.status, location(policy, scene))
}

/// An answer with a `Location`.
pub(super) fn to(status: StatusCode, location: String) -> Response {
    let mut response = Response::empty(status);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers.insert(header::LOCATION, location);
    }
    response
}

/// Its `Location`. A path is completed with the request's scheme and host, without a port.
pub(super) fn location(policy: &Redirect, scene: &Scene<'_>) -> String {
    let mut location = expand(&policy.to, scene);
    if location.starts_with('/') && !policy.relative {
        location.insert_str(0, &format!("{}://{}", scene.scheme(), scene.public_host()));
    }
    if policy.cut_slash && location.ends_with('/') {
        location.pop();
    }
    location
}
