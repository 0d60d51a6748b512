//! Counters by rule, found without a lock: each worker's shard has a short list that only grows.

use std::sync::OnceLock;

use super::shard::Counter;

/// Rules that one list can count; there are fewer ids than that.
const RULES: usize = 128;

/// Counters by rule: slots are taken in order and never given back.
#[derive(Debug)]
pub(crate) struct Refusals(Box<[(OnceLock<&'static str>, Counter)]>);

impl Default for Refusals {
    fn default() -> Self {
        Self(
            (0..RULES)
                .map(|_| (OnceLock::new(), Counter::default()))
                .collect(),
        )
    }
}

impl Refusals {
    pub(crate) fn count(&self, rule: &'static str, times: u32) {
        for (name, counter) in &self.0 {
            if *name.get_or_init(|| rule) == rule {
                counter.add(u64::from(times));
                return;
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0
            .iter()
            .map_while(|(name, counter)| Some((*name.get()?, counter.value())))
    }
}

/// The lists of all workers together, in the order of the ids.
pub(crate) fn sum<'a>(
    lists: impl Iterator<Item = &'a OnceLock<Refusals>>,
) -> Vec<(&'static str, u64)> {
    let mut sums: Vec<(&'static str, u64)> = Vec::new();
    for (rule, count) in lists.filter_map(OnceLock::get).flat_map(Refusals::iter) {
        match sums.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, total)) => *total += count,
            None => sums.push((rule, count)),
        }
    }
    sums.sort_unstable();
    sums
}
