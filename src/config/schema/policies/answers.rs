//! What becomes of bodies and answers: errors, encodings, buffers, copies, traces.

use super::super::super::scalar::{
    BACKEND, FILE, HEADER_NAME, HEADER_VALUE, HOST_PORT, MEDIA_TYPE, STATUS, TEMPLATE, TEXT,
};
use super::super::{KIB, Kind, MIB, Table, key};
use super::traffic::BACKENDS;

/// What becomes of requests and answers on their way.
pub(in super::super) static ANSWERS: Table = Table {
    name: "answer policies",
    doc: "Errors, encodings, buffers, copies and traces.",
    keys: &[
        key(
            "errors",
            Kind::Table(&ERRORS),
            "What the client sees instead of an error.",
        )
        .default("the answer as it is")
        .example("{pages: {503: {file: maintenance.html}}}"),
        key(
            "compression",
            Kind::Either(&[Kind::Bool, Kind::Table(&COMPRESSION)]),
            "Encodes responses that shrink, for clients that take it. Never what is encoded already, \
            ranges, streams of events, or gRPC.",
        )
        .default("false")
        .example("{encodings: [zstd, gzip], minLength: 1KiB}"),
        key(
            "buffering",
            Kind::Table(&BUFFERING),
            "Gathers bodies; otherwise they stream.",
        )
        .default("none")
        .example("{request: true, response: 1MiB}"),
        key(
            "mirror",
            Kind::Either(&[Kind::Table(&MIRROR), Kind::Some(&Kind::Table(&MIRROR))]),
            "Sends copies of requests elsewhere; nobody waits for them or reads their answers.",
        )
        .default("none")
        .example("{to: \"http://10.0.0.9:8000\", percent: 10}"),
        key(
            "tracing",
            Kind::Either(&[Kind::Bool, Kind::Table(&ROUTE_TRACING)]),
            "Trace context towards the backend, and spans for the collector of the file.",
        )
        .default("whether the file has `tracing`")
        .example("{name: \"$request_method $host\"}"),
    ],
    includes: &[],
    planned: &[
        ("compress", "the key is `compression`"),
        ("gzip", "the key is `compression`"),
        ("errorPages", "the key is `errors`, with `pages`"),
    ],
};

static ERRORS: Table = Table {
    name: "errors",
    doc: "What the client sees instead of an error, be it the backend's or adit's own. A page keeps \
            the status; an error backend answers with the status that it likes.",
    keys: &[
        key(
            "pages",
            Kind::Named(&STATUS, &Kind::Table(&PAGE)),
            "Pages by status.",
        )
        .default("none")
        .example("{404: {body: \"not here\\n\"}, 503: {file: maintenance.html}}"),
        key(
            "statuses",
            Kind::Some(&Kind::Integer { min: 400, max: 599 }),
            "Statuses for which `backends` are asked; a page goes first.",
        )
        .default("none")
        .example("[404, 500, 502, 503, 504]"),
        key(
            "backends",
            BACKENDS,
            "Who is asked: with the method and the fields of the request, path `/` and its query, and \
            `X-Code`, `X-Format` (what the client accepts) and `X-Original-URI`.",
        )
        .default("none")
        .example("[\"http://127.0.0.1:8080\"]"),
        key(
            "withoutEndpoints",
            BACKENDS,
            "Who serves the request itself, path and all, with `X-Code: 503`, while the route has no \
            backend.",
        )
        .default("none")
        .example("[\"http://127.0.0.1:8080\"]"),
        key(
            "labels",
            Kind::Named(&HEADER_NAME, &Kind::Scalar(&HEADER_VALUE)),
            "Fields that tell these backends where it happened.",
        )
        .default("none")
        .example("{x-service-name: shop}"),
    ],
    includes: &[],
    planned: &[("backend", "the key is `backends`, a list")],
};

static PAGE: Table = Table {
    name: "error page",
    doc: "A page; either `file` or `body` is written.",
    keys: &[
        key(
            "file",
            Kind::Scalar(&FILE),
            "File with the page, read when the configuration is.",
        )
        .default("see `body`")
        .example("maintenance.html"),
        key("body", Kind::Scalar(&TEXT), "The page itself.")
            .default("see `file`")
            .example("back soon"),
        key("type", Kind::Scalar(&MEDIA_TYPE), "Its media type.")
            .default("text/html for a file that is named so, else text/plain; UTF-8")
            .example("application/json"),
    ],
    includes: &[],
    planned: &[],
};

