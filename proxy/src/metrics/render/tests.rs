//! The text that a collector scrapes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use adit_route::{Address, Protocol, Target, UpstreamSpec};

use super::*;
use crate::metrics::{CertificateSpan, Handshake, HandshakeVersion, Metrics};
use crate::upstream::{Outcome, Upstream};

/// Samples by their name and labels; fails on anything that the format does not allow.
fn parse(text: &str) -> HashMap<String, f64> {
    let mut samples = HashMap::new();
    let mut family = String::new();
    let mut families = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            assert!(!families.contains(&family), "{family} comes twice");
            families.push(family.clone());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(series.starts_with(&family), "{series} within {family}");
            let known = samples.insert(series.to_owned(), value.parse().unwrap());
            assert_eq!(known, None, "{series} comes twice");
        }
    }
    samples
}

fn upstream(name: &str, endpoints: usize) -> Arc<Upstream> {
    let target = |index| Target {
        address: Address::Socket(format!("198.51.100.{index}:80").parse().unwrap()),
        protocol: Protocol::Http1,
        weight: 1,
    };
    let spec = UpstreamSpec {
        name: name.into(),
        targets: (1..=endpoints).map(target).collect(),
        ..crate::upstream::test_spec()
    };
    Arc::new(Upstream::new(Arc::new(spec), 1))
}

