//! The compiled table: from a host to its rules, and from a request to one rule.
//!
//! The data plane chooses the payloads, so this file knows nothing of pools or certificates. Hosts
//! are found by hash, most specific pattern first; once a host is found there is no fallback to a
//! less specific one, not even for paths that it lacks (HST-04, HST-05). A look-up allocates
//! nothing.

mod conditions;
mod host_table;
mod near;
mod path_index;

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;

use crate::exposure::ExposureRules;
use crate::host::HostPattern;
use crate::path::PathError;
use crate::rule::{Conditions, PathMatch};
use crate::spelling;

pub use conditions::Unmet;
pub use host_table::{HostTable, RequestView, Selection};
pub use near::{Near, Nearness};

/// One host pattern as it goes into the table.
#[derive(Clone, Debug)]
pub struct HostEntry<H, R> {
    /// The hosts.
    pub pattern: HostPattern,
    /// What the data plane keeps for the host.
    pub payload: H,
    /// Its rules, in the order of their declaration.
    pub rules: Vec<RuleEntry<R>>,
}

/// One rule as it goes into the table.
#[derive(Clone, Debug)]
pub struct RuleEntry<R> {
    /// The path.
    pub path: PathMatch,
    /// What must hold beside the path.
    pub conditions: Conditions,
    /// What the data plane keeps for the rule.
    pub payload: R,
}

/// Where a rule stood in what was given to [`RouteTable::build`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulePosition {
    /// Index of the host entry.
    pub host: usize,
    /// Index of the rule in it.
    pub rule: usize,
}

/// Why a table cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableError {
    /// Two rules of one host have the same path and the same conditions.
    Duplicate {
        /// The host.
        host: HostPattern,
        /// The path, as the second rule writes it.
        path: String,
        /// The rule that stays reachable.
        first: RulePosition,
        /// The rule that could never be selected.
        second: RulePosition,
    },
    /// The path of a rule is none, or every request for it would be ambiguous.
    Path {
        /// The host.
        host: HostPattern,
        /// The path.
        path: String,
        /// The rule.
        at: RulePosition,
        /// What is wrong with it.
        error: PathError,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { host, path, .. } => {
                write!(
                    f,
                    "two rules of `{host}` have the path `{path}` and the same conditions"
                )
            }
            Self::Path {
                host, path, error, ..
            } => {
                write!(
                    f,
                    "the path `{path}` of `{host}` cannot be selected: {error}"
                )
            }
        }
    }
}

impl std::error::Error for TableError {}

/// Every host with its rules, ready for look-ups.
#[derive(Clone, Debug)]
pub struct RouteTable<H, R> {
    hosts: Vec<HostTable<H, R>>,
    exact: Names,
    one_label: Names,
    subtree: Names,
    any: Option<usize>,
}

/// From a name or suffix to a place in `hosts`. Seeded per process, so collisions cannot be
/// prepared elsewhere.
type Names = HashMap<Box<str>, usize, RandomState>;

impl<H, R> RouteTable<H, R> {
    /// Compiles the table, or says everything that is wrong.
    ///
    /// Entries for one pattern are merged: their rules follow each other and the first payload
    /// stays.
    pub fn build(
        entries: Vec<HostEntry<H, R>>,
        exposure: &ExposureRules,
    ) -> Result<Self, Vec<TableError>> {
        let mut drafts: Vec<Draft<H, R>> = Vec::with_capacity(entries.len());
        let mut known: HashMap<HostPattern, usize, RandomState> = HashMap::default();
        for (host, entry) in entries.into_iter().enumerate() {
            let place = *known.entry(entry.pattern.clone()).or_insert_with(|| {
                drafts.push(Draft::new(entry.pattern, entry.payload));
                drafts.len() - 1
            });
            if let Some(draft) = drafts.get_mut(place) {
                let positions = (0..entry.rules.len()).map(|rule| RulePosition { host, rule });
                draft.positions.extend(positions);
                draft.rules.extend(entry.rules);
            }
        }
        let errors: Vec<_> = drafts.iter().flat_map(Draft::errors).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let compiled = drafts
            .into_iter()
            .map(|draft| HostTable::new(draft.pattern, draft.payload, draft.rules, exposure));
        Ok(Self::index(compiled.collect()))
    }

