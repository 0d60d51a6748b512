//! Exposure: rules, the default and guards.

use super::super::scalar::{NAME, PEERS, RULE_HOST, URL_PATH};
use super::{Kind, Table, key};

const HOSTS: Kind = Kind::OneOrMore(&Kind::Scalar(&RULE_HOST));

pub(super) static RULE: Table = Table {
    name: "rule",
    doc: "Rules are read from top to bottom and the first that matches decides. \
            All selectors of a rule must match; a list matches if one of its entries \
            does.",
    keys: &[
        key(
            "name",
            Kind::Scalar(&NAME),
            "Unique name, shown by `explain` and in logs.",
        )
        .default("rule-N, by its place")
        .example("site"),
        key("hosts", HOSTS, "Hosts that it speaks of.")
            .required()
            .example("[www.example.com, \"*.apps.example.com\"]"),
        key(
            "paths",
            Kind::OneOrMore(&Kind::Scalar(&URL_PATH)),
            "Path prefixes, on element borders; only with exact hosts.",
        )
        .default("all")
        .example("[/api/webhook]"),
        key(
            "exposure",
            Kind::Word(&["off", "lan", "public", "both"]),
            "Nobody, LAN listeners only, or LAN and Internet; `both` differs from \
            `public` once DNS is managed. `public` and `both` need a listener of \
            role `internet`.",
        )
        .required()
        .example("public"),
        key(
            "from",
            Kind::Some(&Kind::Scalar(&PEERS)),
            "Networks or blocks that clients must come from.",
        )
        .default("everyone")
        .example("[lan]"),
        key(
            "tls",
            Kind::Word(&["passthrough"]),
            "Demands that the hosts are passed through; a terminated route is an error.",
        )
        .default("no demand")
        .example("passthrough"),
    ],
    includes: &[],
    planned: &[
        (
            "namespaces",
            "it comes with Kubernetes as a source of routes",
        ),
        (
            "ingressClasses",
            "it comes with Kubernetes as a source of routes",
        ),
        ("labels", "it comes with Kubernetes as a source of routes"),
        ("sources", "it comes with a second source of routes"),
        ("targets", "it comes with the management of DNS records"),
        (
            "publishHosts",
            "it comes with the management of DNS records",
        ),
        ("dns", "it comes with the management of DNS records"),
        ("access", "it comes with the tunnel client"),
        ("tunnelBackend", "it comes with the tunnel client"),
        ("host", "the key is `hosts`; it takes one host or a list"),
        ("path", "the key is `paths`"),
        (
            "backends",
            "backends are written in `routes`; a rule only says who may see a host",
        ),
    ],
};

pub(super) static DEFAULT: Table = Table {
    name: "default",
    doc: "For everything that no rule matches. It is never public.",
    keys: &[key(
        "exposure",
        Kind::Word(&["lan", "off"]),
        "LAN listeners only, or nobody.",
    )
    .required()
    .example("lan")],
    includes: &[],
    planned: &[],
};

pub(super) static GUARDS: Table = Table {
    name: "guards",
    doc: "A rule that breaks a guard is an error.",
    keys: &[key(
        "neverPublic",
        Kind::Table(&NEVER_PUBLIC),
        "What no rule may make public.",
    )
    .default("none")
    .example("{hosts: [\"**.int.example.com\"]}")],
    includes: &[],
    planned: &[],
};

static NEVER_PUBLIC: Table = Table {
    name: "neverPublic",
    doc: "What must stay private.",
    keys: &[key("hosts", HOSTS, "Hosts that no rule may make public.")
        .default("none")
        .example("[grafana.example.com]")],
    includes: &[],
    planned: &[(
        "namespaces",
        "it comes with Kubernetes as a source of routes",
    )],
};
