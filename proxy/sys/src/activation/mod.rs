//! What the init system gives and wants: sockets that are open before we start, and news of us.
//!
//! The protocol is that of systemd's `sd_listen_fds` and `sd_notify`. The environment is read by the
//! caller and passed in; nothing here knows where it came from.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FileType;
use rustix::io::FdFlags;

/// The first passed descriptor, by convention.
const FIRST: RawFd = 3;
/// More than any unit lists; keeps a wild number from becoming a long loop.
const MAX_SOCKETS: RawFd = 4096;

/// Descriptors are owned once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The variables of socket activation, as found in the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActivationEnv<'a> {
    /// `LISTEN_PID`: for whom the sockets are.
    pub pid: Option<&'a str>,
    /// `LISTEN_FDS`: how many there are.
    pub fds: Option<&'a str>,
    /// `LISTEN_FDNAMES`: what they are called, with colons between.
    pub names: Option<&'a str>,
}

/// Why passed sockets cannot be used.
#[derive(Debug)]
pub enum ActivationError {
    /// `LISTEN_FDS` is no number that makes sense.
    Count(String),
    /// `LISTEN_FDNAMES` does not name each socket.
    Names {
        /// How many sockets there are.
        sockets: usize,
        /// How many names.
        names: usize,
    },
    /// A descriptor is not open.
    Closed(RawFd, io::Error),
    /// A descriptor is no listening stream socket; units need `ListenStream=` and `Accept=no`.
    NotListening(RawFd),
}

impl fmt::Display for ActivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(text) => write!(f, "LISTEN_FDS is not a number of sockets: `{text}`"),
            Self::Names { sockets, names } => {
                write!(f, "LISTEN_FDNAMES has {names} names for {sockets} sockets")
            }
            Self::Closed(number, _) => write!(f, "passed descriptor {number} is not open"),
            Self::NotListening(number) => write!(
                f,
                "passed descriptor {number} is not a listening stream socket; \
                 the socket unit needs ListenStream= and Accept=no"
            ),
        }
    }
}

impl std::error::Error for ActivationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed(_, error) => Some(error),
            Self::Count(_) | Self::Names { .. } | Self::NotListening(_) => None,
        }
    }
}

/// Takes over the sockets that were passed to this process, with their names. Empty when there are
/// none, when they are for another process, or when they were taken before. To be called early:
/// the descriptors from 3 on must still be those of the init system.
pub fn listen_fds(env: ActivationEnv<'_>) -> Result<Vec<(String, OwnedFd)>, ActivationError> {
    let (Some(pid), Some(count)) = (env.pid, env.fds) else {
        return Ok(Vec::new());
    };
    if pid.parse() != Ok(std::process::id()) {
        return Ok(Vec::new());
    }
    let number = count
        .parse()
        .ok()
        .filter(|number| (0..=MAX_SOCKETS).contains(number));
    let number: RawFd = number.ok_or_else(|| ActivationError::Count(count.to_owned()))?;
    let names = names(env.names, number as usize)?;
    for descriptor in FIRST..FIRST + number {
        check(descriptor)?;
    }
    if number == 0 || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    Ok(names.into_iter().zip((FIRST..).map(adopt)).collect())
}

/// One name per socket; without names they are called as systemd calls them.
fn names(names: Option<&str>, sockets: usize) -> Result<Vec<String>, ActivationError> {
    let Some(names) = names.filter(|_| sockets > 0) else {
        return Ok(vec!["unknown".to_owned(); sockets]);
    };
    let names: Vec<String> = names.split(':').map(str::to_owned).collect();
    if names.len() == sockets {
        Ok(names)
    } else {
        Err(ActivationError::Names {
            sockets,
            names: names.len(),
        })
    }
}

/// Whether the descriptor is a listening stream socket; closes it on exec from now on.
#[expect(unsafe_code, reason = "a number becomes a descriptor")]
fn check(number: RawFd) -> Result<(), ActivationError> {
    let closed = |error: rustix::io::Errno| ActivationError::Closed(number, error.into());
    // SAFETY: the number is not negative, and the borrow ends with this function, which is called
    // before other threads exist that could close it. If it is not open, the first call says so.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC).map_err(closed)?;
    let status = rustix::fs::fstat(descriptor).map_err(closed)?;
    let socket = FileType::from_raw_mode(status.st_mode) == FileType::Socket;
    // Only stream and packet sockets can listen.
    if socket && rustix::net::sockopt::socket_acceptconn(descriptor) == Ok(true) {
        Ok(())
    } else {
        Err(ActivationError::NotListening(number))
    }
}

#[expect(unsafe_code, reason = "a number becomes a descriptor")]
fn adopt(number: RawFd) -> OwnedFd {
    // SAFETY: `check` found it open, the init system opened it for this process alone
    // (`LISTEN_PID`), nothing else in the process refers to it, and `TAKEN` lets only one caller
    // come here.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Tells the init system something, such as `READY=1`. The socket is that of `NOTIFY_SOCKET`: a path,
/// or an abstract name after `@`.
pub fn notify(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(Path::new(socket))?,
        _ => {
            let what = "NOTIFY_SOCKET is neither a path nor an abstract name";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
    };
    let sender = UnixDatagram::unbound()?;
    let sent = sender.send_to_addr(state.as_bytes(), &address)?;
    if sent == state.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

#[cfg(test)]
mod tests;
