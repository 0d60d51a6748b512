//! A request and a response between the two sides, whatever protocol each side speaks.

use std::cell::RefCell;
use std::rc::Rc;

use adit_route::{CanonicalHost, FieldList};
use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Version};

use crate::h1::{self, Wire};
use crate::http::body::Body;

/// A request that has passed the gate.
#[derive(Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// What the client spoke.
    pub version: Version,
    /// Host, canonical.
    pub host: CanonicalHost,
    /// Port named with the host.
    pub port: Option<u16>,
    /// Path and query.
    pub target: PathAndQuery,
    /// Fields without Host, framing and hop-by-hop fields.
    pub headers: FieldList,
    /// Body.
    pub body: Body,
    /// Whether the client waits for 100 before it sends the body.
    pub expects_continue: bool,
    /// The WebSocket handshake that the client asks for.
    pub upgrade: Option<Upgrade>,
    /// Whether the client reads trailers.
    pub accepts_trailers: bool,
    /// Where interim responses go.
    pub(crate) interim: Interim,
}

/// A WebSocket handshake (D-85; RFC 8441).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// HTTP/1.1 `Upgrade: websocket` with this `Sec-WebSocket-Key`.
    Key(HeaderValue),
    /// HTTP/2 extended CONNECT.
    Connect,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    /// Final status; 101 or, for an extended CONNECT, 200 together with an upgraded body.
    pub status: StatusCode,
    /// Fields without framing and hop-by-hop fields.
    pub headers: FieldList,
    /// Body.
    pub body: Body,
}

impl Response {
    /// An answer of our own without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: FieldList::new(),
            body: Body::empty(),
        }
    }
}

/// The way of interim responses to the client.
#[derive(Clone, Debug)]
pub(crate) enum Interim {
    /// The client cannot take any (HTTP/1.0).
    None,
    /// Written to the connection before the final head.
    H1(Rc<Wire>),
    /// Sent on the stream.
    H2(Rc<RefCell<h2::server::SendResponse<Bytes>>>),
}

impl Interim {
    /// Sends one. A client that cannot be written to is noticed by its connection.
    pub(crate) async fn send(&self, status: StatusCode, headers: FieldList) {
        match self {
            Self::None => {}
            Self::H1(wire) => {
                let mut out = BytesMut::with_capacity(128);
                h1::encode::interim_head(&mut out, status, &headers);
                let _ = wire.write(&mut out, Bytes::new()).await;
            }
            Self::H2(respond) => {
                let mut response = http::Response::new(());
                *response.status_mut() = status;
                *response.headers_mut() = headers.into();
                let _ = respond.borrow_mut().send_informational(response);
            }
        }
    }
}
