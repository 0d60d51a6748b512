//! `adit bench run` and `list`.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use adit_bench::results::{Budget, Results, Settings, chart, html, table};
use adit_bench::suite::{self, Options, Progress, WORKLOADS, Workload, this_program};
use adit_bench::{Peer, PeerKind};
use serde_json::json;

use super::args::{AgainstArgs, ReportArgs, RunSuiteArgs};
use super::{Exit, Failure, load, read, results, say, write};
use crate::cli::Output;

/// Idle connections of a quick run.
const QUICK_IDLE: usize = 1000;

pub(super) fn run(args: &RunSuiteArgs) -> Result<Exit, Failure> {
    let budget = match &args.budget {
        None => None,
        Some(path) => {
            let budget = Budget::parse(&read(path)?);
            let budget =
                budget.map_err(|why| Failure::usage(format!("{}: {why}", path.display())))?;
            Some(budget)
        }
    };
    let options = options(args, budget.as_ref())?;
    let results = suite::run(&options, show_progress)?;
    end_progress();
    if let Some(path) = &args.save {
        write(path, &results.json())?;
    }
    if let Some(path) = &args.html {
        write(path, &html(&results))?;
    }
    match args.output.output {
        Output::Text => say(&table(&results)),
        Output::Json => say(&results.json()),
    }
    if results.interrupted {
        eprintln!("adit: stopped before the end; the last row may lack rounds");
        return Ok(Exit::Failed);
    }
    let kept = budget.is_none_or(|budget| judge(&budget, &results));
    let broken = results.broken();
    for (row, subject, why) in &broken {
        eprintln!("adit: {row}: {subject} had no good round: {why}");
    }
    Ok(match (broken.is_empty(), kept) {
        (false, _) => Exit::Failed,
        (true, false) => Exit::Invalid,
        (true, true) => Exit::Fine,
    })
}

fn judge(budget: &Budget, results: &Results) -> bool {
    let missed = budget.missed(results);
    for one in &missed {
        match one.found {
            Some(found) => eprintln!("adit: budget missed: {}: found {found:.3}", one.budget),
            None => eprintln!(
                "adit: budget missed: {}: there is no such result",
                one.budget
            ),
        }
    }
    if missed.is_empty() {
        eprintln!("adit: all {} budgets are kept", budget.len());
    }
    missed.is_empty()
}

fn options(args: &RunSuiteArgs, budget: Option<&Budget>) -> Result<Options, Failure> {
    let mut rows = args.rows.clone();
    if rows.is_empty() {
        rows = match budget {
            Some(budget) => budget.rows().map(str::to_owned).collect(),
            None => vec!["all".to_owned()],
        };
    }
    let workloads = Workload::select(&rows).map_err(|name| {
        Failure::usage(format!(
            "there is no row {name}: `adit bench list` shows them"
        ))
    })?;
    let program = this_program()?;
    let mut peers = vec![Peer {
        kind: PeerKind::Adit,
        name: "adit".to_owned(),
        program: args.adit.clone().unwrap_or_else(|| program.clone()),
    }];
    peers.extend(others(args)?);
    let within = args.seconds > 0.0 && args.seconds <= 600.0 && (0.0..=60.0).contains(&args.warmup);
    if !within {
        return Err(Failure::usage(
            "a window has up to 600 seconds, a warm-up up to 60",
        ));
    }
    Ok(Options {
        peers,
        workloads,
        settings: Settings {
            rounds: if args.quick { 3 } else { args.rounds.max(1) },
            seconds: if args.quick { 1.0 } else { args.seconds },
            warmup: args.warmup,
            pinned: !args.no_pin,
        },
        program,
        connections: args.connections,
        idle: args.quick.then_some(QUICK_IDLE),
        syscalls: args.syscalls,
        direct: !args.no_direct,
    })
}

