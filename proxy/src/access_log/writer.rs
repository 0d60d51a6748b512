//! The thread that writes the log.
//!
//! It takes whole buffers from a bounded queue, so that a slow disk or a stopped pipe costs log
//! lines and never a request. A failed write drops its buffer and counts it; the next one starts on
//! a fresh line. Reopening is a flag that the thread looks at before each write.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::AccessLogTarget;

/// Buffers that may wait.
const QUEUE: usize = 64;

/// A target that takes nothing for so long is given up for the buffer at hand.
const STALL: Duration = Duration::from_secs(5);

enum Message {
    Lines {
        lines: Vec<u8>,
        count: u64,
    },
    /// Wakes the thread to look at its flags.
    Wake,
    Finish,
}

#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    reopen: AtomicBool,
}

/// The sending side.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    ended: Mutex<Receiver<()>>,
}

impl Writer {
    pub(super) fn start(target: AccessLogTarget) -> io::Result<Self> {
        let output = Output::open(&target)?;
        let (queue, messages) = sync_channel(QUEUE);
        let (end, ended) = sync_channel::<()>(1);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("access-log".into())
            .spawn(move || {
                Sink {
                    target,
                    output,
                    midline: false,
                    failing: false,
                    shared: theirs,
                }
                .run(&messages);
                // Its end is what `finish` waits for.
                drop(end);
            })?;
        Ok(Self {
            queue,
            shared,
            ended: Mutex::new(ended),
        })
    }

    pub(super) fn send(&self, lines: Vec<u8>, count: u64) {
        if self
            .queue
            .try_send(Message::Lines { lines, count })
            .is_err()
        {
            self.shared.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // A full queue means that the thread is awake.
        let _ = self.queue.try_send(Message::Wake);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn finish(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let mut message = Message::Finish;
        while let Err(TrySendError::Full(unsent)) = self.queue.try_send(message) {
            message = unsent;
            let wait = ended.recv_timeout(Duration::from_millis(5));
            if wait != Err(RecvTimeoutError::Timeout) || Instant::now() >= deadline {
                return;
            }
        }
        let _ = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// The receiving side.
struct Sink {
    target: AccessLogTarget,
    output: Output,
    /// The last write broke off within a line.
    midline: bool,
    failing: bool,
    shared: Arc<Shared>,
}

impl Sink {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            if self.shared.reopen.swap(false, Ordering::Acquire) {
                self.reopen();
            }
            match message {
                Message::Lines { lines, count } => self.write(&lines, count),
                Message::Wake => {}
                Message::Finish => return,
            }
        }
    }

    fn write(&mut self, lines: &[u8], count: u64) {
        let started = if self.midline {
            self.output.write_all(b"\n").map_err(|(_, e)| e)
        } else {
            Ok(())
        };
        let result = started
            .map_err(|error| (0, error))
            .and_then(|()| self.output.write_all(lines));
        match result {
            Ok(()) => {
                self.midline = false;
                if std::mem::take(&mut self.failing) {
                    tracing::info!("access log is written again");
                }
            }
            Err((written, error)) => {
                let complete = lines.get(..written).unwrap_or_default();
                let kept = memchr::memchr_iter(b'\n', complete).count() as u64;
                if written > 0 {
                    self.midline = complete.last() != Some(&b'\n');
                }
                self.shared
                    .dropped
                    .fetch_add(count.saturating_sub(kept), Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "access log cannot be written: lines are dropped");
                }
            }
        }
    }

    fn reopen(&mut self) {
        match Output::open(&self.target) {
            Ok(output) => {
                self.output = output;
                self.midline = false;
            }
            Err(error) => {
                tracing::error!(%error, "access log cannot be reopened: the old file is kept");
            }
        }
    }
}

/// An open target.
struct Output(File);

impl Output {
    fn open(target: &AccessLogTarget) -> io::Result<Self> {
        match target {
            AccessLogTarget::Stdout => {
                let own = io::stdout().as_fd().try_clone_to_owned()?;
                Ok(Self(File::from(own)))
            }
            AccessLogTarget::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                file.map(Self).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                })
            }
        }
    }

    /// Writes all, or says how much was written before the error.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.0.write(rest) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait().map_err(|error| (written, error))?;
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Waits for a descriptor that somebody else made non-blocking.
    fn wait(&self) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec {
            tv_sec: STALL.as_secs() as i64,
            tv_nsec: 0,
        };
        let mut descriptors = [PollFd::new(&self.0, PollFlags::OUT)];
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
