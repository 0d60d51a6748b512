//! One HTTP/1 connection as seen by whoever reads or writes it.
//!
//! Reading and writing happen in different futures of one thread (a response may start while the
//! request is still being sent), so the stream sits in a cell that is borrowed for the length of
//! one poll and never longer. An idle connection holds no buffer.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::body::{BodyDecoder, Piece};
use super::head::BodyLength;
use super::violation::Violation;
use crate::deadline::Deadline;
use crate::io::Stream;
use crate::limits::Limits;
use crate::worker::Buffers;

/// A connection with its unread input.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: RefCell<Stream>,
    pub(crate) input: RefCell<BytesMut>,
    /// The body that is being read, if any.
    pub(crate) body: RefCell<BodyDecoder>,
    read_deadline: RefCell<Deadline>,
    write_deadline: RefCell<Deadline>,
    /// Size of the next read of a body; grows while reads fill it.
    read_size: Cell<usize>,
    /// Longest wait for the next piece of a body, and for the peer to take what we write.
    idle: Cell<Duration>,
    /// Whether the read deadline is running for the current body.
    waiting: Cell<bool>,
    /// Whether the peer has ended its side.
    ended: Cell<bool>,
    /// What the peer did not take yet of the last write.
    unsent: Cell<usize>,
}

impl Buffers for Wire {
    fn buffered(&self) -> usize {
        let input = self.input.try_borrow();
        input.map_or(0, |input| input.capacity()) + self.unsent.get()
    }
}

/// Why reading or writing stopped.
#[derive(Debug)]
pub(crate) enum WireError {
    /// The deadline passed.
    Timeout,
    /// The peer closed in the middle of a message.
    Closed,
    /// The peer broke the framing rules.
    Violation(Violation),
    /// The socket failed.
    Io(io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Violation> for WireError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

const HEAD_READ: usize = 8 * 1024;
const BODY_READ: usize = 16 * 1024;
const MAX_BODY_READ: usize = 128 * 1024;

impl Wire {
    pub(crate) fn new(stream: Stream, input: BytesMut, idle: Duration) -> Self {
        Self {
            stream: RefCell::new(stream),
            input: RefCell::new(input),
            body: RefCell::new(BodyDecoder::default()),
            read_deadline: RefCell::default(),
            write_deadline: RefCell::default(),
            read_size: Cell::new(BODY_READ),
            idle: Cell::new(idle),
            waiting: Cell::new(false),
            ended: Cell::new(false),
            unsent: Cell::new(0),
        }
    }

    pub(crate) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream.into_inner(), self.input.into_inner())
    }

    /// Runs `look` on the stream.
    pub(crate) fn with_stream<T>(&self, look: impl FnOnce(&Stream) -> T) -> T {
        look(&self.stream.borrow())
    }

    pub(crate) fn arm_read(&self, after: Duration) {
        self.read_deadline.borrow_mut().arm(after);
    }

    pub(crate) fn disarm_read(&self) {
        self.read_deadline.borrow_mut().disarm();
    }

    /// Sets how long a body may stand still, and how long the peer may refuse to take bytes.
    pub(crate) fn set_idle(&self, idle: Duration) {
        self.idle.set(idle);
    }

    /// Starts reading a body.
    pub(crate) fn begin_body(&self, length: BodyLength) {
        *self.body.borrow_mut() = BodyDecoder::new(length);
        self.waiting.set(false);
    }

    /// Whether the read deadline has passed.
    pub(crate) fn poll_read_deadline(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.read_deadline.borrow_mut().poll(cx)
    }

