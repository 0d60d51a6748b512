//! What can be seen from outside: connections, doors, routes, backends.

use std::net::SocketAddr;
use std::time::Duration;

use crate::worker::LiveState;

/// An open client connection.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// Unique while the process lives.
    pub id: u64,
    /// The worker that serves it.
    pub worker: usize,
    /// How long it has been open.
    pub age: Duration,
    /// Requests so far.
    pub requests: u64,
    /// The door, once the connection has said what it is.
    pub listener: Option<String>,
    /// The client.
    pub client: Option<SocketAddr>,
    /// TLS name.
    pub sni: Option<String>,
    /// `http/1.1`, `h2`, or empty.
    pub protocol: &'static str,
}

impl ConnectionView {
    pub(crate) fn new(id: u64, worker: usize, state: &LiveState) -> Self {
        let info = state.info.get();
        let tls = info.and_then(|info| info.tls.as_ref());
        Self {
            id,
            worker,
            age: state.since.elapsed(),
            requests: state.requests.get(),
            listener: info.map(|info| info.door.spec().name.to_string()),
            client: info.map(|info| info.client),
            sni: tls.and_then(|tls| tls.sni.as_ref()).map(ToString::to_string),
            protocol: match tls {
                Some(tls) if tls.h2 => "h2",
                _ => "http/1.1",
            },
        }
    }
}
