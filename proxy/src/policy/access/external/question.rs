//! The question: the request without its body, and what the server must know beside (AUT-01, AUT-02).

use adit_route::policy::{ExternalAuth, Template};
use adit_route::{FieldList, Profile};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Version};

use crate::http::body::Body;
use crate::http::headers;
use crate::http::message::{Interim, Request};
use crate::policy::expand::expand;
use crate::policy::passage::Scene;

const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_SENT_FROM: HeaderName = HeaderName::from_static("x-sent-from");
const X_SCHEME: HeaderName = HeaderName::from_static("x-scheme");
const X_AUTH_REQUEST_REDIRECT: HeaderName = HeaderName::from_static("x-auth-request-redirect");

/// The question about a request; `None` if a variable makes its target unfit to be sent.
pub(super) fn question(
    policy: &ExternalAuth,
    profile: Profile,
    scene: &Scene<'_>,
) -> Option<Request> {
    let target = expand(&policy.target, scene);
    let target = PathAndQuery::try_from(target).ok()?;
    let mut headers = scene.request.headers.clone();
    tell(policy, profile, scene, &mut headers);
    for (name, template) in &policy.set_fields {
        headers.remove(name);
        if let Some(value) = value(&expand(template, scene)) {
            headers.append(name.clone(), value);
        }
    }
    Some(Request {
        method: policy.method.clone().unwrap_or(Method::GET),
        version: Version::HTTP_11,
        host: policy.host.clone(),
        port: None,
        target,
        headers,
        body: Body::empty(),
        expects_continue: false,
        upgrade: None,
        accepts_trailers: false,
        interim: Interim::None,
    })
}

/// Sets the fields that tell what is asked for. Those of section 4.1 are there already.
fn tell(policy: &ExternalAuth, profile: Profile, scene: &Scene<'_>, headers: &mut FieldList) {
    let request = scene.request;
    let asked_for = scene.target.as_str();
    let port = request.port.map(|port| format!(":{port}"));
    let (scheme, sender) = match profile {
        Profile::Nginx if scene.info.tls.is_some() => ("https", "nginx-ingress-controller"),
        Profile::Nginx => ("http", "nginx-ingress-controller"),
        Profile::Strict => (scene.scheme(), "adit"),
    };
    let url = format!(
        "{scheme}://{}{}{asked_for}",
        request.host,
        port.unwrap_or_default()
    );
    let redirect = policy.request_redirect.as_ref();
    let redirect = redirect.map(|template: &Template| expand(template, scene));
    let mut set = |name: HeaderName, text: &str| {
        headers.remove(&name);
        if let Some(value) = value(text) {
            headers.append(name, value);
        }
    };
    set(X_ORIGINAL_URL, &url);
    set(X_ORIGINAL_METHOD, request.method.as_str());
    set(X_SENT_FROM, sender);
    set(
        X_AUTH_REQUEST_REDIRECT,
        redirect.as_deref().unwrap_or(asked_for),
    );
    if policy.method.is_some() {
        set(X_ORIGINAL_URI, asked_for);
        set(X_SCHEME, scheme);
    }
    match profile {
        Profile::Nginx => drop(headers.remove(headers::X_FORWARDED_PROTO)),
        // What forward-auth servers read beside the scheme and the host.
        Profile::Strict => {
            set(X_FORWARDED_METHOD, request.method.as_str());
            set(X_FORWARDED_URI, asked_for);
        }
    }
}

/// A field is absent rather than empty.
fn value(text: &str) -> Option<HeaderValue> {
    let value = HeaderValue::from_bytes(text.as_bytes()).ok();
    value.filter(|value| !value.is_empty())
}
