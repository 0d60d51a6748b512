//! The client role: requests as streams of shared backend connections.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use adit_route::FieldList;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use tokio::sync::Notify;

use super::duplex::Duplex;
use super::meter::{Meter, Metered, Peer, Rule, Teller, Watch};
use super::stream::{Held, StreamBody, backend};
use crate::deadline::Deadline;
use crate::error::{Error, Side};
use crate::h1::Violation;
use crate::h1::client::{MOST_INTERIMS, Terms};
use crate::http::body::{Body, Frame};
use crate::http::headers;
use crate::http::message::{Request, Response, Upgrade};
use crate::http::upgrade::{self, Upgraded};
use crate::io::Stream;
use crate::limits::Limits;
use crate::upstream::stats::UpstreamStats;

/// A connection that many requests share.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    send: SendRequest<Bytes>,
    closed: Rc<Cell<bool>>,
    streams: Rc<Cell<usize>>,
    used: Rc<Cell<Instant>>,
    introduced: Rc<Introduction>,
}

/// Whether the backend's SETTINGS have come. They are its first frame (RFC 9113 §3.4), so they have
/// once it answers a PING.
#[derive(Debug, Default)]
struct Introduction {
    done: Cell<bool>,
    told: Notify,
}

impl Introduction {
    async fn wait(self: Rc<Self>, mut ping: PingPong) {
        // A connection that fails here fails its streams too.
        let _ = ping.ping(Ping::opaque()).await;
        self.done.set(true);
        self.told.notify_waiters();
    }

    async fn done(&self) {
        if !self.done.get() {
            self.told.notified().await;
        }
    }
}

/// The largest flow-control window (RFC 9113 §6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

impl Channel {
    /// Starts HTTP/2 on a new connection.
    pub(crate) async fn open(
        stream: Stream,
        limits: &Rc<Limits>,
        counts: BackendCounts,
    ) -> Result<Self, Error> {
        let meter = Rc::new(RefCell::new(Meter::new(Peer::Backend, false, limits)));
        let stream = Metered::new(Rc::new(RefCell::new(stream)), Rc::clone(&meter));
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(limits.connection_window / 4)
            // Clients that read slowly hold what their streams have received. If that could use up
            // the window that all share, four of them would stop everybody else.
            .initial_connection_window_size(MAX_WINDOW)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_send_buffer_size(limits.stream_send_buffer);
        let handshake = builder.handshake::<_, Bytes>(stream);
        let (send, mut connection) =
            tokio::time::timeout(limits.backend_handshake_timeout, handshake)
                .await
                .map_err(|_| Error::ConnectTimeout)?
                .map_err(connecting)?;
        let introduced = Rc::new(Introduction::default());
        if let Some(ping) = connection.ping_pong() {
            tokio::task::spawn_local(Rc::clone(&introduced).wait(ping));
        }
        let closed = Rc::new(Cell::new(false));
        let driver = Driver {
            connection,
            meter,
            counts,
            closed: Rc::clone(&closed),
            block: Watch::default(),
            shut: Watch::default(),
            limits: Rc::clone(limits),
        };
        tokio::task::spawn_local(driver.run());
        Ok(Self {
            send,
            closed,
            streams: Rc::default(),
            used: Rc::new(Cell::new(Instant::now())),
            introduced,
        })
    }

    /// Whether no new stream can be opened.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Whether more than four fifths of the streams that the backend allows are in use.
    pub(crate) fn is_crowded(&self) -> bool {
        self.streams.get() > self.send.current_max_send_streams() / 5 * 4
    }

    /// Whether nothing has been asked for so long.
    pub(crate) fn is_idle_for(&self, keep: Duration) -> bool {
        self.streams.get() == 0 && self.used.get().elapsed() > keep
    }

    /// Streams under way.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }
}

/// Where breaches by backends are counted.
#[derive(Debug)]
pub(crate) struct BackendCounts {
    pub stats: Arc<UpstreamStats>,
    pub worker: usize,
}

impl Teller for BackendCounts {
    // Frames are counted where their number says something about strangers.
    fn frames(&self, _: usize, _: u32) {}

    fn breached(&self, rule: Rule, count: u32) {
        tracing::debug!(rule = rule.id(), count, "a backend breaks a limit");
        self.stats.refused(self.worker, rule.id(), count);
    }
}

/// Moves a connection on until it ends, or its backend breaks the rules too often.
struct Driver {
    connection: h2::client::Connection<Metered, Bytes>,
    meter: Rc<RefCell<Meter>>,
    counts: BackendCounts,
    closed: Rc<Cell<bool>>,
    block: Watch,
    shut: Watch,
    limits: Rc<Limits>,
}

impl Driver {
    async fn run(mut self) {
        poll_fn(|cx| {
            // How it ended is reported by the streams that were on it.
            if std::pin::Pin::new(&mut self.connection).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            self.poll_breach(cx)
        })
        .await;
    }

