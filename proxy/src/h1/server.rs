//! The server role: requests in order on one client connection (D-22).
//!
//! While a request is served the connection is watched, so that a client that leaves is noticed and
//! the backend freed. What a client may not do is answered once, in fixed words, and ends the
//! connection (D-01, D-02).

use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use adit_route::FieldList;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};

use super::accept::Accepted;
use super::body::Piece;
use super::head::{BodyLength, HeadReader, parse_request};
use super::violation::Violation;
use super::wire::{Wire, WireError};
use super::{encode, splice};
use crate::error::Error;
use crate::http::body::{Body, Frame};
use crate::http::headers;
use crate::http::message::Response;
use crate::http::upgrade::Upgraded;
use crate::http::{handle, reply};
use crate::info::ConnInfo;
use crate::io::Stream;
use crate::limits::Limits;
use crate::trail::{Trail, refused_message};
use crate::worker::{Live, Worker};

/// Serves a connection to its end. `input` is what was read of it already.
pub(crate) async fn serve(stream: Stream, input: BytesMut, info: Rc<ConnInfo>, live: Rc<Live>) {
    let worker = Rc::clone(live.worker());
    let idle = worker.limits().write_timeout;
    let mut connection = ServerConnection {
        wire: Rc::new(Wire::new(stream, input, idle)),
        info,
        live,
        worker,
        served: 0,
    };
    let wire: Weak<Wire> = Rc::downgrade(&connection.wire);
    connection.live.buffers_in(wire);
    while let Some(next) = connection.turn().await {
        if let Next::Upgrade(response) = next {
            connection.upgrade(*response).await;
            return;
        }
    }
}

struct ServerConnection {
    wire: Rc<Wire>,
    info: Rc<ConnInfo>,
    live: Rc<Live>,
    worker: Rc<Worker>,
    served: u32,
}

enum Next {
    Request,
    Upgrade(Box<Response>),
}

/// What waiting for input brought.
enum Filled {
    Bytes,
    Leave,
}

/// How long a connection that should end may stay idle before it is closed, at most.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// Why no further head came.
enum NoHead {
    /// The connection ended between requests, or was closed by us there.
    Quiet,
    /// The client took too long.
    Slow,
    /// The client broke a rule.
    Violation(Violation),
}

impl ServerConnection {
    /// One request and its response. `None` ends the connection.
    async fn turn(&mut self) -> Option<Next> {
        let limits = self.worker.limits();
        let head = match self.next_head(&limits).await {
            Ok(head) => head,
            Err(NoHead::Quiet) => {
                self.wire.close(limits.linger_time).await;
                return None;
            }
            Err(NoHead::Slow) => {
                self.refuse(Violation::SLOW_HEAD, &limits).await;
                return None;
            }
            Err(NoHead::Violation(violation)) => {
                self.keep_head(violation, &self.wire.input.borrow());
                self.refuse(violation, &limits).await;
                return None;
            }
        };
        self.served += 1;
        self.live.count_request();
        let secure = self.info.tls.is_some();
        let parsed = parse_request(&head, secure, &limits)
            .and_then(|head| Accepted::new(head, &self.wire, &limits));
        let accepted = match parsed {
            Ok(accepted) => accepted,
            Err(violation) => {
                self.keep_head(violation, &head);
                self.refuse(violation, &limits).await;
                return None;
            }
        };
        // A connection that waits for its next request carries nothing of this one's state.
        Box::pin(self.exchange(accepted, &limits)).await
    }

    async fn next_head(&self, limits: &Limits) -> Result<Bytes, NoHead> {
        let mut reader = HeadReader::default();
        let patience = match self.served {
            0 => limits.first_byte_timeout,
            _ => limits.keep_alive_timeout,
        };
        let (mut started, mut leaving) = (false, false);
        self.wire.arm_read(patience);
        loop {
            let head = reader.read(&mut self.wire.input.borrow_mut(), limits, true);
            match head {
                Ok(Some(head)) => return Ok(head),
                Ok(None) => {}
                Err(violation) => return Err(NoHead::Violation(violation)),
            }
            let idle = reader.is_idle(&self.wire.input.borrow());
            if !idle && !started {
                started = true;
                self.wire.arm_read(limits.head_timeout);
            }
            if idle {
                self.wire.release_input();
            }
            match self.fill(idle && !leaving).await {
                Ok(Filled::Bytes) => {}
                Ok(Filled::Leave) => {
                    // A request may be on its way at this moment: it is still answered, with
                    // `Connection: close`. Only a connection that stays idle is closed.
                    leaving = true;
                    self.wire
                        .arm_read((limits.drain_timeout / 4).min(LEAVE_WITHIN));
                }
                Err(WireError::Timeout) if !idle => return Err(NoHead::Slow),
                Err(error) => {
                    let silent = matches!(error, WireError::Timeout) && self.served == 0;
                    if silent && !leaving {
                        self.count_refusal(0, "L-61");
                    }
                    return Err(NoHead::Quiet);
                }
            }
        }
    }

