//! Header fields: edits in both directions, HSTS, cookies and places that backends name.

use super::super::super::scalar::{COOKIE_DOMAIN, HEADER_NAME, REGEX, TARGET, TEMPLATE, TEXT};
use super::super::{HOUR, Kind, Table, key};

/// What changes the fields of requests and responses.
pub(in super::super) static FIELDS: Table = Table {
    name: "field policies",
    doc: "Header fields of requests and responses.",
    keys: &[
        key(
            "requestHeaders",
            Kind::Table(&FIELD_EDITS),
            "Header fields towards the backend.",
        )
        .default("unchanged")
        .example("{set: {x-tenant: blue}, remove: [x-debug]}"),
        key(
            "responseHeaders",
            Kind::Table(&FIELD_EDITS),
            "Header fields towards the client, on every response of the route.",
        )
        .default("unchanged")
        .example("{set: {x-frame-options: DENY}, remove: [x-powered-by]}"),
        key(
            "hsts",
            Kind::Either(&[Kind::Bool, Kind::Table(&HSTS)]),
            "`Strict-Transport-Security` on every response over TLS, in place of the backend's \
            (RFC 6797). Browsers then refuse plain HTTP, and certificates that they do not trust.",
        )
        .default("false")
        .example("{maxAge: 8760h, includeSubdomains: true}"),
        key(
            "cookies",
            Kind::Table(&COOKIES),
            "Attributes of the cookies that backends set.",
        )
        .default("unchanged")
        .example("{secure: true, sameSite: lax}"),
        key(
            "locations",
            Kind::Some(&Kind::Table(&LOCATION)),
            "Beginnings of `Location` and `Refresh` that backends send; the first that fits is \
            replaced.",
        )
        .default("unchanged")
        .example("[{from: \"http://backend:8080/\", to: \"$scheme://$http_host/app/\"}]"),
    ],
    includes: &[],
    planned: &[],
};

static FIELD_EDITS: Table = Table {
    name: "header edits",
    doc: "Edits of header fields, in the order `remove`, `set`, `add`. Values may hold variables, \
            such as `$remote_addr`; an empty value writes no field. What frames a message and what \
            tells of the client is adit's own.",
    keys: &[
        key(
            "set",
            Kind::Named(&HEADER_NAME, &Kind::Scalar(&TEMPLATE)),
            "Fields that have exactly this value.",
        )
        .default("none")
        .example("{x-tenant: blue}"),
        key(
            "add",
            Kind::Named(&HEADER_NAME, &Kind::Scalar(&TEMPLATE)),
            "Fields beside those that are there.",
        )
        .default("none")
        .example("{x-seen-by: \"$host\"}"),
        key(
            "remove",
            Kind::OneOrMore(&Kind::Scalar(&HEADER_NAME)),
            "Fields that go.",
        )
        .default("none")
        .example("[x-powered-by]"),
    ],
    includes: &[],
    planned: &[],
};

static HSTS: Table = Table {
    name: "hsts",
    doc: "What browsers remember of the host (RFC 6797); `true` alone means the defaults.",
    keys: &[
        key(
            "maxAge",
            Kind::Duration {
                min: 0,
                max: 100 * 8760 * HOUR,
            },
            "How long they remember it; `0s` makes them forget.",
        )
        .default("8760h")
        .example("17520h"),
        key(
            "includeSubdomains",
            Kind::Bool,
            "Whether every subdomain is meant too.",
        )
        .default("false")
        .example("true"),
        key(
            "preload",
            Kind::Bool,
            "Whether browsers may ship the host in their lists. That is hard to take back.",
        )
        .default("false")
        .example("true"),
    ],
    includes: &[],
    planned: &[],
};

static COOKIES: Table = Table {
    name: "cookies",
    doc: "Edits of `Set-Cookie`.",
    keys: &[
        key(
            "domain",
            Kind::Some(&Kind::Table(&COOKIE_DOMAIN_REWRITE)),
            "Rewrites of `Domain`; the first that fits is applied.",
        )
        .default("unchanged")
        .example("[{from: internal.lan, to: www.example.com}]"),
        key(
            "path",
            Kind::Some(&Kind::Table(&COOKIE_PATH_REWRITE)),
            "Rewrites of `Path`; the first that fits is applied.",
        )
        .default("unchanged")
        .example("[{from: /, to: /app/}]"),
        key("secure", Kind::Bool, "Adds `Secure`.")
            .default("false")
            .example("true"),
        key("httpOnly", Kind::Bool, "Adds `HttpOnly`.")
            .default("false")
            .example("true"),
        key(
            "sameSite",
            Kind::Word(&["strict", "lax", "none"]),
            "Sets `SameSite`; browsers demand `Secure` with `none`.",
        )
        .default("unchanged")
        .example("lax"),
    ],
    includes: &[],
    planned: &[],
};

static COOKIE_DOMAIN_REWRITE: Table = Table {
    name: "cookie domain",
    doc: "A rewrite of the domain of cookies. Either `from` or `regex` is written.",
    keys: &[
        key(
            "from",
            Kind::Scalar(&COOKIE_DOMAIN),
            "The domain as a whole; case and a leading dot do not count.",
        )
        .default("see `regex`")
        .example("internal.lan"),
        key(
            "regex",
            Kind::Scalar(&REGEX),
            "An expression that finds something in the domain, whatever its case.",
        )
        .default("see `from`")
        .example("\"([a-z]+)[.]lan$\""),
        key(
            "to",
            Kind::Scalar(&TARGET),
            "What replaces it; `$1` to `$9` are the groups of `regex`.",
        )
        .required()
        .example("www.example.com"),
    ],
    includes: &[],
    planned: &[],
};

static COOKIE_PATH_REWRITE: Table = Table {
    name: "cookie path",
    doc: "A rewrite of the path of cookies. Either `from` or `regex` is written.",
    keys: &[
        key(
            "from",
            Kind::Scalar(&TEXT),
            "The beginning of the path, which is replaced.",
        )
        .default("see `regex`")
        .example("/"),
        key(
            "regex",
            Kind::Scalar(&REGEX),
            "An expression that finds something in the path, all of which is then replaced.",
        )
        .default("see `from`")
        .example("\"^/v[0-9]+(.*)\""),
        key(
            "to",
            Kind::Scalar(&TARGET),
            "What replaces it; `$1` to `$9` are the groups of `regex`.",
        )
        .required()
        .example("/app/"),
    ],
    includes: &[],
    planned: &[],
};

static LOCATION: Table = Table {
    name: "location",
    doc: "A beginning of `Location` that is replaced.",
    keys: &[
        key(
            "from",
            Kind::Scalar(&TEXT),
            "What the value begins with, byte for byte.",
        )
        .required()
        .example("http://backend:8080/"),
        key("to", Kind::Scalar(&TEMPLATE), "What that becomes.")
            .required()
            .example("/app/"),
    ],
    includes: &[],
    planned: &[],
};
