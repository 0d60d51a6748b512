//! Bytes both ways between a client and a backend: TLS passthrough, raw TCP, upgraded connections.
//!
//! One future owns both sides and one timer. The end of one side is passed on as the end of the
//! other after everything before it (TL-25), a broken side breaks the other, and silence ends both
//! (L-72, L-73), and so does a client that does not read (L-74). What must stay true: no byte is lost, doubled or reordered, whether it was copied
//! or spliced, and an idle connection holds neither a buffer nor a pipe.

mod direction;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

pub(crate) use self::direction::poll_splice;
use self::direction::{Broken, Direction};

/// How long a pipe is kept without a byte: it goes back after one to two of these.
const PIPE_PATIENCE: Duration = Duration::from_secs(1);

/// A side of a relay that may be a bare socket.
pub trait RawSocket {
    /// The TCP socket, if the bytes of this side are exactly the bytes of that socket.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl RawSocket for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// The limits of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayOptions {
    /// L-89: the copy buffer of a direction.
    pub buffer: usize,
    /// L-72: no byte either way for so long.
    pub idle: Duration,
    /// L-74: how long the client may take nothing of what is there for it.
    pub stall: Duration,
    /// L-73: the same, once a side has ended. It is a time of silence and not a deadline, so a long
    /// answer to a client that has said all it had to say is not cut.
    pub half_close: Duration,
}

/// The bytes that have been delivered, readable while the relay runs.
#[derive(Debug, Default)]
pub struct RelayCounters {
    /// From the client to the backend.
    pub up: Cell<u64>,
    /// From the backend to the client.
    pub down: Cell<u64>,
}

/// Who ended a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The backend.
    Backend,
    /// Nobody did anything, so we did.
    Us,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Both sides have ended in order; the named one was first.
    Closed,
    /// The named side broke the connection, and the other was broken too.
    Reset,
    /// The named side failed in another way, and the other was broken.
    Failed(io::ErrorKind),
    /// No byte for the idle time (L-72).
    Idle,
    /// No byte for the shorter time after one side had ended (L-73).
    HalfClosed,
    /// The client took nothing of what was there for it (L-74).
    Stalled,
}

/// The end of a relay, for the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayEnd {
    /// Who.
    pub by: Side,
    /// How.
    pub cause: Cause,
}

impl RelayEnd {
    /// A fixed word for logs and metrics.
    pub fn reason(self) -> &'static str {
        match (self.cause, self.by) {
            (Cause::Closed, Side::Backend) => "backend-closed",
            (Cause::Closed, _) => "client-closed",
            (Cause::Reset, Side::Backend) => "backend-reset",
            (Cause::Reset, _) => "client-reset",
            (Cause::Failed(_), Side::Backend) => "backend-failed",
            (Cause::Failed(_), _) => "client-failed",
            (Cause::Idle, _) => "idle",
            (Cause::HalfClosed, _) => "half-closed",
            (Cause::Stalled, _) => "L-74",
        }
    }
}

/// Relays until both sides have ended, one is broken, or nothing moves. The prefixes are what was
/// already read from a side; they go to the other side before anything else.
pub async fn relay<A, B>(
    client: A,
    backend: B,
    client_prefix: Bytes,
    backend_prefix: Bytes,
    options: &RelayOptions,
    counters: &RelayCounters,
) -> RelayEnd
where
    A: AsyncRead + AsyncWrite + RawSocket + Unpin,
    B: AsyncRead + AsyncWrite + RawSocket + Unpin,
{
    let now = Instant::now();
    let mut relay = Relay {
        client,
        backend,
        up: Direction::new(client_prefix, options.buffer),
        down: Direction::new(backend_prefix, options.buffer),
        first_closed: None,
        broken: None,
        last_activity: now,
        last_look: now,
        stuck: None,
        options,
        counters,
    };
    let mut timer = pin!(tokio::time::sleep_until(after(now, options.idle)));
    poll_fn(|cx| relay.poll(cx, timer.as_mut())).await
}

struct Relay<'a, A, B> {
    client: A,
    backend: B,
    up: Direction,
    down: Direction,
    /// The side that ended first.
    first_closed: Option<Side>,
    /// A side that no longer takes bytes, while what it sent is still being delivered.
    broken: Option<RelayEnd>,
    last_activity: Instant,
    /// While there are bytes that the client does not take: how many it took before, and since when.
    stuck: Option<(u64, Instant)>,
    /// When it was last asked whether the pipes are still of use.
    last_look: Instant,
    options: &'a RelayOptions,
    counters: &'a RelayCounters,
}

