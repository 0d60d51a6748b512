//! Budgets: what a row may cost, one per line, so that a pipeline can refuse what got too dear.
//!
//! ```text
//! # row   metric         bound
//! W1      cpu_us/best    <= 1.10     # our median ÷ the best peer's
//! W1      cpu_us/nginx   <= 1.05
//! W10-h1  bytes_conn     <= 6KiB
//! W11-50  p99_us         <= 5ms
//! W13     mbit_s         >= 100
//! ```

use super::Results;

/// A file of budgets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq)]
struct Line {
    row: String,
    metric: String,
    /// Divided by this subject's.
    against: Option<String>,
    at_least: bool,
    bound: f64,
    text: String,
}

/// A budget that was not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// The line of the file.
    pub budget: String,
    /// What was found; nothing if there is no such result.
    pub found: Option<f64>,
}

/// Units that a bound may have, as factors to those of the metrics: bytes, µs.
const UNITS: &[(&str, f64)] = &[
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("us", 1.0),
    ("µs", 1.0),
    ("ms", 1000.0),
    ("s", 1_000_000.0),
];

impl Budget {
    /// Reads a file; an error names its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let parsed = Line::parse(line);
            lines.push(parsed.map_err(|why| format!("line {}: {why}: {line}", number + 1))?);
        }
        if lines.is_empty() {
            return Err("there is no budget in it".to_owned());
        }
        Ok(Self { lines })
    }

    /// Names of the rows that are needed.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.row.as_str())
    }

    /// Number of budgets.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Never: a file without a budget is refused.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Those that were not kept. A budget without a result is not kept either.
    pub fn missed(&self, results: &Results) -> Vec<Missed> {
        let mut missed = Vec::new();
        for line in &self.lines {
            let found = line.find(results);
            let kept = found.is_some_and(|found| {
                if line.at_least {
                    found >= line.bound
                } else {
                    found <= line.bound
                }
            });
            if !kept {
                missed.push(Missed {
                    budget: line.text.clone(),
                    found,
                });
            }
        }
        missed
    }
}

impl Line {
    fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [row, metric, relation, bound] = words[..] else {
            return Err("a budget is `ROW METRIC <= BOUND`".to_owned());
        };
        let at_least = match relation {
            "<=" => false,
            ">=" => true,
            _ => return Err(format!("{relation} is neither <= nor >=")),
        };
        let (metric, against) = match metric.split_once('/') {
            Some((metric, against)) => (metric, Some(against.to_owned())),
            None => (metric, None),
        };
        Ok(Self {
            row: row.to_owned(),
            metric: metric.to_owned(),
            against,
            at_least,
            bound: quantity(bound)?,
            text: words.join(" "),
        })
    }

    fn find(&self, results: &Results) -> Option<f64> {
        let row = results.row(&self.row)?;
        let ours = row.summary(results.ours()?, &self.metric)?.median;
        let Some(against) = &self.against else {
            return Some(ours);
        };
        let peer = if against == "best" {
            row.best(results.rivals())?
        } else {
            against
        };
        let theirs = row.summary(peer, &self.metric)?.median;
        (theirs != 0.0).then(|| ours / theirs)
    }
}

fn quantity(text: &str) -> Result<f64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (digits, unit) = text.split_at(split.unwrap_or(text.len()));
    let value: f64 = digits.parse().map_err(|_| format!("{text} is no number"))?;
    if unit.is_empty() {
        return Ok(value);
    }
    let factor = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, factor) = factor.ok_or_else(|| format!("{unit} is none of KiB, MiB, us, ms, s"))?;
    Ok(value * factor)
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;
    use super::*;

    #[test]
    fn a_budget_is_kept_or_said_with_what_was_found() {
        let results = results(&[("adit", &[12.0]), ("nginx", &[10.0]), ("haproxy", &[24.0])]);
        for (line, expected) in [
            ("W1 cpu_us <= 12", None),
            ("W1 cpu_us <= 11.9us", Some(Some(12.0))),
            ("W1 cpu_us/best <= 1.1", Some(Some(1.2))),
            ("W1 cpu_us/haproxy <= 0.5", None),
            ("W1 rate >= 1001", Some(Some(1000.0))),
            ("W1 rate >= 1000", None),
            ("W2 cpu_us <= 99", Some(None)),
            ("W1 cpu_us/caddy <= 99", Some(None)),
        ] {
            let missed = Budget::parse(line).unwrap().missed(&results);
            let found = missed.first().map(|missed| missed.found);
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn the_budgets_of_this_repository_name_rows_that_there_are() {
        for text in [
            include_str!("../../must.budget"),
            include_str!("../../goal.budget"),
        ] {
            let budget = Budget::parse(text).unwrap();
            for line in &budget.lines {
                let row = crate::suite::WORKLOADS
                    .iter()
                    .find(|one| one.id == line.row);
                let row = row.unwrap_or_else(|| panic!("{}", line.text));
                assert!(
                    line.metric == row.metric.key() || line.metric == "failed",
                    "{}",
                    line.text
                );
            }
        }
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (text, why) in [
            ("", "no budget"),
            ("# only words\n", "no budget"),
            ("W1 cpu_us 12", "a budget is `ROW METRIC <= BOUND`"),
            ("\nW1 cpu_us < 12", "line 2: < is neither"),
            ("W1 cpu_us <= fast", "fast is no number"),
            ("W1 cpu_us <= 12KB", "KB is none of"),
        ] {
            let error = Budget::parse(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        let budget = Budget::parse("W10-h1 bytes_conn <= 6KiB # idle\n").unwrap();
        assert_eq!((budget.lines[0].bound, budget.len()), (6144.0, 1));
        assert_eq!(budget.rows().collect::<Vec<_>>(), ["W10-h1"]);
    }
}
