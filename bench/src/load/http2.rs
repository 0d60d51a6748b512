//! HTTP/2 as a client: one task per connection, many requests in flight.
//!
//! What is due is written together and what has come is read together, so that the generator costs
//! less than what it measures. Flow control is honoured; a graceful GOAWAY is no failure.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::Shared;
use super::frames::{
    ACK, Blocks, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEAD, HEADERS, PADDED, PING,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, status,
};
use super::io::Io;
use super::plan::{Plan, Protocol};
use crate::content;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Windows that we give: never the bound of a download.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// Unsent bytes above which no more DATA is made.
const OUTPUT: usize = 256 * 1024;

/// What is asked, again and again.
pub(crate) struct Request {
    blocks: Blocks,
    prefix: Bytes,
    length: u64,
    grpc: bool,
}

impl Request {
    pub(crate) fn new(plan: &Plan) -> Self {
        let grpc = plan.protocol == Protocol::Grpc;
        let mut prefix = BytesMut::new();
        if grpc {
            prefix.put_u8(0);
            prefix.put_u32(plan.upload as u32);
        }
        let length = plan.upload + prefix.len() as u64;
        Self {
            blocks: Blocks::new(plan, length),
            prefix: prefix.freeze(),
            length,
            grpc,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The load is over.
    Over,
    /// The server asks to go on elsewhere.
    Moved,
}

/// How much a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// As many units as there are.
    Long,
    /// One unit.
    Once,
    /// One unit, and silence after it.
    Held,
}

/// One connection.
pub(crate) struct Http2 {
    shared: Rc<Shared>,
    request: Rc<Request>,
    io: Io,
    input: BytesMut,
    output: BytesMut,
    active: Vec<Active>,
    /// Given back by a server that goes away; they begin again elsewhere.
    returned: VecDeque<Instant>,
    next: u32,
    indexed: bool,
    settled: bool,
    leaving: bool,
    life: Life,
    begun: bool,
    window: i64,
    peer_window: i64,
    peer_frame: usize,
    peer_streams: usize,
    peer_table: bool,
    consumed: u32,
}

struct Active {
    id: u32,
    intended: Instant,
    good: bool,
    received: u64,
    consumed: u32,
    sent: u64,
    window: i64,
}

impl Http2 {
    pub(crate) fn new(
        io: Io,
        shared: Rc<Shared>,
        request: Rc<Request>,
        life: Life,
        returned: VecDeque<Instant>,
    ) -> Self {
        let mut output = BytesMut::with_capacity(4096);
        output.extend_from_slice(PREFACE);
        let frame = Frame {
            length: 12,
            kind: SETTINGS,
            flags: 0,
            stream: 0,
        };
        frame.put(&mut output);
        for (setting, value) in [(2, 0), (4, STREAM_WINDOW)] {
            output.put_u16(setting);
            output.put_u32(value);
        }
        put_window(&mut output, 0, CONNECTION_WINDOW);
        Self {
            shared,
            request,
            io,
            input: BytesMut::new(),
            output,
            active: Vec::new(),
            returned,
            next: 1,
            indexed: false,
            settled: false,
            leaving: false,
            life,
            begun: false,
            window: 65_535,
            peer_window: 65_535,
            peer_frame: 16_384,
            peer_streams: 100,
            peer_table: true,
            consumed: 0,
        }
    }

    /// Works until the load is over or the server goes away; also what it was given back.
    pub(crate) async fn run(&mut self) -> io::Result<(End, VecDeque<Instant>)> {
        let shared = Rc::clone(&self.shared);
        loop {
            self.begin();
            self.upload();
            if self.active.is_empty() {
                if self.leaving || (self.life == Life::Once && self.begun) {
                    return Ok((End::Moved, std::mem::take(&mut self.returned)));
                }
                if shared.schedule.is_over() && self.output.is_empty() {
                    return Ok((End::Over, VecDeque::new()));
                }
            }
            let free = self.settled && self.active.len() < self.peer_streams;
            let waits = free && !self.leaving && !self.spent() && shared.schedule.is_open();
            let mut due = pin!(shared.schedule.changed());
            poll_fn(|cx| {
                let io = self.poll_io(cx)?;
                if io.is_ready() {
                    return Poll::Ready(io::Result::Ok(()));
                }
                // Only who can take what is due may listen for it.
                if waits || self.life == Life::Held {
                    return due.as_mut().poll(cx).map(Ok);
                }
                Poll::Pending
            })
            .await?;
            while self.frame()? {}
        }
    }

    /// What was in flight when the load ended.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = Instant> {
        let returned = self.returned.iter().copied();
        self.active
            .iter()
            .map(|active| active.intended)
            .chain(returned)
    }

