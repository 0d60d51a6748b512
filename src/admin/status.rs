//! `/status`: how it is, for the page and for `adit status`.
//!
//! One answer holds everything that the page shows, so that what is seen belongs to one moment.
//! Numbers are numbers, moments are RFC 3339; nothing here is formatted for the eye.

use std::collections::HashMap;
use std::time::SystemTime;

use adit_proxy::HostTlsView;
use adit_proxy::metrics::{ListenerReading, Reading};
use adit_proxy::snapshot::Snapshot;
use adit_proxy::tls::Certificate;
use serde_json::{Value, json};

use super::clock::{days_until, rfc3339};
use super::reply::tame;
use super::routes;
use super::standing::{Standing, Status};
use super::traffic::Rates;

/// `shed` says what overload has taken away.
pub(super) fn report(
    standing: &Standing,
    reading: &Reading,
    rates: Option<&Rates>,
    shed: Vec<String>,
) -> Value {
    let status = &standing.status;
    let now = SystemTime::now();
    let uptime = now.duration_since(reading.started).unwrap_or_default();
    let snapshot = status.snapshot.as_deref();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "phase": status.phase.as_str(),
        "uptimeSeconds": uptime.as_secs(),
        "generation": status.generation(),
        "published": rfc3339(standing.published),
        "config": config(standing),
        "degraded": status.degraded.iter().map(|problem| tame(problem)).chain(shed)
            .collect::<Vec<_>>(),
        "overload": overload(reading),
        "window": rates.map(|rates| rates.between.as_secs_f64()),
        "traffic": rates.map(Rates::total),
        "panics": reading.panics,
        "foreignTunnel": reading.foreign_tunnel,
        "accessLogDropped": reading.access_log_dropped,
        "doors": snapshot.map(|snapshot| doors(snapshot, status, reading)),
        "hosts": snapshot.map(|snapshot| hosts(snapshot, rates)),
        "upstreams": snapshot.map(routes::upstreams),
        "certificates": snapshot.map(|snapshot| certificates(snapshot, now)),
    })
}

fn overload(reading: &Reading) -> Value {
    let now = &reading.overload;
    let lag = now.lag.iter().max().copied().unwrap_or_default();
    let stages: HashMap<&str, u8> = now.stages.into();
    json!({
        "stages": stages,
        "requests": now.requests,
        "handshakes": now.handshakes,
        "sources": now.sources,
        "memoryUsed": now.memory_used,
        "memoryLimit": now.memory_limit,
        "lagSeconds": lag.as_secs_f64(),
    })
}

fn config(standing: &Standing) -> Value {
    let error = standing.status.config_error.as_deref();
    json!({
        "valid": error.is_none(),
        "refusedSince": standing.refused.map(rfc3339),
        "error": error.map(tame),
    })
}

fn doors(snapshot: &Snapshot, status: &Status, reading: &Reading) -> Vec<Value> {
    let counted: HashMap<&str, &ListenerReading> = reading
        .listeners
        .iter()
        .map(|listener| (&*listener.name, listener))
        .collect();
    let doors = snapshot.doors().iter().map(|door| {
        let mut value = routes::door(door, status);
        let counted = counted.get(&*door.spec().name);
        let refused: u64 = counted.map_or(0, |counted| {
            counted.refused.iter().map(|(_, count)| count).sum()
        });
        if let Some(fields) = value.as_object_mut() {
            let count = |read: fn(&ListenerReading) -> u64| counted.map_or(0, |found| read(found));
            fields.insert("open".to_owned(), json!(count(|found| found.active)));
            fields.insert(
                "accepted".to_owned(),
                json!(count(|found| found.connections)),
            );
            fields.insert("refused".to_owned(), json!(refused));
            let rules = counted.map(|counted| counted.refused.iter().copied());
            let rules: HashMap<&str, u64> = rules.into_iter().flatten().collect();
            fields.insert("refusals".to_owned(), json!(rules));
        }
        value
    });
    doors.collect()
}

fn hosts(snapshot: &Snapshot, rates: Option<&Rates>) -> Vec<Value> {
    let hosts = snapshot.hosts().map(|host| {
        let name = host.pattern.to_string();
        let (tls, certificate) = match &host.tls {
            HostTlsView::Passthrough(_) => ("passthrough", None),
            HostTlsView::Terminate(certificate) => ("terminate", certificate.as_deref()),
        };
        json!({
            "host": name,
            "exposure": host.exposure.iter().map(routes::exposure).collect::<Vec<_>>(),
            "doors": routes::doors_to(&host, snapshot),
            "tls": tls,
            "certificate": certificate,
            "traffic": rates.map(|rates| rates.host(&name)),
        })
    });
    hosts.collect()
}

/// The one that expires first comes first.
fn certificates(snapshot: &Snapshot, now: SystemTime) -> Vec<Value> {
    let mut certificates: Vec<_> = snapshot.certificates().iter().collect();
    certificates.sort_by_key(|certificate| certificate.not_after());
    let certificate = |certificate: &Certificate| {
        let hosts = certificate.hosts().iter().map(ToString::to_string);
        json!({
            "name": &**certificate.name(),
            "hosts": hosts.collect::<Vec<_>>(),
            "notAfter": rfc3339(certificate.not_after()),
            "days": days_until(certificate.not_after(), now),
        })
    };
    certificates
        .into_iter()
        .map(|found| certificate(found))
        .collect()
}
