//! `adit bench load`: one load against any server.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use adit_bench::load::{self, Expect, Outcome, Pace, Plan, Protocol, Seconds, Tls};
use http::Uri;

use super::args::{HowArgs, LoadArgs, Speaks};
use super::{Exit, Failure, read, say};
use crate::cli::Output;

pub(super) fn run(args: &LoadArgs) -> Result<Exit, Failure> {
    let plan = if let Some(path) = &args.plan {
        serde_json::from_str(&read(path)?)
            .map_err(|error| Failure::usage(format!("{}: no plan: {error}", path.display())))?
    } else {
        let url = args.url.as_deref().unwrap_or_default();
        let mut plan = plan(url, &args.how)?;
        plan.watch = args.watch;
        plan.connect = args.connect.unwrap_or(plan.connect);
        plan
    };
    if args.print_plan {
        let text = serde_json::to_string_pretty(&plan).map_err(io::Error::other)?;
        say(&format!("{text}\n"));
        return Ok(Exit::Fine);
    }
    let outcome = load::run(&plan)?;
    match args.output.output {
        Output::Json => {
            let text = serde_json::to_string(&outcome).map_err(io::Error::other)?;
            say(&format!("{text}\n"));
        }
        Output::Text => say(&show(&plan, &outcome)),
    }
    Ok(if outcome.failed() == 0 {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

/// What the options mean.
pub(super) fn plan(url: &str, args: &HowArgs) -> Result<Plan, Failure> {
    let uri: Uri = url
        .parse()
        .map_err(|error| Failure::usage(format!("{url}: {error}")))?;
    let (secure, socket) = match uri.scheme_str() {
        Some("http") => (false, false),
        Some("https") => (true, false),
        Some("ws") => (false, true),
        Some("wss") => (true, true),
        _ => {
            return Err(Failure::usage(format!(
                "{url}: begin it with http:// or https://"
            )));
        }
    };
    if secure && args.ca.is_none() && !args.insecure {
        return Err(Failure::usage(
            "TLS needs --ca FILE, or --insecure to believe anybody",
        ));
    }
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let protocol = match args.protocol {
        _ if socket => Protocol::WebSocket,
        Speaks::Http1 => Protocol::Http1,
        Speaks::Http2 => Protocol::Http2,
        Speaks::Grpc => Protocol::Grpc,
        Speaks::WebSocket => Protocol::WebSocket,
    };
    let mut headers = Vec::new();
    for field in &args.headers {
        let (name, value) = field
            .split_once(':')
            .ok_or_else(|| Failure::usage(format!("{field}: a field is `Name: value`")))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(Plan {
        connect: resolve(&uri, secure)?,
        authority: args.host.clone().unwrap_or(authority),
        path: uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned(),
        headers,
        protocol,
        tls: secure.then(|| Tls {
            resume: args.resume,
            ca: args.ca.clone(),
            post_quantum: args.post_quantum,
            hello_only: false,
        }),
        connections: args.connections.max(1),
        streams: args.streams.max(1),
        churn: args.churn,
        upload: args.upload,
        pace: match args.rate {
            None => Pace::Closed,
            Some(rate) if args.poisson => Pace::Poisson(rate),
            Some(rate) => Pace::Constant(rate),
        },
        threads: args.threads,
        warmup: Seconds(args.warmup),
        duration: Seconds(args.seconds),
        expect: Expect {
            length: args.expect_length,
            pattern: args.expect_pattern,
            any_status: args.any_status,
        },
        watch: None,
        idle: None,
    })
}

fn resolve(uri: &Uri, secure: bool) -> Result<SocketAddr, Failure> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let mut found = (host, port)
        .to_socket_addrs()
        .map_err(|error| Failure::usage(format!("{host}: {error}")))?;
    found
        .next()
        .ok_or_else(|| Failure::usage(format!("{host} has no address")))
}

fn show(plan: &Plan, outcome: &Outcome) -> String {
    let mut out = String::new();
    let latency = &outcome.latency;
    let ms = |micros: u64| micros as f64 / 1000.0;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} units in {:.2} s: {:.0}/s, {:.1} Mbit/s of bodies, {} new connections",
        outcome.units,
        outcome.seconds,
        outcome.rate(),
        (outcome.received + outcome.sent) as f64 * 8e-6 / outcome.seconds.max(1e-9),
        outcome.connections,
    );
    let _ = writeln!(
        out,
        "latency ms: p50 {:.3}  p90 {:.3}  p99 {:.3}  p99.9 {:.3}  max {:.3}",
        ms(latency.p50),
        ms(latency.p90),
        ms(latency.p99),
        ms(latency.p999),
        ms(latency.max),
    );
    if plan.pace != Pace::Closed {
        let _ = writeln!(
            out,
            "the generator itself was late by p50 {:.3}  p99 {:.3} ms; {} units were not done in time",
            ms(outcome.late.p50),
            ms(outcome.late.p99),
            outcome.unfinished
        );
    }
    if let (Some(usage), Some(cpu)) = (&outcome.usage, outcome.cpu_per_unit()) {
        let _ = writeln!(
            out,
            "watched: {cpu:.2} µs of CPU per unit ({:.0} % in user mode), {:.1} MiB, {} descriptors",
            100.0 * usage.user / usage.cpu().max(1e-9),
            usage.memory.rss as f64 / 1_048_576.0,
            usage.descriptors
        );
    }
    for (why, count) in &outcome.failures {
        let _ = writeln!(out, "failed: {count} × {why}");
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::commands::bench::args::BenchCommand;

    fn plan_of(line: &str) -> Result<Plan, String> {
        let words = ["adit", "bench", "load"].into_iter().chain(line.split(' '));
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let Command::Bench(bench) = cli.command else {
            panic!("another command");
        };
        let BenchCommand::Load(args) = bench.command else {
            panic!("another command");
        };
        plan(args.url.as_deref().unwrap_or_default(), &args.how).map_err(|failure| failure.message)
    }

    #[test]
    fn options_make_a_plan() {
        let plan = plan_of(
            "https://127.0.0.1:8443/a?b=c --insecure --host www.example.test --protocol http2 \
             -c 8 -m 4 --rate 100 --poisson",
        )
        .unwrap();
        assert_eq!(plan.connect.to_string(), "127.0.0.1:8443");
        assert_eq!(
            (plan.authority.as_str(), plan.path.as_str()),
            ("www.example.test", "/a?b=c")
        );
        assert_eq!(
            (plan.protocol, plan.connections, plan.streams),
            (Protocol::Http2, 8, 4)
        );
        assert_eq!(plan.pace, Pace::Poisson(100.0));
        let plan = plan_of("ws://[::1]:1/ws --upload 16").unwrap();
        assert_eq!((plan.protocol, plan.tls), (Protocol::WebSocket, None));
        assert_eq!(plan.connect.to_string(), "[::1]:1");
    }

    #[test]
    fn what_makes_no_plan_is_said() {
        for (line, why) in [
            ("https://127.0.0.1/", "--insecure"),
            ("ftp://127.0.0.1/", "begin it with http"),
            ("http://127.0.0.1/ --header x", "`Name: value`"),
            ("http://127.0.0.1/ --poisson", "--rate"),
        ] {
            let error = plan_of(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
