//! The suite: workloads, run side by side in interleaved rounds.
//!
//! A row starts every proxy anew and runs ours, a peer, the next peer, and again from the first:
//! what else the machine does then meets all of them alike. A round with a single failure does not
//! count; it is run again, and said if it cannot be had.

mod against;
mod origins;
mod round;
mod special;
mod stop;
mod workloads;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use self::round::Ground;
use self::stop::Stop;
use crate::peer::Peer;
use crate::process::descriptors;
use crate::results::{DIRECT, FORMAT, Results, Row, Settings, Subject};
use crate::watch::Machine;

pub use against::against;
pub use origins::{Addresses, Serving};
use workloads::Kind;
pub use workloads::{WORKLOADS, Workload};

/// Attempts at a round that does not count.
const ATTEMPTS: u32 = 3;

/// Stolen time above which a round is run again, in percent.
const STEAL: f64 = 2.0;

/// How a suite is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is compared, ours first.
    pub peers: Vec<Peer>,
    /// Rows to run.
    pub workloads: Vec<Workload>,
    /// How.
    pub settings: Settings,
    /// This program: it is also the origin and the generator, as processes of their own.
    pub program: PathBuf,
    /// Connections instead of those of the workload.
    pub connections: Option<usize>,
    /// Idle connections instead of those of the workload.
    pub idle: Option<usize>,
    /// Also count system calls per unit, with strace, in one more round.
    pub syscalls: bool,
    /// Whether the load without a proxy is run, too.
    pub direct: bool,
}

/// What is told while a suite runs.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The row.
    pub row: &'a Workload,
    /// Whose turn it is.
    pub subject: &'a str,
    /// Round, from 1.
    pub round: u32,
    /// Whether this is the first of its round.
    pub first: bool,
    /// Rows done, and rows in all.
    pub rows: (usize, usize),
}

/// Runs the suite.
pub fn run(options: &Options, mut progress: impl FnMut(Progress<'_>)) -> io::Result<Results> {
    let begun = Instant::now();
    let limit = descriptors(65_536);
    let stop = Stop::on_signals()?;
    let ground = Ground::new(options, limit)?;
    let mut results = Results {
        format: FORMAT,
        begun: httpdate::fmt_http_date(SystemTime::now()),
        machine: Machine::here(),
        settings: options.settings.clone(),
        ..Results::default()
    };
    for peer in &options.peers {
        results.subjects.push(Subject {
            name: peer.name.clone(),
            version: peer.version()?,
            configuration: String::new(),
        });
    }
    for (at, workload) in options.workloads.iter().enumerate() {
        let mut told = |subject: &str, round, first| {
            progress(Progress {
                first,
                row: workload,
                subject,
                round,
                rows: (at, options.workloads.len()),
            });
        };
        let (row, configurations) = row(options, &ground, workload, &stop, &mut told);
        for subject in &mut results.subjects {
            if let Some(hash) = configurations.get(&subject.name) {
                subject.configuration.clone_from(hash);
            }
        }
        results.rows.push(row);
        if stop.asked() {
            results.interrupted = true;
            break;
        }
    }
    results.took = begun.elapsed().as_secs_f64();
    Ok(results)
}

/// Runs one row.
fn row(
    options: &Options,
    ground: &Ground<'_>,
    workload: &Workload,
    stop: &Stop,
    told: &mut impl FnMut(&str, u32, bool),
) -> (Row, BTreeMap<String, String>) {
    let mut row = Row {
        id: workload.id.to_owned(),
        title: workload.title.to_owned(),
        unit: workload.unit.to_owned(),
        metric: workload.metric,
        ..Row::default()
    };
    let mut subjects = ground.subjects(workload, &mut row);
    let mut ours = None;
    for round in 1..=options.settings.rounds {
        for (turn, subject) in subjects.iter_mut().enumerate() {
            told(&subject.name, round, turn == 0);
            if subject.name == DIRECT {
                // Asked as often as we are, so that what the proxy adds can be seen.
                subject.saturation = ours;
            }
            for attempt in 1..=ATTEMPTS {
                if stop.asked() {
                    break;
                }
                let why = match ground.round(workload, subject) {
                    Ok(sample) => {
                        let steal = sample.get("steal").copied().unwrap_or_default();
                        if steal <= STEAL || attempt == ATTEMPTS {
                            let samples = row.samples.entry(subject.name.clone());
                            samples.or_default().push(sample);
                            break;
                        }
                        // What nobody here can help is tried again, and then taken and told.
                        format!("{steal:.1} % of the time was stolen")
                    }
                    Err(error) => error.to_string(),
                };
                row.void.entry(subject.name.clone()).or_default().push(why);
            }
            ours = ours.or(subject.saturation);
        }
    }
    if options.syscalls && workload.kind == Kind::Steady {
        ground.count_syscalls(workload, &mut subjects, &mut row);
    }
    let configurations = subjects
        .iter()
        .filter(|subject| subject.name != DIRECT)
        .map(|subject| (subject.name.clone(), subject.hash()))
        .collect();
    (row, configurations)
}

/// Where this program lies, for the processes that it makes of itself.
pub fn this_program() -> io::Result<PathBuf> {
    // The link to a file that was replaced meanwhile says so in its name; the link itself works.
    fs::read_link("/proc/self/exe").map(|path| {
        if path.exists() {
            path
        } else {
            PathBuf::from("/proc/self/exe")
        }
    })
}
