//! What policies remember over generations.
//!
//! A plan is compiled anew with every generation; counters, and what was found out at a price, stay.
//! Everything in here is bounded.

use super::rate::Zones;

/// The memory of all policies of the process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Counters of rate limits.
    pub(super) zones: Zones,
}
