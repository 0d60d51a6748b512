//! How often, how many at once, and how fast (RAT-01 to RAT-06).

use std::sync::Arc;

use http::StatusCode;

use crate::cidr::CidrSet;

/// Limits per client address. Counters are exact for the process, shared by every rule of one zone,
/// and live on over reloads while the zone stays.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// What shares the counters: a route of the file, an Ingress object.
    pub zone: Arc<str>,
    /// Leaky buckets, each of which must let the request pass.
    pub requests: Vec<RequestRate>,
    /// Requests in progress at once.
    pub connections: Option<u32>,
    /// Addresses that are not counted.
    pub exempt: CidrSet,
    /// Status of a refusal by `requests`.
    pub request_status: StatusCode,
    /// Status of a refusal by `connections`.
    pub connection_status: StatusCode,
    /// Whether a refusal says when to come back.
    pub retry_after: bool,
    /// How fast a response is sent.
    pub bandwidth: Option<Bandwidth>,
}

/// A leaky bucket: a client that was silent may send `burst + 1` at once, then at the rate (RAT-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRate {
    /// Requests in a period.
    pub count: u32,
    /// The period.
    pub period: std::time::Duration,
    /// How many may be ahead of the rate.
    pub burst: u32,
}

/// Speed of one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// Bytes in a second.
    pub bytes_per_second: u64,
    /// Bytes that are sent before it holds.
    pub after: u64,
}
