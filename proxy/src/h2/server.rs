//! The server role: streams of one client connection, each a task of its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{Method, StatusCode, header};

use super::accept::{Refusal, accept};
use super::duplex::Duplex;
use super::stream::Held;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::http::body::{Body, Frame};
use crate::http::message::{Response, Upgrade};
use crate::http::upgrade::Upgraded;
use crate::http::{forward, handle, headers, reply};
use crate::info::ConnInfo;
use crate::io::Stream;
use crate::limits::Limits;
use crate::trail::Trail;
use crate::worker::{Live, Worker};

/// Serves a connection to its end.
pub(crate) async fn serve(stream: Stream, info: Rc<ConnInfo>, live: Rc<Live>) {
    let limits = live.worker().limits();
    let handshake = builder(&limits).handshake::<_, Bytes>(stream);
    let Ok(Ok(connection)) = tokio::time::timeout(limits.handshake_timeout, handshake).await else {
        return;
    };
    let mut connection = ServerConnection {
        connection,
        pings: None,
        streams: Rc::default(),
        idle: Deadline::default(),
        served: 0,
        closing: false,
        limits,
    };
    connection.pings = connection.connection.ping_pong().map(Pings::new);
    connection.idle.arm(connection.limits.idle_streams_timeout);
    while let Some((request, respond)) = connection.next(&live).await {
        live.count_request();
        let stream = ServerStream {
            respond: Rc::new(RefCell::new(respond)),
            info: Rc::clone(&info),
            live: Rc::clone(&live),
            worker: Rc::clone(live.worker()),
        };
        let held = Held::new(&connection.streams);
        tokio::task::spawn_local(stream.serve(request, held));
    }
}

fn builder(limits: &Limits) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits.concurrent_streams)
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(limits.stream_send_buffer)
        .max_local_error_reset_streams(Some(limits.local_resets))
        .max_pending_accept_reset_streams(limits.pending_resets)
        .enable_connect_protocol();
    builder
}

struct ServerConnection {
    connection: h2::server::Connection<Stream, Bytes>,
    pings: Option<Pings>,
    streams: Rc<Cell<usize>>,
    idle: Deadline,
    served: u32,
    closing: bool,
    limits: Rc<Limits>,
}

type Accepted = (http::Request<RecvStream>, SendResponse<Bytes>);

impl ServerConnection {
    /// The next stream; `None` ends the connection.
    async fn next(&mut self, live: &Live) -> Option<Accepted> {
        poll_fn(|cx| {
            if !self.closing && live.poll_closing(cx).is_ready() {
                self.close();
            }
            let accepted = match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(accepted))) => accepted,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
                Poll::Pending => return self.poll_quiet(cx).map(|()| None),
            };
            self.served += 1;
            if self.served >= self.limits.streams_per_connection && !self.closing {
                self.close();
            }
            Poll::Ready(Some(accepted))
        })
        .await
    }

    fn close(&mut self) {
        self.closing = true;
        self.connection.graceful_shutdown();
        // The last GOAWAY waits for an answer that may never come.
        self.idle.arm(self.limits.ping_timeout);
    }

    /// Ready when the peer no longer answers (L-66); closes a connection without streams (L-65).
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let busy = self.connection.has_streams();
        while self.idle.poll(cx).is_ready() {
            match (busy, self.closing) {
                (true, true) => self.idle.arm(self.limits.ping_timeout),
                (true, false) => self.idle.arm(self.limits.idle_streams_timeout),
                (false, true) => return Poll::Ready(()),
                (false, false) => {
                    self.close();
                    cx.waker().wake_by_ref();
                }
            }
        }
        match &mut self.pings {
            Some(pings) => pings.poll_dead(cx, busy, &self.limits),
            None => Poll::Pending,
        }
    }
}

/// Keep-alive pings.
struct Pings {
    channel: PingPong,
    timer: Deadline,
    waiting: bool,
    armed: bool,
}

impl Pings {
    fn new(pings: PingPong) -> Self {
        Self {
            channel: pings,
            timer: Deadline::default(),
            waiting: false,
            armed: false,
        }
    }

    fn poll_dead(&mut self, cx: &mut Context<'_>, busy: bool, limits: &Limits) -> Poll<()> {
        if self.waiting && self.channel.poll_pong(cx).is_ready() {
            self.waiting = false;
            self.armed = false;
        }
        if !self.armed && busy {
            self.armed = true;
            self.timer.arm(limits.ping_interval);
        }
        while self.timer.poll(cx).is_ready() {
            if self.waiting {
                return Poll::Ready(());
            }
            self.armed = false;
            if busy && self.channel.send_ping(Ping::opaque()).is_ok() {
                self.waiting = true;
                self.armed = true;
                self.timer.arm(limits.ping_timeout);
                // Registers for the answer.
                let _ = self.channel.poll_pong(cx);
            }
        }
        Poll::Pending
    }
}

struct ServerStream {
    respond: Rc<RefCell<SendResponse<Bytes>>>,
    info: Rc<ConnInfo>,
    live: Rc<Live>,
    worker: Rc<Worker>,
}

