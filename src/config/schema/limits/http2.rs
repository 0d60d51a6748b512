//! Limits of HTTP/2 connections: L-20 to L-39.
//!
//! What one client may hold open, and what it may make us do for nothing.

use super::super::{KIB, Kind, key};
use super::{Row, Slot};

pub(super) static ROWS: &[Row] = &[
    (
        key(
            "concurrentStreams",
            Kind::Integer {
                min: 1,
                max: 100_000,
            },
            "HTTP/2 streams open at once on a connection (L-20).",
        )
        .default("100")
        .example("50"),
        "L-20",
        Slot::Count32(|limits| &mut limits.concurrent_streams),
    ),
    (
        key(
            "streamWindow",
            Kind::Size {
                min: 16 * KIB,
                max: 1 << 30,
            },
            "HTTP/2 receive window of a stream (L-21).",
        )
        .default("64KiB")
        .example("128KiB"),
        "L-21",
        Slot::Size32(|limits| &mut limits.stream_window),
    ),
    (
        key(
            "connectionWindow",
            Kind::Size {
                min: 64 * KIB,
                max: 1 << 30,
            },
            "HTTP/2 receive window of a connection (L-22).",
        )
        .default("1MiB")
        .example("2MiB"),
        "L-22",
        Slot::Size32(|limits| &mut limits.connection_window),
    ),
    (
        key(
            "streamSendBuffer",
            Kind::Size {
                min: 4 * KIB,
                max: 1 << 30,
            },
            "HTTP/2 bytes buffered for sending on a stream (L-26).",
        )
        .default("64KiB")
        .example("128KiB"),
        "L-26",
        Slot::Size(|limits| &mut limits.stream_send_buffer),
    ),
    (
        key(
            "localResets",
            Kind::Integer {
                min: 1,
                max: 100_000,
            },
            "HTTP/2 streams that a client may make us reset (L-28).",
        )
        .default("100")
        .example("50"),
        "L-28",
        Slot::Count(|limits| &mut limits.local_resets),
    ),
    (
        key(
            "pendingResets",
            Kind::Integer {
                min: 1,
                max: 100_000,
            },
            "HTTP/2 streams reset by the client before they were accepted (L-29).",
        )
        .default("20")
        .example("10"),
        "L-29",
        Slot::Count(|limits| &mut limits.pending_resets),
    ),
];