    /// Waits for input; where `resting`, also for the order to leave.
    async fn fill(&self, resting: bool) -> Result<Filled, WireError> {
        if !resting {
            return self.wire.fill().await.map(|()| Filled::Bytes);
        }
        poll_fn(|cx| match self.wire.poll_fill(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(WireError::Closed)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(Filled::Bytes)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => match self.live.poll_closing(cx) {
                Poll::Ready(()) => Poll::Ready(Ok(Filled::Leave)),
                Poll::Pending => self
                    .wire
                    .poll_read_deadline(cx)
                    .map(|()| Err(WireError::Timeout)),
            },
        })
        .await
    }

    async fn exchange(&mut self, accepted: Accepted, limits: &Rc<Limits>) -> Option<Next> {
        let Accepted {
            mut request,
            mut persistent,
            version_10,
            holds_body,
        } = accepted;
        let method = request.method.clone();
        let trailers = request.accepts_trailers;
        let asked_to_switch = request.upgrade.is_some();
        let mut trail = Trail::new(&self.worker, &self.info, &mut request);
        let handled = {
            let mut handling = std::pin::pin!(handle::handle(
                &self.worker,
                &self.info,
                request,
                &mut trail
            ));
            poll_fn(|cx| match handling.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => self.wire.poll_gone(cx).map(|()| None),
            })
            .await
        };
        let Some(mut response) = handled else {
            trail.end("client-gone");
            return None;
        };
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            trail.answered(StatusCode::SWITCHING_PROTOCOLS);
            self.live.relays(trail.relayed());
            return Some(Next::Upgrade(Box::new(response)));
        }
        let unread = !self.wire.body.borrow().is_done();
        // A client that was never told to send its body may send it or not: only closing is clear.
        if unread && holds_body || trail.closes() {
            persistent = false;
        }
        // What the client may have sent for the other protocol belongs to nobody (D-87).
        persistent &= !asked_to_switch;
        persistent &= self.served < limits.requests_per_connection && !self.live.is_closing();
        persistent &= !self.worker.overload.ends_connections();
        trail.answered(response.status);
        let mut writing = Writing {
            version_10,
            trailers,
            persistent,
            head_only: method == Method::HEAD,
        };
        let mut out = self.worker.scratch.take();
        let written = self
            .respond(&mut response, &mut writing, &mut out, &mut trail)
            .await;
        self.worker.scratch.put(out);
        if let Err(error) = written {
            trail.end(error.reason());
            // What a client does not take would stay in the kernel for minutes (L-74).
            let stalled = matches!(error, Error::ClientTimeout(_));
            if stalled || writing.must_reset() {
                self.wire.with_stream(Stream::reset_on_close);
            }
            return None;
        }
        drop(response);
        drop(trail);
        self.after(writing.persistent, limits).await
    }

    /// Reads the rest of a small request body, or gives the connection up (D-21).
    async fn after(&self, persistent: bool, limits: &Limits) -> Option<Next> {
        if self.wire.body.borrow().is_done() && persistent {
            return Some(Next::Request);
        }
        if persistent && self.drain(limits).await {
            return Some(Next::Request);
        }
        if self.wire.body.borrow().is_done() {
            self.wire.close(limits.linger_time).await;
        } else {
            self.wire.linger(limits.linger_time).await;
        }
        None
    }

    async fn drain(&self, limits: &Limits) -> bool {
        const MOST: usize = 64 * 1024;
        let reading = async {
            let mut taken = 0;
            while taken <= MOST {
                match poll_fn(|cx| self.wire.poll_body(cx, limits)).await {
                    Ok(Piece::Data(data)) => taken += data.len(),
                    Ok(Piece::End(_)) => return true,
                    Err(WireError::Violation(violation)) => {
                        self.count_refusal(0, violation.rule());
                        return false;
                    }
                    Ok(Piece::NeedMore) | Err(_) => return false,
                }
            }
            false
        };
        // One deadline for all of it: a piece now and then must not keep the connection.
        let read = tokio::time::timeout(limits.linger_time, reading).await;
        self.wire.set_idle(limits.write_timeout);
        read.unwrap_or(false)
    }

    /// Counts and logs what is no request; a status of 0 says that nothing was answered (O-01).
    fn count_refusal(&self, status: u16, rule: &'static str) {
        self.worker.refused(&self.info, rule);
        refused_message(&self.worker, &self.info, "HTTP/1.1", status, rule);
    }

    /// Keeps what was refused for a look (O-07).
    fn keep_head(&self, violation: Violation, head: &[u8]) {
        let security = self.worker.shared.metrics.security();
        security.keep_head(&self.info, violation.rule(), head);
    }

    /// Answers a violation in fixed words and closes.
    async fn refuse(&self, violation: Violation, limits: &Limits) {
        self.count_refusal(violation.status().as_u16(), violation.rule());
        let mut out = BytesMut::new();
        encode::response_head(
            &mut out,
            false,
            violation.status(),
            &FieldList::new(),
            Some(BodyLength::None),
            Some("close"),
        );
        if self.wire.write(&mut out, Bytes::new()).await.is_ok() {
            self.wire.linger(limits.linger_time).await;
        }
    }

    async fn respond(
        &self,
        response: &mut Response,
        writing: &mut Writing,
        out: &mut BytesMut,
        trail: &mut Trail,
    ) -> Result<(), Error> {
        let length = writing.head(response, out, &self.worker);
        let body = &mut response.body;
        if length == BodyLength::None || body.is_empty() {
            return self.write(out, Bytes::new(), trail).await;
        }
        let chunked = length == BodyLength::Chunked;
        let mut left = match length {
            BodyLength::Exact(length) => Some(length),
            _ => None,
        };
        let bare = self.wire.is_bare();
        loop {
            if let Some(rest) = left
                && bare
                && rest >= splice::LARGE
                && body.is_spliceable()
                && let Some(pipe) = self.worker.pipes.take()
            {
                self.write(out, Bytes::new(), trail).await?;
                let pipes = &self.worker.pipes;
                return splice::send(&self.wire, body, pipe, rest, pipes, trail).await;
            }
            match self.next_frame(body, !out.is_empty()).await {
                Step::Flush => self.write(out, Bytes::new(), trail).await?,
                Step::Gone => return Err(Error::ClientGone),
                Step::Frame(Some(Ok(Frame::Data(data)))) => {
                    let size = data.len() as u64;
                    if let Some(left) = &mut left {
                        // A backend that sends more than it announced broke off its own message.
                        *left = left.checked_sub(size).ok_or(Error::Truncated)?;
                    }
                    trail.sent(size);
                    let large = data.len() > encode::COPY_UP_TO;
                    let rest = encode::data(out, data, chunked);
                    if large || out.len() >= encode::GATHER_UP_TO {
                        self.write(out, rest, trail).await?;
                        if large && chunked {
                            out.extend_from_slice(b"\r\n");
                        }
                    }
                    if left == Some(0) {
                        return self.write(out, Bytes::new(), trail).await;
                    }
                }
                Step::Frame(Some(Ok(Frame::Trailers(mut fields)))) => {
                    headers::filter_trailers(&mut fields);
                    if chunked {
                        encode::last_chunk(out, writing.trailers.then_some(&fields));
                    }
                    return self.write(out, Bytes::new(), trail).await;
                }
                Step::Frame(Some(Err(error))) => {
                    // What has come goes on, so that the client sees as much as there was.
                    self.write(out, Bytes::new(), trail).await?;
                    return Err(error);
                }
                Step::Frame(None) => {
                    if left.is_some_and(|left| left > 0) {
                        return Err(Error::Truncated);
                    }
                    if chunked {
                        encode::last_chunk(out, None);
                    }
                    return self.write(out, Bytes::new(), trail).await;
                }
            }
        }
    }

    async fn next_frame(&self, body: &mut Body, unsent: bool) -> Step {
        poll_fn(|cx| match body.poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Step::Frame(frame)),
            Poll::Pending if unsent => Poll::Ready(Step::Flush),
            Poll::Pending => self.wire.poll_gone(cx).map(|()| Step::Gone),
        })
        .await
    }

    async fn write(&self, out: &mut BytesMut, data: Bytes, trail: &mut Trail) -> Result<(), Error> {
        if out.is_empty() && data.is_empty() {
            return Ok(());
        }
        trail.first_byte();
        self.wire
            .write(out, data)
            .await
            .map_err(|error| Error::from_writing(&error))
    }

    /// Joins the two ends of an upgrade.
    async fn upgrade(self, mut response: Response) {
        let body = std::mem::replace(&mut response.body, Body::empty());
        let Some((backend, held)) = body.into_upgraded() else {
            return;
        };
        let mut out = BytesMut::with_capacity(512);
        response
            .headers
            .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        encode::response_head(
            &mut out,
            false,
            StatusCode::SWITCHING_PROTOCOLS,
            &response.headers,
            None,
            Some("upgrade"),
        );
        if self.wire.write(&mut out, Bytes::new()).await.is_err() {
            return;
        }
        let Ok(wire) = Rc::try_unwrap(self.wire) else {
            return;
        };
        let (stream, input) = wire.into_parts();
        let client = Upgraded::from_stream(stream, input.freeze());
        crate::http::forward::join(&self.live, client, backend).await;
        drop(held);
    }
}

