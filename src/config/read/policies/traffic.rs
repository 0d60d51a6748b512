//! Canaries and sessions.

use std::sync::Arc;

use adit_route::policy::{Canary, CanaryHeader, Policies, SameSite, Sticky, StickyMode};

use super::super::super::problem::{Code, Problem};
use super::super::super::scalar;
use super::super::super::tree::Node;
use super::super::Reader;
use super::super::upstreams::{Scope, duration, http_upstream_to};

/// Reads the family; whether anything of it is written. `name` is that of the rule's upstream.
pub(super) fn traffic(
    reader: &mut Reader<'_>,
    scope: &Scope<'_>,
    name: &str,
    policies: &mut Policies,
) -> bool {
    policies.canary = scope
        .field("canary")
        .and_then(|node| canary(reader, scope, name, node));
    policies.sticky = scope.field("sticky").map(sticky);
    policies.canary.is_some() || policies.sticky.is_some()
}

fn canary(reader: &mut Reader<'_>, scope: &Scope<'_>, name: &str, node: &Node) -> Option<Canary> {
    let number = |key, usual| {
        let number = node.field(key).and_then(Node::integer);
        number.map_or(usual, |number| number as u32)
    };
    let header = node
        .field("header")
        .and_then(|node| canary_header(reader, node));
    let (weight, total) = (number("weight", 0), number("total", 100));
    if let Some(written) = node.field("weight").filter(|_| weight > total) {
        let message = format!("the weight is more than the total of {total}");
        let problem = Problem::error(Code::RANGE, written.span, message);
        reader.push(
            problem
                .found(weight.to_string())
                .allowed(format!("at most {total}"))
                .help("write a larger `total`, or a smaller `weight`"),
        );
    }
    let list = node.field("backends")?;
    let upstream = http_upstream_to(reader, &format!("{name} canary"), scope, list.items());
    Some(Canary {
        upstream: Arc::new(upstream),
        header,
        cookie: node.field("cookie").and_then(Node::text).map(Into::into),
        weight,
        total,
        sticky: node.field("sticky").and_then(Node::truth).unwrap_or(true),
    })
}

fn canary_header(reader: &mut Reader<'_>, node: &Node) -> Option<CanaryHeader> {
    if let Some(text) = node.text() {
        return scalar::header_name(text).ok().map(CanaryHeader::Switch);
    }
    let name = scalar::header_name(node.field("name")?.text()?).ok()?;
    match (node.field("value"), node.field("regex")) {
        (Some(_), Some(regex)) => {
            let message = "both `value` and `regex` are written";
            let problem = Problem::error(Code::COMBINATION, regex.span, message);
            reader.push(problem.allowed("one of `value` and `regex`"));
            None
        }
        (Some(value), None) => Some(CanaryHeader::Value(name, value.text()?.into())),
        (None, Some(regex)) => {
            let regex = scalar::value_regex(regex.text()?).ok()?;
            Some(CanaryHeader::Pattern(name, regex))
        }
        (None, None) => Some(CanaryHeader::Switch(name)),
    }
}

fn sticky(node: &Node) -> Sticky {
    let text = |key| node.field(key).and_then(Node::text);
    let time = |key| node.field(key).and_then(duration);
    let truth = |key, usual| node.field(key).and_then(Node::truth).unwrap_or(usual);
    Sticky {
        cookie: node
            .text()
            .or_else(|| text("cookie"))
            .unwrap_or("INGRESSCOOKIE")
            .into(),
        mode: match text("mode") {
            Some("persistent") => StickyMode::Persistent,
            _ => StickyMode::Balanced,
        },
        path: text("path").map(Into::into),
        domain: text("domain").map(Into::into),
        max_age: time("maxAge"),
        expires: time("expires"),
        same_site: match text("sameSite") {
            Some("strict") => Some(SameSite::Strict),
            Some("lax") => Some(SameSite::Lax),
            Some("none") => Some(SameSite::None),
            _ => None,
        },
        conditional_same_site: truth("conditionalSameSite", false),
        secure: truth("secure", false),
        http_only: truth("httpOnly", true),
        change_on_failure: truth("changeOnFailure", false),
    }
}
