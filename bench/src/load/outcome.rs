//! What came of a load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tally::Counts;
use crate::watch::{Memory, Usage};

/// What came of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Length of the window, in seconds.
    pub seconds: f64,
    /// Units that were answered well within it.
    pub units: u64,
    /// Bytes of bodies that came.
    pub received: u64,
    /// Bytes of bodies that were sent.
    pub sent: u64,
    /// Connections made.
    pub connections: u64,
    /// Of them, with a TLS session taken up again.
    pub resumed: u64,
    /// Times that the server closed a connection as it may.
    pub moved: u64,
    /// Units that were due but not answered when the window closed.
    pub unfinished: u64,
    /// What failed, and how often.
    pub failures: BTreeMap<String, u64>,
    /// From the intended begin of a unit to its end.
    pub latency: Latency,
    /// How late the generator itself was (open loads).
    pub late: Latency,
    /// CPU seconds of the generator.
    pub generator_cpu: f64,
    /// What the watched process tree used within the window.
    pub usage: Option<Usage>,
    /// Weights of idle connections.
    pub weights: Option<Weights>,
}

/// Quantiles, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Number of values.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// Nine of ten are below.
    pub p90: u64,
    /// 99 of 100 are below.
    pub p99: u64,
    /// 999 of 1000 are below.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

/// Memory of the watched process tree around idle connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Connections held.
    pub held: u64,
    /// Before there were any.
    pub before: Memory,
    /// While they were held.
    pub with: Memory,
    /// After they were closed.
    pub after: Memory,
}

impl Latency {
    pub(crate) fn of(histogram: &hdrhistogram::Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            mean: histogram.mean(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

impl Outcome {
    pub(crate) fn new(counts: Counts, seconds: f64) -> Self {
        Self {
            seconds,
            units: counts.units,
            received: counts.received,
            sent: counts.sent,
            connections: counts.connections,
            resumed: counts.resumed,
            moved: counts.moved,
            unfinished: counts.unfinished,
            latency: Latency::of(&counts.latency),
            late: Latency::of(&counts.late),
            failures: counts.failures,
            ..Self::default()
        }
    }

    /// Number of failures.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Units per second.
    pub fn rate(&self) -> f64 {
        self.units as f64 / self.seconds.max(1e-9)
    }

    /// CPU µs of the watched processes per unit.
    pub fn cpu_per_unit(&self) -> Option<f64> {
        let usage = self.usage.as_ref()?;
        (self.units > 0).then(|| usage.cpu() * 1e6 / self.units as f64)
    }

    /// CPU seconds of the watched processes per GiB of bodies, both directions.
    pub fn cpu_per_gib(&self) -> Option<f64> {
        let bytes = (self.received + self.sent) as f64;
        let usage = self.usage.as_ref()?;
        (bytes > 0.0).then(|| usage.cpu() * f64::from(1 << 30) / bytes)
    }
}
