//! Limits of the process: L-80 to L-93.
//!
//! What all clients together, or one of them, may take of what there is.

use super::super::{HOUR, KIB, Kind, MIB, MILLISECOND, key};
use super::{Row, Slot};

const TIME: Kind = Kind::Duration {
    min: MILLISECOND,
    max: HOUR,
};

pub(super) static ROWS: &[Row] = &[
    (
        key(
            "connections",
            Kind::Integer {
                min: 0,
                max: 10_000_000,
            },
            "Client connections at once; 0 derives it from the descriptor limit (L-80).",
        )
        .default("0")
        .example("20000"),
        "L-80",
        Slot::Count(|limits| &mut limits.connections),
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
];
