//! What policies remember over generations.
//!
//! A plan is compiled anew with every generation; counters, and what was found out at a price, stay.
//! Everything in here is bounded.

use std::sync::Arc;

use super::access::{Answers, Checked};
use super::rate::Zones;

/// The memory of all policies of the process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Counters of rate limits.
    pub(super) zones: Zones,
    /// Passwords that were found right.
    pub(super) checked: Arc<Checked>,
    /// What servers said of requests.
    pub(super) answers: Arc<Answers>,
}
