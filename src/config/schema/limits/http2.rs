//! Limits of HTTP/2 connections: L-20 to L-39.
//!
//! What one client may hold open, and what it may make us do for nothing.

use super::super::{KIB, Kind, MIB, key};
use super::time::TIME;
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
    (
        key("localResetRefill", TIME, "Time after which one more stream may have to be reset (L-28).").default("10s").example("5s"),
        "L-28",
        Slot::Time(|limits| &mut limits.http2.local_reset_refill),
    ),
    (
        key("resets", Kind::Integer { min: 1, max: 100_000 }, "HTTP/2 streams that a client resets (L-29).").default("100").example("50"),
        "L-29",
        Slot::Count32(|limits| &mut limits.http2.resets),
    ),
    (
        key("resetRefill", TIME, "Time after which a client may reset one more stream (L-29).").default("50ms").example("100ms"),
        "L-29",
        Slot::Time(|limits| &mut limits.http2.reset_refill),
    ),
    (
        key("resetShareFrom", Kind::Integer { min: 10, max: 4_294_967_295 }, "Streams after which a connection is closed if more than half were reset within a second (L-29).").default("500").example("200"),
        "L-29",
        Slot::Count32(|limits| &mut limits.http2.reset_share_from),
    ),
    (
        key("pings", Kind::Integer { min: 1, max: 100_000 }, "PING frames, beside one for each HEADERS or DATA frame that adit sent (L-31).").default("20").example("10"),
        "L-31",
        Slot::Count32(|limits| &mut limits.http2.pings),
    ),
    (
        key("pingRefill", TIME, "Time after which one more PING frame is allowed (L-31).").default("500ms").example("1s"),
        "L-31",
        Slot::Time(|limits| &mut limits.http2.ping_refill),
    ),
    (
        key("settingsFrames", Kind::Integer { min: 2, max: 100_000 }, "SETTINGS frames (L-32).").default("10").example("5"),
        "L-32",
        Slot::Count32(|limits| &mut limits.http2.settings_frames),
    ),
    (
        key("settingsRefill", TIME, "Time after which one more SETTINGS frame is allowed (L-32).").default("5s").example("10s"),
        "L-32",
        Slot::Time(|limits| &mut limits.http2.settings_refill),
    ),
    (
        key("otherFrames", Kind::Integer { min: 1, max: 1_000_000 }, "PRIORITY frames, and as many of unknown types (L-33).").default("1000").example("500"),
        "L-33",
        Slot::Count32(|limits| &mut limits.http2.other_frames),
    ),
    (
        key("otherFrameRefill", TIME, "Time after which one more of them is allowed (L-33).").default("5ms").example("10ms"),
        "L-33",
        Slot::Time(|limits| &mut limits.http2.other_frame_refill),
    ),
    (
        key("windowUpdates", Kind::Integer { min: 1, max: 1_000_000 }, "WINDOW_UPDATE frames, beside eight for each DATA frame that adit sent (L-33).").default("1000").example("500"),
        "L-33",
        Slot::Count32(|limits| &mut limits.http2.window_updates),
    ),
    (
        key("windowUpdateRefill", TIME, "Time after which one more WINDOW_UPDATE frame is allowed (L-33).").default("5ms").example("10ms"),
        "L-33",
        Slot::Time(|limits| &mut limits.http2.window_update_refill),
    ),
    (
        key("emptyData", Kind::Integer { min: 0, max: 100 }, "DATA frames without content that do not end their stream, on one connection (L-34).").default("100").example("20"),
        "L-34",
        Slot::Count32(|limits| &mut limits.http2.empty_data),
    ),
    (
        key("tinyData", Kind::Integer { min: 1, max: 1_000_000 }, "DATA frames of one to four bytes that do not end their stream (L-34).").default("1000").example("500"),
        "L-34",
        Slot::Count32(|limits| &mut limits.http2.tiny_data),
    ),
    (
        key("tinyDataRefill", TIME, "Time after which one more of them is allowed (L-34).").default("5ms").example("10ms"),
        "L-34",
        Slot::Time(|limits| &mut limits.http2.tiny_data_refill),
    ),
    (
        key("smallDataOverhead", Kind::Size { min: 25 * KIB, max: 64 * MIB }, "What DATA frames below 256 bytes lack of that, summed over those that wait to be taken by a backend (L-34).").default("4MiB").example("512KiB"),
        "L-34",
        Slot::Size(|limits| &mut limits.http2.small_data_overhead),
    ),
    (
        key("streamStallTimeout", TIME, "A stream with something to send, for which the client opens no window (L-35).").default("30s").example("1m"),
        "L-35",
        Slot::Time(|limits| &mut limits.http2.stream_stall_timeout),
    ),
    (
        key("connectionStallTimeout", TIME, "A connection whose window the peer leaves shut (L-35).").default("1m").example("2m"),
        "L-35",
        Slot::Time(|limits| &mut limits.http2.connection_stall_timeout),
    ),
    (
        key("glitchesBeforeDrain", Kind::Integer { min: 1, max: 1_000_000 }, "Breaches of these limits, and malformed requests, after which a connection takes no more streams (L-38).").default("25").example("10"),
        "L-38",
        Slot::Count32(|limits| &mut limits.http2.glitches_before_drain),
    ),
    (
        key("glitchesBeforeClose", Kind::Integer { min: 1, max: 1_000_000 }, "The same, after which it is closed at once (L-38).").default("50").example("20"),
        "L-38",
        Slot::Count32(|limits| &mut limits.http2.glitches_before_close),
    ),
    (
        key("headerBlockTimeout", TIME, "A header block that has begun and not ended (L-39).").default("10s").example("20s"),
        "L-39",
        Slot::Time(|limits| &mut limits.http2.header_block_timeout),
    ),
];