#[test]
fn a_fresh_process_shows_what_it_is() {
    let samples = parse(&Metrics::new(2).render());
    let build = format!(
        "adit_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    for (series, value) in [
        (&*build, 1.0),
        ("adit_config_generation", 0.0),
        ("adit_config_valid", 0.0),
        ("adit_panics_total", 0.0),
        ("adit_access_log_dropped_total", 0.0),
        ("adit_foreign_tunnel_requests_total", 0.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
    assert!(samples["process_resident_memory_bytes"] > 0.0);
    assert!(samples["process_start_time_seconds"] > 1.7e9);
}

#[test]
fn what_happens_is_shown() {
    let metrics = Metrics::new(2);
    metrics.published(7, Instant::now());
    let span = |name: &str, until| CertificateSpan {
        name: name.into(),
        since: until - Duration::from_mins(150),
        until,
    };
    let (now, span_of) = (SystemTime::now(), Duration::from_secs(1_000));
    metrics.set_certificates(vec![span("a", now + span_of), span("old", now - span_of)]);
    metrics.set_relaxed(vec![("backend_tls_insecure", 2)]);
    let route = metrics.route("a.example", "/api");
    route.record(0, 200, Duration::from_millis(4), 10, 100);
    route.record(1, 200, Duration::from_millis(40), 10, 100);
    route.record(1, 502, Duration::from_secs(90), 0, 0);
    let listener = metrics.listener("lan");
    let open = listener.connection(1);
    listener.handshake(0, Handshake::Resumed, HandshakeVersion::V1_3);
    listener.refused(0, "D-30");
    listener.h2_frames(1, 6, 9);
    metrics.panicked(0);
    metrics.foreign_tunnel(2);
    let samples = parse(&metrics.render());
    let route = "host=\"a.example\",route=\"/api\"";
    let duration = format!("adit_request_duration_seconds_bucket{{{route},le=");
    for (series, value) in [
        ("adit_config_generation".into(), 7.0),
        ("adit_config_valid".into(), 1.0),
        ("adit_config_age_seconds".into(), 0.0),
        (format!("adit_requests_total{{{route},code=\"2xx\"}}"), 2.0),
        (format!("adit_requests_total{{{route},code=\"5xx\"}}"), 1.0),
        (
            format!("adit_bytes_total{{{route},direction=\"out\"}}"),
            200.0,
        ),
        (format!("{duration}\"0.003\"}}"), 0.0),
        (format!("{duration}\"0.005\"}}"), 1.0),
        (format!("{duration}\"60\"}}"), 2.0),
        (format!("{duration}\"+Inf\"}}"), 3.0),
        (
            format!("adit_request_duration_seconds_count{{{route}}}"),
            3.0,
        ),
        (
            format!("adit_request_duration_seconds_sum{{{route}}}"),
            90.044,
        ),
        ("adit_connections_active{listener=\"lan\"}".into(), 1.0),
        ("adit_connections_total{listener=\"lan\"}".into(), 1.0),
        (
            "adit_tls_handshakes_total{listener=\"lan\",result=\"resumed\",version=\"1.3\"}".into(),
            1.0,
        ),
        (
            "adit_refused_total{rule=\"D-30\",listener=\"lan\"}".into(),
            1.0,
        ),
        (
            "adit_h2_frames_total{type=\"ping\",listener=\"lan\"}".into(),
            9.0,
        ),
        (
            "adit_certificate_lifetime_seconds{name=\"old\"}".into(),
            9_000.0,
        ),
        (
            "adit_relaxed_options{option=\"backend_tls_insecure\"}".into(),
            2.0,
        ),
        ("adit_panics_total".into(), 1.0),
        ("adit_foreign_tunnel_requests_total".into(), 1.0),
    ] {
        assert_eq!(samples.get(&series), Some(&value), "{series}");
    }
    let expiry =
        |name: &str| samples[&format!("adit_certificate_expiry_seconds{{name=\"{name}\"}}")];
    assert!((expiry("a") - 999.0).abs() < 2.0 && (expiry("old") + 1_000.0).abs() < 2.0);
    drop(open);
}

#[test]
fn an_upstream_and_its_successor_are_one() {
    let metrics = Metrics::new(1);
    let old = upstream("app", 2);
    metrics.watch(&old);
    metrics.watch(&old);
    let now = Instant::now();
    let held = old.endpoints().members()[0].endpoint.begin();
    let failed = Outcome::Failure(FailureKind::Timeout);
    for _ in 0..5 {
        held.report(0, failed, &old, now);
    }
    old.stats().connected(0, Duration::from_millis(2));
    old.stats().retried(0);
    old.stats().refused(0, "L-31", 3);

    let mut spec = (**old.spec()).clone();
    spec.targets.truncate(1);
    spec.tls.insecure = true;
    let new = Arc::new(Upstream::replacing(&old, Arc::new(spec), 1));
    metrics.watch(&new);
    let also_held = new.endpoints().members()[0].endpoint.begin();
    let samples = parse(&metrics.render());
    let first = "upstream=\"app\",endpoint=\"198.51.100.1:80\"";
    for (series, value) in [
        (format!("adit_upstream_active_requests{{{first}}}"), 2.0),
        (
            format!("adit_upstream_requests_total{{{first},outcome=\"timeout\"}}"),
            5.0,
        ),
        (format!("adit_upstream_healthy{{{first}}}"), 1.0),
        (
            "adit_upstream_refused_total{rule=\"L-31\",upstream=\"app\"}".into(),
            3.0,
        ),
        (
            "adit_upstream_connect_seconds_count{upstream=\"app\"}".into(),
            1.0,
        ),
        ("adit_retries_total{upstream=\"app\"}".into(), 1.0),
        ("adit_ejections_total{upstream=\"app\"}".into(), 1.0),
        ("adit_dns_stale{upstream=\"app\"}".into(), 0.0),
    ] {
        assert_eq!(samples.get(&series), Some(&value), "{series}");
    }
    let leaving = "adit_upstream_healthy{upstream=\"app\",endpoint=\"198.51.100.2:80\"}";
    assert_eq!(samples.get(leaving), None, "nothing new goes there");
    drop((held, also_held, old, new));
    assert!(!metrics.render().contains("upstream=\"app\""));
}

#[test]
fn endpoints_beyond_the_limit_are_summed() {
    let metrics = Metrics::new(1);
    let upstream = upstream("app", 5);
    metrics.watch(&upstream);
    for endpoint in upstream.endpoints().iter() {
        let latency = Duration::from_millis(1);
        endpoint.report(0, Outcome::Success { latency }, &upstream, Instant::now());
    }
    let samples = parse(&text(&metrics.read(), 2));
    let total = "adit_upstream_requests_total";
    let other = format!("{total}{{upstream=\"other\",endpoint=\"other\",outcome=\"success\"}}");
    assert_eq!(samples.get(&other), Some(&3.0));
    assert_eq!(
        samples
            .keys()
            .filter(|series| series.starts_with(total))
            .count(),
        3
    );
}

#[test]
fn labels_cannot_break_the_page() {
    let metrics = Metrics::new(1);
    let route = metrics.route("a\"b\\c\nd\re", &"x".repeat(1_000));
    route.record(0, 200, Duration::ZERO, 0, 0);
    let text = metrics.render();
    assert!(text.contains("host=\"a\\\"b\\\\c\\nd\u{fffd}e\""), "{text}");
    assert!(!text.contains(&"x".repeat(257)));
    parse(&text);
}

#[test]
fn routes_beyond_the_limit_count_as_other() {
    let metrics = Metrics::new(1);
    let held: Vec<_> = (0..crate::metrics::SERIES_LIMIT + 10)
        .map(|index| metrics.route("a.example", &format!("/{index}")))
        .collect();
    for route in &held {
        route.record(0, 200, Duration::ZERO, 0, 0);
    }
    let samples = parse(&metrics.render());
    let other = "adit_requests_total{host=\"other\",route=\"other\",code=\"2xx\"}";
    assert_eq!(samples.get(other), Some(&10.0));
}
