//! Results as text, for terminals and for files beside the JSON.

use std::fmt::Write;

use super::{DIRECT, Metric, Results, Row};

/// The whole as text, 100 columns or so.
pub fn table(results: &Results) -> String {
    let mut out = String::new();
    let machine = &results.machine;
    let settings = &results.settings;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{}\n{}, {} × {}, {} rounds × {} s{}",
        results.begun,
        machine.kernel,
        machine.cpus,
        machine.cpu,
        settings.rounds,
        settings.seconds,
        if settings.pinned { ", pinned" } else { "" },
    );
    for subject in &results.subjects {
        let _ = writeln!(out, "  {:<10} {}", subject.name, subject.version);
    }
    out.push('\n');
    let names: Vec<&str> = results
        .subjects
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let mut grid = vec![head(results, &names)];
    grid.extend(results.rows.iter().map(|row| line(results, row, &names)));
    out += &columns(&grid);
    let (load, steal) = noise(results);
    let _ = writeln!(
        out,
        "\nMedians. Load average up to {load:.1}, stolen time up to {steal:.1} %. `÷ best` is {} ÷ the best of \
         the others, builds of adit left out;\nless is better except for Mbit/s. `*` marks a difference of more than 5 % with p < 0.05.",
        names.first().unwrap_or(&"ours"),
    );
    for (row, subject, why) in results.broken() {
        let _ = writeln!(out, "{row} {subject}: no good round: {why}");
    }
    out
}

fn head(results: &Results, names: &[&str]) -> Vec<String> {
    let mut head = vec!["row".to_owned(), "metric".to_owned()];
    head.extend(names.iter().map(ToString::to_string));
    if results.rivals().next().is_some() {
        head.extend(["best".to_owned(), "÷ best".to_owned()]);
    }
    head.push("rate/s".to_owned());
    head.push(DIRECT.to_owned());
    head
}

fn line(results: &Results, row: &Row, names: &[&str]) -> Vec<String> {
    let mut cells = vec![row.id.clone(), label(row)];
    for name in names {
        cells.push(
            row.result(name)
                .map_or("-".to_owned(), |result| number(result.median)),
        );
    }
    let ours = results.ours().unwrap_or_default();
    if results.rivals().next().is_some() {
        let best = row.best(results.rivals());
        cells.push(best.unwrap_or("-").to_owned());
        let ratio = best.and_then(|best| {
            let mark = if super::compare::differs(row, ours, best) {
                "*"
            } else {
                ""
            };
            Some(format!("{:.2}{mark}", row.ratio(ours, best)?))
        });
        cells.push(ratio.unwrap_or("-".to_owned()));
    }
    let rate = |name: &str| {
        let rate = row.summary(name, "rate");
        rate.map_or("-".to_owned(), |rate| number(rate.median))
    };
    cells.push(rate(ours));
    cells.push(match row.metric {
        Metric::CpuUs | Metric::CpuSGib => rate(DIRECT),
        _ => row
            .result(DIRECT)
            .map_or("-".to_owned(), |result| number(result.median)),
    });
    cells
}

fn label(row: &Row) -> String {
    match row.metric {
        Metric::CpuUs => format!("{} {}", row.metric.label(), row.unit),
        _ => row.metric.label().to_owned(),
    }
}

/// Three digits that mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 99.95 => format!("{value:.0}"),
        middle if middle >= 9.995 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

fn noise(results: &Results) -> (f64, f64) {
    let most = |metric: &str| {
        let samples = results
            .rows
            .iter()
            .flat_map(|row| row.samples.values().flatten());
        samples
            .filter_map(|sample| sample.get(metric))
            .fold(0.0, |most, value| f64::max(most, *value))
    };
    (most("load"), most("steal"))
}

/// Text left, numbers right.
pub(crate) fn columns(grid: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for cells in grid {
        for (at, cell) in cells.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(known) => *known = (*known).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut out = String::new();
    for cells in grid {
        let mut line = String::new();
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let _ = if at < 2 {
                write!(line, "{cell:<width$}  ")
            } else {
                write!(line, "{cell:>width$}  ")
            };
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;
    use super::*;

    #[test]
    fn a_row_says_who_is_best_and_how_far_we_are() {
        let ours = [10.0, 10.1, 10.2, 10.3, 10.4];
        let theirs = [20.0, 20.1, 20.2, 20.3, 20.4];
        let text = table(&results(&[
            ("adit", &ours),
            ("nginx", &theirs),
            ("haproxy", &[30.0; 5]),
            (DIRECT, &[0.0; 5]),
        ]));
        let row = text.lines().find(|line| line.starts_with("W1")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        let expected = [
            "W1", "CPU", "µs", "per", "request", "10.2", "20.2", "30.0", "nginx", "0.50*", "1000",
            "1000",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn numbers_have_the_digits_that_they_deserve() {
        for (value, text) in [
            (0.0, "0"),
            (0.294, "0.29"),
            (15.23, "15.2"),
            (99.96, "100"),
            (54_321.9, "54322"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
