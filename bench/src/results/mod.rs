//! What a run of the suite found: plain data that is written, read again, compared and drawn.

mod budget;
mod chart;
mod compare;
mod html;
mod stats;
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use budget::{Budget, Missed};
pub use chart::chart;
pub use compare::{Change, Comparison, compare};
pub use html::html;
pub use stats::{Summary, mann_whitney};
pub use table::table;

use crate::watch::Machine;

/// Version of the form.
pub const FORMAT: u32 = 1;

/// Name of the row of a load without any proxy.
pub const DIRECT: &str = "direct";

/// A run of the suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Version of the form.
    pub format: u32,
    /// When it began, as HTTP writes dates.
    pub begun: String,
    /// How long it took, in seconds.
    pub took: f64,
    /// Whether it was stopped before its end.
    #[serde(default)]
    pub interrupted: bool,
    /// Where it ran.
    pub machine: Machine,
    /// How it ran.
    pub settings: Settings,
    /// What was compared, ours first.
    pub subjects: Vec<Subject>,
    /// What was found.
    pub rows: Vec<Row>,
}

/// How a suite runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Rounds of each row.
    pub rounds: u32,
    /// Length of a window, in seconds.
    pub seconds: f64,
    /// Time before a window, in seconds.
    pub warmup: f64,
    /// Whether what is measured and what loads it had processors of their own.
    pub pinned: bool,
}

/// What is compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name in the rows.
    pub name: String,
    /// What it says of its version.
    pub version: String,
    /// Hash of the configuration that was made for it.
    pub configuration: String,
}

/// One workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name.
    pub id: String,
    /// What is done.
    pub title: String,
    /// What is counted.
    pub unit: String,
    /// The metric by which it is judged.
    pub metric: Metric,
    /// Samples by subject, one for each good round.
    pub samples: BTreeMap<String, Vec<Sample>>,
    /// Rounds that did not count, by subject, and why.
    pub void: BTreeMap<String, Vec<String>>,
}

/// Metrics of one round.
pub type Sample = BTreeMap<String, f64>;

/// A metric by which rows are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// CPU time of the proxy per unit, in µs.
    #[default]
    CpuUs,
    /// CPU time of the proxy per GiB, in s.
    CpuSGib,
    /// Memory per connection, in bytes.
    BytesConn,
    /// 99th percentile of the latency, in µs.
    P99Us,
    /// Throughput of one stream, in Mbit/s.
    MbitS,
    /// Units that failed.
    Failed,
    /// Resident memory, in MiB.
    RssMib,
    /// Time until a change was to be seen, 99th percentile, in ms.
    EffectMs,
}

impl Metric {
    /// Its key in a sample.
    pub fn key(self) -> &'static str {
        match self {
            Self::CpuUs => "cpu_us",
            Self::CpuSGib => "cpu_s_gib",
            Self::BytesConn => "bytes_conn",
            Self::P99Us => "p99_us",
            Self::MbitS => "mbit_s",
            Self::Failed => "failed",
            Self::RssMib => "rss_mib",
            Self::EffectMs => "effect_ms",
        }
    }

    /// What a person reads.
    pub fn label(self) -> &'static str {
        match self {
            Self::CpuUs => "CPU µs per",
            Self::CpuSGib => "CPU s per GiB",
            Self::BytesConn => "bytes per connection",
            Self::P99Us => "p99 µs",
            Self::MbitS => "Mbit/s",
            Self::Failed => "failed",
            Self::RssMib => "MiB resident",
            Self::EffectMs => "ms until in force, p99",
        }
    }

    /// Whether less is better.
    pub fn less_is_better(self) -> bool {
        self != Self::MbitS
    }
}

impl Results {
    /// Reads what a run has written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let results: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if results.format != FORMAT {
            return Err(format!(
                "results of form {}, this program reads {FORMAT}",
                results.format
            ));
        }
        Ok(results)
    }

    /// As JSON.
    pub fn json(&self) -> String {
        // Maps with names and finite numbers: nothing that could fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The subject that is ours: the first.
    pub fn ours(&self) -> Option<&str> {
        self.subjects.first().map(|subject| subject.name.as_str())
    }

    /// The others.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        self.subjects
            .iter()
            .skip(1)
            .map(|subject| subject.name.as_str())
    }

    /// Those that are not another build of ours.
    pub fn rivals(&self) -> impl Iterator<Item = &str> {
        self.peers().filter(|name| !name.starts_with("adit-"))
    }

    /// A row by its name.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// Rows in which a subject has no good round although it was tried.
    pub fn broken(&self) -> Vec<(&str, &str, &str)> {
        let mut broken = Vec::new();
        for row in &self.rows {
            for (subject, reasons) in &row.void {
                if row.values(subject, row.metric.key()).is_empty() {
                    let why = reasons.last().map_or("", String::as_str);
                    broken.push((row.id.as_str(), subject.as_str(), why));
                }
            }
        }
        broken
    }
}

