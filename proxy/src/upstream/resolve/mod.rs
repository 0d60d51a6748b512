//! Names of backends: resolved at once, kept fresh, and kept when DNS fails.
//!
//! Each question (a name and a record type) has its own task on the control thread. A failing
//! lookup never takes anything away; "there is no such name" is believed after three such answers
//! over thirty seconds; an answer of refused addresses counts as a failing lookup (E-07). Tasks end
//! when their upstream is dropped.

mod knowledge;
mod lookup;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use adit_route::{Address, DnsTarget, Family};
use hickory_resolver::proto::rr::RecordType;

pub use lookup::{Resolver, ResolverOptions};

use super::endpoint::{Found, Upstream};
use super::stats::UpstreamStats;
use knowledge::Knowledge;

/// Resolves the names of an upstream for as long as it lives. To be called on the control thread.
pub fn follow(upstream: &Arc<Upstream>, resolver: &Rc<Resolver>) {
    for (target, declared) in upstream.spec().targets.iter().enumerate() {
        let Address::Dns(dns) = &declared.address else {
            continue;
        };
        if let Some(found) = lookup::localhost(dns, &resolver.listeners()) {
            upstream.resolved(target, found);
            continue;
        }
        let kinds = record_types(dns);
        let shared = Rc::new(Shared {
            upstream: Arc::downgrade(upstream),
            target,
            dns: dns.clone(),
            answers: RefCell::new(vec![None; kinds.len()]),
        });
        for (part, kind) in kinds.iter().enumerate() {
            let question = Question {
                shared: Rc::clone(&shared),
                part,
                kind: *kind,
            };
            tokio::task::spawn_local(question.keep_fresh(Rc::clone(resolver)));
        }
    }
}

fn record_types(dns: &DnsTarget) -> &'static [RecordType] {
    match (dns.srv, dns.family) {
        (true, _) => &[RecordType::SRV],
        (false, Family::Any) => &[RecordType::A, RecordType::AAAA],
        (false, Family::Ipv4) => &[RecordType::A],
        (false, Family::Ipv6) => &[RecordType::AAAA],
    }
}

/// A target with the answers to its questions.
struct Shared {
    upstream: Weak<Upstream>,
    target: usize,
    dns: DnsTarget,
    answers: RefCell<Vec<Option<Vec<Found>>>>,
}

impl Shared {
    /// Puts the parts together. What one question found is used without waiting for the other.
    fn publish(&self, part: usize, found: &[Found]) {
        let mut answers = self.answers.borrow_mut();
        if let Some(answer) = answers.get_mut(part) {
            *answer = Some(found.to_vec());
        }
        let complete = answers.iter().all(Option::is_some);
        let mut all: Vec<Found> = answers.iter().flatten().flatten().cloned().collect();
        // Servers rotate their answers: the order must not look like a change.
        all.sort_unstable_by_key(|found| (found.address, found.weight));
        all.dedup_by_key(|found| found.address);
        if let Some(upstream) = self.upstream.upgrade()
            && (complete || !all.is_empty())
        {
            upstream.resolved(self.target, all);
        }
    }
}

/// One name and record type.
struct Question {
    shared: Rc<Shared>,
    part: usize,
    kind: RecordType,
}

impl Question {
    async fn keep_fresh(self, resolver: Rc<Resolver>) {
        let Some((mut changes, stats)) = self
            .shared
            .upstream
            .upgrade()
            .map(|upstream| (upstream.changes(), Arc::clone(upstream.stats())))
        else {
            return;
        };
        let gone = async move { while changes.changed().await.is_ok() {} };
        tokio::select! {
            () = gone => {}
            () = self.ask_again_and_again(&resolver, stats) => {}
        }
    }

    async fn ask_again_and_again(&self, resolver: &Resolver, stats: Arc<UpstreamStats>) {
        let mut knowledge = Knowledge::default();
        let mut failing = Failing { stats, on: false };
        loop {
            let answer = resolver.ask(&self.shared.dns, self.kind).await;
            let wait = knowledge.take(answer, Instant::now(), &self.shared.dns.name);
            failing.set(knowledge.is_failing());
            self.shared.publish(self.part, knowledge.found());
            tokio::time::sleep(jittered(wait)).await;
        }
    }
}

/// Up to a tenth longer, so that names and replicas do not ask in step.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + fastrand::f64() / 10.0)
}

/// Counts a failing name in the upstream's figures, and never leaves it counted.
struct Failing {
    stats: Arc<UpstreamStats>,
    on: bool,
}

impl Failing {
    fn set(&mut self, on: bool) {
        if on != self.on {
            self.on = on;
            if on {
                self.stats.lookup_failing();
            } else {
                self.stats.lookup_recovered();
            }
        }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests;
