//! The access log: one line per request or relayed connection (O-02), off the path of both.
//!
//! A worker formats a [`Record`] straight into its own buffer; full or 200 ms old, the buffer goes
//! through a bounded queue to one thread that writes it with one call. When the log cannot be
//! written as fast as it is made, lines are dropped and counted: traffic never waits for a disk.

mod format;
mod text;
mod time;
mod writer;

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use format::Formatter;
pub use format::{Record, Termination, Timings};
pub(crate) use time::iso8601;
use writer::Writer;

/// Size of a worker's buffer.
const BUFFER_BYTES: usize = 64 * 1024;

/// Room for the next line: one that is longer, full of escapes, makes its buffer grow.
const LINE_BYTES: usize = 4 * 1024;

/// A buffer is sent when its first line is this old.
const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// Shape of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// A JSON object per line, with everything.
    #[default]
    Json,
    /// The combined log format of web servers.
    Combined,
    /// No log.
    Off,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Standard output.
    #[default]
    Stdout,
    /// A file that is appended to.
    File(PathBuf),
}

/// The access log of the process; clones are the same log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    writer: Option<Arc<Writer>>,
    workers: Arc<AtomicUsize>,
}

impl AccessLog {
    /// Opens the target and starts the thread that writes.
    pub fn start(format: AccessLogFormat, target: AccessLogTarget) -> io::Result<Self> {
        let writer = match format {
            AccessLogFormat::Off => None,
            AccessLogFormat::Json | AccessLogFormat::Combined => {
                Some(Arc::new(Writer::start(target)?))
            }
        };
        Ok(Self {
            format,
            writer,
            workers: Arc::default(),
        })
    }

    /// The part of one worker, to be made on its thread; numbered in the order of the calls.
    pub fn worker(&self) -> WorkerLog {
        let worker = self.workers.fetch_add(1, Ordering::Relaxed);
        let buffer = Buffer {
            formatter: Formatter::new(self.format, worker),
            lines: Vec::new(),
        };
        WorkerLog {
            writer: self.writer.clone(),
            buffer: RefCell::new(buffer),
            count: Cell::new(0),
            oldest: Cell::new(None),
        }
    }

    /// Opens the file again under its name, after it was moved away (SIGHUP).
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Lines that were dropped.
    pub fn dropped(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.dropped())
    }

    /// Writes what is queued and ends the thread; waits no longer than `patience` for a target
    /// that does not take it. Workers must have let go of their parts before.
    pub fn finish(&self, patience: Duration) {
        if let Some(writer) = &self.writer {
            writer.finish(patience);
        }
    }
}

/// The access log of one worker.
#[derive(Debug)]
pub struct WorkerLog {
    writer: Option<Arc<Writer>>,
    buffer: RefCell<Buffer>,
    /// Lines in the buffer.
    count: Cell<u64>,
    /// When the first of them was written.
    oldest: Cell<Option<Instant>>,
}

#[derive(Debug)]
struct Buffer {
    formatter: Formatter,
    lines: Vec<u8>,
}

impl WorkerLog {
    /// Whether records are written at all: spares making them.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Writes a record into the buffer, and sends the buffer if it is full.
    pub fn record(&self, record: &Record<'_>) {
        if self.writer.is_none() {
            return;
        }
        let full = {
            let buffer = &mut *self.buffer.borrow_mut();
            if buffer.lines.capacity() == 0 {
                buffer.lines.reserve_exact(BUFFER_BYTES);
            }
            buffer.formatter.line(&mut buffer.lines, record);
            buffer.lines.len() + LINE_BYTES > BUFFER_BYTES
        };
        self.count.set(self.count.get() + 1);
        if full {
            self.flush();
        } else if self.oldest.get().is_none() {
            self.oldest.set(Some(Instant::now()));
        }
    }

    /// Sends the buffer if its first line is 200 ms old; to be called from the worker's tick.
    pub fn flush_if_old(&self, now: Instant) {
        let oldest = self.oldest.get();
        if oldest.is_some_and(|oldest| now.saturating_duration_since(oldest) >= FLUSH_AFTER) {
            self.flush();
        }
    }

    /// Sends what is there.
    pub fn flush(&self) {
        self.oldest.set(None);
        let lines = std::mem::take(&mut self.buffer.borrow_mut().lines);
        let count = self.count.replace(0);
        if let Some(writer) = self.writer.as_ref().filter(|_| !lines.is_empty()) {
            writer.send(lines, count);
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests;
