//! The messages of the OpenTelemetry protocol that carry spans (opentelemetry-proto 1.x, traces).

use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::Span;

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<WireSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct WireSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(oneof = "Content", tags = "1, 3")]
    content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Content {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// `SPAN_KIND_SERVER`.
const SERVER: i32 = 2;

/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`, sampled.
const REMOTE_PARENT: u32 = 0x301;

/// An `ExportTraceServiceRequest` of these spans.
pub(super) fn encode(service: &str, spans: &[Span]) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![text("service.name", service)],
    };
    let scope = Scope {
        name: "adit".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let export = Export {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: spans.iter().map(wire).collect(),
            }],
        }],
    };
    export.encode_to_vec()
}

fn wire(span: &Span) -> WireSpan {
    let begun = &span.begun;
    let context = &begun.context;
    let parent = begun.parent.map(|parent| parent.to_vec());
    let mut attributes = vec![
        text("http.request.method", &span.method),
        text("url.scheme", begun.scheme),
        text("url.path", &span.path),
        text("server.address", &span.host),
        text("client.address", &span.client),
        text("network.protocol.version", span.version),
        text("http.route", &span.route),
    ];
    if span.status > 0 {
        attributes.push(Attribute {
            key: "http.response.status_code".to_owned(),
            value: Some(Value {
                content: Some(Content::Number(i64::from(span.status))),
            }),
        });
    }
    let optional = [
        ("user_agent.original", &*begun.user_agent),
        ("adit.upstream", &*span.upstream),
        ("adit.endpoint", &*span.endpoint),
        ("error.type", span.reason),
    ];
    for (key, value) in optional {
        if !value.is_empty() {
            attributes.push(text(key, value));
        }
    }
    let failed = span.status >= 500 || span.status == 0;
    WireSpan {
        trace_id: context.trace.to_vec(),
        span_id: context.span.to_vec(),
        trace_state: begun.state.clone(),
        parent_span_id: parent.clone().unwrap_or_default(),
        name: begun.name.clone(),
        kind: SERVER,
        start_time_unix_nano: nanos(begun.started),
        end_time_unix_nano: nanos(begun.started + span.took),
        attributes,
        status: failed.then_some(Status { code: ERROR }),
        flags: if parent.is_some() { REMOTE_PARENT } else { 1 },
    }
}

fn text(key: &str, value: &str) -> Attribute {
    Attribute {
        key: key.to_owned(),
        value: Some(Value {
            content: Some(Content::Text(value.to_owned())),
        }),
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
