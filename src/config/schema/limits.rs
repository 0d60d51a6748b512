//! Limits: one row per key, with the id of the security reference and the field that it sets.

use std::time::Duration;

use adit_proxy::limits::Limits;

use super::{DAY, HOUR, KIB, Key, Kind, MIB, MILLISECOND, Table, key};

const TIME: Kind = Kind::Duration {
    min: MILLISECOND,
    max: HOUR,
};
const LONG_TIME: Kind = Kind::Duration {
    min: MILLISECOND,
    max: 7 * DAY,
};

/// The field of a limit.
#[derive(Clone, Copy)]
pub(in crate::config) enum Slot {
    Size(fn(&mut Limits) -> &mut usize),
    Size32(fn(&mut Limits) -> &mut u32),
    Count(fn(&mut Limits) -> &mut usize),
    Count32(fn(&mut Limits) -> &mut u32),
    Time(fn(&mut Limits) -> &mut Duration),
}

type Row = (Key, &'static str, Slot);

/// Key, id and field of every limit.
pub(in crate::config) fn rows() -> &'static [Row] {
    &ROWS
}

const COUNT: usize = 44;

static ROWS: [Row; COUNT] = [
    (
        key(
            "requestLine",
            Kind::Size {
                min: 256,
                max: 64 * KIB,
            },
            "Length of a request line or `:path` (L-01).",
        )
        .default("8KiB")
        .example("16KiB"),
        "L-01",
        Slot::Size(|limits| &mut limits.request_line),
    ),
    (
        key(
            "headerBytes",
            Kind::Size {
                min: 1024,
                max: MIB,
            },
            "Names, values and 32 per field, of one head (L-03).",
        )
        .default("32KiB")
        .example("64KiB"),
        "L-03",
        Slot::Size(|limits| &mut limits.header_bytes),
    ),
    (
        key(
            "fieldLine",
            Kind::Size { min: 256, max: MIB },
            "One field line (L-04).",
        )
        .default("16KiB")
        .example("32KiB"),
        "L-04",
        Slot::Size(|limits| &mut limits.field_line),
    ),
    (
        key(
            "headerFields",
            Kind::Integer {
                min: 1,
                max: 10_000,
            },
            "Fields of one head, cookies excluded (L-05).",
        )
        .default("128")
        .example("64"),
        "L-05",
        Slot::Count(|limits| &mut limits.header_fields),
    ),
    (
        key(
            "cookieFields",
            Kind::Integer {
                min: 0,
                max: 10_000,
            },
            "Cookie fields of one head (L-06).",
        )
        .default("256")
        .example("128"),
        "L-06",
        Slot::Count(|limits| &mut limits.cookie_fields),
    ),
    (
        key(
            "trailerFields",
            Kind::Integer { min: 0, max: 1_000 },
            "Fields of one trailer section (L-07).",
        )
        .default("32")
        .example("16"),
        "L-07",
        Slot::Count(|limits| &mut limits.trailer_fields),
    ),
    (
        key(
            "trailerBytes",
            Kind::Size { min: 0, max: MIB },
            "Size of one trailer section (L-07).",
        )
        .default("8KiB")
        .example("16KiB"),
        "L-07",
        Slot::Size(|limits| &mut limits.trailer_bytes),
    ),
    (
        key(
            "chunkExtension",
            Kind::Size {
                min: 0,
                max: 64 * KIB,
            },
            "Extension of one chunk (L-09).",
        )
        .default("256")
        .example("512"),
        "L-09",
        Slot::Size(|limits| &mut limits.chunk_extension),
    ),
    (
        key(
            "interimResponses",
            Kind::Integer { min: 0, max: 32 },
            "Interim responses of one request that are forwarded (L-12).",
        )
        .default("8")
        .example("4"),
        "L-12",
        Slot::Count(|limits| &mut limits.interim_responses),
    ),
    (
        key(
            "requestsPerConnection",
            Kind::Integer {
                min: 1,
                max: 4_294_967_295,
            },
            "HTTP/1 requests before `Connection: close` (L-14).",
        )
        .default("10000")
        .example("5000"),
        "L-14",
        Slot::Count32(|limits| &mut limits.requests_per_connection),
    ),
    (
        key(
            "streamsPerConnection",
            Kind::Integer {
                min: 1,
                max: 2_147_483_647,
            },
            "HTTP/2 streams before a graceful GOAWAY (L-15).",
        )
        .default("10000")
        .example("5000"),
        "L-15",
        Slot::Count32(|limits| &mut limits.streams_per_connection),
    ),
    (
        key(
            "loopDepth",
            Kind::Integer { min: 1, max: 100 },
            "Passes of one request through ourselves (L-16).",
        )
        .default("5")
        .example("2"),
        "L-16",
        Slot::Count(|limits| &mut limits.loop_depth),
    ),
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

pub(in crate::config) static LIMITS: Table = Table {
    name: "limits",
    doc: "Every limit of the data plane. What a client, a backend or a peer does \
            beyond it is refused or closed.",
    keys: &KEYS,
    includes: &[],
    planned: &[
        (
            "body",
            "request bodies are unlimited unless a route sets `limits: {body: …}`",
        ),
        ("maxConnections", "the key is `connections`"),
    ],
};

static KEYS: [Key; COUNT] = keys();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, never at run time"
)]
const fn keys() -> [Key; COUNT] {
    let mut keys = [ROWS[0].0; COUNT];
    let mut index = 1;
    while index < COUNT {
        keys[index] = ROWS[index].0;
        index += 1;
    }
    keys
}
