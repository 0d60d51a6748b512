//! The frame meter: what an HTTP/2 peer sends beside requests has a price (L-27 to L-39).
//!
//! The library answers each PING, takes each SETTINGS frame and forgets each PRIORITY frame, as
//! fast as a peer can send them. The meter walks along the frame heads in both directions beneath
//! it and counts. Whoever goes beyond a limit collects glitches: some, and the connection is ended
//! gracefully; more, and at once (L-38). No input or output, no allocation, and the clock is asked
//! only for frames that are rationed by time, once per piece of input.

mod blocks;
mod bucket;
mod frames;
mod hpack;
mod huffman;
mod metered;
mod openings;
#[cfg(test)]
mod tests;

use blocks::Blocks;
use bucket::Bucket;
use frames::{Frame, Walker, flag, kind};
use openings::Openings;

pub(crate) use blocks::Finding;
pub(crate) use metered::{Metered, Watch};

use crate::limits::Limits;

/// Who is on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A client, whose streams we serve.
    Client,
    /// A backend, which serves ours.
    Backend,
}

/// The time of this piece of input, in milliseconds of any beginning.
pub(super) trait Clock {
    fn now(&mut self) -> u64;
}

/// The rules that the meter enforces, and the one that it notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Continuations,
    LocalResets,
    Resets,
    Pings,
    Settings,
    Others,
    WindowUpdates,
    SmallData,
    Glitches,
    Malformed,
    HeaderList,
    Library,
}

impl Rule {
    const ALL: [Self; 12] = [
        Self::Continuations,
        Self::LocalResets,
        Self::Resets,
        Self::Pings,
        Self::Settings,
        Self::Others,
        Self::WindowUpdates,
        Self::SmallData,
        Self::Glitches,
        Self::Malformed,
        Self::HeaderList,
        Self::Library,
    ];

    /// The id in logs and metrics.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Continuations => "L-27",
            Self::LocalResets => "L-28",
            Self::Resets => "L-29",
            Self::Pings => "L-31",
            Self::Settings => "L-32",
            Self::Others | Self::WindowUpdates => "L-33",
            Self::SmallData => "L-34",
            Self::Glitches => "L-38",
            Self::Malformed => "D-60",
            Self::HeaderList => "L-03",
            Self::Library => "h2-connection",
        }
    }

    /// What the library says when it ends a connection.
    fn of_goaway(text: &[u8]) -> Self {
        match text {
            b"header_list_way_too_large" => Self::HeaderList,
            b"too_many_continuations" => Self::Continuations,
            b"too_many_internal_resets" => Self::LocalResets,
            b"too_many_resets" => Self::Resets,
            b"too_many_data_frames" => Self::SmallData,
            _ => Self::Library,
        }
    }
}

/// Frames counted by type; the last one is every unknown type.
pub(crate) const KINDS: [&str; 11] = [
    "data",
    "headers",
    "priority",
    "rst_stream",
    "settings",
    "push_promise",
    "ping",
    "goaway",
    "window_update",
    "continuation",
    "unknown",
];

/// DATA frames below this cost more than they carry. A gRPC message is never smaller.
const TINY: u32 = 5;

/// WINDOW_UPDATE frames that one DATA frame of ours is worth (L-33).
const UPDATES_PER_DATA: u32 = 8;

/// The window of a connection before anybody has said anything (RFC 9113 §6.9.2).
const FIRST_WINDOW: i64 = 65_535;

/// A peer that opens the connection's window by less than this has not opened it (L-35).
const WINDOW_STEP: u64 = 4096;

/// What the connection is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It ends at once, with ENHANCE_YOUR_CALM.
    pub stop: bool,
    /// It takes no more streams.
    pub drain: bool,
    /// A header block has begun and not ended; another number is another block (L-39).
    pub block: Option<u64>,
    /// The peer's connection window is shut; another number means that it was opened meanwhile
    /// (L-35).
    pub shut: Option<u64>,
}

