//! Names and passwords, servers that decide, client certificates.

use super::super::super::scalar::{
    CACHE_TIME, FILE, HEADER_NAME, METHOD, QUERY_NAME, REGEX, SERVER_URL, TEMPLATE, TEXT,
};
use super::super::upstream::BACKEND_TLS;
use super::super::{Kind, MILLISECOND, SECOND, Table, key};

/// Who must prove to be somebody.
pub(in super::super) static AUTH: Table = Table {
    name: "authentication policies",
    doc: "Who must prove to be somebody. `off` at a path lifts what its route demands.",
    keys: &[
        key(
            "auth",
            Kind::Either(&[Kind::Word(&["off"]), Kind::Table(&DEMANDS)]),
            "Demands on whoever asks.",
        )
        .default("none")
        .example("{basic: {file: users.htpasswd, realm: office}}"),
        key(
            "clientCertificate",
            Kind::Either(&[Kind::Word(&["off"]), Kind::Table(&CERTIFICATE)]),
            "What is done with the certificate that `clientAuth` of the host asks for. The backend \
            gets `ssl-client-verify`, `ssl-client-subject-dn` and `ssl-client-issuer-dn`.",
        )
        .default("backends are told nothing")
        .example("{pass: true, matchSubject: \"CN=anna,\"}"),
    ],
    includes: &[],
    planned: &[
        ("basicAuth", "write it as `auth: {basic: …}`"),
        ("authUrl", "write it as `auth: {external: {url: …}}`"),
    ],
};

static DEMANDS: Table = Table {
    name: "auth",
    doc: "Names and passwords, or a server that decides, or both.",
    keys: &[
        key("basic", Kind::Table(&BASIC), "Names and passwords (RFC 7617).")
            .default("none")
            .example("{file: users.htpasswd}"),
        key(
            "external",
            Kind::Table(&EXTERNAL),
            "A server that is asked about every request before it goes on.",
        )
        .default("none")
        .example("{url: \"http://127.0.0.1:4180/oauth2/auth\"}"),
        key(
            "satisfy",
            Kind::Word(&["all", "any"]),
            "Whether the lists of `access`, `basic` and `external` must all let a request in, or one \
            of them is enough.",
        )
        .default("all")
        .example("any"),
    ],
    includes: &[],
    planned: &[("digest", "it is not made: write `basic`, over TLS")],
};

static BASIC: Table = Table {
    name: "basic auth",
    doc: "Users with password hashes: bcrypt, `$apr1$`, `$1$`, `$5$`, `$6$`, `{SHA}`, `{SSHA}`, \
            `{PLAIN}`. Either `file` or `directory` is written. A change of the files holds at once; \
            a file that cannot be read keeps the users that were known. The backend does not get the \
            password.",
    keys: &[
        key(
            "file",
            Kind::Scalar(&FILE),
            "A file of `user:hash` lines, as htpasswd writes it.",
        )
        .default("see `directory`")
        .example("users.htpasswd"),
        key(
            "directory",
            Kind::Scalar(&FILE),
            "A directory with a file for each user, which holds the hash.",
        )
        .default("see `file`")
        .example("users"),
        key("realm", Kind::Scalar(&TEXT), "What browsers show.")
            .default("empty")
            .example("office"),
    ],
    includes: &[],
    planned: &[(
        "users",
        "hashes are kept in files: write `file` or `directory`",
    )],
};

