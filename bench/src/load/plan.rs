//! What a load is: where to, how, how fast, for how long, and what a good answer looks like.
//!
//! A plan is plain data that travels as JSON, because `adit bench run` gives each load a process of
//! its own: what generates must not be what is measured.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A load, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Where connections go.
    pub connect: SocketAddr,
    /// `Host` or `:authority`, and the name in the ClientHello.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// More request header fields.
    pub headers: Vec<(String, String)>,
    /// What is spoken.
    pub protocol: Protocol,
    /// TLS, if any.
    pub tls: Option<Tls>,
    /// Connections held at once.
    pub connections: usize,
    /// Requests in flight on each HTTP/2 connection.
    pub streams: usize,
    /// A new connection for each unit.
    pub churn: bool,
    /// Bytes sent with each request; none is a GET.
    pub upload: u64,
    /// When units begin.
    pub pace: Pace,
    /// Threads of the generator.
    pub threads: usize,
    /// Time before anything counts.
    pub warmup: Seconds,
    /// Time that counts.
    pub duration: Seconds,
    /// What each answer must be.
    pub expect: Expect,
    /// The process whose tree is watched meanwhile.
    pub watch: Option<u32>,
    /// Hold connections that do nothing, and weigh them.
    pub idle: Option<Idle>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            connect: ([127, 0, 0, 1], 80).into(),
            authority: "localhost".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            protocol: Protocol::Http1,
            tls: None,
            connections: 32,
            streams: 16,
            churn: false,
            upload: 0,
            pace: Pace::Closed,
            threads: 1,
            warmup: Seconds(0.3),
            duration: Seconds(2.0),
            expect: Expect::default(),
            watch: None,
            idle: None,
        }
    }
}

/// A span of time, as seconds in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Seconds(pub f64);

impl Seconds {
    /// As a duration; nonsense is no time.
    pub fn duration(self) -> Duration {
        Duration::try_from_secs_f64(self.0).unwrap_or_default()
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1; a unit is a request.
    Http1,
    /// HTTP/2, by ALPN or prior knowledge; a unit is a request.
    Http2,
    /// gRPC over HTTP/2; a unit is a call with one message of `upload` bytes.
    Grpc,
    /// WebSocket over HTTP/1.1; a unit is a message of `upload` bytes and its echo.
    WebSocket,
    /// Bytes for the raw origin: `upload` bytes and their echo are a unit.
    RawEcho,
    /// As above; a unit is a download of `expect.length` bytes.
    RawDownload,
    /// As above; a unit is an upload of `upload` bytes.
    RawUpload,
}

/// TLS of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Take up sessions again; else each handshake is a full one.
    pub resume: bool,
    /// PEM file of the authorities that are believed; none believes anybody.
    pub ca: Option<String>,
    /// Offer X25519MLKEM768 first; else X25519 alone, which every peer can do.
    pub post_quantum: bool,
    /// Send a ClientHello with the name and go on in clear text: what a relay by name sees, without
    /// the cost of TLS at both ends.
    pub hello_only: bool,
}

/// When units begin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Each as soon as the one before it has ended.
    Closed,
    /// So many a second, evenly.
    Constant(f64),
    /// So many a second, at random.
    Poisson(f64),
}

/// What each answer must be for the run to count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Length of the body.
    pub length: Option<u64>,
    /// The body is the pattern of our origin.
    pub pattern: bool,
    /// Any status is good, not only 2xx.
    pub any_status: bool,
}

/// Weighing of idle connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Idle {
    /// One request on each before it falls silent.
    pub ask: bool,
    /// Time to settle before each weighing.
    pub settle: Seconds,
    /// Time to settle after the connections were closed.
    pub after: Seconds,
}
