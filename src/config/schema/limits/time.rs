//! Limits of time: L-60 to L-79, and the order of a stop.
//!
//! Deadlines are absolute unless they speak of idleness: a byte now and then moves none of them.

use super::super::{DAY, HOUR, Kind, MIB, MILLISECOND, key};
use super::{Row, Slot};

pub(super) const TIME: Kind = Kind::Duration {
    min: MILLISECOND,
    max: HOUR,
};
const LONG_TIME: Kind = Kind::Duration {
    min: MILLISECOND,
    max: 7 * DAY,
};

pub(super) static ROWS: &[Row] = &[
    (
        key(
            "proxyHeaderTimeout",
            TIME,
            "Accept to complete PROXY header (L-60).",
        )
        .default("5s")
        .example("10s"),
        "L-60",
        Slot::Time(|limits| &mut limits.proxy_header_timeout),
    ),
    (
        key("firstByteTimeout", TIME, "Accept to first byte (L-61).")
            .default("5s")
            .example("10s"),
        "L-61",
        Slot::Time(|limits| &mut limits.first_byte_timeout),
    ),
    (
        key(
            "handshakeTimeout",
            TIME,
            "Accept to finished TLS handshake (L-62).",
        )
        .default("10s")
        .example("20s"),
        "L-62",
        Slot::Time(|limits| &mut limits.handshake_timeout),
    ),
    (
        key(
            "headTimeout",
            TIME,
            "First byte of a request to the end of its head (L-63).",
        )
        .default("10s")
        .example("20s"),
        "L-63",
        Slot::Time(|limits| &mut limits.head_timeout),
    ),
    (
        key("keepAliveTimeout", TIME, "Idle HTTP/1 connection (L-64).")
            .default("1m")
            .example("2m"),
        "L-64",
        Slot::Time(|limits| &mut limits.keep_alive_timeout),
    ),
    (
        key(
            "idleStreamsTimeout",
            TIME,
            "HTTP/2 connection without streams (L-65).",
        )
        .default("5m")
        .example("10m"),
        "L-65",
        Slot::Time(|limits| &mut limits.idle_streams_timeout),
    ),
    (
        key(
            "pingInterval",
            TIME,
            "HTTP/2 keep-alive ping while streams exist (L-66).",
        )
        .default("30s")
        .example("1m"),
        "L-66",
        Slot::Time(|limits| &mut limits.ping_interval),
    ),
    (
        key("pingTimeout", TIME, "Time to answer it (L-66).")
            .default("10s")
            .example("20s"),
        "L-66",
        Slot::Time(|limits| &mut limits.ping_timeout),
    ),
    (
        key(
            "bodyIdleTimeout",
            TIME,
            "No progress of a request body (L-67).",
        )
        .default("30s")
        .example("1m"),
        "L-67",
        Slot::Time(|limits| &mut limits.body_idle_timeout),
    ),
    (
        key(
            "bodyRate",
            Kind::Size { min: 0, max: MIB },
            "Bytes of a request body in a second, at least; gRPC and WebSocket are exempt, and 0 \
            demands nothing (L-67).",
        )
        .default("500")
        .example("0"),
        "L-67",
        Slot::Size(|limits| &mut limits.body_rate),
    ),
    (
        key(
            "bodyRateWindow",
            TIME,
            "What the rate is averaged over; only time counts in which adit waits for the client \
            (L-67).",
        )
        .default("30s")
        .example("1m"),
        "L-67",
        Slot::Time(|limits| &mut limits.body_rate_window),
    ),
    (
        key(
            "bodyRateGrace",
            TIME,
            "How long nothing is demanded at first (L-67).",
        )
        .default("10s")
        .example("30s"),
        "L-67",
        Slot::Time(|limits| &mut limits.body_rate_grace),
    ),
    (
        key("connectTimeout", TIME, "Connecting to a backend (L-68).")
            .default("5s")
            .example("10s"),
        "L-68",
        Slot::Time(|limits| &mut limits.connect_timeout),
    ),
    (
        key(
            "backendHandshakeTimeout",
            TIME,
            "TLS handshake with a backend (L-69).",
        )
        .default("5s")
        .example("10s"),
        "L-69",
        Slot::Time(|limits| &mut limits.backend_handshake_timeout),
    ),
    (
        key(
            "responseTimeout",
            TIME,
            "Request sent to response head (L-70).",
        )
        .default("1m")
        .example("2m"),
        "L-70",
        Slot::Time(|limits| &mut limits.response_timeout),
    ),
    (
        key(
            "idleTimeout",
            TIME,
            "A response or stream without progress (L-71).",
        )
        .default("5m")
        .example("10m"),
        "L-71",
        Slot::Time(|limits| &mut limits.idle_timeout),
    ),
    (
        key(
            "tunnelIdleTimeout",
            LONG_TIME,
            "An upgraded, raw or passed-through connection without traffic (L-72).",
        )
        .default("1h")
        .example("2h"),
        "L-72",
        Slot::Time(|limits| &mut limits.tunnel_idle_timeout),
    ),
    (
        key(
            "halfCloseTimeout",
            TIME,
            "A relayed connection with one side closed (L-73).",
        )
        .default("30s")
        .example("1m"),
        "L-73",
        Slot::Time(|limits| &mut limits.half_close_timeout),
    ),
    (
        key("writeTimeout", TIME, "A client that does not read (L-74).")
            .default("30s")
            .example("1m"),
        "L-74",
        Slot::Time(|limits| &mut limits.write_timeout),
    ),
    (
        key(
            "lingerTime",
            TIME,
            "Reading on after an error answer (L-75).",
        )
        .default("2s")
        .example("4s"),
        "L-75",
        Slot::Time(|limits| &mut limits.linger_time),
    ),
    (
        key(
            "continueTimeout",
            TIME,
            "Waiting for a backend's 100 before we send our own (L-76).",
        )
        .default("1s")
        .example("2s"),
        "L-76",
        Slot::Time(|limits| &mut limits.continue_timeout),
    ),
    (
        key(
            "drainTimeout",
            TIME,
            "Time for connections to end once adit is stopping (L-77).",
        )
        .default("30s")
        .example("2m"),
        "L-77",
        Slot::Time(|limits| &mut limits.drain_timeout),
    ),
    (
        key(
            "shutdownGrace",
            Kind::Duration { min: 0, max: HOUR },
            "Not ready but still accepting, before the drain begins (R-21).",
        )
        .default("5s")
        .example("0s"),
        "R-21",
        Slot::Time(|limits| &mut limits.shutdown_grace),
    ),
    (
        key("tcpKeepAlive", TIME, "Idle time before TCP probes (L-78).")
            .default("30s")
            .example("1m"),
        "L-78",
        Slot::Time(|limits| &mut limits.tcp_keep_alive),
    ),
];
