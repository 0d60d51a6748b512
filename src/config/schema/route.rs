//! Routes: hosts, paths, conditions, backends, and the settings that a route gives to its paths.
//!
//! A policy of routes is a row in one of the groups that [`COMMON`] includes.

use super::super::scalar::{
    BACKEND, HEADER_NAME, HEADER_VALUE, HOST, METHOD, NAME, PATH_REGEX, REGEX, TEXT, URL_PATH,
};
use super::policies;
use super::root::{CLIENT_AUTH_KEY, MIN_VERSION};
use super::upstream::{
    BACKEND_OBJECT, BACKEND_TLS, BALANCE, HEALTH, OUTLIER, PROXY_PROTOCOL_OUT, RETRY,
};
use super::{DAY, HOUR, Kind, MILLISECOND, Table, key};

pub(super) static ROUTE: Table = Table {
    name: "route",
    doc: "One or more hosts. Either `backends` or `respond` stands at the top, \
            which serves every path, or `paths` lists them; what is written at the \
            top is then the default of the paths. Two routes for one host are \
            merged. Hosts are tried in the order: exact, `*.`, the longest `**.`, \
            `*`.",
    keys: &[
        key(
            "name",
            Kind::Scalar(&NAME),
            "Unique name for logs and metrics.",
        )
        .default("the first host")
        .example("shop"),
        key("host", Kind::Scalar(&HOST), "The host that is served.")
            .default("see `hosts`")
            .example("www.example.com"),
        key(
            "hosts",
            Kind::Some(&Kind::Scalar(&HOST)),
            "The hosts that are served; either `host` or `hosts` must be there.",
        )
        .default("see `host`")
        .example("[example.com, \"*.example.com\"]"),
        key(
            "profile",
            Kind::Word(&["strict", "nginx"]),
            "How paths are read: as the Ingress and Gateway texts say, or as \
            ingress-nginx does.",
        )
        .default("strict")
        .example("nginx"),
        key(
            "tls",
            Kind::Either(&[Kind::Word(&["passthrough"]), Kind::Table(&HOST_TLS)]),
            "TLS connections for the host go to the backends unopened, or end here \
            with settings of their own.",
        )
        .default("TLS ends here with the defaults of the file")
        .example("passthrough"),
        CLIENT_AUTH_KEY,
        key(
            "appRoot",
            Kind::Scalar(&URL_PATH),
            "Requests for `/` are sent here with 302, whatever the paths say.",
        )
        .default("none")
        .example("/dashboard"),
        key(
            "wwwRedirect",
            Kind::Bool,
            "Whether the twin of each host, with `www.` or without it, is served too and sends \
            its requests here with 308. A twin that has a route of its own is left alone.",
        )
        .default("false")
        .example("true"),
        key(
            "paths",
            Kind::Some(&Kind::Table(&PATH)),
            "The paths that are served.",
        )
        .default("every path")
        .example("[{prefix: /api, backends: [\"http://127.0.0.1:8001\"]}]"),
    ],
    includes: &[
        &COMMON,
        &policies::PATHS,
        &policies::FIELDS,
        &policies::CORS,
        &policies::ACCESS,
        &policies::AUTH,
        &policies::TRAFFIC,
        &policies::ANSWERS,
    ],
    planned: &[
        ("prefix", "write it in an entry of `paths`"),
        ("exact", "write it in an entry of `paths`"),
        ("regex", "write it in an entry of `paths`"),
        ("path", "write `paths: [{prefix: …}]`"),
        ("match", "write it in an entry of `paths`"),
        ("minVersion", "write it under `tls`"),
        (
            "exposure",
            "exposure is written in `rules`: the policy stands in one place",
        ),
    ],
};

