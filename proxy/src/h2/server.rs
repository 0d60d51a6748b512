//! The server role: the streams of a client connection, each a task of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, StatusCode, header};

use super::accept::{Refusal, accept};
use super::connection::{Place, ServerConnection};
use super::duplex::Duplex;
use super::meter::Meter;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::http::body::{Body, Frame};
use crate::http::message::{Response, Upgrade};
use crate::http::upgrade::Upgraded;
use crate::http::{forward, handle, headers, reply};
use crate::info::ConnInfo;
use crate::io::Stream;
use crate::limits::Limits;
use crate::trail::{Trail, refused_message};
use crate::worker::{Live, Worker};

/// Serves a connection to its end.
pub(crate) async fn serve(stream: Stream, info: Rc<ConnInfo>, live: Rc<Live>) {
    let started = ServerConnection::start(stream, &info, &live).await;
    let Some(mut connection) = started else {
        return;
    };
    while let Some(((request, respond), place)) = connection.next(&live).await {
        live.count_request();
        let stream = ServerStream {
            respond: Rc::new(RefCell::new(respond)),
            info: Rc::clone(&info),
            live: Rc::clone(&live),
            worker: Rc::clone(live.worker()),
            meter: Rc::clone(connection.meter()),
            _place: place,
        };
        tokio::task::spawn_local(stream.serve(request));
    }
    connection.end().await;
}

struct ServerStream {
    respond: Rc<RefCell<SendResponse<Bytes>>>,
    info: Rc<ConnInfo>,
    live: Rc<Live>,
    worker: Rc<Worker>,
    meter: Rc<RefCell<Meter>>,
    /// Held until nothing is at work any more (L-30).
    _place: Place,
}

impl ServerStream {
    async fn serve(self, request: http::Request<RecvStream>) {
        let limits = self.worker.limits();
        let secure = self.info.tls.is_some();
        let mut request = match accept(request, &self.respond, &self.meter, secure, &limits) {
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
                self.meter.borrow_mut().malformed();
                refused_message(&self.worker, &self.info, "HTTP/2.0", 0, violation.rule());
                respond.send_reset(Reason::PROTOCOL_ERROR);
            }
            Refusal::Refused(violation) => {
                self.worker.refused(&self.info, violation.rule());
                self.meter.borrow_mut().refused();
                let status = violation.status().as_u16();
                refused_message(
                    &self.worker,
                    &self.info,
                    "HTTP/2.0",
                    status,
                    violation.rule(),
                );
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
    let mut stall = Stall::default();
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

/// A window that stays shut, or opens by next to nothing (L-35).
#[derive(Debug, Default)]
struct Stall {
    deadline: Deadline,
    /// What was sent since the deadline was set.
    sent: usize,
}

impl Stall {
    /// Less than this is no progress.
    const STEP: usize = 1024;

    fn begin(&mut self, limits: &Limits) {
        if !self.deadline.is_armed() || self.sent >= Self::STEP {
            self.deadline.arm(limits.http2.stream_stall_timeout);
            self.sent = 0;
        }
    }
}

/// Sends one piece as the windows allow.
async fn send_all(
    send: &mut SendStream<Bytes>,
    mut data: Bytes,
    end: bool,
    stall: &mut Stall,
    limits: &Limits,
) -> Result<(), Error> {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        if send.capacity() == 0 {
            stall.begin(limits);
            poll_fn(|cx| match poll_window(send, cx) {
                Poll::Pending => stall
                    .deadline
                    .poll(cx)
                    .map(|()| Err(Error::ClientTimeout("L-35"))),
                ready @ Poll::Ready(_) => ready,
            })
            .await?;
        }
        let piece = data.split_to(send.capacity().min(data.len()));
        stall.sent += piece.len();
        let last = end && data.is_empty();
        send.send_data(piece, last).map_err(|_| Error::ClientGone)?;
    }
    stall.deadline.disarm();
    Ok(())
}

fn poll_window(send: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
    while send.capacity() == 0 {
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(Err(Error::ClientGone)),
        }
    }
    Poll::Ready(Ok(()))
}
