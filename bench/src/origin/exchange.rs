//! One request and its answer, whatever carries them.
//!
//! The answers of [`super::answer`] are written once against [`Exchange`]; HTTP/1.1 and HTTP/2
//! each say how its parts travel. Body bytes are never collected: what is read may be written on
//! at once, and writing waits for the client.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;

/// A request head as it was received.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Method as sent.
    pub(super) method: String,
    /// Target as sent, or `:path`.
    pub(super) target: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub(super) version: &'static str,
    /// Fields in order of arrival; pseudo fields of HTTP/2 with their colon.
    pub(super) fields: Vec<(String, String)>,
    /// Who sent it.
    pub(super) peer: Option<SocketAddr>,
}

impl Head {
    /// First value of a field; `name` in lower case.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Path of the target, without its query; also for absolute-form targets.
    pub(super) fn path(&self) -> &str {
        let target = match self.target.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => &self.target,
        };
        target.split('?').next().unwrap_or(target)
    }

    /// Whether the client asks for a WebSocket, by upgrade or by extended CONNECT (RFC 8441).
    pub(super) fn wants_websocket(&self) -> bool {
        let named = |name| {
            self.field(name)
                .is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
        };
        named("upgrade") || named(":protocol")
    }
}

/// Fields of an answer.
pub(super) type Fields<'a> = &'a [(&'a str, &'a str)];

/// The two directions of one request.
pub(super) trait Exchange {
    /// Next bytes of the request body; `None` at its end.
    async fn read(&mut self) -> io::Result<Option<Bytes>>;
    /// An interim (1xx) answer.
    async fn interim(&mut self, status: u16, fields: Fields<'_>) -> io::Result<()>;
    /// The final head; `length` if it is known.
    async fn head(
        &mut self,
        status: u16,
        fields: Fields<'_>,
        length: Option<u64>,
    ) -> io::Result<()>;
    /// Turns both directions into plain bytes, after the WebSocket handshake.
    async fn websocket(&mut self) -> io::Result<()>;
    /// Some of the answer's body.
    async fn write(&mut self, data: Bytes) -> io::Result<()>;
    /// Sends what was written so far.
    async fn flush(&mut self) -> io::Result<()>;
    /// End of the answer, with trailers if there are any.
    async fn finish(&mut self, trailers: Fields<'_>) -> io::Result<()>;
    /// Breaks the answer off so that the client can see it.
    fn abort(&mut self) -> io::Error;
}
