//! Routes: hosts, paths, conditions, backends, and the settings that a route gives to its paths.
//!
//! A policy of routes is a row in one of the groups that [`COMMON`] includes.

use super::super::scalar::{
    BACKEND, DNS_NAME, FILE, HASH_KEY, HEADER_NAME, HEADER_VALUE, HOST, METHOD, NAME, PATH_REGEX,
    REGEX, SCHEMES, STATUS_RANGE, TEXT, URL_PATH,
};
use super::root::{CLIENT_AUTH_KEY, MIN_VERSION};
use super::{DAY, HOUR, Key, Kind, MILLISECOND, SECOND, Table, key};

pub(super) static ROUTE: Table = Table {
    name: "route",
    doc: "One or more hosts. Either `backends` or `respond` stands at the top, which serves every path, or `paths` lists them; what is \
          written at the top is then the default of the paths. Two routes for one host are merged. Hosts are tried in the order: exact, \
          `*.`, the longest `**.`, `*`.",
    keys: &[
        key("name", Kind::Scalar(&NAME), "Unique name for logs and metrics.").default("the first host").example("shop"),
        key("host", Kind::Scalar(&HOST), "The host that is served.").default("see `hosts`").example("www.example.com"),
        key("hosts", Kind::Some(&Kind::Scalar(&HOST)), "The hosts that are served; either `host` or `hosts` must be there.")
            .default("see `host`")
            .example("[example.com, \"*.example.com\"]"),
        key(
            "profile",
            Kind::Word(&["strict", "nginx"]),
            "How paths are read: as the Ingress and Gateway texts say, or as ingress-nginx does.",
        )
        .default("strict")
        .example("nginx"),
        key(
            "tls",
            Kind::Either(&[Kind::Word(&["passthrough"]), Kind::Table(&HOST_TLS)]),
            "TLS connections for the host go to the backends unopened, or end here with settings of their own.",
        )
        .default("TLS ends here with the defaults of the file")
        .example("passthrough"),
        CLIENT_AUTH_KEY,
        key("paths", Kind::Some(&Kind::Table(&PATH)), "The paths that are served.")
            .default("every path")
            .example("[{prefix: /api, backends: [\"http://127.0.0.1:8001\"]}]"),
    ],
    includes: &[&COMMON],
    planned: &[
        ("prefix", "write it in an entry of `paths`"),
        ("exact", "write it in an entry of `paths`"),
        ("regex", "write it in an entry of `paths`"),
        ("path", "write `paths: [{prefix: …}]`"),
        ("match", "write it in an entry of `paths`"),
        ("minVersion", "write it under `tls`"),
        ("exposure", "exposure is written in `rules`: the policy stands in one place"),
    ],
};

static PATH: Table = Table {
    name: "path",
    doc: "One path of the route, and what happens there. Exactly one of `exact`, `prefix` and `regex` is written. An exact path goes \
          before a longer prefix before a shorter one before expressions.",
    keys: &[
        key("exact", Kind::Scalar(&URL_PATH), "The whole path, byte for byte.").default("one of the three").example("/healthz"),
        key("prefix", Kind::Scalar(&URL_PATH), "Whole path elements: `/api` covers `/api` and `/api/x`, never `/apix`.")
            .default("one of the three")
            .example("/api"),
        key("regex", Kind::Scalar(&PATH_REGEX), "A regular expression, matched from the beginning of the path; end it with `$` for the whole path.")
            .default("one of the three")
            .example("\"/user/[0-9]+\""),
        key("match", Kind::Table(&MATCH), "Further conditions, all of which must hold.").default("none").example("{methods: [GET]}"),
    ],
    includes: &[&COMMON],
    planned: &[
        ("path", "the key is `exact`, `prefix` or `regex`"),
        ("host", "hosts belong to the route"),
        ("hosts", "hosts belong to the route"),
        ("tls", "TLS is settled before a path is known: write it at the route"),
        ("clientAuth", "TLS is settled before a path is known: write it at the route"),
        ("methods", "write it under `match`"),
        ("headers", "write it under `match`"),
        ("query", "write it under `match`"),
        ("exposure", "exposure is written in `rules`: the policy stands in one place"),
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
    doc: "How a value is compared; a text alone means `exact`. Exactly one key is written.",
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
    doc: "Keys of a route and of each of its paths; a path takes what it does not write itself from its route.",
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
        ("rewrite", "it comes with the policies of routes"),
        (
            "redirect",
            "it comes with the policies of routes; a redirect to HTTPS is written at the listener",
        ),
        ("cors", "it comes with the policies of routes"),
        ("rateLimit", "it comes with the policies of routes"),
        ("auth", "it comes with the policies of routes"),
        ("headers", "it comes with the policies of routes"),
        ("requestHeaders", "it comes with the policies of routes"),
        ("responseHeaders", "it comes with the policies of routes"),
        (
            "sticky",
            "it comes with the policies of routes; `balance: {hash: …}` keeps a client at one endpoint",
        ),
        ("compression", "it comes with the policies of routes"),
        ("mirror", "it comes with the policies of routes"),
        (
            "buffering",
            "it comes with the policies of routes; bodies stream",
        ),
    ],
};

