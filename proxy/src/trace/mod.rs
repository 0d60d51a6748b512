//! Traces: the context that goes on with a request, and spans for a collector (section 6.11).
//!
//! A span is made when its request has ended, and waits in a queue of its worker; every few seconds
//! the queue is sent as a batch over OTLP, by the same code that asks any backend. What must stay
//! true: the queue is bounded, and a collector that is slow or gone costs spans and nothing else.

mod context;
mod otlp;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_route::{CanonicalHost, FieldList};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Version, header};

use crate::blueprint::TracingSpec;
use crate::http::body::{Body, Frame};
use crate::http::forward::{self, Aim, Patience};
use crate::http::message::{Interim, Request};
use crate::snapshot::CompiledUpstream;
use crate::worker::{Current, Worker};

use self::context::Context;

/// How and where spans are sent, compiled.
#[derive(Debug)]
pub(crate) struct Collector {
    pub spec: TracingSpec,
    pub upstream: Option<Arc<CompiledUpstream>>,
}

/// A span in the making: what is known when its request begins.
#[derive(Debug)]
pub(crate) struct Begun {
    context: Context,
    parent: Option<[u8; 8]>,
    state: String,
    started: SystemTime,
    pub name: String,
    pub scheme: &'static str,
    pub user_agent: String,
}

/// A request that has ended, for a collector.
#[derive(Debug)]
pub(crate) struct Span {
    pub begun: Begun,
    pub method: String,
    pub path: String,
    pub host: String,
    pub client: String,
    pub version: &'static str,
    pub route: Arc<str>,
    pub upstream: Arc<str>,
    pub endpoint: Arc<str>,
    pub status: u16,
    pub reason: &'static str,
    pub took: Duration,
}

/// Begins a span: decides whose trace it belongs to and whether it is sampled, and tells the backend
/// of it. `None` if the span is not recorded; the context goes on all the same.
pub(crate) fn begin(
    worker: &Worker,
    current: &Current,
    headers: &mut FieldList,
    trusted: bool,
) -> Option<Begun> {
    let collector = current.snapshot.collector.as_ref();
    let parent = trusted.then(|| Context::read(headers)).flatten();
    let mut random = worker.random.borrow_mut();
    let trace = random.u128(1..).to_be_bytes();
    let span = random.u64(1..).to_be_bytes();
    let sampled = match (collector.map(|collector| &collector.spec), parent) {
        (Some(spec), Some(parent)) if spec.parent_based => parent.sampled,
        (Some(spec), _) => random.f64() < spec.ratio,
        // Nothing is recorded here; whoever began the trace has decided.
        (None, parent) => parent.is_some_and(|parent| parent.sampled),
    };
    let context = Context {
        trace: parent.map_or(trace, |parent| parent.trace),
        span,
        sampled,
    };
    let state = context::write(headers, &context, parent.is_some());
    let records = collector.is_some_and(|collector| collector.upstream.is_some());
    (sampled && records).then(|| Begun {
        context,
        parent: parent.map(|parent| parent.span),
        state,
        started: SystemTime::now(),
        name: String::new(),
        scheme: "",
        user_agent: String::new(),
    })
}

/// The spans of a worker that are not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    queue: RefCell<VecDeque<Span>>,
    /// When the oldest of them came.
    since: Cell<Option<Instant>>,
    sending: Cell<bool>,
}

impl Spans {
    /// Keeps a span until it is sent; without room, or without a collector, it is dropped.
    pub(crate) fn push(&self, worker: &Worker, span: Span) {
        let current = worker.current();
        let Some(collector) = &current.snapshot.collector else {
            return;
        };
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= collector.spec.queue {
            if let Some(compiled) = &collector.upstream {
                compiled.upstream.stats().dropped(worker.index, 1);
            }
            return;
        }
        queue.push_back(span);
        if self.since.get().is_none() {
            self.since.set(Some(Instant::now()));
        }
    }

    fn is_due(&self, spec: &TracingSpec) -> bool {
        let oldest = self.since.get();
        let waited = oldest.is_some_and(|since| since.elapsed() >= spec.delay);
        !self.sending.get() && (waited || self.queue.borrow().len() >= spec.batch)
    }

    fn batch(&self, most: usize) -> Vec<Span> {
        let mut queue = self.queue.borrow_mut();
        let count = queue.len().min(most);
        let batch = queue.drain(..count).collect();
        self.since.set((!queue.is_empty()).then(Instant::now));
        batch
    }
}

/// Sends a batch beside everything else, if one is due.
pub(crate) fn tick(worker: &Rc<Worker>) {
    if worker.spans.since.get().is_none() {
        return;
    }
    let current = worker.current();
    let Some(collector) = &current.snapshot.collector else {
        worker.spans.batch(usize::MAX);
        return;
    };
    if worker.spans.is_due(&collector.spec) {
        worker.spans.sending.set(true);
        let (worker, collector) = (Rc::clone(worker), Arc::clone(collector));
        tokio::task::spawn_local(async move {
            send_batch(&worker, &collector).await;
            worker.spans.sending.set(false);
        });
    }
}

