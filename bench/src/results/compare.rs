//! Two runs beside each other, and what has changed between them.
//!
//! A difference counts when it is more than 5 % and the order of the rounds would come about by
//! chance in less than one of twenty cases. Everything else is noise and is called so.

use super::stats::mann_whitney;
use super::table::{columns, number};
use super::{Results, Row};

/// Least relative difference that counts.
const RELATIVE: f64 = 0.05;

/// Greatest probability of chance that counts.
const CHANCE: f64 = 0.05;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that could be told from noise.
    Same,
    /// It got better.
    Better,
    /// It got worse.
    Worse,
}

/// One row and subject in two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The row.
    pub row: String,
    /// Whose.
    pub subject: String,
    /// Median before.
    pub before: f64,
    /// Median after.
    pub after: f64,
    /// Probability that they differ by chance.
    pub chance: f64,
    /// The verdict.
    pub change: Change,
}

/// Whether two subjects of a row differ.
pub(super) fn differs(row: &Row, ours: &str, peer: &str) -> bool {
    let key = row.metric.key();
    let (ours, peer) = (row.values(ours, key), row.values(peer, key));
    verdict(&peer, &ours, true).1 != Change::Same
}

/// Chance, and what the difference means.
fn verdict(before: &[f64], after: &[f64], less_is_better: bool) -> (f64, Change) {
    let chance = mann_whitney(before, after);
    let (Some(old), Some(new)) = (super::Summary::of(before), super::Summary::of(after)) else {
        return (1.0, Change::Same);
    };
    let difference = new.median - old.median;
    let change = if difference.abs() <= RELATIVE * old.median.abs() || chance >= CHANCE {
        Change::Same
    } else if (difference < 0.0) == less_is_better {
        Change::Better
    } else {
        Change::Worse
    };
    (chance, change)
}

/// Compares what both runs have: ours in each row.
pub fn compare(before: &Results, after: &Results) -> Vec<Comparison> {
    let mut found = Vec::new();
    for new in &after.rows {
        let Some(old) = before.row(&new.id) else {
            continue;
        };
        if old.metric != new.metric {
            continue;
        }
        for subject in &after.subjects {
            let key = new.metric.key();
            let values = (
                old.values(&subject.name, key),
                new.values(&subject.name, key),
            );
            let (Some(was), Some(is)) = (old.result(&subject.name), new.result(&subject.name))
            else {
                continue;
            };
            let (chance, change) = verdict(&values.0, &values.1, new.metric.less_is_better());
            found.push(Comparison {
                row: new.id.clone(),
                subject: subject.name.clone(),
                before: was.median,
                after: is.median,
                chance,
                change,
            });
        }
    }
    found
}

impl Comparison {
    /// All of them as text.
    pub fn table(all: &[Self]) -> String {
        let head = [
            "row", "subject", "before", "after", "change", "p", "verdict",
        ];
        let mut grid = vec![head.map(str::to_owned).to_vec()];
        for one in all {
            let percent = if one.before == 0.0 {
                "-".to_owned()
            } else {
                format!("{:+.1} %", 100.0 * (one.after / one.before - 1.0))
            };
            grid.push(vec![
                one.row.clone(),
                one.subject.clone(),
                number(one.before),
                number(one.after),
                percent,
                format!("{:.3}", one.chance),
                match one.change {
                    Change::Same => "same",
                    Change::Better => "better",
                    Change::Worse => "WORSE",
                }
                .to_owned(),
            ]);
        }
        columns(&grid)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;
    use super::*;

    #[test]
    fn only_what_is_large_and_no_accident_counts() {
        let base = [10.0, 10.1, 10.2, 10.3, 10.4];
        for (after, expected) in [
            ([10.01, 10.11, 10.21, 10.31, 10.41], Change::Same),
            // Certain, but only 4 %.
            ([10.6, 10.61, 10.62, 10.63, 10.64], Change::Same),
            // Large, but all over the place.
            ([9.0, 9.9, 14.0, 15.0, 16.0], Change::Same),
            ([12.0, 12.1, 12.2, 12.3, 12.4], Change::Worse),
            ([8.0, 8.1, 8.2, 8.3, 8.4], Change::Better),
        ] {
            let found = compare(&results(&[("adit", &base)]), &results(&[("adit", &after)]));
            assert_eq!(found[0].change, expected, "{after:?}");
        }
    }

    #[test]
    fn what_only_one_run_has_is_left_out() {
        let before = results(&[("adit", &[1.0, 1.1, 1.2])]);
        let after = results(&[("adit", &[1.0, 1.1, 1.2]), ("nginx", &[2.0])]);
        let found = compare(&before, &after);
        assert_eq!(found.len(), 1);
        assert!(Comparison::table(&found).contains("same"));
        let mut other = after.clone();
        other.rows[0].id = "W2".to_owned();
        assert!(compare(&before, &other).is_empty());
    }
}
