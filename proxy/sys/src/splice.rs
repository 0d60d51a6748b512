//! Moving bytes between two sockets without copying them through our memory.
//!
//! A [`Pipe`] holds the bytes of one direction while they are between the sockets. It is filled only
//! when it is empty: then "would block" can only mean that the source has nothing, and while it is
//! not empty only that the sink takes nothing, so readiness is never cleared for the wrong socket.
//! Pipe memory is kernel memory that Linux grants sparingly per user, hence the [budget](BUDGET).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

const KIB: usize = 1024;

/// Sizes that are tried: the largest that unprivileged processes may have by default
/// (`fs.pipe-max-size`), down to the one below which copying is as good.
const SIZES: [usize; 3] = [1024 * KIB, 256 * KIB, 64 * KIB];

/// All pipes of the process together. Linux gives a user 64 MiB (`fs.pipe-user-pages-soft`); beyond
/// that every new pipe of the user, ours or not, shrinks to one or two pages.
pub const BUDGET: usize = 48 * 1024 * KIB;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// A pipe between two sockets.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    capacity: usize,
    filled: usize,
}

impl Pipe {
    /// A pipe of at most `hint` bytes, smaller as the budget runs low. `None` if there is none to be
    /// had: the caller copies instead.
    pub fn new(hint: usize) -> Option<Self> {
        let wanted = SIZES
            .iter()
            .copied()
            .filter(|&size| size <= hint.max(64 * KIB));
        let reserved = wanted.into_iter().find(|&size| reserve(size))?;
        let pipe = open(reserved);
        let real = pipe.as_ref().map_or(0, |pipe| pipe.capacity);
        release(reserved - real);
        pipe
    }

    /// How much it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether no byte is under way.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// How many bytes are under way.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Takes what the source has, up to `most` bytes, without waiting; 0 is its end. Only for an
    /// empty pipe.
    pub fn splice_in(&mut self, source: impl AsFd, most: usize) -> io::Result<usize> {
        debug_assert!(self.is_empty(), "the pipe is filled only when it is empty");
        let moved = splice(source, &self.write, self.capacity.min(most))?;
        self.filled += moved;
        Ok(moved)
    }

    /// Gives the sink what it takes, without waiting. A sink whose other end is gone raises SIGPIPE,
    /// which Rust programs ignore from their start.
    pub fn splice_out(&mut self, sink: impl AsFd) -> io::Result<usize> {
        let moved = splice(&self.read, sink, self.filled)?;
        self.filled -= moved.min(self.filled);
        Ok(moved)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        release(self.capacity);
    }
}

/// Opens a pipe of `size`, or of the next size that the kernel grants. None smaller than the
/// smallest of [`SIZES`]: it would cost more than it saves.
fn open(size: usize) -> Option<Pipe> {
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (read, write) = rustix::pipe::pipe_with(flags).ok()?;
    let smaller = SIZES.iter().filter(|&&candidate| candidate <= size);
    for &candidate in smaller {
        if rustix::pipe::fcntl_setpipe_size(&write, candidate).is_ok() {
            break;
        }
    }
    // What the kernel made of it is not always what was asked for.
    let real = rustix::pipe::fcntl_getpipe_size(&write).ok()?;
    let capacity = real.min(size);
    let smallest = SIZES.last().copied().unwrap_or_default();
    (real >= smallest).then(|| Pipe {
        read,
        write,
        capacity,
        filled: 0,
    })
}

fn splice(from: impl AsFd, to: impl AsFd, limit: usize) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        match rustix::pipe::splice(&from, None, &to, None, limit, flags) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Takes `size` from the budget. Large pipes stop early, so that many connections share what is
/// left: half of it goes to pipes of any size, the last sixth to the smallest only.
fn reserve(size: usize) -> bool {
    let ceiling = match size {
        size if size > 256 * KIB => BUDGET / 2,
        size if size > 64 * KIB => BUDGET / 6 * 5,
        _ => BUDGET,
    };
    let take = |held: usize| held.checked_add(size).filter(|&held| held <= ceiling);
    HELD.try_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
}

fn release(size: usize) {
    HELD.fetch_sub(size, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;

    use super::*;

    /// The budget is one for the process: tests that count on it take turns.
    static TURN: Mutex<()> = Mutex::new(());

    fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        (near, far)
    }

    fn block_until<T>(mut step: impl FnMut() -> io::Result<T>) -> T {
        loop {
            match step() {
                Ok(value) => return value,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn bytes_come_out_as_they_went_in_and_the_end_is_seen() {
        let _turn = TURN.lock().unwrap();
        let (mut client, source) = sockets();
        let (mut server, sink) = sockets();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let writer = std::thread::spawn(move || client.write_all(&sent).unwrap());
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            server.read_to_end(&mut received).unwrap();
            received
        });
        let mut pipe = Pipe::new(1024 * KIB).unwrap();
        while block_until(|| pipe.splice_in(&source, usize::MAX)) > 0 {
            while !pipe.is_empty() {
                block_until(|| pipe.splice_out(&sink));
            }
        }
        drop(sink);
        writer.join().unwrap();
        assert!(reader.join().unwrap() == expected);
    }

    #[test]
    fn an_idle_source_and_a_full_sink_would_block() {
        let _turn = TURN.lock().unwrap();
        let (mut client, source) = sockets();
        let (_server, sink) = sockets();
        let mut pipe = Pipe::new(64 * KIB).unwrap();
        let idle = pipe.splice_in(&source, usize::MAX).unwrap_err();
        assert_eq!(idle.kind(), io::ErrorKind::WouldBlock);
        client.set_nonblocking(true).unwrap();
        let stuck = loop {
            let _ = client.write(&[1; 65536]);
            if pipe.is_empty() {
                block_until(|| pipe.splice_in(&source, usize::MAX));
            }
            if let Err(error) = pipe.splice_out(&sink) {
                break error;
            }
        };
        assert_eq!(stuck.kind(), io::ErrorKind::WouldBlock);
        assert!(!pipe.is_empty(), "what did not go out is still there");
    }

    #[test]
    fn the_budget_bounds_all_pipes_and_comes_back() {
        let _turn = TURN.lock().unwrap();
        let pipes: Vec<Pipe> = std::iter::from_fn(|| Pipe::new(1024 * KIB)).collect();
        let total: usize = pipes.iter().map(Pipe::capacity).sum();
        assert!(total <= BUDGET, "{total}");
        assert_eq!(HELD.load(Ordering::Relaxed), total);
        assert!(
            pipes.len() > 100,
            "many flows share the budget: {}",
            pipes.len()
        );
        drop(pipes);
        assert_eq!(HELD.load(Ordering::Relaxed), 0);
        assert!(Pipe::new(1024 * KIB).is_some());
    }
}