/// The meter of one connection.
#[derive(Debug)]
pub(crate) struct Meter {
    peer: Peer,
    reading: Walker,
    writing: Walker,
    received: [u32; KINDS.len()],
    unreported: u32,
    breaches: [u32; Rule::ALL.len()],
    glitches: u32,
    drain_at: u32,
    stop_at: u32,
    stopped: bool,
    pings: Bucket,
    settings: Bucket,
    priorities: Bucket,
    others: Bucket,
    window_updates: Bucket,
    tiny_data: Bucket,
    resets: Bucket,
    local_resets: Bucket,
    empty_data_left: u32,
    /// PING frames that are paid for by what we sent.
    paid_pings: u32,
    /// The same for WINDOW_UPDATE frames.
    paid_updates: u32,
    openings: Openings,
    /// Streams that we reset because of a rule of our own, which has been counted.
    known_malformed: u32,
    /// What requests say that the library does not tell.
    heads: Option<Box<Blocks>>,
    blocks: u64,
    block_open: bool,
    in_fragment: bool,
    continuations: u32,
    most_continuations: u32,
    window: i64,
    granted: u64,
}

impl Meter {
    /// `secure` is whether the connection is TLS.
    pub(crate) fn new(peer: Peer, secure: bool, limits: &Limits) -> Self {
        const PREFACE: u32 = 24;
        const FRAME: usize = 16_384;
        let (reading, writing) = match peer {
            Peer::Client => (PREFACE, 0),
            Peer::Backend => (0, PREFACE),
        };
        let limit = &limits.http2;
        let local_resets = u32::try_from(limits.local_resets).unwrap_or(u32::MAX);
        let frames = u32::try_from(limits.header_bytes.div_ceil(FRAME)).unwrap_or(u32::MAX);
        Self {
            peer,
            reading: Walker::after(reading),
            writing: Walker::after(writing),
            received: [0; KINDS.len()],
            unreported: 0,
            breaches: [0; Rule::ALL.len()],
            glitches: 0,
            drain_at: limit.glitches_before_drain,
            stop_at: limit.glitches_before_close,
            stopped: false,
            pings: Bucket::new(limit.pings, limit.ping_refill),
            settings: Bucket::new(limit.settings_frames, limit.settings_refill),
            priorities: Bucket::new(limit.other_frames, limit.other_frame_refill),
            others: Bucket::new(limit.other_frames, limit.other_frame_refill),
            window_updates: Bucket::new(limit.window_updates, limit.window_update_refill),
            tiny_data: Bucket::new(limit.tiny_data, limit.tiny_data_refill),
            resets: Bucket::new(limit.resets, limit.reset_refill),
            local_resets: Bucket::new(local_resets, limit.local_reset_refill),
            empty_data_left: limit.empty_data,
            paid_pings: 0,
            paid_updates: 0,
            openings: Openings::new(limit.reset_share_from),
            known_malformed: 0,
            heads: (peer == Peer::Client).then(|| Box::new(Blocks::new(secure))),
            blocks: 0,
            block_open: false,
            in_fragment: false,
            continuations: 0,
            most_continuations: frames.saturating_add(frames / 4).max(5),
            window: FIRST_WINDOW,
            granted: 0,
        }
    }

    /// Takes note of bytes that came.
    pub(super) fn received(&mut self, mut bytes: &[u8], clock: &mut impl Clock) {
        loop {
            if self.in_fragment {
                let (piece, ended) = self.reading.payload(&mut bytes);
                if let Some(heads) = &mut self.heads
                    && !heads.piece(piece, ended, !self.block_open)
                {
                    return self.stop(Rule::Malformed);
                }
                if !ended {
                    return;
                }
                self.in_fragment = false;
            }
            let Some(frame) = self.reading.next(&mut bytes) else {
                return;
            };
            self.frame(&frame, clock);
            if self.stopped {
                return;
            }
        }
    }

