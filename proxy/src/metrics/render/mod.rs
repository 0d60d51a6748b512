//! A reading as Prometheus text, version 0.0.4.
//!
//! Series without an observation are left out, so that ten thousand routes of which a hundred are
//! used cost a hundred. Label values are escaped here and nowhere else (O-05).

mod overload;
mod page;

use std::time::{Instant, SystemTime};

use page::Page;

use crate::h2;
use crate::metrics::process;
use crate::metrics::registry::{EndpointReading, Reading, UpstreamReading};
use crate::metrics::route::CODE_CLASSES;
use crate::upstream::FailureKind;

/// Renders everything.
pub(super) fn text(reading: &Reading, limit: usize) -> String {
    let mut page = Page::default();
    identity(&mut page, reading);
    listeners(&mut page, reading);
    routes(&mut page, reading);
    upstreams(&mut page, &reading.upstreams);
    endpoints(&mut page, &reading.upstreams, limit);
    health(&mut page, reading);
    overload::show(&mut page, reading);
    process_figures(&mut page, reading);
    page.into_text()
}

fn identity(page: &mut Page, reading: &Reading) {
    page.family(
        "adit_build_info",
        "gauge",
        "Version of the running program; always 1.",
    );
    page.sample(
        "adit_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    page.family(
        "adit_config_info",
        "gauge",
        "SHA-256 of the configuration in use; always 1.",
    );
    if !reading.digest.is_empty() {
        page.sample("adit_config_info", &[("digest", &reading.digest)], 1);
    }
    page.family(
        "adit_config_generation",
        "gauge",
        "Generation of the configuration in use.",
    );
    page.sample("adit_config_generation", &[], reading.config.generation);
    page.family(
        "adit_config_valid",
        "gauge",
        "1 if the newest configuration is in use, 0 if it was refused and an older one is.",
    );
    page.sample("adit_config_valid", &[], u8::from(reading.config.valid));
    if let Some(published) = reading.config.published {
        page.family(
            "adit_config_age_seconds",
            "gauge",
            "Age of the configuration in use.",
        );
        let age = Instant::now().saturating_duration_since(published);
        page.sample("adit_config_age_seconds", &[], age.as_secs());
    }
    let mut certificates: Vec<_> = reading.certificates.iter().collect();
    certificates.sort_unstable();
    // Of two with one name, the one that expires first is what has to be known.
    certificates.dedup_by(|later, first| later.name == first.name);
    page.family(
        "adit_certificate_expiry_seconds",
        "gauge",
        "Time until a certificate expires; negative once it has.",
    );
    for found in &certificates {
        let labels = [("name", &*found.name)];
        page.sample("adit_certificate_expiry_seconds", &labels, found.left);
    }
    page.family(
        "adit_certificate_lifetime_seconds",
        "gauge",
        "The whole life of a certificate.",
    );
    for found in &certificates {
        let labels = [("name", &*found.name)];
        let lifetime = found.lifetime.as_secs();
        page.sample("adit_certificate_lifetime_seconds", &labels, lifetime);
    }
    page.family(
        "adit_relaxed_options",
        "gauge",
        "Settings in force that give up a protection.",
    );
    for (option, count) in &reading.relaxed {
        page.sample("adit_relaxed_options", &[("option", option)], count);
    }
}

fn listeners(page: &mut Page, reading: &Reading) {
    let used = || {
        reading.listeners.iter().filter(|listener| {
            &*listener.name != crate::metrics::family::OTHER || listener.connections > 0
        })
    };
    page.family(
        "adit_connections_active",
        "gauge",
        "Client connections that are open.",
    );
    for listener in used() {
        page.sample(
            "adit_connections_active",
            &[("listener", &listener.name)],
            listener.active,
        );
    }
    page.family(
        "adit_connections_total",
        "counter",
        "Client connections accepted.",
    );
    for listener in used() {
        page.sample(
            "adit_connections_total",
            &[("listener", &listener.name)],
            listener.connections,
        );
    }
    page.family(
        "adit_tls_handshakes_total",
        "counter",
        "TLS handshakes by how they ended.",
    );
    for listener in used() {
        for (result, version, count) in &listener.handshakes {
            let labels = [
                ("listener", &*listener.name),
                ("result", result.as_str()),
                ("version", version.as_str()),
            ];
            page.sample("adit_tls_handshakes_total", &labels, count);
        }
    }
    page.family(
        "adit_refused_total",
        "counter",
        "Refusals by the rule that made them.",
    );
    for listener in &reading.listeners {
        for (rule, count) in &listener.refused {
            let labels = [("rule", *rule), ("listener", &listener.name)];
            page.sample("adit_refused_total", &labels, count);
        }
    }
    page.family(
        "adit_h2_frames_total",
        "counter",
        "HTTP/2 frames from clients, by type.",
    );
    for listener in &reading.listeners {
        for (kind, count) in h2::KINDS.into_iter().zip(listener.h2_frames) {
            if count > 0 {
                let labels = [("type", kind), ("listener", &*listener.name)];
                page.sample("adit_h2_frames_total", &labels, count);
            }
        }
    }
}

