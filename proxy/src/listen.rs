//! Listening sockets and the accept loop, which never ends on an error.
//!
//! Each worker has its own socket of each address, so the kernel spreads connections over workers
//! (SO_REUSEPORT). No socket of an address is closed while its door lives: closing one would reset
//! the connections that wait in its queue.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// What tells one listening address from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BindKey {
    /// The address as it was declared, port 0 included.
    pub address: SocketAddr,
    /// The interface, if one was named.
    pub interface: Option<Arc<str>>,
    /// The door, where the address alone does not tell doors apart (port 0).
    pub door: Option<Arc<str>>,
}

/// The sockets of one address.
#[derive(Debug)]
pub struct Bound {
    /// What was asked for.
    pub key: BindKey,
    /// The address that the kernel gave.
    pub address: SocketAddr,
    /// One per worker, or fewer where they were inherited.
    pub sockets: Vec<TcpListener>,
}

/// Sockets that came from systemd or from the process before us, by the address they listen on.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: HashMap<SocketAddr, Vec<TcpListener>>,
}

/// The two addresses of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

const BACKLOG: i32 = 4096;

impl Inherited {
    /// Takes listening sockets over. What listens on nothing is dropped.
    pub fn new(descriptors: impl IntoIterator<Item = OwnedFd>) -> Self {
        let mut inherited = Self::default();
        for descriptor in descriptors {
            let socket = TcpListener::from(descriptor);
            if let Ok(address) = socket.local_addr() {
                inherited.sockets.entry(address).or_default().push(socket);
            }
        }
        inherited
    }

    /// The addresses that nobody has asked for.
    pub fn unused(&self) -> impl Iterator<Item = &SocketAddr> {
        self.sockets.keys()
    }

    fn take(&mut self, address: SocketAddr) -> Option<Vec<TcpListener>> {
        self.sockets.remove(&address)
    }
}

/// Binds an address once per worker, or takes its inherited sockets.
pub(crate) fn bind(key: &BindKey, workers: usize, inherited: &mut Inherited) -> io::Result<Bound> {
    if let Some(sockets) = inherited.take(key.address) {
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        return Ok(Bound {
            key: key.clone(),
            address: key.address,
            sockets,
        });
    }
    let first = bind_one(key, key.address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(bind_one(key, address)?);
    }
    Ok(Bound {
        key: key.clone(),
        address,
        sockets,
    })
}

fn bind_one(key: &BindKey, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // `[::]` serves both families; a specific address serves itself.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if let Some(interface) = &key.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl Bound {
    /// Sets the options of the connections that are accepted from now on.
    pub(crate) fn tune(&self, keep_alive: Duration) {
        for socket in &self.sockets {
            tune(&SockRef::from(socket), keep_alive);
        }
    }

    /// The socket for each worker: its own, or a share of what there is.
    pub(crate) fn for_workers(&self, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
        let mut spread: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
        let rounds = workers.max(self.sockets.len());
        for round in 0..rounds {
            let socket = self.sockets.get(round % self.sockets.len().max(1));
            let place = spread.get_mut(round % workers.max(1));
            if let (Some(socket), Some(place)) = (socket, place) {
                place.push(socket.try_clone()?);
            }
        }
        Ok(spread)
    }
}

/// Options of every connection; a socket that refuses them still works. Accepted connections have
/// those of the socket that they were accepted on, so for them it is that one which is tuned.
///
/// How many probes go unanswered is up to the user timeout, which also ends what is not probed.
pub(crate) fn tune(socket: &SockRef<'_>, keep_alive: Duration) {
    let probes = TcpKeepalive::new()
        .with_time(keep_alive)
        .with_interval(Duration::from_secs(10));
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&probes);
    let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(30)));
}

/// How long to wait after a failed accept: not at all for a connection that is gone already, a
/// moment that grows for a shortage of descriptors or memory.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    wait: Duration,
}

impl Patience {
    pub(crate) fn after(&mut self, error: &io::Error) -> Duration {
        const FIRST: Duration = Duration::from_millis(5);
        const LONGEST: Duration = Duration::from_millis(500);
        match error.kind() {
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted => Duration::ZERO,
            _ => {
                self.wait = (self.wait * 2).clamp(FIRST, LONGEST);
                self.wait
            }
        }
    }

    pub(crate) fn reset(&mut self) {
        self.wait = Duration::ZERO;
    }
}
