//! Active checks against real sockets.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use adit_route::{Address, BindProxyProtocol, Protocol, Target};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::*;

fn check(path: Option<&str>) -> HealthCheck {
    HealthCheck {
        path: path.map(Into::into),
        host: None,
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(500),
        fall: 3,
        rise: 2,
        status: (StatusCode::OK, StatusCode::from_u16(399).unwrap()),
    }
}

/// An endpoint that gives the same answer to every connection, and remembers what it was asked.
struct Origin {
    listener: TcpListener,
    answer: RefCell<Option<&'static str>>,
    asked: RefCell<Vec<Vec<u8>>>,
}

impl Origin {
    async fn start(answer: &'static str) -> Rc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Rc::new(Self {
            listener,
            answer: RefCell::new(Some(answer)),
            asked: RefCell::default(),
        });
        tokio::task::spawn_local(Rc::clone(&origin).serve());
        origin
    }

    async fn serve(self: Rc<Self>) {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut asked = vec![0; 4_096];
            let length = stream.read(&mut asked).await.unwrap_or(0);
            asked.truncate(length);
            self.asked.borrow_mut().push(asked);
            let answer = *self.answer.borrow();
            if let Some(answer) = answer {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    }

    fn target(&self, protocol: Protocol) -> Target {
        let address = Address::Socket(self.listener.local_addr().unwrap());
        Target {
            address,
            protocol,
            weight: 1,
        }
    }
}

fn upstream(target: Target, health: HealthCheck) -> Arc<Upstream> {
    upstream_sending(target, health, None)
}

fn upstream_sending(
    target: Target,
    health: HealthCheck,
    proxy_protocol: Option<BindProxyProtocol>,
) -> Arc<Upstream> {
    let spec = UpstreamSpec {
        targets: vec![target],
        health: Some(health),
        proxy_protocol,
        ..crate::upstream::test_spec()
    };
    Arc::new(Upstream::new(Arc::new(spec), 1))
}

fn no_tls() -> Rc<ClientTls> {
    Rc::new(|_: &UpstreamSpec, _: &Endpoint| Err(std::io::ErrorKind::Unsupported.into()))
}

async fn probe_once(upstream: &Upstream) -> Result<(), ProbeError> {
    let endpoint = Arc::clone(&upstream.endpoints().members()[0].endpoint);
    let health = upstream.spec().health.clone().unwrap();
    probe::probe(upstream.spec(), &health, &endpoint, &*no_tls()).await
}

fn locally<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, story)
}

#[test]
fn the_status_decides() {
    locally(async {
        for (answer, fine) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200\r\n\r\n", true),
            ("HTTP/1.0 302 Found\r\n\r\n", true),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 404 Not Found\r\n\r\n", false),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("HTTP/1.1 2000 OK\r\n\r\n", false),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", false),
            ("HTTP/2 200\r\n\r\n", false),
            ("SSH-2.0-OpenSSH_9.9\r\n", false),
            ("HTTP/1.1 20", false),
            ("", false),
        ] {
            let origin = Origin::start(answer).await;
            let upstream = upstream(
                origin.target(Protocol::Http1),
                check(Some("/healthz?full=1")),
            );
            assert_eq!(probe_once(&upstream).await.is_ok(), fine, "{answer:?}");
            let asked = String::from_utf8(origin.asked.borrow()[0].clone()).unwrap();
            let host = origin.listener.local_addr().unwrap();
            assert!(
                asked.starts_with("GET /healthz?full=1 HTTP/1.1\r\n"),
                "{asked}"
            );
            assert!(asked.contains(&format!("\r\nHost: {host}\r\n")), "{asked}");
            assert!(asked.contains("\r\nConnection: close\r\n"), "{asked}");
        }
    });
}

#[test]
fn without_a_path_an_accepted_connection_is_enough() {
    locally(async {
        let origin = Origin::start("").await;
        for (protocol, path) in [(Protocol::Http1, None), (Protocol::Tcp, Some("/ignored"))] {
            assert!(
                probe_once(&upstream(origin.target(protocol), check(path)))
                    .await
                    .is_ok()
            );
        }
        let target = origin.target(Protocol::Tcp);
        let Address::Socket(address) = target.address else {
            unreachable!()
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert_ne!(address, free);
        let closed = Target {
            address: Address::Socket(free),
            ..target
        };
        assert!(probe_once(&upstream(closed, check(None))).await.is_err());
    });
}

#[test]
fn a_check_that_cannot_be_written_safely_is_not_sent() {
    locally(async {
        let origin = Origin::start("HTTP/1.1 200 OK\r\n\r\n").await;
        for (path, host) in [
            ("/a\r\nX: y", None),
            ("/", Some("a\r\nX: y")),
            ("/ b", None),
            ("/", Some("")),
        ] {
            let mut health = check(Some(path));
            health.host = host.map(Into::into);
            let result = probe_once(&upstream(origin.target(Protocol::Http1), health)).await;
            assert!(
                matches!(result, Err(ProbeError::Request(_))),
                "{path:?} {host:?}: {result:?}"
            );
        }
    });
}

#[test]
fn a_proxy_header_comes_first_and_speaks_for_nobody() {
    locally(async {
        for (version, start) in [
            (
                BindProxyProtocol::V1,
                &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..],
            ),
            (
                BindProxyProtocol::V2,
                b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00",
            ),
        ] {
            let origin = Origin::start("HTTP/1.1 200 OK\r\n\r\n").await;
            let target = origin.target(Protocol::Http1);
            let upstream = upstream_sending(target, check(Some("/")), Some(version));
            // The origin answers what came first, be it only the header.
            let _ = probe_once(&upstream).await;
            assert!(origin.asked.borrow()[0].starts_with(start), "{version:?}");
        }
    });
}

