//! Paths that change on the way to the backend (REW-01 to REW-08, N-12).
//!
//! A rewrite reads the canonical path and writes one: a request that has none is refused, as is one
//! that a rewrite would lead to a path with two readings. Routes are never chosen again.

use adit_route::path;
use adit_route::policy::template::Part;
use adit_route::policy::{Rewrite, RewritePath};
use adit_route::{Groups, Template};
use http::HeaderValue;
use http::uri::PathAndQuery;

use super::expand::expand_part;
use super::passage::Scene;

/// A rewrite with its target taken apart.
#[derive(Debug)]
pub(crate) struct Rewriting {
    policy: Rewrite,
    to: Template,
    /// What the target itself asks for.
    query: Option<Template>,
    /// Whether the query of the request follows: not if the target ends in `?`, as in nginx.
    keeps_query: bool,
}

/// What becomes of a request.
#[derive(Debug, PartialEq)]
pub(super) struct Rewritten {
    /// The new target; `None` leaves it.
    pub target: Option<PathAndQuery>,
    /// `X-Forwarded-Prefix`.
    pub prefix: Option<HeaderValue>,
}

/// The path has no canonical form, or would get none.
#[derive(Debug, PartialEq)]
pub(super) struct NotCanonical;

impl Rewriting {
    pub(super) fn compile(policy: &Rewrite) -> Self {
        let (to, query) = match &policy.path {
            RewritePath::Expression { to, .. } => to.split_query(),
            _ => (Template::default(), None),
        };
        let ends = |query: &Template| match query.parts().last() {
            None => true,
            Some(Part::Text(text)) => text.ends_with('?'),
            Some(_) => false,
        };
        Self {
            policy: policy.clone(),
            keeps_query: !query.as_ref().is_some_and(ends),
            to,
            query,
        }
    }

    /// What the request is turned into.
    pub(super) fn of(&self, scene: &Scene<'_>) -> Result<Rewritten, NotCanonical> {
        let canonical = path::canonical(scene.request.target.path()).ok_or(NotCanonical)?;
        let mut prefix = self.policy.forwarded_prefix.clone();
        let (made, query) = match &self.policy.path {
            RewritePath::Expression { pattern, .. } => {
                let groups = pattern.as_ref().map(|pattern| pattern.groups(&canonical));
                if let Some(None) = groups {
                    return Ok(Rewritten {
                        target: None,
                        prefix,
                    });
                }
                let groups = groups.flatten();
                let query = self.query.as_ref();
                let query = query.map(|query| escaped(query, scene, groups.as_ref()));
                (escaped(&self.to, scene, groups.as_ref()), query)
            }
            RewritePath::StripPrefix(prefixes) => {
                let Some((stem, rest)) = path::without_prefix(&canonical, prefixes) else {
                    return Ok(Rewritten {
                        target: None,
                        prefix,
                    });
                };
                if prefix.is_none() && !stem.is_empty() {
                    prefix = HeaderValue::from_str(stem).ok();
                }
                (rest.into_owned(), None)
            }
            RewritePath::AddPrefix(before) => (joined(before, &canonical), None),
            RewritePath::ReplacePrefix { from, to } => {
                match path::without_prefix(&canonical, &[from]) {
                    Some((_, rest)) => (joined(to, &rest), None),
                    None => (canonical.into_owned(), None),
                }
            }
        };
        let target = self.target(made, query.as_deref(), scene.request.target.query());
        Ok(Rewritten {
            target: Some(target?),
            prefix,
        })
    }

    fn target(
        &self,
        mut made: String,
        own: Option<&str>,
        asked: Option<&str>,
    ) -> Result<PathAndQuery, NotCanonical> {
        if !made.starts_with('/') {
            made.insert(0, '/');
        }
        let mut target = path::rewritten(&made).ok_or(NotCanonical)?.into_owned();
        let own = own.map(|own| own.strip_suffix('?').unwrap_or(own));
        let own = own.filter(|own| !own.is_empty());
        let asked = asked.filter(|_| self.keeps_query);
        for (separator, query) in [("?", own), (if own.is_some() { "&" } else { "?" }, asked)] {
            if let Some(query) = query {
                target.push_str(separator);
                target.push_str(query);
            }
        }
        PathAndQuery::try_from(target).map_err(|_| NotCanonical)
    }
}

/// Text of a path or a query: what neither may hold is escaped, so that no value of the request
/// ends the one or begins the other. What the operator wrote keeps its `?`.
fn escaped(template: &Template, scene: &Scene<'_>, groups: Option<&Groups<'_>>) -> String {
    let mut out = String::with_capacity(64);
    let mut value = String::new();
    for part in template.parts() {
        if let Part::Text(text) = part {
            for (at, piece) in text.split('?').enumerate() {
                if at > 0 {
                    out.push('?');
                }
                path::push_escaped(&mut out, piece);
            }
            continue;
        }
        value.clear();
        expand_part(part, scene, groups, &mut value);
        path::push_escaped(&mut out, &value);
    }
    out
}

/// A prefix before a path that begins with a slash.
fn joined(prefix: &str, path: &str) -> String {
    let stem = prefix.strip_suffix('/').unwrap_or(prefix);
    format!("{stem}{path}")
}
