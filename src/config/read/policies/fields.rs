//! Header fields, HSTS, cookies and places that backends name.

use std::sync::Arc;
use std::time::Duration;

use adit_route::policy::{
    AttributeRewrite, CookieEdits, FieldEdits, Hsts, LocationEdit, Policies, SameSite, Template,
};
use adit_route::{Pattern, Syntax};
use http::HeaderName;

use super::super::super::problem::{Code, Problem};
use super::super::super::scalar;
use super::super::super::tree::{Entry, Node, Span};
use super::super::Reader;
use super::super::respond::FRAMING;
use super::super::upstreams::Scope;
use super::{duration, template};

/// Reads the family; whether anything of it is written.
pub(super) fn fields(reader: &mut Reader<'_>, scope: &Scope<'_>, policies: &mut Policies) -> bool {
    if let Some(node) = scope.field("requestHeaders") {
        policies.request_fields = edits(reader, node, is_request_field_of_ours);
    }
    if let Some(node) = scope.field("responseHeaders") {
        policies.response_fields = edits(reader, node, |_| false);
    }
    policies.hsts = scope.field("hsts").and_then(hsts);
    if let Some(node) = scope.field("cookies") {
        policies.cookies = cookies(reader, node);
    }
    let locations = scope.field("locations").into_iter().flat_map(Node::items);
    policies.locations = locations.filter_map(location).collect();
    !policies.request_fields.is_empty()
        || !policies.response_fields.is_empty()
        || policies.hsts.is_some()
        || !policies.cookies.is_empty()
        || !policies.locations.is_empty()
}

fn hsts(node: &Node) -> Option<Hsts> {
    const YEAR: Duration = Duration::from_hours(8760);
    if node.truth() == Some(false) {
        return None;
    }
    let is_set = |key: &str| node.field(key).and_then(Node::truth) == Some(true);
    Some(Hsts {
        max_age: node.field("maxAge").and_then(duration).unwrap_or(YEAR),
        include_subdomains: is_set("includeSubdomains"),
        preload: is_set("preload"),
    })
}

fn cookies(reader: &mut Reader<'_>, node: &Node) -> CookieEdits {
    let mut rewrites = |key: &str| {
        let items = node.field(key).map(Node::items).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| attribute(reader, item))
            .collect()
    };
    let (domain, path) = (rewrites("domain"), rewrites("path"));
    let is_set = |key: &str| node.field(key).and_then(Node::truth) == Some(true);
    let same_site = node.field("sameSite").and_then(Node::text);
    CookieEdits {
        domain,
        path,
        secure: is_set("secure"),
        http_only: is_set("httpOnly"),
        same_site: same_site.and_then(|word| match word {
            "strict" => Some(SameSite::Strict),
            "lax" => Some(SameSite::Lax),
            "none" => Some(SameSite::None),
            _ => None,
        }),
    }
}

fn attribute(reader: &mut Reader<'_>, node: &Node) -> Option<AttributeRewrite> {
    const ANY_CASE: Syntax = Syntax {
        anchored: false,
        ignore_case: true,
        backtracking: false,
    };
    let to = node.field("to")?;
    match (node.field("from"), node.field("regex")) {
        (Some(from), None) => Some(AttributeRewrite::Literal {
            from: Arc::from(from.text()?),
            to: ungrouped(reader, to)?,
        }),
        (None, Some(regex)) => Some(AttributeRewrite::Expression {
            pattern: Pattern::compile(regex.text()?, ANY_CASE).ok()?,
            to: scalar::target(to.text()?).ok()?,
        }),
        _ => {
            let message = "either `from` or `regex` says what is replaced";
            let problem = Problem::error(Code::COMBINATION, node.span, message);
            reader.push(problem.allowed("exactly one of `from` and `regex`"));
            None
        }
    }
}

/// A text beside no expression.
fn ungrouped(reader: &mut Reader<'_>, node: &Node) -> Option<Template> {
    match scalar::template(node.text()?) {
        Ok(template) => Some(template),
        Err(misfit) => {
            let problem = Problem::error(Code::MALFORMED, node.span, misfit.why);
            reader.push(problem.help("write `regex` instead of `from`"));
            None
        }
    }
}

fn location(node: &Node) -> Option<LocationEdit> {
    Some(LocationEdit {
        from: node.field("from")?.text()?.into(),
        to: template(node.field("to")?)?,
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
    reader.push(problem.help(match name.as_str() {
        "host" => "the key for it is `upstreamHost`",
        "x-forwarded-prefix" => "the key for it is `forwardedPrefix` of `rewrite`",
        _ => "remove it",
    }));
    None
}
