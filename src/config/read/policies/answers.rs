//! What becomes of bodies and answers: errors, encodings, buffers, copies, traces.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use adit_route::policy::{
    Buffering, Compression, ErrorPages, Errors, Mirror, Policies, RequestBuffering, Template,
    Tracing,
};
use adit_route::{FieldList, FixedResponse, UpstreamSpec};
use http::{HeaderValue, StatusCode, header};

use super::super::super::problem::{Code, Problem};
use super::super::super::scalar;
use super::super::super::tree::{Entry, Node};
use super::super::Reader;
use super::super::upstreams::{Scope, http_upstream_to};
use super::template;

/// Reads the family; whether anything of it is written. `name` is that of the rule's upstream.
pub(super) fn answers(
    reader: &mut Reader<'_>,
    scope: &Scope<'_>,
    name: &str,
    policies: &mut Policies,
) -> bool {
    if let Some(node) = scope.field("errors") {
        policies.errors = Some(errors(reader, scope, name, node));
    }
    policies.compression = scope.field("compression").and_then(compression);
    policies.buffering = buffering(scope);
    if let Some(node) = scope.field("mirror") {
        let one = std::slice::from_ref(node);
        let list = if node.is_map() { one } else { node.items() };
        let copies = list.iter().enumerate();
        policies.mirrors = copies
            .filter_map(|(at, node)| mirror(reader, scope, &format!("{name} mirror {at}"), node))
            .collect();
    }
    policies.tracing = tracing(reader, scope);
    policies.errors.is_some()
        || policies.compression.is_some()
        || policies.buffering != Buffering::default()
        || !policies.mirrors.is_empty()
        || policies.tracing.is_some()
}

fn errors(reader: &mut Reader<'_>, scope: &Scope<'_>, name: &str, node: &Node) -> Errors {
    let mut pages = ErrorPages::new();
    for entry in node.field("pages").into_iter().flat_map(Node::entries) {
        if let Some((status, page)) = page(reader, entry) {
            pages.insert(status.as_u16(), page);
        }
    }
    let statuses = node.field("statuses").map(Node::items).unwrap_or_default();
    let statuses: Vec<StatusCode> = statuses
        .iter()
        .filter_map(|item| item.text()?.parse().ok())
        .collect();
    for (key, other, is_there) in [
        ("statuses", "backends", node.field("backends").is_some()),
        ("backends", "statuses", node.field("statuses").is_some()),
    ] {
        if !is_there {
            reader.forbid(node, &[key], &format!("`{other}` is missing beside it"));
        }
    }
    let mut upstream = |key, what: &str| {
        let list = node.field(key)?.items();
        let spec = http_upstream_to(reader, &format!("{name} {what}"), scope, list);
        Some::<Arc<UpstreamSpec>>(Arc::new(spec))
    };
    let backend = upstream("backends", "errors");
    let without_endpoints = upstream("withoutEndpoints", "without endpoints");
    let label = |entry: &Entry| {
        let name = scalar::header_name(&entry.key).ok()?;
        Some((name, scalar::header_value(entry.value.text()?).ok()?))
    };
    let labels = node.field("labels").map(Node::entries).unwrap_or_default();
    Errors {
        statuses,
        backend,
        pages,
        without_endpoints,
        labels: labels.iter().filter_map(label).collect(),
    }
}

fn page(reader: &mut Reader<'_>, entry: &Entry) -> Option<(StatusCode, Arc<FixedResponse>)> {
    let status: StatusCode = entry.key.parse().ok()?;
    let node = &entry.value;
    let (file, body) = (node.field("file"), node.field("body"));
    let content = match (file, body) {
        (Some(file), None) => reader.content(file)?.to_vec(),
        (None, Some(body)) => body.text()?.as_bytes().to_vec(),
        _ => {
            let message = "a page is either a `file` or a `body`";
            let problem = Problem::error(Code::COMBINATION, node.span, message);
            reader.push(problem.allowed("exactly one of `file` and `body`"));
            return None;
        }
    };
    let named = file.and_then(Node::text).map(Path::new);
    let ending = named.and_then(Path::extension).and_then(OsStr::to_str);
    let usual = match ending {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    };
    let kind = node.field("type").and_then(Node::text).unwrap_or(usual);
    let mut headers = FieldList::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).ok()?);
    Some((
        status,
        Arc::new(FixedResponse {
            status,
            headers,
            body: content,
        }),
    ))
}

