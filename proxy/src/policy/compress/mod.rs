//! Encoding of responses that are worth it.
//!
//! Never touched is what is encoded already, a part of something, a stream of events, gRPC, or told
//! not to be transformed. What the source has sent is flushed whenever it pauses, so that a page
//! that is written slowly appears as slowly as it would without. The rules are those of nginx: weak
//! ETags, `Vary`, no ranges.

mod accept;
mod coder;

use std::fmt;
use std::task::{Context, Poll};

use adit_route::FieldList;
use adit_route::policy::Compression;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use self::coder::{Coder, Coding};
use crate::error::Error;
use crate::http::body::{Body, Frame, Frames};
use crate::http::message::{Request, Response};

/// The compiled policy.
#[derive(Debug)]
pub(super) struct CompiledCompression {
    policy: Compression,
    /// What is offered, the best first.
    offered: Box<[Coding]>,
}

/// What a client takes, known before policies change the fields of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    coding: Option<Coding>,
    head_only: bool,
}

impl CompiledCompression {
    pub(super) fn new(policy: &Compression) -> Self {
        let offers = [
            (Coding::Zstd, policy.zstd.is_some()),
            (Coding::Brotli, policy.brotli.is_some()),
            (Coding::Gzip, policy.gzip.is_some()),
        ];
        let offered = offers.iter().filter(|(_, offered)| *offered);
        Self {
            policy: policy.clone(),
            offered: offered.map(|(coding, _)| *coding).collect(),
        }
    }

    /// What the client of a request takes.
    pub(super) fn accepted(&self, request: &Request) -> Accepted {
        let values = request.headers.get_all(header::ACCEPT_ENCODING);
        Accepted {
            coding: accept::best(&self.offered, values),
            head_only: request.method == Method::HEAD,
        }
    }

