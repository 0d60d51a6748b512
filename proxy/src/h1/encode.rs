//! Heads and chunks as they leave us: built from values, with exactly one framing field that we
//! chose (D-03).

use adit_route::FieldList;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::head::BodyLength;

/// What a request head says.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// What is to be done.
    pub method: &'a Method,
    /// Path and query, or `*`.
    pub target: &'a str,
    /// The host, in canonical form.
    pub host: &'a str,
    /// The port, if the `Host` field names one.
    pub port: Option<u16>,
}

/// Writes a request head. `connection` is written as it is.
pub fn request_head(
    out: &mut BytesMut,
    line: &RequestLine<'_>,
    headers: &FieldList,
    length: BodyLength,
    connection: Option<&'static str>,
) {
    out.put_slice(line.method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(line.target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\nhost: ");
    out.put_slice(line.host.as_bytes());
    if let Some(port) = line.port {
        out.put_u8(b':');
        decimal(out, u64::from(port));
    }
    out.put_slice(b"\r\n");
    fields(out, headers);
    // A request of a method that usually has a body says so when it has none (RFC 9110 §8.6).
    let announces = [Method::POST, Method::PUT, Method::PATCH].contains(line.method);
    match length {
        BodyLength::None if announces => framing(out, BodyLength::Exact(0)),
        BodyLength::None => {}
        length => framing(out, length),
    }
    end(out, connection);
}

/// Writes a response head.
pub(crate) fn response_head(
    out: &mut BytesMut,
    version_10: bool,
    status: StatusCode,
    headers: &FieldList,
    length: Option<BodyLength>,
    connection: Option<&'static str>,
) {
    status_line(out, version_10, status);
    fields(out, headers);
    if let Some(length) = length {
        framing(out, length);
    }
    end(out, connection);
}

/// Writes an interim response head.
pub(crate) fn interim_head(out: &mut BytesMut, status: StatusCode, headers: &FieldList) {
    status_line(out, false, status);
    fields(out, headers);
    end(out, None);
}

fn status_line(out: &mut BytesMut, version_10: bool, status: StatusCode) {
    out.put_slice(if version_10 {
        b"HTTP/1.0 "
    } else {
        b"HTTP/1.1 "
    });
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

fn fields(out: &mut BytesMut, headers: &FieldList) {
    for (name, value) in headers.iter() {
        field(out, name, value);
    }
}

fn field(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

fn framing(out: &mut BytesMut, length: BodyLength) {
    match length {
        BodyLength::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
        BodyLength::Exact(length) => content_length(out, length),
        BodyLength::None => content_length(out, 0),
        BodyLength::UntilClose => {}
    }
}

fn content_length(out: &mut BytesMut, length: u64) {
    out.put_slice(header::CONTENT_LENGTH.as_str().as_bytes());
    out.put_slice(b": ");
    decimal(out, length);
    out.put_slice(b"\r\n");
}

fn decimal(out: &mut BytesMut, number: u64) {
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn end(out: &mut BytesMut, connection: Option<&'static str>) {
    if let Some(connection) = connection {
        out.put_slice(b"connection: ");
        out.put_slice(connection.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
}

/// Small pieces are copied behind the head so that one write carries both; large ones are not.
pub(crate) const COPY_UP_TO: usize = 8 * 1024;

/// Small pieces that are gathered for one write, at most: a backend that has more at hand waits
/// until the client has taken these (L-88).
pub(crate) const GATHER_UP_TO: usize = 64 * 1024;

/// Adds a piece of a body to what is to be written: `out`, then the returned bytes.
pub(crate) fn data(out: &mut BytesMut, piece: Bytes, chunked: bool) -> Bytes {
    if piece.is_empty() {
        return piece;
    }
    if chunked {
        chunk_size(out, piece.len());
    }
    if piece.len() > COPY_UP_TO {
        return piece;
    }
    out.put_slice(&piece);
    if chunked {
        out.put_slice(b"\r\n");
    }
    Bytes::new()
}

fn chunk_size(out: &mut BytesMut, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let significant = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..significant).rev() {
        let digit = (size >> (4 * place)) & 0xf;
        out.put_u8(DIGITS.get(digit).copied().unwrap_or(b'0'));
    }
    out.put_slice(b"\r\n");
}

/// Ends a chunked body.
pub(crate) fn last_chunk(out: &mut BytesMut, trailers: Option<&FieldList>) {
    out.put_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        fields(out, trailers);
    }
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_carry_their_size_in_hexadecimal() {
        for (size, text) in [
            (1, "1\r\n"),
            (15, "f\r\n"),
            (16, "10\r\n"),
            (65_536, "10000\r\n"),
        ] {
            let mut out = BytesMut::new();
            chunk_size(&mut out, size);
            assert_eq!(out, text);
        }
    }
}
