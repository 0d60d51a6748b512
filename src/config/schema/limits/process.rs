//! Limits of the process: L-80 to L-93.
//!
//! What all clients together, or one of them, may take of what there is.

use super::super::super::scalar::CIDR;
use super::super::{HOUR, KIB, Kind, MIB, MILLISECOND, key};
use super::{Row, Slot};

const TIME: Kind = Kind::Duration {
    min: MILLISECOND,
    max: HOUR,
};

const COUNT: Kind = Kind::Integer {
    min: 1,
    max: 10_000_000,
};

const PERCENT: Kind = Kind::Integer { min: 1, max: 100 };

pub(super) static ROWS: &[Row] = &[
    (
        key(
            "connections",
            Kind::Integer {
                min: 0,
                max: 10_000_000,
            },
            "Client connections at once; 0 derives it from the limits of descriptors and memory (L-80).",
        )
        .default("0")
        .example("20000"),
        "L-80",
        Slot::Count(|limits| &mut limits.connections),
    ),
    (
        key(
            "sourceConnections",
            COUNT,
            "Connections of one source at once (L-81): an IPv4 address, or an IPv6 /64. Listeners \
            with `perSource` count them.",
        )
        .default("512")
        .example("1024"),
        "L-81",
        Slot::Count(|limits| &mut limits.source_connections),
    ),
    (
        key(
            "sourceRate",
            COUNT,
            "New connections of one source in a second (L-81).",
        )
        .default("100")
        .example("50"),
        "L-81",
        Slot::Count(|limits| &mut limits.source_rate),
    ),
    (
        key(
            "sourceBurst",
            COUNT,
            "New connections of one source at a time (L-81).",
        )
        .default("200")
        .example("100"),
        "L-81",
        Slot::Count(|limits| &mut limits.source_burst),
    ),
    (
        key(
            "sourceHandshakes",
            COUNT,
            "Unfinished TLS handshakes of one source (L-81).",
        )
        .default("64")
        .example("128"),
        "L-81",
        Slot::Count(|limits| &mut limits.source_handshakes),
    ),
    (
        key(
            "sourceExempt",
            Kind::List(&Kind::Scalar(&CIDR)),
            "Clients that are not counted by source (L-81), such as a monitor or a proxy that many \
            share.",
        )
        .default("[]")
        .example("[192.0.2.0/24]"),
        "L-81",
        Slot::Blocks(|limits| &mut limits.source_exempt),
    ),
    (
        key(
            "handshakes",
            COUNT,
            "Unfinished TLS handshakes of all clients; beyond it the oldest is closed (L-82).",
        )
        .default("1024")
        .example("4096"),
        "L-82",
        Slot::Count(|limits| &mut limits.handshakes),
    ),
    (
        key(
            "handshakeSteps",
            Kind::Integer { min: 1, max: 1000 },
            "Steps of TLS handshakes that a worker makes before it looks after everything else \
            again (L-83).",
        )
        .default("8")
        .example("4"),
        "L-83",
        Slot::Count(|limits| &mut limits.handshake_steps),
    ),
    (
        key(
            "requests",
            COUNT,
            "Requests in flight in the whole process; more are answered with 503 (L-85).",
        )
        .default("10000")
        .example("20000"),
        "L-85",
        Slot::Count(|limits| &mut limits.requests),
    ),
    (
        key(
            "requestsPerRoute",
            COUNT,
            "Requests in flight on one route (L-86).",
        )
        .default("4096")
        .example("512"),
        "L-86",
        Slot::Count(|limits| &mut limits.requests_per_route),
    ),
    (
        key(
            "requestsPerEndpoint",
            Kind::Integer {
                min: 1,
                max: 10_000_000,
            },
            "Requests in flight at one endpoint (L-86).",
        )
        .default("1024")
        .example("512"),
        "L-86",
        Slot::Count(|limits| &mut limits.requests_per_endpoint),
    ),
    (
        key(
            "queuedRequests",
            Kind::Integer {
                min: 0,
                max: 10_000_000,
            },
            "Requests that wait for a place on a full route, or at its full endpoints (L-86).",
        )
        .default("256")
        .example("0"),
        "L-86",
        Slot::Count(|limits| &mut limits.queued_requests),
    ),
    (
        key(
            "queueTime",
            TIME,
            "How long they wait before they are answered with 503 (L-86).",
        )
        .default("1s")
        .example("250ms"),
        "L-86",
        Slot::Time(|limits| &mut limits.queue_time),
    ),
    (
        key(
            "idleUpstreams",
            Kind::Integer {
                min: 0,
                max: 100_000,
            },
            "Idle connections kept per endpoint (L-87).",
        )
        .default("128")
        .example("16"),
        "L-87",
        Slot::Count(|limits| &mut limits.idle_upstreams),
    ),
    (
        key(
            "idleUpstreamTimeout",
            TIME,
            "How long they are kept (L-87).",
        )
        .default("1m")
        .example("2m"),
        "L-87",
        Slot::Time(|limits| &mut limits.idle_upstream_timeout),
    ),
    (
        key(
            "relayBuffer",
            Kind::Size {
                min: 4 * KIB,
                max: MIB,
            },
            "Copy buffer per direction of a relayed connection (L-89).",
        )
        .default("32KiB")
        .example("64KiB"),
        "L-89",
        Slot::Size(|limits| &mut limits.relay_buffer),
    ),
    (
        key(
            "connectionBuffer",
            Kind::Size {
                min: 64 * KIB,
                max: 1 << 30,
            },
            "Bytes that wait for one client that reads slowly, over all its streams; each HTTP/2 \
            stream has its share of it (L-88).",
        )
        .default("4MiB")
        .example("1MiB"),
        "L-88",
        Slot::Size(|limits| &mut limits.connection_buffer),
    ),
    (
        key(
            "memory",
            Kind::Size {
                min: 0,
                max: 1 << 50,
            },
            "Memory that adit may use; 0 is what its cgroup allows (L-91).",
        )
        .default("0")
        .example("256MiB"),
        "L-91",
        Slot::Size(|limits| &mut limits.memory),
    ),
    (
        key(
            "memorySoft",
            PERCENT,
            "Percent of it beyond which connections are not kept alive, idle backend connections are \
            dropped and routes of low priority answer 503 (L-91).",
        )
        .default("80")
        .example("70"),
        "L-91",
        Slot::Count(|limits| &mut limits.memory_soft),
    ),
    (
        key(
            "memoryHigh",
            PERCENT,
            "Percent of it beyond which new connections are refused (L-91).",
        )
        .default("90")
        .example("85"),
        "L-91",
        Slot::Count(|limits| &mut limits.memory_high),
    ),
    (
        key(
            "memoryFull",
            PERCENT,
            "Percent of it beyond which the largest connections are closed (L-91).",
        )
        .default("95")
        .example("92"),
        "L-91",
        Slot::Count(|limits| &mut limits.memory_full),
    ),
    (
        key(
            "lagSoft",
            TIME,
            "Lateness of a worker's loop, over five seconds, beyond which new HTTP/2 connections get \
            half as many streams and routes of low priority answer 503 (L-92).",
        )
        .default("50ms")
        .example("100ms"),
        "L-92",
        Slot::Time(|limits| &mut limits.lag_soft),
    ),
    (
        key(
            "lagHigh",
            TIME,
            "Lateness beyond which new connections are refused (L-92).",
        )
        .default("250ms")
        .example("500ms"),
        "L-92",
        Slot::Time(|limits| &mut limits.lag_high),
    ),
];
