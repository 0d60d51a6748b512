//! Slow clients, thousands at a time: each does a little and then nearly nothing.
//!
//! One thread moves all clients of a kind. A client that is ended is replaced; how long the longest
//! lived is compared with the deadline of its kind.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// What slow clients do.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The door that they come to.
    pub(super) door: &'static str,
    pub(super) deadline: Duration,
    /// What is sent at once.
    pub(super) opening: &'static [u8],
    /// What is sent again and again, a byte at a time; nothing for those who are silent.
    pub(super) drip: &'static [u8],
}

/// All kinds, with the deadlines that hold by default.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "slow heads",
        door: "web",
        deadline: Duration::from_secs(10),
        opening: b"GET / HTTP/1.1\r\nHost: www.example.test\r\n",
        drip: b"X-A: b\r\n",
    },
    Kind {
        name: "slow bodies",
        door: "web",
        deadline: Duration::from_secs(35),
        opening:
            b"POST /upload HTTP/1.1\r\nHost: www.example.test\r\nContent-Length: 1000000\r\n\r\n",
        drip: b"",
    },
    Kind {
        name: "slow readers",
        door: "web",
        deadline: Duration::from_secs(35),
        opening: b"GET /size/20000000 HTTP/1.1\r\nHost: www.example.test\r\n\r\n",
        drip: b"",
    },
    Kind {
        name: "slow handshakes",
        door: "webs",
        deadline: Duration::from_secs(10),
        opening: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        drip: b"\0",
    },
    Kind {
        name: "silent clients",
        door: "web",
        deadline: Duration::from_secs(5),
        opening: b"",
        drip: b"",
    },
    Kind {
        name: "slow PROXY headers",
        door: "told",
        deadline: Duration::from_secs(5),
        opening: b"PROXY TCP6 ",
        drip: b"2",
    },
];

/// What became of the clients of a kind.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) ended: usize,
    /// The longest life of one that was ended.
    pub(super) longest: Duration,
    /// Those that lived beyond all patience.
    pub(super) immortal: usize,
}

struct Client {
    stream: TcpStream,
    born: Instant,
    dripped: usize,
}

/// Connects from an address of loopback of its own, since limits count by address.
pub(super) fn dial(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    // Little room, so that those who do not read are noticed early.
    socket.set_recv_buffer_size(4096).ok()?;
    socket.bind(&SocketAddr::from((from, 0)).into()).ok()?;
    socket
        .connect_timeout(&to.into(), Duration::from_secs(5))
        .ok()?;
    Some(socket.into())
}

impl Client {
    fn new(kind: &Kind, from: Ipv4Addr, to: SocketAddr) -> Option<Self> {
        let mut stream = dial(from, to)?;
        stream.write_all(kind.opening).ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(Self {
            stream,
            born: Instant::now(),
            dripped: 0,
        })
    }

    /// Whether it has been ended. Readers do not read: they see the end when they write.
    fn is_over(&mut self, kind: &Kind) -> bool {
        if let Some(byte) = kind.drip.get(self.dripped % kind.drip.len().max(1)) {
            self.dripped += 1;
            let sent = self.stream.write(&[*byte]);
            if sent.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
                return true;
            }
        }
        if kind.name == "slow readers" {
            return matches!(self.stream.take_error(), Ok(Some(_)) | Err(_))
                || self.stream.peer_addr().is_err();
        }
        let mut block = [0; 1024];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}

/// Keeps so many clients of a kind at work until told to stop.
pub(super) fn besiege(
    kind: &'static Kind,
    count: usize,
    number: u8,
    to: SocketAddr,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Outcome> {
    thread::spawn(move || {
        let mut outcome = Outcome::default();
        let mut clients: Vec<Client> = Vec::new();
        let patience = 3 * kind.deadline + Duration::from_secs(10);
        while !stop.load(Ordering::Relaxed) {
            let turn = Instant::now();
            // Forty at a time: an attacker does not want to be seen.
            for _ in 0..40 {
                if clients.len() == count {
                    break;
                }
                let host = (clients.len() / 250) as u8 + 1;
                let from = Ipv4Addr::new(127, 66, number, host);
                clients.extend(Client::new(kind, from, to));
            }
            clients.retain_mut(|client| {
                let age = client.born.elapsed();
                let over = client.is_over(kind);
                if over {
                    outcome.ended += 1;
                    outcome.longest = outcome.longest.max(age);
                }
                let immortal = age > patience;
                outcome.immortal += usize::from(immortal && !over);
                !over && !immortal
            });
            let left = Duration::from_millis(300).saturating_sub(turn.elapsed());
            crate::support::pass(left);
        }
        outcome
    })
}
