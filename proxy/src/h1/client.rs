//! The client role: one request over one backend connection.
//!
//! The head goes out with whatever of the body is at hand; the rest of the body is sent while the
//! answer is awaited, and beside the answer once that has begun. The connection goes back to its
//! pool only after a complete exchange (D-04); every other end closes it.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use adit_route::FieldList;
use adit_sys::splice::Pipe;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, Version, header};

use super::body::Piece;
use super::encode::{self, RequestLine};
use super::head::{BodyLength, HeadReader, ResponseHead, parse_response};
use super::upload::{Sending, Upload, UploadState};
use super::violation::Violation;
use super::wire::{Wire, WireError};
use crate::error::Error;
use crate::http::body::{Body, Frame};
use crate::http::headers;
use crate::http::message::{Request, Response, Upgrade};
use crate::http::upgrade::{self, Upgraded};
use crate::io::Stream;
use crate::limits::Limits;
use crate::upstream::pool::Berth;
use crate::worker::Scratch;

/// A connection to a backend between two requests.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Rc<Wire>,
    used: bool,
}

impl Connection {
    pub(crate) fn new(stream: Stream, idle: Duration) -> Self {
        Self {
            wire: Rc::new(Wire::new(stream, BytesMut::new(), idle)),
            used: false,
        }
    }

    /// Whether the backend has neither closed it nor sent anything (D-91).
    pub(crate) fn is_quiet(&self) -> bool {
        self.wire.input.borrow().is_empty()
            && self
                .wire
                .poll_fill(&mut Context::from_waker(Waker::noop()))
                .is_pending()
    }
}

/// What an exchange needs beside connection and request.
pub(crate) struct Terms<'a> {
    /// Buffers for heads.
    pub scratch: &'a Scratch,
    pub limits: &'a Rc<Limits>,
    /// From the request being sent to the response head (L-70).
    pub response: Duration,
    /// Between two pieces of a body (L-71).
    pub idle: Duration,
    /// Fields to send; those of the request after all policies.
    pub headers: &'a FieldList,
    /// Host to send.
    pub host: &'a str,
    /// Port to send with it.
    pub port: Option<u16>,
    /// Path and query to send.
    pub target: &'a str,
}

/// Interim responses to one request, 100 included, before the backend is given up (L-12).
pub(crate) const MOST_INTERIMS: usize = 32;

/// Sends the request and waits for the final response head.
pub(crate) async fn exchange(
    connection: Connection,
    berth: Option<Berth>,
    request: &mut Request,
    terms: &Terms<'_>,
) -> Result<Response, Error> {
    let reused = connection.used;
    let wire = Rc::clone(&connection.wire);
    let mut out = terms.scratch.take();
    let challenge = write_head(&mut out, request, terms);
    let mut exchange = Exchange {
        wire: &wire,
        terms,
        method: &request.method,
        upload: None,
        reader: HeadReader::default(),
    };
    // An extended CONNECT becomes a GET: what follows are frames, not a body.
    let body = match request.upgrade {
        Some(_) => Body::empty(),
        None => std::mem::replace(&mut request.body, Body::empty()),
    };
    let held = request.expects_continue && !body.is_empty();
    wire.set_idle(terms.idle);
    let sent = if held {
        exchange.hold(body, &mut out).await
    } else {
        exchange.start(body, &mut out).await
    };
    terms.scratch.put(out);
    sent.map_err(|error| as_closed(error, reused))?;
    let head = exchange.final_head(request, held, reused).await?;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return switch(connection, wire, head, request, challenge.as_ref());
    }
    if request.upgrade == Some(Upgrade::Connect) && head.status.is_success() {
        // To the client a success would mean that the stream is open.
        return Err(Error::Upgrade);
    }
    let upload = exchange.upload.take();
    let method = request.method.clone();
    Ok(finish(connection, berth, head, upload, &method, terms))
}