static PATH: Table = Table {
    name: "path",
    doc: "One path of the route, and what happens there. Exactly one of `exact`, \
            `prefix` and `regex` is written. An exact path goes before a longer \
            prefix before a shorter one before expressions.",
    keys: &[
        key(
            "exact",
            Kind::Scalar(&URL_PATH),
            "The whole path, byte for byte.",
        )
        .default("one of the three")
        .example("/healthz"),
        key(
            "prefix",
            Kind::Scalar(&URL_PATH),
            "Whole path elements: `/api` covers `/api` and `/api/x`, never `/apix`.",
        )
        .default("one of the three")
        .example("/api"),
        key(
            "regex",
            Kind::Scalar(&PATH_REGEX),
            "A regular expression, matched from the beginning of the path; end it \
            with `$` for the whole path.",
        )
        .default("one of the three")
        .example("\"/user/[0-9]+\""),
        key(
            "match",
            Kind::Table(&MATCH),
            "Further conditions, all of which must hold.",
        )
        .default("none")
        .example("{methods: [GET]}"),
    ],
    includes: &[
        &COMMON,
        &policies::PATHS,
        &policies::FIELDS,
        &policies::CORS,
        &policies::ACCESS,
        &policies::AUTH,
        &policies::TRAFFIC,
        &policies::ANSWERS,
    ],
    planned: &[
        ("path", "the key is `exact`, `prefix` or `regex`"),
        ("appRoot", "it holds for the host: write it at the route"),
        (
            "wwwRedirect",
            "it holds for the host: write it at the route",
        ),
        ("host", "hosts belong to the route"),
        ("hosts", "hosts belong to the route"),
        (
            "tls",
            "TLS is settled before a path is known: write it at the route",
        ),
        (
            "clientAuth",
            "TLS is settled before a path is known: write it at the route",
        ),
        ("methods", "write it under `match`"),
        ("headers", "write it under `match`"),
        ("query", "write it under `match`"),
        (
            "exposure",
            "exposure is written in `rules`: the policy stands in one place",
        ),
    ],
};

static MATCH: Table = Table {
    name: "match",
    doc: "Conditions beside host and path.",
    keys: &[
        key(
            "methods",
            Kind::OneOrMore(&Kind::Scalar(&METHOD)),
            "One of these methods.",
        )
        .default("any")
        .example("[GET, HEAD]"),
        key(
            "headers",
            Kind::Named(&HEADER_NAME, &VALUE),
            "Header fields that must be there with these values.",
        )
        .default("any")
        .example("{x-tenant: blue, x-debug: {present: true}}"),
        key(
            "query",
            Kind::Named(&TEXT, &VALUE),
            "Query parameters that must be there with these values, percent-decoded.",
        )
        .default("any")
        .example("{version: \"2\"}"),
    ],
    includes: &[],
    planned: &[],
};

const VALUE: Kind = Kind::Either(&[Kind::Scalar(&TEXT), Kind::Table(&VALUE_MATCH)]);

static VALUE_MATCH: Table = Table {
    name: "value",
    doc: "How a value is compared; a text alone means `exact`. Exactly one key is \
            written.",
    keys: &[
        key("exact", Kind::Scalar(&TEXT), "The value, byte for byte.")
            .default("one of the three")
            .example("blue"),
        key(
            "regex",
            Kind::Scalar(&REGEX),
            "An expression that finds something in the value.",
        )
        .default("one of the three")
        .example("\"^v[0-9]+$\""),
        key(
            "present",
            Kind::Bool,
            "Any value will do; only `true` can be written.",
        )
        .default("one of the three")
        .example("true"),
    ],
    includes: &[],
    planned: &[],
};

static HOST_TLS: Table = Table {
    name: "host tls",
    doc: "TLS of the route's hosts, which ends here.",
    keys: &[MIN_VERSION, CLIENT_AUTH_KEY],
    includes: &[],
    planned: &[(
        "certificate",
        "certificates are chosen by SNI from the top-level `certificates`",
    )],
};

