//! Interned series: one object per set of labels, shared by all generations that use it.
//!
//! A route that stays, or leaves and returns within two generations, keeps counting in the same
//! object, so that no counter jumps back. The number of label sets of a family is capped; what is
//! beyond shares the set `other`. Labels are configured names, never what a client sent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Label sets of one family, at most.
pub const SERIES_LIMIT: usize = 10_000;

/// The label value of what is beyond the limit.
pub(super) const OTHER: &str = "other";

/// A label value is cut after so many bytes (O-05).
const LABEL_BYTES: usize = 256;

/// Generations that an unused series outlives.
const KEPT_GENERATIONS: u64 = 2;

#[derive(Debug)]
struct Known<T> {
    stats: Arc<T>,
    last_used: u64,
}

/// The series of one family by their labels.
#[derive(Debug)]
pub(super) struct Family<T> {
    known: Mutex<HashMap<Box<str>, Known<T>>>,
    other: Arc<T>,
    limit: usize,
}

impl<T> Family<T> {
    pub(super) fn new(other: T, limit: usize) -> Self {
        Self {
            known: Mutex::default(),
            other: Arc::new(other),
            limit,
        }
    }

    /// The series of a key, made by `make` when it is new.
    pub(super) fn intern(&self, key: String, generation: u64, make: impl FnOnce() -> T) -> Arc<T> {
        let mut known = self.lock();
        let full = known.len() >= self.limit;
        match known.entry(key.into_boxed_str()) {
            Entry::Occupied(entry) => Arc::clone(&entry.get().stats),
            Entry::Vacant(_) if full => Arc::clone(&self.other),
            Entry::Vacant(entry) => {
                let stats = Arc::new(make());
                entry.insert(Known {
                    stats: Arc::clone(&stats),
                    last_used: generation,
                });
                stats
            }
        }
    }

    /// Forgets what nobody has held for two generations.
    pub(super) fn retire(&self, generation: u64) {
        self.lock().retain(|_, known| {
            if Arc::strong_count(&known.stats) > 1 {
                known.last_used = generation;
            }
            known.last_used.saturating_add(KEPT_GENERATIONS) > generation
        });
    }

    /// All series in the order of their keys; `other` is last.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        let known = self.lock();
        let mut series: Vec<_> = known
            .iter()
            .map(|(key, known)| (key, &known.stats))
            .collect();
        series.sort_unstable_by_key(|(key, _)| *key);
        let named = series.into_iter().map(|(_, stats)| Arc::clone(stats));
        named.chain([Arc::clone(&self.other)]).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Known<T>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A label value within its length.
pub(super) fn label(value: &str) -> &str {
    value
        .get(..value.floor_char_boundary(LABEL_BYTES))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(limit: usize) -> Family<&'static str> {
        Family::new(OTHER, limit)
    }

    #[test]
    fn the_same_labels_are_the_same_series() {
        let family = family(10);
        let first = family.intern("a".into(), 1, || "first");
        let again = family.intern("a".into(), 2, || "second");
        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn what_is_beyond_the_limit_counts_as_other() {
        let family = family(2);
        let held = ["a", "b", "c", "d"].map(|key| family.intern(key.into(), 1, || "own"));
        assert_eq!(held.map(|stats| *stats), ["own", "own", OTHER, OTHER]);
        assert_eq!(family.all().len(), 3);
    }

    #[test]
    fn a_series_outlives_its_route_by_two_generations() {
        let family = family(10);
        drop(family.intern("gone".into(), 1, || "gone"));
        let held = family.intern("held".into(), 1, || "held");
        for (generation, left) in [(1, 3), (2, 3), (3, 2), (9, 2)] {
            family.retire(generation);
            assert_eq!(family.all().len(), left, "generation {generation}");
        }
        assert!(Arc::ptr_eq(
            &held,
            &family.intern("held".into(), 9, || "new")
        ));
    }

    #[test]
    fn long_labels_are_cut_between_characters() {
        assert_eq!(label("short"), "short");
        assert_eq!(label(&"é".repeat(200)).len(), 256);
        assert_eq!(label(&format!("x{}", "é".repeat(200))).len(), 255);
    }
}
