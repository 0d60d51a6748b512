//! Bytes without HTTP, against the raw origin: for what a proxy relays and does not read.
//!
//! A command is one letter and a length of eight bytes; see [`crate::origin`].

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::io::Io;
use super::plan::{Plan, Protocol};
use super::tally::Tally;
use crate::content;

/// What is read at once.
const READ: usize = 256 * 1024;

/// One connection.
pub(crate) struct Raw {
    io: Io,
    input: BytesMut,
}

/// What is asked of the origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    letter: u8,
    length: u64,
    sends: bool,
    receives: u64,
}

impl Job {
    pub(crate) fn new(plan: &Plan) -> Self {
        let (letter, length, receives) = match plan.protocol {
            Protocol::RawDownload => {
                let length = plan.expect.length.unwrap_or(1 << 20);
                (b'D', length, length)
            }
            Protocol::RawUpload => (b'U', plan.upload, 1),
            _ => (b'E', plan.upload, plan.upload),
        };
        Self {
            letter,
            length,
            sends: letter != b'D',
            receives,
        }
    }
}

impl Raw {
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io,
            input: BytesMut::new(),
        }
    }

    pub(crate) fn into_io(self) -> Io {
        self.io
    }

    /// One command.
    pub(crate) async fn once(&mut self, job: Job, tally: &Tally) -> io::Result<bool> {
        let mut out = BytesMut::with_capacity(2048);
        out.put_u8(job.letter);
        out.put_u64(job.length);
        let mut offset = 0;
        if job.sends && job.length <= 2000 {
            out.extend_from_slice(&content::piece(0, job.length as usize));
            offset = job.length;
            tally.sent(job.length as usize);
        }
        self.io.write_all(&out).await?;
        while job.sends && offset < job.length {
            let left = usize::try_from(job.length - offset).unwrap_or(usize::MAX);
            let mut piece = content::piece(offset, left);
            offset += piece.len() as u64;
            while piece.has_remaining() {
                let sent = self.io.write_buf(&mut piece).await?;
                tally.sent(sent);
            }
        }
        let mut read = 0;
        while read < job.receives {
            self.input.clear();
            self.input
                .reserve(READ.min(job.receives as usize).max(2048));
            let len = self.io.read_buf(&mut self.input).await?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if job.letter != b'U' && !content::matches(read, &self.input) {
                return Err(io::Error::other("bytes that were not sent"));
            }
            read += len as u64;
            tally.received(len);
        }
        if read == job.receives {
            Ok(true)
        } else {
            Err(io::Error::other("more bytes than were asked for"))
        }
    }
}
