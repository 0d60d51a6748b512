//! A backend that does exactly what a test tells it, byte for byte.
//!
//! For what no well-behaved server does: broken framing, silence, early closes, stray bytes. Each
//! connection runs the test's function on a thread of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::PATIENCE;
use super::raw::Raw;

#[derive(Debug)]
pub(crate) struct Backend {
    addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Backend {
    /// Runs `script` on every connection; the number says which one it is, from 0.
    pub(crate) fn start(script: impl Fn(usize, Raw) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::new(AtomicBool::new(false));
        let (count, stop) = (Arc::clone(&accepted), Arc::clone(&stopped));
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                let script = Arc::clone(&script);
                let number = count.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || script(number, Raw::over(stream)));
            }
        });
        Self {
            addr,
            accepted,
            stopped,
        }
    }

    /// Reads one request head on each connection, answers these bytes and closes.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, mut client| {
            if client.try_until_head() {
                let _ = client.try_send(&bytes);
                client.finish();
                client.drain();
            }
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.addr);
    }
}
