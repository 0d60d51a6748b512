//! Policies of routes. One file per family; a path takes each key that it does not write itself from
//! its route, as a whole.

mod paths;

use std::sync::Arc;

use adit_route::policy::{Policies, Template};

use super::super::scalar;
use super::super::tree::Node;
use super::Reader;
use super::upstreams::Scope;

/// The policies of a path; `None` if it has none.
pub(super) fn policies(reader: &mut Reader<'_>, scope: &Scope<'_>) -> Option<Arc<Policies>> {
    let mut policies = Policies::default();
    let mut any = false;
    any |= paths::paths(reader, scope, &mut policies);
    any.then(|| Arc::new(policies))
}

/// A text with variables, which the check has found good.
fn template(node: &Node) -> Option<Template> {
    scalar::template(node.text()?).ok()
}