    /// Ready when the connection must end; the streams that are on it fail.
    fn poll_breach(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let standing = {
            let mut meter = self.meter.borrow_mut();
            if meter.has_news() {
                meter.report(&self.counts);
            }
            meter.standing()
        };
        if standing.stop {
            return Poll::Ready(());
        }
        if standing.drain {
            self.closed.set(true);
        }
        let limits = &self.limits.http2;
        let block = self
            .block
            .poll(standing.block, limits.header_block_timeout, cx);
        let shut = self
            .shut
            .poll(standing.shut, limits.connection_stall_timeout, cx);
        for (lasted, rule) in [(block, "L-39"), (shut, "L-35")] {
            if lasted.is_ready() {
                self.counts.stats.refused(self.counts.worker, rule, 1);
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.closed.set(true);
        self.meter.borrow_mut().report(&self.counts);
    }
}

fn connecting(error: h2::Error) -> Error {
    match error.into_io() {
        Some(error) => Error::Connect(error),
        None => Error::Refused,
    }
}

/// Sends the request and waits for the final response head.
pub(crate) async fn exchange(
    mut channel: Channel,
    secure: bool,
    request: &mut Request,
    terms: &Terms<'_>,
) -> Result<Response, Error> {
    let held = Held::new(&channel.streams);
    channel.used.set(Instant::now());
    let ready = poll_fn(|cx| channel.send.poll_ready(cx));
    tokio::time::timeout(terms.limits.connect_timeout, ready)
        .await
        .map_err(|_| Error::EndpointsBusy)?
        .map_err(|_| Error::Refused)?;
    let upgrading = request.upgrade.is_some();
    if upgrading {
        // Whether RFC 8441 is spoken is in the SETTINGS.
        let introduced = channel.introduced.done();
        tokio::time::timeout(terms.limits.connect_timeout, introduced)
            .await
            .map_err(|_| Error::ConnectTimeout)?;
    }
    if upgrading && !channel.send.is_extended_connect_protocol_enabled() {
        return Err(Error::Unsupported);
    }
    let body = if upgrading {
        Body::empty()
    } else {
        std::mem::replace(&mut request.body, Body::empty())
    };
    let head = head(request, &body, secure, terms)?;
    let end = !upgrading && body.is_empty();
    let (response, send) = channel.send.send_request(head, end).map_err(backend)?;
    if request.expects_continue {
        request
            .interim
            .send(StatusCode::CONTINUE, FieldList::new())
            .await;
    }
    let (send, upload) = match (upgrading, end) {
        (true, _) => (Some(send), None),
        (false, true) => (None, None),
        (false, false) => (
            None,
            Some(Upload {
                body,
                send,
                piece: Bytes::new(),
                stall: Deadline::default(),
                idle: terms.idle,
            }),
        ),
    };
    let (response, upload) = await_head(response, upload, request, terms).await?;
    if upgrading {
        return upgraded(response, send, request);
    }
    Ok(finish(response, upload, held, terms))
}

fn head(
    request: &Request,
    body: &Body,
    secure: bool,
    terms: &Terms<'_>,
) -> Result<http::Request<()>, Error> {
    let authority = match terms.port {
        Some(port) => format!("{}:{port}", terms.host),
        None => terms.host.to_owned(),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority =
        Some(Authority::from_maybe_shared(Bytes::from(authority)).map_err(|_| Error::Unsupported)?);
    parts.path_and_query =
        Some(PathAndQuery::try_from(terms.target).map_err(|_| Error::Unsupported)?);
    let mut head = http::Request::new(());
    *head.uri_mut() = Uri::from_parts(parts).map_err(|_| Error::Unsupported)?;
    *head.method_mut() = request.method.clone();
    *head.headers_mut() = terms.headers.clone().into();
    if request.upgrade.is_some() {
        *head.method_mut() = Method::CONNECT;
        head.extensions_mut()
            .insert(Protocol::from_static("websocket"));
        let version = HeaderValue::from_static("13");
        head.headers_mut()
            .insert(header::SEC_WEBSOCKET_VERSION, version);
        return Ok(head);
    }
    if request.accepts_trailers {
        head.headers_mut()
            .insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(length) = body.length()
        && !body.is_empty()
    {
        head.headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(head)
}

/// Waits for the final head, sending the body and passing on interim responses meanwhile.
async fn await_head(
    mut response: h2::client::ResponseFuture,
    mut upload: Option<Upload>,
    request: &Request,
    terms: &Terms<'_>,
) -> Result<(http::Response<RecvStream>, Option<Upload>), Error> {
    enum Event {
        Head(http::Response<RecvStream>),
        Interim(http::Response<()>),
        Sent,
    }
    let mut deadline = Deadline::default();
    if upload.is_none() {
        deadline.arm(terms.response);
    }
    let mut interims = 0;
    loop {
        let event = poll_fn(|cx| {
            if let Some(sending) = &mut upload
                && let Poll::Ready(sent) = sending.poll(cx)
            {
                return Poll::Ready(sent.map(|()| Event::Sent));
            }
            if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
                return Poll::Ready(interim.map(Event::Interim).map_err(backend));
            }
            match std::pin::Pin::new(&mut response).poll(cx) {
                Poll::Ready(head) => Poll::Ready(head.map(Event::Head).map_err(backend)),
                Poll::Pending => deadline.poll(cx).map(|()| Err(Error::ResponseTimeout)),
            }
        })
        .await?;
        match event {
            Event::Head(head) => return Ok((head, upload)),
            Event::Sent => {
                upload = None;
                deadline.arm(terms.response);
            }
            Event::Interim(interim) => {
                interims += 1;
                if interims > MOST_INTERIMS {
                    return Err(Error::Response(Violation::INTERIMS));
                }
                if interims > terms.limits.interim_responses {
                    continue;
                }
                let (parts, ()) = interim.into_parts();
                let mut fields = FieldList::from(parts.headers);
                headers::strip_response(&mut fields);
                if parts.status != StatusCode::CONTINUE {
                    request.interim.send(parts.status, fields).await;
                }
            }
        }
    }
}

fn finish(
    response: http::Response<RecvStream>,
    upload: Option<Upload>,
    held: Held,
    terms: &Terms<'_>,
) -> Response {
    let (parts, stream) = response.into_parts();
    let mut fields = FieldList::from(parts.headers);
    let length = fields
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    headers::strip_response(&mut fields);
    let sending = upload.map(|mut upload| {
        let task = tokio::task::spawn_local(async move {
            // Its failure shows in the response.
            let _ = poll_fn(|cx| upload.poll(cx)).await;
        });
        task.abort_handle()
    });
    let body = if stream.is_end_stream() {
        if parts.status == StatusCode::NO_CONTENT {
            fields.remove(header::CONTENT_LENGTH);
        }
        Body::empty()
    } else {
        fields.remove(header::CONTENT_LENGTH);
        let held = held.with_upload(sending);
        Body::stream(
            StreamBody::new(stream, Side::Backend, terms.idle, Some(held)),
            length,
        )
    };
    Response {
        status: parts.status,
        headers: fields,
        body,
    }
}

/// The backend's 2xx to an extended CONNECT, as the client's protocol says it.
fn upgraded(
    response: http::Response<RecvStream>,
    send: Option<SendStream<Bytes>>,
    request: &Request,
) -> Result<Response, Error> {
    let (parts, receive) = response.into_parts();
    let Some(send) = send.filter(|_| parts.status.is_success()) else {
        return Err(Error::Upgrade);
    };
    let mut fields = FieldList::from(parts.headers);
    headers::strip_response(&mut fields);
    let status = match &request.upgrade {
        Some(Upgrade::Key(key)) => {
            let answer = HeaderValue::from_str(&upgrade::accept(key));
            let answer = answer.map_err(|_| Error::Upgrade)?;
            fields.insert(header::SEC_WEBSOCKET_ACCEPT, answer);
            StatusCode::SWITCHING_PROTOCOLS
        }
        _ => StatusCode::OK,
    };
    Ok(Response {
        status,
        headers: fields,
        body: Body::upgraded(Upgraded::from_h2(Duplex::new(send, receive))),
    })
}

/// The part of a request body that is still to be sent.
struct Upload {
    body: Body,
    send: SendStream<Bytes>,
    /// Taken from the body and not sent yet.
    piece: Bytes,
    /// Runs while the backend gives no window (L-71).
    stall: Deadline,
    idle: Duration,
}

impl Upload {
    /// Sends what the windows allow.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            while !self.piece.is_empty() {
                self.send.reserve_capacity(self.piece.len());
                while self.send.capacity() == 0 {
                    match self.send.poll_capacity(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(backend(error))),
                        // The backend has ended the stream; its answer says why.
                        Poll::Ready(None) => return Poll::Ready(Ok(())),
                        Poll::Pending => {
                            if !self.stall.is_armed() {
                                self.stall.arm(self.idle);
                            }
                            let stalled = self.stall.poll(cx);
                            return stalled.map(|()| Err(Error::ResponseTimeout));
                        }
                    }
                }
                self.stall.disarm();
                let part = self
                    .piece
                    .split_to(self.send.capacity().min(self.piece.len()));
                self.send.send_data(part, false).map_err(backend)?;
            }
            match ready!(self.body.poll_frame(cx)) {
                Some(Ok(Frame::Data(data))) => self.piece = data,
                Some(Ok(Frame::Trailers(mut trailers))) => {
                    headers::filter_trailers(&mut trailers);
                    return Poll::Ready(self.send.send_trailers(trailers.into()).map_err(backend));
                }
                None => {
                    return Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(backend));
                }
                Some(Err(error)) => {
                    // The backend must not take a part for the whole (D-19).
                    self.send.send_reset(h2::Reason::CANCEL);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}