static COMPRESSION: Table = Table {
    name: "compression",
    doc: "Encoding of responses. ETags become weak, `Vary: Accept-Encoding` is added.",
    keys: &[
        key(
            "encodings",
            Kind::Some(&Kind::Word(&["zstd", "br", "gzip"])),
            "What is offered; among equals the client gets zstd before br before gzip.",
        )
        .default("[zstd, br, gzip]")
        .example("[br, gzip]"),
        key(
            "types",
            Kind::Some(&Kind::Scalar(&MEDIA_TYPE)),
            "Media types; `text/*` stands for a family.",
        )
        .default("text, JSON, XML, JavaScript, WebAssembly, SVG, and fonts and icons that shrink")
        .example("[\"text/*\", application/json]"),
        key(
            "minLength",
            Kind::Size {
                min: 0,
                max: 1024 * MIB,
            },
            "Shorter bodies stay as they are.",
        )
        .default("256")
        .example("1KiB"),
        key(
            "gzipLevel",
            Kind::Integer { min: 1, max: 9 },
            "How hard gzip tries.",
        )
        .default("5")
        .example("6"),
        key(
            "brotliLevel",
            Kind::Integer { min: 0, max: 11 },
            "How hard brotli tries; levels above 6 are for files, not for servers.",
        )
        .default("4")
        .example("5"),
        key(
            "zstdLevel",
            Kind::Integer { min: 1, max: 19 },
            "How hard zstd tries.",
        )
        .default("3")
        .example("6"),
    ],
    includes: &[],
    planned: &[],
};

static BUFFERING: Table = Table {
    name: "buffering",
    doc: "Bodies that are gathered.",
    keys: &[
        key(
            "request",
            Kind::Either(&[Kind::Bool, Kind::Table(&REQUEST_BUFFERING)]),
            "Reads a request body to its end before a backend is asked, so that slow clients occupy \
            none and a failed attempt can be repeated.",
        )
        .default("false")
        .example("{memory: 64KiB, most: 100MiB}"),
        key(
            "response",
            Kind::Size {
                min: KIB,
                max: 64 * MIB,
            },
            "Reads so much of a response ahead of a slow client, so that the backend is done early. \
            `X-Accel-Buffering: no` of the backend switches it off.",
        )
        .default("none")
        .example("1MiB"),
    ],
    includes: &[],
    planned: &[],
};

static REQUEST_BUFFERING: Table = Table {
    name: "request buffering",
    doc: "How a request body is gathered.",
    keys: &[
        key(
            "memory",
            Kind::Size {
                min: 0,
                max: 64 * MIB,
            },
            "What is kept in memory; more goes to a file without a name in `$TMPDIR`, or `/tmp`.",
        )
        .default("64KiB")
        .example("256KiB"),
        key(
            "most",
            Kind::Size {
                min: KIB,
                max: 1 << 40,
            },
            "Largest body; a larger one is answered with 413.",
        )
        .default("`limits.body` of the route, or 1GiB")
        .example("100MiB"),
    ],
    includes: &[],
    planned: &[],
};

static MIRROR: Table = Table {
    name: "mirror",
    doc: "Copies of requests. At most 256 are under way in each worker, each at most 256 KiB behind \
            its original; more are dropped and counted.",
    keys: &[
        key("to", Kind::Scalar(&BACKEND), "Where copies go.")
            .required()
            .example("\"http://10.0.0.9:8000\""),
        key("path", Kind::Scalar(&TEMPLATE), "Their path and query.")
            .default("$request_uri")
            .example("/copies$request_uri"),
        key("host", Kind::Scalar(&HOST_PORT), "Their `Host`.")
            .default("that of the request")
            .example("copies.example.com"),
        key(
            "percent",
            Kind::Integer { min: 1, max: 100 },
            "Share of the requests.",
        )
        .default("100")
        .example("10"),
        key("body", Kind::Bool, "Whether the body is copied too.")
            .default("true")
            .example("false"),
    ],
    includes: &[],
    planned: &[("backends", "the key is `to`")],
};

static ROUTE_TRACING: Table = Table {
    name: "route tracing",
    doc: "Traces of a route.",
    keys: &[
        key(
            "trust",
            Kind::Bool,
            "Whether a client whose forwarding fields are believed (`trustForwarded`) may continue its \
            trace; anybody else's begins here.",
        )
        .default("true")
        .example("false"),
        key(
            "name",
            Kind::Scalar(&TEMPLATE),
            "Name of the span.",
        )
        .default("method and route")
        .example("\"$request_method $host\""),
    ],
    includes: &[],
    planned: &[],
};
