//! Exposure: rules, default and guards, given to the policy compiler.

use std::sync::Arc;

use adit_controller::policy::{
    self, Finding, Guards, Network, NetworkRole, PolicyConfig, RuleConfig,
};
use adit_proxy::blueprint::ListenerSpec;
use adit_route::{Class, ExposureRules, HostPattern, Place, Role, RouteSet};

use super::super::problem::{Code, Problem};
use super::super::scalar;
use super::super::tree::Node;
use super::{Reader, cidrs};

/// The policy as written, and compiled. Without rules that compile the result is not used: there
/// are errors then.
pub(super) fn policy(
    reader: &mut Reader<'_>,
    root: &Node,
    listeners: &[Arc<ListenerSpec>],
    routes: &RouteSet,
) -> (PolicyConfig, ExposureRules) {
    let nodes = root.field("rules").map(Node::items).unwrap_or_default();
    let mut kept = Vec::new();
    let mut rules = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        if let Some(rule) = rule(reader, node, index) {
            kept.push(index);
            rules.push(rule);
        }
    }
    let default = root
        .field("default")
        .and_then(|node| node.field("exposure"));
    let config = PolicyConfig {
        networks: networks(root),
        rules,
        default: default.and_then(class).unwrap_or(Class::Lan),
        default_place: default.map_or_else(Place::default, |node| reader.place(node.span)),
        guards: Guards {
            never_public: never_public(root),
        },
        has_internet_listener: listeners
            .iter()
            .any(|listener| listener.role == Role::Internet),
    };
    let (exposure, findings, refused) = match policy::compile(&config, routes) {
        Ok((exposure, warnings)) => (exposure, warnings, false),
        Err(errors) => (ExposureRules::default(), errors, true),
    };
    for finding in findings {
        report(reader, root, &kept, finding, refused);
    }
    (config, exposure)
}

/// A rule, if all of it can be read: half a rule must not be judged.
fn rule(reader: &Reader<'_>, node: &Node, index: usize) -> Option<RuleConfig> {
    if reader.problems.blames(node.span) {
        return None;
    }
    let texts = |key: &str| {
        let items = node.field(key).map(Node::one_or_more).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| item.text().map(ToOwned::to_owned))
            .collect()
    };
    Some(RuleConfig {
        name: node
            .field("name")
            .and_then(Node::text)
            .map_or_else(|| format!("rule-{}", index + 1), ToOwned::to_owned),
        hosts: hosts(node),
        paths: texts("paths"),
        exposure: class(node.field("exposure")?)?,
        from: texts("from"),
        tls_passthrough: node.field("tls").is_some(),
        place: reader.place(node.span),
    })
}

fn hosts(node: &Node) -> Vec<HostPattern> {
    let items = node
        .field("hosts")
        .map(Node::one_or_more)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| scalar::rule_host(item.text()?).ok())
        .collect()
}

fn class(node: &Node) -> Option<Class> {
    match node.word(&["off", "lan", "public", "both"])? {
        "off" => Some(Class::Off),
        "lan" => Some(Class::Lan),
        "public" => Some(Class::Public),
        _ => Some(Class::Both),
    }
}

fn networks(root: &Node) -> Vec<Network> {
    let entries = root.field("networks").into_iter().flat_map(Node::entries);
    let network = |entry: &super::super::tree::Entry| {
        let role = match entry.value.field("role")?.text()? {
            "lan" => NetworkRole::Lan,
            "internet" => NetworkRole::Internet,
            "cluster" => NetworkRole::Cluster,
            _ => return None,
        };
        let cidrs = entry
            .value
            .field("cidrs")
            .into_iter()
            .flat_map(cidrs)
            .collect();
        Some(Network {
            name: entry.key.to_string(),
            role,
            cidrs,
        })
    };
    entries.filter_map(network).collect()
}

fn never_public(root: &Node) -> Vec<HostPattern> {
    let guard = root
        .field("guards")
        .and_then(|guards| guards.field("neverPublic"));
    guard.map(hosts).unwrap_or_default()
}

/// Puts a finding at its place. What is wrong in its form already is not judged again.
fn report(reader: &mut Reader<'_>, root: &Node, kept: &[usize], finding: Finding, refused: bool) {
    let node = root.at(&original(&finding.path, kept));
    if reader.problems.blames(node.span) {
        return;
    }
    let code = Code(finding.code);
    let problem = if refused {
        Problem::error(code, node.span, finding.message)
    } else {
        Problem::warning(code, node.span, finding.message)
    };
    reader.push(
        problem
            .why(finding.why)
            .help(finding.help)
            .nearest(finding.suggestion),
    );
}

/// The path in the document: rules that could not be read were not counted.
fn original(path: &str, kept: &[usize]) -> String {
    let index = path
        .strip_prefix("rules[")
        .and_then(|rest| rest.split_once(']'));
    let found =
        index.and_then(|(number, rest)| Some((kept.get(number.parse::<usize>().ok()?)?, rest)));
    found.map_or_else(
        || path.to_owned(),
        |(index, rest)| format!("rules[{index}]{rest}"),
    )
}
