//! Backends, and how they are reached, balanced, checked and retried.

use super::super::scalar::{BACKEND, DNS_NAME, FILE, HASH_KEY, SCHEMES, STATUS_RANGE, URL_PATH};
use super::{DAY, HOUR, Key, Kind, MILLISECOND, SECOND, Table, key};

pub(super) const PROXY_PROTOCOL_OUT: Key = key(
    "proxyProtocol",
    Kind::Word(&["v1", "v2"]),
    "Sends a PROXY header first on each connection; such connections are not \
            shared by clients.",
)
.default("none is sent")
.example("v2");

const BALANCE_KIND: Kind = Kind::Either(&[
    Kind::Word(&["roundRobin", "p2c", "ewma"]),
    Kind::Table(&HASH),
]);

pub(super) const BALANCE: Key = key(
    "balance",
    BALANCE_KIND,
    "How an endpoint is chosen: in turn, the less loaded of two at random, \
            the faster of two at random, or by a hash.",
)
.default("roundRobin")
.example("{hash: clientIp}");

static HASH: Table = Table {
    name: "hash",
    doc: "Consistent hash of a value of the request: equal values reach the same \
            endpoint while it is healthy.",
    keys: &[key(
        "hash",
        Kind::Scalar(&HASH_KEY),
        "What is hashed: one value, or a text with variables such as \
            `$http_x_tenant$arg_shard`; requests without it go round robin. TCP and passthrough \
            know `clientIp` only.",
    )
    .required()
    .example("header:x-tenant")],
    includes: &[],
    planned: &[],
};

pub(super) static BACKEND_OBJECT: Table = Table {
    name: "backend",
    doc: "A backend in its long form: either `url`, or `dns` with its settings. A \
            DNS answer may be private; loopback, link-local, multicast and metadata \
            addresses and adit's own listeners are refused.",
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

pub(super) static BACKEND_TLS: Table = Table {
    name: "backendTls",
    doc: "TLS towards backends. Certificates are always verified unless `insecure` \
            says otherwise.",
    keys: &[
        key(
            "ca",
            Kind::Scalar(&FILE),
            "PEM file with the authorities that are accepted.",
        )
        .default("those of the system")
        .example("tls/ca.pem"),
        key(
            "serverName",
            Kind::Scalar(&DNS_NAME),
            "Name that is sent as SNI and verified.",
        )
        .default("the name of the backend")
        .example("internal.example.com"),
        key(
            "cert",
            Kind::Scalar(&FILE),
            "PEM file with our own certificate; needs `key`.",
        )
        .default("none")
        .example("tls/client.pem"),
        key(
            "key",
            Kind::Scalar(&FILE),
            "PEM file with its private key; it must not be readable by everybody.",
        )
        .default("none")
        .example("tls/client.key"),
        key(
            "insecure",
            Kind::Bool,
            "Accepts any certificate: whoever can answer at the address can read and \
            change everything.",
        )
        .default("false")
        .example("true"),
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
    doc: "An active check. An endpoint is taken out after `fall` failures in a row \
            and comes back after `rise` successes.",
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

pub(super) static OUTLIER: Table = Table {
    name: "outlier",
    doc: "Passive ejection: an endpoint that fails real requests is left out for a \
            while.",
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

pub(super) static RETRY: Table = Table {
    name: "retry",
    doc: "Retries, at most a fifth of all requests. A request is sent again if nothing of it was \
            sent, or if it is idempotent and its body, if it has one, was gathered first \
            (`buffering`).",
    keys: &[
        key(
            "attempts",
            Kind::Integer { min: 0, max: 10 },
            "Attempts beside the first.",
        )
        .default("1")
        .example("2"),
        key(
            "on",
            Kind::Some(&Kind::Either(&[
                Kind::Word(&[
                    "connect", "reset", "refused", "closed", "timeout", "invalid",
                ]),
                Kind::Integer { min: 400, max: 599 },
            ])),
            "The connection could not be made, a reused one was closed before any \
            answer, the stream was refused; any connection was closed before an answer, \
            the answer did not come in time, it was malformed; or a status.",
        )
        .default("[connect, reset, refused]")
        .example("[connect, 503]"),
        key(
            "timeout",
            Kind::Duration {
                min: MILLISECOND,
                max: HOUR,
            },
            "Time for all attempts together; none begins after it.",
        )
        .default("none")
        .example("10s"),
        key(
            "nonIdempotent",
            Kind::Bool,
            "Whether requests such as POST are sent again too, though backends may then do \
            something twice.",
        )
        .default("false")
        .example("true"),
    ],
    includes: &[],
    planned: &[(
        "true",
        "a YAML 1.1 tool has rewritten the key `on`: put it into quotes for that tool",
    )],
};
