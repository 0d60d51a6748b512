//! Active checks: endpoints are asked, so that a dead one is known before a request finds out.
//!
//! Every endpoint is checked by its own task on the control thread, at its own pace. `fall` failures
//! in a row take it out, `rise` successes bring it back, slowly. Until the first verdict an endpoint
//! is served. Checks use their own connections, never those of requests; to upstreams that expect a
//! PROXY header they send one that speaks for nobody (P-18).

mod probe;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Instant;

use adit_route::{HealthCheck, UpstreamSpec};
use tokio::task::AbortHandle;

pub use probe::{ClientTls, ProbeError};

use super::endpoint::{Endpoint, Upstream};
use super::outlier::Health;

/// Checks the endpoints of an upstream for as long as it lives, if its spec asks for it. To be
/// called on the control thread; `tls` gives the settings for endpoints that speak TLS.
pub fn follow(upstream: &Arc<Upstream>, tls: Rc<ClientTls>) {
    if upstream.spec().health.is_some() {
        tokio::task::spawn_local(supervise(Arc::downgrade(upstream), tls));
    }
}

/// Keeps one task per endpoint while endpoints come and go.
async fn supervise(upstream: Weak<Upstream>, tls: Rc<ClientTls>) {
    let Some(mut changes) = upstream.upgrade().map(|upstream| upstream.changes()) else {
        return;
    };
    let mut checks = Checks::default();
    loop {
        let Some(current) = upstream.upgrade() else {
            return;
        };
        checks.adapt(&current, &tls);
        drop(current);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The running checks by endpoint; they end with this.
#[derive(Default)]
struct Checks(HashMap<u32, AbortHandle>);

impl Checks {
    fn adapt(&mut self, upstream: &Upstream, tls: &Rc<ClientTls>) {
        let set = upstream.endpoints();
        self.0.retain(|id, check| {
            let stays = set.iter().any(|endpoint| endpoint.id() == *id);
            if !stays {
                check.abort();
            }
            stays
        });
        for endpoint in set.iter() {
            self.0.entry(endpoint.id()).or_insert_with(|| {
                let check = check(
                    Arc::clone(upstream.spec()),
                    Arc::clone(endpoint),
                    Rc::clone(tls),
                );
                tokio::task::spawn_local(check).abort_handle()
            });
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.values().for_each(AbortHandle::abort);
    }
}

/// Checks one endpoint again and again.
async fn check(spec: Arc<UpstreamSpec>, endpoint: Arc<Endpoint>, tls: Rc<ClientTls>) {
    let Some(health) = &spec.health else { return };
    let mut verdict = Verdict::new(endpoint.standing().health());
    // The first checks of many endpoints are spread, but soon.
    let first = health.interval.min(std::time::Duration::from_secs(1));
    tokio::time::sleep(first.mul_f64(fastrand::f64())).await;
    loop {
        let probed = probe::probe(&spec, health, &endpoint, &*tls);
        let result = match tokio::time::timeout(health.timeout, probed).await {
            Ok(result) => result,
            Err(_) => Err(ProbeError::Timeout),
        };
        if let Some(changed) = verdict.take(result.is_ok(), health) {
            endpoint.standing().set_health(changed, Instant::now());
            announce(&spec, &endpoint, result.err());
        }
        // Between 90 and 110 percent: replicas do not check in step.
        tokio::time::sleep(health.interval.mul_f64(0.9 + fastrand::f64() / 5.0)).await;
    }
}

fn announce(spec: &UpstreamSpec, endpoint: &Endpoint, error: Option<ProbeError>) {
    let (upstream, endpoint) = (&*spec.name, &**endpoint.label());
    if let Some(error) = error {
        tracing::warn!(upstream, endpoint, %error, "endpoint is unhealthy");
    } else {
        tracing::info!(upstream, endpoint, "endpoint is healthy");
    }
}

/// Counts results in a row.
#[derive(Debug)]
struct Verdict {
    health: Health,
    /// Results in a row that speak against the verdict.
    against: u32,
}

impl Verdict {
    fn new(health: Health) -> Self {
        Self { health, against: 0 }
    }

    /// Takes a result; answers with the new verdict if it changed.
    fn take(&mut self, success: bool, check: &HealthCheck) -> Option<Health> {
        let (verdict, needed) = if success {
            (Health::Healthy, check.rise)
        } else {
            (Health::Unhealthy, check.fall)
        };
        if self.health == verdict {
            self.against = 0;
            return None;
        }
        // What was never judged is served already: the first success only says so.
        let needed = if success && self.health == Health::Unknown {
            1
        } else {
            needed
        };
        if success && self.health == Health::Unknown {
            self.against = 0;
        }
        self.against = self.against.saturating_add(1);
        if self.against < needed.max(1) {
            return None;
        }
        *self = Self::new(verdict);
        Some(verdict)
    }
}

#[cfg(test)]
mod tests;
