//! Listening sockets from elsewhere: the service manager, or the adit that runs already.
//!
//! A successor asks over a socket in the state directory that only the owner can open. It gets the
//! listening sockets and the ticket secrets, starts, and says when it is ready; only then does the
//! process before it drain. If the successor goes away first, nothing has happened.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use adit_proxy::Proxy;
use adit_proxy::listen::Inherited;
use adit_sys::activation::{self, ActivationEnv};
use adit_sys::handover::{recv_fds, send_fds};
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;

use super::state::State;

const PATIENCE: Duration = Duration::from_secs(5);
const MOST_SOCKETS: usize = 4096;
const GREETING: &[u8] = b"adit take-over 1\n";
const READY: &[u8] = b"ready\n";

/// Sockets that came with the process.
#[derive(Debug, Default)]
pub(super) struct Inheritance {
    sockets: Vec<OwnedFd>,
}

/// Takes the sockets of systemd (`LISTEN_FDS`), if there are any.
pub(super) fn from_service_manager(managed: bool) -> Inheritance {
    if !managed {
        return Inheritance::default();
    }
    let value = |name| std::env::var(name).ok();
    let (pid, fds, names) = (
        value("LISTEN_PID"),
        value("LISTEN_FDS"),
        value("LISTEN_FDNAMES"),
    );
    let found = activation::listen_fds(ActivationEnv {
        pid: pid.as_deref(),
        fds: fds.as_deref(),
        names: names.as_deref(),
    });
    match found {
        Ok(sockets) => Inheritance {
            sockets: sockets.into_iter().map(|(_, socket)| socket).collect(),
        },
        Err(error) => {
            eprintln!("adit: sockets of the service manager cannot be used: {error}");
            Inheritance::default()
        }
    }
}

impl Inheritance {
    /// Joined with what a predecessor gave.
    pub(super) fn with(
        mut self,
        mut predecessor: Option<Predecessor>,
    ) -> (Inherited, Option<Predecessor>) {
        if let Some(predecessor) = &mut predecessor {
            self.sockets.append(&mut predecessor.sockets);
        }
        (Inherited::new(self.sockets), predecessor)
    }
}

/// Tells the service manager, if there is one.
pub(super) fn notify(managed: bool, state: &str) {
    if !managed {
        return;
    }
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = activation::notify(&socket, state)
    {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// The process that serves until we are ready.
#[derive(Debug)]
pub(super) struct Predecessor {
    stream: UnixStream,
    sockets: Vec<OwnedFd>,
    tickets: Vec<u8>,
}

impl Predecessor {
    pub(super) fn connect(state: &State) -> io::Result<Self> {
        let path = state
            .socket()
            .ok_or_else(|| io::Error::other("no state directory"))?;
        let mut stream = UnixStream::connect(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(GREETING)?;
        let (sockets, tickets) = recv_fds(&stream, MOST_SOCKETS)?;
        Ok(Self {
            stream,
            sockets,
            tickets,
        })
    }

    /// Its ticket secrets.
    pub(super) fn tickets(&self) -> Option<&[u8]> {
        Some(self.tickets.as_slice()).filter(|tickets| !tickets.is_empty())
    }

    /// Tells it to drain.
    pub(super) fn release(mut self) {
        if let Err(error) = self.stream.write_all(READY) {
            tracing::warn!(%error, "the process before us cannot be told to drain");
        }
    }
}

/// Waits for successors.
pub(super) struct Succession {
    listener: UnixListener,
}

impl Succession {
    /// Listens in the state directory; whoever listened there before is replaced.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// The next successor that asks.
    pub(super) async fn next(&self) -> tokio::net::UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "a successor could not be answered");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// Gives a successor what it needs. The answer comes back when it is ready.
pub(super) async fn hand_over(
    mut stream: tokio::net::UnixStream,
    proxy: &Proxy,
    tickets: &[u8],
) -> io::Result<tokio::net::UnixStream> {
    // Whoever opens the socket and says nothing does not hold up signals and reloads for long.
    const GREETING_WITHIN: Duration = Duration::from_millis(500);
    let mut greeting = [0; GREETING.len()];
    let greeted = tokio::time::timeout(GREETING_WITHIN, stream.read_exact(&mut greeting));
    greeted
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if greeting != *GREETING {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a successor of this version",
        ));
    }
    proxy.with_sockets(|sockets| send_fds(&stream, sockets, tickets))?;
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}

/// Whether the successor became ready; `false` if it went away.
pub(super) async fn became_ready(stream: &mut tokio::net::UnixStream) -> bool {
    let mut word = [0; READY.len()];
    stream.read_exact(&mut word).await.is_ok() && word == *READY
}