fn routes(page: &mut Page, reading: &Reading) {
    page.family(
        "adit_requests_total",
        "counter",
        "Requests by class of their status.",
    );
    for route in &reading.routes {
        for (code, count) in CODE_CLASSES.into_iter().zip(route.classes) {
            if count > 0 {
                let labels = [
                    ("host", &*route.host),
                    ("route", &route.route),
                    ("code", code),
                ];
                page.sample("adit_requests_total", &labels, count);
            }
        }
    }
    page.family(
        "adit_route_requests_active",
        "gauge",
        "Requests in flight on a route (L-86).",
    );
    for route in reading.routes.iter().filter(|route| route.requests() > 0) {
        let labels = [("host", &*route.host), ("route", &route.route)];
        page.sample("adit_route_requests_active", &labels, route.active);
    }
    page.family(
        "adit_route_requests_queued",
        "gauge",
        "Requests that wait for a place on a route (L-86).",
    );
    for route in reading.routes.iter().filter(|route| route.requests() > 0) {
        let labels = [("host", &*route.host), ("route", &route.route)];
        page.sample("adit_route_requests_queued", &labels, route.queued);
    }
    page.family(
        "adit_request_duration_seconds",
        "histogram",
        "Time from the head of a request to the end of its response.",
    );
    for route in reading.routes.iter().filter(|route| route.requests() > 0) {
        let labels = [("host", &*route.host), ("route", &route.route)];
        page.histogram("adit_request_duration_seconds", &labels, &route.duration);
    }
    page.family(
        "adit_bytes_total",
        "counter",
        "Bytes from (in) and to (out) clients.",
    );
    for route in &reading.routes {
        for (direction, bytes) in [("in", route.bytes_in), ("out", route.bytes_out)] {
            if bytes > 0 {
                let labels = [
                    ("host", &*route.host),
                    ("route", &route.route),
                    ("direction", direction),
                ];
                page.sample("adit_bytes_total", &labels, bytes);
            }
        }
    }
}

fn upstreams(page: &mut Page, upstreams: &[UpstreamReading]) {
    page.family(
        "adit_upstream_connect_seconds",
        "histogram",
        "Time to connect, TLS included.",
    );
    for upstream in upstreams
        .iter()
        .filter(|upstream| upstream.connect.count() > 0)
    {
        let labels = [("upstream", &*upstream.name)];
        page.histogram("adit_upstream_connect_seconds", &labels, &upstream.connect);
    }
    page.family(
        "adit_retries_total",
        "counter",
        "Further attempts of requests.",
    );
    for upstream in upstreams {
        page.sample(
            "adit_retries_total",
            &[("upstream", &upstream.name)],
            upstream.retries,
        );
    }
    page.family(
        "adit_upstream_refused_total",
        "counter",
        "Breaches of limits of HTTP/2 by backends, by rule.",
    );
    for upstream in upstreams {
        for (rule, count) in &upstream.refused {
            let labels = [("rule", *rule), ("upstream", &*upstream.name)];
            page.sample("adit_upstream_refused_total", &labels, count);
        }
    }
    page.family(
        "adit_upstream_dropped_total",
        "counter",
        "Copies of requests and spans of traces that were given up.",
    );
    for upstream in upstreams.iter().filter(|upstream| upstream.drops > 0) {
        let labels = [("upstream", &*upstream.name)];
        page.sample("adit_upstream_dropped_total", &labels, upstream.drops);
    }
    page.family(
        "adit_retries_denied_total",
        "counter",
        "Further attempts that the budget did not allow (R-08).",
    );
    for upstream in upstreams {
        page.sample(
            "adit_retries_denied_total",
            &[("upstream", &upstream.name)],
            upstream.retries_denied,
        );
    }
    page.family(
        "adit_upstream_requests_queued",
        "gauge",
        "Requests that wait for a place at an endpoint (L-86).",
    );
    for upstream in upstreams {
        let labels = [("upstream", &*upstream.name)];
        page.sample("adit_upstream_requests_queued", &labels, upstream.queued);
    }
    page.family(
        "adit_ejections_total",
        "counter",
        "Endpoints left out because they failed.",
    );
    for upstream in upstreams {
        page.sample(
            "adit_ejections_total",
            &[("upstream", &upstream.name)],
            upstream.ejections,
        );
    }
    page.family(
        "adit_dns_stale",
        "gauge",
        "1 while a name is served from its last good answer.",
    );
    for upstream in upstreams {
        let stale = u8::from(upstream.dns_stale);
        page.sample("adit_dns_stale", &[("upstream", &upstream.name)], stale);
    }
}

