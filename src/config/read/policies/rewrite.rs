//! Rewrites of paths.

use std::sync::Arc;

use adit_route::policy::template::Part;
use adit_route::policy::{Rewrite, RewritePath, Template};
use adit_route::{PathMatch, Pattern, Profile, Syntax};
use http::HeaderValue;

use super::super::super::problem::{Code, Problem};
use super::super::super::scalar;
use super::super::super::tree::{Entry, Node};
use super::super::Reader;

/// Exactly one of these says how.
const WAYS: [&str; 4] = ["to", "stripPrefix", "addPrefix", "replacePrefix"];

/// The rewrite of a rule for this path; `None` if it is switched off, or wrong.
pub(super) fn rewrite(
    reader: &mut Reader<'_>,
    node: &Node,
    profile: Profile,
    path: &PathMatch,
) -> Option<Rewrite> {
    if node.word(&["off"]).is_some() {
        return None;
    }
    if node.text().is_some() {
        return Some(Rewrite {
            path: expression(reader, node, None, profile, path)?,
            forwarded_prefix: None,
        });
    }
    let ways: Vec<&Entry> = node
        .entries()
        .iter()
        .filter(|entry| WAYS.contains(&&*entry.key))
        .collect();
    let [way] = ways.as_slice() else {
        let span = ways.get(1).map_or(node.span, |entry| entry.key_span);
        let problem = Problem::error(
            Code::COMBINATION,
            span,
            "a rewrite changes the path in exactly one way",
        );
        reader.push(problem.allowed(format!(
            "exactly one of {}",
            WAYS.map(|way| format!("`{way}`")).join(", ")
        )));
        return None;
    };
    let text = |node: &Node| node.text().map(Arc::from);
    if &*way.key != "to" {
        reader.forbid(node, &["regex"], "the expression belongs to `to`");
    }
    let how = match &*way.key {
        "to" => expression(reader, &way.value, node.field("regex"), profile, path)?,
        "stripPrefix" => {
            RewritePath::StripPrefix(way.value.one_or_more().iter().filter_map(text).collect())
        }
        "addPrefix" => RewritePath::AddPrefix(text(&way.value)?),
        _ => RewritePath::ReplacePrefix {
            from: way.value.field("from").and_then(text)?,
            to: way.value.field("to").and_then(text)?,
        },
    };
    let prefix = node.field("forwardedPrefix").and_then(Node::text);
    Some(Rewrite {
        path: how,
        forwarded_prefix: prefix.and_then(|text| HeaderValue::from_str(text).ok()),
    })
}

/// The target with the expression that it belongs to: one of its own, else the path of the rule,
/// which in the profile nginx is searched for anywhere (REW-02).
fn expression(
    reader: &mut Reader<'_>,
    node: &Node,
    own: Option<&Node>,
    profile: Profile,
    path: &PathMatch,
) -> Option<RewritePath> {
    let to = scalar::target(node.text()?).ok()?;
    let search = match profile {
        Profile::Strict => Syntax::default(),
        Profile::Nginx => Syntax::NGINX_REWRITE,
    };
    let pattern = match (own, profile, path) {
        (Some(own), _, _) => Some(compile(reader, own, own.text()?, search)?),
        (None, Profile::Nginx, _) => match Pattern::compile(path.as_str(), search) {
            Ok(pattern) => Some(pattern),
            // A path that is no expression stands for itself.
            Err(_) => Pattern::compile(&regex::escape(path.as_str()), search).ok(),
        },
        (None, Profile::Strict, PathMatch::Regex(pattern)) => Some(pattern.clone()),
        (None, Profile::Strict, _) => None,
    };
    if pattern.is_none()
        && let Some(group) = group(&to)
    {
        let problem = Problem::error(
            Code::COMBINATION,
            node.span,
            format!("`${group}` stands for nothing: there is no expression"),
        );
        reader.push(
            problem
                .found(format!("`${group}`"))
                .help("write `regex` beside `to`, or match the path by `regex`"),
        );
        return None;
    }
    Some(RewritePath::Expression { pattern, to })
}

fn group(to: &Template) -> Option<u8> {
    to.parts().iter().find_map(|part| match part {
        Part::Capture(group) => Some(*group),
        _ => None,
    })
}

/// An expression as the profile reads it. The check knows no profile, so that a text which only
/// nginx can read is found here.
pub(in super::super) fn compile(
    reader: &mut Reader<'_>,
    node: &Node,
    text: &str,
    syntax: Syntax,
) -> Option<Pattern> {
    match Pattern::compile(text, syntax) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            // Without that, the check has spoken of it.
            if error.needs_backtracking {
                let message =
                    "look-around and back-references can be written in the profile nginx only";
                let problem =
                    Problem::error(Code::MALFORMED, node.span, message).found(format!("`{text}`"));
                reader.push(problem.help("they can make a search slow; write the expression without them, or `profile: nginx`"));
            }
            None
        }
    }
}
