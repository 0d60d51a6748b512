//! Who may ask, and how often.

use super::super::super::scalar::{PEERS, RATE};
use super::super::{KIB, Kind, Table, key};

/// What guards a route.
pub(in super::super) static ACCESS: Table = Table {
    name: "access policies",
    doc: "Who may ask, and how often. `off` at a path lifts what its route demands.",
    keys: &[
        key(
            "access",
            Kind::Either(&[Kind::Word(&["off"]), Kind::Table(&LISTS)]),
            "Lists of client addresses; who is kept out gets 403.",
        )
        .default("everybody whom listener and rules let in")
        .example("{allow: [10.0.0.0/8], deny: [10.6.6.0/24]}"),
        key(
            "rateLimit",
            Kind::Either(&[Kind::Word(&["off"]), Kind::Table(&RATE_LIMIT)]),
            "Limits per client address. All paths of the route share the counters, unless they \
            have a `rateLimit` of their own. A reload keeps the counters.",
        )
        .default("none")
        .example("{requests: 10/s, connections: 20}"),
    ],
    includes: &[],
    planned: &[
        ("allow", "write it under `access`"),
        ("deny", "write it under `access`"),
        ("rateLimits", "the key is `rateLimit`"),
    ],
};

static LISTS: Table = Table {
    name: "access lists",
    doc: "Judged is the client: the peer, what a trusted PROXY header says, or what the HTTP proxies \
            in `trustForwarded` say. `deny` is read first.",
    keys: &[
        key(
            "allow",
            Kind::Some(&Kind::Scalar(&PEERS)),
            "The only networks that are let in.",
        )
        .default("everybody")
        .example("[10.0.0.0/8, \"2001:db8::/32\"]"),
        key(
            "deny",
            Kind::Some(&Kind::Scalar(&PEERS)),
            "Networks that are kept out, also if `allow` names them.",
        )
        .default("nobody")
        .example("[10.6.6.0/24]"),
    ],
    includes: &[],
    planned: &[],
};

static RATE_LIMIT: Table = Table {
    name: "rate limit",
    doc: "What one client address may have. Requests beyond it are refused at once, never delayed, \
            and are not counted. 65536 addresses are remembered; the one that was silent longest \
            is forgotten first.",
    keys: &[
        key(
            "requests",
            Kind::OneOrMore(&Kind::Scalar(&RATE)),
            "Requests in a time; of several rates each must let a request pass.",
        )
        .default("unlimited")
        .example("[10/s, 300/m]"),
        key(
            "burstMultiplier",
            Kind::Integer { min: 0, max: 1000 },
            "A client that was silent may send this many times its rate, and one request more, at once.",
        )
        .default("5")
        .example("2"),
        key(
            "connections",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "Requests in progress at once; each stream of an HTTP/2 connection counts.",
        )
        .default("unlimited")
        .example("20"),
        key(
            "status",
            Kind::Integer { min: 400, max: 599 },
            "Status of a refusal. It says in `Retry-After` when to come back.",
        )
        .default("429")
        .example("503"),
        key(
            "exempt",
            Kind::Some(&Kind::Scalar(&PEERS)),
            "Networks that are not counted.",
        )
        .default("nobody")
        .example("[10.0.0.0/8]"),
        key(
            "bandwidth",
            Kind::Size {
                min: KIB,
                max: 1 << 50,
            },
            "Bytes of one response in a second.",
        )
        .default("unlimited")
        .example("1MiB"),
        key(
            "bandwidthAfter",
            Kind::Size {
                min: 0,
                max: 1 << 50,
            },
            "Bytes of a response that leave before `bandwidth` holds.",
        )
        .default("0")
        .example("10MiB"),
    ],
    includes: &[],
    planned: &[
        ("rps", "write `requests: 10/s`"),
        ("rpm", "write `requests: 600/m`"),
        ("burst", "the key is `burstMultiplier`: how many times the rate"),
    ],
};
