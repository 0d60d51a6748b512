//! WebSocket echo (RFC 6455 §5): data frames and pings come back, a close is answered.
//!
//! Works on plain bytes, so that the upgrade of HTTP/1.1 and the extended CONNECT of HTTP/2 share
//! it. A frame is held whole, up to 16 MiB; a message may have any number of frames.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use sha1::{Digest, Sha1};

use super::exchange::Exchange;

/// Largest frame that is echoed.
const MAX_FRAME: u64 = 16 << 20;

const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const CLOSE: u8 = 0x8;

/// `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2).
pub(super) fn accept(key: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key.trim().as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.finalize())
}

/// Takes the handshake and echoes until the client closes.
pub(super) async fn echo(exchange: &mut impl Exchange) -> io::Result<()> {
    exchange.websocket().await?;
    exchange.flush().await?;
    let mut input = BytesMut::new();
    while let Some(data) = exchange.read().await? {
        input.extend_from_slice(&data);
        while let Some(frame) = Frame::take(&mut input)? {
            let closing = frame.opcode() == CLOSE;
            if frame.opcode() != PONG {
                exchange.write(frame.reply()).await?;
            }
            if closing {
                return exchange.finish(&[]).await;
            }
        }
        exchange.flush().await?;
    }
    exchange.finish(&[]).await
}

/// One frame of a client, unmasked.
struct Frame {
    /// FIN, reserved bits and opcode.
    first: u8,
    payload: BytesMut,
}

impl Frame {
    /// Takes one whole frame off the front of `input`.
    fn take(input: &mut BytesMut) -> io::Result<Option<Self>> {
        let mut head: &[u8] = input;
        if head.len() < 2 {
            return Ok(None);
        }
        let first = head.get_u8();
        let second = head.get_u8();
        if second & 0x80 == 0 {
            return Err(bad("a client's frame must be masked"));
        }
        let length = match second & 0x7f {
            126 if head.len() >= 2 => u64::from(head.get_u16()),
            127 if head.len() >= 8 => head.get_u64(),
            126 | 127 => return Ok(None),
            short => u64::from(short),
        };
        if length > MAX_FRAME {
            return Err(bad("frame too large"));
        }
        let length = length as usize;
        if head.len() < 4 + length {
            return Ok(None);
        }
        let mask = head.get_u32().to_be_bytes();
        let skip = input.len() - head.len();
        input.advance(skip);
        let mut payload = input.split_to(length);
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        Ok(Some(Self { first, payload }))
    }

    fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// The same frame back; a ping becomes a pong.
    fn reply(self) -> Bytes {
        let first = if self.opcode() == PING {
            0x80 | PONG
        } else {
            self.first
        };
        let mut out = BytesMut::with_capacity(10 + self.payload.len());
        out.put_u8(first);
        match self.payload.len() {
            short @ 0..=125 => out.put_u8(short as u8),
            medium @ 126..=0xffff => {
                out.put_u8(126);
                out.put_u16(medium as u16);
            }
            long => {
                out.put_u8(127);
                out.put_u64(long as u64);
            }
        }
        out.extend_from_slice(&self.payload);
        out.freeze()
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfc_example_key_is_accepted() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(accept(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let whole = [
            0x81,
            0x85,
            1,
            2,
            3,
            4,
            b'h' ^ 1,
            b'e' ^ 2,
            b'l' ^ 3,
            b'l' ^ 4,
            b'o' ^ 1,
        ];
        for cut in 0..whole.len() {
            let mut input = BytesMut::from(&whole[..cut]);
            assert!(Frame::take(&mut input).unwrap().is_none(), "cut at {cut}");
            assert_eq!(input.len(), cut);
        }
        let mut input = BytesMut::from(&whole[..]);
        let frame = Frame::take(&mut input).unwrap().unwrap();
        assert_eq!(&frame.reply()[..], b"\x81\x05hello");
        assert!(input.is_empty());
    }
}
