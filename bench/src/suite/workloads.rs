//! The workloads, by name.
//!
//! `W1` to `W17` are the rows of the performance page; a suffix is a variant. A plan here lacks only
//! what the moment gives: addresses, the window, and the process to watch.

use crate::load::{Expect, Idle, Pace, Plan, Protocol, Seconds, Tls};
use crate::peer::{Door, Features, GRPC, Kind as PeerKind, PASS, WWW};
use crate::results::Metric;

/// One workload.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name.
    pub id: &'static str,
    /// What is done.
    pub title: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// The metric by which it is judged.
    pub metric: Metric,
    pub(crate) door: Door,
    pub(crate) kind: Kind,
    pub(crate) features: Features,
    pub(crate) plan: fn() -> Plan,
}

/// How a workload is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A load for a while.
    Steady,
    /// Connections that do nothing; each round has a process of its own.
    Idle,
    /// A load at this part of what the subject can do.
    Latency(f64),
    /// A load over a way of so many milliseconds, there and back.
    Distance(u64),
    /// Loads while the configuration is read again and again.
    Reload,
    /// A change of the file until it is seen, under load.
    Change,
    /// No load: what it weighs.
    Weight,
}

impl Kind {
    /// Whether memory of earlier rounds would be in the figure.
    pub(crate) fn starts_anew(self) -> bool {
        matches!(self, Self::Idle | Self::Weight)
    }

    /// Whether the load without a proxy says anything.
    pub(crate) fn has_direct(self) -> bool {
        matches!(self, Self::Steady | Self::Latency(_) | Self::Distance(_))
    }

    /// Whether a proxy can do it.
    pub(crate) fn fits(self, peer: PeerKind, features: Features) -> bool {
        match self {
            Self::Reload => peer.reloads(),
            Self::Change => peer == PeerKind::Adit,
            // It tells thousands of hosts apart by a map, not by rules of this kind.
            Self::Weight => features.hosts == 0 || matches!(peer, PeerKind::Adit | PeerKind::Nginx),
            _ => true,
        }
    }
}

/// Features of the plain case.
const PLAIN: Features = Features {
    log: false,
    windows: false,
    hosts: 0,
    edits: false,
    many: false,
};

const MIB: u64 = 1 << 20;

macro_rules! row {
    ($id:literal, $title:literal, $unit:literal, $metric:ident, $door:ident, $kind:expr, $plan:expr) => {
        Workload {
            id: $id,
            title: $title,
            unit: $unit,
            metric: Metric::$metric,
            door: Door::$door,
            kind: $kind,
            features: PLAIN,
            plan: $plan,
        }
    };
}

