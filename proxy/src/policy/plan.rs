//! The compiled policies of a route.

use std::sync::Arc;

use adit_route::policy::FieldEdits;
use adit_route::{Policies, Profile, UpstreamSpec};

use super::step::Step;
use crate::snapshot::CompiledUpstream;

/// What a route does to its requests and responses.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Before forwarding, in the order of the profile.
    pub(super) steps: Box<[Step]>,
    /// Towards the backend.
    pub(super) request_fields: FieldEdits,
    /// Towards the client.
    pub(super) response_fields: FieldEdits,
}

/// Makes upstreams for those who ask servers of their own. Errors are kept by whoever gives this;
/// `None` means that there was one.
pub(crate) type UpstreamCompiler<'a> =
    dyn FnMut(&Arc<UpstreamSpec>) -> Option<Arc<CompiledUpstream>> + 'a;

impl Plan {
    /// Compiles policies.
    pub(crate) fn compile(
        policies: &Policies,
        profile: Profile,
        _upstreams: &mut UpstreamCompiler<'_>,
    ) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        steps.extend(policies.closed.clone().map(Step::Closed));
        steps.extend(policies.redirect.clone().map(Step::Redirect));
        steps.sort_by_key(|step| step.stage().rank(profile));
        Self {
            steps: steps.into(),
            request_fields: policies.request_fields.clone(),
            response_fields: policies.response_fields.clone(),
        }
    }

    /// The steps, for those who explain them.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}
