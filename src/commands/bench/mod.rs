//! `adit bench`: loads, origins, and adit beside other proxies.
//!
//! What measures lives in the crate `bench/`; here are its options, its progress and what people
//! read. Nothing of it is reached by `adit run`.

mod args;
mod load;
mod suite;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use adit_bench::TlsIdentity;
use adit_bench::results::{Change, Comparison, Results, compare};
use adit_bench::suite::Serving;
use serde_json::json;

use super::{Exit, say};
use crate::cli::Output;

pub(crate) use args::{BENCH, BenchArgs};
use args::{BenchCommand, CompareArgs, OriginArgs};

pub(super) fn run(args: &BenchArgs) -> Exit {
    let done = match &args.command {
        BenchCommand::Run(args) => suite::run(args),
        BenchCommand::List(output) => {
            suite::list(output.output);
            Ok(Exit::Fine)
        }
        BenchCommand::Load(args) => load::run(args),
        BenchCommand::Origin(args) => origin(args),
        BenchCommand::Against(args) => suite::against(args),
        BenchCommand::Report(args) => suite::report(args),
        BenchCommand::Compare(args) => compare_runs(args),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("adit: {}", failure.message);
        failure.exit
    })
}

/// Why a command ended early.
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    fn file(path: &Path, error: &io::Error) -> Self {
        Self {
            exit: Exit::Failed,
            message: format!("{}: {error}", path.display()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            exit: Exit::Failed,
            message: error.to_string(),
        }
    }
}

/// A file's text; `-` is standard input.
fn read(path: &Path) -> Result<String, Failure> {
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|error| Failure::file(path, &error))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::file(path, &error))
}

/// Results of a run, from its file.
fn results(path: &Path) -> Result<Results, Failure> {
    let text = read(path)?;
    Results::parse(&text)
        .map_err(|why| Failure::usage(format!("{}: no results: {why}", path.display())))
}

fn origin(args: &OriginArgs) -> Result<Exit, Failure> {
    let identity = match (&args.cert, &args.key) {
        (Some(certificates), Some(key)) => Some(TlsIdentity {
            certificates: read(certificates)?,
            key: read(key)?,
        }),
        _ => None,
    };
    let serving = Serving::start(args.bind, identity)?;
    let at = serving.addresses();
    match args.output.output {
        Output::Json => {
            let line = serde_json::to_string(&at).map_err(io::Error::other)?;
            say(&format!("{line}\n"));
        }
        Output::Text => {
            say(&format!(
                "http  {}\nh2c   {}\nraw   {}\n",
                at.http, at.h2c, at.raw
            ));
            if let Some(tls) = at.tls {
                say(&format!("tls   {tls}\n"));
            }
            if !args.leash {
                say("Ctrl-C ends it.\n");
            }
        }
    }
    if args.leash {
        serving.until_input_ends()?;
    } else {
        loop {
            // Nothing wakes this thread for good: a signal ends the process.
            std::thread::park();
        }
    }
    Ok(Exit::Fine)
}

fn compare_runs(args: &CompareArgs) -> Result<Exit, Failure> {
    let found = compare(&results(&args.before)?, &results(&args.after)?);
    match args.output.output {
        Output::Text => say(&Comparison::table(&found)),
        Output::Json => {
            let rows: Vec<_> = found
                .iter()
                .map(|one| {
                    json!({"row": one.row, "subject": one.subject, "before": one.before,
                        "after": one.after, "p": one.chance, "verdict": word(one.change)})
                })
                .collect();
            say(&format!("{}\n", json!({"rows": rows})));
        }
    }
    let worse = found.iter().any(|one| one.change == Change::Worse);
    Ok(if args.strict && worse {
        Exit::Invalid
    } else {
        Exit::Fine
    })
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Same => "same",
        Change::Better => "better",
        Change::Worse => "worse",
    }
}