/// All workloads, in the order of the performance page.
#[rustfmt::skip]
pub const WORKLOADS: &[Workload] = &[
    row!("W1", "HTTP/1.1 keep-alive, 130 bytes, 32 connections", "request", CpuUs, Plain, Kind::Steady, || get(130)),
    row!("W1-c1", "the same over 1 connection", "request", CpuUs, Plain, Kind::Steady, || Plan { connections: 1, ..get(130) }),
    row!("W1-c256", "the same over 256 connections", "request", CpuUs, Plain, Kind::Steady, || Plan { connections: 256, ..get(130) }),
    row!("W1-64k", "HTTP/1.1 keep-alive, 64 KiB, 32 connections", "request", CpuUs, Plain, Kind::Steady, || get(64 * 1024)),
    Workload { features: Features { log: true, ..PLAIN },
        ..row!("W1-log", "as W1, with the access log on", "request", CpuUs, Plain, Kind::Steady, || get(130)) },
    row!("W2", "TLS 1.3, HTTP/1.1 keep-alive, 130 bytes, 32 connections", "request", CpuUs, Tls, Kind::Steady, || tls(get(130))),
    row!("W3", "TLS 1.3, HTTP/2, 130 bytes, 8 connections × 16 streams", "request", CpuUs, Tls, Kind::Steady, || h2(tls(get(130)))),
    row!("W4", "full TLS 1.3 handshake, one request, close; P-256, X25519", "handshake", CpuUs, Tls, Kind::Steady, || churn(tls(get(130)))),
    row!("W4-resumed", "the same with the session resumed", "handshake", CpuUs, Tls, Kind::Steady, || resumed(churn(tls(get(130))))),
    row!("W5", "connection, one request, close; in clear text", "connection", CpuUs, Plain, Kind::Steady, || churn(get(130))),
    row!("W6-down", "10 MiB downloads, 4 connections", "download", CpuSGib, Plain, Kind::Steady, || bulk(get(10 * MIB))),
    row!("W6-up", "10 MiB uploads, 4 connections", "upload", CpuSGib, Plain, Kind::Steady, || bulk(put(10 * MIB))),
    row!("W6-tls-down", "10 MiB downloads over TLS, 4 connections", "download", CpuSGib, Tls, Kind::Steady, || bulk(tls(get(10 * MIB)))),
    row!("W6-tls-up", "10 MiB uploads over TLS, 4 connections", "upload", CpuSGib, Tls, Kind::Steady, || bulk(tls(put(10 * MIB)))),
    row!("W7-connect", "passthrough by name: connection, 1 KiB echo, close", "connection", CpuUs, Pass, Kind::Steady, || churn(pass(echo()))),
    row!("W7-echo", "passthrough by name: 1 KiB echoes, 32 connections", "echo", CpuUs, Pass, Kind::Steady, || pass(echo())),
    row!("W7-bulk", "passthrough by name: 64 MiB downloads, 4 connections", "download", CpuSGib, Pass, Kind::Steady, || bulk(pass(download()))),
    row!("W7-tcp-bulk", "raw TCP: 64 MiB downloads, 4 connections", "download", CpuSGib, Tcp, Kind::Steady, || bulk(download())),
    row!("W8-unary", "gRPC unary, 100 bytes, 8 connections × 16 calls", "call", CpuUs, Tls, Kind::Steady, || grpc("Unary", 100, 1)),
    row!("W8-stream", "gRPC server stream, 16 × 64 KiB, 8 connections × 1 call", "call", CpuUs, Tls, Kind::Steady, || Plan { streams: 1, ..grpc("ServerStream", 65_536, 16) }),
    row!("W9-echo", "WebSocket echoes of 128 bytes, 1000 connections, 5000 a second", "message", CpuUs, Plain, Kind::Steady, || Plan { connections: 1000, pace: Pace::Constant(5000.0), ..socket() }),
    row!("W9-idle", "idle connections: WebSocket", "connection", BytesConn, Plain, Kind::Idle, || idle(socket(), true)),
    row!("W10-accepted", "idle connections: accepted", "connection", BytesConn, Plain, Kind::Idle, || idle(get(130), false)),
    row!("W10-h1", "idle connections: HTTP/1.1 after a request", "connection", BytesConn, Plain, Kind::Idle, || idle(get(130), true)),
    row!("W10-tls", "idle connections: TLS, HTTP/1.1 after a request", "connection", BytesConn, Tls, Kind::Idle, || idle(tls(get(130)), true)),
    row!("W10-h2", "idle connections: TLS, HTTP/2 after a request", "connection", BytesConn, Tls, Kind::Idle, || idle(h2(tls(get(130))), true)),
    row!("W11-25", "latency of W1 at 25 % of what the proxy can do", "request", P99Us, Plain, Kind::Latency(0.25), || get(130)),
    row!("W11-50", "latency of W1 at 50 %", "request", P99Us, Plain, Kind::Latency(0.5), || get(130)),
    row!("W11-75", "latency of W1 at 75 %", "request", P99Us, Plain, Kind::Latency(0.75), || get(130)),
    row!("W11-h2-50", "latency of W3 at 50 %", "request", P99Us, Tls, Kind::Latency(0.5), || h2(tls(get(130)))),
    row!("W13-20ms", "HTTP/2 upload over 20 ms", "upload", MbitS, Tls, Kind::Distance(20), far),
    row!("W13-80ms", "HTTP/2 upload over 80 ms", "upload", MbitS, Tls, Kind::Distance(80), far),
    Workload { features: Features { windows: true, ..PLAIN },
        ..row!("W13-80ms-wide", "the same with wider windows", "upload", MbitS, Tls, Kind::Distance(80), far) },
    row!("W14-start", "at rest, a handful of routes", "process", RssMib, Plain, Kind::Weight, || get(1)),
    Workload { features: Features { hosts: 10_000, ..PLAIN },
        ..row!("W14-hosts", "at rest, 10 000 hosts", "process", RssMib, Plain, Kind::Weight, || get(1)) },
    Workload { features: Features { hosts: 10_000, ..PLAIN },
        ..row!("W14-change", "a host more in the file, with 10 000 hosts, under 2000 requests/s", "change", EffectMs, Plain, Kind::Change, || get(130)) },
    row!("W15", "reloads every 0.5 s under HTTP/1.1, HTTP/2 and WebSocket", "request", Failed, Plain, Kind::Reload, || get(130)),
    Workload { features: Features { log: true, edits: true, ..PLAIN },
        ..row!("W17", "as W1, with access log, a route by regular expression, field edits, and in adit a rate limit", "request", CpuUs, Plain, Kind::Steady, || get(130)) },
];