/// Endpoints up to the limit, and the sum of the rest.
fn endpoints(page: &mut Page, upstreams: &[UpstreamReading], limit: usize) {
    let all = upstreams.iter().flat_map(|upstream| {
        upstream
            .endpoints
            .iter()
            .map(|endpoint| (&*upstream.name, endpoint))
    });
    let mut rest = EndpointReading {
        address: crate::metrics::family::OTHER.into(),
        ..Default::default()
    };
    for (_, endpoint) in all.clone().skip(limit) {
        rest.active += endpoint.active;
        rest.successes += endpoint.successes;
        for (sum, count) in rest.failures.iter_mut().zip(endpoint.failures) {
            *sum += count;
        }
    }
    let beyond = (all.clone().count() > limit).then_some((crate::metrics::family::OTHER, &rest));
    let rows = || all.clone().take(limit).chain(beyond);
    page.family(
        "adit_upstream_requests_total",
        "counter",
        "Requests to endpoints by outcome.",
    );
    for (upstream, endpoint) in rows() {
        let failures = FailureKind::ALL.into_iter().map(FailureKind::as_str);
        let outcomes = [("success", endpoint.successes)];
        for (outcome, count) in outcomes.into_iter().chain(failures.zip(endpoint.failures)) {
            if count > 0 {
                let labels = [
                    ("upstream", upstream),
                    ("endpoint", &*endpoint.address),
                    ("outcome", outcome),
                ];
                page.sample("adit_upstream_requests_total", &labels, count);
            }
        }
    }
    page.family(
        "adit_upstream_active_requests",
        "gauge",
        "Requests in flight at endpoints.",
    );
    for (upstream, endpoint) in rows() {
        let labels = [("upstream", upstream), ("endpoint", &*endpoint.address)];
        page.sample("adit_upstream_active_requests", &labels, endpoint.active);
    }
    page.family(
        "adit_upstream_healthy",
        "gauge",
        "1 if an endpoint gets requests.",
    );
    for (upstream, endpoint) in rows() {
        if let Some(fit) = endpoint.fit {
            let labels = [("upstream", upstream), ("endpoint", &*endpoint.address)];
            page.sample("adit_upstream_healthy", &labels, u8::from(fit));
        }
    }
}

fn health(page: &mut Page, reading: &Reading) {
    for (name, help, value) in [
        (
            "adit_foreign_tunnel_requests_total",
            "Requests on LAN doors that bear the marks of a tunnel that is not ours.",
            reading.foreign_tunnel,
        ),
        (
            "adit_panics_total",
            "Panics; each cost one connection.",
            reading.panics,
        ),
        (
            "adit_access_log_dropped_total",
            "Access log lines lost because the log could not be written.",
            reading.access_log_dropped,
        ),
    ] {
        page.family(name, "counter", help);
        page.sample(name, &[], value);
    }
}

fn process_figures(page: &mut Page, reading: &Reading) {
    let process = process::read();
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Resident memory.",
            process.resident_bytes,
        ),
        (
            "process_open_fds",
            "Open file descriptors.",
            process.open_descriptors,
        ),
        (
            "process_max_fds",
            "Most file descriptors that may be open.",
            process.descriptor_limit,
        ),
        ("process_threads", "Threads.", process.threads),
    ] {
        if let Some(value) = value {
            page.family(name, "gauge", help);
            page.sample(name, &[], value);
        }
    }
    page.family(
        "adit_regex_given_up_total",
        "counter",
        "Searches that reached the bound on steps back and counted as no match.",
    );
    page.sample(
        "adit_regex_given_up_total",
        &[],
        adit_route::pattern::searches_given_up(),
    );
    if let Some(seconds) = process.cpu_seconds {
        page.family(
            "process_cpu_seconds_total",
            "counter",
            "User and system time.",
        );
        page.sample("process_cpu_seconds_total", &[], seconds);
    }
    if let Ok(started) = reading.started.duration_since(SystemTime::UNIX_EPOCH) {
        page.family(
            "process_start_time_seconds",
            "gauge",
            "Start, in seconds since 1970.",
        );
        page.sample("process_start_time_seconds", &[], started.as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