#[test]
fn http2_endpoints_are_asked_in_http2() {
    locally(async {
        for (status, fine) in [(200, true), (500, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = Address::Socket(listener.local_addr().unwrap());
            tokio::task::spawn_local(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(request) = connection.accept().await {
                    let (request, mut respond) = request.unwrap();
                    assert_eq!(request.uri().path(), "/grpc");
                    let response = http::Response::builder().status(status).body(()).unwrap();
                    respond.send_response(response, true).unwrap();
                }
            });
            let target = Target {
                address,
                protocol: Protocol::H2c,
                weight: 1,
            };
            let result = probe_once(&upstream(target, check(Some("/grpc")))).await;
            assert_eq!(result.is_ok(), fine, "{result:?}");
        }
    });
}

/// Answers one connection over TLS with a certificate that nobody signed.
async fn answer_over_tls(listener: TcpListener) {
    let issued = rcgen::generate_simple_self_signed(["a.test".into()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(crate::tls::provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key.into())
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    if let Ok(mut stream) = acceptor.accept(stream).await {
        let mut asked = [0; 1_024];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    }
}

#[test]
fn tls_endpoints_are_asked_over_tls_and_have_to_prove_who_they_are() {
    locally(async {
        for insecure in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = Address::Socket(listener.local_addr().unwrap());
            tokio::task::spawn_local(answer_over_tls(listener));
            let target = Target {
                address,
                protocol: Protocol::Https1,
                weight: 1,
            };
            let upstream = upstream(target, check(Some("/")));
            let settings = adit_route::BackendTls {
                insecure,
                ..adit_route::BackendTls::default()
            };
            let connector = crate::tls::BackendConnector::new(&settings, &[b"http/1.1"]).unwrap();
            let tls = move |_: &UpstreamSpec, endpoint: &Endpoint| {
                let name = connector.server_name(endpoint.declared());
                Ok((
                    Arc::clone(connector.config()),
                    name.map_err(std::io::Error::other)?,
                ))
            };
            let endpoint = Arc::clone(&upstream.endpoints().members()[0].endpoint);
            let health = upstream.spec().health.clone().unwrap();
            let result = probe::probe(upstream.spec(), &health, &endpoint, &tls).await;
            assert_eq!(result.is_ok(), insecure, "{result:?}");
        }
    });
}

#[test]
fn results_in_a_row_make_a_verdict() {
    use Health::{Healthy, Unhealthy, Unknown};
    for (start, results, end) in [
        (Unknown, "++", Healthy),
        (Unknown, "+", Healthy),
        (Unknown, "--", Unknown),
        (Unknown, "---", Unhealthy),
        (Unknown, "--+--", Healthy),
        (Healthy, "--+--+--", Healthy),
        (Healthy, "---", Unhealthy),
        (Unhealthy, "+-+-+-", Unhealthy),
        (Unhealthy, "++", Healthy),
    ] {
        let mut verdict = Verdict::new(start);
        for result in results.chars() {
            verdict.take(result == '+', &check(None));
        }
        assert_eq!(verdict.health, end, "{start:?} {results}");
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

#[test]
fn an_endpoint_goes_out_and_comes_back() {
    locally(async {
        let origin = Origin::start("HTTP/1.1 200 OK\r\n\r\n").await;
        let upstream = upstream(origin.target(Protocol::Http1), check(Some("/")));
        follow(&upstream, no_tls());
        let endpoint = Arc::clone(&upstream.endpoints().members()[0].endpoint);
        let is = |health| {
            let endpoint = Arc::clone(&endpoint);
            move || endpoint.standing().health() == health
        };
        assert!(
            endpoint.standing().is_fit(Instant::now()),
            "served before the first verdict"
        );
        until("healthy", is(Health::Healthy)).await;
        *origin.answer.borrow_mut() = None;
        until("unhealthy", is(Health::Unhealthy)).await;
        *origin.answer.borrow_mut() = Some("HTTP/1.1 204 No Content\r\n\r\n");
        until("healthy again", is(Health::Healthy)).await;
    });
}

#[test]
fn checks_end_with_their_upstream() {
    locally(async {
        let origin = Origin::start("HTTP/1.1 200 OK\r\n\r\n").await;
        let upstream = upstream(origin.target(Protocol::Http1), check(Some("/")));
        follow(&upstream, no_tls());
        until("a check", || !origin.asked.borrow().is_empty()).await;
        drop(upstream);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = origin.asked.borrow().len();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(origin.asked.borrow().len(), asked);
    });
}
