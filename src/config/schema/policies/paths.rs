//! Redirects and rewrites: where a request goes.

use super::super::super::scalar::{PATH_REGEX, TARGET, TEMPLATE, UPSTREAM_HOST, URL_PATH};
use super::super::{Kind, Table, key};

/// What changes where a request goes.
pub(in super::super) static PATHS: Table = Table {
    name: "path policies",
    doc: "Redirects and rewrites.",
    keys: &[
        key(
            "redirect",
            Kind::Either(&[Kind::Scalar(&TEMPLATE), Kind::Table(&REDIRECT)]),
            "Answers every request with a `Location`; a text alone means `to`.",
        )
        .default("none")
        .example("{to: \"https://new.example.com$request_uri\", status: 301}"),
        key(
            "httpsRedirect",
            Kind::Either(&[
                Kind::Word(&["certificate", "always", "off"]),
                Kind::Table(&HTTPS_REDIRECT),
            ]),
            "Sends plain HTTP to HTTPS; a word alone means `when`. Behind an HTTP proxy in \
            `trustForwarded` its `X-Forwarded-Proto` counts.",
        )
        .default("off")
        .example("certificate"),
        key(
            "rewrite",
            Kind::Either(&[
                Kind::Word(&["off"]),
                Kind::Scalar(&TARGET),
                Kind::Table(&REWRITE),
            ]),
            "Changes the path that the backend sees; a text alone means `to`. It works on the \
            canonical form of the path and never makes one that can be read in two ways.",
        )
        .default("off")
        .example("{stripPrefix: /api}"),
        key(
            "upstreamHost",
            Kind::Scalar(&UPSTREAM_HOST),
            "The `Host` that the backend sees. `X-Forwarded-Host` keeps that of the client.",
        )
        .default("that of the client")
        .example("internal.example.com"),
    ],
    includes: &[],
    planned: &[
        ("sslRedirect", "the key is `httpsRedirect`"),
        ("forceSslRedirect", "write `httpsRedirect: always`"),
        ("stripPrefix", "write `rewrite: {stripPrefix: …}`"),
        ("addPrefix", "write `rewrite: {addPrefix: …}`"),
        ("rewriteTarget", "write `rewrite: …`"),
    ],
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
        key(
            "relative",
            Kind::Bool,
            "Whether a location that begins with `/` is sent as it is.",
        )
        .default("false")
        .example("true"),
    ],
    includes: &[],
    planned: &[],
};

static HTTPS_REDIRECT: Table = Table {
    name: "redirect to HTTPS",
    doc: "When and how plain HTTP is sent to HTTPS.",
    keys: &[
        key(
            "when",
            Kind::Word(&["certificate", "always"]),
            "Where a certificate of the file names the host, or always.",
        )
        .default("certificate")
        .example("always"),
        key(
            "status",
            Kind::Word(&["301", "302", "307", "308"]),
            "Status of the answer.",
        )
        .default("308")
        .example("301"),
        key(
            "port",
            Kind::Integer { min: 1, max: 65535 },
            "Port in the location.",
        )
        .default("none")
        .example("8443"),
        key(
            "keepSlash",
            Kind::Bool,
            "Whether a `/` at the end of path and query stays; ingress-nginx removes it, unless a \
            port is written.",
        )
        .default("true, in the profile nginx false")
        .example("true"),
    ],
    includes: &[],
    planned: &[],
};

static REWRITE: Table = Table {
    name: "rewrite",
    doc: "How the path changes. Exactly one of `to`, `stripPrefix`, `addPrefix` and \
            `replacePrefix` is written. The query stays.",
    keys: &[
        key(
            "to",
            Kind::Scalar(&TARGET),
            "The whole new path; `$1` to `$9` are the groups of the expression. If it holds a \
            query, that of the request follows, unless it ends in `?`.",
        )
        .default("one of the four")
        .example("/$2"),
        key(
            "regex",
            Kind::Scalar(&PATH_REGEX),
            "The expression that `to` belongs to, searched anywhere in the path; a path in which \
            it finds nothing stays. In the profile nginx it ignores case.",
        )
        .default("the path of the rule")
        .example("\"/something(/|$)(.*)\""),
        key(
            "stripPrefix",
            Kind::OneOrMore(&Kind::Scalar(&URL_PATH)),
            "The first of these prefixes that covers the path is taken off, and sent as \
            `X-Forwarded-Prefix`.",
        )
        .default("one of the four")
        .example("/api"),
        key(
            "addPrefix",
            Kind::Scalar(&URL_PATH),
            "This comes before the path.",
        )
        .default("one of the four")
        .example("/v1"),
        key(
            "replacePrefix",
            Kind::Table(&REPLACE_PREFIX),
            "One prefix takes the place of another, by whole path elements.",
        )
        .default("one of the four")
        .example("{from: /api, to: /v1}"),
        key(
            "forwardedPrefix",
            Kind::Scalar(&URL_PATH),
            "`X-Forwarded-Prefix` for the backend.",
        )
        .default("what `stripPrefix` takes off, else none")
        .example("/api"),
    ],
    includes: &[],
    planned: &[],
};

static REPLACE_PREFIX: Table = Table {
    name: "replaced prefix",
    doc: "A prefix and what takes its place.",
    keys: &[
        key("from", Kind::Scalar(&URL_PATH), "The prefix that goes.")
            .required()
            .example("/api"),
        key("to", Kind::Scalar(&URL_PATH), "The prefix that comes.")
            .required()
            .example("/v1"),
    ],
    includes: &[],
    planned: &[],
};
