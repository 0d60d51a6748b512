//! What each path answers.
//!
//! Written once for both versions of HTTP. Answers stream: the largest piece held is one block,
//! so that a size of many gigabytes costs no memory.

use std::fmt::Write;
use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::exchange::{Exchange, Fields, Head};
use super::{grpc, websocket};
use crate::content;

const TEXT: Fields<'static> = &[("content-type", "text/plain; charset=utf-8")];
const BINARY: Fields<'static> = &[("content-type", "application/octet-stream")];

/// Answers one request.
pub(super) async fn answer(
    name: &str,
    head: &Head,
    exchange: &mut impl Exchange,
) -> io::Result<()> {
    if let Some(method) = head.path().strip_prefix("/echo.Echo/") {
        return grpc::answer(method, head, exchange).await;
    }
    let mut parts = head.path().trim_start_matches('/').split('/');
    let verb = parts.next().unwrap_or_default();
    let number = parts.next().and_then(|part| part.parse::<u64>().ok());
    match (verb, number) {
        ("size", Some(n)) => bytes(exchange, n, true).await,
        ("chunked", Some(n)) => bytes(exchange, n, false).await,
        ("truncate", Some(n)) => truncate(exchange, n).await,
        ("delay", Some(ms)) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            describe(name, head, exchange, 200).await
        }
        ("status", Some(code @ 200..=599)) => describe(name, head, exchange, code as u16).await,
        ("drip", n) => drip(exchange, n.unwrap_or(20)).await,
        ("echo", _) => echo(head, exchange).await,
        ("upload", _) => upload(exchange).await,
        ("sse", n) => events(exchange, n).await,
        ("trailers", _) => trailers(exchange).await,
        ("interim", _) => interim(name, head, exchange).await,
        ("early", _) => text(exchange, "answered before the body was read\n").await,
        ("ws", _) if head.wants_websocket() => websocket::echo(exchange).await,
        _ => describe(name, head, exchange, 200).await,
    }
}

async fn text(exchange: &mut impl Exchange, body: &'static str) -> io::Result<()> {
    exchange.head(200, TEXT, Some(body.len() as u64)).await?;
    exchange.write(Bytes::from_static(body.as_bytes())).await?;
    exchange.finish(&[]).await
}

/// The request as it was received, for people and for tests.
async fn describe(
    name: &str,
    head: &Head,
    exchange: &mut impl Exchange,
    status: u16,
) -> io::Result<()> {
    if matches!(status, 204 | 304) {
        exchange.head(status, &[], None).await?;
        return exchange.finish(&[]).await;
    }
    let body = description(name, head);
    let fields = [
        ("content-type", "application/json"),
        ("x-backend", name),
        ("cache-control", "no-store"),
    ];
    exchange
        .head(status, &fields, Some(body.len() as u64))
        .await?;
    exchange.write(body.into()).await?;
    exchange.finish(&[]).await
}

fn description(name: &str, head: &Head) -> String {
    let peer = head.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let request = format!("{} {} {}", head.method, head.target, head.version);
    let mut out = String::with_capacity(512);
    out.push_str("{\n  \"backend\": ");
    push_json(&mut out, name);
    out.push_str(",\n  \"peer\": ");
    push_json(&mut out, &peer);
    out.push_str(",\n  \"request\": ");
    push_json(&mut out, &request);
    out.push_str(",\n  \"headers\": [");
    for (index, (field, value)) in head.fields.iter().enumerate() {
        out.push_str(if index == 0 { "\n    " } else { ",\n    " });
        push_json(&mut out, &format!("{field}: {value}"));
    }
    out.push_str("\n  ]\n}\n");
    out
}

/// A JSON string (RFC 8259 §7).
fn push_json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

async fn bytes(exchange: &mut impl Exchange, len: u64, announced: bool) -> io::Result<()> {
    exchange.head(200, BINARY, announced.then_some(len)).await?;
    pattern(exchange, len).await?;
    exchange.finish(&[]).await
}

async fn pattern(exchange: &mut impl Exchange, len: u64) -> io::Result<()> {
    let mut sent = 0;
    while sent < len {
        let piece = content::piece(sent, usize::try_from(len - sent).unwrap_or(usize::MAX));
        sent += piece.len() as u64;
        exchange.write(piece).await?;
    }
    Ok(())
}

/// Promises `len` bytes and breaks off after half of them.
async fn truncate(exchange: &mut impl Exchange, len: u64) -> io::Result<()> {
    exchange.head(200, BINARY, Some(len)).await?;
    pattern(exchange, len / 2).await?;
    exchange.flush().await?;
    Err(exchange.abort())
}

async fn drip(exchange: &mut impl Exchange, len: u64) -> io::Result<()> {
    exchange.head(200, BINARY, Some(len)).await?;
    for _ in 0..len {
        pattern(exchange, 1).await?;
        exchange.flush().await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    exchange.finish(&[]).await
}

/// Sends the body back as it arrives; the answer starts before the body does.
async fn echo(head: &Head, exchange: &mut impl Exchange) -> io::Result<()> {
    let kind = head
        .field("content-type")
        .unwrap_or("application/octet-stream");
    exchange.head(200, &[("content-type", kind)], None).await?;
    exchange.flush().await?;
    while let Some(data) = exchange.read().await? {
        exchange.write(data).await?;
        exchange.flush().await?;
    }
    exchange.finish(&[]).await
}

async fn upload(exchange: &mut impl Exchange) -> io::Result<()> {
    let mut received = 0u64;
    while let Some(data) = exchange.read().await? {
        received += data.len() as u64;
    }
    let body = format!("{received}\n");
    exchange.head(200, TEXT, Some(body.len() as u64)).await?;
    exchange.write(body.into()).await?;
    exchange.finish(&[]).await
}

/// One event per 100 ms, for ever unless a count is given.
async fn events(exchange: &mut impl Exchange, count: Option<u64>) -> io::Result<()> {
    let fields = [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
    ];
    exchange.head(200, &fields, None).await?;
    for index in 0..count.unwrap_or(u64::MAX) {
        exchange
            .write(format!("id: {index}\ndata: event {index}\n\n").into())
            .await?;
        exchange.flush().await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    exchange.finish(&[]).await
}

async fn trailers(exchange: &mut impl Exchange) -> io::Result<()> {
    let fields = [("content-type", "text/plain"), ("trailer", "x-checksum")];
    exchange.head(200, &fields, None).await?;
    exchange
        .write(Bytes::from_static(b"a body with trailers\n"))
        .await?;
    exchange
        .finish(&[("x-checksum", "a5"), ("x-last", "yes")])
        .await
}

async fn interim(name: &str, head: &Head, exchange: &mut impl Exchange) -> io::Result<()> {
    let link = ("link", "</style.css>; rel=preload; as=style");
    exchange.interim(103, &[link]).await?;
    exchange.flush().await?;
    describe(name, head, exchange, 200).await
}
