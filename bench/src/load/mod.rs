//! Load generators: closed or open, over HTTP/1.1, HTTP/2, gRPC, WebSocket and plain bytes.
//!
//! [`run`] does what a [`Plan`] says and tells what came of it, as an [`Outcome`]. The clients are
//! our own and do as little as they can, because on a small machine they share the cores with what
//! they measure. Every answer is checked: a load with failures is no measurement.

mod client;
mod drive;
mod frames;
mod http1;
mod http2;
mod io;
mod outcome;
mod pace;
mod plan;
mod raw;
mod tally;
mod websocket;

use std::cell::Cell;

pub use drive::run;
pub use outcome::{Latency, Outcome, Weights};
pub use plan::{Expect, Idle, Pace, Plan, Protocol, Seconds, Tls};

use self::io::Dial;
use self::pace::Schedule;
use self::tally::Tally;

/// What the clients of one thread share.
pub(crate) struct Shared {
    dial: Dial,
    schedule: Schedule,
    tally: Tally,
    expect: Expect,
    streams: usize,
    churn: bool,
    ready: Cell<usize>,
}

impl Shared {
    /// A held connection is there.
    fn ready(&self) {
        self.ready.set(self.ready.get() + 1);
    }
}
