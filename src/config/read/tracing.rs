//! Traces: how much is recorded, and who collects it.

use std::sync::Arc;
use std::time::Duration;

use adit_proxy::blueprint::TracingSpec;
use adit_route::policy::Tracing;

use super::super::tree::Node;
use super::Reader;
use super::upstreams::{Scope, duration, http_upstream_to};

/// The `tracing` of the file.
pub(super) fn tracing(reader: &mut Reader<'_>, root: &Node) -> Option<TracingSpec> {
    let node = root.field("tracing")?;
    let count = |key, usual| {
        let count = node.field(key).and_then(Node::integer);
        count.map_or(usual, |count| count as usize)
    };
    let text = |key, usual: &str| {
        let text = node.field(key).and_then(Node::text);
        text.unwrap_or(usual).to_owned()
    };
    let collector = node.field("otlp").map(|otlp| {
        let list = std::slice::from_ref(otlp);
        let spec = http_upstream_to(reader, "otlp collector", &Scope::of(node), list);
        Arc::new(spec)
    });
    Some(TracingSpec {
        collector,
        path: text("path", "/v1/traces"),
        service: text("service", "adit").into(),
        ratio: count("sample", 100) as f64 / 100.0,
        parent_based: node
            .field("parentBased")
            .and_then(Node::truth)
            .unwrap_or(true),
        queue: count("queue", 2048),
        batch: count("batch", 512),
        delay: node
            .field("delay")
            .and_then(duration)
            .unwrap_or(Duration::from_secs(5)),
    })
}

/// What a route has that writes nothing about traces.
pub(super) fn of_every_route(root: &Node) -> Option<Tracing> {
    let node = root.field("tracing")?;
    let named = node.field("routes").and_then(Node::text) == Some("named");
    (!named).then_some(Tracing {
        enabled: true,
        trust_incoming: true,
        operation: None,
    })
}
