//! A panic costs the connection in which it happens, and nothing else.
//!
//! The data plane is given an admin surface and a log that panic: so panics happen in the middle of
//! requests, on a data worker, between other people's connections. Nothing of the product is changed
//! for it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_proxy::access_log::{AccessLog, AccessLogFormat, AccessLogTarget};
use adit_proxy::blueprint::{Blueprint, ForeignTunnel, ListenerKind, ListenerSpec};
use adit_proxy::http::body::Body;
use adit_proxy::http::message::{Request, Response};
use adit_proxy::listen::Inherited;
use adit_proxy::metrics::Metrics;
use adit_proxy::tls::TicketSecrets;
use adit_proxy::upstream::resolve::ResolverOptions;
use adit_proxy::{AdminSurface, Options, Proxy};
use adit_route::{CidrSet, FieldList, Role};
use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A log that panics when it is told that a request named two hosts.
struct FragileLog;

struct FragileEar;

impl Visit for FragileEar {
    fn record_str(&mut self, _: &Field, value: &str) {
        assert!(value != "D-64", "told of two hosts");
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for FragileLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("adit_proxy")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut FragileEar);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Panics at `/panic`.
struct Fragile;

impl AdminSurface for Fragile {
    fn respond<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Response> + 'a>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            assert!(request.target.path() != "/panic", "asked to panic");
            Response {
                status: StatusCode::OK,
                headers: FieldList::new(),
                body: Body::full("fine\n"),
            }
        })
    }
}

fn door(name: &str, role: Role, kind: ListenerKind) -> Arc<ListenerSpec> {
    Arc::new(ListenerSpec {
        name: name.into(),
        role,
        binds: vec![([127, 0, 0, 1], 0).into()],
        interface: None,
        per_source: false,
        kind,
        allow: None,
        deny: CidrSet::default(),
        proxy_protocol: None,
        trust_forwarded: CidrSet::default(),
        redirect: None,
        foreign_tunnel: ForeignTunnel::AsTunnel,
        refusal: StatusCode::FORBIDDEN,
    })
}

/// A data plane of one worker with a door for each version, and their addresses.
async fn start() -> (Proxy, SocketAddr, SocketAddr) {
    let options = Options {
        workers: 1,
        access_log: AccessLog::start(AccessLogFormat::Off, AccessLogTarget::Stdout).unwrap(),
        metrics: Arc::new(Metrics::new(1)),
        tickets: Arc::new(TicketSecrets::generate(SystemTime::now()).unwrap()),
        admin: Arc::new(Fragile),
        resolver: ResolverOptions::default(),
    };
    let proxy = Proxy::start(options).unwrap();
    let blueprint = Blueprint {
        listeners: vec![
            door("one", Role::Admin, ListenerKind::Admin),
            door("two", Role::Lan, ListenerKind::H2c),
        ],
        ..Blueprint::default()
    };
    let mut inherited = Inherited::new([]);
    proxy.publish(&blueprint, &mut inherited).await.unwrap();
    let addresses = proxy.addresses();
    let of = |wanted: &str| {
        let door = addresses.iter().find(|(name, _)| **name == *wanted);
        *door.unwrap().1.first().unwrap()
    };
    let (one, two) = (of("one"), of("two"));
    (proxy, one, two)
}

/// Asks on a connection of HTTP/1; nothing comes back from one that is lost.
async fn ask(stream: &mut TcpStream, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"fine\n") {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(answer).ok()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

fn run<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(story)
}

/// Acceptance: 51, R-19
#[test]
fn a_panic_ends_its_connection_and_no_other() {
    run(async {
        let (proxy, one, _) = start().await;
        let mut other = TcpStream::connect(one).await.unwrap();
        assert!(ask(&mut other, "/").await.is_some());
        for _ in 0..20 {
            let mut unlucky = TcpStream::connect(one).await.unwrap();
            assert!(ask(&mut unlucky, "/").await.is_some());
            assert_eq!(ask(&mut unlucky, "/panic").await, None);
            assert!(ask(&mut other, "/").await.is_some(), "another connection");
        }
        drop(other);
        // What the lost connections held has been given back.
        eventually("connections are still counted", || proxy.connections() == 0).await;
    });
}

/// Acceptance: 51, R-19
#[test]
fn a_panic_in_a_stream_leaves_other_connections_alone() {
    tracing::subscriber::set_global_default(FragileLog).unwrap();
    run(async {
        let (proxy, one, two) = start().await;
        let mut other = TcpStream::connect(one).await.unwrap();
        for _ in 0..20 {
            let stream = TcpStream::connect(two).await.unwrap();
            let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
            let connection = tokio::task::spawn_local(connection);
            let get = || http::Request::get("http://localhost/");
            let unknown = || get().body(()).unwrap();
            let (answer, _) = requests.send_request(unknown(), true).unwrap();
            assert_eq!(answer.await.unwrap().status(), 404);
            // Two hosts are refused with a word to the log.
            let refused = get().header("host", "other").body(()).unwrap();
            let (lost, _) = requests.send_request(refused, true).unwrap();
            let lost = tokio::time::timeout(Duration::from_secs(10), lost).await;
            assert!(lost.expect("the stream ends").is_err(), "an answer");
            let (answer, _) = requests.send_request(unknown(), true).unwrap();
            assert_eq!(answer.await.unwrap().status(), 404, "the next stream");
            assert!(ask(&mut other, "/").await.is_some(), "another connection");
            drop::<h2::client::SendRequest<Bytes>>(requests);
            connection.abort();
        }
        drop(other);
        eventually("connections are still counted", || proxy.connections() == 0).await;
    });
}
