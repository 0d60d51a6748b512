//! Endpoints over changed answers and reloads.

use adit_route::{DnsTarget, Family, Target};

use super::*;

fn dns(name: &str) -> Target {
    let target = DnsTarget {
        name: name.into(),
        port: 80,
        family: Family::Any,
        srv: false,
    };
    Target {
        address: Address::Dns(target),
        protocol: Protocol::Http1,
        weight: 2,
    }
}

fn spec(targets: Vec<Target>) -> UpstreamSpec {
    UpstreamSpec {
        targets,
        ..crate::upstream::test_spec()
    }
}

fn found(hosts: &[u8]) -> Vec<Found> {
    let address = |host: &u8| SocketAddr::from(([192, 0, 2, *host], 80));
    hosts
        .iter()
        .map(|host| Found {
            address: address(host),
            weight: 1,
        })
        .collect()
}

fn ids(upstream: &Upstream) -> Vec<(String, u32)> {
    let set = upstream.endpoints();
    set.iter()
        .map(|endpoint| (endpoint.label().to_string(), endpoint.id()))
        .collect()
}

#[test]
fn an_endpoint_that_stays_in_the_answer_keeps_its_state() {
    let upstream = Upstream::new(Arc::new(spec(vec![dns("a.test")])), 1);
    assert!(upstream.endpoints().is_empty());
    upstream.resolved(0, found(&[1, 2]));
    let before = ids(&upstream);
    let held = upstream.endpoints().members()[1].endpoint.begin();
    upstream.resolved(0, found(&[2, 3]));
    let after = ids(&upstream);
    assert_eq!(before[1], after[0]);
    assert_eq!(upstream.endpoints().members()[0].endpoint.in_flight(), 1);
    assert_eq!(upstream.endpoints().members()[0].weight, 2);
    drop(held);
    upstream.resolved(7, found(&[9]));
    assert_eq!(ids(&upstream), after, "there is no such target");
}

#[test]
fn a_changed_spec_keeps_what_it_still_declares() {
    let old = Upstream::new(Arc::new(spec(vec![dns("a.test"), dns("b.test")])), 1);
    old.resolved(0, found(&[1]));
    old.resolved(1, found(&[2]));
    old.endpoints().members()[1]
        .endpoint
        .stats()
        .succeeded(0, 0);
    let new = Upstream::replacing(&old, Arc::new(spec(vec![dns("b.test"), dns("c.test")])), 1);
    assert_eq!(ids(&new), ids(&old)[1..]);

    let mut other_tls = spec(vec![dns("b.test")]);
    other_tls.tls.insecure = true;
    let newest = Upstream::replacing(&new, Arc::new(other_tls), 1);
    assert_ne!(ids(&newest), ids(&new), "its connections must be made anew");
    assert_eq!(
        newest.endpoints().members()[0].endpoint.stats().successes(),
        1
    );
}

#[test]
fn two_names_with_one_address_are_two_endpoints_and_one_named_twice_is_one() {
    let upstream = Upstream::new(
        Arc::new(spec(vec![dns("a.test"), dns("b.test"), dns("a.test")])),
        1,
    );
    for target in 0..3 {
        upstream.resolved(target, found(&[1]));
    }
    let set = upstream.endpoints();
    let weights: Vec<u32> = set.members().iter().map(|member| member.weight).collect();
    assert_eq!(weights, [4, 2]);
}

#[tokio::test]
async fn traffic_can_wait_for_the_first_answers() {
    let upstream = Upstream::new(Arc::new(spec(vec![dns("a.test"), dns("b.test")])), 1);
    upstream.resolved(0, found(&[1]));
    let waiting = upstream.settled();
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(10), &mut waiting).await;
    assert!(early.is_err());
    upstream.resolved(1, Vec::new());
    waiting.await;
}