    /// Writes what there is, and reads; ready when something was read.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        if !self.output.is_empty() {
            while !self.output.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, &self.output) {
                    Poll::Ready(written) => self.output.advance(written?),
                    Poll::Pending => break,
                }
            }
            if let Poll::Ready(flushed) = Pin::new(&mut self.io).poll_flush(cx) {
                flushed?;
            }
            if self.output.is_empty() && self.uploading() {
                // Room for more: come back at once.
                return Ok(Poll::Ready(()));
            }
        }
        self.input.reserve(64 * 1024);
        match pin!(self.io.read_buf(&mut self.input)).poll(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(Ok(_)) => Ok(Poll::Ready(())),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    fn uploading(&self) -> bool {
        self.window > 0
            && self
                .active
                .iter()
                .any(|active| active.sent < self.request.length && active.window > 0)
    }

    /// Begins what is due, as far as there is room.
    fn begin(&mut self) {
        if !self.settled || self.leaving {
            return;
        }
        let room = self.shared.streams.min(self.peer_streams);
        while self.active.len() < room && !self.spent() {
            let returned = self.returned.pop_front();
            let Some(intended) = returned.or_else(|| self.shared.schedule.take()) else {
                return;
            };
            if self.shared.schedule.is_open() {
                self.shared.tally.late(intended.elapsed());
            }
            self.begun = true;
            self.send(intended);
        }
    }

    /// Whether it has done what it is for.
    fn spent(&self) -> bool {
        self.begun && self.life != Life::Long
    }

    fn send(&mut self, intended: Instant) {
        let blocks = &self.request.blocks;
        let block = match (self.peer_table, self.indexed) {
            (false, _) => &blocks.plain,
            (true, false) => &blocks.first,
            (true, true) => &blocks.again,
        };
        self.indexed = true;
        let end = if self.request.length == 0 {
            END_STREAM
        } else {
            0
        };
        let frame = Frame {
            length: block.len(),
            kind: HEADERS,
            flags: END_HEADERS | end,
            stream: self.next,
        };
        frame.put(&mut self.output);
        self.output.extend_from_slice(block);
        self.active.push(Active {
            id: self.next,
            intended,
            good: false,
            received: 0,
            consumed: 0,
            sent: 0,
            window: self.peer_window,
        });
        self.next += 2;
        if self.next > 0x7fff_0000 {
            self.leaving = true;
        }
    }

    /// Makes DATA of request bodies, as far as the windows allow.
    fn upload(&mut self) {
        let request = Rc::clone(&self.request);
        let prefix = request.prefix.len() as u64;
        let mut progress = request.length > 0;
        while progress && self.output.len() < OUTPUT {
            progress = false;
            for active in &mut self.active {
                let left = request.length - active.sent;
                let window = active.window.min(self.window);
                if left == 0 || window <= 0 {
                    continue;
                }
                let most = left.min(window as u64).min(self.peer_frame as u64) as usize;
                let piece = if active.sent < prefix {
                    // The prefix goes with as much of the body as fits.
                    let mut piece = BytesMut::from(request.prefix.as_ref());
                    let body = content::piece(0, most.saturating_sub(piece.len()));
                    piece.extend_from_slice(&body);
                    piece.truncate(most);
                    piece.freeze()
                } else {
                    content::piece(active.sent - prefix, most)
                };
                active.sent += piece.len() as u64;
                active.window -= piece.len() as i64;
                self.window -= piece.len() as i64;
                let end = active.sent == request.length;
                let frame = Frame {
                    length: piece.len(),
                    kind: DATA,
                    flags: if end { END_STREAM } else { 0 },
                    stream: active.id,
                };
                frame.put(&mut self.output);
                self.output.extend_from_slice(&piece);
                self.shared.tally.sent(piece.len());
                progress = true;
            }
        }
    }

    /// Takes one whole frame off the input.
    fn frame(&mut self) -> io::Result<bool> {
        let Some(frame) = Frame::parse(&self.input) else {
            return Ok(false);
        };
        if self.input.len() < HEAD + frame.length {
            return Ok(false);
        }
        self.input.advance(HEAD);
        let payload = self.input.split_to(frame.length);
        match frame.kind {
            DATA => self.data(frame, &payload)?,
            HEADERS => self.headers(frame, &payload)?,
            RST_STREAM => self.reset(frame.stream, &payload)?,
            SETTINGS if frame.flags & ACK == 0 => self.settings(&payload),
            PING if frame.flags & ACK == 0 => {
                let pong = Frame {
                    flags: ACK,
                    ..frame
                };
                pong.put(&mut self.output);
                self.output.extend_from_slice(&payload);
            }
            GOAWAY => self.go_away(&payload)?,
            WINDOW_UPDATE => self.window_update(frame.stream, &payload),
            _ => {}
        }
        Ok(true)
    }

    fn settings(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(6) {
            let mut setting = setting;
            let (id, value) = (setting.get_u16(), setting.get_u32());
            match id {
                1 => self.peer_table = value >= 4096,
                3 => self.peer_streams = value as usize,
                4 => {
                    let change = i64::from(value) - self.peer_window;
                    self.peer_window = i64::from(value);
                    for active in &mut self.active {
                        active.window += change;
                    }
                }
                5 => self.peer_frame = (value as usize).min(65_536),
                _ => {}
            }
        }
        self.settled = true;
        let ack = Frame {
            length: 0,
            kind: SETTINGS,
            flags: ACK,
            stream: 0,
        };
        ack.put(&mut self.output);
    }

    fn window_update(&mut self, stream: u32, payload: &[u8]) {
        let Some(increment) = payload.first_chunk().copied() else {
            return;
        };
        let increment = i64::from(u32::from_be_bytes(increment));
        if stream == 0 {
            self.window += increment;
        } else if let Some(active) = self.active.iter_mut().find(|one| one.id == stream) {
            active.window += increment;
        }
    }

    fn headers(&mut self, frame: Frame, payload: &[u8]) -> io::Result<()> {
        let any = self.shared.expect.any_status;
        let Some(active) = self.active.iter_mut().find(|one| one.id == frame.stream) else {
            return Ok(());
        };
        if !active.good {
            let status = status(frame.content(payload));
            if !any && status != Some(200) {
                let status = status.map_or("unknown".to_owned(), |status| status.to_string());
                return Err(io::Error::other(format!("status {status}")));
            }
            active.good = true;
        }
        if frame.flags & END_STREAM != 0 {
            return self.ended(frame.stream);
        }
        Ok(())
    }

    fn data(&mut self, frame: Frame, payload: &[u8]) -> io::Result<()> {
        let content = frame.content(payload);
        self.consumed += frame.length as u32;
        if self.consumed > CONNECTION_WINDOW / 4 {
            put_window(&mut self.output, 0, self.consumed);
            self.consumed = 0;
        }
        self.shared.tally.received(content.len());
        if let Some(active) = self.active.iter_mut().find(|one| one.id == frame.stream) {
            // What is echoed with a prefix of its own is checked by its length.
            if self.shared.expect.pattern
                && !self.request.grpc
                && frame.flags & PADDED == 0
                && !content::matches(active.received, content)
            {
                return Err(io::Error::other("body of the wrong content"));
            }
            active.received += content.len() as u64;
            active.consumed += frame.length as u32;
            if active.consumed > STREAM_WINDOW / 2 {
                put_window(&mut self.output, active.id, active.consumed);
                active.consumed = 0;
            }
        }
        if frame.flags & END_STREAM != 0 {
            return self.ended(frame.stream);
        }
        Ok(())
    }

    fn ended(&mut self, stream: u32) -> io::Result<()> {
        let Some(at) = self.active.iter().position(|one| one.id == stream) else {
            return Ok(());
        };
        let active = self.active.swap_remove(at);
        if let Some(expected) = self.shared.expect.length
            && expected != active.received
        {
            return Err(io::Error::other("body of the wrong length"));
        }
        if self.life == Life::Held {
            self.shared.ready();
        }
        self.shared.tally.done(active.intended);
        Ok(())
    }

    fn reset(&mut self, stream: u32, payload: &[u8]) -> io::Result<()> {
        let code = payload
            .first_chunk()
            .map_or(0, |code| u32::from_be_bytes(*code));
        let Some(at) = self.active.iter().position(|one| one.id == stream) else {
            return Ok(());
        };
        if code == 7 {
            // REFUSED_STREAM: it was not begun (RFC 9113 §8.7).
            let active = self.active.swap_remove(at);
            self.returned.push_back(active.intended);
            self.shared.tally.moved();
            return Ok(());
        }
        Err(io::Error::other(format!("stream reset with code {code}")))
    }

    fn go_away(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut payload = payload;
        if payload.len() < 8 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (last, code) = (payload.get_u32() & 0x7fff_ffff, payload.get_u32());
        if code != 0 {
            return Err(io::Error::other(format!("GOAWAY with code {code}")));
        }
        self.leaving = true;
        self.shared.tally.moved();
        let returned = &mut self.returned;
        self.active.retain(|active| {
            let stays = active.id <= last;
            if !stays {
                returned.push_back(active.intended);
            }
            stays
        });
        Ok(())
    }
}

fn put_window(output: &mut BytesMut, stream: u32, increment: u32) {
    let frame = Frame {
        length: 4,
        kind: WINDOW_UPDATE,
        flags: 0,
        stream,
    };
    frame.put(output);
    output.put_u32(increment);
}