/// Types that shrink: what web servers encode, and what was invented since.
const TYPES: [&str; 20] = [
    "text/*",
    "application/atom+xml",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/rss+xml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-ttf",
    "application/x-javascript",
    "application/x-web-app-manifest+json",
    "application/xhtml+xml",
    "application/xml",
    "font/opentype",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "image/x-icon",
];

fn compression(node: &Node) -> Option<Compression> {
    if node.truth() == Some(false) {
        return None;
    }
    let encodings = node.field("encodings").map(Node::items);
    let offers =
        |name: &str| encodings.is_none_or(|list| list.iter().any(|item| item.text() == Some(name)));
    let level = |key, usual| {
        let level = node.field(key).and_then(Node::integer);
        level.map_or(usual, |level| level as u32)
    };
    let types = node.field("types").map(Node::items).map(|list| {
        let texts = list.iter().filter_map(Node::text);
        texts.map(|text| text.to_ascii_lowercase().into()).collect()
    });
    let length = node.field("minLength").and_then(Node::text);
    Some(Compression {
        brotli: offers("br").then(|| level("brotliLevel", 4)),
        gzip: offers("gzip").then(|| level("gzipLevel", 5)),
        zstd: offers("zstd").then(|| level("zstdLevel", 3) as i32),
        types: types.unwrap_or_else(|| TYPES.map(Into::into).into()),
        min_length: length
            .and_then(|text| scalar::size(text).ok())
            .unwrap_or(256),
    })
}

fn buffering(scope: &Scope<'_>) -> Buffering {
    const MEMORY: u64 = 64 * 1024;
    const MOST: u64 = 1 << 30;
    let size = |node: &Node, key: &str| {
        let text = node.field(key).and_then(Node::text);
        text.and_then(|text| scalar::size(text).ok())
    };
    let request = scope.part("buffering", "request");
    let request = request.filter(|node| node.truth() != Some(false));
    let limit = scope.part("limits", "body").and_then(Node::text);
    let limit = limit.and_then(|text| scalar::size(text).ok());
    let response = scope.part("buffering", "response").and_then(Node::text);
    Buffering {
        request: request.map(|node| RequestBuffering {
            memory: size(node, "memory").unwrap_or(MEMORY),
            most: size(node, "most").or(limit).unwrap_or(MOST),
        }),
        response: response.and_then(|text| scalar::size(text).ok()),
    }
}

fn mirror(reader: &mut Reader<'_>, scope: &Scope<'_>, name: &str, node: &Node) -> Option<Mirror> {
    let to = std::slice::from_ref(node.field("to")?);
    let upstream = http_upstream_to(reader, name, scope, to);
    let path = node.field("path").and_then(template);
    let percent = node.field("percent").and_then(Node::integer);
    Some(Mirror {
        upstream: Arc::new(upstream),
        target: path.or_else(|| Template::parse("$request_uri", &[]).ok())?,
        host: node.field("host").and_then(Node::text).map(Into::into),
        body: node.field("body").and_then(Node::truth).unwrap_or(true),
        weight: percent.map_or(100, |percent| percent as u32),
        total: 100,
    })
}

fn tracing(reader: &Reader<'_>, scope: &Scope<'_>) -> Option<Tracing> {
    let Some(node) = scope.field("tracing") else {
        return reader.traced.clone();
    };
    let enabled = node.truth() != Some(false);
    enabled.then(|| Tracing {
        enabled,
        trust_incoming: node.field("trust").and_then(Node::truth).unwrap_or(true),
        operation: node.field("name").and_then(template),
    })
}
