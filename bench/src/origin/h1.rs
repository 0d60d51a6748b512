//! HTTP/1.1 side of an origin, on plain sockets.
//!
//! Its own small parser, so that what adit sent is seen byte for byte and a fault of a library
//! that both would share cannot hide. Framing is strict (RFC 9112 §6): a length or chunks, never
//! both; a request that breaks the rules is answered 400 and its connection closed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exchange::{Exchange, Fields, Head};
use super::{answer, websocket};

/// Largest request head.
const MAX_HEAD: usize = 128 * 1024;

/// Serves one connection until it ends.
pub(super) async fn serve<S>(stream: S, name: &str, peer: SocketAddr) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire {
        stream,
        input: BytesMut::with_capacity(16 * 1024),
        output: BytesMut::new(),
    };
    loop {
        let head = match wire.read_head(peer).await {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(()),
            Err(error) => return wire.refuse(error).await,
        };
        let incoming = match Framing::of(&head) {
            Ok(incoming) => incoming,
            Err(error) => return wire.refuse(error).await,
        };
        let keep = keeps_alive(&head);
        let mut exchange = Http1 {
            wire: &mut wire,
            incoming,
            outgoing: Framing::None,
            silent: head.method == "HEAD",
            old: head.version == "HTTP/1.0",
            keep,
            websocket_key: head.field("sec-websocket-key").map(str::to_owned),
            expects_continue: head
                .field("expect")
                .is_some_and(|value| value.eq_ignore_ascii_case("100-continue")),
        };
        answer::answer(name, &head, &mut exchange).await?;
        if !exchange.end().await? {
            return wire.close().await;
        }
    }
}

fn keeps_alive(head: &Head) -> bool {
    let says = |token: &str| {
        head.field("connection").is_some_and(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    };
    !says("close") && (head.version != "HTTP/1.0" || says("keep-alive"))
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// No bytes (left).
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks; the number of bytes left in the current one.
    Chunked(u64),
    /// The end of the connection.
    Raw,
}

impl Framing {
    /// Framing of a request body (RFC 9112 §6.3).
    fn of(head: &Head) -> io::Result<Self> {
        let mut lengths = head
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = lengths.next();
        if lengths.next().is_some() {
            return Err(bad("two content-length fields"));
        }
        match (head.field("transfer-encoding"), length) {
            (None, None) => Ok(Self::None),
            (None, Some((_, digits))) => {
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(bad("content-length is not a number"));
                }
                let length = digits
                    .parse()
                    .map_err(|_| bad("content-length too large"))?;
                Ok(if length == 0 {
                    Self::None
                } else {
                    Self::Length(length)
                })
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Self::Chunked(0)),
            (Some(_), None) => Err(bad("unknown transfer-encoding")),
            (Some(_), Some(_)) => Err(bad("content-length beside transfer-encoding")),
        }
    }
}