    fn index(hosts: Vec<HostTable<H, R>>) -> Self {
        let [mut exact, mut one_label, mut subtree] = [(); 3].map(|()| Names::default());
        let mut any = None;
        for (place, host) in hosts.iter().enumerate() {
            let (names, name) = match host.pattern() {
                HostPattern::Exact(name) => (&mut exact, name),
                HostPattern::OneLabel(suffix) => (&mut one_label, suffix),
                HostPattern::Subtree(suffix) => (&mut subtree, suffix),
                HostPattern::Any => {
                    any = Some(place);
                    continue;
                }
            };
            names.insert(name.as_str().into(), place);
        }
        Self {
            hosts,
            exact,
            one_label,
            subtree,
            any,
        }
    }

    /// The most specific host that covers this canonical name.
    pub fn host(&self, host: &str) -> Option<&HostTable<H, R>> {
        let place = self
            .exact
            .get(host)
            .copied()
            .or_else(|| self.wildcard(host))
            .or(self.any)?;
        self.hosts.get(place)
    }

    fn wildcard<'a>(&self, host: &'a str) -> Option<usize> {
        let (label, suffix) = host.split_once('.')?;
        if label.is_empty() {
            return None;
        }
        if let Some(place) = self.one_label.get(suffix) {
            return Some(*place);
        }
        if self.subtree.is_empty() {
            return None;
        }
        let shorter = |name: &&'a str| name.split_once('.').map(|(_, rest)| rest);
        let mut suffixes = std::iter::successors(Some(suffix), shorter);
        suffixes.find_map(|name| self.subtree.get(name).copied())
    }

    /// Every host, in the order of declaration.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = &HostTable<H, R>> {
        self.hosts.iter()
    }

    /// Hosts of the table that are spelled nearly like this one, for `explain`.
    pub fn nearest(&self, host: &str) -> Vec<String> {
        const SHOWN: usize = 3;
        spelling::nearest(
            host,
            self.hosts.iter().map(|known| known.pattern().to_string()),
            SHOWN,
        )
    }
}

/// A host while its entries are being merged.
struct Draft<H, R> {
    pattern: HostPattern,
    payload: H,
    rules: Vec<RuleEntry<R>>,
    positions: Vec<RulePosition>,
}

impl<H, R> Draft<H, R> {
    fn new(pattern: HostPattern, payload: H) -> Self {
        Self {
            pattern,
            payload,
            rules: Vec::new(),
            positions: Vec::new(),
        }
    }

    fn errors(&self) -> Vec<TableError> {
        let mut errors = Vec::new();
        let mut seen: HashMap<(u8, &str), Vec<usize>, RandomState> = HashMap::default();
        let rules = self.rules.iter().zip(&self.positions);
        for (place, (rule, &at)) in rules.clone().enumerate() {
            let text = rule.path.as_str();
            let (kind, comparable) = match &rule.path {
                PathMatch::Exact(_) => (0, text),
                PathMatch::Prefix(_) => (1, path_index::stem(text)),
                PathMatch::Regex(_) => (2, text),
            };
            if kind < 2
                && let Err(error) = crate::path::check_rule_path(text)
            {
                let (host, path) = (self.pattern.clone(), text.to_owned());
                errors.push(TableError::Path {
                    host,
                    path,
                    at,
                    error,
                });
            }
            let equals = seen.entry((kind, comparable)).or_default();
            let first = equals.iter().find_map(|&earlier| {
                let (other, position) = (self.rules.get(earlier)?, self.positions.get(earlier)?);
                conditions::are_same(&other.conditions, &rule.conditions).then_some(*position)
            });
            if let Some(first) = first {
                let (host, path) = (self.pattern.clone(), text.to_owned());
                errors.push(TableError::Duplicate {
                    host,
                    path,
                    first,
                    second: at,
                });
            }
            equals.push(place);
        }
        errors
    }
}

#[cfg(test)]
mod tests;
