//! HTTP/1.1 as a client that costs as little as it can.
//!
//! The request is the same bytes each time. Of an answer it reads what decides whether it is good
//! and where it ends; everything else is skipped.

use std::fmt::Write;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::io::Io;
use super::plan::{Expect, Plan};
use super::tally::Tally;
use crate::content;

/// What is read at once.
const READ: usize = 64 * 1024;

/// One connection.
pub(crate) struct Http1 {
    io: Io,
    input: BytesMut,
}

/// A request as bytes, and what its answer must be.
pub(crate) struct Request {
    head: Bytes,
    upload: u64,
    expect: Expect,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    Close,
}

/// Of an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    framing: Framing,
    close: bool,
}

impl Request {
    pub(crate) fn new(plan: &Plan) -> Self {
        let method = if plan.upload > 0 { "POST" } else { "GET" };
        let mut head = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: adit-bench\r\nAccept: */*\r\n",
            plan.path, plan.authority
        );
        // Writing to a String cannot fail.
        if plan.upload > 0 {
            let _ = write!(head, "Content-Length: {}\r\n", plan.upload);
        }
        if plan.churn {
            head += "Connection: close\r\n";
        }
        for (name, value) in &plan.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head += "\r\n";
        Self {
            head: head.into(),
            upload: plan.upload,
            expect: plan.expect.clone(),
        }
    }
}

impl Http1 {
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io,
            input: BytesMut::with_capacity(4096),
        }
    }

    /// One request and its answer; whether the connection can be used again.
    pub(crate) async fn once(&mut self, request: &Request, tally: &Tally) -> io::Result<bool> {
        self.io.write_all(&request.head).await?;
        if request.upload > 0 {
            self.upload(request.upload, tally).await?;
        }
        let head = loop {
            let head = self.head().await?;
            if head.status >= 200 {
                break head;
            }
        };
        if !request.expect.any_status && !(200..300).contains(&head.status) {
            return Err(io::Error::other(format!("status {}", head.status)));
        }
        let length = self
            .body(head.framing, request.expect.pattern, tally)
            .await?;
        if let Some(expected) = request.expect.length
            && expected != length
        {
            return Err(io::Error::other("body of the wrong length"));
        }
        Ok(!head.close && head.framing != Framing::Close)
    }

    /// Sends a handshake that the server must answer with 101.
    pub(crate) async fn upgrade(mut self, request: &[u8]) -> io::Result<(Io, BytesMut)> {
        self.io.write_all(request).await?;
        let head = self.head().await?;
        if head.status != 101 {
            return Err(io::Error::other(format!("status {}", head.status)));
        }
        Ok((self.io, self.input))
    }

    pub(crate) fn into_io(self) -> Io {
        self.io
    }

    async fn upload(&mut self, length: u64, tally: &Tally) -> io::Result<()> {
        let mut offset = 0;
        while offset < length {
            let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
            let mut piece = content::piece(offset, left);
            offset += piece.len() as u64;
            while piece.has_remaining() {
                let sent = self.io.write_buf(&mut piece).await?;
                tally.sent(sent);
            }
        }
        self.io.flush().await
    }

    /// The head of an answer, taken off the input.
    async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.input, b"\r\n\r\n") {
                let bytes = self.input.split_to(end + 4);
                let head = Head::parse(&bytes);
                return head.ok_or_else(|| io::Error::other("an answer that is none"));
            }
            if self.input.len() > 64 * 1024 {
                return Err(io::Error::other("a head without an end"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.input.reserve(4096);
        if self.io.read_buf(&mut self.input).await? == 0 {
            // Before the first byte of an answer this is a connection that was closed in time.
            return Err(if self.input.is_empty() {
                io::ErrorKind::NotConnected.into()
            } else {
                io::ErrorKind::UnexpectedEof.into()
            });
        }
        Ok(())
    }

    /// Reads a body to its end; its length.
    async fn body(&mut self, framing: Framing, check: bool, tally: &Tally) -> io::Result<u64> {
        match framing {
            Framing::Length(length) => {
                self.counted(0, length, check, tally).await?;
                Ok(length)
            }
            Framing::Chunked => self.chunks(check, tally).await,
            Framing::Close => {
                let mut length = self.input.len() as u64;
                self.input.clear();
                loop {
                    self.input.reserve(READ);
                    let read = self.io.read_buf(&mut self.input).await?;
                    if read == 0 {
                        return Ok(length);
                    }
                    length += read as u64;
                    tally.received(read);
                    self.input.clear();
                }
            }
        }
    }

    /// Takes `left` bytes that lie at `offset` of the body.
    async fn counted(
        &mut self,
        mut offset: u64,
        mut left: u64,
        check: bool,
        tally: &Tally,
    ) -> io::Result<()> {
        while left > 0 {
            if self.input.is_empty() {
                self.input
                    .reserve(READ.min(usize::try_from(left).unwrap_or(READ).max(4096)));
                if self.io.read_buf(&mut self.input).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let len = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(self.input.len());
            let data = self.input.get(..len).unwrap_or_default();
            if check && !content::matches(offset, data) {
                return Err(io::Error::other("body of the wrong content"));
            }
            tally.received(len);
            self.input.advance(len);
            offset += len as u64;
            left -= len as u64;
        }
        Ok(())
    }

    async fn chunks(&mut self, check: bool, tally: &Tally) -> io::Result<u64> {
        let mut length = 0;
        loop {
            let line = self.line().await?;
            let digits = line
                .as_ref()
                .split(|b| *b == b';')
                .next()
                .unwrap_or_default();
            let size = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
                .ok_or_else(|| io::Error::other("chunk size"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(length);
            }
            self.counted(length, size, check, tally).await?;
            length += size;
            if !self.line().await?.is_empty() {
                return Err(io::Error::other("chunk longer than its size"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<BytesMut> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.input, b"\r\n") {
                let line = self.input.split_to(end);
                self.input.advance(2);
                return Ok(line);
            }
            self.fill().await?;
        }
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split(|b| *b == b'\n');
        let status = lines.next()?;
        if !status.starts_with(b"HTTP/1.") {
            return None;
        }
        let status = std::str::from_utf8(status.get(9..12)?).ok()?.parse().ok()?;
        let mut framing = match status {
            100..200 | 204 | 304 => Framing::Length(0),
            _ => Framing::Close,
        };
        let mut close = bytes.get(7) == Some(&b'0');
        for line in lines {
            // Only fields that begin with c or t matter.
            match line.first().map(u8::to_ascii_lowercase) {
                Some(b'c' | b't') => {}
                _ => continue,
            }
            if let Some(value) = field(line, b"content-length") {
                framing = Framing::Length(value.parse().ok()?);
            } else if let Some(value) = field(line, b"transfer-encoding") {
                if value.eq_ignore_ascii_case("chunked") {
                    framing = Framing::Chunked;
                }
            } else if let Some(value) = field(line, b"connection") {
                close = value.eq_ignore_ascii_case("close");
            }
        }
        Some(Self {
            status,
            framing,
            close,
        })
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let (found, value) = line.split_at_checked(name.len())?;
    if !found.eq_ignore_ascii_case(name) {
        return None;
    }
    Some(std::str::from_utf8(value.strip_prefix(b":")?).ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_how_the_answer_ends() {
        let head = |text: &str| {
            Head::parse(text.as_bytes()).map(|head| (head.status, head.framing, head.close))
        };
        for (text, expected) in [
            (
                "HTTP/1.1 200 OK\r\nServer: a\r\ncontent-length: 130\r\n\r\n",
                Some((200, Framing::Length(130), false)),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
                Some((200, Framing::Chunked, true)),
            ),
            (
                "HTTP/1.0 502 Bad Gateway\r\n\r\n",
                Some((502, Framing::Close, true)),
            ),
            (
                "HTTP/1.1 204 No Content\r\n\r\n",
                Some((204, Framing::Length(0), false)),
            ),
            ("HTTP/2 200\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", None),
        ] {
            assert_eq!(head(text), expected, "{text:?}");
        }
    }
}
