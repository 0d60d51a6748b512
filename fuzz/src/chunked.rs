//! Chunked bodies: the decoder against a plain reader and itself byte by byte.

use adit_proxy::h1::{ChunkedDecoder, Decoded};
use adit_proxy::limits::Limits;
use adit_route::FieldList;
use bytes::BytesMut;

use crate::Target;
use crate::reference::chunked::{Reading, read};
use crate::request::same_fields;

pub(crate) const TARGET: Target = Target {
    name: "chunked",
    run,
    words: &[
        b"\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"5\r\nhello\r\n",
        b"1\r\nx\r\n",
        b"ffffffffffffffff\r\n",
        b"7fffffffffffffff\r\n",
        b"0000000000000001\r\n",
        b";a=b",
        b";a=\"b\\\"c\"",
        b"\n",
        b"x-sum: 1\r\n",
        b"content-length: 1\r\n",
        b"Trailer: x\r\n",
    ],
};

/// Everything that was decoded: data, trailers, and how much of the input it took.
type Body = (Vec<u8>, Option<FieldList>, usize);

/// `Ok(None)`: more input is needed.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Option<Body>, ()> {
    let mut decoder = ChunkedDecoder::default();
    let mut input = BytesMut::new();
    let (mut data, mut given) = (Vec::new(), 0);
    for piece in pieces {
        input.extend_from_slice(piece);
        given += piece.len();
        loop {
            match decoder.decode(&mut input, &Limits::default()) {
                Err(_) => return Err(()),
                Ok(Decoded::NeedMore) => break,
                Ok(Decoded::Data(more)) => data.extend_from_slice(&more),
                Ok(Decoded::End(trailers)) => {
                    return Ok(Some((data, trailers, given - input.len())));
                }
            }
        }
    }
    Ok(None)
}

fn run(input: &[u8]) {
    let whole = decode(std::iter::once(input));
    assert_eq!(whole, decode(input.chunks(1)), "byte by byte");
    match (whole, read(input)) {
        (Ok(Some((data, trailers, taken))), Reading::Whole(body)) => {
            assert_eq!(data, body.data);
            assert_eq!(taken, body.taken);
            same_fields(&trailers.unwrap_or_default(), &body.trailers);
        }
        // The plain reader looks at whole lines only.
        (Ok(None) | Err(()), Reading::Cut) | (Err(()), Reading::Wrong) => {}
        (ours, plain) => panic!("we read {ours:?}, plainly it is {plain:?}"),
    }
}