impl Row {
    /// All values of one metric.
    pub fn values(&self, subject: &str, metric: &str) -> Vec<f64> {
        let samples = self.samples.get(subject).into_iter().flatten();
        samples
            .filter_map(|sample| sample.get(metric).copied())
            .collect()
    }

    /// A metric over all rounds.
    pub fn summary(&self, subject: &str, metric: &str) -> Option<Summary> {
        Summary::of(&self.values(subject, metric))
    }

    /// The deciding metric over all rounds.
    pub fn result(&self, subject: &str) -> Option<Summary> {
        self.summary(subject, self.metric.key())
    }

    /// Median of one ÷ median of the other, in the deciding metric.
    pub fn ratio(&self, ours: &str, peer: &str) -> Option<f64> {
        let (ours, peer) = (self.result(ours)?.median, self.result(peer)?.median);
        (peer != 0.0).then(|| ours / peer)
    }

    /// The best of these subjects that have a result.
    pub fn best<'a>(&self, subjects: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let sign = if self.metric.less_is_better() {
            1.0
        } else {
            -1.0
        };
        subjects
            .filter_map(|subject| Some((subject, sign * self.result(subject)?.median)))
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(subject, _)| subject)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Results with one row of CPU times.
    pub(crate) fn results(values: &[(&str, &[f64])]) -> Results {
        let mut row = Row {
            id: "W1".to_owned(),
            title: "requests".to_owned(),
            unit: "request".to_owned(),
            ..Row::default()
        };
        let mut subjects = Vec::new();
        for (name, values) in values {
            if *name != DIRECT {
                subjects.push(Subject {
                    name: (*name).to_owned(),
                    ..Subject::default()
                });
            }
            let samples = values.iter().map(|value| {
                Sample::from([("cpu_us".to_owned(), *value), ("rate".to_owned(), 1000.0)])
            });
            row.samples.insert((*name).to_owned(), samples.collect());
        }
        Results {
            format: FORMAT,
            subjects,
            rows: vec![row],
            ..Results::default()
        }
    }

    #[test]
    fn results_survive_being_written() {
        let results = results(&[("adit", &[1.5, 2.0, 9.0]), ("nginx", &[4.0])]);
        assert_eq!(Results::parse(&results.json()), Ok(results.clone()));
        let other = results.json().replace("\"format\": 1", "\"format\": 7");
        assert!(Results::parse(&other).unwrap_err().contains("form 7"));
        assert!(Results::parse("{}").is_err());
    }

    #[test]
    fn the_best_peer_is_the_one_with_the_least_cost() {
        let all = [("adit", &[2.0][..]), ("nginx", &[4.0]), ("haproxy", &[3.0])];
        let mut results = results(&all);
        let row = &results.rows[0];
        assert_eq!(row.best(results.rivals()), Some("haproxy"));
        assert_eq!(row.ratio("adit", "nginx"), Some(0.5));
        assert_eq!(row.ratio("adit", "caddy"), None);
        results.rows[0].metric = Metric::MbitS;
        assert_eq!(results.rows[0].best(results.rivals()), None);
        results.subjects[2].name = "adit-old".to_owned();
        assert_eq!(results.rivals().collect::<Vec<_>>(), ["nginx"]);
    }

    #[test]
    fn a_row_in_which_nothing_counted_is_broken() {
        let mut results = results(&[("adit", &[2.0][..]), ("nginx", &[])]);
        let why = vec!["status 502".to_owned()];
        results.rows[0].void.insert("nginx".to_owned(), why.clone());
        results.rows[0].void.insert("adit".to_owned(), why);
        assert_eq!(results.broken(), [("W1", "nginx", "status 502")]);
    }
}
