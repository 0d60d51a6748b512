//! Answers that send a client elsewhere.

use adit_route::policy::Redirect;
use http::{HeaderValue, header};

use super::expand::expand;
use super::passage::Scene;
use crate::http::message::Response;

/// The answer of a `redirect`.
pub(super) fn answer(policy: &Redirect, scene: &Scene<'_>) -> Response {
    let mut response = Response::empty(policy.status);
    if let Ok(location) = HeaderValue::try_from(location(policy, scene)) {
        response.headers.insert(header::LOCATION, location);
    }
    response
}

/// Its `Location`. A path is completed with the request's scheme and host, without a port.
pub(super) fn location(policy: &Redirect, scene: &Scene<'_>) -> String {
    let mut location = expand(&policy.to, scene, None);
    if location.starts_with('/') && !policy.relative {
        location.insert_str(0, &format!("{}://{}", scene.scheme(), scene.request.host));
    }
    if policy.cut_slash && location.ends_with('/') {
        location.pop();
    }
    location
}
