//! Redirects, rewrites and header fields.

use adit_route::policy::{FieldEdits, Policies, Redirect, Template};
use http::{HeaderName, StatusCode};

use super::super::super::problem::{Code, Problem};
use super::super::super::scalar;
use super::super::super::tree::{Entry, Node, Span};
use super::super::Reader;
use super::super::respond::FRAMING;
use super::super::upstreams::Scope;
use super::template;

/// Reads the family; whether anything of it is written.
pub(super) fn paths(reader: &mut Reader<'_>, scope: &Scope<'_>, policies: &mut Policies) -> bool {
    policies.redirect = scope.field("redirect").and_then(redirect);
    if let Some(node) = scope.field("requestHeaders") {
        policies.request_fields = edits(reader, node, is_request_field_of_ours);
    }
    if let Some(node) = scope.field("responseHeaders") {
        policies.response_fields = edits(reader, node, |_| false);
    }
    policies.redirect.is_some()
        || !policies.request_fields.is_empty()
        || !policies.response_fields.is_empty()
}

fn redirect(node: &Node) -> Option<Redirect> {
    let to = node.field("to").unwrap_or(node);
    let status = node.field("status").and_then(Node::text);
    Some(Redirect {
        to: template(to)?,
        status: status
            .and_then(|text| text.parse().ok())
            .unwrap_or(StatusCode::MOVED_PERMANENTLY),
        relative: false,
        cut_slash: false,
    })
}

/// What tells a backend of the client: nobody may have it lie (H-01 to H-11).
fn is_request_field_of_ours(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host" | "via" | "forwarded" | "x-real-ip" | "x-request-id"
    ) || name.as_str().starts_with("x-forwarded-")
}

fn edits(
    reader: &mut Reader<'_>,
    node: &Node,
    is_ours: impl Fn(&HeaderName) -> bool,
) -> FieldEdits {
    let mut named = |key: &str| {
        let entries = node.field(key).map(Node::entries).unwrap_or_default();
        let edit = |entry: &Entry| {
            let name = editable(reader, &entry.key, entry.key_span, &is_ours)?;
            Some((name, template(&entry.value)?))
        };
        entries
            .iter()
            .filter_map(edit)
            .collect::<Vec<(HeaderName, Template)>>()
    };
    let (set, add) = (named("set"), named("add"));
    let removed = node.field("remove").map(Node::one_or_more);
    let remove = removed
        .unwrap_or_default()
        .iter()
        .filter_map(|item| editable(reader, item.text()?, item.span, &is_ours));
    FieldEdits {
        remove: remove.collect(),
        set,
        add,
    }
}

fn editable(
    reader: &mut Reader<'_>,
    text: &str,
    span: Span,
    is_ours: &impl Fn(&HeaderName) -> bool,
) -> Option<HeaderName> {
    let name = scalar::header_name(text).ok()?;
    if !FRAMING.contains(&name.as_str()) && !is_ours(&name) {
        return Some(name);
    }
    let message = format!("the field `{name}` is written by adit itself");
    let problem = Problem::error(Code::COMBINATION, span, message).found(format!("`{text}`"));
    reader.push(problem.help("remove it"));
    None
}
