//! The rules of a host that almost matched, for `explain`.
//!
//! A rule almost matches if its path does and a condition does not, or if its path is spelled
//! nearly like the one asked for, or begins like it. Nothing here decides anything: what matches is
//! asked of the same functions that the look-up uses.

use std::cmp::Reverse;

use super::conditions::{self, Unmet};
use super::host_table::{HostTable, RequestView};
use super::{RuleEntry, path_index};
use crate::path::has_prefix;
use crate::rule::PathMatch;
use crate::spelling;

/// A rule that almost matched.
#[derive(Debug)]
pub struct Near<'a, R> {
    /// The rule.
    pub rule: &'a RuleEntry<R>,
    /// What it lacks.
    pub nearness: Nearness<'a>,
}

/// How a rule missed.
#[derive(Clone, Debug, PartialEq)]
pub enum Nearness<'a> {
    /// The path matches, these conditions do not hold.
    Conditions(Vec<Unmet<'a>>),
    /// The path of the rule is spelled nearly like the one asked for.
    Spelling,
    /// The path of the rule begins like the one asked for, for so many bytes.
    Beginning(usize),
}

impl<H, R> HostTable<H, R> {
    /// The rules that almost matched a request which none matched, the nearest first.
    pub fn near<'a>(&'a self, request: &RequestView<'a>) -> Vec<Near<'a, R>> {
        const SHOWN: usize = 3;
        let mut found: Vec<_> = self
            .rules()
            .iter()
            .filter_map(|rule| {
                let nearness = nearness(rule, request)?;
                Some(Near { rule, nearness })
            })
            .collect();
        found.sort_by_key(|near| match &near.nearness {
            Nearness::Conditions(unmet) => (0, Reverse(0), unmet.len()),
            Nearness::Spelling => (1, Reverse(0), 0),
            Nearness::Beginning(bytes) => (2, Reverse(*bytes), near.rule.path.as_str().len()),
        });
        found.truncate(SHOWN);
        found
    }
}

fn nearness<'a, R>(rule: &'a RuleEntry<R>, request: &RequestView<'a>) -> Option<Nearness<'a>> {
    let path = request.path;
    let text = match &rule.path {
        PathMatch::Exact(text) | PathMatch::Prefix(text) => text,
        PathMatch::Regex(_) => "",
    };
    let matches = match &rule.path {
        PathMatch::Exact(text) => **text == *path,
        PathMatch::Prefix(text) => has_prefix(path, text),
        PathMatch::Regex(regex) => regex.is_match(path),
    };
    if matches {
        let unmet = conditions::unmet(&rule.conditions, request).collect();
        return Some(Nearness::Conditions(unmet));
    }
    let stem = path_index::stem(text);
    // Of a longer path, as many elements as the rule has.
    let depth = stem.bytes().filter(|&byte| byte == b'/').count();
    let head = path
        .match_indices('/')
        .nth(depth)
        .and_then(|(end, _)| path.get(..end))
        .unwrap_or(path);
    let head = path_index::stem(head);
    let same = !stem.is_empty() && stem.eq_ignore_ascii_case(head);
    if same || !spelling::nearest(head, [stem], 1).is_empty() {
        return Some(Nearness::Spelling);
    }
    let agree = stem
        .bytes()
        .zip(path.bytes())
        .take_while(|(mine, theirs)| mine == theirs)
        .count();
    // Every path begins with a slash.
    (agree > 1).then_some(Nearness::Beginning(agree))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::exposure::ExposureRules;
    use crate::field_list::FieldList;
    use crate::host::HostPattern;
    use crate::rule::Conditions;
    use crate::table::{HostEntry, RouteTable};

    fn table() -> RouteTable<(), &'static str> {
        let rule = |path, methods: &[Method]| RuleEntry {
            path,
            conditions: Conditions {
                methods: methods.to_vec(),
                ..Conditions::default()
            },
            payload: "",
        };
        let entry = HostEntry {
            pattern: HostPattern::parse("a.test").unwrap(),
            payload: (),
            rules: vec![
                rule(PathMatch::Prefix("/api/v1".into()), &[]),
                rule(PathMatch::Prefix("/upload".into()), &[Method::POST]),
                rule(PathMatch::Exact("/status".into()), &[]),
            ],
        };
        RouteTable::build(vec![entry], &ExposureRules::default()).unwrap()
    }

    #[test]
    fn a_miss_is_told_from_its_neighbours() {
        let table = table();
        let headers = FieldList::new();
        let only_post = [Method::POST];
        for (path, expected) in [
            ("/api/v2/x", Some(("/api/v1", Nearness::Spelling))),
            ("/API/v1/x", Some(("/api/v1", Nearness::Spelling))),
            ("/statsu", Some(("/status", Nearness::Spelling))),
            ("/status/", Some(("/status", Nearness::Spelling))),
            ("/api/other/x", Some(("/api/v1", Nearness::Beginning(5)))),
            ("/statusboard", Some(("/status", Nearness::Beginning(7)))),
            (
                "/upload/a",
                Some((
                    "/upload",
                    Nearness::Conditions(vec![Unmet::Method(&only_post)]),
                )),
            ),
            ("/", None),
            ("/zzz", None),
        ] {
            let request = RequestView {
                host: "a.test",
                method: &Method::GET,
                path,
                query: None,
                headers: &headers,
            };
            let near = table.host("a.test").unwrap().near(&request);
            let first = near.first();
            let first = first.map(|near| (near.rule.path.as_str(), near.nearness.clone()));
            assert_eq!(first, expected, "{path}");
        }
    }
}
