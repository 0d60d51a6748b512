//! Cross-origin requests (COR-01 to COR-06).

use std::collections::HashSet;
use std::sync::Arc;

use adit_route::FieldList;
use adit_route::Profile;
use adit_route::policy::{Cors, CorsOrigins, OriginPattern};
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};

use crate::http::message::{Request, Response};

/// The fields of a rule, ready to be sent.
#[derive(Debug)]
pub(crate) struct CompiledCors {
    origins: Origins,
    methods: HeaderValue,
    headers: HeaderValue,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
    profile: Profile,
}

#[derive(Debug)]
enum Origins {
    Any,
    Listed {
        exact: HashSet<Arc<str>, foldhash::fast::RandomState>,
        /// Scheme, and what follows the one label.
        labels: Vec<(Arc<str>, Arc<str>)>,
    },
}

impl CompiledCors {
    pub(super) fn compile(policy: &Cors, profile: Profile) -> Self {
        let origins = match &policy.origins {
            CorsOrigins::Any => Origins::Any,
            CorsOrigins::Listed(patterns) => {
                let mut exact = HashSet::default();
                let mut labels = Vec::new();
                for pattern in patterns {
                    match pattern {
                        OriginPattern::Exact(origin) => drop(exact.insert(Arc::clone(origin))),
                        OriginPattern::Label { scheme, suffix } => {
                            labels.push((Arc::clone(scheme), Arc::clone(suffix)));
                        }
                    }
                }
                Origins::Listed { exact, labels }
            }
        };
        Self {
            origins,
            methods: policy.methods.clone(),
            headers: policy.headers.clone(),
            expose: policy.expose.clone(),
            credentials: policy.credentials.unwrap_or(profile == Profile::Nginx),
            max_age: HeaderValue::from(policy.max_age.as_secs()),
            profile,
        }
    }

    /// `Access-Control-Allow-Origin` for the request: with `*` always, else if its origin is listed.
    pub(super) fn allowed(&self, request: &Request) -> Option<HeaderValue> {
        let (exact, labels) = match &self.origins {
            Origins::Any => return Some(HeaderValue::from_static("*")),
            Origins::Listed { exact, labels } => (exact, labels),
        };
        let asked = request.headers.get(header::ORIGIN)?;
        let origin = asked.to_str().ok()?.to_ascii_lowercase();
        let is_listed = exact.contains(&*origin)
            || labels.iter().any(|(scheme, suffix)| {
                let label = origin.strip_prefix(&**scheme);
                label
                    .and_then(|rest| rest.strip_suffix(&**suffix))
                    .is_some_and(is_label)
            });
        is_listed.then(|| asked.clone())
    }

    /// Whether the request is a preflight: in nginx every OPTIONS (COR-04), else what browsers send.
    pub(super) fn is_preflight(&self, request: &Request) -> bool {
        request.method == Method::OPTIONS
            && (self.profile == Profile::Nginx
                || (request.headers.contains_key(header::ORIGIN)
                    && request
                        .headers
                        .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)))
    }

    /// The answer to a preflight, to which the last stage adds the fields.
    pub(super) fn preflight() -> Response {
        let mut response = Response::empty(StatusCode::NO_CONTENT);
        let plain = HeaderValue::from_static("text/plain charset=UTF-8");
        response.headers.insert(header::CONTENT_TYPE, plain);
        response
    }

    /// Sets the fields, in place of those of the backend (COR-05).
    pub(super) fn apply(&self, allowed: Option<&HeaderValue>, headers: &mut FieldList) {
        if !matches!(self.origins, Origins::Any) {
            vary_by_origin(headers);
        }
        let Some(allowed) = allowed else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        if let Some(expose) = &self.expose {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        } else {
            headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        }
    }
}

/// Exactly one label of a host name.
fn is_label(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.bytes().all(part)
}

/// A cache must not give the answer for one origin to another (COR-06).
fn vary_by_origin(headers: &mut FieldList) {
    let named = |value: &HeaderValue| {
        let mut names = value.as_bytes().split(|&byte| byte == b',');
        names.any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"origin")
        })
    };
    if !headers.get_all(header::VARY).any(named) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}