enum Step {
    Flush,
    Gone,
    Frame(Option<Result<Frame, Error>>),
}

/// How a response is written to this client.
struct Writing {
    version_10: bool,
    trailers: bool,
    persistent: bool,
    head_only: bool,
}

impl Writing {
    /// Writes the head and decides the framing.
    fn head(&mut self, response: &mut Response, out: &mut BytesMut, worker: &Worker) -> BodyLength {
        let status = response.status;
        let forbidden = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let length = match (response.body.is_empty(), response.body.length()) {
            (true, _) => BodyLength::None,
            (false, Some(length)) => BodyLength::Exact(length),
            (false, None) if self.version_10 => BodyLength::UntilClose,
            (false, None) => BodyLength::Chunked,
        };
        if length == BodyLength::UntilClose && !self.head_only {
            self.persistent = false;
        }
        let announced = response.headers.contains_key(header::CONTENT_LENGTH);
        let framing = match (forbidden || announced, self.head_only, length) {
            (true, ..) => None,
            // For HEAD an unknown length stays unsaid.
            (false, true, BodyLength::None) => None,
            (false, _, length) => Some(length),
        };
        reply::complete(&mut response.headers, worker);
        let connection = match (self.persistent, self.version_10) {
            (false, _) => Some("close"),
            (true, true) => Some("keep-alive"),
            (true, false) => None,
        };
        encode::response_head(
            out,
            self.version_10,
            status,
            &response.headers,
            framing,
            connection,
        );
        if forbidden || self.head_only {
            BodyLength::None
        } else {
            length
        }
    }

    /// A body without announced end that breaks off looks complete unless the connection is reset.
    fn must_reset(&self) -> bool {
        self.version_10
    }
}

/// A request body that is read from the client's connection.
#[derive(Debug)]
pub(crate) struct IncomingBody {
    wire: Rc<Wire>,
    limits: Rc<Limits>,
    idle: Duration,
}

impl IncomingBody {
    pub(super) fn new(wire: &Rc<Wire>, limits: &Rc<Limits>) -> Self {
        Self {
            wire: Rc::clone(wire),
            limits: Rc::clone(limits),
            idle: limits.body_idle_timeout,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, Error>>> {
        self.wire.set_idle(self.idle);
        match self.wire.poll_body(cx, &self.limits) {
            Poll::Pending | Poll::Ready(Ok(Piece::NeedMore)) => Poll::Pending,
            Poll::Ready(Ok(Piece::Data(data))) => Poll::Ready(Some(Ok(Frame::Data(data)))),
            Poll::Ready(Ok(Piece::End(trailers))) => {
                Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(Error::from_client(&error)))),
        }
    }
}
