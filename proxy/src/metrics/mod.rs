//! What the data plane counts, and how it is read: Prometheus text and typed readings.
//!
//! Workers write to their own shards only; a scrape sums them. Labels come from enums or configured
//! names, never from clients, and each family has a cap. Series are interned here, so that a reload
//! continues the counters of whatever stays.

mod family;
mod histogram;
mod listener;
mod process;
pub(crate) mod refusals;
mod registry;
mod render;
mod route;
mod shard;

pub use family::SERIES_LIMIT;
pub use histogram::{BOUNDS_MICROS, Histogram, HistogramReading};
pub use listener::{Handshake, HandshakeVersion, ListenerReading, ListenerStats, OpenConnection};
pub use registry::{
    CertificateReading, CertificateSpan, ConfigState, EndpointReading, Metrics, Reading,
    UpstreamReading,
};
pub use route::{CODE_CLASSES, RouteReading, RouteStats};
pub use shard::{Counter, PerWorker};
