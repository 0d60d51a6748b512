//! HTTP/2 side of an origin, with extended CONNECT (RFC 8441).
//!
//! Flow control is honoured both ways: bytes are released when they were taken, and writing waits
//! for the window, so that a slow client holds the origin back and not its memory.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer;
use super::exchange::{Exchange, Fields, Head};

/// Serves one connection.
pub(super) async fn serve<S>(stream: S, name: Rc<str>, peer: SocketAddr) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut connection = h2::server::Builder::new()
        .enable_connect_protocol()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_concurrent_streams(1000)
        .handshake(stream)
        .await
        .map_err(io::Error::other)?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted.map_err(io::Error::other)?;
        let name = Rc::clone(&name);
        super::spawn(async move {
            let head = read_head(&request, peer);
            let mut exchange = Http2 {
                body: request.into_body(),
                state: State::Waiting(respond),
                silent: head.method == "HEAD",
            };
            answer::answer(&name, &head, &mut exchange).await
        });
    }
    Ok(())
}

fn read_head(request: &Request<RecvStream>, peer: SocketAddr) -> Head {
    let uri = request.uri();
    let mut fields = Vec::with_capacity(request.headers().len() + 3);
    let mut pseudo = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            fields.push((name.to_owned(), value.to_owned()));
        }
    };
    pseudo(":scheme", uri.scheme_str());
    pseudo(
        ":authority",
        uri.authority().map(http::uri::Authority::as_str),
    );
    let protocol = request.extensions().get::<h2::ext::Protocol>();
    pseudo(":protocol", protocol.map(h2::ext::Protocol::as_str));
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        fields.push((name.as_str().to_owned(), value));
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    Head {
        method: request.method().as_str().to_owned(),
        target: target.to_owned(),
        version: "HTTP/2.0",
        fields,
        peer: Some(peer),
    }
}

/// How far the answer is.
enum State {
    Waiting(SendResponse<Bytes>),
    Sending(SendStream<Bytes>),
    Done,
}

struct Http2 {
    body: RecvStream,
    state: State,
    /// The answer to a HEAD has no content.
    silent: bool,
}

impl Http2 {
    fn sending(&mut self) -> io::Result<&mut SendStream<Bytes>> {
        match &mut self.state {
            State::Sending(stream) => Ok(stream),
            _ => Err(io::Error::other("body without a head, or after its end")),
        }
    }
}

impl Exchange for Http2 {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        match self.body.data().await {
            None => Ok(None),
            Some(data) => {
                let data = data.map_err(io::Error::other)?;
                self.body
                    .flow_control()
                    .release_capacity(data.len())
                    .map_err(io::Error::other)?;
                Ok(Some(data))
            }
        }
    }

    async fn interim(&mut self, status: u16, fields: Fields<'_>) -> io::Result<()> {
        let head = response(status, fields)?;
        match &mut self.state {
            State::Waiting(respond) => respond.send_informational(head).map_err(io::Error::other),
            _ => Err(io::Error::other("interim answer after the final head")),
        }
    }

    async fn head(
        &mut self,
        status: u16,
        fields: Fields<'_>,
        length: Option<u64>,
    ) -> io::Result<()> {
        let mut head = response(status, fields)?;
        if let Some(length) = length {
            head.headers_mut().insert("content-length", length.into());
        }
        let end = length == Some(0) || self.silent;
        let State::Waiting(respond) = &mut self.state else {
            return Err(io::Error::other("two heads"));
        };
        let stream = respond.send_response(head, end).map_err(io::Error::other)?;
        self.state = if end {
            State::Done
        } else {
            State::Sending(stream)
        };
        Ok(())
    }

    async fn websocket(&mut self) -> io::Result<()> {
        self.head(200, &[], None).await
    }

    async fn write(&mut self, mut data: Bytes) -> io::Result<()> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        let stream = self.sending()?;
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            let granted = poll_fn(|cx| stream.poll_capacity(cx)).await;
            let granted = granted
                .ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?
                .map_err(io::Error::other)?;
            let piece = data.split_to(granted.min(data.len()));
            stream.send_data(piece, false).map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        // h2 writes as soon as its connection task runs; there is nothing to push.
        Ok(())
    }

    async fn finish(&mut self, trailers: Fields<'_>) -> io::Result<()> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        let stream = self.sending()?;
        let ended = if trailers.is_empty() {
            stream.send_data(Bytes::new(), true)
        } else {
            stream.send_trailers(header_map(trailers)?)
        };
        self.state = State::Done;
        ended.map_err(io::Error::other)
    }

    fn abort(&mut self) -> io::Error {
        match &mut self.state {
            State::Waiting(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            State::Sending(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
            State::Done => {}
        }
        io::Error::from(io::ErrorKind::ConnectionAborted)
    }
}

fn response(status: u16, fields: Fields<'_>) -> io::Result<Response<()>> {
    let mut response = Response::builder()
        .status(status)
        .body(())
        .map_err(io::Error::other)?;
    *response.headers_mut() = header_map(fields)?;
    Ok(response)
}

fn header_map(fields: Fields<'_>) -> io::Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        let value = HeaderValue::from_str(value).map_err(io::Error::other)?;
        map.append(name, value);
    }
    Ok(map)
}
