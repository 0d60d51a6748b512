//! End-to-end tests: the real executable between real clients and real servers.
//!
//! | module | what belongs there |
//! |---|---|
//! | `http1`, `http2` | requests, bodies, trailers and ends of connections, by version |
//! | `headers` | what a backend is told about the client, and what never reaches it |
//! | `tls` | certificates, names, versions, client certificates, backends over TLS |
//! | `names` | names in TLS and in requests, and paths that have several readings |
//! | `passthrough` | TLS and raw TCP that is relayed and not read |
//! | `proxy_protocol` | both versions, in both directions, with nginx and HAProxy |
//! | `websocket`, `grpc` | upgrades and streams, through termination and passthrough |
//! | `routes` | which route answers; fixed answers; balancing; failing backends |
//! | `dns` | backends that are names |
//! | `exposure` | who may see what, asked for in every way a client can ask |
//! | `explain` | what `adit explain` says, against what adit does |
//! | `reload`, `stop` | living with it: changes, signals, hand-over, under load |
//! | `bench` | loads, peers and results of `adit bench`, never a figure |
//! | `admin`, `commands` | what a person sees: pages, metrics, logs, the command line |
//! | `errors` | the pages of docs/errors, against what adit says |
//! | `lasting` | renewals again and again, peers that vanish |
//! | `survival` | kills, signals and backends at the worst moment; cold starts |
//! | `secrets` | what must appear nowhere |
//! | `hostile` | framing attacks on either side, named by the attack |
//! | `overload` | more than there is room for: limits of the process, and who is let in then |
//! | `acceptance` | the page that says what is shown by which test |
//! | `house` | rules of this repository that nobody should have to remember |

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says where by panicking"
)]
#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "files are put together as they read, not as fast as possible"
)]

mod acceptance;
mod admin;
mod bench;
mod commands;
mod dns;
mod errors;
mod explain;
mod exposure;
mod grpc;
mod headers;
mod hostile;
mod house;
mod http1;
mod http2;
mod lasting;
mod names;
mod overload;
mod passthrough;
mod policies;
mod proxy_protocol;
mod reload;
mod routes;
mod secrets;
mod stop;
mod support;
mod survival;
mod tls;
mod websocket;
