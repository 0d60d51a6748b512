//! The life of one client connection: which streams are served, and what ends it.
//!
//! A stream needs a place as long as anything of it is at work, which may be longer than the client
//! wants it: who resets streams and opens others waits until the work for the first has stopped
//! (L-30). Between two readinesses the meter is asked whether the peer keeps within its limits.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Ping, PingPong, Reason, RecvStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::meter::{Meter, Metered, Peer, Rule, Teller, Watch};
use crate::deadline::Deadline;
use crate::info::ConnInfo;
use crate::io::Stream;
use crate::limits::Limits;
use crate::trail::refused_message;
use crate::worker::{Buffers, Live, Worker};

/// A connection of a client.
pub(super) struct ServerConnection {
    connection: h2::server::Connection<Metered, Bytes>,
    stream: Rc<RefCell<Stream>>,
    meter: Rc<RefCell<Meter>>,
    teller: DoorTeller,
    pings: Option<Pings>,
    places: Rc<Places>,
    waiting: VecDeque<Accepted>,
    idle: Deadline,
    block: Watch,
    shut: Watch,
    served: u32,
    phase: Phase,
    limits: Rc<Limits>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// GOAWAY has been said; streams end in their time.
    Closing,
    /// The peer has broken the rules; only the last words have to leave.
    Stopping,
}

/// A stream that the client opened.
pub(super) type Accepted = (http::Request<RecvStream>, SendResponse<Bytes>);

/// What became of waiting for more.
enum Quiet {
    Wait,
    /// There is something to say first.
    Again,
    End,
}

