//! Limits of one message: L-01 to L-16.
//!
//! Requests of clients and answers of backends alike; what exceeds one is refused whole, never cut.

use super::super::{KIB, Kind, MIB, key};
use super::{Row, Slot};

pub(super) static ROWS: &[Row] = &[
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
];
