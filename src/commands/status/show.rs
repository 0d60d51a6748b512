//! The status as a person reads it: what is wrong first, then what there is.
//!
//! Tables are as wide as their content. Whatever the answer lacks is shown as a dash, so that an
//! older or a newer adit can be asked as well.

use std::fmt::Write;

use serde_json::Value;

/// Hosts beyond these are left to the page and to JSON.
const MOST_HOSTS: usize = 50;
/// Certificates with less than this many days are spoken of.
const SOON: i64 = 21;

pub(super) fn text(status: &Value) -> String {
    let mut text = String::new();
    head(&mut text, status);
    trouble(&mut text, status);
    table(
        &mut text,
        &["door", "role", "speaks", "address", "open", "refused"],
        doors(status),
    );
    table(
        &mut text,
        &["host", "exposure", "doors", "req/s", "5xx", "p95"],
        hosts(status),
    );
    let more = list(at(status, "hosts")).count().saturating_sub(MOST_HOSTS);
    if more > 0 {
        let _ = writeln!(text, "and {more} more hosts: see the page, or -o json");
    }
    text
}

fn head(text: &mut String, status: &Value) {
    let config = match at(at(status, "config"), "valid").as_bool() {
        Some(true) => "newest configuration",
        _ => "NEWEST CONFIGURATION REFUSED",
    };
    let uptime = at(status, "uptimeSeconds").as_u64().unwrap_or_default();
    // Writing to a string cannot fail; the same below.
    let _ = writeln!(
        text,
        "adit {} {}, generation {}, {config}, up {}",
        word(at(status, "version")),
        word(at(status, "phase")),
        at(status, "generation"),
        span(uptime),
    );
    let [rate, errors, p95] = traffic(at(status, "traffic"));
    let window = at(status, "window").as_f64().unwrap_or_default();
    let _ = writeln!(
        text,
        "{rate} req/s, {errors} answered 5xx, p95 {p95}, over {window:.0} s"
    );
}

/// Everything that somebody should look at.
fn trouble(text: &mut String, status: &Value) {
    let mut lines = Vec::new();
    let config = at(status, "config");
    if let (Some(since), Some(error)) = (
        at(config, "refusedSince").as_str(),
        at(config, "error").as_str(),
    ) {
        lines.push(format!("configuration refused since {since}:"));
        lines.extend(error.trim_end().lines().map(|line| format!("  {line}")));
    }
    lines.extend(list(at(status, "degraded")).map(word));
    for upstream in list(at(status, "upstreams")) {
        let name = word(at(upstream, "name"));
        if list(at(upstream, "endpoints")).next().is_none() {
            lines.push(format!("backend {name}: no address is known"));
        }
        let unfit = list(at(upstream, "endpoints")).filter(|endpoint| at(endpoint, "fit") == false);
        lines.extend(unfit.map(|endpoint| {
            let why = if at(endpoint, "ejected") == true {
                "ejected"
            } else {
                "unhealthy"
            };
            format!("backend {name}: {} is {why}", word(at(endpoint, "address")))
        }));
    }
    for certificate in list(at(status, "certificates")) {
        let name = word(at(certificate, "name"));
        match at(certificate, "days").as_i64() {
            Some(days) if days < 0 => lines.push(format!("certificate {name} has expired")),
            Some(days) if days < SOON => {
                lines.push(format!("certificate {name} expires in {days} days"));
            }
            _ => {}
        }
    }
    if let Some(panics @ 1..) = at(status, "panics").as_u64() {
        lines.push(format!(
            "{panics} connections were lost to faults of adit; its log says where"
        ));
    }
    for line in lines {
        let _ = writeln!(text, "! {line}");
    }
}

fn doors(status: &Value) -> Vec<Vec<String>> {
    let row = |door: &Value| {
        let addresses: Vec<String> = list(at(door, "addresses")).map(word).collect();
        vec![
            word(at(door, "name")),
            word(at(door, "role")),
            word(at(door, "kind")),
            addresses.join(" "),
            word(at(door, "open")),
            word(at(door, "refused")),
        ]
    };
    list(at(status, "doors")).map(row).collect()
}

fn hosts(status: &Value) -> Vec<Vec<String>> {
    let row = |host: &Value| {
        let exposure: Vec<String> = list(at(host, "exposure")).map(exposure).collect();
        let doors: Vec<String> = list(at(host, "doors")).map(word).collect();
        let [rate, errors, p95] = traffic(at(host, "traffic"));
        let doors = if doors.is_empty() {
            "-".to_owned()
        } else {
            doors.join(" ")
        };
        vec![
            word(at(host, "host")),
            exposure.join(", "),
            doors,
            rate,
            errors,
            p95,
        ]
    };
    list(at(status, "hosts"))
        .take(MOST_HOSTS)
        .map(row)
        .collect()
}

