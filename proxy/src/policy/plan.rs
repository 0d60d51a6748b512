//! The compiled policies of a route.

use std::sync::Arc;

use adit_route::policy::{Bandwidth, FieldEdits};
use adit_route::{Policies, Profile, UpstreamSpec};

use super::access::Addresses;
use super::memory::Memory;
use super::rate::Rate;
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
    /// How fast responses leave.
    pub(super) bandwidth: Option<Bandwidth>,
}

/// What a plan is compiled with.
pub(crate) struct Compiling<'a> {
    /// The reading of the host.
    pub profile: Profile,
    /// Upstreams beside that of the rule.
    #[expect(dead_code, reason = "asked for by policies that ask servers")]
    pub upstreams: &'a mut UpstreamCompiler<'a>,
    /// What lives on over generations.
    pub memory: &'a Memory,
}

/// Makes upstreams for those who ask servers of their own. Errors are kept by whoever gives this;
/// `None` means that there was one.
pub(crate) type UpstreamCompiler<'a> =
    dyn FnMut(&Arc<UpstreamSpec>) -> Option<Arc<CompiledUpstream>> + 'a;

impl Plan {
    /// Compiles policies.
    pub(crate) fn compile(policies: &Policies, with: &mut Compiling<'_>) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        steps.extend(policies.closed.clone().map(Step::Closed));
        steps.extend(policies.redirect.clone().map(Step::Redirect));
        let rate = policies.rate.as_ref();
        let counted = rate.and_then(|rate| Rate::compile(rate, &with.memory.zones));
        steps.extend(counted.map(Step::Rate));
        let access = &policies.access;
        let lists = Addresses::compile(&access.deny, access.allow.as_ref());
        steps.extend(lists.map(Step::Addresses));
        steps.sort_by_key(|step| step.stage().rank(with.profile));
        Self {
            steps: steps.into(),
            request_fields: policies.request_fields.clone(),
            response_fields: policies.response_fields.clone(),
            bandwidth: rate.and_then(|rate| rate.bandwidth),
        }
    }

    /// The steps, for those who explain them.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}
