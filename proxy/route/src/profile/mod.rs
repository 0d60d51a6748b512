//! What the rules of a host become under its profile: a pure function, asked once when a table is
//! built.
//!
//! ingress-nginx compiles Ingresses into locations, and users see how: a missing slash at the end
//! is redirected (PTH-07 to PTH-09), and one expression or rewrite turns every path of the host
//! into an expression that ignores case (RGX-01 to RGX-05). The strict profile knows nothing of
//! that. What must stay true: every entry of one host is expanded with knowledge of the others,
//! and no expansion makes two rules for one path and the same conditions.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::StatusCode;

use crate::host::HostPattern;
use crate::pattern::{Pattern, Syntax};
use crate::policy::{AppRoot, Policies, Redirect, RewritePath, Template};
use crate::rule::{Action, Conditions, HostRoutes, PathMatch, Profile, Rule};

/// The hosts with the rules that serve them. Most are as they were.
pub fn expanded<'h>(hosts: &'h [HostRoutes]) -> Vec<Cow<'h, HostRoutes>> {
    let mut wholes: HashMap<&HostPattern, Whole<'_>> = HashMap::new();
    for host in hosts {
        if host.profile == Profile::Nginx || host.app_root.is_some() {
            wholes.entry(&host.pattern).or_default();
        }
    }
    for host in hosts {
        if let Some(whole) = wholes.get_mut(&host.pattern) {
            whole.add(host);
        }
    }
    let expand = |host: &'h HostRoutes| match wholes.get_mut(&host.pattern) {
        Some(whole) => Cow::Owned(HostRoutes {
            rules: whole.rules(host),
            ..host.clone()
        }),
        None => Cow::Borrowed(host),
    };
    hosts.iter().map(expand).collect()
}

/// Everything that is declared for one host.
#[derive(Default)]
struct Whole<'a> {
    profile: Profile,
    /// Whether one rule makes every path an expression (RGX-01).
    is_regex: bool,
    /// Paths as they were written.
    written: HashSet<&'a str>,
    /// Paths that a rule of their own answers.
    answered: HashSet<&'a str>,
    /// The first one wins.
    app_root: Option<&'a AppRoot>,
    /// Whether the rule for it has been made.
    is_rooted: bool,
    /// Expressions that have been made.
    made: Vec<(String, Conditions)>,
}

impl<'a> Whole<'a> {
    fn add(&mut self, host: &'a HostRoutes) {
        if host.profile == Profile::Nginx {
            self.profile = Profile::Nginx;
        }
        self.app_root = self.app_root.or(host.app_root.as_ref());
        for rule in &host.rules {
            let text = rule.path.as_str();
            self.is_regex |= is_expression(rule);
            self.written.insert(text);
            if !matches!(rule.path, PathMatch::Regex(_)) {
                self.answered.insert(text);
            }
        }
    }

    fn rules(&mut self, host: &HostRoutes) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(host.rules.len() * 2);
        if let Some(root) = self.app_root
            && !self.is_rooted
        {
            self.is_rooted = true;
            rules.push(root_rule(root, host));
        }
        for rule in &host.rules {
            if self.app_root.is_some()
                && matches!(&rule.path, PathMatch::Exact(path) if **path == *"/")
            {
                // Nobody would ever reach it.
                continue;
            }
            match self.profile {
                Profile::Strict => rules.push(rule.clone()),
                Profile::Nginx if self.is_regex => self.expressions(rule, &mut rules),
                Profile::Nginx => {
                    rules.extend(self.slash_rule(rule));
                    rules.push(rule.clone());
                }
            }
        }
        rules
    }

    /// The rule that adds the missing slash, unless a rule answers that path itself.
    fn slash_rule(&self, rule: &Rule) -> Option<Rule> {
        let (PathMatch::Prefix(path) | PathMatch::Exact(path)) = &rule.path else {
            return None;
        };
        let stem = path.strip_suffix('/').filter(|stem| !stem.is_empty())?;
        if self.answered.contains(stem) {
            return None;
        }
        let to = Template::parse("$scheme://$host$path$is_args$args", &[("path", path)]);
        Some(Rule {
            path: PathMatch::Exact(stem.into()),
            action: Action::Policy,
            policies: Some(Arc::new(Policies {
                // The response passes the rule's last stage like any other (section 1.18).
                response_fields: rule
                    .policies
                    .as_ref()
                    .map(|policies| policies.response_fields.clone())
                    .unwrap_or_default(),
                hsts: rule
                    .policies
                    .as_ref()
                    .and_then(|policies| policies.hsts.clone()),
                ..redirect(to.unwrap_or_default(), StatusCode::MOVED_PERMANENTLY)
            })),
            ..rule.clone()
        })
    }

    /// A rule of a host on which every path is an expression.
    fn expressions(&mut self, rule: &Rule, rules: &mut Vec<Rule>) {
        let text = rule.path.as_str();
        let mut texts = vec![text.to_owned()];
        // Paths that ask for nothing of the kind are split first (RGX-04).
        if !is_expression(rule) && matches!(rule.path, PathMatch::Prefix(_)) && !text.ends_with('/')
        {
            let below = format!("{text}/");
            if !self.written.contains(&*below) {
                texts.insert(0, below);
            }
        }
        for text in texts {
            let made = (text, rule.conditions.clone());
            if self.made.contains(&made) {
                continue;
            }
            let compile = |text: &str| Pattern::compile(text, Syntax::NGINX_PATH);
            let pattern = match &rule.path {
                PathMatch::Regex(read) if read.syntax() == Syntax::NGINX_PATH => Ok(read.clone()),
                _ => compile(&made.0).or_else(|_| compile(&regex::escape(&made.0))),
            };
            self.made.push(made);
            if let Ok(pattern) = pattern {
                rules.push(Rule {
                    path: PathMatch::Regex(pattern),
                    ..rule.clone()
                });
            }
        }
    }
}

/// Whether the rule asks for expressions: by its path, or by a rewrite (REW-01).
fn is_expression(rule: &Rule) -> bool {
    if matches!(rule.path, PathMatch::Regex(_)) {
        return true;
    }
    let rewrite = rule
        .policies
        .as_ref()
        .and_then(|policies| policies.rewrite.as_ref());
    rewrite.is_some_and(|rewrite| match &rewrite.path {
        RewritePath::Expression { to, .. } => to.as_literal() != Some(rule.path.as_str()),
        _ => false,
    })
}

/// The root of the host leads to its application, whoever owns `/`.
fn root_rule(root: &AppRoot, host: &HostRoutes) -> Rule {
    let to = Template::parse("$scheme://$http_host$root", &[("root", &root.to)]);
    Rule {
        path: PathMatch::Exact("/".into()),
        conditions: Conditions::default(),
        action: Action::Policy,
        timeouts: crate::rule::RuleTimeouts::default(),
        max_body: None,
        low_priority: false,
        websocket: false,
        policies: Some(Arc::new(redirect(
            to.unwrap_or_default(),
            StatusCode::FOUND,
        ))),
        place: host.place.clone(),
    }
}

fn redirect(to: Template, status: StatusCode) -> Policies {
    Policies {
        redirect: Some(Redirect {
            to,
            status,
            relative: false,
            cut_slash: false,
        }),
        ..Policies::default()
    }
}

#[cfg(test)]
mod tests;
