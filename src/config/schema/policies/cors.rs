//! Cross-origin requests.

use super::super::super::scalar::{HEADER_NAME, METHOD, ORIGIN};
use super::super::{HOUR, Kind, Table, key};

/// Who may read the answers from scripts of another origin.
pub(in super::super) static CORS: Table = Table {
    name: "cors policies",
    doc: "Cross-origin requests.",
    keys: &[key(
        "cors",
        Kind::Either(&[Kind::Bool, Kind::Table(&CORS_FIELDS)]),
        "Which origins may read the answers from scripts. Preflights are answered by adit, before \
            anybody is asked for credentials; every other answer, also an error, carries the fields.",
    )
    .default("false")
    .example("{origins: [\"https://app.example.com\"], credentials: true}")],
    includes: &[],
    planned: &[],
};

static CORS_FIELDS: Table = Table {
    name: "cors",
    doc: "The fields of CORS; `true` alone means the defaults.",
    keys: &[
        key(
            "origins",
            Kind::OneOrMore(&Kind::Scalar(&ORIGIN)),
            "Origins that are let in; the one that asks is echoed. `*` lets everyone in.",
        )
        .default("\"*\"")
        .example("[\"https://app.example.com\", \"https://*.example.com\"]"),
        key(
            "methods",
            Kind::OneOrMore(&Kind::Scalar(&METHOD)),
            "`Access-Control-Allow-Methods`.",
        )
        .default("[GET, PUT, POST, DELETE, PATCH, OPTIONS]")
        .example("[GET, POST]"),
        key(
            "headers",
            Kind::OneOrMore(&Kind::Scalar(&HEADER_NAME)),
            "`Access-Control-Allow-Headers`.",
        )
        .default(
            "[DNT, Keep-Alive, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, \
            Content-Type, Range, Authorization]",
        )
        .example("[Content-Type, Authorization]"),
        key(
            "expose",
            Kind::OneOrMore(&Kind::Scalar(&HEADER_NAME)),
            "`Access-Control-Expose-Headers`.",
        )
        .default("none")
        .example("[X-Total-Count]"),
        key(
            "credentials",
            Kind::Bool,
            "Whether cookies and credentials may be sent.",
        )
        .default("false, in the profile nginx true")
        .example("true"),
        key(
            "maxAge",
            Kind::Duration {
                min: 0,
                max: 8760 * HOUR,
            },
            "How long browsers remember the answer to a preflight.",
        )
        .default("480h")
        .example("1h"),
    ],
    includes: &[],
    planned: &[],
};
