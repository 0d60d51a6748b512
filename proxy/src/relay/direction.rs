//! One direction of a relay: read, write, end.
//!
//! The first bytes, and all bytes of slow or encrypted connections, go through a copy buffer that
//! exists only while it holds something or may do so at once. A direction that carries bulk between
//! two bare sockets changes to a pipe, in which the bytes never leave the kernel, and back when it
//! falls silent. Bytes in a pipe are under way: the end of the source is passed on behind them.

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use adit_sys::splice::Pipe;
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Interest};
use tokio::net::TcpStream;

use super::RawSocket;

const KIB: usize = 1024;

/// Bytes that are copied before a pipe is worth its system calls; short flows never see one.
const COPIED_FIRST: usize = 64 * KIB;
/// A read of this size, or one that fills the buffer, tells bulk from conversation.
const BULK_READ: usize = 16 * KIB;
const PIPE_SIZE: usize = 1024 * KIB;
/// Bytes of one poll; then other connections of the worker have their turn.
const FAIR_SHARE: usize = 1024 * KIB;

/// Which side of a direction does not work any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// It cannot be read.
    Source(io::Error),
    /// It cannot be written.
    Sink(io::Error),
}

/// The state of one direction.
#[derive(Debug)]
pub(super) struct Direction {
    prefix: Bytes,
    buffer: Vec<u8>,
    /// How much of the buffer has been written.
    written: usize,
    buffer_size: usize,
    pipe: Option<Pipe>,
    /// Bytes copied since the start, or since the last pipe was given back.
    copied: usize,
    last_read: usize,
    unflushed: bool,
    source_ended: bool,
    /// Whether the end of the source is no end that the sink may take for an orderly one.
    end_withheld: bool,
    done: bool,
    progress: bool,
    /// Whether the pipe has been of use since the last look at it.
    pipe_used: bool,
}

impl Direction {
    pub(super) fn new(prefix: Bytes, buffer_size: usize) -> Self {
        Self {
            prefix,
            buffer: Vec::new(),
            written: 0,
            buffer_size: buffer_size.max(1),
            pipe: None,
            copied: 0,
            last_read: 0,
            unflushed: false,
            source_ended: false,
            end_withheld: false,
            done: false,
            progress: false,
            pipe_used: false,
        }
    }

