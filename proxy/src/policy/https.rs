//! From plain HTTP to HTTPS, decided per rule (RED-01 to RED-08).

use std::sync::Arc;

use adit_route::policy::{HttpsUpgrade, UpgradeWhen};
use adit_route::{HostPattern, Profile};
use http::StatusCode;

use super::passage::Scene;
use super::plan::Compiling;
use crate::tls::CertificateSet;

/// Rules for the proofs of certificate authorities are never redirected (RED-05).
const CHALLENGES: &str = "/.well-known/acme-challenge";

/// An upgrade that may happen.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub status: StatusCode,
    port: Option<u16>,
    cut_slash: bool,
    /// The certificates one of which must name the host; `None` asks for none.
    certificates: Option<Arc<CertificateSet>>,
}

impl Upgrade {
    /// The upgrade of a rule; `None` if it can never happen there.
    pub(super) fn compile(policy: &HttpsUpgrade, with: &Compiling<'_>) -> Option<Self> {
        let by_certificate = policy.when == UpgradeWhen::Certificate;
        let nobodys = by_certificate && *with.pattern == HostPattern::Any; // RED-08
        if nobodys || with.location.starts_with(CHALLENGES) {
            return None;
        }
        let keeps = policy.keep_slash.unwrap_or(with.profile == Profile::Strict);
        Some(Self {
            status: policy.status,
            port: policy.port,
            cut_slash: !keeps && policy.port.is_none(),
            certificates: by_certificate.then(|| Arc::clone(with.certificates)),
        })
    }

    /// Where the client is sent, if it is.
    pub(super) fn location(&self, scene: &Scene<'_>) -> Option<String> {
        if scene.scheme() == "https" {
            return None;
        }
        let covered = |set: &Arc<CertificateSet>| set.covers(scene.request.host.as_str());
        if !self.certificates.as_ref().is_none_or(covered) {
            return None;
        }
        let host = scene.public_host();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let mut location = format!("https://{host}{port}{}", scene.target.as_str());
        // Of the whole target, so that `/?q=/` loses its last slash too (RED-03).
        if self.cut_slash && location.ends_with('/') {
            location.pop();
        }
        Some(location)
    }
}
