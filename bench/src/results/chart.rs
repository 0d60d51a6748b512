//! Results as a drawing: for each row a bar per subject, with the rounds as dots upon it.
//!
//! One file without anything from elsewhere, readable on a light and on a dark ground.

use std::fmt::Write;

use super::table::number;
use super::{Metric, Results, Row};

const WIDTH: f64 = 860.0;
/// Where bars begin.
const LEFT: f64 = 170.0;
/// Where they end at the longest.
const RIGHT: f64 = 740.0;
const BAR: f64 = 16.0;
const GAP: f64 = 5.0;
const HEAD: f64 = 26.0;
const FOOT: f64 = 14.0;

const STYLE: &str = "
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2933 }
  .title { font-weight: 600 } .note { fill: #667080; font-size: 12px }
  .name { text-anchor: end } .ours { fill: #c2571a } .peer { fill: #9fb1c4 }
  .dot { fill: #1f2933; opacity: .45 } .axis { stroke: #cbd3dc }
  .value { font-variant-numeric: tabular-nums } .mine { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e9ee } .note { fill: #9aa7b4 } .ours { fill: #e8824a } .peer { fill: #54687d }
    .dot { fill: #fff } .axis { stroke: #3b4754 }
  }";

/// Some rows, one below the other; those without a result are left out.
pub fn chart(results: &Results, rows: &[&str]) -> String {
    let rows: Vec<&Row> = rows.iter().filter_map(|id| results.row(id)).collect();
    let mut y = 0.0;
    let mut body = String::new();
    for row in rows {
        y = one(&mut body, results, row, y);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" width=\"{WIDTH}\" \
         height=\"{y:.0}\" role=\"img\"><style>{STYLE}\n</style>\n{body}</svg>\n"
    )
}

/// What a row is about, in a line.
pub(super) fn caption(row: &Row) -> String {
    let what = match row.metric {
        Metric::CpuUs => format!("CPU µs per {}", row.unit),
        metric => metric.label().to_owned(),
    };
    let better = if row.metric.less_is_better() {
        "less is better"
    } else {
        "more is better"
    };
    format!("{what}, {better}")
}

fn one(out: &mut String, results: &Results, row: &Row, top: f64) -> f64 {
    let key = row.metric.key();
    let names: Vec<&str> = results
        .subjects
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let names: Vec<&str> = names
        .into_iter()
        .filter(|name| row.result(name).is_some())
        .collect();
    if names.is_empty() {
        return top;
    }
    let values = names.iter().flat_map(|name| row.values(name, key));
    let longest = values.fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let length = |value: f64| (RIGHT - LEFT) * (value / longest).clamp(0.0, 1.0);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"0\" y=\"{:.1}\">{}</text><text class=\"note\" x=\"{RIGHT}\" y=\"{:.1}\" \
         text-anchor=\"end\">{}</text>",
        top + 15.0,
        escape(&format!("{}  {}", row.id, row.title)),
        top + 15.0,
        escape(&caption(row)),
    );
    let mut y = top + HEAD;
    let ours = results.ours().unwrap_or_default();
    for name in names {
        let Some(result) = row.result(name) else {
            continue;
        };
        let (class, weight) = if name == ours {
            ("ours", " mine")
        } else {
            ("peer", "")
        };
        let _ = write!(
            out,
            "<text class=\"name{weight}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            LEFT - 8.0,
            y + 12.5,
            escape(name),
            length(result.median),
        );
        for value in row.values(name, key) {
            let _ = write!(
                out,
                "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"/>",
                LEFT + length(value),
                y + BAR / 2.0,
            );
        }
        let against = match row.ratio(name, ours) {
            Some(ratio) if name != ours => format!("  {ratio:.2}×"),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "<text class=\"value{weight}\" x=\"{:.1}\" y=\"{:.1}\">{}{against}</text>",
            RIGHT + 10.0,
            y + 12.5,
            number(result.median),
        );
        y += BAR + GAP;
    }
    let _ = writeln!(
        out,
        "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
        top + HEAD - 3.0,
        y - GAP + 3.0,
    );
    y + FOOT
}

/// For text and attributes of XML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        let mut results = results(&[("adit", &[10.0]), ("nginx", &[20.0]), ("caddy", &[])]);
        results.rows[0].title = "a < b".to_owned();
        let drawing = chart(&results, &["W1", "W9"]);
        assert!(
            drawing.contains("class=\"ours\" x=\"170\" y=\"26.0\" width=\"285.0\""),
            "{drawing}"
        );
        assert!(drawing.contains("class=\"peer\" x=\"170\" y=\"47.0\" width=\"570.0\""));
        assert!(drawing.contains("20.0  2.00×"));
        assert!(drawing.contains("a &lt; b") && !drawing.contains("caddy"));
    }
}
