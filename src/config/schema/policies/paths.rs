//! Redirects, rewrites and header fields.

use super::super::super::scalar::{HEADER_NAME, TEMPLATE};
use super::super::{Kind, Table, key};

/// What changes where a request goes and what it carries.
pub(in super::super) static PATHS: Table = Table {
    name: "path policies",
    doc: "Redirects, rewrites and header fields.",
    keys: &[
        key(
            "redirect",
            Kind::Either(&[Kind::Scalar(&TEMPLATE), Kind::Table(&REDIRECT)]),
            "Answers every request with a `Location`; a text alone means `to`.",
        )
        .default("none")
        .example("{to: \"https://new.example.com$request_uri\", status: 301}"),
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
    ],
    includes: &[],
    planned: &[],
};

static REDIRECT: Table = Table {
    name: "redirect of a route",
    doc: "Where requests are sent instead of a backend.",
    keys: &[
        key(
            "to",
            Kind::Scalar(&TEMPLATE),
            "The location, as it stands: neither path nor query are added, `$request_uri` stands for \
            both. One that begins with `/` is completed with the request's scheme and host.",
        )
        .required()
        .example("https://new.example.com$request_uri"),
        key(
            "status",
            Kind::Integer { min: 300, max: 308 },
            "Status of the answer.",
        )
        .default("301")
        .example("308"),
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
