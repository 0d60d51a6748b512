//! HTTP/2 frame by frame: what no library would send, to either side of adit.
//!
//! Header blocks are literals without Huffman coding, unless a test writes its own. A reader on a
//! thread of its own takes what comes, so that a flood never waits for its answers.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::raw::{Raw, tcp};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field as a literal that is not remembered (RFC 7541 §6.2.2).
pub(crate) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        match text.len() {
            len @ 0..127 => bytes.push(len as u8),
            len => {
                bytes.push(127);
                let mut rest = len - 127;
                while rest >= 128 {
                    bytes.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                bytes.push(rest as u8);
            }
        }
        bytes.extend(text);
    }
    bytes
}

/// A header block.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|(name, value)| field(name.as_bytes(), value.as_bytes()))
        .collect()
}

/// The block of a plain request on a clear-text connection.
pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    block(&[
        (":method", method),
        (":scheme", "http"),
        (":authority", "www.example.test"),
        (":path", path),
    ])
}

/// The frame of a whole request without a body.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let flags = END_STREAM | END_HEADERS;
    frame(HEADERS, flags, stream, &request("GET", path))
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of an RST_STREAM or GOAWAY frame.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// Reads the next frame; `None` at the end.
pub(crate) fn read(from: &mut Raw) -> Option<Frame> {
    let head = from.try_take(9)?;
    let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    Some(Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
        payload: from.try_take(len)?,
    })
}

/// A client on a door for `h2c`.
pub(crate) struct H2Raw {
    write: Raw,
    frames: Receiver<Frame>,
}

impl H2Raw {
    /// Connects and says the preface with empty settings.
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::connect_with(to, &[])
    }

    /// Connects and says the preface with these settings.
    pub(crate) fn connect_with(to: SocketAddr, settings: &[u8]) -> Self {
        let stream = tcp(to);
        let mut read_half = Raw::over(stream.try_clone().unwrap());
        let mut write = Raw::over(stream);
        write.send(PREFACE).send(frame(SETTINGS, 0, 0, settings));
        let (tell, frames) = channel();
        thread::spawn(move || {
            while let Some(frame) = read(&mut read_half) {
                if tell.send(frame).is_err() {
                    return;
                }
            }
        });
        Self { write, frames }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.write.send(bytes);
        self
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.write.try_send(bytes).is_ok()
    }

    /// The next frame, or `None` at the end of the connection.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Frame> {
        match self.frames.recv_timeout(PATIENCE) {
            Ok(frame) => Some(frame),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("neither a frame nor the end"),
        }
    }

    /// The next frame that `wanted` wants.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().expect("the connection ended before that frame");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// The head of the answer on a stream, or the frame that reset it.
    #[track_caller]
    pub(crate) fn answer(&mut self, stream: u32) -> Frame {
        self.until(|frame| frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM))
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Sends without end, until the peer ends the connection: the error codes of its GOAWAY frames.
    #[track_caller]
    pub(crate) fn flood(
        &mut self,
        within: Duration,
        mut next: impl FnMut(u32) -> Vec<u8>,
    ) -> Vec<u32> {
        let begun = Instant::now();
        for n in 0.. {
            if !self.try_send(&next(n)) {
                break;
            }
            assert!(begun.elapsed() < within, "still connected after {n} rounds");
        }
        let goaways = self.rest().into_iter().filter(|frame| frame.kind == GOAWAY);
        goaways.map(|frame| frame.code()).collect()
    }
}