    /// Reads what a head needs, through the stack: nothing is held while waiting. 0 is the end.
    pub(crate) fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::<u8>::uninit(); HEAD_READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut read))?;
        let filled = read.filled();
        if filled.is_empty() {
            self.ended.set(true);
        }
        self.input.borrow_mut().extend_from_slice(filled);
        Poll::Ready(Ok(filled.len()))
    }

    /// Reads body bytes straight into the buffer that is handed on. 0 is the end.
    fn poll_fill_body(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        let mut input = self.input.borrow_mut();
        let wanted = self.read_size.get();
        input.reserve(wanted);
        let read = std::pin::pin!(stream.read_buf(&mut *input));
        let count = ready!(read.poll(cx))?;
        if count == 0 {
            self.ended.set(true);
        } else if count >= wanted {
            self.read_size.set((wanted * 2).min(MAX_BODY_READ));
        }
        Poll::Ready(Ok(count))
    }

    /// Waits for more input of a head; an error if the peer ended.
    pub(crate) async fn fill(&self) -> Result<(), WireError> {
        poll_fn(|cx| match self.poll_fill(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(WireError::Closed)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => self
                .poll_read_deadline(cx)
                .map(|()| Err(WireError::Timeout)),
        })
        .await
    }

    /// The next piece of the current body.
    pub(crate) fn poll_body(
        &self,
        cx: &mut Context<'_>,
        limits: &Limits,
    ) -> Poll<Result<Piece, WireError>> {
        loop {
            let piece = self
                .body
                .borrow_mut()
                .decode(&mut self.input.borrow_mut(), limits)?;
            match piece {
                Piece::NeedMore => {}
                piece => {
                    self.stop_waiting();
                    return Poll::Ready(Ok(piece));
                }
            }
            if self.ended.get() {
                return Poll::Ready(self.end_of_input());
            }
            match self.poll_fill_body(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.end_of_input()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return self.poll_waiting(cx),
            }
        }
    }

    /// The clock runs only while we wait for the peer, not while it waits for us.
    pub(super) fn poll_waiting<T>(&self, cx: &mut Context<'_>) -> Poll<Result<T, WireError>> {
        if !self.waiting.replace(true) {
            self.arm_read(self.idle.get());
        }
        self.poll_read_deadline(cx)
            .map(|()| Err(WireError::Timeout))
    }

    pub(super) fn stop_waiting(&self) {
        self.waiting.set(false);
    }

    fn end_of_input(&self) -> Result<Piece, WireError> {
        if self.body.borrow_mut().end_by_close() {
            Ok(Piece::End(None))
        } else {
            Err(WireError::Closed)
        }
    }

    /// Ready when the peer has gone, while nothing is expected of it. Bytes that come early are
    /// kept for later, up to a small amount, behind which the end is not looked for.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.body.borrow().is_done() {
            return Poll::Pending;
        }
        while self.input.borrow().len() < HEAD_READ {
            match ready!(self.poll_fill(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Writes everything in `out`, then `data`, and flushes.
    pub(crate) async fn write(&self, out: &mut BytesMut, mut data: Bytes) -> Result<(), WireError> {
        let mut left = usize::MAX;
        poll_fn(|cx| match self.poll_write(cx, out, &mut data) {
            Poll::Pending => self.poll_stalled(cx, &mut left, out.len() + data.len()),
            Poll::Ready(written) => {
                self.unsent.set(0);
                Poll::Ready(written.map_err(WireError::from))
            }
        })
        .await
    }

    /// Fails once nothing has been taken for too long (L-74). `left` is what was unwritten when the
    /// clock was last set.
    pub(crate) fn poll_stalled(
        &self,
        cx: &mut Context<'_>,
        left: &mut usize,
        now_left: usize,
    ) -> Poll<Result<(), WireError>> {
        self.unsent.set(now_left);
        let mut deadline = self.write_deadline.borrow_mut();
        if now_left < *left {
            *left = now_left;
            deadline.arm(self.idle.get());
        }
        deadline.poll(cx).map(|()| Err(WireError::Timeout))
    }

    /// One step of [`Wire::write`]; what has been written is taken from the front of the buffers.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
        data: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        let mut stream = self.stream.borrow_mut();
        let mut stream = Pin::new(&mut *stream);
        while !out.is_empty() || !data.is_empty() {
            let written = match (out.is_empty(), data.is_empty()) {
                (false, true) => ready!(stream.as_mut().poll_write(cx, out))?,
                (true, _) => ready!(stream.as_mut().poll_write(cx, data))?,
                (false, false) => {
                    let slices = [IoSlice::new(out), IoSlice::new(data)];
                    ready!(stream.as_mut().poll_write_vectored(cx, &slices))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_out = written.min(out.len());
            out.advance(of_out);
            data.advance(written - of_out);
        }
        stream.poll_flush(cx)
    }

    /// Ends our side and reads on until the peer has read the answer, within bounds (L-75).
    pub(crate) async fn linger(&self, time: Duration) {
        const MOST: usize = 64 * 1024;
        self.shut_down(time).await;
        self.arm_read(time);
        let mut taken = 0;
        while taken < MOST && self.fill().await.is_ok() {
            taken += self.input.borrow().len();
            self.input.borrow_mut().clear();
        }
    }

    /// Ends a connection that is dropped then. A bare socket says its end by being closed.
    pub(crate) async fn close(&self, time: Duration) {
        if self.with_stream(Stream::is_encrypted) {
            self.shut_down(time).await;
        }
    }

    /// Ends our side, waiting no longer than `time`.
    pub(crate) async fn shut_down(&self, time: Duration) {
        self.write_deadline.borrow_mut().arm(time);
        poll_fn(
            |cx| match Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => self.write_deadline.borrow_mut().poll(cx),
            },
        )
        .await;
    }

    /// Gives back the memory of an empty input buffer.
    pub(crate) fn release_input(&self) {
        let mut input = self.input.borrow_mut();
        if input.is_empty() {
            *input = BytesMut::new();
        }
    }
}