fn exposure(verdict: &Value) -> String {
    let part: Vec<String> = list(at(verdict, "hosts"))
        .chain(list(at(verdict, "paths")))
        .map(word)
        .collect();
    let class = word(at(verdict, "class"));
    if part.is_empty() {
        return class;
    }
    format!("{class} ({})", part.join(" "))
}

/// Requests per second, share of 5xx, 95th percentile.
fn traffic(rates: &Value) -> [String; 3] {
    let shown = |value: &Value, show: fn(f64) -> String| {
        value.as_f64().map_or_else(|| "-".to_owned(), show)
    };
    [
        shown(at(rates, "requestsPerSecond"), |rate| match rate {
            0.0 => "0".to_owned(),
            rate if rate < 10.0 => format!("{rate:.1}"),
            rate => format!("{rate:.0}"),
        }),
        shown(at(rates, "serverErrorShare"), |share| match share {
            0.0 => "0 %".to_owned(),
            share => format!("{:.1} %", share * 100.0),
        }),
        shown(at(rates, "p95Milliseconds"), |p95| match p95 {
            p95 if p95 < 10.0 => format!("{p95:.1} ms"),
            p95 if p95 < 1_000.0 => format!("{p95:.0} ms"),
            p95 => format!("{:.1} s", p95 / 1_000.0),
        }),
    ]
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A field, null if there is none.
pub(super) fn at<'a>(value: &'a Value, field: &str) -> &'a Value {
    value.get(field).unwrap_or(&Value::Null)
}

/// A value without quotes, and without anything that a terminal would obey.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text
            .chars()
            .map(|letter| {
                if letter.is_control() {
                    '\u{fffd}'
                } else {
                    letter
                }
            })
            .collect(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn table(text: &mut String, heads: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    text.push('\n');
    for line in &lines {
        let mut shown = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(shown, "{cell:<width$}  ");
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_comes_first_and_the_rest_is_a_table() {
        let status = json!({
            "version": "0.1.0", "phase": "serving", "generation": 7, "uptimeSeconds": 7_300,
            "config": {"valid": false, "refusedSince": "2025-11-20T10:59:23Z",
                "error": "adit.yaml:3:1: unknown key\n  |\n"},
            "degraded": [], "panics": 0, "window": 9.9,
            "traffic": {"requestsPerSecond": 12.3, "serverErrorShare": 0.25,
                "p95Milliseconds": 1_500.0},
            "doors": [{"name": "webs", "role": "lan", "kind": "https",
                "addresses": ["[::]:443"], "open": 3, "refused": 0}],
            "hosts": [
                {"host": "www.example.test", "exposure": [{"class": "lan"}], "doors": ["webs"],
                    "traffic": {"requestsPerSecond": 0.0, "serverErrorShare": null,
                        "p95Milliseconds": null}},
                {"host": "git.example.test", "doors": [],
                    "exposure": [{"class": "public", "paths": ["/hook"]}, {"class": "off"}]},
            ],
            "upstreams": [{"name": "a", "endpoints": [
                {"address": "192.0.2.1:80", "fit": false, "ejected": true},
                {"address": "192.0.2.2:80", "fit": true, "ejected": false}]}],
            "certificates": [{"name": "old", "days": -1}, {"name": "site", "days": 5},
                {"name": "fresh", "days": 80}],
        });
        let wanted = "\
adit 0.1.0 serving, generation 7, NEWEST CONFIGURATION REFUSED, up 2 h
12 req/s, 25.0 % answered 5xx, p95 1.5 s, over 10 s
! configuration refused since 2025-11-20T10:59:23Z:
!   adit.yaml:3:1: unknown key
!     |
! backend a: 192.0.2.1:80 is ejected
! certificate old has expired
! certificate site expires in 5 days

door  role  speaks  address   open  refused
webs  lan   https   [::]:443  3     0

host              exposure             doors  req/s  5xx  p95
www.example.test  lan                  webs   0      -    -
git.example.test  public (/hook), off  -      -      -    -
";
        assert_eq!(text(&status), wanted);
    }

    #[test]
    fn an_answer_that_lacks_everything_is_shown_all_the_same() {
        let text = text(&json!({"phase": "starting\u{1b}[2J"}));
        assert!(text.contains("starting\u{fffd}[2J"), "{text}");
    }
}
