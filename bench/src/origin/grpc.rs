//! gRPC echo: messages come back as they were, whatever they hold.
//!
//! `Unary` and `Bidi` answer each message at once, `ClientStream` all of them joined at the end,
//! `ServerStream` the request's message ten times, or as the field `x-repeats` says. The five-byte prefix is all of the framing
//! that an echo must know, so that no schema is needed.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::exchange::{Exchange, Fields, Head};

const HEAD: Fields<'static> = &[("content-type", "application/grpc")];
const OK: Fields<'static> = &[("grpc-status", "0"), ("grpc-message", "")];
const UNIMPLEMENTED: Fields<'static> = &[("grpc-status", "12"), ("grpc-message", "no such method")];

/// Messages that `ServerStream` answers for one, unless the request says how many.
const REPEATS: usize = 10;

/// Largest message.
const MAX_MESSAGE: usize = 16 << 20;

/// Answers a call of `/echo.Echo/METHOD`.
pub(super) async fn answer(
    method: &str,
    head: &Head,
    exchange: &mut impl Exchange,
) -> io::Result<()> {
    exchange.head(200, HEAD, None).await?;
    exchange.flush().await?;
    let repeats = match method {
        "Unary" | "Bidi" => 1,
        "ServerStream" => head
            .field("x-repeats")
            .and_then(|repeats| repeats.parse().ok())
            .unwrap_or(REPEATS),
        "ClientStream" => {
            let joined = collect(exchange).await?;
            exchange.write(frame(&joined)).await?;
            return exchange.finish(OK).await;
        }
        _ => return exchange.finish(UNIMPLEMENTED).await,
    };
    let mut input = BytesMut::new();
    while let Some(message) = next(exchange, &mut input).await? {
        for _ in 0..repeats {
            exchange.write(frame(&message)).await?;
        }
        exchange.flush().await?;
    }
    exchange.finish(OK).await
}

async fn collect(exchange: &mut impl Exchange) -> io::Result<BytesMut> {
    let mut input = BytesMut::new();
    let mut joined = BytesMut::new();
    while let Some(message) = next(exchange, &mut input).await? {
        if joined.len() + message.len() > MAX_MESSAGE {
            return Err(exchange.abort());
        }
        joined.extend_from_slice(&message);
    }
    Ok(joined)
}

/// The next message of the request; its compression flag is not looked at.
async fn next(exchange: &mut impl Exchange, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
    loop {
        if let Some(message) = take(input)? {
            return Ok(Some(message));
        }
        match exchange.read().await? {
            Some(data) => input.extend_from_slice(&data),
            None => return Ok(None),
        }
    }
}

fn take(input: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let mut prefix: &[u8] = input;
    if prefix.len() < 5 {
        return Ok(None);
    }
    prefix.advance(1);
    let length = prefix.get_u32() as usize;
    if length > MAX_MESSAGE {
        return Err(io::Error::other("gRPC message too large"));
    }
    if prefix.len() < length {
        return Ok(None);
    }
    input.advance(5);
    Ok(Some(input.split_to(length).freeze()))
}

fn frame(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + message.len());
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.extend_from_slice(message);
    out.freeze()
}
