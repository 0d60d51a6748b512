//! How often, how many at once, and how fast (RAT-01 to RAT-06).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::cidr::CidrSet;

/// Limits per client address. Counters are exact for the process, shared by every rule of one zone,
/// and live on over reloads while the zone stays.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// What shares the counters: a route of the file, an Ingress object.
    pub zone: Arc<str>,
    /// Leaky buckets, each of which must let the request pass; at most one for each period.
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
    pub period: Period,
    /// How many may be ahead of the rate.
    pub burst: u32,
}

/// What a rate counts in. The zone keeps one level for each, so that a change of the rate keeps the
/// counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// `/s`.
    Second,
    /// `/m`.
    Minute,
    /// `/h`.
    Hour,
}

impl Period {
    /// All of them, in the order of their levels.
    pub const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    /// How long it is.
    pub fn length(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
        }
    }

    /// Its letter behind the slash.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
        }
    }
}

/// Speed of one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// Bytes in a second.
    pub bytes_per_second: u64,
    /// Bytes that are sent before it holds.
    pub after: u64,
}
