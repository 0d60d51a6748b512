//! The same load against servers that run already, wherever they are.
//!
//! Nothing is started but the loads, and nothing is known of the servers but what their answers
//! and, if their processes are on this machine, /proc tell.

use std::io;
use std::path::Path;
use std::time::{Instant, SystemTime};

use super::round::{load, sample};
use super::special::good;
use crate::load::Plan;
use crate::results::{FORMAT, Metric, Results, Row, Settings, Subject};
use crate::watch::{Load, Machine};

/// Loads each of these in turn, round by round.
pub fn against(
    program: &Path,
    plans: &[(String, Plan)],
    settings: Settings,
    mut progress: impl FnMut(&str, u32),
) -> io::Result<Results> {
    let begun = Instant::now();
    // Without processes to watch, latency is what can be seen.
    let watched = plans.iter().all(|(_, plan)| plan.watch.is_some());
    let mut row = Row {
        id: "load".to_owned(),
        title: plans
            .first()
            .map(|(_, plan)| plan.path.clone())
            .unwrap_or_default(),
        unit: "unit".to_owned(),
        metric: if watched {
            Metric::CpuUs
        } else {
            Metric::P99Us
        },
        ..Row::default()
    };
    for round in 1..=settings.rounds {
        for (name, plan) in plans {
            progress(name, round);
            let before = Load::now();
            match load(program, plan).and_then(good) {
                Ok(outcome) => {
                    let mut sample = sample(&outcome);
                    sample.insert("load".to_owned(), before.average);
                    sample.insert("steal".to_owned(), Load::now().steal_since(&before));
                    row.samples.entry(name.clone()).or_default().push(sample);
                }
                Err(error) => {
                    row.void
                        .entry(name.clone())
                        .or_default()
                        .push(error.to_string());
                }
            }
        }
    }
    let subjects = plans.iter().map(|(name, plan)| Subject {
        name: name.clone(),
        version: plan.connect.to_string(),
        configuration: String::new(),
    });
    Ok(Results {
        format: FORMAT,
        begun: httpdate::fmt_http_date(SystemTime::now()),
        took: begun.elapsed().as_secs_f64(),
        interrupted: false,
        machine: Machine::here(),
        settings,
        subjects: subjects.collect(),
        rows: vec![row],
    })
}
