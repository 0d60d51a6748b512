//! Cross-origin requests.

use std::time::Duration;

use adit_route::policy::{Cors, CorsOrigins, Policies};
use http::HeaderValue;

use super::super::super::scalar;
use super::super::super::tree::Node;
use super::super::upstreams::Scope;
use super::duration;

const METHODS: HeaderValue = HeaderValue::from_static("GET, PUT, POST, DELETE, PATCH, OPTIONS");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization",
);
const TWENTY_DAYS: Duration = Duration::from_hours(480);

/// Reads the family; whether anything of it is written.
pub(super) fn cors(scope: &Scope<'_>, policies: &mut Policies) -> bool {
    let node = scope
        .field("cors")
        .filter(|node| node.truth() != Some(false));
    policies.cors = node.map(|node| Cors {
        origins: origins(node.field("origins")),
        methods: joined(node.field("methods"), ", ").unwrap_or(METHODS),
        headers: joined(node.field("headers"), ",").unwrap_or(HEADERS),
        expose: joined(node.field("expose"), ","),
        credentials: node.field("credentials").and_then(Node::truth),
        max_age: node
            .field("maxAge")
            .and_then(duration)
            .unwrap_or(TWENTY_DAYS),
    });
    policies.cors.is_some()
}

/// One `*` in the list lets everyone in (COR-03).
fn origins(node: Option<&Node>) -> CorsOrigins {
    let Some(node) = node else {
        return CorsOrigins::Any;
    };
    let items = node.one_or_more().iter();
    let origins = items.filter_map(|item| scalar::origin(item.text()?).ok());
    match origins.collect::<Option<Vec<_>>>() {
        Some(listed) => CorsOrigins::Listed(listed),
        None => CorsOrigins::Any,
    }
}

fn joined(node: Option<&Node>, separator: &str) -> Option<HeaderValue> {
    let names: Vec<&str> = node?.one_or_more().iter().filter_map(Node::text).collect();
    HeaderValue::from_str(&names.join(separator)).ok()
}
