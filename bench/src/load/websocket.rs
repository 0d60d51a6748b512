//! WebSocket as a client: a message out, its echo back.
//!
//! The mask is constant: it is there because a server must refuse a client without one (RFC 6455
//! §5.1), not to hide anything.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http1::Http1;
use super::io::Io;
use super::plan::Plan;
use super::tally::Tally;
use crate::content;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One connection after its handshake.
pub(crate) struct WebSocket {
    io: Io,
    input: BytesMut,
}

/// The frame that is sent, and how its echo begins.
pub(crate) struct Message {
    handshake: Vec<u8>,
    frame: Vec<u8>,
    echo: Vec<u8>,
    payload: usize,
}

impl Message {
    pub(crate) fn new(plan: &Plan) -> Self {
        let payload = usize::try_from(plan.upload).unwrap_or(0).min(65_535);
        let body = content::piece(0, payload);
        let length = |mask: u8| -> Vec<u8> {
            if payload < 126 {
                vec![0x82, mask | payload as u8]
            } else {
                let [high, low] = (payload as u16).to_be_bytes();
                vec![0x82, mask | 0x7e, high, low]
            }
        };
        let mut frame = length(0x80);
        frame.extend(MASK);
        frame.extend(body.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
        let key = STANDARD.encode([7u8; 16]);
        let handshake = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
            plan.path, plan.authority
        );
        Self {
            handshake: handshake.into_bytes(),
            frame,
            echo: length(0),
            payload,
        }
    }
}

impl WebSocket {
    pub(crate) async fn open(io: Io, message: &Message) -> io::Result<Self> {
        let (io, input) = Http1::new(io).upgrade(&message.handshake).await?;
        Ok(Self { io, input })
    }

    pub(crate) fn into_io(self) -> Io {
        self.io
    }

    /// One message and its echo.
    pub(crate) async fn once(&mut self, message: &Message, tally: &Tally) -> io::Result<bool> {
        self.io.write_all(&message.frame).await?;
        tally.sent(message.payload);
        let whole = message.echo.len() + message.payload;
        while self.input.len() < whole {
            self.input.reserve(whole);
            if self.io.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let payload = self
            .input
            .get(message.echo.len()..whole)
            .unwrap_or_default();
        if !self.input.starts_with(&message.echo) || !content::matches(0, payload) {
            return Err(io::Error::other("not the echo of what was sent"));
        }
        tally.received(message.payload);
        self.input.advance(whole);
        Ok(true)
    }
}