/// Writes the head; returns the key whose answer must come back, for an upgrade.
fn write_head(out: &mut BytesMut, request: &Request, terms: &Terms<'_>) -> Option<HeaderValue> {
    let challenge = match &request.upgrade {
        None => None,
        Some(Upgrade::Key(key)) => Some(key.clone()),
        Some(Upgrade::Connect) => Some(upgrade::new_key()),
    };
    let get = Method::GET;
    let line = RequestLine {
        method: if challenge.is_some() {
            &get
        } else {
            &request.method
        },
        target: terms.target,
        host: terms.host,
        port: terms.port,
    };
    let length = match (&challenge, request.body.length()) {
        (Some(_), _) => BodyLength::None,
        (None, _) if request.body.is_empty() => BodyLength::None,
        (None, Some(length)) => BodyLength::Exact(length),
        (None, None) => BodyLength::Chunked,
    };
    let Some(key) = &challenge else {
        if !request.expects_continue {
            encode::request_head(out, &line, terms.headers, length, None);
            return None;
        }
        let mut fields = terms.headers.clone();
        fields.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        encode::request_head(out, &line, &fields, length, None);
        return None;
    };
    let mut fields = terms.headers.clone();
    upgrade::ask(&mut fields, key);
    encode::request_head(out, &line, &fields, length, Some("upgrade"));
    challenge
}

struct Exchange<'a> {
    wire: &'a Rc<Wire>,
    terms: &'a Terms<'a>,
    method: &'a Method,
    upload: Option<Upload>,
    reader: HeadReader,
}

enum Event {
    Head(Result<Bytes, WireError>),
    Sent(Result<(), Error>),
    Waited,
}

impl Exchange<'_> {
    /// Sends the head with the first piece of the body, if that is at hand.
    async fn start(&mut self, mut body: Body, out: &mut BytesMut) -> Result<(), Error> {
        if body.is_empty() {
            self.wire.write(out, Bytes::new()).await.map_err(writing)?;
            self.wire.arm_read(self.terms.response);
            return Ok(());
        }
        let chunked = body.length().is_none();
        let first = poll_fn(|cx| Poll::Ready(body.poll_frame(cx))).await;
        let mut rest = Bytes::new();
        let mut state = UploadState::Sending;
        match first {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(Frame::Data(piece)))) => {
                let more = piece.len() > encode::COPY_UP_TO && chunked;
                rest = encode::data(out, piece, chunked);
                if more {
                    state = UploadState::ChunkEnd;
                }
            }
            Poll::Ready(Some(Ok(Frame::Trailers(_))) | None) => {
                if chunked {
                    encode::last_chunk(out, None);
                }
                state = UploadState::Done;
            }
            Poll::Ready(Some(Err(error))) => return Err(error),
        }
        self.upload = Some(Upload {
            wire: Rc::clone(self.wire),
            body,
            chunked,
            out: std::mem::take(out),
            rest,
            state,
            left: usize::MAX,
        });
        self.wire.disarm_read();
        Ok(())
    }

    /// Sends the head alone; the body waits for a 100 (D-81).
    async fn hold(&mut self, body: Body, out: &mut BytesMut) -> Result<(), Error> {
        self.wire.write(out, Bytes::new()).await.map_err(writing)?;
        let chunked = body.length().is_none();
        self.upload = Some(Upload {
            wire: Rc::clone(self.wire),
            body,
            chunked,
            out: BytesMut::new(),
            rest: Bytes::new(),
            state: UploadState::Held,
            left: usize::MAX,
        });
        self.wire.arm_read(self.terms.limits.continue_timeout);
        Ok(())
    }

    /// Reads heads until the final one comes, sending the body meanwhile.
    async fn final_head(
        &mut self,
        request: &Request,
        mut held: bool,
        reused: bool,
    ) -> Result<ResponseHead, Error> {
        let mut interims = 0;
        loop {
            let bytes = match self.event().await {
                Event::Sent(Ok(())) => {
                    self.wire.arm_read(self.terms.response);
                    continue;
                }
                Event::Sent(Err(error)) => {
                    if error.side() == crate::error::Side::Client {
                        return Err(error);
                    }
                    // The backend may have answered before it stopped reading.
                    self.wire.arm_read(self.terms.limits.linger_time);
                    continue;
                }
                Event::Waited if held => {
                    held = false;
                    self.release(request).await;
                    continue;
                }
                Event::Waited => return Err(Error::ResponseTimeout),
                Event::Head(Ok(bytes)) => bytes,
                Event::Head(Err(error)) => return Err(before_head(&error, reused)),
            };
            let head = parse_response(&bytes, self.effective_method(request), self.terms.limits)
                .map_err(Error::Response)?;
            if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                interims += 1;
            }
            if interims > MOST_INTERIMS {
                return Err(Error::Response(Violation::INTERIMS));
            }
            match head.status {
                StatusCode::CONTINUE if held => {
                    held = false;
                    self.release(request).await;
                }
                StatusCode::CONTINUE => {}
                StatusCode::SWITCHING_PROTOCOLS => return Ok(head),
                status if status.is_informational() => {
                    self.relay(request, head, interims).await;
                }
                _ => return Ok(head),
            }
        }
    }

    fn effective_method<'m>(&'m self, request: &Request) -> &'m Method {
        match request.upgrade {
            Some(_) => &Method::GET,
            None => self.method,
        }
    }

    /// Tells the client to go on, and lets the body go.
    async fn release(&mut self, request: &Request) {
        request
            .interim
            .send(StatusCode::CONTINUE, FieldList::new())
            .await;
        if let Some(upload) = &mut self.upload {
            upload.state = UploadState::Sending;
        }
        self.wire.disarm_read();
    }

    /// Passes on an interim response (L-12).
    async fn relay(&self, request: &Request, mut head: ResponseHead, count: usize) {
        if count <= self.terms.limits.interim_responses {
            headers::strip_response(&mut head.headers);
            request.interim.send(head.status, head.headers).await;
        }
    }

    async fn event(&mut self) -> Event {
        poll_fn(|cx| {
            if let Some(upload) = &mut self.upload
                && let Poll::Ready(result) = upload.poll(cx)
            {
                self.upload = None;
                return Poll::Ready(Event::Sent(result));
            }
            match poll_head(self.wire, &mut self.reader, cx, self.terms.limits) {
                Poll::Ready(result) => Poll::Ready(Event::Head(result)),
                Poll::Pending => self.wire.poll_read_deadline(cx).map(|()| Event::Waited),
            }
        })
        .await
    }
}

