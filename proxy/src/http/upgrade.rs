//! WebSocket handshakes between HTTP/1.1 (`Upgrade`) and HTTP/2 (extended CONNECT, RFC 8441), and
//! what is left of a connection after one. Frames are never looked at.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use adit_route::FieldList;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, header};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::h2::Duplex;
use crate::io::Stream;
use crate::relay::RawSocket;

/// One end of an upgraded connection, with what was read of it beyond the handshake.
#[derive(Debug)]
pub(crate) struct Upgraded {
    /// The bytes to come.
    pub end: End,
    /// The bytes that are here already.
    pub leftover: Bytes,
    /// How long neither side may say anything, if the route says so.
    pub idle: Option<Duration>,
}

/// Where upgraded bytes flow.
#[derive(Debug)]
pub(crate) enum End {
    /// A connection of its own.
    Stream(Stream),
    /// One HTTP/2 stream.
    H2(Duplex),
}

impl Upgraded {
    pub(crate) fn from_stream(stream: Stream, leftover: Bytes) -> Self {
        Self {
            end: End::Stream(stream),
            leftover,
            idle: None,
        }
    }

    pub(crate) fn from_h2(duplex: Duplex) -> Self {
        Self {
            end: End::H2(duplex),
            leftover: Bytes::new(),
            idle: None,
        }
    }
}

impl RawSocket for End {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Stream(stream) => stream.tcp(),
            Self::H2(_) => None,
        }
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::H2(duplex) => Pin::new(duplex).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::H2(duplex) => Pin::new(duplex).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_flush(cx),
            Self::H2(duplex) => Pin::new(duplex).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::H2(duplex) => Pin::new(duplex).poll_shutdown(cx),
        }
    }
}

/// A fresh `Sec-WebSocket-Key` (RFC 6455 §4.1).
pub(crate) fn new_key() -> HeaderValue {
    let nonce: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
    HeaderValue::from_str(&STANDARD.encode(nonce))
        .unwrap_or_else(|_| HeaderValue::from_static("YWRpdCBpcyBhbiBlbnRyYW5jZQ=="))
}

/// Whether a key is the base64 form of 16 bytes.
pub(crate) fn is_key(key: &HeaderValue) -> bool {
    STANDARD
        .decode(key.as_bytes())
        .is_ok_and(|nonce| nonce.len() == 16)
}

/// Adds the fields that ask for an upgrade. `Connection` is written by the encoder.
pub(crate) fn ask(headers: &mut FieldList, key: &HeaderValue) {
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_KEY, key.clone());
    headers.insert(
        header::SEC_WEBSOCKET_VERSION,
        HeaderValue::from_static("13"),
    );
}

/// Whether a 101 is the answer to this key (D-88).
pub(crate) fn is_answer(headers: &FieldList, key: &HeaderValue) -> bool {
    let websocket = headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let accepted = headers
        .get(header::SEC_WEBSOCKET_ACCEPT)
        .is_some_and(|value| *value == accept(key));
    websocket && accepted
}

/// `Sec-WebSocket-Accept` for a key.
pub(crate) fn accept(key: &HeaderValue) -> String {
    let mut digest = Sha1::new();
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_that_of_the_rfc() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key(&key) && is_key(&new_key()));
        assert!(!is_key(&HeaderValue::from_static("c2hvcnQ=")));
    }
}
