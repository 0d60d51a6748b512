//! Which hosts and paths a rule still decides, after the rules above it.
//!
//! Two host patterns that have a host in common are always such that one contains the other. So the
//! hosts in common are again a pattern, and they are decided above exactly if one pattern of one
//! rule above contains them all.

use adit_route::path::has_prefix;
use adit_route::{HostPattern, HostRoutes, RouteSet};

use super::RuleConfig;

/// The hosts that both patterns cover.
pub(super) fn meet<'a>(one: &'a HostPattern, other: &'a HostPattern) -> Option<&'a HostPattern> {
    if one.contains(other) {
        Some(other)
    } else {
        other.contains(one).then_some(one)
    }
}

/// The rule above that decides all these hosts, for this path prefix or (`None`) for every path.
pub(super) fn decided_above<'a>(
    above: &'a [RuleConfig],
    hosts: &HostPattern,
    path: Option<&str>,
) -> Option<&'a RuleConfig> {
    above.iter().find(|rule| {
        let paths = &rule.paths;
        rule.hosts.iter().any(|pattern| pattern.contains(hosts))
            && (paths.is_empty()
                || path.is_some_and(|path| paths.iter().any(|prefix| has_prefix(path, prefix))))
    })
}

/// Whether a rule still decides some of these hosts.
pub(super) fn is_open(above: &[RuleConfig], rule: &RuleConfig, hosts: &HostPattern) -> bool {
    paths_of(rule).any(|path| decided_above(above, hosts, path).is_none())
}

/// The path prefixes of a rule; one `None` if it speaks of every path.
pub(super) fn paths_of(rule: &RuleConfig) -> impl Iterator<Item = Option<&str>> {
    let all = rule.paths.is_empty().then_some(None);
    rule.paths.iter().map(|path| Some(path.as_str())).chain(all)
}

/// Whether the route answers for some of these hosts, which lie under its pattern, itself: no more
/// specific route takes them all.
pub(super) fn answers(routes: &RouteSet, route: &HostRoutes, hosts: &HostPattern) -> bool {
    let pattern = &route.pattern;
    !routes.hosts.iter().any(|other| {
        other.pattern != *pattern
            && pattern.contains(&other.pattern)
            && other.pattern.contains(hosts)
    })
}