    fn frame(&mut self, frame: &Frame, clock: &mut impl Clock) {
        let last = self.received.len() - 1;
        let place = usize::from(frame.kind).min(last);
        if let Some(count) = self.received.get_mut(place) {
            *count += 1;
        }
        self.unreported += 1;
        match frame.kind {
            kind::DATA => self.data(frame, clock),
            kind::HEADERS | kind::PUSH_PROMISE => self.headers(frame, clock),
            kind::CONTINUATION => self.continuation(frame),
            kind::WINDOW_UPDATE => self.window_update(frame, clock),
            kind::RST_STREAM => self.reset(frame, clock),
            kind::PING => {
                if self.paid_pings > 0 {
                    self.paid_pings -= 1;
                } else if !self.pings.take(clock.now()) {
                    self.breach(Rule::Pings);
                }
            }
            kind::SETTINGS => {
                if !self.settings.take(clock.now()) {
                    self.breach(Rule::Settings);
                }
            }
            kind::PRIORITY => {
                if !self.priorities.take(clock.now()) {
                    self.breach(Rule::Others);
                }
            }
            _ => {
                if !self.others.take(clock.now()) {
                    self.breach(Rule::Others);
                }
            }
        }
    }

    fn data(&mut self, frame: &Frame, clock: &mut impl Clock) {
        if frame.len >= TINY || frame.flags & flag::END_STREAM != 0 {
            return;
        }
        if frame.len > 0 {
            if !self.tiny_data.take(clock.now()) {
                self.breach(Rule::SmallData);
            }
        } else if self.empty_data_left > 0 {
            self.empty_data_left -= 1;
        } else {
            self.stop(Rule::SmallData);
        }
    }

    fn headers(&mut self, frame: &Frame, clock: &mut impl Clock) {
        self.blocks += 1;
        self.continuations = 0;
        self.block_open = frame.flags & flag::END_HEADERS == 0;
        self.in_fragment = true;
        if let Some(heads) = &mut self.heads {
            let opens = self.openings.open(frame.stream, clock.now());
            heads.headers(frame, opens);
        }
    }

    fn continuation(&mut self, frame: &Frame) {
        self.block_open = frame.flags & flag::END_HEADERS == 0;
        self.in_fragment = true;
        self.continuations += 1;
        if let Some(heads) = &mut self.heads {
            heads.continuation();
        }
        if self.block_open && self.continuations > self.most_continuations {
            self.stop(Rule::Continuations);
        }
    }

    fn window_update(&mut self, frame: &Frame, clock: &mut impl Clock) {
        if frame.stream == 0 {
            let increment = frame.word & 0x7fff_ffff;
            self.window += i64::from(increment);
            self.granted += u64::from(increment);
        }
        if self.paid_updates > 0 {
            self.paid_updates -= 1;
        } else if !self.window_updates.take(clock.now()) {
            self.breach(Rule::WindowUpdates);
        }
    }

    /// A backend that resets streams of ours answers requests that we chose to send.
    fn reset(&mut self, frame: &Frame, clock: &mut impl Clock) {
        if self.peer == Peer::Backend {
            return;
        }
        let now = clock.now();
        if self.openings.reset(frame.stream, now) {
            self.stop(Rule::Resets);
        } else if !self.resets.take(now) {
            self.breach(Rule::Resets);
        }
    }

    /// Takes note of bytes that were sent.
    pub(super) fn sent(&mut self, mut bytes: &[u8], clock: &mut impl Clock) {
        while let Some(frame) = self.writing.next(&mut bytes) {
            match frame.kind {
                kind::DATA => {
                    self.window -= i64::from(frame.len);
                    self.paid_pings = self.paid_pings.saturating_add(1);
                    self.paid_updates = self.paid_updates.saturating_add(UPDATES_PER_DATA);
                }
                kind::HEADERS => self.paid_pings = self.paid_pings.saturating_add(1),
                kind::RST_STREAM => self.sent_reset(frame.word, clock),
                kind::GOAWAY => {
                    let (payload, _) = self.writing.payload(&mut bytes);
                    self.sent_goaway(payload);
                }
                _ => {}
            }
        }
    }