/// Sends what is left, before the worker ends.
pub(crate) async fn finish(worker: &Rc<Worker>) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let current = worker.current();
    let Some(collector) = &current.snapshot.collector else {
        return;
    };
    let all = async {
        while worker.spans.since.get().is_some() {
            send_batch(worker, collector).await;
        }
    };
    // A collector that does not answer does not hold up the end.
    let _ = tokio::time::timeout(PATIENCE, all).await;
}

async fn send_batch(worker: &Rc<Worker>, collector: &Collector) {
    const ATTEMPTS: u32 = 3;
    const PAUSE: Duration = Duration::from_secs(1);
    let batch = worker.spans.batch(collector.spec.batch);
    let Some(compiled) = collector.upstream.as_ref().filter(|_| !batch.is_empty()) else {
        return;
    };
    let message = otlp::encode(&collector.spec.service, &batch);
    for attempt in 1..=ATTEMPTS {
        match export(worker, collector, compiled, message.clone()).await {
            Exported::Taken => return,
            Exported::Refused => break,
            Exported::Failed if attempt == ATTEMPTS => break,
            Exported::Failed => tokio::time::sleep(PAUSE).await,
        }
    }
    tracing::debug!(spans = batch.len(), "the collector took no spans");
    let stats = compiled.upstream.stats();
    stats.dropped(worker.index, batch.len() as u64);
}

#[derive(Debug, PartialEq, Eq)]
enum Exported {
    Taken,
    /// Trying again would change nothing.
    Refused,
    Failed,
}

async fn export(
    worker: &Rc<Worker>,
    collector: &Collector,
    compiled: &CompiledUpstream,
    message: Vec<u8>,
) -> Exported {
    const PATIENCE: Duration = Duration::from_secs(10);
    let current = worker.current();
    let grpc = compiled
        .upstream
        .endpoints()
        .iter()
        .any(|endpoint| endpoint.protocol().is_h2());
    let Some(mut request) = request(collector, compiled, grpc, message) else {
        return Exported::Refused;
    };
    let aim = Aim {
        upstream: compiled,
        hash: None,
        session: None,
        patience: Patience {
            connect: None,
            response: PATIENCE,
            idle: PATIENCE,
        },
        authority: None,
        conveyed: None,
    };
    let asked = Box::pin(forward::ask(worker, &current, &aim, &mut request)).await;
    let Ok(mut response) = asked else {
        return Exported::Failed;
    };
    let mut code = response.headers.get("grpc-status").cloned();
    while let Some(Ok(frame)) = response.body.frame().await {
        if let Frame::Trailers(trailers) = frame {
            code = code.or_else(|| trailers.get("grpc-status").cloned());
        }
    }
    let fine = !grpc || code.is_some_and(|code| code.as_bytes() == b"0");
    match response.status.as_u16() {
        200..=299 if fine => Exported::Taken,
        200..=299 | 429 | 502..=504 => Exported::Failed,
        _ => Exported::Refused,
    }
}

/// The request that carries a batch: OTLP over gRPC where HTTP/2 is spoken, else over HTTP.
fn request(
    collector: &Collector,
    compiled: &CompiledUpstream,
    grpc: bool,
    message: Vec<u8>,
) -> Option<Request> {
    const SERVICE: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let (target, kind, body) = if grpc {
        let length = u32::try_from(message.len()).ok()?.to_be_bytes();
        let framed = [&[0][..], &length, &message].concat();
        (
            PathAndQuery::from_static(SERVICE),
            "application/grpc",
            framed,
        )
    } else {
        let path = PathAndQuery::try_from(collector.spec.path.as_str()).ok()?;
        (path, "application/x-protobuf", message)
    };
    let endpoint = compiled.upstream.endpoints().iter().next().cloned()?;
    let (host, port) = match endpoint.declared() {
        adit_route::Address::Dns(target) => (target.name.to_string(), Some(target.port)),
        adit_route::Address::Socket(address) => (address.ip().to_string(), Some(address.port())),
        adit_route::Address::Unix(_) => ("localhost".to_owned(), None),
    };
    let bracketed = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let mut headers = FieldList::new();
    headers.append(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.append(header::USER_AGENT, HeaderValue::from_static("adit"));
    Some(Request {
        method: Method::POST,
        version: Version::HTTP_11,
        host: CanonicalHost::parse(bracketed.as_bytes()).ok()?,
        port,
        target,
        headers,
        body: Body::full(body),
        expects_continue: false,
        upgrade: None,
        accepts_trailers: grpc,
        interim: Interim::None,
    })
}
