//! What becomes of answers: error pages, encodings, buffers.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;

use crate::rule::FixedResponse;
use crate::upstream::UpstreamSpec;

/// What the client sees instead of an error (ERR-01 to ERR-07).
#[derive(Clone, Debug, Default)]
pub struct Errors {
    /// Statuses that are replaced, whether the backend or adit made them.
    pub statuses: Vec<StatusCode>,
    /// Who is asked for the page, with `X-Code` and the like; its status is the final one.
    pub backend: Option<Arc<UpstreamSpec>>,
    /// Pages of our own, read before `backend`; the status stays.
    pub pages: ErrorPages,
    /// Who serves the request itself while the rule's upstream has no endpoint (ERR-05).
    pub without_endpoints: Option<Arc<UpstreamSpec>>,
    /// Fields that tell the error backend where the error happened: `X-Namespace` and the like.
    pub labels: Vec<(http::HeaderName, http::HeaderValue)>,
}

/// Pages by status.
pub type ErrorPages = BTreeMap<u16, Arc<FixedResponse>>;

/// Encoding of responses that are worth it. Never for what is encoded already, for ranges, for
/// streams of events, or for gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Whether brotli is offered, and how hard it tries (0 to 11).
    pub brotli: Option<u32>,
    /// Whether gzip is offered, and how hard it tries (1 to 9).
    pub gzip: Option<u32>,
    /// Whether zstd is offered, and how hard it tries (1 to 19).
    pub zstd: Option<i32>,
    /// Media types, in lower case; `text/*` stands for a family.
    pub types: Vec<Arc<str>>,
    /// Shorter bodies stay as they are.
    pub min_length: u64,
}

/// Whether bodies are gathered before they are passed on; they stream otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffering {
    /// Of requests.
    pub request: Option<RequestBuffering>,
    /// Of responses: how many bytes are read ahead of a slow client.
    pub response: Option<u64>,
}

/// How a request body is gathered. What does not fit in memory goes to a file without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestBuffering {
    /// Bytes kept in memory.
    pub memory: u64,
    /// Bytes in all; a larger body is answered with 413.
    pub most: u64,
}