    /// The library ends the connection; we count why, unless that was us.
    fn sent_goaway(&mut self, payload: &[u8]) {
        let code = payload.get(4..8).unwrap_or_default();
        if !self.stopped && code != [0; 4] {
            let text = payload.get(8..).unwrap_or_default();
            self.count(Rule::of_goaway(text));
        }
    }

    /// A stream that we ended: whether its peer made us do it is in the code (RFC 9113 §7).
    fn sent_reset(&mut self, code: u32, clock: &mut impl Clock) {
        const PROTOCOL_ERROR: u32 = 1;
        const FLOW_CONTROL_ERROR: u32 = 3;
        const STREAM_CLOSED: u32 = 5;
        const FRAME_SIZE_ERROR: u32 = 6;
        const REFUSED_STREAM: u32 = 7;
        match code {
            PROTOCOL_ERROR | FLOW_CONTROL_ERROR | FRAME_SIZE_ERROR => {
                if self.known_malformed > 0 {
                    self.known_malformed -= 1;
                    self.glitch();
                } else {
                    self.breach(Rule::Malformed);
                }
            }
            STREAM_CLOSED | REFUSED_STREAM => {}
            _ => return,
        }
        if self.peer == Peer::Client && !self.local_resets.take(clock.now()) {
            self.breach(Rule::LocalResets);
        }
    }

    /// What the library does not tell of a stream's head or trailers.
    pub(crate) fn finding(&mut self, stream: u32) -> Option<Finding> {
        self.heads.as_mut()?.take(stream)
    }

    /// A message was refused by a rule of ours (D-64 and others).
    pub(crate) fn refused(&mut self) {
        self.glitch();
    }

    /// A message is malformed by a rule of ours: its stream is about to be reset.
    pub(crate) fn malformed(&mut self) {
        self.known_malformed += 1;
    }

    /// The connection is ended for another reason; nothing more is read.
    pub(crate) fn end(&mut self) {
        self.stopped = true;
    }

    fn breach(&mut self, rule: Rule) {
        self.count(rule);
        self.glitch();
    }

    fn glitch(&mut self) {
        self.glitches += 1;
        if self.glitches == self.drain_at {
            self.count(Rule::Glitches);
        }
        if self.glitches >= self.stop_at && !self.stopped {
            self.stop(Rule::Glitches);
        }
    }

    fn stop(&mut self, rule: Rule) {
        self.stopped = true;
        self.count(rule);
    }

    fn count(&mut self, rule: Rule) {
        if let Some(count) = self.breaches.get_mut(rule as usize) {
            *count += 1;
        }
        // Told at the next opportunity, not at the next round number.
        self.unreported = REPORT_AFTER;
    }

    /// What the connection is to do.
    pub(crate) fn standing(&self) -> Standing {
        Standing {
            stop: self.stopped,
            drain: self.glitches >= self.drain_at,
            block: (self.block_open || self.in_fragment).then_some(self.blocks),
            shut: (self.window <= 0).then_some(self.granted / WINDOW_STEP),
        }
    }

    /// Whether enough has come together for [`Self::report`].
    pub(crate) fn has_news(&self) -> bool {
        self.unreported >= REPORT_AFTER
    }

    /// Hands on what was counted since the last time.
    pub(crate) fn report(&mut self, teller: &impl Teller) {
        self.unreported = 0;
        for (kind, count) in self.received.iter_mut().enumerate() {
            if *count > 0 {
                teller.frames(kind, std::mem::take(count));
            }
        }
        for (rule, count) in Rule::ALL.into_iter().zip(&mut self.breaches) {
            if *count > 0 {
                teller.breached(rule, std::mem::take(count));
            }
        }
    }
}

/// Frames that are counted together before anybody is told.
const REPORT_AFTER: u32 = 256;

/// Who counts for the outside.
pub(crate) trait Teller {
    /// So many frames of this one of [`KINDS`].
    fn frames(&self, kind: usize, count: u32);
    /// A rule was broken so many times.
    fn breached(&self, rule: Rule, count: u32);
}