static EXTERNAL: Table = Table {
    name: "external auth",
    doc: "The question has the request's fields and no body. 2xx lets the request in, 401 and 403 are \
            passed on; anything else, and no answer in time, is 500.",
    keys: &[
        key(
            "url",
            Kind::Scalar(&SERVER_URL),
            "Who is asked, and for what; path and query may hold variables.",
        )
        .required()
        .example("http://127.0.0.1:4180/oauth2/auth"),
        key("tls", Kind::Table(&BACKEND_TLS), "TLS towards an `https` server.")
            .default("the system's authorities, the server's own name")
            .example("{ca: tls/ca.pem}"),
        key(
            "method",
            Kind::Scalar(&METHOD),
            "Method of the question. If it is written, `X-Original-URI` and `X-Scheme` are sent too.",
        )
        .default("GET")
        .example("POST"),
        key(
            "timeout",
            Kind::Duration {
                min: MILLISECOND,
                max: 300 * SECOND,
            },
            "Longest wait for the answer, connecting included.",
        )
        .default("5s")
        .example("2s"),
        key(
            "signIn",
            Kind::Scalar(&TEMPLATE),
            "Where a 401 sends the client. The place to come back to is added as a parameter, unless \
            it is there.",
        )
        .default("401 is passed on")
        .example("\"https://auth.example.com/start\""),
        key(
            "returnParameter",
            Kind::Scalar(&QUERY_NAME),
            "Name of that parameter.",
        )
        .default("rd")
        .example("redirect"),
        key(
            "requestRedirect",
            Kind::Scalar(&TEMPLATE),
            "What the server learns in `X-Auth-Request-Redirect`.",
        )
        .default("$request_uri")
        .example("\"https://$host$request_uri\""),
        key(
            "setHeaders",
            Kind::Named(&HEADER_NAME, &Kind::Scalar(&TEMPLATE)),
            "Further fields of the question; an empty value takes one away.",
        )
        .default("none")
        .example("{x-tenant: blue}"),
        key(
            "responseHeaders",
            Kind::OneOrMore(&Kind::Scalar(&HEADER_NAME)),
            "Fields of the answer that the backend gets; what the answer lacks, and what the client \
            sends in their place, is taken away.",
        )
        .default("none")
        .example("[x-auth-request-user, x-auth-request-email]"),
        key(
            "alwaysSetCookie",
            Kind::Bool,
            "Whether cookies of the answer reach the client with every status, not only with \
            success and redirects.",
        )
        .default("false")
        .example("true"),
        key(
            "cache",
            Kind::Table(&CACHE),
            "Answers that are remembered.",
        )
        .default("none are")
        .example("{key: \"$cookie_session\"}"),
    ],
    includes: &[],
    planned: &[("body", "questions have no body")],
};

static CACHE: Table = Table {
    name: "external auth cache",
    doc: "Answers are remembered for the route, the host and the key, at most 8192 of them; never \
            those that set cookies or say `Cache-Control: private`, `no-cache` or `no-store`.",
    keys: &[
        key(
            "key",
            Kind::Scalar(&TEMPLATE),
            "What tells clients apart: whatever the server decides by must be in it.",
        )
        .required()
        .example("\"$cookie_session$http_authorization\""),
        key(
            "times",
            Kind::OneOrMore(&Kind::Scalar(&CACHE_TIME)),
            "How long, by status; other answers are not remembered.",
        )
        .default("200 202 401 5m")
        .example("[200 202 1m, 401 5s]"),
    ],
    includes: &[],
    planned: &[],
};

static CERTIFICATE: Table = Table {
    name: "client certificate",
    doc: "Fields of these names that a client sends itself never pass.",
    keys: &[
        key(
            "pass",
            Kind::Bool,
            "Whether the backend gets the certificate too: PEM, percent-encoded, in \
            `ssl-client-cert`.",
        )
        .default("false")
        .example("true"),
        key(
            "matchSubject",
            Kind::Scalar(&REGEX),
            "Must find something in the subject, written as in RFC 4514; 403 otherwise.",
        )
        .default("any subject")
        .example("\"CN=(anna|bert),\""),
        key(
            "errorPage",
            Kind::Scalar(&TEXT),
            "URL or path that clients without a good certificate are sent to.",
        )
        .default("400")
        .example("https://www.example.com/certificates"),
    ],
    includes: &[],
    planned: &[],
};
