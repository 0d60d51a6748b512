//! The meter's place: between the library and the stream that carries plaintext.
//!
//! Once the meter has had enough, nothing more is read and what it has not passed is thrown away:
//! the library stands still until its connection is ended.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Clock, Meter};
use crate::deadline::Deadline;
use crate::io::Stream;

/// A stream whose frames are counted.
#[derive(Debug)]
pub(crate) struct Metered {
    /// Shared with whoever says the last word, after the library is gone.
    stream: Rc<RefCell<Stream>>,
    meter: Rc<RefCell<Meter>>,
}

impl Metered {
    pub(crate) fn new(stream: Rc<RefCell<Stream>>, meter: Rc<RefCell<Meter>>) -> Self {
        Self { stream, meter }
    }

    fn sent(&self, count: usize, pieces: &[IoSlice<'_>]) {
        let (mut left, mut tick) = (count, Tick::default());
        let mut meter = self.meter.borrow_mut();
        for piece in pieces {
            let len = left.min(piece.len());
            meter.sent(piece.get(..len).unwrap_or_default(), &mut tick);
            left -= len;
        }
    }
}

/// The clock, asked at most once. Its ticks of some milliseconds are fine enough here, and cost a
/// quarter of the exact time.
#[derive(Default)]
struct Tick(Option<u64>);

impl Clock for Tick {
    fn now(&mut self) -> u64 {
        *self.0.get_or_insert_with(|| {
            let now = clock_gettime(ClockId::MonotonicCoarse);
            let [seconds, millis] = [now.tv_sec, now.tv_nsec / 1_000_000];
            u64::try_from(seconds * 1000 + millis).unwrap_or(0)
        })
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.meter.borrow().stopped {
            // Whoever drives the connection looks at the meter after this.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut *this.stream.borrow_mut()).poll_read(cx, buf))?;
        let mut meter = this.meter.borrow_mut();
        let read = buf.filled().get(before..).unwrap_or_default();
        meter.received(read, &mut Tick::default());
        if meter.stopped {
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut *this.stream.borrow_mut()).poll_write(cx, buf))?;
        this.sent(written, &[IoSlice::new(buf)]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written =
            ready!(Pin::new(&mut *this.stream.borrow_mut()).poll_write_vectored(cx, bufs))?;
        this.sent(written, bufs);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream.borrow_mut()).poll_shutdown(cx)
    }
}

/// A state of the meter that may last only so long.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    deadline: Deadline,
    /// Which time of that state the deadline is for.
    of: u64,
}

impl Watch {
    /// Ready when the state has lasted for `most`; `None` is another state.
    pub(crate) fn poll(
        &mut self,
        state: Option<u64>,
        most: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(of) = state else {
            self.deadline.disarm();
            return Poll::Pending;
        };
        if !self.deadline.is_armed() || self.of != of {
            self.of = of;
            self.deadline.arm(most);
        }
        self.deadline.poll(cx)
    }
}
