//! A relay that makes the way longer: what comes in goes out a fixed time later.
//!
//! Kernels that cannot delay packets, and users without privileges, still want to know what a
//! round-trip time does to an upload. Bytes are held, not packets: TCP itself stays on loopback, so
//! that what is left to see is the flow control of HTTP/2.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// Bytes that may be on the way in one direction.
const ON_THE_WAY: usize = 64 << 20;

/// What is read at once.
const READ: usize = 64 * 1024;

/// A running relay; dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct Relay {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Relay {
    /// Relays to `target`, and takes `delay` each way.
    pub(crate) fn start(target: SocketAddr, delay: Duration) -> io::Result<Self> {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let addr = socket.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let Ok(listener) = TcpListener::from_std(socket) else {
                        return;
                    };
                    let mut connections = tokio::task::JoinSet::new();
                    let accepting = async {
                        while let Ok((stream, _)) = listener.accept().await {
                            connections.spawn(relay(stream, target, delay));
                        }
                    };
                    tokio::select! {
                        _ = stopped => {}
                        () = accepting => {}
                    }
                });
            })?;
        Ok(Self {
            addr,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has already been printed.
            let _ = thread.join();
        }
    }
}

/// One connection; its end at one side becomes its end at the other.
async fn relay(client: TcpStream, target: SocketAddr, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = direction(from_client, to_server, delay);
    let back = direction(from_server, to_client, delay);
    tokio::try_join!(there, back)?;
    Ok(())
}

type Held = (Instant, Bytes, OwnedSemaphorePermit);

async fn direction(from: OwnedReadHalf, to: OwnedWriteHalf, delay: Duration) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(ON_THE_WAY / 1024);
    tokio::try_join!(take(from, sender, delay), give(to, receiver))?;
    Ok(())
}

async fn take(
    mut from: OwnedReadHalf,
    held: mpsc::Sender<Held>,
    delay: Duration,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(ON_THE_WAY));
    let mut input = BytesMut::new();
    loop {
        input.reserve(READ);
        if from.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let due = Instant::now() + delay;
        let piece = input.split().freeze();
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        let permit = Arc::clone(&room).acquire_many_owned(length).await;
        let permit = permit.map_err(io::Error::other)?;
        if held.send((due, piece, permit)).await.is_err() {
            return Ok(());
        }
    }
}

async fn give(mut to: OwnedWriteHalf, mut held: mpsc::Receiver<Held>) -> io::Result<()> {
    while let Some((due, mut piece, _room)) = held.recv().await {
        tokio::time::sleep_until(due).await;
        to.write_all_buf(&mut piece).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Instant;

    use super::*;
    use crate::{Kind, Origin};

    #[test]
    fn bytes_take_their_time_and_arrive_whole() {
        let origin = Origin::start(Kind::Raw, "raw", (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let delay = Duration::from_millis(20);
        let relay = Relay::start(origin.addr(), delay).unwrap();
        let mut stream = std::net::TcpStream::connect(relay.addr()).unwrap();
        let begun = Instant::now();
        let mut command = vec![b'D'];
        command.extend(100_000u64.to_be_bytes());
        stream.write_all(&command).unwrap();
        let mut body = vec![0; 100_000];
        stream.read_exact(&mut body).unwrap();
        assert!(begun.elapsed() >= 2 * delay);
        assert!(
            body.chunks(16)
                .all(|part| b"abcdefghijklmnop".starts_with(part))
        );
    }
}
