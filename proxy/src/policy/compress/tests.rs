//! What is encoded, what is not, and that what is encoded can be read again.

use std::collections::VecDeque;
use std::io::Read as _;
use std::task::Waker;

use super::*;
use crate::policy::tests::request;

fn compression() -> CompiledCompression {
    CompiledCompression::new(&Compression {
        brotli: Some(4),
        gzip: Some(5),
        zstd: Some(3),
        types: vec!["text/*".into(), "application/json".into()],
        min_length: 20,
    })
}

fn response(fields: &[(&'static str, &'static str)], body: &'static str) -> Response {
    let mut response = Response::empty(StatusCode::OK);
    for (name, value) in fields {
        let name = HeaderName::from_static(name);
        response
            .headers
            .append(name, HeaderValue::from_static(value));
    }
    response.body = Body::full(body);
    response
}

fn accepting(field: &'static str) -> Accepted {
    let mut request = request("/");
    let value = HeaderValue::from_static(field);
    request.headers.insert(header::ACCEPT_ENCODING, value);
    compression().accepted(&request)
}

const LONG: &str = "a text that is long enough to be worth an encoding, encoding, encoding";
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

/// Fields, body, whether it is encoded, whether caches are told.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static str,
    bool,
    bool,
);

#[test]
fn only_what_is_worth_it_and_may_be_changed_is_encoded() {
    // Fields, body, encoded, `Vary`.
    let cases: [Case; 14] = [
        (&[HTML], LONG, true, true),
        (&[("content-type", "Application/JSON")], LONG, true, true),
        (&[HTML], "short", false, false),
        (&[("content-type", "image/png")], LONG, false, false),
        (&[], LONG, false, false),
        (&[HTML, ("content-encoding", "br")], LONG, false, false),
        (
            &[HTML, ("content-range", "bytes 0-9/10")],
            LONG,
            false,
            false,
        ),
        (
            &[HTML, ("cache-control", "max-age=1, No-Transform")],
            LONG,
            false,
            false,
        ),
        (&[HTML, ("cache-control", "no-store")], LONG, true, true),
        (&[("content-type", "text/event-stream")], LONG, false, false),
        (
            &[("content-type", "application/grpc+proto")],
            LONG,
            false,
            false,
        ),
        (&[HTML, ("repr-digest", "sha-256=:x:")], LONG, false, false),
        (&[HTML, ("vary", "accept-encoding")], LONG, true, true),
        (&[HTML, ("vary", "Cookie")], LONG, true, true),
    ];
    for (fields, body, encoded, varies) in cases {
        let mut answer = response(fields, body);
        compression().apply(accepting("gzip"), &mut answer);
        let headers = &answer.headers;
        assert_eq!(
            headers.contains_key("content-encoding"),
            encoded || body == LONG && fields.contains(&("content-encoding", "br")),
            "{fields:?}"
        );
        assert_eq!(answer.body.length().is_none(), encoded, "{fields:?}");
        let vary: Vec<_> = headers.get_all("vary").collect();
        let named = vary.iter().filter(|value| {
            value
                .to_str()
                .unwrap()
                .eq_ignore_ascii_case("accept-encoding")
        });
        assert_eq!(named.count(), usize::from(varies), "{fields:?}");
        if encoded {
            // Whoever takes no encoding gets the body as it is, and caches know.
            let mut plain = response(fields, body);
            compression().apply(accepting("identity"), &mut plain);
            assert!(!plain.headers.contains_key("content-encoding"));
            assert!(plain.headers.contains_key("vary"));
        }
    }
    for status in [204, 206, 304] {
        let mut answer = response(&[HTML], LONG);
        answer.status = StatusCode::from_u16(status).unwrap();
        compression().apply(accepting("gzip"), &mut answer);
        assert!(!answer.headers.contains_key("content-encoding"), "{status}");
    }
}

#[test]
fn validators_become_weak_and_ranges_go() {
    let fields = [
        HTML,
        ("etag", "\"a\""),
        ("accept-ranges", "bytes"),
        ("content-length", "70"),
    ];
    let mut answer = response(&fields, LONG);
    compression().apply(accepting("br"), &mut answer);
    assert_eq!(answer.headers.get("etag").unwrap(), "W/\"a\"");
    assert_eq!(answer.headers.get("content-encoding").unwrap(), "br");
    assert!(!answer.headers.contains_key("accept-ranges"));
    assert!(!answer.headers.contains_key("content-length"));
    let mut weak = response(&[HTML, ("etag", "W/\"a\"")], LONG);
    compression().apply(accepting("br"), &mut weak);
    assert_eq!(weak.headers.get("etag").unwrap(), "W/\"a\"");
}

/// A source that pauses after each of its pieces.
#[derive(Debug)]
struct Pausing(VecDeque<Option<Bytes>>);

impl Frames for Pausing {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        match self.0.pop_front() {
            Some(Some(piece)) => Poll::Ready(Some(Ok(Frame::Data(piece)))),
            Some(None) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // A stream that has only been flushed ends in the middle for its reader.
    let _ = match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        _ => zstd::stream::read::Decoder::new(bytes)
            .unwrap()
            .read_to_end(&mut out),
    };
    out
}

#[test]
fn what_has_come_is_readable_at_every_pause() {
    for coding in ["gzip", "br", "zstd"] {
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(300_000)
            .collect();
        let pieces = [
            Bytes::from_static(b"first "),
            Bytes::from(noise),
            Bytes::from_static(b"last"),
        ];
        let mut whole = Vec::new();
        let mut source = VecDeque::new();
        for piece in &pieces {
            // The first pause is answered by what is flushed, the second shows.
            source.extend([Some(piece.clone()), None, None]);
        }
        let mut answer = response(&[HTML], "");
        answer.body = Body::filtered(Box::new(Pausing(source)), None);
        compression().apply(accepting(coding), &mut answer);
        let mut cx = Context::from_waker(Waker::noop());
        let (mut sent, mut pauses) = (Vec::new(), pieces.iter());
        loop {
            match answer.body.poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(Frame::Data(data)))) => sent.extend_from_slice(&data),
                Poll::Ready(Some(other)) => panic!("{other:?}"),
                Poll::Ready(None) => break,
                // The worker is given back in the middle of a large piece too.
                Poll::Pending => {
                    let so_far = decoded(coding, &sent);
                    let expected = pauses.clone().next().map_or(0, Bytes::len) + whole.len();
                    if so_far.len() == expected {
                        whole.extend_from_slice(pauses.next().map_or(&[][..], |piece| piece));
                        assert!(so_far == whole, "{coding}");
                    }
                }
            }
        }
        assert_eq!(
            pauses.count(),
            0,
            "{coding}: every pause showed all that had come"
        );
        assert!(decoded(coding, &sent) == pieces.concat(), "{coding}");
    }
}
