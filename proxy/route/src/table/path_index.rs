//! The rules of one host, ordered so that a path finds its candidates in order of precedence.
//!
//! Exact paths are sorted and found by bisection. Prefixes are sorted so that everything below a
//! prefix follows it at once (`/` sorts before every other byte); each knows the next shorter
//! prefix that covers it. One bisection finds the last prefix not above the path, and the way up
//! from there meets every prefix that covers the path, the longest first: the cost is that of the
//! nesting, however long a path a client sends. Must stay true: positions refer to the rules that
//! the index was built from.

use std::cmp::{Ordering, Reverse};

use super::{RuleEntry, conditions};
use crate::path::has_prefix;
use crate::pattern::Syntax;
use crate::rule::{Conditions, PathMatch};

/// Positions of rules in order of precedence, by kind of path.
#[derive(Clone, Debug)]
pub(super) struct PathIndex {
    exact: Box<[u32]>,
    regex: Box<[u32]>,
    prefix: Box<[u32]>,
    stems: Box<[Stem]>,
}

/// One distinct prefix.
#[derive(Clone, Copy, Debug)]
struct Stem {
    /// Its first rule in `prefix`; the others follow.
    start: u32,
    /// How many rules it has.
    count: u32,
    /// The longest shorter prefix that covers it.
    parent: Option<u32>,
}

/// A prefix without its last slash: `/` is empty, `/api/` is `/api`.
pub(super) fn stem(prefix: &str) -> &str {
    prefix.strip_suffix('/').unwrap_or(prefix)
}

impl PathIndex {
    pub(super) fn new<R>(rules: &[RuleEntry<R>]) -> Self {
        let (mut exact, mut regex, mut prefix) = (Vec::new(), Vec::new(), Vec::new());
        for (position, rule) in rules.iter().enumerate() {
            let kind = match rule.path {
                PathMatch::Exact(_) => &mut exact,
                PathMatch::Regex(_) => &mut regex,
                PathMatch::Prefix(_) => &mut prefix,
            };
            kind.push((rule, position as u32));
        }
        let text = |rule: &RuleEntry<R>| rule.path.as_str().to_owned();
        exact.sort_by_cached_key(|(rule, position)| (text(rule), rank(rule, *position)));
        let first_use = |rule: &RuleEntry<R>| {
            rules
                .iter()
                .position(|other| other.path == rule.path)
                .unwrap_or_default()
        };
        // The longest first; of equally long ones the first declared, in nginx the last in order of
        // their text (RGX-03).
        regex.sort_by_cached_key(|(rule, position)| {
            let text = rule.path.as_str();
            let tie = match &rule.path {
                PathMatch::Regex(regex) if regex.syntax() == Syntax::NGINX_PATH => {
                    (Reverse(text.to_owned()), 0)
                }
                _ => (Reverse(String::new()), first_use(rule)),
            };
            (Reverse(text.len()), tie, rank(rule, *position))
        });
        prefix.sort_by(|(one, first), (other, second)| {
            element_order(stem(one.path.as_str()), stem(other.path.as_str()))
                .then_with(|| rank(one, *first).cmp(&rank(other, *second)))
        });
        let texts: Vec<&str> = prefix
            .iter()
            .map(|(rule, _)| stem(rule.path.as_str()))
            .collect();
        let stems = stems(&texts);
        let positions =
            |kind: Vec<(&RuleEntry<R>, u32)>| kind.into_iter().map(|(_, at)| at).collect();
        Self {
            exact: positions(exact),
            regex: positions(regex),
            prefix: positions(prefix),
            stems,
        }
    }

    /// The first rule, in order of precedence, whose path covers this one and whose conditions hold.
    pub(super) fn find<'a, R>(
        &self,
        rules: &'a [RuleEntry<R>],
        path: &str,
        holds: impl Fn(&Conditions) -> bool,
    ) -> Option<&'a RuleEntry<R>> {
        let rule = |at: &u32| rules.get(*at as usize);
        let fits = |rule: &&'a RuleEntry<R>| holds(&rule.conditions);
        let text = |at: &u32| rule(at).map_or("", |rule| rule.path.as_str());

        let start = self.exact.partition_point(|at| text(at) < path);
        let mut exact = self
            .exact
            .iter()
            .skip(start)
            .take_while(|at| text(at) == path);
        if let Some(found) = exact.find_map(|at| rule(at).filter(fits)) {
            return Some(found);
        }

        let matches = |rule: &&'a RuleEntry<R>| match &rule.path {
            PathMatch::Regex(regex) => fits(rule) && regex.is_match(path),
            PathMatch::Exact(_) | PathMatch::Prefix(_) => false,
        };
        if let Some(found) = self.regex.iter().find_map(|at| rule(at).filter(matches)) {
            return Some(found);
        }

        let text = |of: &Stem| {
            self.prefix
                .get(of.start as usize)
                .map_or("", |at| stem(text(at)))
        };
        let after = self
            .stems
            .partition_point(|of| element_order(text(of), path).is_le());
        let last = after.checked_sub(1).and_then(|at| self.stems.get(at));
        let upwards = |of: &&Stem| of.parent.and_then(|at| self.stems.get(at as usize));
        std::iter::successors(last, upwards)
            .filter(|of| has_prefix(path, text(of)))
            .find_map(|of| {
                let positions = self
                    .prefix
                    .iter()
                    .skip(of.start as usize)
                    .take(of.count as usize);
                positions.into_iter().find_map(|at| rule(at).filter(fits))
            })
    }
}

/// Among rules for one path: conditions that say more go first, then the earlier declaration.
fn rank<R>(rule: &RuleEntry<R>, position: u32) -> impl Ord + use<R> {
    (Reverse(conditions::specificity(&rule.conditions)), position)
}

/// Groups sorted prefixes and links each to the longest that covers it.
fn stems(sorted: &[&str]) -> Box<[Stem]> {
    let mut stems: Vec<Stem> = Vec::new();
    let mut open: Vec<(u32, &str)> = Vec::new();
    for (start, text) in sorted.iter().enumerate() {
        while open
            .last()
            .is_some_and(|(_, outer)| !has_prefix(text, outer))
        {
            open.pop();
        }
        match (open.last(), stems.last_mut()) {
            (Some((_, same)), Some(stem)) if same == text => stem.count += 1,
            (outer, _) => {
                let parent = outer.map(|(at, _)| *at);
                let at = stems.len() as u32;
                stems.push(Stem {
                    start: start as u32,
                    count: 1,
                    parent,
                });
                open.push((at, text));
            }
        }
    }
    stems.into_boxed_slice()
}

/// Byte order in which `/` comes first, so that `/a/b` stands between `/a` and `/a-b`.
fn element_order(one: &str, other: &str) -> Ordering {
    let differing = one
        .bytes()
        .zip(other.bytes())
        .find(|(mine, theirs)| mine != theirs);
    match differing {
        None => one.len().cmp(&other.len()),
        Some((b'/', _)) => Ordering::Less,
        Some((_, b'/')) => Ordering::Greater,
        Some((mine, theirs)) => mine.cmp(&theirs),
    }
}
