//! The one body type. Data comes in pieces as it arrives; nothing gathers a whole body.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use adit_route::FieldList;
use adit_sys::splice::Pipe;
use bytes::Bytes;

use crate::error::Error;
use crate::h1::{IncomingBody, ResponseBody};
use crate::h2::StreamBody;
use crate::http::progress::{Floor, Progress};
use crate::http::upgrade::Upgraded;
use crate::limits::Limits;
use crate::policy::{Pace, Place};
use crate::upstream::InFlight;

/// A request or response body.
#[derive(Debug)]
pub struct Body {
    source: Source,
    /// Length, if it is known before the end.
    length: Option<u64>,
    /// Most bytes that may come (413 beyond).
    limit: u64,
    taken: u64,
    /// Where the count is also told, for a body whose log is kept elsewhere.
    told: Option<Rc<Cell<u64>>>,
    /// What ends with this body.
    held: Held,
    /// How fast it may be read.
    pace: Option<Box<Pace>>,
    /// Where it stands how fast it must come (L-67), and how it comes once we had to wait for it.
    demand: Option<Rc<Limits>>,
    progress: Option<Box<Progress>>,
}

/// What a response keeps busy up to its end.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// The endpoint's load.
    load: Option<InFlight>,
    /// The client's place among its requests in progress.
    place: Option<Place>,
}

#[derive(Debug)]
enum Source {
    Empty,
    Full(Bytes),
    /// From an HTTP/1 client.
    Incoming(IncomingBody),
    /// From an HTTP/1 backend.
    Response(Box<ResponseBody>),
    /// From either side over HTTP/2.
    Stream(Box<StreamBody>),
    /// What a policy makes of another body.
    Filtered(Box<dyn Frames>),
    /// Not a body: the connection itself, after an upgrade.
    Upgraded(Box<Upgraded>),
}

/// A source of a body that a policy made.
pub(crate) trait Frames: fmt::Debug {
    /// The next piece; `None` after the end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>>;

    /// The same source from its beginning, if it can be had a second time.
    fn again(&self) -> Option<Box<dyn Frames>> {
        None
    }
}

/// A piece of a body.
#[derive(Debug)]
pub enum Frame {
    /// Bytes.
    Data(Bytes),
    /// The trailer section, after which nothing follows.
    Trailers(FieldList),
}

impl Body {
    fn new(source: Source, length: Option<u64>) -> Self {
        Self {
            source,
            length,
            limit: u64::MAX,
            taken: 0,
            told: None,
            held: Held::default(),
            demand: None,
            progress: None,
            pace: None,
        }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::new(Source::Empty, Some(0))
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        match length {
            0 => Self::empty(),
            _ => Self::new(Source::Full(bytes), Some(length)),
        }
    }

    /// A body of which nothing but the length is known.
    pub(crate) fn announced(length: Option<u64>) -> Self {
        Self::new(Source::Empty, length)
    }

    pub(crate) fn incoming(body: IncomingBody, length: Option<u64>) -> Self {
        Self::new(Source::Incoming(body), length)
    }

    pub(crate) fn response(body: ResponseBody, length: Option<u64>) -> Self {
        Self::new(Source::Response(Box::new(body)), length)
    }

    pub(crate) fn stream(body: StreamBody, length: Option<u64>) -> Self {
        Self::new(Source::Stream(Box::new(body)), length)
    }

    /// A body that a policy made.
    pub(crate) fn filtered(frames: Box<dyn Frames>, length: Option<u64>) -> Self {
        Self::new(Source::Filtered(frames), length)
    }

    pub(crate) fn upgraded(upgraded: Upgraded) -> Self {
        Self::new(Source::Upgraded(Box::new(upgraded)), None)
    }

    /// Whether there is certainly nothing to read.
    pub fn is_empty(&self) -> bool {
        let held = self.pace.as_ref().is_some_and(|pace| pace.is_holding());
        matches!(self.source, Source::Empty) && !held
    }

    /// Length, if it is known before the end.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Demands that it comes so fast.
    pub(crate) fn demand(&mut self, limits: &Rc<Limits>) {
        self.demand = (limits.body_rate > 0).then(|| Rc::clone(limits));
    }

    /// Refuses more than this many bytes.
    pub fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// A counter of the bytes that have been taken; none for a body that has none.
    pub fn taken(&mut self) -> Option<Rc<Cell<u64>>> {
        if self.is_empty() {
            return None;
        }
        Some(Rc::clone(self.told.get_or_insert_default()))
    }

    /// Keeps an endpoint's load up to the end of this body.
    pub(crate) fn carry(&mut self, load: InFlight) {
        self.held.load = Some(load);
    }

    /// Keeps a client's place up to the end of this body.
    pub(crate) fn occupy(&mut self, place: Place) {
        self.held.place = Some(place);
    }

