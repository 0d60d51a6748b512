//! A body that arrives on an HTTP/2 stream.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Reason, RecvStream};

use super::meter::Meter;
use crate::deadline::Deadline;
use crate::error::{Error, Side};
use crate::h1::Violation;
use crate::http::body::Frame;

/// Pseudo-fields in trailers.
const PSEUDO_FIELDS: Violation = Violation::new(
    "D-60",
    "pseudo-field-in-trailers",
    http::StatusCode::BAD_REQUEST,
);

/// The receiving half of a stream.
#[derive(Debug)]
pub(crate) struct StreamBody {
    stream: RecvStream,
    /// Bytes that were handed on and whose window has not been given back.
    unreleased: usize,
    side: Side,
    idle: Duration,
    deadline: Deadline,
    waiting: bool,
    data_done: bool,
    /// Knows of trailers what the library does not tell (D-60).
    meter: Option<Rc<RefCell<Meter>>>,
    /// What ends with the body: the place of a stream on a shared connection, an upload.
    _held: Option<Held>,
}

/// Kept until the body ends.
#[derive(Debug)]
pub(crate) struct Held {
    streams: Rc<Cell<usize>>,
    upload: Option<tokio::task::AbortHandle>,
}

impl Held {
    /// Counts one more stream on a connection.
    pub(crate) fn new(streams: &Rc<Cell<usize>>) -> Self {
        streams.set(streams.get() + 1);
        Self {
            streams: Rc::clone(streams),
            upload: None,
        }
    }

    /// Ends this upload with the body.
    pub(crate) fn with_upload(mut self, upload: Option<tokio::task::AbortHandle>) -> Self {
        self.upload = upload;
        self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.streams.set(self.streams.get().saturating_sub(1));
        if let Some(upload) = &self.upload {
            upload.abort();
        }
    }
}

impl StreamBody {
    /// A request body (`Side::Client`) or a response body (`Side::Backend`).
    pub(crate) fn new(stream: RecvStream, side: Side, idle: Duration, held: Option<Held>) -> Self {
        Self {
            stream,
            unreleased: 0,
            side,
            idle,
            deadline: Deadline::default(),
            waiting: false,
            data_done: false,
            meter: None,
            _held: held,
        }
    }

    /// Asks this meter before trailers are believed.
    pub(super) fn watched_by(self, meter: &Rc<RefCell<Meter>>) -> Self {
        Self {
            meter: Some(Rc::clone(meter)),
            ..self
        }
    }

    pub(crate) fn into_stream(self) -> RecvStream {
        self.stream
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, Error>>> {
        if self.unreleased > 0 {
            let size = std::mem::take(&mut self.unreleased);
            // Fails only if the stream is gone, which the next read reports.
            let _ = self.stream.flow_control().release_capacity(size);
        }
        let polled = if self.data_done {
            self.poll_trailers(cx)
        } else {
            match self.stream.poll_data(cx) {
                Poll::Ready(None) => {
                    self.data_done = true;
                    self.poll_trailers(cx)
                }
                Poll::Ready(Some(Ok(data))) => {
                    self.unreleased = data.len();
                    Poll::Ready(Some(Ok(Frame::Data(data))))
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.error(error)))),
                Poll::Pending => Poll::Pending,
            }
        };
        if polled.is_ready() {
            self.waiting = false;
            return polled;
        }
        if !std::mem::replace(&mut self.waiting, true) {
            self.deadline.arm(self.idle);
        }
        self.deadline.poll(cx).map(|()| {
            Some(Err(match self.side {
                Side::Client => Error::ClientTimeout("L-67"),
                Side::Backend | Side::Us => Error::ResponseIdle,
            }))
        })
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        match self.stream.poll_trailers(cx) {
            Poll::Ready(Ok(trailers)) => {
                if trailers.is_some() && self.has_bad_trailers() {
                    return Poll::Ready(Some(Err(Error::Request(PSEUDO_FIELDS))));
                }
                Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers.into()))))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(self.error(error)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn has_bad_trailers(&self) -> bool {
        let stream = self.stream.stream_id().as_u32();
        let meter = self.meter.as_ref();
        meter.is_some_and(|meter| {
            let mut meter = meter.borrow_mut();
            let bad = meter.finding(stream).is_some();
            if bad {
                meter.refused();
            }
            bad
        })
    }

    fn error(&self, error: h2::Error) -> Error {
        match self.side {
            Side::Client => Error::ClientGone,
            Side::Backend | Side::Us => backend(error),
        }
    }
}

/// What a backend's HTTP/2 error means. A refused stream, or one beyond what a GOAWAY still
/// serves, has not been looked at (RFC 9113 §6.8, §8.7).
pub(crate) fn backend(error: h2::Error) -> Error {
    let refused = error.reason() == Some(Reason::REFUSED_STREAM);
    let beyond = error.is_go_away() && error.is_remote();
    if (refused && error.is_remote()) || beyond {
        Error::Refused
    } else {
        Error::BackendH2(error)
    }
}
