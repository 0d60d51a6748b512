//! Listeners: where clients connect, and who may.

use super::super::scalar::{BACKEND, BIND, CIDR, INTERFACE, NAME, PEERS};
use super::upstream::{BACKEND_OBJECT, BALANCE, HEALTH, PROXY_PROTOCOL_OUT};
use super::{DAY, Kind, MILLISECOND, Table, key};

const PEER_LIST: Kind = Kind::Some(&Kind::Scalar(&PEERS));
const CIDR_LIST: Kind = Kind::Some(&Kind::Scalar(&CIDR));

pub(super) static LISTENER: Table = Table {
    name: "listener",
    doc: "Sockets with one role and one protocol. Without `tls`, `tcp` and \
            `protocol` a listener speaks HTTP/1 in clear text.",
    keys: &[
        key(
            "name",
            Kind::Scalar(&NAME),
            "Unique name; `lan`, `internet`, `admin` and `tunnel` are reserved.",
        )
        .required()
        .example("webs"),
        key(
            "role",
            Kind::Word(&["lan", "internet", "admin"]),
            "What kind of clients come in here: `internet` listeners serve public \
            hosts only, `admin` ones health, metrics and status only.",
        )
        .required()
        .example("lan"),
        key(
            "bind",
            Kind::OneOrMore(&Kind::Scalar(&BIND)),
            "Addresses with ports; `[::]` takes IPv4 too, port 0 lets the system choose.",
        )
        .required()
        .example("\"[::]:443\""),
        key(
            "interface",
            Kind::Scalar(&INTERFACE),
            "Network interface that the sockets are bound to.",
        )
        .default("any")
        .example("eth0"),
        key("tls", Kind::Bool, "Whether clients speak TLS here.")
            .default("false")
            .example("true"),
        key(
            "protocol",
            Kind::Word(&["http", "h2c"]),
            "What is spoken in clear text: HTTP/1, or HTTP/2 with prior knowledge. \
            Only one of them: it is never guessed.",
        )
        .default("http")
        .example("h2c"),
        key(
            "tcp",
            Kind::Table(&TCP),
            "Relays bytes to backends instead of speaking HTTP; with `tls: true` TLS \
            ends here.",
        )
        .default("HTTP is spoken")
        .example("{backends: [\"127.0.0.1:636\"]}"),
        key(
            "redirect",
            Kind::Either(&[Kind::Word(&["https"]), Kind::Table(&REDIRECT)]),
            "Sends clients of hosts in reach to HTTPS instead of serving them.",
        )
        .default("none")
        .example("https"),
        key("allow", PEER_LIST, "Networks or blocks that may connect.")
            .default("everyone")
            .example("[lan]"),
        key(
            "deny",
            PEER_LIST,
            "Networks or blocks that may not; wins over `allow`.",
        )
        .default("nobody")
        .example("[pods]"),
        key(
            "proxyProtocol",
            Kind::Word(&["required"]),
            "Every connection must begin with a PROXY header; needs `trustProxy`.",
        )
        .default("no header is read")
        .example("required"),
        key(
            "trustProxy",
            CIDR_LIST,
            "Blocks from which the PROXY header is accepted; other peers are closed.",
        )
        .default("nobody")
        .example("[10.0.0.5/32]"),
        key(
            "trustForwarded",
            CIDR_LIST,
            "Blocks of HTTP proxies whose forwarding fields are believed; says \
            nothing about the PROXY header.",
        )
        .default("nobody")
        .example("[10.0.0.5/32]"),
        key(
            "foreignTunnel",
            Kind::Word(&["as-tunnel", "deny"]),
            "What happens on a `lan` listener to requests that bear the marks of a \
            tunnel that is not ours: they count as coming from the Internet, or are \
            refused.",
        )
        .default("as-tunnel")
        .example("deny"),
        key(
            "refusal",
            REFUSAL,
            "Status for clients outside of the `from` of a rule.",
        )
        .default("403; 404 on `internet` listeners")
        .example("404"),
        key(
            "limits",
            Kind::Table(&LISTENER_LIMITS),
            "Which limits hold for the clients of this listener.",
        )
        .default("see there")
        .example("{perSource: true}"),
    ],
    includes: &[],
    planned: &[
        ("proxy", "the key is `proxyProtocol`, with `trustProxy`"),
        ("hosts", "hosts are written in `routes`"),
        (
            "certificate",
            "certificates are chosen by SNI from the top-level `certificates`",
        ),
    ],
};

const REFUSAL: Kind = Kind::Word(&["403", "404"]);

static LISTENER_LIMITS: Table = Table {
    name: "listener limits",
    doc: "Which limits hold for the clients of a listener. Their numbers are the same for all \
            listeners and stand under the top-level `limits`.",
    keys: &[key(
        "perSource",
        Kind::Bool,
        "Whether connections are counted by source (L-81): an IPv4 address, or an IPv6 /64. With \
        `proxyProtocol` the source is the client that the header names.",
    )
    .default("true on `internet` listeners and with `proxyProtocol`, else false")
    .example("true")],
    includes: &[],
    planned: &[
        (
            "sourceConnections",
            "the numbers stand under the top-level `limits`",
        ),
        (
            "sourceRate",
            "the numbers stand under the top-level `limits`",
        ),
        (
            "sourceHandshakes",
            "the numbers stand under the top-level `limits`",
        ),
    ],
};

static REDIRECT: Table = Table {
    name: "redirect",
    doc: "A redirect to HTTPS.",
    keys: &[
        key(
            "scheme",
            Kind::Word(&["https"]),
            "Scheme of the new location.",
        )
        .default("https")
        .example("https"),
        key(
            "port",
            Kind::Integer { min: 1, max: 65535 },
            "Port of the new location.",
        )
        .default("that of the only TLS listener of the same role, else 443")
        .example("8443"),
        key(
            "status",
            Kind::Word(&["301", "302", "307", "308"]),
            "Status of the answer.",
        )
        .default("308")
        .example("301"),
    ],
    includes: &[],
    planned: &[],
};

static TCP: Table = Table {
    name: "tcp",
    doc: "A relay of bytes.",
    keys: &[
        key(
            "backends",
            Kind::Some(&Kind::Either(&[
                Kind::Scalar(&BACKEND),
                Kind::Table(&BACKEND_OBJECT),
            ])),
            "Where the bytes go.",
        )
        .required()
        .example("[\"127.0.0.1:636\"]"),
        BALANCE,
        HEALTH,
        key(
            "timeouts",
            Kind::Table(&RELAY_TIMEOUTS),
            "Time limits of the relay.",
        )
        .default("those of `limits`")
        .example("{connect: 2s}"),
        PROXY_PROTOCOL_OUT,
    ],
    includes: &[],
    planned: &[],
};

static RELAY_TIMEOUTS: Table = Table {
    name: "relay timeouts",
    doc: "Time limits of a TCP relay.",
    keys: &[
        key(
            "connect",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "Connecting to the backend.",
        )
        .default("limits.connectTimeout")
        .example("2s"),
        key(
            "idle",
            Kind::Duration {
                min: MILLISECOND,
                max: 7 * DAY,
            },
            "No byte in either direction.",
        )
        .default("limits.tunnelIdleTimeout")
        .example("10m"),
    ],
    includes: &[],
    planned: &[],
};