impl ServerStream {
    async fn serve(self, request: http::Request<RecvStream>, held: Held) {
        let limits = self.worker.limits();
        let secure = self.info.tls.is_some();
        let mut request = match accept(request, &self.respond, secure, &limits, held) {
            Ok(request) => request,
            Err(refusal) => return self.refuse(refusal),
        };
        let mut trail = Trail::new(&self.worker, &self.info, &mut request);
        let head_only = request.method == Method::HEAD;
        let upgrading = request.upgrade == Some(Upgrade::Connect);
        let client_bytes = if upgrading {
            request.body.take_stream()
        } else {
            None
        };
        let handled = {
            let mut handling = std::pin::pin!(handle::handle(
                &self.worker,
                &self.info,
                request,
                &mut trail
            ));
            poll_fn(|cx| match handling.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => self.respond.borrow_mut().poll_reset(cx).map(|_| None),
            })
            .await
        };
        let Some(response) = handled else {
            trail.end("client-gone");
            return;
        };
        trail.answered(response.status);
        if let (true, Some(receive)) = (response.body.is_upgraded(), client_bytes) {
            self.live.relays(trail.relayed());
            return self.upgrade(response, receive).await;
        }
        if let Err(error) = self.respond(response, head_only, &mut trail, &limits).await {
            trail.end(error.reason());
        }
    }

    fn refuse(&self, refusal: Refusal) {
        let mut respond = self.respond.borrow_mut();
        match refusal {
            Refusal::Malformed(violation) => {
                self.worker.refused(&self.info, violation.rule());
                respond.send_reset(Reason::PROTOCOL_ERROR);
            }
            Refusal::Refused(violation) => {
                self.worker.refused(&self.info, violation.rule());
                let mut response = http::Response::new(());
                *response.status_mut() = violation.status();
                let _ = respond.send_response(response, true);
            }
        }
    }

    fn send_head(&self, response: &mut Response, end: bool) -> Result<SendStream<Bytes>, Error> {
        reply::complete(&mut response.headers, &self.worker);
        let mut head = http::Response::new(());
        *head.status_mut() = response.status;
        *head.headers_mut() = std::mem::take(&mut response.headers).into();
        let sent = self.respond.borrow_mut().send_response(head, end);
        sent.map_err(|_| Error::ClientGone)
    }

    async fn respond(
        &self,
        mut response: Response,
        head_only: bool,
        trail: &mut Trail,
        limits: &Limits,
    ) -> Result<(), Error> {
        let forbidden = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        let bodyless = head_only || forbidden.contains(&response.status);
        let length = response.body.length();
        if let Some(length) = length
            && !bodyless
            && !(length == 0 && response.headers.contains_key("grpc-status"))
        {
            response
                .headers
                .insert(header::CONTENT_LENGTH, length.into());
        }
        trail.first_byte();
        let end = bodyless || response.body.is_empty();
        let mut send = self.send_head(&mut response, end)?;
        if end {
            return Ok(());
        }
        let sent = pump(&mut response.body, &mut send, length, trail, limits).await;
        if let Err(error) = &sent
            && !matches!(error, Error::ClientGone)
        {
            // The client must be able to tell (D-92).
            send.send_reset(Reason::INTERNAL_ERROR);
        }
        sent
    }

    async fn upgrade(&self, mut response: Response, receive: RecvStream) {
        let body = std::mem::replace(&mut response.body, Body::empty());
        let Some((backend, held)) = body.into_upgraded() else {
            return;
        };
        let Ok(send) = self.send_head(&mut response, false) else {
            return;
        };
        let client = Upgraded::from_h2(Duplex::new(send, receive));
        forward::join(&self.live, client, backend).await;
        drop(held);
    }
}

/// Moves a body onto a stream, no faster than the client takes it.
async fn pump(
    body: &mut Body,
    send: &mut SendStream<Bytes>,
    length: Option<u64>,
    trail: &mut Trail,
    limits: &Limits,
) -> Result<(), Error> {
    let mut left = length.unwrap_or(u64::MAX);
    let mut stall = Deadline::default();
    loop {
        let frame = poll_fn(|cx| match body.poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => send.poll_reset(cx).map(|_| Err(Error::ClientGone)),
        })
        .await?;
        match frame {
            Some(Ok(Frame::Data(data))) => {
                let size = data.len() as u64;
                left = left.checked_sub(size).ok_or(Error::Truncated)?;
                send_all(send, data, left == 0, &mut stall, limits).await?;
                trail.sent(size);
                if left == 0 {
                    return Ok(());
                }
            }
            Some(Ok(Frame::Trailers(mut trailers))) => {
                headers::filter_trailers(&mut trailers);
                return send
                    .send_trailers(trailers.into())
                    .map_err(|_| Error::ClientGone);
            }
            Some(Err(error)) => return Err(error),
            None if left == 0 || length.is_none() => {
                return send
                    .send_data(Bytes::new(), true)
                    .map_err(|_| Error::ClientGone);
            }
            None => return Err(Error::Truncated),
        }
    }
}

/// Sends one piece as the windows allow; a window that stays shut ends the stream (L-35).
pub(super) async fn send_all(
    send: &mut SendStream<Bytes>,
    mut data: Bytes,
    end: bool,
    stall: &mut Deadline,
    limits: &Limits,
) -> Result<(), Error> {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        if send.capacity() == 0 {
            stall.arm(limits.write_timeout);
            poll_fn(|cx| match poll_window(send, cx) {
                Poll::Pending => stall.poll(cx).map(|()| Err(Error::ClientTimeout)),
                ready @ Poll::Ready(_) => ready,
            })
            .await?;
        }
        let piece = data.split_to(send.capacity().min(data.len()));
        let last = end && data.is_empty();
        send.send_data(piece, last).map_err(|_| Error::ClientGone)?;
    }
    Ok(())
}

pub(super) fn poll_window(
    send: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    while send.capacity() == 0 {
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(Err(Error::ClientGone)),
        }
    }
    Poll::Ready(Ok(()))
}