/// Whom we are compared with: who was named, else who is there.
fn others(args: &RunSuiteArgs) -> Result<Vec<Peer>, Failure> {
    if args.alone {
        return Ok(Vec::new());
    }
    let named = !args.peers.is_empty();
    let names = if named {
        args.peers.clone()
    } else {
        vec!["nginx".to_owned(), "haproxy".to_owned()]
    };
    let mut peers: Vec<Peer> = Vec::new();
    for name in names {
        let peer = Peer::parse(&name).map_err(Failure::usage)?;
        if peer.name == "adit" || peers.iter().any(|known| known.name == peer.name) {
            return Err(Failure::usage(format!(
                "{} is there already: name it {0}-SOMETHING=PATH",
                peer.name
            )));
        }
        match peer.version() {
            Ok(_) => peers.push(peer),
            Err(error) if named => return Err(Failure::usage(error.to_string())),
            Err(_) => eprintln!("adit: {} is not installed and left out", peer.name),
        }
    }
    Ok(peers)
}

fn show_progress(at: Progress<'_>) {
    let (done, all) = at.rows;
    let row = format!("[{}/{all}] {:<13}", done + 1, at.row.id);
    line(&format!("{row} round {} {}", at.round, at.subject));
    if at.round == 1 && at.first && !std::io::stderr().is_terminal() {
        eprintln!("{row} {}", at.row.title);
    }
}

fn end_progress() {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{:<70}\r", "");
    }
}

pub(super) fn against(args: &AgainstArgs) -> Result<Exit, Failure> {
    let mut plans = Vec::new();
    for (at, text) in args.urls.iter().enumerate() {
        // A name has no colon; a URL has one before its first `=`.
        let (name, url) = match text.split_once('=') {
            Some((name, url)) if !name.contains(':') => (name, url),
            _ => (text.as_str(), text.as_str()),
        };
        if plans.iter().any(|(known, _)| known == name) {
            return Err(Failure::usage(format!("{name} is named twice")));
        }
        let mut plan = load::plan(url, &args.how)?;
        plan.watch = args.watch.get(at).copied();
        plans.push((name.to_owned(), plan));
    }
    let settings = Settings {
        rounds: args.rounds.max(1),
        seconds: args.how.seconds,
        warmup: args.how.warmup,
        pinned: false,
    };
    let results = suite::against(&this_program()?, &plans, settings, |name, round| {
        line(&format!("round {round} {name}"));
    })?;
    end_progress();
    if let Some(path) = &args.save {
        write(path, &results.json())?;
    }
    match args.output.output {
        Output::Text => say(&table(&results)),
        Output::Json => say(&results.json()),
    }
    Ok(if results.broken().is_empty() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

pub(super) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let results = results(&args.results)?;
    if let Some(path) = &args.html {
        write(path, &html(&results))?;
    }
    if let Some(path) = &args.svg {
        let mut rows: Vec<&str> = args.rows.iter().map(String::as_str).collect();
        if rows.is_empty() {
            rows = results.rows.iter().map(|row| row.id.as_str()).collect();
        }
        if let Some(unknown) = rows.iter().find(|id| results.row(id).is_none()) {
            return Err(Failure::usage(format!("there is no row {unknown} in it")));
        }
        write(path, &chart(&results, &rows))?;
    }
    if args.html.is_none() && args.svg.is_none() {
        say(&table(&results));
    }
    Ok(Exit::Fine)
}

/// A line that the next one replaces, for a person.
fn line(text: &str) {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{text:<70}");
        let _ = stderr.flush();
    }
}

pub(super) fn list(output: Output) {
    match output {
        Output::Text => {
            let mut text = String::new();
            for one in WORKLOADS {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{:<14} {}", one.id, one.title);
            }
            say(&text);
        }
        Output::Json => {
            let rows: Vec<_> = WORKLOADS
                .iter()
                .map(|one| json!({"id": one.id, "title": one.title, "unit": one.unit}))
                .collect();
            say(&format!("{}\n", json!({"rows": rows})));
        }
    }
}
