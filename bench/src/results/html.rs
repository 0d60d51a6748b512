//! Results as a page: what ran where, a drawing of each row, and every figure behind it.

use std::fmt::Write;

use super::chart::{caption, chart, escape};
use super::table::number;
use super::{DIRECT, Results, Row};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1f2933; --soft: #667080; --line: #dde3e9; --page: #fff; --card: #f6f8fa; --ours: #c2571a }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #323c47; --page: #14191f; --card: #1b222a; --ours: #e8824a } }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1rem 4rem; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .3rem } h2 { font-size: 1rem; margin: 0 } p, dl { margin: .3rem 0 } a { color: inherit }
.soft { color: var(--soft) } section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 1rem 0 }
svg { max-width: 100%; height: auto; display: block } .wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px } th, td { padding: .15rem .6rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } thead th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--line) }
tr.ours td { color: var(--ours); font-weight: 600 } summary { cursor: pointer; color: var(--soft); margin-top: .5rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem } dt { color: var(--soft) } dd { margin: 0 }";

/// Metrics that are shown where there are any: key, head, factor.
const COLUMNS: &[(&str, &str, f64)] = &[
    ("cpu_us", "CPU µs", 1.0),
    ("user_us", "user µs", 1.0),
    ("system_us", "system µs", 1.0),
    ("cpu_s_gib", "CPU s/GiB", 1.0),
    ("bytes_conn", "bytes/conn", 1.0),
    ("left_mib", "MiB left", 1.0),
    ("rate", "rate/s", 1.0),
    ("busy", "busy %", 100.0),
    ("p50_us", "p50 ms", 0.001),
    ("p99_us", "p99 ms", 0.001),
    ("p999_us", "p99.9 ms", 0.001),
    ("late_p99_us", "generator late p99 ms", 0.001),
    ("mbit_s", "Mbit/s", 1.0),
    ("rss_mib", "RSS MiB", 1.0),
    ("switches", "switches", 1.0),
    ("syscalls", "syscalls", 1.0),
    ("failed", "failed", 1.0),
    ("moved", "moved", 1.0),
    ("effect_ms", "effect p99 ms", 1.0),
    ("generator_us", "generator µs", 1.0),
    ("load", "load avg", 1.0),
    ("steal", "steal %", 1.0),
];

/// The page; it needs nothing else.
pub fn html(results: &Results) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>adit bench</title>\n<style>{STYLE}\n</style>\n\
         <h1>adit bench</h1>\n"
    );
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<p class=\"soft\">{}, in {:.0} s. Bars are medians, dots are rounds. CPU time is that of the \
         proxy's processes, user and system mode.</p>",
        escape(&results.begun),
        results.took
    );
    facts(&mut out, results);
    for row in &results.rows {
        let _ = writeln!(
            out,
            "<section id=\"{0}\"><div class=\"wide\">{1}</div><details><summary>{2}: all figures</summary>\
             <div class=\"wide\">{3}</div></details></section>",
            escape(&row.id),
            chart(results, &[&row.id]),
            escape(&caption(row)),
            figures(results, row),
        );
    }
    out
}

fn facts(out: &mut String, results: &Results) {
    let machine = &results.machine;
    let settings = &results.settings;
    let mut fact = |name: &str, value: &str| {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    };
    let mut facts = vec![
        (
            "machine".to_owned(),
            format!(
                "{} × {}{}, {:.0} GiB",
                machine.cpus,
                machine.cpu,
                if machine.virtualised {
                    " (virtual)"
                } else {
                    ""
                },
                machine.memory as f64 / f64::from(1 << 30),
            ),
        ),
        ("kernel".to_owned(), machine.kernel.clone()),
        (
            "rounds".to_owned(),
            format!(
                "{} × {} s, {}",
                settings.rounds,
                settings.seconds,
                if settings.pinned {
                    "proxy alone on the first processor"
                } else {
                    "not pinned"
                },
            ),
        ),
    ];
    for subject in &results.subjects {
        facts.push((
            subject.name.clone(),
            format!(
                "{} (configuration {})",
                subject.version, subject.configuration
            ),
        ));
    }
    for (name, value) in facts {
        fact(&name, &value);
    }
    let list = out.find("<dt>").unwrap_or(out.len());
    out.insert_str(list, "<section><dl>\n");
    out.push_str("</dl></section>\n");
}

fn figures(results: &Results, row: &Row) -> String {
    let mut names: Vec<&str> = results
        .subjects
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    names.push(DIRECT);
    names.retain(|name| row.samples.contains_key(*name));
    let shown: Vec<_> = COLUMNS
        .iter()
        .filter(|(key, ..)| names.iter().any(|name| row.summary(name, key).is_some()))
        .collect();
    let mut out = "<table><thead><tr><th></th><th>rounds</th>".to_owned();
    for (_, head, _) in &shown {
        let _ = write!(out, "<th>{}</th>", escape(head));
    }
    out.push_str("</tr></thead>\n");
    for name in names {
        let class = if results.ours() == Some(name) {
            " class=\"ours\""
        } else {
            ""
        };
        let rounds = row.samples.get(name).map_or(0, Vec::len);
        let _ = write!(out, "<tr{class}><td>{}</td><td>{rounds}</td>", escape(name));
        for (key, _, factor) in &shown {
            let value = row.summary(name, key);
            let value = value.map_or("-".to_owned(), |value| number(value.median * factor));
            let _ = write!(out, "<td>{value}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
    for (name, reasons) in &row.void {
        let _ = writeln!(
            out,
            "<p class=\"soft\">{}: {} rounds did not count: {}</p>",
            escape(name),
            reasons.len(),
            escape(reasons.last().map_or("", String::as_str)),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;
    use super::*;

    #[test]
    fn the_page_has_each_row_and_needs_nothing_else() {
        let mut results = results(&[
            ("adit", &[10.0, 11.0]),
            ("nginx", &[20.0]),
            (DIRECT, &[1.0]),
        ]);
        results.rows[0]
            .void
            .insert("nginx".to_owned(), vec!["<502>".to_owned()]);
        results.subjects[1].version = "nginx & co".to_owned();
        let page = html(&results);
        for part in [
            "<section id=\"W1\">",
            "<td>adit</td><td>2</td><td>10.5</td>",
            "nginx &amp; co",
            "1 rounds did not count: &lt;502&gt;",
            "<td>direct</td>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("src=") && !page.contains("href="));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }
}
