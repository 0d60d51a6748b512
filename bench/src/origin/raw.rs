//! Plain bytes, for what a proxy relays and does not read.
//!
//! A relay by TLS name looks at the ClientHello and no further. So an origin that takes a
//! ClientHello and goes on in clear text shows it the same work as a TLS server, without the cost
//! of TLS at both ends hiding the cost of the relay.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::content;

/// What is read at once.
const READ: usize = 256 * 1024;

/// Type of a TLS record that holds a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// Serves one connection until it ends.
pub(super) async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(2048);
    while fill(&mut stream, &mut input, 9).await? {
        if input.first() == Some(&HANDSHAKE) {
            let mut record: &[u8] = &input;
            record.advance(3);
            let length = 5 + usize::from(record.get_u16());
            if !fill(&mut stream, &mut input, length).await? {
                return Ok(());
            }
            input.advance(length);
            continue;
        }
        let (letter, length) = (input.get_u8(), input.get_u64());
        match letter {
            b'D' => send(&mut stream, length).await?,
            b'E' => take(&mut stream, &mut input, length, true).await?,
            b'U' => {
                take(&mut stream, &mut input, length, false).await?;
                stream.write_all(b"K").await?;
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(())
}

/// Reads until there are `length` bytes, or the end.
async fn fill(stream: &mut TcpStream, input: &mut BytesMut, length: usize) -> io::Result<bool> {
    while input.len() < length {
        input.reserve(length.max(2048));
        if stream.read_buf(input).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn send(stream: &mut TcpStream, length: u64) -> io::Result<()> {
    let mut sent = 0;
    while sent < length {
        let left = usize::try_from(length - sent).unwrap_or(usize::MAX);
        let mut piece = content::piece(sent, left);
        sent += piece.len() as u64;
        stream.write_all_buf(&mut piece).await?;
    }
    Ok(())
}

async fn take(
    stream: &mut TcpStream,
    input: &mut BytesMut,
    length: u64,
    echo: bool,
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        if input.is_empty() {
            input.reserve(READ.min(usize::try_from(left).unwrap_or(READ)).max(2048));
            if stream.read_buf(input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        left -= len as u64;
        if echo {
            let mut data = input.split_to(len);
            stream.write_all_buf(&mut data).await?;
        } else {
            input.advance(len);
        }
    }
    Ok(())
}
