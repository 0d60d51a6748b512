//! The paths of a route: what is matched, and what is done.

use std::sync::Arc;

use adit_route::{
    Action, Conditions, FieldMatch, PathMatch, Profile, Rule, RuleTimeouts, Syntax, UpstreamSpec,
    ValueMatch, Weighted,
};

use super::super::problem::{Code, Problem};
use super::super::scalar;
use super::super::tree::{Entry, Node, Span};
use super::Reader;
use super::policies::{Names, compile, policies};
use super::respond::fixed_response;
use super::upstreams::{Scope, http_upstream};

/// A rule with the place that messages about it point to.
pub(super) struct Written {
    pub(super) rule: Rule,
    pub(super) span: Span,
}

/// The rules of a terminated route.
pub(super) fn rules(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &str,
    profile: Profile,
) -> Vec<Written> {
    let scope = Scope::of(node).under(profile);
    one_action(reader, node);
    let shared = http_upstream(reader, name, &scope).map(Arc::new);
    let Some(paths) = node.field("paths") else {
        let span = node
            .field("host")
            .or_else(|| node.field("hosts"))
            .map_or(node.span, |host| host.span);
        let path = PathMatch::Prefix("/".into());
        let rule = rule(
            reader,
            path,
            Conditions::default(),
            node,
            &scope,
            shared.as_ref(),
            Names {
                route: name,
                path: name,
            },
        );
        return rule
            .map(|rule| Written { rule, span })
            .into_iter()
            .collect();
    };
    unused_default(reader, node, paths);
    let mut written = Vec::new();
    for item in paths.items().iter().filter(|item| item.is_map()) {
        one_action(reader, item);
        let Some((path, span)) = path_match(reader, item, profile) else {
            continue;
        };
        let conditions = item
            .field("match")
            .map(|node| conditions(reader, node))
            .unwrap_or_default();
        let scope = Scope::within(item, node).under(profile);
        let own = format!("{name}{}", path_name(&path));
        if let Some(rule) = rule(
            reader,
            path,
            conditions,
            item,
            &scope,
            shared.as_ref(),
            Names {
                route: name,
                path: &own,
            },
        ) {
            written.push(Written { rule, span });
        }
    }
    written
}

fn rule(
    reader: &mut Reader<'_>,
    path: PathMatch,
    conditions: Conditions,
    node: &Node,
    scope: &Scope<'_>,
    shared: Option<&Arc<UpstreamSpec>>,
    names: Names<'_>,
) -> Option<Rule> {
    let policies = policies(reader, scope, &path, names);
    let answers = policies
        .as_ref()
        .is_some_and(|policies| policies.redirect.is_some());
    let acts = ["backends", "respond"].map(|key| scope.field(key).is_some());
    let action = if answers && acts == [false; 2] {
        Action::Policy
    } else {
        action(reader, node, scope, shared, names.path)?
    };
    Some(Rule {
        path,
        conditions,
        action,
        timeouts: RuleTimeouts {
            connect: scope.timeout("connect"),
            response: scope.timeout("response"),
            idle: scope.timeout("idle"),
        },
        max_body: scope
            .part("limits", "body")
            .and_then(|node| scalar::size(node.text()?).ok()),
        low_priority: scope
            .part("limits", "priority")
            .is_some_and(|node| node.text() == Some("low")),
        websocket: true,
        policies,
        place: reader.place(node.span),
    })
}

/// The path's own action goes before that of its route.
fn action(
    reader: &mut Reader<'_>,
    node: &Node,
    scope: &Scope<'_>,
    shared: Option<&Arc<UpstreamSpec>>,
    name: &str,
) -> Option<Action> {
    let responds = node.field("respond").is_some()
        || (node.field("backends").is_none() && scope.field("backends").is_none());
    if responds && let Some(respond) = scope.field("respond") {
        return Some(Action::Respond(Arc::new(fixed_response(reader, respond))));
    }
    let Some(spec) = http_upstream(reader, name, scope) else {
        let problem = Problem::error(Code::NO_ACTION, node.span, "nothing is done with requests")
            .allowed("`backends`, or `respond` for a fixed answer");
        reader.push(
            problem.help("write `backends: [\"http://127.0.0.1:8000\"]`, here or at the route"),
        );
        return None;
    };
    // Paths that change nothing about the upstream share its connections and its health.
    let same = shared.filter(|shared| {
        UpstreamSpec {
            name: Arc::clone(&shared.name),
            ..spec.clone()
        } == ***shared
    });
    let upstream = same.map_or_else(|| Arc::new(spec), Arc::clone);
    Some(Action::Forward(vec![Weighted {
        upstream,
        weight: 1,
    }]))
}