pub(super) const PROXY_PROTOCOL_OUT: Key = key(
    "proxyProtocol",
    Kind::Word(&["v1", "v2"]),
    "Sends a PROXY header first on each connection; such connections are not shared by clients.",
)
.default("none is sent")
.example("v2");

const BALANCE_KIND: Kind = Kind::Either(&[Kind::Word(&["roundRobin", "p2c", "ewma"]), Kind::Table(&HASH)]);

pub(super) const BALANCE: Key = key(
    "balance",
    BALANCE_KIND,
    "How an endpoint is chosen: in turn, the less loaded of two at random, the faster of two at random, or by a hash.",
)
.default("roundRobin")
.example("{hash: clientIp}");

static HASH: Table = Table {
    name: "hash",
    doc: "Consistent hash of a value of the request: equal values reach the same endpoint while it is healthy.",
    keys: &[
        key("hash", Kind::Scalar(&HASH_KEY), "What is hashed; requests without it go round robin. TCP and passthrough know `clientIp` only.")
            .required()
            .example("header:x-tenant"),
    ],
    includes: &[],
    planned: &[],
};

pub(super) static BACKEND_OBJECT: Table = Table {
    name: "backend",
    doc: "A backend in its long form: either `url`, or `dns` with its settings. A DNS answer may be private; loopback, link-local, \
          multicast and metadata addresses and adit's own listeners are refused.",
    keys: &[
        key(
            "url",
            Kind::Scalar(&BACKEND),
            "A backend in its short form.",
        )
        .default("see `dns`")
        .example("\"http://10.0.0.7:8000\""),
        key(
            "dns",
            Kind::Scalar(&DNS_NAME),
            "A name, resolved and kept fresh; each address is an endpoint.",
        )
        .default("see `url`")
        .example("ingress.c1.example.com"),
        key(
            "family",
            Kind::Word(&["any", "ipv4", "ipv6"]),
            "Which addresses are asked for.",
        )
        .default("any")
        .example("ipv6"),
        key(
            "port",
            Kind::Integer { min: 1, max: 65535 },
            "The port; needed unless `srv` finds it.",
        )
        .default("none")
        .example("443"),
        key(
            "scheme",
            Kind::Word(&SCHEMES),
            "What is spoken; TCP and passthrough have none.",
        )
        .default("http")
        .example("https"),
        key(
            "srv",
            Kind::Bool,
            "Whether the name is an SRV name, which gives targets and ports.",
        )
        .default("false")
        .example("true"),
        key(
            "weight",
            Kind::Integer { min: 0, max: 65535 },
            "Share among its siblings; 0 gets nothing.",
        )
        .default("1")
        .example("3"),
    ],
    includes: &[],
    planned: &[],
};