    /// Whether the end has been passed on, or cannot be.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn has_pipe(&self) -> bool {
        self.pipe.is_some()
    }

    /// Whether anything has moved since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// From now on the source is broken: what it sent is delivered, but not as if it were all.
    pub(super) fn withhold_end(&mut self) {
        self.end_withheld = true;
    }

    /// Gives the pipe back if it has been empty and unused since the last call.
    pub(super) fn release_idle_pipe(&mut self) {
        let used = std::mem::take(&mut self.pipe_used);
        if !used && self.pipe.as_ref().is_some_and(Pipe::is_empty) {
            self.release_pipe();
        }
    }

    /// Moves what can be moved. Ready when the end has been passed on (and in every later call), or
    /// once with an error, after which the direction is done too.
    pub(super) fn poll<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        sink: &mut T,
        delivered: &Cell<u64>,
    ) -> Poll<Result<(), Broken>>
    where
        S: AsyncRead + RawSocket + Unpin,
        T: AsyncWrite + RawSocket + Unpin,
    {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(self.advance(cx, source, sink, delivered));
        self.done = true;
        self.progress = true;
        self.prefix = Bytes::new();
        self.buffer = Vec::new();
        self.pipe = None;
        Poll::Ready(result)
    }

    fn advance<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        sink: &mut T,
        delivered: &Cell<u64>,
    ) -> Poll<Result<(), Broken>>
    where
        S: AsyncRead + RawSocket + Unpin,
        T: AsyncWrite + RawSocket + Unpin,
    {
        let mut share = FAIR_SHARE;
        loop {
            while self.holds_bytes() {
                let moved = ready!(self.write(cx, sink)).map_err(Broken::Sink)?;
                delivered.set(delivered.get() + moved as u64);
                share = share.saturating_sub(moved);
            }
            if self.source_ended {
                if self.end_withheld {
                    return Poll::Ready(Ok(()));
                }
                return Pin::new(sink).poll_shutdown(cx).map(end_of_sink);
            }
            if share == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.read(cx, source, sink) {
                Poll::Ready(Ok(0)) => self.source_ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Source(error))),
                Poll::Pending => {
                    self.buffer = Vec::new();
                    if self.unflushed {
                        ready!(Pin::new(sink).poll_flush(cx)).map_err(Broken::Sink)?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
            self.progress = true;
        }
    }

    /// Whether something waits for the sink.
    pub(super) fn holds_bytes(&self) -> bool {
        !self.prefix.is_empty()
            || self.written < self.buffer.len()
            || self.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty())
    }

    /// Writes some of what is held, in the order in which it came.
    fn write<T>(&mut self, cx: &mut Context<'_>, sink: &mut T) -> Poll<io::Result<usize>>
    where
        T: AsyncWrite + RawSocket + Unpin,
    {
        let moved = if !self.prefix.is_empty() {
            let moved = ready!(Pin::new(sink).poll_write(cx, &self.prefix))?;
            self.prefix.advance(moved.min(self.prefix.len()));
            moved
        } else if let Some(waiting) = self.buffer.get(self.written..).filter(|w| !w.is_empty()) {
            let moved = ready!(Pin::new(sink).poll_write(cx, waiting))?;
            self.written += moved;
            moved
        } else if let (Some(pipe), Some(socket)) = (self.pipe.as_mut(), sink.tcp()) {
            ready!(poll_splice(cx, socket, Interest::WRITABLE, || pipe.splice_out(socket)))?
        } else {
            0
        };
        if moved == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        self.progress = true;
        Poll::Ready(Ok(moved))
    }

    /// Reads into the pipe or the buffer, both of which are empty; 0 is the end.
    fn read<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        sink: &T,
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + RawSocket + Unpin,
        T: RawSocket,
    {
        if let (Some(from), Some(_)) = (source.tcp(), sink.tcp()) {
            self.consider_pipe();
            if let Some(pipe) = &mut self.pipe {
                let moved = ready!(poll_splice(cx, from, Interest::READABLE, || {
                    pipe.splice_in(from, usize::MAX)
                }))?;
                self.pipe_used = true;
                return Poll::Ready(Ok(moved));
            }
        }
        self.buffer.clear();
        self.written = 0;
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(self.buffer_size);
        }
        let count = ready!(pin!(source.read_buf(&mut self.buffer)).poll(cx))?;
        self.copied = self.copied.saturating_add(count);
        self.last_read = count;
        Poll::Ready(Ok(count))
    }

    fn consider_pipe(&mut self) {
        let bulk = self.last_read >= BULK_READ.min(self.buffer_size);
        if self.pipe.is_some() || !bulk || self.copied < COPIED_FIRST {
            return;
        }
        // If none is to be had now, the next bytes are copied and the question comes again.
        self.copied = 0;
        self.pipe = Pipe::new(PIPE_SIZE);
        if self.pipe.is_some() {
            self.buffer = Vec::new();
            self.pipe_used = true;
        }
    }

    fn release_pipe(&mut self) {
        self.pipe = None;
        self.copied = 0;
        self.last_read = 0;
    }
}

/// A side that is already gone has also ended.
fn end_of_sink(result: io::Result<()>) -> Result<(), Broken> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(Broken::Sink(error)),
        _ => Ok(()),
    }
}

/// Runs a system call on a socket when it is ready for it.
pub(crate) fn poll_splice(
    cx: &mut Context<'_>,
    socket: &TcpStream,
    interest: Interest,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        if interest.is_readable() {
            ready!(socket.poll_read_ready(cx))?;
        } else {
            ready!(socket.poll_write_ready(cx))?;
        }
        match socket.try_io(interest, &mut call) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
}
