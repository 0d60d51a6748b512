//! What all clients together have taken, what was shed, and what was attempted, as samples.

use super::page::Page;
use crate::metrics::registry::Reading;

pub(super) fn show(page: &mut Page, reading: &Reading) {
    let now = &reading.overload;
    for (name, help, value) in [
        (
            "adit_requests_active",
            "Requests in flight (L-85).",
            now.requests,
        ),
        (
            "adit_handshakes_unfinished",
            "TLS handshakes that are not finished (L-82).",
            now.handshakes as u64,
        ),
        (
            "adit_sources_known",
            "Sources that are counted (L-81).",
            now.sources as u64,
        ),
        (
            "adit_memory_used_bytes",
            "Memory that counts against the limit (L-91).",
            now.memory_used,
        ),
        (
            "adit_memory_limit_bytes",
            "Limit of memory that is in force; 0 is none (L-91).",
            now.memory_limit,
        ),
        (
            "adit_workers_silent",
            "Workers that do not turn any more (S-23).",
            now.silent as u64,
        ),
    ] {
        page.family(name, "gauge", help);
        page.sample(name, &[], value);
    }
    let [kept, reused, discarded] = reading.pool;
    page.family(
        "adit_upstream_pool_connections",
        "gauge",
        "Backend connections that are kept for further requests.",
    );
    page.sample("adit_upstream_pool_connections", &[], kept);
    for (name, help, value) in [
        (
            "adit_upstream_pool_reused_total",
            "Requests that found a kept HTTP/1 connection.",
            reused,
        ),
        (
            "adit_upstream_pool_discarded_total",
            "Kept HTTP/1 connections that were too old or had been closed.",
            discarded,
        ),
    ] {
        page.family(name, "counter", help);
        page.sample(name, &[], value);
    }
    limits(page, reading);
    page.family(
        "adit_overload_stage",
        "gauge",
        "Stage of shedding by its signal; 0 is none (L-91, L-92).",
    );
    for (signal, stage) in now.stages {
        page.sample("adit_overload_stage", &[("signal", signal)], stage);
    }
    page.family(
        "adit_overload_stages_total",
        "counter",
        "Stages of shedding that were entered.",
    );
    page.sample("adit_overload_stages_total", &[], now.entered);
    page.family(
        "adit_loop_lag_seconds",
        "gauge",
        "How late the loop of a worker is, over five seconds (L-92).",
    );
    for (worker, lag) in now.lag.iter().enumerate() {
        let labels = [("worker", &*worker.to_string())];
        page.sample("adit_loop_lag_seconds", &labels, lag.as_secs_f64());
    }
    page.family(
        "adit_security_attempts_total",
        "counter",
        "Attempts at what is refused, by kind.",
    );
    for (attempt, count) in &reading.attempts {
        let labels = [("attempt", attempt.as_str())];
        page.sample("adit_security_attempts_total", &labels, count);
    }
}

/// What is in use of the limits of the process, and how much there may be (O-03).
fn limits(page: &mut Page, reading: &Reading) {
    let now = &reading.overload;
    let connections = reading.listeners.iter().map(|listener| listener.active);
    let rows = [
        ("connections", connections.sum(), now.limits.connections),
        ("requests", now.requests, now.limits.requests),
        ("handshakes", now.handshakes as u64, now.limits.handshakes),
        ("memory", now.memory_used, now.memory_limit),
    ];
    page.family(
        "adit_limit_current",
        "gauge",
        "What is in use of a limit of the process.",
    );
    for (limit, current, _) in rows {
        page.sample("adit_limit_current", &[("limit", limit)], current);
    }
    page.family(
        "adit_limit_maximum",
        "gauge",
        "A limit of the process that is in force; 0 is none.",
    );
    for (limit, _, maximum) in rows {
        page.sample("adit_limit_maximum", &[("limit", limit)], maximum);
    }
}
