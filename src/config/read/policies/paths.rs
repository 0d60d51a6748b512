//! Redirects and rewrites.

use adit_route::PathMatch;
use adit_route::policy::{HttpsUpgrade, Policies, Redirect, UpgradeWhen};
use http::StatusCode;

use super::super::super::tree::Node;
use super::super::Reader;
use super::super::upstreams::Scope;
use super::rewrite::rewrite;
use super::template;

/// Reads the family; whether anything of it is written.
pub(super) fn paths(
    reader: &mut Reader<'_>,
    scope: &Scope<'_>,
    path: &PathMatch,
    policies: &mut Policies,
) -> bool {
    policies.redirect = scope.field("redirect").and_then(redirect);
    policies.https = scope.field("httpsRedirect").and_then(https);
    let node = scope.field("rewrite");
    policies.rewrite = node.and_then(|node| rewrite(reader, node, scope.profile(), path));
    policies.upstream_host = scope.field("upstreamHost").and_then(template);
    policies.redirect.is_some()
        || policies.https.is_some()
        || policies.rewrite.is_some()
        || policies.upstream_host.is_some()
}

fn redirect(node: &Node) -> Option<Redirect> {
    let to = node.field("to").unwrap_or(node);
    Some(Redirect {
        to: template(to)?,
        status: status(node).unwrap_or(StatusCode::MOVED_PERMANENTLY),
        relative: node.field("relative").and_then(Node::truth) == Some(true),
        cut_slash: false,
    })
}

fn status(node: &Node) -> Option<StatusCode> {
    node.field("status")?.text()?.parse().ok()
}

fn https(node: &Node) -> Option<HttpsUpgrade> {
    let word = |node: &Node| node.word(&["certificate", "always", "off"]);
    let when = match word(node.field("when").unwrap_or(node)) {
        Some("off") => return None,
        Some("always") => UpgradeWhen::Always,
        _ => UpgradeWhen::Certificate,
    };
    let port = node.field("port").and_then(Node::integer);
    Some(HttpsUpgrade {
        when,
        status: status(node).unwrap_or(StatusCode::PERMANENT_REDIRECT),
        port: port.and_then(|port| u16::try_from(port).ok()),
        keep_slash: node.field("keepSlash").and_then(Node::truth),
    })
}