static BACKEND_TLS: Table = Table {
    name: "backendTls",
    doc: "TLS towards backends. Certificates are always verified unless `insecure` says otherwise.",
    keys: &[
        key("ca", Kind::Scalar(&FILE), "PEM file with the authorities that are accepted.").default("those of the system").example("tls/ca.pem"),
        key("serverName", Kind::Scalar(&DNS_NAME), "Name that is sent as SNI and verified.")
            .default("the name of the backend")
            .example("internal.example.com"),
        key("cert", Kind::Scalar(&FILE), "PEM file with our own certificate; needs `key`.").default("none").example("tls/client.pem"),
        key("key", Kind::Scalar(&FILE), "PEM file with its private key; it must not be readable by everybody.")
            .default("none")
            .example("tls/client.key"),
        key("insecure", Kind::Bool, "Accepts any certificate: whoever can answer at the address can read and change everything.")
            .default("false")
            .example("true"),
    ],
    includes: &[],
    planned: &[],
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

pub(super) const HEALTH: Key = key(
    "health",
    Kind::Table(&HEALTH_CHECK),
    "Active checks of the endpoints.",
)
.default("none")
.example("{path: /healthz, interval: 5s}");

static HEALTH_CHECK: Table = Table {
    name: "health",
    doc: "An active check. An endpoint is taken out after `fall` failures in a row and comes back after `rise` successes.",
    keys: &[
        key(
            "path",
            Kind::Scalar(&URL_PATH),
            "Path that is asked for over HTTP.",
        )
        .default("the connection being accepted is enough")
        .example("/healthz"),
        key(
            "host",
            Kind::Scalar(&DNS_NAME),
            "Host that is sent with it.",
        )
        .default("the name or address of the endpoint")
        .example("health.example.com"),
        key(
            "interval",
            Kind::Duration { min: 100, max: DAY },
            "Time between checks.",
        )
        .default("10s")
        .example("5s"),
        key(
            "timeout",
            Kind::Duration {
                min: MILLISECOND,
                max: HOUR,
            },
            "Time for one check; not longer than `interval`.",
        )
        .default("2s")
        .example("1s"),
        key(
            "fall",
            Kind::Integer { min: 1, max: 100 },
            "Failures in a row that take an endpoint out.",
        )
        .default("3")
        .example("2"),
        key(
            "rise",
            Kind::Integer { min: 1, max: 100 },
            "Successes in a row that bring it back.",
        )
        .default("2")
        .example("1"),
        key(
            "status",
            Kind::Scalar(&STATUS_RANGE),
            "Status that counts as success; needs `path`.",
        )
        .default("200-399")
        .example("200-299"),
    ],
    includes: &[],
    planned: &[],
};

static OUTLIER: Table = Table {
    name: "outlier",
    doc: "Passive ejection: an endpoint that fails real requests is left out for a while.",
    keys: &[
        key(
            "consecutive",
            Kind::Integer { min: 0, max: 1000 },
            "Failures in a row that eject; 0 switches ejection off.",
        )
        .default("5")
        .example("3"),
        key(
            "errorPercent",
            Kind::Integer { min: 1, max: 100 },
            "Share of failures over the window that ejects.",
        )
        .default("50")
        .example("30"),
        key(
            "minRequests",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "Requests in the window before the share counts.",
        )
        .default("20")
        .example("100"),
        key(
            "window",
            Kind::Duration {
                min: SECOND,
                max: HOUR,
            },
            "The window.",
        )
        .default("30s")
        .example("1m"),
        key(
            "base",
            Kind::Duration {
                min: MILLISECOND,
                max: HOUR,
            },
            "First ejection; the n-th lasts n times as long.",
        )
        .default("30s")
        .example("10s"),
        key(
            "max",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "Longest ejection.",
        )
        .default("5m")
        .example("2m"),
        key(
            "maxPercent",
            Kind::Integer { min: 0, max: 100 },
            "Largest share of the endpoints that may be out.",
        )
        .default("50")
        .example("30"),
        key(
            "slowStart",
            Kind::Duration { min: 0, max: HOUR },
            "Time over which a returning endpoint regains its share.",
        )
        .default("30s")
        .example("1m"),
    ],
    includes: &[],
    planned: &[],
};

static RETRY: Table = Table {
    name: "retry",
    doc: "Retries. What is unsafe to send twice is never sent twice, whatever is written here.",
    keys: &[
        key("attempts", Kind::Integer { min: 0, max: 10 }, "Attempts beside the first.").default("1").example("2"),
        key(
            "on",
            Kind::Some(&Kind::Either(&[Kind::Word(&["connect", "reset", "refused"]), Kind::Integer { min: 400, max: 599 }])),
            "The connection could not be made, a reused one was closed before any answer, the stream was refused, or a status.",
        )
        .default("[connect, reset, refused]")
        .example("[connect, 503]"),
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
    keys: &[key(
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
    .example("100MiB")],
    includes: &[],
    planned: &[("maxBody", "the key is `body`")],
};
