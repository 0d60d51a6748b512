//! `/routes`: the generation that is served, written out.
//!
//! What a request would meet, in the order in which it is declared: hosts, who may see them and by
//! which rule, the doors that lead there, paths, upstreams and their endpoints. Everything names
//! its place in the file.

use std::time::Instant;

use adit_proxy::blueprint::ListenerKind;
use adit_proxy::snapshot::{Door, Snapshot};
use adit_proxy::upstream::{Health, Member, Upstream};
use adit_proxy::{ActionView, ExposureView, HostTlsView, HostView, RuleView};
use adit_route::{Conditions, PathMatch, Place, Protocol, ValueMatch, Verdict};
use serde_json::{Value, json};

use super::standing::Status;

pub(super) fn report(status: &Status) -> Value {
    let Some(snapshot) = &status.snapshot else {
        return json!({"generation": 0, "doors": [], "hosts": [], "upstreams": []});
    };
    let doors = snapshot.doors().iter();
    let hosts = snapshot.hosts();
    json!({
        "generation": snapshot.generation,
        "doors": doors.map(|door| self::door(door, status)).collect::<Vec<_>>(),
        "hosts": hosts.map(|view| host(&view, snapshot)).collect::<Vec<_>>(),
        "upstreams": upstreams(snapshot),
    })
}

/// A door with the addresses that it really has.
pub(super) fn door(door: &Door, status: &Status) -> Value {
    let spec = door.spec();
    let bound = status.addresses.iter().find(|(name, _)| *name == spec.name);
    let addresses = bound.map(|(_, addresses)| addresses.as_slice());
    let addresses: Vec<String> = addresses
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let upstream = match &spec.kind {
        ListenerKind::Tcp { upstream, .. } => Some(&*upstream.name),
        _ => None,
    };
    json!({
        "name": &*spec.name,
        "role": spec.role.as_str(),
        "kind": kind(&spec.kind),
        "addresses": addresses,
        "redirect": spec.redirect.is_some(),
        "proxyProtocol": spec.proxy_protocol.is_some(),
        "upstream": upstream,
    })
}

fn kind(kind: &ListenerKind) -> &'static str {
    match kind {
        ListenerKind::Http => "http",
        ListenerKind::H2c => "h2c",
        ListenerKind::Https => "https",
        ListenerKind::Tcp { tls: true, .. } => "tcp over tls",
        ListenerKind::Tcp { tls: false, .. } => "tcp",
        ListenerKind::Admin => "admin",
    }
}

/// Names of the doors through which some part of the host can be seen.
pub(super) fn doors_to(host: &HostView, snapshot: &Snapshot) -> Vec<String> {
    let doors = snapshot.doors().iter().map(|door| door.spec());
    doors
        .filter(|spec| host.is_reached_by(spec.role) && host.is_spoken_on(&spec.kind))
        .map(|spec| spec.name.to_string())
        .collect()
}