impl ServerConnection {
    /// Starts HTTP/2; `None` if the peer does not speak it.
    pub(super) async fn start(stream: Stream, info: &Rc<ConnInfo>, live: &Live) -> Option<Self> {
        let worker = live.worker();
        let limits = worker.limits();
        let secure = info.tls.is_some();
        let meter = Rc::new(RefCell::new(Meter::new(Peer::Client, secure, &limits)));
        let stream = Rc::new(RefCell::new(stream));
        let metered = Metered::new(Rc::clone(&stream), Rc::clone(&meter));
        let streams = worker.overload.streams(limits.concurrent_streams);
        let handshake = builder(&limits, streams).handshake::<_, Bytes>(metered);
        let mut connection = match tokio::time::timeout(limits.handshake_timeout, handshake).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                if !error.is_io() {
                    refused(worker, info, Rule::Library.id());
                    part(stream, NO_HTTP2, &limits).await;
                }
                return None;
            }
            Err(_) => {
                refused(worker, info, "L-62");
                return None;
            }
        };
        let mut idle = Deadline::default();
        idle.arm(limits.idle_streams_timeout);
        let places = Rc::<Places>::default();
        let of_streams: Weak<Places> = Rc::downgrade(&places);
        live.buffers_in(of_streams);
        Some(Self {
            pings: connection.ping_pong().map(Pings::new),
            connection,
            stream,
            meter,
            teller: DoorTeller {
                worker: Rc::clone(worker),
                info: Rc::clone(info),
            },
            places,
            waiting: VecDeque::new(),
            idle,
            block: Watch::default(),
            shut: Watch::default(),
            served: 0,
            phase: Phase::Open,
            limits,
        })
    }

    /// Ends it. A peer that was told to be calm gets to read that.
    pub(super) async fn end(self) {
        let (stream, limits) = (Rc::clone(&self.stream), Rc::clone(&self.limits));
        let stopping = self.phase == Phase::Stopping;
        drop(self);
        if stopping {
            part(stream, &[], &limits).await;
        }
    }

    pub(super) fn meter(&self) -> &Rc<RefCell<Meter>> {
        &self.meter
    }

    /// The next stream, with its place; `None` ends the connection.
    pub(super) async fn next(&mut self, live: &Live) -> Option<(Accepted, Place)> {
        poll_fn(|cx| {
            if self.phase == Phase::Open && live.poll_closing(cx).is_ready() {
                self.close();
            }
            loop {
                if let Some(waited) = self.next_waiting(cx) {
                    return Poll::Ready(Some(waited));
                }
                match self.connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok(accepted))) => {
                        if let Some(admitted) = self.admit(accepted, cx) {
                            return Poll::Ready(Some(admitted));
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        tracing::debug!(%error, client = %self.teller.info.client, "HTTP/2 failed");
                        return Poll::Ready(None);
                    }
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => match self.poll_quiet(cx) {
                        Quiet::Wait => return Poll::Pending,
                        Quiet::Again => {}
                        Quiet::End => return Poll::Ready(None),
                    },
                }
            }
        })
        .await
    }

    /// Gives a stream its place, or lets it wait for one.
    fn admit(&mut self, accepted: Accepted, cx: &mut Context<'_>) -> Option<(Accepted, Place)> {
        self.served += 1;
        if self.served >= self.limits.streams_per_connection && self.phase == Phase::Open {
            self.close();
        }
        let most = self.limits.concurrent_streams;
        if self.waiting.is_empty()
            && let Some(place) = self.places.take(most, cx)
        {
            return Some((accepted, place));
        }
        if self.waiting.len() < most as usize {
            self.waiting.push_back(accepted);
        } else {
            let (_, mut respond) = accepted;
            refused(&self.teller.worker, &self.teller.info, "L-30");
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        None
    }

    fn next_waiting(&mut self, cx: &mut Context<'_>) -> Option<(Accepted, Place)> {
        while !self.waiting.is_empty() {
            let place = self.places.take(self.limits.concurrent_streams, cx)?;
            let (request, mut respond) = self.waiting.pop_front()?;
            // Nobody works for a stream that is over.
            if respond.poll_reset(cx).is_pending() {
                return Some(((request, respond), place));
            }
        }
        None
    }

    fn close(&mut self) {
        self.phase = Phase::Closing;
        self.connection.graceful_shutdown();
        // The last GOAWAY waits for an answer that may never come.
        self.idle.arm(self.limits.ping_timeout);
    }

    fn stop(&mut self) -> Quiet {
        self.phase = Phase::Stopping;
        self.meter.borrow_mut().end();
        self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        self.idle.arm(self.limits.linger_time);
        Quiet::Again
    }

    /// Nothing came. Is that still in order?
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Quiet {
        if self.phase == Phase::Stopping {
            return match self.idle.poll(cx) {
                Poll::Ready(()) => Quiet::End,
                Poll::Pending => Quiet::Wait,
            };
        }
        let standing = {
            let mut meter = self.meter.borrow_mut();
            if meter.has_news() {
                meter.report(&self.teller);
            }
            meter.standing()
        };
        if standing.stop {
            return self.stop();
        }
        let limits = Rc::clone(&self.limits);
        let http2 = &limits.http2;
        let block = self
            .block
            .poll(standing.block, http2.header_block_timeout, cx);
        let shut = self
            .shut
            .poll(standing.shut, http2.connection_stall_timeout, cx);
        for (lasted, rule) in [(block, "L-39"), (shut, "L-35")] {
            if lasted.is_ready() {
                refused(&self.teller.worker, &self.teller.info, rule);
                return self.stop();
            }
        }
        if standing.drain && self.phase == Phase::Open {
            self.close();
            return Quiet::Again;
        }
        self.poll_peer(cx)
    }

    /// Ends when the peer no longer answers (L-66); closes a connection without streams (L-65).
    fn poll_peer(&mut self, cx: &mut Context<'_>) -> Quiet {
        let busy = self.connection.has_streams();
        while self.idle.poll(cx).is_ready() {
            match (busy, self.phase) {
                (true, Phase::Open) => self.idle.arm(self.limits.idle_streams_timeout),
                (true, _) => self.idle.arm(self.limits.ping_timeout),
                (false, Phase::Open) => {
                    self.close();
                    return Quiet::Again;
                }
                (false, _) => return Quiet::End,
            }
        }
        let pings = self.pings.as_mut();
        match pings.map(|pings| pings.poll_dead(cx, busy, &self.limits)) {
            Some(Poll::Ready(())) => Quiet::End,
            _ => Quiet::Wait,
        }
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        self.meter.borrow_mut().report(&self.teller);
    }
}