fn poll_head(
    wire: &Wire,
    reader: &mut HeadReader,
    cx: &mut Context<'_>,
    limits: &Limits,
) -> Poll<Result<Bytes, WireError>> {
    loop {
        let found = reader.read(&mut wire.input.borrow_mut(), limits, false);
        match found {
            Ok(Some(head)) => return Poll::Ready(Ok(head)),
            Ok(None) => {}
            Err(violation) => return Poll::Ready(Err(violation.into())),
        }
        match wire.poll_fill(cx) {
            Poll::Ready(Ok(0)) => {
                let untouched = reader.is_idle(&wire.input.borrow());
                return Poll::Ready(Err(if untouched {
                    WireError::Closed
                } else {
                    WireError::Violation(Violation::STATUS_LINE)
                }));
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending => return Poll::Pending,
        }
    }
}

fn writing(error: WireError) -> Error {
    match error {
        WireError::Timeout => Error::ResponseTimeout,
        other => Error::from_backend(other),
    }
}

/// The backend closed or reset the connection while the request was going out: with a reused
/// connection that is the ordinary race with its keep-alive timer.
fn as_closed(error: Error, reused: bool) -> Error {
    match error {
        Error::BackendIo(_) | Error::Truncated => Error::BackendClosed { reused },
        other => other,
    }
}

fn before_head(error: &WireError, reused: bool) -> Error {
    match error {
        WireError::Closed | WireError::Io(_) => Error::BackendClosed { reused },
        WireError::Timeout => Error::ResponseTimeout,
        WireError::Violation(violation) => Error::Response(*violation),
    }
}

/// Hands the connection over to the two parties of an upgrade.
fn switch(
    connection: Connection,
    wire: Rc<Wire>,
    head: ResponseHead,
    request: &Request,
    challenge: Option<&HeaderValue>,
) -> Result<Response, Error> {
    let Some(key) = challenge else {
        return Err(Error::Upgrade);
    };
    if !upgrade::is_answer(&head.headers, key) {
        return Err(Error::Upgrade);
    }
    drop(connection);
    let wire = Rc::try_unwrap(wire).map_err(|_| Error::Upgrade)?;
    let (stream, input) = wire.into_parts();
    let mut headers = head.headers;
    headers::strip_response(&mut headers);
    let status = match request.upgrade {
        Some(Upgrade::Connect) => {
            headers.remove(header::SEC_WEBSOCKET_ACCEPT);
            StatusCode::OK
        }
        _ => StatusCode::SWITCHING_PROTOCOLS,
    };
    Ok(Response {
        status,
        headers,
        body: Body::upgraded(Upgraded::from_stream(stream, input.freeze())),
    })
}

/// Turns a final head into a response whose body reads the connection on.
fn finish(
    mut connection: Connection,
    berth: Option<Berth>,
    head: ResponseHead,
    upload: Option<Upload>,
    method: &Method,
    terms: &Terms<'_>,
) -> Response {
    let wire = &connection.wire;
    let mut headers = head.headers;
    let announced = headers::keep_alive_timeout(&headers);
    let options = headers::strip_response(&mut headers);
    let reusable = head.version == Version::HTTP_11
        && !options.close
        && head.length != BodyLength::UntilClose
        && !matches!(
            upload,
            Some(Upload {
                state: UploadState::Held,
                ..
            })
        );
    let length = match head.length {
        BodyLength::None => Some(0),
        BodyLength::Exact(length) => Some(length),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    };
    wire.begin_body(head.length);
    connection.used = true;
    let sending = upload
        .filter(|upload| upload.state != UploadState::Held)
        .map(Upload::go_on);
    let mut body = ResponseBody {
        connection: Some(connection),
        berth: berth
            .filter(|_| reusable)
            .map(|berth| berth.no_longer_than(announced)),
        sending,
        limits: Rc::clone(terms.limits),
    };
    let empty = head.length == BodyLength::None || *method == Method::HEAD;
    let body = if empty {
        body.give_back();
        Body::empty()
    } else {
        Body::response(body, length)
    };
    Response {
        status: head.status,
        headers,
        body,
    }
}

/// A response body that is read from a backend connection.
pub(crate) struct ResponseBody {
    connection: Option<Connection>,
    berth: Option<Berth>,
    sending: Option<Sending>,
    limits: Rc<Limits>,
}

impl ResponseBody {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, Error>>> {
        let Some(connection) = &self.connection else {
            return Poll::Ready(None);
        };
        match connection.wire.poll_body(cx, &self.limits) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Piece::Data(data))) => {
                if connection.wire.body.borrow().is_done() {
                    self.give_back();
                }
                Poll::Ready(Some(Ok(Frame::Data(data))))
            }
            Poll::Ready(Ok(Piece::End(trailers))) => {
                self.give_back();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))))
            }
            Poll::Ready(Ok(Piece::NeedMore)) => Poll::Pending,
            Poll::Ready(Err(error)) => {
                self.connection = None;
                Poll::Ready(Some(Err(Error::from_backend(error))))
            }
        }
    }

    /// Whether what is left has a known length and arrives on a bare socket.
    pub(crate) fn is_bare(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| {
            let wire = &connection.wire;
            wire.is_bare() && wire.input.borrow().is_empty() && wire.body.borrow().left() > 0
        })
    }

    /// Moves what has come into an empty pipe. Only for a bare body.
    pub(crate) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<u64, Error>> {
        let Some(connection) = &self.connection else {
            return Poll::Ready(Err(Error::Truncated));
        };
        let moved = ready!(connection.wire.poll_body_into(cx, pipe));
        if moved.is_err() {
            self.connection = None;
        } else if connection.wire.body.borrow().is_done() {
            self.give_back();
        }
        Poll::Ready(moved.map_err(Error::from_backend))
    }

    /// Returns the connection to its pool if the exchange was complete.
    fn give_back(&mut self) {
        let sent = self.sending.take().is_none_or(|sending| sending.is_done());
        let (Some(connection), Some(berth)) = (self.connection.take(), self.berth.take()) else {
            return;
        };
        let clean = connection.wire.input.borrow().is_empty();
        if sent && clean {
            connection.wire.disarm_read();
            connection.wire.release_input();
            berth.moor(connection);
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