fn one_action(reader: &mut Reader<'_>, node: &Node) {
    if node.field("backends").is_some() {
        reader.forbid(
            node,
            &["respond"],
            "requests go to `backends`; write one of the two",
        );
    }
}

/// `backends` at the top serve every path only while no `paths` are written; nobody should have to
/// find that out by 404.
fn unused_default(reader: &mut Reader<'_>, node: &Node, paths: &Node) {
    let Some(entry) = node.entry("backends").or_else(|| node.entry("respond")) else {
        return;
    };
    let own = |path: &Node| path.field("backends").is_some() || path.field("respond").is_some();
    if !paths.items().is_empty() && paths.items().iter().all(own) {
        let message = format!("`{}` of the route is used by none of its paths", entry.key);
        let problem = Problem::error(Code::COMBINATION, entry.key_span, message)
            .found(format!("`{}`", entry.key));
        reader.push(
            problem.help("for all other paths add `- {prefix: /}` to `paths`; else remove it"),
        );
    }
}

fn path_match(reader: &mut Reader<'_>, node: &Node, profile: Profile) -> Option<(PathMatch, Span)> {
    let found: Vec<_> = node
        .entries()
        .iter()
        .filter(|entry| matches!(&*entry.key, "exact" | "prefix" | "regex"))
        .collect();
    let [entry] = found.as_slice() else {
        let message = if found.is_empty() {
            "the path is missing"
        } else {
            "more than one of `exact`, `prefix` and `regex` is written"
        };
        let problem = Problem::error(
            Code::COMBINATION,
            found.get(1).map_or(node.span, |entry| entry.key_span),
            message,
        );
        reader.push(
            problem
                .allowed("exactly one of `exact`, `prefix` and `regex`")
                .help("`prefix: /` covers every path"),
        );
        return None;
    };
    let text = entry.value.text()?;
    let path = match &*entry.key {
        "exact" => PathMatch::Exact(text.into()),
        "prefix" => PathMatch::Prefix(text.into()),
        _ => {
            let syntax = match profile {
                Profile::Strict => Syntax::STRICT_PATH,
                Profile::Nginx => Syntax::NGINX_PATH,
            };
            PathMatch::Regex(compile(reader, &entry.value, text, syntax)?)
        }
    };
    Some((path, entry.value.span))
}

/// Part of an upstream's name.
fn path_name(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(path) => format!("={path}"),
        PathMatch::Prefix(path) => path.to_string(),
        PathMatch::Regex(regex) => format!("~{}", regex.as_str()),
    }
}

fn conditions(reader: &mut Reader<'_>, node: &Node) -> Conditions {
    let methods = node
        .field("methods")
        .map(Node::one_or_more)
        .unwrap_or_default();
    let mut methods: Vec<_> = methods
        .iter()
        .filter_map(|item| scalar::method(item.text()?).ok())
        .collect();
    methods.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    methods.dedup();
    let mut headers = fields(reader, node.field("headers"), |name| {
        scalar::header_name(name).ok()
    });
    headers.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
    let mut query = fields(reader, node.field("query"), |name| Some(name.to_owned()));
    query.sort_by(|one, other| one.name.cmp(&other.name));
    Conditions {
        methods,
        headers,
        query,
    }
}

fn fields<N>(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    name: impl Fn(&str) -> Option<N>,
) -> Vec<FieldMatch<N>> {
    let entries = node.map(Node::entries).unwrap_or_default();
    let field = |entry: &Entry| {
        Some(FieldMatch {
            name: name(&entry.key)?,
            value: value_match(reader, &entry.value)?,
        })
    };
    entries.iter().filter_map(field).collect()
}

fn value_match(reader: &mut Reader<'_>, node: &Node) -> Option<ValueMatch> {
    if let Some(text) = node.text() {
        return Some(ValueMatch::Exact(text.to_owned()));
    }
    if !node.is_map() {
        return None;
    }
    let [entry] = node.entries() else {
        let problem = Problem::error(
            Code::COMBINATION,
            node.span,
            "exactly one comparison is needed",
        );
        reader.push(problem.allowed("exactly one of `exact`, `regex` and `present: true`"));
        return None;
    };
    match &*entry.key {
        "exact" => entry
            .value
            .text()
            .map(|text| ValueMatch::Exact(text.to_owned())),
        "regex" => scalar::value_regex(entry.value.text()?)
            .ok()
            .map(ValueMatch::Regex),
        "present" => {
            if entry.value.truth() == Some(false) {
                let problem = Problem::error(
                    Code::UNKNOWN_WORD,
                    entry.value.span,
                    "that a field is absent cannot be demanded",
                );
                reader.push(
                    problem
                        .found("`false`")
                        .allowed("true")
                        .help("let a rule without the condition follow: it gets the rest"),
                );
            }
            Some(ValueMatch::Present)
        }
        _ => None,
    }
}
