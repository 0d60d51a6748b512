//! One client: takes what is due, does it, and tells how it went.
//!
//! A connection that breaks is a failure and is made again; one that the server closed between two
//! units is not. With churn each unit has a connection of its own, and making it is part of it.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

use super::Shared;
use super::http1::{self, Http1};
use super::http2::{self, End, Http2, Life};
use super::io::Io;
use super::raw::{Job, Raw};
use super::websocket::{Message, WebSocket};

/// Pause after a failure: a server that refuses must not be hammered.
const PAUSE: Duration = Duration::from_millis(20);

/// Attempts of a unit that met a connection which was closed under it.
const ATTEMPTS: u32 = 3;

/// A unit of those protocols that do one at a time.
pub(crate) enum Unit {
    Http1(http1::Request),
    WebSocket(Message),
    Raw(Job),
}

enum Session {
    Http1(Http1),
    WebSocket(WebSocket),
    Raw(Raw),
}

impl Session {
    async fn open(shared: &Shared, unit: &Unit) -> io::Result<Self> {
        let (io, resumed) = shared.dial.connect().await?;
        shared.tally.connected(resumed);
        Ok(match unit {
            Unit::Http1(_) => Self::Http1(Http1::new(io)),
            Unit::WebSocket(message) => Self::WebSocket(WebSocket::open(io, message).await?),
            Unit::Raw(_) => Self::Raw(Raw::new(io)),
        })
    }

    async fn once(&mut self, shared: &Shared, unit: &Unit) -> io::Result<bool> {
        match (self, unit) {
            (Self::Http1(http1), Unit::Http1(request)) => http1.once(request, &shared.tally).await,
            (Self::WebSocket(socket), Unit::WebSocket(message)) => {
                socket.once(message, &shared.tally).await
            }
            (Self::Raw(raw), Unit::Raw(job)) => raw.once(*job, &shared.tally).await,
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn into_io(self) -> Io {
        match self {
            Self::Http1(http1) => http1.into_io(),
            Self::WebSocket(socket) => socket.into_io(),
            Self::Raw(raw) => raw.into_io(),
        }
    }
}

/// Works, one unit at a time, until the load is over.
pub(crate) async fn serial(shared: Rc<Shared>, unit: Rc<Unit>, slot: Slot) {
    let mut session = None;
    while let Some(intended) = shared.schedule.next().await {
        if shared.schedule.is_open() {
            shared.tally.late(intended.elapsed());
        }
        slot.set(Some(intended));
        match attempt(&shared, &unit, &mut session).await {
            Ok(()) => shared.tally.done(intended),
            Err(error) => {
                session = None;
                shared.tally.failed(&describe(&error));
                tokio::time::sleep(PAUSE).await;
            }
        }
        slot.set(None);
    }
}

/// The begin of the unit that a client is at, so that the end of the load can account for it.
pub(crate) type Slot = Rc<std::cell::Cell<Option<Instant>>>;

async fn attempt(shared: &Shared, unit: &Unit, session: &mut Option<Session>) -> io::Result<()> {
    for attempt in 1.. {
        let reused = session.is_some();
        let mut now = match session.take() {
            Some(session) => session,
            None => Session::open(shared, unit).await?,
        };
        match now.once(shared, unit).await {
            Ok(keep) => {
                if keep && !shared.churn {
                    *session = Some(now);
                } else if !shared.churn {
                    shared.tally.moved();
                }
                return Ok(());
            }
            // Closed before a byte of an answer came: begun on a connection that had just ended.
            Err(error) if reused && attempt < ATTEMPTS && unanswered(&error) => {
                shared.tally.moved();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn unanswered(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotConnected | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

/// Works over one HTTP/2 connection after the other until the load is over.
pub(crate) async fn parallel(shared: Rc<Shared>, request: Rc<http2::Request>) {
    let mut returned = VecDeque::new();
    while !shared.schedule.is_over() {
        let (io, resumed) = match shared.dial.connect().await {
            Ok(made) => made,
            Err(error) => {
                shared.tally.failed(&describe(&error));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        shared.tally.connected(resumed);
        let life = if shared.churn { Life::Once } else { Life::Long };
        let mut connection =
            Http2::new(io, Rc::clone(&shared), Rc::clone(&request), life, returned);
        match connection.run().await {
            Ok((End::Over, _)) => return,
            Ok((End::Moved, back)) => returned = back,
            Err(error) => {
                let lost = connection.in_flight().count().max(1);
                for _ in 0..lost {
                    shared.tally.failed(&describe(&error));
                }
                returned = VecDeque::new();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Opens a connection, asks once if it shall, and holds it until the load is over.
pub(crate) async fn hold(shared: Rc<Shared>, work: Work, ask: bool) {
    let held = async {
        match work {
            Work::Serial(unit) if ask => {
                let mut session = Session::open(&shared, &unit).await?;
                session.once(&shared, &unit).await?;
                shared.ready();
                silence(&shared, session.into_io()).await
            }
            Work::Parallel(request) if ask => {
                let (io, _) = shared.dial.connect().await?;
                let alone = Rc::clone(&shared);
                let ask = VecDeque::from([Instant::now()]);
                let mut one = Http2::new(io, alone, request, Life::Held, ask);
                one.run().await.map(|_| ())
            }
            Work::Serial(_) | Work::Parallel(_) => {
                let (io, _) = shared.dial.connect().await?;
                shared.ready();
                silence(&shared, io).await
            }
        }
    };
    if let Err(error) = held.await {
        shared.tally.failed(&describe(&error));
    }
}

/// What clients do.
#[derive(Clone)]
pub(crate) enum Work {
    Serial(Rc<Unit>),
    Parallel(Rc<http2::Request>),
}

/// Nothing must come, not even the end.
async fn silence(shared: &Shared, mut io: Io) -> io::Result<()> {
    let mut byte = [0];
    tokio::select! {
        () = shared.schedule.ended() => Ok(()),
        read = io.read(&mut byte) => {
            read?;
            Err(io::Error::other("an idle connection was ended"))
        }
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Other => error.to_string(),
        io::ErrorKind::NotConnected => "closed without an answer".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed within an answer".to_owned(),
        kind => kind.to_string(),
    }
}
