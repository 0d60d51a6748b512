//! Clients that never stop asking and forgive nothing.
//!
//! Keep-alive HTTP/1.1, HTTP/2, WebSocket and gRPC, each on connections of its own. Steady load
//! ([`Load::steady`]) takes any closed connection for a failure. Handing-over load
//! ([`Load::moving`]) opens a new connection when it is told to (`Connection: close`, GOAWAY), as
//! good clients do, and takes any lost request for a failure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;
use tonic::client::Grpc;

use super::grpc::{self, Talk};
use super::h2client::{H2, runtime};
use super::raw::Raw;
use super::site::Site;
use super::{bridge, websocket};

/// Running clients.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    clients: Vec<(&'static str, JoinHandle<()>)>,
}

impl Load {
    fn new() -> Self {
        Self {
            stop: Arc::default(),
            asked: Arc::default(),
            clients: Vec::new(),
        }
    }

    /// Adds a client, which asks once per call until the load is over.
    fn client(&mut self, name: &'static str, run: impl FnOnce(&dyn Fn() -> bool) + Send + 'static) {
        let (stop, asked) = (Arc::clone(&self.stop), Arc::clone(&self.asked));
        let handle = thread::spawn(move || {
            run(&|| {
                asked.fetch_add(1, Ordering::Relaxed);
                // Two cores run this beside everything else: a pause keeps the load a load.
                thread::park_timeout(Duration::from_millis(1));
                !stop.load(Ordering::Relaxed)
            });
        });
        self.clients.push((name, handle));
    }

    /// Connections that must live as long as the load.
    pub(crate) fn steady(web: SocketAddr, webs: SocketAddr, site: &Site) -> Self {
        let mut load = Self::new();
        for _ in 0..4 {
            load.client("keep-alive", move |go| {
                let mut client = Raw::connect(web);
                while go() {
                    client.send("GET /size/500 HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
                    let (head, body) = client.answer();
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                    assert!(!head.to_ascii_lowercase().contains("connection: close"));
                    assert_eq!(body.len(), 500);
                }
            });
        }
        for _ in 0..2 {
            let config = site.tls(&["h2"]);
            load.client("h2", move |go| {
                runtime().block_on(async {
                    let mut h2 = H2::tls(webs, "www.example.test", config).await;
                    while go() {
                        let url = "https://www.example.test/size/500";
                        let answer = h2.get(url).await.unwrap();
                        assert_eq!((answer.status(), answer.body.len()), (200, 500));
                        assert_eq!(h2.ended(), None);
                    }
                });
            });
            load.client("websocket", move |go| {
                let mut socket = websocket::plain(web, "ws://www.example.test/ws");
                while go() {
                    websocket::echo(&mut socket, &Message::text("still here"));
                }
            });
            let through = bridge::into_tls(webs, "grpc.example.test", site.tls(&["h2"]));
            load.client("grpc", move |go| {
                runtime().block_on(async {
                    let channel = grpc::channel(through, "https://grpc.example.test").await;
                    let mut grpc = Grpc::new(channel);
                    let mut talk = Talk::start(&mut grpc).await;
                    while go() {
                        talk.say("still here").await.unwrap();
                    }
                    talk.end().await;
                });
            });
        }
        load
    }

    /// Connections that move when they are asked to.
    pub(crate) fn moving(web: SocketAddr, webs: SocketAddr, site: &Site) -> Self {
        let mut load = Self::new();
        for _ in 0..2 {
            load.client("new connections", move |go| {
                while go() {
                    let mut client = Raw::connect(web);
                    client.send(
                        "GET /size/500 HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n",
                    );
                    let answer = client.rest();
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
                    assert!(answer.len() > 500);
                }
            });
            load.client("keep-alive", move |go| {
                let mut client = Raw::connect(web);
                while go() {
                    client.send("GET /size/500 HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
                    let (head, body) = client.answer();
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                    assert_eq!(body.len(), 500);
                    if head.to_ascii_lowercase().contains("connection: close") {
                        client = Raw::connect(web);
                    }
                }
            });
            let config = site.tls(&["h2"]);
            load.client("h2", move |go| {
                runtime().block_on(async {
                    let connect = || H2::tls(webs, "www.example.test", Arc::clone(&config));
                    let mut h2 = connect().await;
                    let mut moved = 0;
                    while go() {
                        match h2.get("https://www.example.test/size/500").await {
                            Ok(answer) => {
                                assert_eq!((answer.status(), answer.body.len()), (200, 500));
                                moved = 0;
                            }
                            // GOAWAY without an error: the request was not processed.
                            Err(error) if error.is_go_away() || error.is_reset() => {
                                let reason = error.reason();
                                assert!(
                                    matches!(
                                        reason,
                                        Some(h2::Reason::NO_ERROR | h2::Reason::REFUSED_STREAM)
                                    ),
                                    "{error}"
                                );
                                moved += 1;
                                assert!(moved < 5, "sent away again and again");
                                h2 = connect().await;
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            });
        }
        load
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends the load; every client must have been served to the end.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for (name, client) in self.clients {
            assert!(client.join().is_ok(), "the {name} client lost a request");
        }
        self.asked.load(Ordering::Relaxed)
    }
}
