//! The compiled policies of a route.

use std::sync::Arc;

use adit_route::policy::{
    Bandwidth, CookieEdits, FieldEdits, Hsts, LocationEdit, Template, Tracing,
};
use adit_route::{HostPattern, PathMatch, Policies, Profile, UpstreamSpec};
use http::HeaderValue;

use super::access::{self, External};
use super::compress::CompiledCompression;
use super::cors::CompiledCors;
use super::errors::CompiledErrors;
use super::https::Upgrade;
use super::memory::Memory;
use super::rate::Rate;
use super::rewrite::Rewriting;
use super::step::{Stage, Step};
use super::traffic::Traffic;
use crate::snapshot::{CompiledAction, CompiledUpstream};
use crate::tls::CertificateSet;

/// What a route does to its requests and responses.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Path of the rule, as it was written.
    pub(super) location: Arc<str>,
    /// Before forwarding, in the order of the profile.
    pub(super) steps: Box<[Step]>,
    /// Towards the backend.
    pub(super) request_fields: FieldEdits,
    /// `Host` towards the backend.
    pub(super) upstream_host: Option<Template>,
    /// Cookies of the backend.
    pub(super) cookies: CookieEdits,
    /// Places that the backend names.
    pub(super) locations: Vec<LocationEdit>,
    /// Who may read the answers.
    pub(super) cors: Option<Arc<CompiledCors>>,
    /// Towards the client.
    pub(super) response_fields: FieldEdits,
    /// `Strict-Transport-Security`.
    pub(super) hsts: Option<HeaderValue>,
    /// How fast responses leave.
    pub(super) bandwidth: Option<Bandwidth>,
    /// Whether the backend is not to see the client's password (BAS-04).
    pub(super) keeps_password: bool,
    /// Who says what the backend and the client get of an answer.
    pub(super) external: Option<Arc<External>>,
    /// How requests are forwarded, if not plainly.
    pub(super) traffic: Option<Box<Traffic>>,
    /// What becomes of errors.
    pub(super) errors: Option<Box<CompiledErrors>>,
    /// Encoding of responses.
    pub(super) compression: Option<Box<CompiledCompression>>,
    /// Whose trace requests belong to.
    pub(super) tracing: Option<Tracing>,
}

/// What a plan is compiled with.
pub(crate) struct Compiling<'a> {
    /// The reading of the host.
    pub profile: Profile,
    /// The hosts.
    pub pattern: &'a HostPattern,
    /// Path of the rule, as it was written.
    pub location: &'a str,
    /// The certificates of this generation.
    pub certificates: &'a Arc<CertificateSet>,
    /// The path of the rule.
    pub path: &'a PathMatch,
    /// What the rule does.
    pub action: &'a CompiledAction,
    /// Upstreams beside that of the rule.
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
        let cors = policies.cors.as_ref();
        let cors = cors.map(|cors| Arc::new(CompiledCors::compile(cors, with.profile)));
        let https = policies.https.as_ref();
        let https = https.and_then(|https| Upgrade::compile(https, with));
        let rewrite = policies.rewrite.as_ref().map(Rewriting::compile);
        let mut steps: Vec<Step> = Vec::new();
        steps.extend(policies.closed.clone().map(Step::Closed));
        steps.extend(cors.clone().map(Step::Preflight));
        steps.extend(policies.redirect.clone().map(Step::Redirect));
        steps.extend(rewrite.map(Step::Rewrite));
        steps.extend(https.map(Step::Https));
        let rate = policies.rate.as_ref();
        let counted = rate.and_then(|rate| Rate::compile(rate, &with.memory.zones));
        steps.extend(counted.map(Step::Rate));
        let (demands, external) = access::steps(&policies.access, with);
        steps.extend(demands);
        steps.extend(endpoints(policies, with, &steps));
        steps.sort_by_key(|step| step.stage().rank(with.profile));
        Self {
            location: with.location.into(),
            steps: steps.into(),
            request_fields: policies.request_fields.clone(),
            upstream_host: policies.upstream_host.clone(),
            cookies: policies.cookies.clone(),
            locations: policies.locations.clone(),
            cors,
            response_fields: policies.response_fields.clone(),
            bandwidth: rate.and_then(|rate| rate.bandwidth),
            hsts: policies.hsts.as_ref().map(hsts),
            keeps_password: policies.access.basic.is_some(),
            external,
            traffic: Traffic::compile(policies, with),
            errors: policies
                .errors
                .as_ref()
                .map(|errors| Box::new(CompiledErrors::compile(errors, with.upstreams))),
            compression: policies
                .compression
                .as_ref()
                .map(|policy| Box::new(CompiledCompression::new(policy))),
            tracing: policies.tracing.clone().filter(|tracing| tracing.enabled),
        }
    }

    /// Where clients without a good certificate are sent.
    pub(crate) fn certificate_page(&self) -> Option<&HeaderValue> {
        let mut steps = self.steps.iter();
        steps.find_map(|step| match step {
            Step::Certificate(certificate) => certificate.error_page(),
            _ => None,
        })
    }

    /// How requests are forwarded, for those who explain it.
    pub(crate) fn traffic(&self) -> Option<&Traffic> {
        self.traffic.as_deref()
    }

    /// The steps, for those who explain them.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Path of the rule, as it was written.
    pub(crate) fn location(&self) -> &str {
        &self.location
    }
}

/// The value of `Strict-Transport-Security` (RFC 6797 §6.1).
fn hsts(policy: &Hsts) -> HeaderValue {
    let mut text = format!("max-age={}", policy.max_age.as_secs());
    if policy.include_subdomains {
        text.push_str("; includeSubDomains");
    }
    if policy.preload {
        text.push_str("; preload");
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("max-age=0"))
}

/// A step that says so early if nobody serves, where later ones would hide it.
fn endpoints(policies: &Policies, with: &Compiling<'_>, steps: &[Step]) -> Option<Step> {
    let CompiledAction::Forward { shares, .. } = with.action else {
        return None;
    };
    let stands_in = policies.errors.as_ref();
    if stands_in.is_some_and(|errors| errors.without_endpoints.is_some()) {
        return None;
    }
    let rank = Stage::Endpoints.rank(with.profile);
    let mut later = steps.iter().map(|step| step.stage().rank(with.profile));
    let shares = shares.iter().map(|(upstream, _)| Arc::clone(upstream));
    later
        .any(|later| later > rank)
        .then(|| Step::Endpoints(shares.collect()))
}