/// What may be written at a route and at each of its paths.
static COMMON: Table = Table {
    name: "common",
    doc: "Keys of a route and of each of its paths; a path takes what it does not \
            write itself from its route.",
    keys: &[
        key(
            "backends",
            Kind::Some(&Kind::Either(&[
                Kind::Scalar(&BACKEND),
                Kind::Table(&BACKEND_OBJECT),
            ])),
            "Where requests go.",
        )
        .default("see `respond`")
        .example("[\"http://127.0.0.1:8000\", \"http://[::1]:8000\"]"),
        key(
            "respond",
            Kind::Table(&RESPOND),
            "A fixed answer instead of backends, such as a maintenance page.",
        )
        .default("see `backends`")
        .example("{status: 503, body: back soon}"),
        key(
            "backendTls",
            Kind::Table(&BACKEND_TLS),
            "TLS towards `https` and `h2` backends.",
        )
        .default("the system's authorities, the backend's own name")
        .example("{ca: tls/ca.pem, serverName: internal.example.com}"),
        PROXY_PROTOCOL_OUT,
        key("timeouts", Kind::Table(&TIMEOUTS), "Time limits.")
            .default("those of `limits`")
            .example("{response: 30s}"),
        BALANCE,
        HEALTH,
        key(
            "outlier",
            Kind::Table(&OUTLIER),
            "Ejection of failing endpoints.",
        )
        .default("the defaults below")
        .example("{consecutive: 3}"),
        key(
            "retry",
            Kind::Table(&RETRY),
            "Retries of what is safe to send again.",
        )
        .default("{attempts: 1, on: [connect, reset, refused]}")
        .example("{attempts: 2, on: [connect, 503]}"),
        key("limits", Kind::Table(&ROUTE_LIMITS), "Limits of requests.")
            .default("none")
            .example("{body: 10MiB}"),
    ],
    includes: &[],
    planned: &[
        ("backend", "the key is `backends`, a list"),
        ("upstream", "the key is `backends`, a list"),
        (
            "timeout",
            "the key is `timeouts`, with `connect`, `response` and `idle`",
        ),
        (
            "headers",
            "the keys are `requestHeaders` and `responseHeaders`",
        ),
    ],
};

static TIMEOUTS: Table = Table {
    name: "timeouts",
    doc: "Time limits of a route.",
    keys: &[
        key(
            "connect",
            Kind::Duration {
                min: MILLISECOND,
                max: HOUR,
            },
            "Connecting to a backend, for each attempt.",
        )
        .default("limits.connectTimeout")
        .example("2s"),
        key(
            "response",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "From the request being sent to the head of the response.",
        )
        .default("limits.responseTimeout")
        .example("30s"),
        key(
            "idle",
            Kind::Duration {
                min: MILLISECOND,
                max: 7 * DAY,
            },
            "No progress of a body, an upgraded stream or a relayed connection.",
        )
        .default("limits.idleTimeout, limits.tunnelIdleTimeout")
        .example("10m"),
    ],
    includes: &[],
    planned: &[],
};

static RESPOND: Table = Table {
    name: "respond",
    doc: "A fixed answer.",
    keys: &[
        key(
            "status",
            Kind::Integer { min: 200, max: 599 },
            "Status of the answer.",
        )
        .default("200")
        .example("503"),
        key(
            "headers",
            Kind::Named(&HEADER_NAME, &Kind::Scalar(&HEADER_VALUE)),
            "Header fields of the answer.",
        )
        .default("none")
        .example("{retry-after: \"60\", content-type: text/html}"),
        key("body", Kind::Scalar(&TEXT), "Text of the answer.")
            .default("empty")
            .example("back soon"),
    ],
    includes: &[],
    planned: &[],
};

static ROUTE_LIMITS: Table = Table {
    name: "route limits",
    doc: "Limits of the requests of a route.",
    keys: &[
        key(
            "body",
            Kind::Either(&[
                Kind::Word(&["unlimited"]),
                Kind::Size {
                    min: 0,
                    max: 1 << 50,
                },
            ]),
            "Largest request body (L-10); a larger one is answered with 413.",
        )
        .default("unlimited")
        .example("100MiB"),
        key(
            "priority",
            Kind::Word(&["normal", "low"]),
            "Whether the route is the first to answer 503 when memory or processors run out \
            (L-91, L-92).",
        )
        .default("normal")
        .example("low"),
    ],
    includes: &[],
    planned: &[("maxBody", "the key is `body`")],
};