fn host(host: &HostView, snapshot: &Snapshot) -> Value {
    let (certificate, passthrough) = match &host.tls {
        HostTlsView::Terminate(certificate) => (certificate.as_deref(), None),
        HostTlsView::Passthrough(upstream) => (None, Some(&**upstream)),
    };
    json!({
        "host": host.pattern.to_string(),
        "place": place(&host.place),
        "exposure": host.exposure.iter().map(exposure).collect::<Vec<_>>(),
        "doors": doors_to(host, snapshot),
        "certificate": certificate,
        "passthrough": passthrough,
        "rules": host.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

/// A verdict with the part of the host that it speaks of.
pub(super) fn exposure(view: &ExposureView) -> Value {
    let mut value = verdict(&view.verdict);
    if let Some(fields) = value.as_object_mut() {
        let hosts: Vec<String> = view.hosts.iter().map(ToString::to_string).collect();
        fields.insert("hosts".to_owned(), json!(hosts));
        fields.insert("paths".to_owned(), json!(view.paths));
    }
    value
}

fn verdict(verdict: &Verdict) -> Value {
    let from = verdict.from.as_ref().map(|from| {
        let blocks = from.blocks().iter().map(ToString::to_string);
        blocks.collect::<Vec<_>>()
    });
    json!({"class": verdict.class.as_str(), "rule": &*verdict.rule, "line": verdict.line,
        "from": from})
}

fn place(place: &Place) -> Option<String> {
    match (&*place.source, place.line) {
        ("", _) => None,
        (source, 0) => Some(source.to_owned()),
        (source, line) => Some(format!("{source}:{line}")),
    }
}

fn rule(rule: &RuleView) -> Value {
    let kind = match &rule.path {
        PathMatch::Exact(_) => "exact",
        PathMatch::Prefix(_) => "prefix",
        PathMatch::Regex(_) => "regex",
    };
    let (forward, respond) = match &rule.action {
        ActionView::Forward(shares) => {
            let share = |(upstream, weight): &(std::sync::Arc<str>, u32)| json!({"upstream": &**upstream, "weight": weight});
            (Some(shares.iter().map(share).collect::<Vec<_>>()), None)
        }
        ActionView::Respond(status) => (None, Some(status.as_u16())),
        ActionView::Policy => (None, None),
    };
    json!({
        "name": &*rule.name,
        "place": place(&rule.place),
        "match": kind,
        "path": rule.path.as_str(),
        "conditions": conditions(&rule.conditions),
        "exposure": rule.verdict.as_deref().map(verdict),
        "websocket": rule.websocket,
        "forward": forward,
        "respond": respond,
    })
}

fn conditions(conditions: &Conditions) -> Value {
    let value = |value: &ValueMatch| match value {
        ValueMatch::Exact(wanted) => json!({"exact": wanted}),
        ValueMatch::Regex(regex) => json!({"regex": regex.as_str()}),
        ValueMatch::Present => json!("present"),
    };
    let methods = conditions.methods.iter().map(http::Method::as_str);
    let headers = conditions.headers.iter();
    let query = conditions.query.iter();
    json!({
        "methods": methods.collect::<Vec<_>>(),
        "headers": headers
            .map(|field| json!({"name": field.name.as_str(), "value": value(&field.value)}))
            .collect::<Vec<_>>(),
        "query": query
            .map(|field| json!({"name": field.name, "value": value(&field.value)}))
            .collect::<Vec<_>>(),
    })
}

/// Every upstream by name, with its endpoints of this moment.
pub(super) fn upstreams(snapshot: &Snapshot) -> Vec<Value> {
    let mut upstreams: Vec<_> = snapshot.upstreams().collect();
    upstreams.sort_by(|one, other| one.spec().name.cmp(&other.spec().name));
    let now = Instant::now();
    upstreams
        .into_iter()
        .map(|upstream| self::upstream(upstream, now))
        .collect()
}

fn upstream(upstream: &Upstream, now: Instant) -> Value {
    let endpoints = upstream.endpoints();
    let members = endpoints.members().iter();
    json!({
        "name": &*upstream.spec().name,
        "dnsStale": upstream.stats().dns_stale(),
        "endpoints": members.map(|member| endpoint(member, now)).collect::<Vec<_>>(),
    })
}

fn endpoint(member: &Member, now: Instant) -> Value {
    let endpoint = &member.endpoint;
    let standing = endpoint.standing();
    let health = match standing.health() {
        Health::Unknown => "unchecked",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    };
    let kinds = adit_proxy::upstream::FailureKind::ALL;
    let failures: u64 = kinds
        .map(|kind| endpoint.stats().failures(kind))
        .iter()
        .sum();
    json!({
        "address": &**endpoint.label(),
        "protocol": protocol(endpoint.protocol()),
        "weight": member.weight,
        "health": health,
        "ejected": standing.is_ejected(now),
        "fit": standing.is_fit(now),
        "inFlight": endpoint.in_flight(),
        "successes": endpoint.stats().successes(),
        "failures": failures,
    })
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "http",
        Protocol::Https1 => "https",
        Protocol::H2c => "h2c",
        Protocol::H2 => "h2",
        Protocol::Tcp => "tcp",
    }
}
