//! `neverPublic`, held below the rules.
//!
//! A rule that would make a guarded host public does not pass the checks. Should one get here all
//! the same, the compiled rules still refuse: before each public rule stands one that says `lan` for
//! the guarded hosts among its hosts. It copies the paths and the `from` of the public rule, so it
//! takes from that rule exactly what it must and widens nothing; and whatever decides further up,
//! an `off` for example, still decides.

use std::sync::Arc;

use adit_route::{Class, ExposureRule, HostPattern, Verdict};

use super::coverage::meet;

/// The name under which guards appear in verdicts.
pub(super) const RULE: &str = "guards.neverPublic";

/// The rules with the guards between them.
pub(super) fn enforce(rules: Vec<ExposureRule>, never_public: &[HostPattern]) -> Vec<ExposureRule> {
    let mut guarded = Vec::with_capacity(rules.len());
    for mut rule in rules {
        if rule.verdict.class.is_public() {
            guarded.extend(guard(&rule, never_public));
            rule.hosts
                .retain(|host| !never_public.iter().any(|guard| guard.contains(host)));
        }
        // A rule without hosts would speak of all of them.
        if !rule.hosts.is_empty() {
            guarded.push(rule);
        }
    }
    guarded
}

fn guard(rule: &ExposureRule, never_public: &[HostPattern]) -> Option<ExposureRule> {
    let shared = |host| {
        never_public
            .iter()
            .filter_map(move |guard| meet(host, guard))
    };
    let hosts: Vec<HostPattern> = rule.hosts.iter().flat_map(shared).cloned().collect();
    let Verdict { line, from, .. } = &*rule.verdict;
    let verdict = Verdict {
        rule: RULE.into(),
        line: *line,
        class: Class::Lan,
        from: from.clone(),
    };
    let made = ExposureRule {
        hosts,
        verdict: Arc::new(verdict),
        ..rule.clone()
    };
    (!made.hosts.is_empty()).then_some(made)
}