/// The socket with what was read ahead and what waits to be written.
struct Wire<S> {
    stream: S,
    input: BytesMut,
    output: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// More input, or `false` at its end. Output goes first: the peer may be waiting for it.
    async fn fill(&mut self) -> io::Result<bool> {
        self.flush().await?;
        self.input.reserve(16 * 1024);
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all_buf(&mut self.output).await?;
        }
        self.stream.flush().await
    }

    /// One line without its CRLF; a bare LF ends no line.
    async fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut from = 0;
        loop {
            if let Some(at) = memchr::memmem::find(self.input.get(from..).unwrap_or(&[]), b"\r\n") {
                let line = self.input.split_to(from + at);
                self.input.advance(2);
                return String::from_utf8(line.to_vec())
                    .map(Some)
                    .map_err(|_| bad("a head that is not UTF-8"));
            }
            from = self.input.len().saturating_sub(1);
            if self.input.len() > MAX_HEAD {
                return Err(bad("head too large"));
            }
            if !self.fill().await? {
                return if self.input.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    async fn read_head(&mut self, peer: SocketAddr) -> io::Result<Option<Head>> {
        let Some(line) = self.read_line().await? else {
            return Ok(None);
        };
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad("request line"));
        };
        let version = match version {
            "HTTP/1.1" => "HTTP/1.1",
            "HTTP/1.0" => "HTTP/1.0",
            _ => return Err(bad("version")),
        };
        Ok(Some(Head {
            method: method.to_owned(),
            target: target.to_owned(),
            version,
            fields: self.read_fields().await?,
            peer: Some(peer),
        }))
    }

    /// Field lines up to the empty one: of a head, or of a trailer section.
    async fn read_fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        let mut size = 0;
        loop {
            let line = self.read_line().await?;
            let line = line.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            if line.is_empty() {
                return Ok(fields);
            }
            size += line.len();
            if size > MAX_HEAD {
                return Err(bad("head too large"));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad("field line"))?;
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(bad("field name"));
            }
            let value = value.trim_matches([' ', '\t']);
            fields.push((name.to_owned(), value.to_owned()));
        }
    }

    async fn refuse(&mut self, error: io::Error) -> io::Result<()> {
        if error.kind() != io::ErrorKind::InvalidData {
            return Err(error);
        }
        let text = format!("origin: bad request: {error}\n");
        let head = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
        self.output.extend_from_slice(head.as_bytes());
        self.close().await
    }

    /// Closes so that the last answer survives: a socket closed with unread input is reset, and
    /// the reset destroys what the client has not read yet.
    async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await?;
        let linger = async {
            self.input.clear();
            while self.stream.read_buf(&mut self.input).await? > 0 {
                self.input.clear();
            }
            Ok(())
        };
        let lingered = tokio::time::timeout(Duration::from_secs(1), linger).await;
        lingered.unwrap_or(Ok(()))
    }
}