impl Workload {
    /// Those that are meant by names: `W1` is that row, `W1*` and `W6` are all whose names begin so.
    pub fn select(names: &[String]) -> Result<Vec<Self>, String> {
        let mut chosen: Vec<Self> = Vec::new();
        for name in names {
            let group = name.strip_suffix('*');
            let exact = group.is_none() && WORKLOADS.iter().any(|one| one.id == name);
            let before = chosen.len();
            let head = group.unwrap_or(name);
            for one in WORKLOADS {
                let within = one.id == head
                    || one
                        .id
                        .strip_prefix(head)
                        .is_some_and(|rest| rest.starts_with('-'));
                let meant = name == "all" || if exact { one.id == name } else { within };
                if meant && !chosen.iter().any(|chosen| chosen.id == one.id) {
                    chosen.push(*one);
                }
            }
            let known = WORKLOADS.iter().any(|one| one.id.starts_with(head)) || name == "all";
            if chosen.len() == before && !known {
                return Err(name.clone());
            }
        }
        Ok(chosen)
    }
}

fn get(size: u64) -> Plan {
    Plan {
        authority: WWW.to_owned(),
        path: format!("/size/{size}"),
        expect: Expect {
            length: Some(size),
            pattern: true,
            any_status: false,
        },
        ..Plan::default()
    }
}

fn put(size: u64) -> Plan {
    Plan {
        authority: WWW.to_owned(),
        path: "/upload".to_owned(),
        upload: size,
        expect: Expect {
            // The origin answers how many bytes came.
            length: Some(format!("{size}\n").len() as u64),
            ..Expect::default()
        },
        ..Plan::default()
    }
}

fn tls(plan: Plan) -> Plan {
    Plan {
        tls: Some(Tls::default()),
        ..plan
    }
}

fn h2(plan: Plan) -> Plan {
    Plan {
        protocol: Protocol::Http2,
        connections: 8,
        streams: 16,
        ..plan
    }
}

fn churn(plan: Plan) -> Plan {
    Plan {
        churn: true,
        connections: 8,
        ..plan
    }
}

fn resumed(mut plan: Plan) -> Plan {
    if let Some(tls) = &mut plan.tls {
        tls.resume = true;
    }
    plan
}

fn bulk(plan: Plan) -> Plan {
    Plan {
        connections: 4,
        ..plan
    }
}

fn echo() -> Plan {
    Plan {
        protocol: Protocol::RawEcho,
        upload: 1024,
        ..Plan::default()
    }
}

fn download() -> Plan {
    Plan {
        protocol: Protocol::RawDownload,
        expect: Expect {
            length: Some(64 * MIB),
            ..Expect::default()
        },
        ..Plan::default()
    }
}

fn pass(plan: Plan) -> Plan {
    Plan {
        authority: PASS.to_owned(),
        tls: Some(Tls {
            hello_only: true,
            ..Tls::default()
        }),
        ..plan
    }
}

fn grpc(method: &str, message: u64, repeats: u64) -> Plan {
    Plan {
        authority: GRPC.to_owned(),
        path: format!("/echo.Echo/{method}"),
        headers: vec![("x-repeats".to_owned(), repeats.to_string())],
        protocol: Protocol::Grpc,
        connections: 8,
        streams: 16,
        upload: message,
        expect: Expect {
            length: Some((message + 5) * repeats),
            ..Expect::default()
        },
        tls: Some(Tls::default()),
        ..Plan::default()
    }
}

fn socket() -> Plan {
    Plan {
        authority: WWW.to_owned(),
        path: "/ws".to_owned(),
        protocol: Protocol::WebSocket,
        upload: 128,
        ..Plan::default()
    }
}

/// An upload that a window is too short for.
fn far() -> Plan {
    Plan {
        protocol: Protocol::Http2,
        connections: 1,
        streams: 1,
        ..tls(put(100 * MIB))
    }
}

fn idle(plan: Plan, ask: bool) -> Plan {
    Plan {
        connections: 10_000,
        idle: Some(Idle {
            ask,
            settle: Seconds(1.0),
            after: Seconds(1.0),
        }),
        ..plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_rows_and_groups() {
        let select = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let chosen = Workload::select(&names)?;
            Ok::<_, String>(chosen.iter().map(|one| one.id).collect::<Vec<_>>())
        };
        assert_eq!(select(&["W1"]).unwrap(), ["W1"]);
        assert_eq!(select(&["W4*", "W4"]).unwrap(), ["W4", "W4-resumed"]);
        assert_eq!(select(&["W10"]).unwrap().len(), 4);
        assert_eq!(select(&["all"]).unwrap().len(), WORKLOADS.len());
        assert_eq!(select(&["W1", "W99"]).unwrap_err(), "W99");
        assert_eq!(select(&["w1"]).unwrap_err(), "w1");
    }

    #[test]
    fn each_name_is_given_once() {
        for (at, one) in WORKLOADS.iter().enumerate() {
            assert!(
                WORKLOADS
                    .iter()
                    .skip(at + 1)
                    .all(|other| other.id != one.id),
                "{}",
                one.id
            );
        }
    }
}
