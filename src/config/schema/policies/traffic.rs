//! Canaries and sessions.

use super::super::super::scalar::{BACKEND, HEADER_NAME, REGEX, TEXT, TOKEN, URL_PATH};
use super::super::upstream::BACKEND_OBJECT;
use super::super::{DAY, Kind, SECOND, Table, key};

/// Which backend gets a request.
pub(in super::super) static TRAFFIC: Table = Table {
    name: "traffic policies",
    doc: "Which backend gets a request, beside weights, balancing and health.",
    keys: &[
        key(
            "canary",
            Kind::Table(&CANARY),
            "Sends a part of the requests to other backends. Decided by session, header, cookie, \
            weight, in this order.",
        )
        .default("none")
        .example("{backends: [\"http://10.0.0.9:8000\"], header: x-canary, weight: 10}"),
        key(
            "sticky",
            Kind::Either(&[Kind::Scalar(&TOKEN), Kind::Table(&STICKY)]),
            "Keeps a session at one backend by a cookie; a text alone means `cookie`.",
        )
        .default("none")
        .example("{cookie: session, mode: persistent, maxAge: 48h}"),
    ],
    includes: &[],
    planned: &[("affinity", "the key is `sticky`")],
};

/// Where requests go: `backends` of a policy.
pub(super) const BACKENDS: Kind = Kind::Some(&Kind::Either(&[
    Kind::Scalar(&BACKEND),
    Kind::Table(&BACKEND_OBJECT),
]));

static CANARY: Table = Table {
    name: "canary",
    doc: "A second set of backends. Everything else, from TLS to retries, is as for the route. \
            While none of them is known to work, every request stays on the main side.",
    keys: &[
        key("backends", BACKENDS, "The other backends.")
            .required()
            .example("[\"http://10.0.0.9:8000\"]"),
        key(
            "header",
            Kind::Either(&[Kind::Scalar(&HEADER_NAME), Kind::Table(&CANARY_HEADER)]),
            "A field that decides: `always` for the canary, `never` against it; or with a `value` or \
            `regex` of its own.",
        )
        .default("none")
        .example("x-canary"),
        key(
            "cookie",
            Kind::Scalar(&TOKEN),
            "A cookie that decides: `always` or `never`.",
        )
        .default("none")
        .example("canary"),
        key(
            "weight",
            Kind::Integer {
                min: 0,
                max: 1_000_000,
            },
            "Share of the requests that nothing else decides, of `total`.",
        )
        .default("0")
        .example("10"),
        key(
            "total",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "What `weight` is a share of.",
        )
        .default("100")
        .example("1000"),
        key(
            "sticky",
            Kind::Bool,
            "Whether a session of `sticky` keeps its side whatever the weight; otherwise the canary \
            has no sessions.",
        )
        .default("true")
        .example("false"),
    ],
    includes: &[],
    planned: &[("percent", "the key is `weight`, of `total` (100)")],
};

static CANARY_HEADER: Table = Table {
    name: "canary header",
    doc: "A field that decides for the canary by its value. Any other value leaves it open.",
    keys: &[
        key("name", Kind::Scalar(&HEADER_NAME), "Name of the field.")
            .required()
            .example("x-region"),
        key(
            "value",
            Kind::Scalar(&TEXT),
            "The whole value, letter by letter.",
        )
        .default("see `regex`")
        .example("europe"),
        key(
            "regex",
            Kind::Scalar(&REGEX),
            "An expression that finds something in the value.",
        )
        .default("see `value`")
        .example("\"^eu-\""),
    ],
    includes: &[],
    planned: &[],
};

static STICKY: Table = Table {
    name: "sticky",
    doc: "A cookie that keeps a session at one backend. It is written when a session begins and \
            never refreshed. Cookies of ingress-nginx go on working if the route is named as it \
            named the upstream (`NAMESPACE-SERVICE-PORT`) and the addresses are the same.",
    keys: &[
        key("cookie", Kind::Scalar(&TOKEN), "Name of the cookie.")
            .default("INGRESSCOOKIE")
            .example("session"),
        key(
            "mode",
            Kind::Word(&["balanced", "persistent"]),
            "How the backend is found again: by a consistent hash, so that new backends take over a \
            part of the sessions; or by itself, until it goes.",
        )
        .default("balanced")
        .example("persistent"),
        key(
            "path",
            Kind::Scalar(&URL_PATH),
            "`Path` of the cookie.",
        )
        .default("the path of the route; `/` for an expression")
        .example("/app"),
        key("domain", Kind::Scalar(&TOKEN), "`Domain` of the cookie.")
            .default("none")
            .example("example.com"),
        key(
            "maxAge",
            Kind::Duration {
                min: SECOND,
                max: 3650 * DAY,
            },
            "`Max-Age` of the cookie.",
        )
        .default("none: until the browser ends")
        .example("48h"),
        key(
            "expires",
            Kind::Duration {
                min: SECOND,
                max: 3650 * DAY,
            },
            "`Expires` of the cookie, from when it is written.",
        )
        .default("none")
        .example("48h"),
        key(
            "sameSite",
            Kind::Word(&["strict", "lax", "none"]),
            "`SameSite` of the cookie.",
        )
        .default("not written")
        .example("lax"),
        key(
            "conditionalSameSite",
            Kind::Bool,
            "Spares browsers that misread it `SameSite=None`.",
        )
        .default("false")
        .example("true"),
        key(
            "secure",
            Kind::Bool,
            "`Secure` over plain HTTP too; over HTTPS it is always written.",
        )
        .default("false")
        .example("true"),
        key(
            "httpOnly",
            Kind::Bool,
            "Hides the cookie from scripts.",
        )
        .default("true")
        .example("false"),
        key(
            "changeOnFailure",
            Kind::Bool,
            "Whether a session moves when its backend fails; otherwise it returns once the backend \
            works again.",
        )
        .default("false")
        .example("true"),
    ],
    includes: &[],
    planned: &[],
};
