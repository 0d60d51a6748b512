//! Trace context, and the spans that a collector gets.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use adit_bench::Kind;
use prost::Message;

use crate::support::backend::Backend;
use crate::support::site::{DOORS, Site};
use crate::support::{PATIENCE, origin};

/// What a collector reads of an export: names and tags are those of opentelemetry-proto.
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
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    own_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
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
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
}

impl Span {
    fn text(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|one| one.key == key)?;
        found.value.as_ref()?.text.as_deref()
    }
}

/// A collector: takes every export.
fn collector() -> (Backend, Receiver<Export>) {
    let (told, exports) = mpsc::channel();
    let told = Mutex::new(told);
    let backend = Backend::start(move |_, mut client| {
        while let Some(head) = client.try_head() {
            let head = head.to_lowercase();
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            assert!(
                head.contains("content-type: application/x-protobuf\r\n"),
                "{head}"
            );
            let (_, length) = head.split_once("content-length: ").unwrap();
            let length = length.lines().next().unwrap().trim().parse().unwrap();
            let export = Export::decode(&*client.take(length)).unwrap();
            let _ = told.lock().unwrap().send(export);
            let _ = client.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (backend, exports)
}

const CLIENTS: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn a_request_becomes_a_span_and_its_backend_a_child() {
    let site = Site::new();
    let (collector, exports) = collector();
    let main = origin(Kind::Http1, "main");
    let doors = DOORS.replace(
        "role: lan, bind: \"127.0.0.1:0\"}",
        "role: lan, bind: \"127.0.0.1:0\", trustForwarded: [127.0.0.1/32]}",
    );
    let adit = site.run_with(
        &doors,
        &format!(
            "tracing: {{otlp: \"http://{}\", service: edge, delay: 50ms}}\n\
             routes:\n\
             - name: shop\n\
             \x20 host: www.example.test\n\
             \x20 paths:\n\
             \x20   - {{prefix: /, backends: [\"http://{main}\"]}}\n\
             \x20   - {{prefix: /strangers, backends: [\"http://{main}\"], tracing: {{trust: false, name: \"to $host\"}}}}\n\
             \x20   - {{prefix: /quiet, backends: [\"http://{main}\"], tracing: false}}\n",
            collector.addr(),
            main = main.addr()
        ),
    );
    let ask = |path: &str| {
        let parent = format!("traceparent: 00-{CLIENTS}-00f067aa0ba902b7-01");
        site.curl(adit.addr("web"))
            .header(&parent)
            .header("baggage: user=7")
            .get(&format!("http://www.example.test{path}"))
            .expect(200)
            .seen()
    };
    let seen = ask("/a?secret=1");
    let field = seen.one("traceparent").unwrap().to_owned();
    let parts: Vec<_> = field.split('-').collect();
    assert_eq!((parts[1], parts[3]), (CLIENTS, "01"), "{field}");
    assert_eq!(seen.one("baggage"), Some("user=7"));
    let export = exports.recv_timeout(PATIENCE).unwrap();
    let of_service = &export.resource_spans[0];
    let service = &of_service.resource.as_ref().unwrap().attributes[0];
    assert_eq!(service.key, "service.name");
    assert_eq!(
        service.value.as_ref().unwrap().text.as_deref(),
        Some("edge")
    );
    let span = &of_service.scope_spans[0].spans[0];
    assert_eq!(hex(&span.trace_id), CLIENTS);
    assert_eq!(hex(&span.parent_id), "00f067aa0ba902b7");
    assert_eq!(
        hex(&span.own_id),
        parts[2],
        "the backend is a child of the span"
    );
    assert_eq!((span.kind, span.name.as_str()), (2, "GET shop /"));
    assert!(span.end >= span.start && span.start > 0);
    assert_eq!(
        span.text("url.path"),
        Some("/a"),
        "no query: it may hold secrets"
    );
    assert_eq!(span.text("server.address"), Some("www.example.test"));
    assert_eq!(span.text("http.request.method"), Some("GET"));
    let status = span
        .attributes
        .iter()
        .find(|one| one.key == "http.response.status_code");
    assert_eq!(status.unwrap().value.as_ref().unwrap().number, Some(200));

    let seen = ask("/strangers");
    let field = seen.one("traceparent").unwrap().to_owned();
    assert!(!field.contains(CLIENTS), "{field}");
    assert_eq!(seen.one("baggage"), None);
    let export = exports.recv_timeout(PATIENCE).unwrap();
    let span = &export.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.name, "to www.example.test");
    assert!(span.parent_id.is_empty());

    // Untouched where nothing is traced.
    assert!(
        ask("/quiet")
            .one("traceparent")
            .unwrap()
            .ends_with("00f067aa0ba902b7-01")
    );
}

#[test]
fn nobody_continues_a_trace_whose_forwarding_is_not_believed_and_none_are_recorded_at_zero() {
    let site = Site::new();
    let (collector, exports) = collector();
    let main = origin(Kind::Http1, "main");
    let adit = site.run(&format!(
        "tracing: {{otlp: \"http://{}\", sample: 0, delay: 10ms}}\n\
         routes: [{{host: www.example.test, backends: [\"http://{}\"]}}]\n",
        collector.addr(),
        main.addr()
    ));
    let seen = site
        .curl(adit.addr("web"))
        .header(&format!("traceparent: 00-{CLIENTS}-00f067aa0ba902b7-01"))
        .get("http://www.example.test/")
        .expect(200)
        .seen();
    let field = seen.one("traceparent").unwrap();
    assert!(
        !field.contains(CLIENTS) && field.ends_with("-00"),
        "{field}"
    );
    adit.stop();
    assert!(exports.try_recv().is_err());
}

#[test]
fn what_is_left_is_sent_at_the_end_and_a_collector_that_is_gone_harms_nobody() {
    let site = Site::new();
    let (collector, exports) = collector();
    let main = origin(Kind::Http1, "main");
    let config = |collector: &str| {
        Site::config(&format!(
            "tracing: {{otlp: \"http://{collector}\", delay: 10m, queue: 5}}\n\
             routes: [{{host: www.example.test, backends: [\"http://{}\"]}}]\n",
            main.addr()
        ))
    };
    let live = collector.addr().to_string();
    let adit = crate::support::adit::Adit::run(&site.dir, &config(&live));
    site.curl(adit.addr("web"))
        .get("http://www.example.test/")
        .expect(200);
    adit.stop();
    let export = exports.recv_timeout(PATIENCE).unwrap();
    assert_eq!(export.resource_spans[0].scope_spans[0].spans.len(), 1);
    let gone = crate::support::free_addr().to_string();
    let adit = crate::support::adit::Adit::run(&site.dir, &config(&gone));
    for _ in 0..30 {
        site.curl(adit.addr("web"))
            .get("http://www.example.test/")
            .expect(200);
    }
    adit.stop();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
