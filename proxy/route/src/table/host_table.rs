//! One host of the table: who may see it, and which of its rules a request gets.
//!
//! A path that backends may read differently is selected for only if every reading leads to the
//! same rule and the same verdict (N-09, E-04). Must stay true: a plain path costs no allocation,
//! and [`HostTable::select`] never hands out a rule that another reading would not have got.

use std::sync::Arc;

use http::Method;

use super::path_index::PathIndex;
use super::{RuleEntry, conditions};
use crate::exposure::{ExposureRules, Verdict};
use crate::field_list::FieldList;
use crate::host::HostPattern;
use crate::path;

/// A host pattern, compiled.
#[derive(Clone, Debug)]
pub struct HostTable<H, R> {
    pattern: HostPattern,
    payload: H,
    rules: Vec<RuleEntry<R>>,
    index: PathIndex,
    exposure: Exposure,
}

/// Who may see the host.
#[derive(Clone, Debug)]
enum Exposure {
    /// One verdict for every name and path under the pattern.
    Settled(Arc<Verdict>),
    /// The rules that can concern the pattern, read for each request.
    Open {
        rules: Box<ExposureRules>,
        by_path: bool,
    },
}

/// What a rule is selected by.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The canonical host of the request.
    pub host: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The path as sent, without the query, checked by [`path::check_target`].
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a FieldList,
}

/// The outcome of a selection.
#[derive(Debug)]
pub enum Selection<'a, R> {
    /// This rule, under every reading of the path.
    Rule(&'a RuleEntry<R>),
    /// No rule, under every reading of the path.
    None,
    /// Readings of the path disagree, or one climbs above the root: the request is refused (400).
    Ambiguous,
}

impl<H, R> HostTable<H, R> {
    pub(super) fn new(
        pattern: HostPattern,
        payload: H,
        rules: Vec<RuleEntry<R>>,
        exposure: &ExposureRules,
    ) -> Self {
        let index = PathIndex::new(&rules);
        let exposure = Exposure::new(exposure, &pattern);
        Self {
            pattern,
            payload,
            rules,
            index,
            exposure,
        }
    }

    /// The hosts that this entry answers for.
    pub fn pattern(&self) -> &HostPattern {
        &self.pattern
    }

    /// What the data plane keeps for the host.
    pub fn payload(&self) -> &H {
        &self.payload
    }

    /// The rules, in the order of declaration.
    pub fn rules(&self) -> &[RuleEntry<R>] {
        &self.rules
    }

    /// What the policy says of a concrete host under the pattern, and of a path as it is written.
    pub fn verdict(&self, host: &str, path: &str) -> &Arc<Verdict> {
        match &self.exposure {
            Exposure::Settled(verdict) => verdict,
            Exposure::Open { rules, .. } => rules.decide(host, path),
        }
    }

    /// Whether the verdict depends on the path.
    pub fn has_path_verdicts(&self) -> bool {
        matches!(self.exposure, Exposure::Open { by_path: true, .. })
    }

    /// The rule for a request: exact path, then regular expressions, the longest first, then the
    /// longest prefix; for one path the conditions that say more, then the order of declaration.
    /// A rule whose conditions do not hold gives way to the next.
    pub fn select(&self, request: &RequestView<'_>) -> Selection<'_, R> {
        let found = self.rule_for(request.path, request);
        if !path::is_plain(request.path) && !self.is_invariant(found, request) {
            return Selection::Ambiguous;
        }
        found.map_or(Selection::None, Selection::Rule)
    }

    fn rule_for(&self, path: &str, request: &RequestView<'_>) -> Option<&RuleEntry<R>> {
        self.index.find(&self.rules, path, |wanted| {
            conditions::hold(wanted, request)
        })
    }

    /// Whether every reading gets the rule, and the verdict, that the path as sent gets.
    fn is_invariant(&self, found: Option<&RuleEntry<R>>, request: &RequestView<'_>) -> bool {
        let Ok(readings) = path::readings(request.path) else {
            return false;
        };
        let verdict = self.verdict(request.host, request.path);
        readings.iter().skip(1).all(|reading| {
            let other = self.rule_for(reading, request);
            other.map(std::ptr::from_ref) == found.map(std::ptr::from_ref)
                && same_policy(verdict, self.verdict(request.host, reading))
        })
    }
}

impl Exposure {
    fn new(rules: &ExposureRules, pattern: &HostPattern) -> Self {
        if let Some(verdict) = rules.settled(pattern) {
            return Self::Settled(Arc::clone(verdict));
        }
        let narrowed = rules.narrowed(pattern);
        let by_path = narrowed.rules.iter().any(|rule| !rule.paths.is_empty());
        Self::Open {
            rules: Box::new(narrowed),
            by_path,
        }
    }
}

/// Two rules of the policy may say the same under different names.
fn same_policy(one: &Arc<Verdict>, other: &Arc<Verdict>) -> bool {
    Arc::ptr_eq(one, other) || (one.class == other.class && one.from == other.from)
}
