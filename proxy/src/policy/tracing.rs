//! Whose trace a request belongs to.

use adit_route::policy::Tracing;
use http::header;

use super::expand::expand;
use super::passage::Passage;
use crate::http::handle::Serving;
use crate::http::message::Request;
use crate::trace;
use crate::trail::Trail;

/// Tells the backend of the trace, and begins a span if it is recorded.
pub(super) fn begin(
    policy: &Tracing,
    serving: Serving<'_>,
    passage: &Passage<'_>,
    request: &mut Request,
    trail: &mut Trail,
) {
    // Whose forwarding fields are believed may continue a trace (O-08).
    let trusted = policy.trust_incoming && serving.info.trusts_forwarding();
    let Some(mut begun) = trace::begin(
        serving.worker,
        serving.current,
        &mut request.headers,
        trusted,
    ) else {
        return;
    };
    let scene = passage.scene(request);
    begun.scheme = scene.scheme();
    begun.name = match &policy.operation {
        Some(name) => expand(name, &scene),
        None => format!("{} {}", request.method, serving.route.name),
    };
    if let Some(agent) = request.headers.get(header::USER_AGENT) {
        const SHOWN: usize = 256;
        let agent = String::from_utf8_lossy(agent.as_bytes());
        begun.user_agent = agent.chars().take(SHOWN).collect();
    }
    trail.traced(begun);
}