struct Http1<'a, S> {
    wire: &'a mut Wire<S>,
    incoming: Framing,
    outgoing: Framing,
    /// The answer to a HEAD has no content.
    silent: bool,
    /// An HTTP/1.0 client knows no chunks.
    old: bool,
    keep: bool,
    websocket_key: Option<String>,
    expects_continue: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<'_, S> {
    /// Reads what is left of the request body; whether another request may follow.
    async fn end(&mut self) -> io::Result<bool> {
        self.wire.flush().await?;
        if self.expects_continue && self.incoming != Framing::None {
            // Answered without asking for the body: whether it comes is not known (RFC 9110
            // §10.1.1), so that the connection cannot be used again.
            return Ok(false);
        }
        if self.keep {
            while self.read().await?.is_some() {}
        }
        Ok(self.keep)
    }

    /// Takes up to `limit` bytes that are there, or waits for some.
    async fn read_some(&mut self, limit: u64) -> io::Result<Option<Bytes>> {
        if self.wire.input.is_empty() && !self.wire.fill().await? {
            return Ok(None);
        }
        let len = usize::try_from(limit).unwrap_or(usize::MAX);
        let len = len.min(self.wire.input.len());
        Ok(Some(self.wire.input.split_to(len).freeze()))
    }

    async fn read_body(&mut self, left: u64) -> io::Result<Bytes> {
        let data = self.read_some(left).await?;
        data.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    async fn next_chunk(&mut self) -> io::Result<u64> {
        let line = self.wire.read_line().await?;
        let line = line.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let digits = line.split(';').next().unwrap_or_default().trim_end();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad("chunk size"));
        }
        u64::from_str_radix(digits, 16).map_err(|_| bad("chunk too large"))
    }

    async fn read_chunked(&mut self, left: u64) -> io::Result<Option<Bytes>> {
        let left = if left > 0 {
            left
        } else {
            self.next_chunk().await?
        };
        if left == 0 {
            self.wire.read_fields().await?;
            self.incoming = Framing::None;
            return Ok(None);
        }
        let data = self.read_body(left).await?;
        let left = left - data.len() as u64;
        self.incoming = Framing::Chunked(left);
        if left == 0 && self.wire.read_line().await?.as_deref() != Some("") {
            return Err(bad("chunk longer than its size"));
        }
        Ok(Some(data))
    }

    fn put_head(&mut self, status: u16, fields: Fields<'_>) {
        let reason = StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        let out = &mut self.wire.output;
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(reason.as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in fields {
            self.put_field(name, value);
        }
    }

    fn put_field(&mut self, name: &str, value: &str) {
        let out = &mut self.wire.output;
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange for Http1<'_, S> {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        if self.expects_continue && self.incoming != Framing::None {
            self.expects_continue = false;
            self.interim(100, &[]).await?;
        }
        match self.incoming {
            Framing::None => Ok(None),
            Framing::Raw => self.read_some(u64::MAX).await,
            Framing::Length(left) => {
                let data = self.read_body(left).await?;
                let left = left - data.len() as u64;
                self.incoming = if left == 0 {
                    Framing::None
                } else {
                    Framing::Length(left)
                };
                Ok(Some(data))
            }
            Framing::Chunked(left) => self.read_chunked(left).await,
        }
    }

    async fn interim(&mut self, status: u16, fields: Fields<'_>) -> io::Result<()> {
        if self.old {
            return Ok(());
        }
        self.put_head(status, fields);
        self.wire.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    async fn head(
        &mut self,
        status: u16,
        fields: Fields<'_>,
        length: Option<u64>,
    ) -> io::Result<()> {
        if self.expects_continue && self.incoming != Framing::None {
            self.keep = false;
        }
        self.put_head(status, fields);
        self.outgoing = match length {
            _ if matches!(status, 204 | 304) => Framing::None,
            Some(length) => {
                self.put_field("content-length", itoa::Buffer::new().format(length));
                Framing::Length(length)
            }
            None if self.old => {
                self.keep = false;
                Framing::Raw
            }
            None => {
                self.put_field("transfer-encoding", "chunked");
                Framing::Chunked(0)
            }
        };
        if !self.keep {
            self.put_field("connection", "close");
        } else if self.old {
            self.put_field("connection", "keep-alive");
        }
        if self.silent {
            self.outgoing = Framing::None;
        }
        self.wire.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    async fn websocket(&mut self) -> io::Result<()> {
        let Some(key) = self.websocket_key.take() else {
            return Err(bad("no sec-websocket-key"));
        };
        let fields = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-accept", &websocket::accept(&key)),
        ];
        self.put_head(101, &fields);
        self.wire.output.extend_from_slice(b"\r\n");
        self.incoming = Framing::Raw;
        self.outgoing = Framing::Raw;
        self.keep = false;
        Ok(())
    }

    async fn write(&mut self, mut data: Bytes) -> io::Result<()> {
        if self.outgoing == Framing::None || data.is_empty() {
            return Ok(());
        }
        let chunked = matches!(self.outgoing, Framing::Chunked(_));
        if chunked {
            let size = format!("{:x}\r\n", data.len());
            self.wire.output.extend_from_slice(size.as_bytes());
        }
        if data.len() <= 4096 {
            self.wire.output.extend_from_slice(&data);
        } else {
            self.wire.flush().await?;
            self.wire.stream.write_all_buf(&mut data).await?;
        }
        if chunked {
            self.wire.output.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.wire.flush().await
    }

    async fn finish(&mut self, trailers: Fields<'_>) -> io::Result<()> {
        if matches!(self.outgoing, Framing::Chunked(_)) {
            self.wire.output.extend_from_slice(b"0\r\n");
            for (name, value) in trailers {
                self.put_field(name, value);
            }
            self.wire.output.extend_from_slice(b"\r\n");
        }
        self.wire.flush().await
    }

    fn abort(&mut self) -> io::Error {
        io::ErrorKind::ConnectionAborted.into()
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