    /// Lets it be read no faster than this.
    pub(crate) fn slow_down(&mut self, pace: Pace) {
        self.pace = Some(Box::new(pace));
    }

    /// The same body from its beginning, if it can be had a second time.
    pub(crate) fn again(&self) -> Option<Self> {
        match &self.source {
            Source::Empty if self.taken == 0 => Some(Self::new(Source::Empty, self.length)),
            Source::Full(bytes) if self.taken == 0 => {
                Some(Self::new(Source::Full(bytes.clone()), self.length))
            }
            Source::Filtered(frames) => {
                Some(Self::new(Source::Filtered(frames.again()?), self.length))
            }
            _ => None,
        }
    }

    /// Whether everything has been read, be it that its end was not asked for.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.source, Source::Empty) || self.length == Some(self.taken)
    }

    /// The connection behind an upgrade, together with what it keeps busy.
    pub(crate) fn into_upgraded(self) -> Option<(Upgraded, Held)> {
        match self.source {
            Source::Upgraded(upgraded) => Some((*upgraded, self.held)),
            _ => None,
        }
    }

    /// Sets how long an upgraded connection may be silent.
    pub(crate) fn set_upgraded_idle(&mut self, idle: Duration) {
        if let Source::Upgraded(upgraded) = &mut self.source {
            upgraded.idle = Some(idle);
        }
    }

    /// Whether this is the connection behind an upgrade.
    pub(crate) fn is_upgraded(&self) -> bool {
        matches!(self.source, Source::Upgraded(_))
    }

    /// Takes the HTTP/2 stream out of a request body that is not a body (RFC 8441).
    pub(crate) fn take_stream(&mut self) -> Option<h2::RecvStream> {
        match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Stream(body) => Some(body.into_stream()),
            source => {
                self.source = source;
                None
            }
        }
    }

    /// Whether the rest may go through a pipe: it is of known length, on a bare socket, and neither
    /// its size nor its pace is limited.
    pub(crate) fn is_spliceable(&self) -> bool {
        self.limit == u64::MAX
            && self.pace.is_none()
            && matches!(&self.source, Source::Response(body) if body.is_bare())
    }

    /// Moves what has come of a spliceable body into an empty pipe.
    pub(crate) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<u64, Error>> {
        let Source::Response(body) = &mut self.source else {
            return Poll::Ready(Err(Error::Truncated));
        };
        let moved = ready!(body.poll_splice(cx, pipe));
        match &moved {
            Ok(bytes) => self.taken += bytes,
            Err(_) => self.source = Source::Empty,
        }
        Poll::Ready(moved)
    }

    /// The next piece; `None` after the end.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        if let Some(pace) = &mut self.pace
            && let Some(held) = ready!(pace.poll_held(cx))
        {
            return Poll::Ready(Some(Ok(Frame::Data(held))));
        }
        let mut frame = match &mut self.source {
            Source::Empty | Source::Upgraded(_) => None,
            Source::Full(bytes) => Some(Ok(Frame::Data(std::mem::take(bytes)))),
            Source::Incoming(body) => match body.poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return self.poll_too_slow(cx),
            },
            Source::Response(body) => ready!(body.poll_frame(cx)),
            Source::Stream(body) => match body.poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return self.poll_too_slow(cx),
            },
            Source::Filtered(frames) => ready!(frames.poll_frame(cx)),
        };
        if let (Some(progress), Some(Ok(Frame::Data(data)))) = (&mut self.progress, &frame) {
            progress.came(data.len());
        }
        match &mut frame {
            Some(Ok(Frame::Data(data))) => {
                self.taken += data.len() as u64;
                if let Some(told) = &self.told {
                    told.set(self.taken);
                }
                if self.taken > self.limit {
                    self.source = Source::Empty;
                    return Poll::Ready(Some(Err(Error::BodyTooLarge)));
                }
                if matches!(self.source, Source::Full(_)) {
                    self.source = Source::Empty;
                }
                if let Some(pace) = &mut self.pace {
                    *data = pace.pass(std::mem::take(data), tokio::time::Instant::now());
                }
            }
            Some(Ok(Frame::Trailers(_)) | Err(_)) | None => {
                self.source = Source::Empty;
                self.held = Held::default();
            }
        }
        Poll::Ready(frame)
    }

    /// Waits for the client, but not for one that is too slow.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let Some(limits) = &self.demand else {
            return Poll::Pending;
        };
        let new = || Box::new(Progress::new(Floor::new(limits)));
        let progress = self.progress.get_or_insert_with(new);
        ready!(progress.poll_too_slow(cx));
        self.source = Source::Empty;
        Poll::Ready(Some(Err(Error::ClientTimeout("L-67"))))
    }

    /// The next piece; `None` after the end.
    pub async fn frame(&mut self) -> Option<Result<Frame, Error>> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }
}
