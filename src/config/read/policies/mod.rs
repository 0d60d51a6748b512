//! Policies of routes. One file per family; a path takes each key that it does not write itself from
//! its route, as a whole.

mod access;
mod answers;
mod auth;
mod cors;
mod fields;
mod paths;
mod rewrite;
mod traffic;

use std::sync::Arc;

use adit_route::PathMatch;
use adit_route::policy::{Policies, Template};

use super::super::scalar;
use super::super::tree::Node;
use super::Reader;
use super::upstreams::Scope;

pub(super) use access::Zones;
pub(super) use rewrite::compile;

/// What a path and its route are called.
#[derive(Clone, Copy)]
pub(super) struct Names<'n> {
    pub(super) route: &'n str,
    pub(super) path: &'n str,
}

/// The policies of a rule for this path; `None` if it has none.
pub(super) fn policies(
    reader: &mut Reader<'_>,
    scope: &Scope<'_>,
    path: &PathMatch,
    names: Names<'_>,
) -> Option<Arc<Policies>> {
    let mut policies = Policies::default();
    let mut any = false;
    any |= paths::paths(reader, scope, path, &mut policies);
    any |= fields::fields(reader, scope, &mut policies);
    any |= cors::cors(scope, &mut policies);
    any |= access::access(reader, scope, names, &mut policies);
    any |= auth::auth(reader, scope, &mut policies.access);
    any |= traffic::traffic(reader, scope, names.path, &mut policies);
    any |= answers::answers(reader, scope, names.path, &mut policies);
    any.then(|| Arc::new(policies))
}

/// The value of a key that may be lifted by `off`.
fn unless_off<'n>(scope: &Scope<'n>, key: &str) -> Option<&'n Node> {
    scope
        .field(key)
        .filter(|node| node.word(&["off"]).is_none())
}

/// A text with variables, which the check has found good.
fn template(node: &Node) -> Option<Template> {
    scalar::template(node.text()?).ok()
}

/// A duration, which the check has found good.
fn duration(node: &Node) -> Option<std::time::Duration> {
    scalar::duration(node.text()?).ok()
}