    /// Encodes the response, if it is one of those and the client takes it.
    pub(super) fn apply(&self, accepted: Accepted, response: &mut Response) {
        if !self.concerns(response) {
            return;
        }
        vary(&mut response.headers);
        let Some(coding) = accepted.coding else {
            return;
        };
        if accepted.head_only || response.body.is_empty() {
            return;
        }
        // An encoder that cannot be made leaves the body as it is.
        let Ok(coder) = Coder::new(coding, &self.policy) else {
            return;
        };
        let headers = &mut response.headers;
        headers.insert(
            header::CONTENT_ENCODING,
            HeaderValue::from_static(coding.token()),
        );
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::ACCEPT_RANGES);
        weaken(headers);
        let body = std::mem::replace(&mut response.body, Body::empty());
        response.body = Body::filtered(
            Box::new(Encoded {
                body,
                coder: Some(coder),
                piece: Bytes::new(),
                unflushed: false,
                trailers: None,
            }),
            None,
        );
    }

    /// Whether the response is one that might be encoded, whatever the client takes.
    fn concerns(&self, response: &Response) -> bool {
        let headers = &response.headers;
        let has = |name: HeaderName| headers.contains_key(name);
        let bodiless = [
            StatusCode::NO_CONTENT,
            StatusCode::RESET_CONTENT,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::NOT_MODIFIED,
        ];
        if response.status.is_informational()
            || bodiless.contains(&response.status)
            || response.body.is_upgraded()
            || has(header::CONTENT_ENCODING)
            || has(header::CONTENT_RANGE)
            || has(CONTENT_DIGEST)
            || has(REPR_DIGEST)
        {
            return false;
        }
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse().ok());
        let length = if response.body.is_empty() {
            announced
        } else {
            response.body.length()
        };
        if length.is_some_and(|length: u64| length < self.policy.min_length) {
            return false;
        }
        let mut directives = headers
            .get_all(header::CACHE_CONTROL)
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        if directives.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"no-transform")) {
            return false;
        }
        let kind = headers.get(header::CONTENT_TYPE);
        kind.is_some_and(|value| self.is_worth(value.as_bytes()))
    }

    /// Whether a media type is one of those that shrink.
    fn is_worth(&self, kind: &[u8]) -> bool {
        let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii().to_ascii_lowercase();
        if kind == b"text/event-stream" || kind.starts_with(b"application/grpc") {
            return false;
        }
        self.policy
            .types
            .iter()
            .any(|known| match known.as_bytes() {
                b"*" | b"*/*" => true,
                [family @ .., b'*'] => kind.starts_with(family),
                known => kind == known,
            })
    }
}

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Caches must know that the answer depends on what the client takes.
fn vary(headers: &mut FieldList) {
    let named = headers.get_all(header::VARY).any(|value| {
        let mut names = value.as_bytes().split(|&byte| byte == b',');
        names.any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding")
        })
    });
    if !named {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The encoded body is equivalent to the backend's, not the same byte for byte (RFC 9110 §8.8.1).
fn weaken(headers: &mut FieldList) {
    let Some(tag) = headers.get(header::ETAG) else {
        return;
    };
    if tag.as_bytes().starts_with(b"\"") {
        let weak = [b"W/", tag.as_bytes()].concat();
        if let Ok(weak) = HeaderValue::from_bytes(&weak) {
            headers.insert(header::ETAG, weak);
        }
    }
}

/// A body that is encoded as it comes.
struct Encoded {
    body: Body,
    /// `None` after the end.
    coder: Option<Coder>,
    /// Taken from the body and not encoded yet.
    piece: Bytes,
    /// Whether the encoder keeps anything back.
    unflushed: bool,
    trailers: Option<FieldList>,
}

/// Bytes that are encoded before anything else has its turn on the worker.
const AT_ONCE: usize = 16 * 1024;

/// Bytes that are gathered before they are passed on, while more are at hand.
const GATHERED: usize = 8 * 1024;

impl Encoded {
    fn step(
        &mut self,
        cx: &mut Context<'_>,
    ) -> std::io::Result<Poll<Option<Result<Frame, Error>>>> {
        let Some(coder) = &mut self.coder else {
            let trailers = self.trailers.take();
            return Ok(Poll::Ready(
                trailers.map(|fields| Ok(Frame::Trailers(fields))),
            ));
        };
        let mut taken = 0;
        loop {
            if !self.piece.is_empty() {
                let part = self.piece.split_to(self.piece.len().min(AT_ONCE));
                coder.write(&part)?;
                self.unflushed = true;
                taken += part.len();
                if coder.ready() >= GATHERED {
                    return Ok(Poll::Ready(Some(Ok(Frame::Data(coder.take())))));
                }
                if taken >= AT_ONCE {
                    cx.waker().wake_by_ref();
                    return Ok(Poll::Pending);
                }
                continue;
            }
            match self.body.poll_frame(cx) {
                Poll::Ready(Some(Ok(Frame::Data(data)))) => self.piece = data,
                Poll::Ready(Some(Err(error))) => return Ok(Poll::Ready(Some(Err(error)))),
                Poll::Ready(end) => {
                    if let Some(Ok(Frame::Trailers(trailers))) = end {
                        self.trailers = Some(trailers);
                    }
                    let rest = match self.coder.take() {
                        Some(coder) => coder.finish()?,
                        None => Bytes::new(),
                    };
                    return Ok(Poll::Ready(Some(Ok(Frame::Data(rest)))));
                }
                Poll::Pending if self.unflushed => {
                    coder.flush()?;
                    self.unflushed = false;
                    let out = coder.take();
                    if !out.is_empty() {
                        return Ok(Poll::Ready(Some(Ok(Frame::Data(out)))));
                    }
                }
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }
}

impl Frames for Encoded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        // An encoder that writes to memory has nothing that fails; if it did, the body breaks off.
        self.step(cx)
            .unwrap_or_else(|error| Poll::Ready(Some(Err(Error::BackendIo(error)))))
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