/// GOAWAY with PROTOCOL_ERROR, before there was any stream (RFC 9113 §3.4).
const NO_HTTP2: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Says a last word and reads on for a moment: closing with unread input would reset the
/// connection, and with it what the peer has not read yet (L-75).
async fn part(stream: Rc<RefCell<Stream>>, last: &[u8], limits: &Limits) {
    const MOST: usize = 64 * 1024;
    let Ok(stream) = Rc::try_unwrap(stream) else {
        return;
    };
    let mut stream = stream.into_inner();
    let parting = async {
        if stream.write_all(last).await.is_err() || stream.shutdown().await.is_err() {
            return;
        }
        let mut unread = [0; 4096];
        let mut taken = 0;
        while taken < MOST
            && let Ok(len @ 1..) = stream.read(&mut unread).await
        {
            taken += len;
        }
    };
    // Whether the peer took it in time changes nothing.
    let _ = tokio::time::timeout(limits.linger_time, Box::pin(parting)).await;
}

fn builder(limits: &Limits, streams: u32) -> h2::server::Builder {
    /// What the library itself allows; the meter, which forgives in time, is stricter (L-28).
    const RESETS: usize = 1024;
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(streams)
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(share_of_buffer(limits))
        .max_local_error_reset_streams(Some(limits.local_resets.max(RESETS)))
        .max_pending_accept_reset_streams(limits.pending_resets)
        .data_frame_budget(limits.http2.small_data_overhead)
        .enable_connect_protocol();
    builder
}

/// What of a stream may wait for a client that reads slowly: its share of what may wait for the
/// client at all, so that the sum holds whatever the streams do (L-26, L-88).
fn share_of_buffer(limits: &Limits) -> usize {
    const LEAST: usize = 1024;
    let share = limits.connection_buffer / (limits.concurrent_streams as usize).max(1);
    limits.stream_send_buffer.min(share.max(LEAST))
}

/// Counts and logs what is no request (O-01).
fn refused(worker: &Worker, info: &ConnInfo, rule: &'static str) {
    worker.refused(info, rule);
    refused_message(worker, info, "HTTP/2.0", 0, rule);
}

/// Counts at the door what the meter found.
struct DoorTeller {
    worker: Rc<Worker>,
    info: Rc<ConnInfo>,
}

impl Teller for DoorTeller {
    fn frames(&self, kind: usize, count: u32) {
        let stats = &self.info.door.stats;
        stats.h2_frames(self.worker.index, kind, count);
    }

    fn breached(&self, rule: Rule, count: u32) {
        self.worker.refused_times(&self.info, rule.id(), count);
        refused_message(&self.worker, &self.info, "HTTP/2.0", 0, rule.id());
    }
}

/// Streams that something is at work for.
#[derive(Debug, Default)]
struct Places {
    taken: Cell<u32>,
    waiter: RefCell<Option<Waker>>,
}

/// Streams as a measure of what a connection keeps in memory.
impl Buffers for Places {
    fn buffered(&self) -> usize {
        const EACH: usize = 16 * 1024;
        self.taken.get() as usize * EACH
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct Place(Rc<Places>);

impl Places {
    /// A place, or to be woken when there is one.
    fn take(self: &Rc<Self>, most: u32, cx: &mut Context<'_>) -> Option<Place> {
        if self.taken.get() >= most {
            *self.waiter.borrow_mut() = Some(cx.waker().clone());
            return None;
        }
        self.taken.set(self.taken.get() + 1);
        Some(Place(Rc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = &self.0;
        places.taken.set(places.taken.get().saturating_sub(1));
        if let Some(waiter) = places.waiter.borrow_mut().take() {
            waiter.wake();
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