impl<A, B> Relay<'_, A, B>
where
    A: AsyncRead + AsyncWrite + RawSocket + Unpin,
    B: AsyncRead + AsyncWrite + RawSocket + Unpin,
{
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<RelayEnd> {
        let up = self
            .up
            .poll(cx, &mut self.client, &mut self.backend, &self.counters.up);
        let up = self.judge(up, Side::Client, Side::Backend);
        let down = self
            .down
            .poll(cx, &mut self.backend, &mut self.client, &self.counters.down);
        let down = self.judge(down, Side::Backend, Side::Client);
        if let Some(end) = up.or(down) {
            self.reset_other(end.by);
            return Poll::Ready(end);
        }
        if self.up.is_done() && self.down.is_done() {
            return Poll::Ready(self.finish());
        }
        let moved = self.up.take_progress() | self.down.take_progress();
        if moved {
            self.last_activity = Instant::now();
        }
        self.look_at_client();
        let due = self.due();
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.stall_ends().is_some_and(|end| end <= now) {
                self.reset_other(Side::Client);
                self.reset_other(Side::Backend);
                return Poll::Ready(RelayEnd {
                    by: Side::Client,
                    cause: Cause::Stalled,
                });
            }
            if self.silence_ends() <= now {
                return Poll::Ready(self.give_up(cx));
            }
            self.up.release_idle_pipe();
            self.down.release_idle_pipe();
            self.last_look = now;
            timer.as_mut().reset(self.due());
        }
        Poll::Pending
    }

    /// What a step of the direction from `source` to `sink` means for the whole.
    fn judge(
        &mut self,
        step: Poll<Result<(), Broken>>,
        source: Side,
        sink: Side,
    ) -> Option<RelayEnd> {
        match step {
            Poll::Pending => None,
            Poll::Ready(Ok(())) => {
                self.first_closed.get_or_insert(source);
                None
            }
            Poll::Ready(Err(Broken::Source(error))) => Some(
                self.broken
                    .unwrap_or_else(|| RelayEnd::broken(source, &error)),
            ),
            // Its last words, such as an early answer, may still be waiting to be read.
            Poll::Ready(Err(Broken::Sink(error))) => {
                self.broken.get_or_insert(RelayEnd::broken(sink, &error));
                self.up.withhold_end();
                self.down.withhold_end();
                None
            }
        }
    }

    /// Both directions have come to their end.
    fn finish(&mut self) -> RelayEnd {
        if let Some(end) = self.broken {
            self.reset_other(end.by);
            return end;
        }
        RelayEnd {
            by: self.first_closed.unwrap_or(Side::Client),
            cause: Cause::Closed,
        }
    }

    /// Ends both sides in order, as far as that is possible without waiting.
    fn give_up(&mut self, cx: &mut Context<'_>) -> RelayEnd {
        if let Some(end) = self.broken {
            self.reset_other(end.by);
            return end;
        }
        let _ = Pin::new(&mut self.client).poll_shutdown(cx);
        let _ = Pin::new(&mut self.backend).poll_shutdown(cx);
        let cause = if self.half_closed() {
            Cause::HalfClosed
        } else {
            Cause::Idle
        };
        RelayEnd {
            by: Side::Us,
            cause,
        }
    }

    /// Whoever is still there must not take the end for an orderly one: its socket, if it is bare,
    /// is closed with a reset; TLS notices by itself that its end is missing.
    fn reset_other(&self, broken: Side) {
        let other = match broken {
            Side::Client => self.backend.tcp(),
            Side::Backend | Side::Us => self.client.tcp(),
        };
        if let Some(socket) = other {
            // It fails only for a socket that is already gone.
            let _ = socket.set_zero_linger();
        }
    }

    fn half_closed(&self) -> bool {
        self.up.is_done() || self.down.is_done()
    }

    fn silence_ends(&self) -> Instant {
        let patience = if self.half_closed() {
            self.options.half_close
        } else {
            self.options.idle
        };
        after(self.last_activity, patience)
    }

    /// Notes whether the client takes what there is for it.
    fn look_at_client(&mut self) {
        if !self.down.holds_bytes() {
            self.stuck = None;
            return;
        }
        let taken = self.counters.down.get();
        if self.stuck.is_none_or(|(before, _)| before != taken) {
            self.stuck = Some((taken, Instant::now()));
        }
    }

    /// When the client has taken nothing for too long (L-74).
    fn stall_ends(&self) -> Option<Instant> {
        self.stuck
            .map(|(_, since)| after(since, self.options.stall))
    }

    /// When the timer must wake us at the latest. Activity only makes this later, so the timer is
    /// left alone until it fires and then set again.
    fn due(&self) -> Instant {
        let silence = self.silence_ends();
        let silence = self
            .stall_ends()
            .map_or(silence, |stall| stall.min(silence));
        if self.up.has_pipe() || self.down.has_pipe() {
            silence.min(after(self.last_activity.max(self.last_look), PIPE_PATIENCE))
        } else {
            silence
        }
    }
}

impl RelayEnd {
    fn broken(by: Side, error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Cause::Reset,
            kind => Cause::Failed(kind),
        };
        Self { by, cause }
    }
}

/// A time that may be set to "never".
fn after(start: Instant, patience: Duration) -> Instant {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    start + patience.min(YEAR)
}
