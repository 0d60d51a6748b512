//! The way of a request for people and for programs.

use std::fmt::Write as _;

use adit_proxy::explain::{Explanation, Question, Step, Verdict};
use serde_json::{Map, Value, json};

/// One line per step, its notes below it, the verdict last.
pub(super) fn text(explanation: &Explanation, colors: bool) -> String {
    let mut out = String::new();
    for step in &explanation.steps {
        let mark = match (colors, step.passed) {
            (true, true) => "\x1b[32m✓\x1b[0m",
            (true, false) => "\x1b[31m✗\x1b[0m",
            (false, true) => "ok",
            (false, false) => "no",
        };
        let _ = writeln!(out, "{mark} {:<9} {}", step.name, printable(&step.text));
        let indent = if colors { 12 } else { 13 };
        for note in &step.notes {
            let _ = writeln!(out, "{:indent$}{}", "", printable(note));
        }
    }
    let verdict = printable(&explanation.verdict.to_string());
    let (bold, plain) = if colors {
        ("\x1b[1m", "\x1b[0m")
    } else {
        ("", "")
    };
    let _ = writeln!(out, "{bold}verdict: {verdict}{plain}");
    out
}

/// Nothing of a URL or a file may steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// The same facts as one document.
pub(super) fn json(question: &Question, explanation: &Explanation) -> Value {
    json!({
        "request": {
            "listener": &*question.listener,
            "scheme": if question.secure { "https" } else { "http" },
            "host": question.host.as_str(),
            "port": question.port,
            "target": question.target,
            "method": question.method,
            "headers": question.fields,
        },
        "steps": explanation.steps.iter().map(step).collect::<Vec<_>>(),
        "failed": explanation.steps.iter().find(|step| !step.passed).map(|step| step.name),
        "verdict": verdict(&explanation.verdict),
    })
}

fn step(step: &Step) -> Value {
    let mut facts = Map::new();
    for (name, value) in &step.facts {
        let value = Value::from(value.as_str());
        match facts.get_mut(*name) {
            None => drop(facts.insert((*name).to_owned(), value)),
            // A fact that is told twice is a list.
            Some(Value::Array(all)) => all.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    json!({
        "name": step.name,
        "passed": step.passed,
        "text": step.text,
        "notes": step.notes,
        "facts": facts,
    })
}

fn verdict(verdict: &Verdict) -> Value {
    let why = verdict.why();
    let location = match verdict {
        Verdict::Redirected { location, .. } => Some(location),
        _ => None,
    };
    let destinations: Vec<_> = verdict
        .destinations()
        .iter()
        .map(|one| {
            json!({
                "upstream": &*one.upstream,
                "percent": one.percent,
                "endpoints": one.endpoints,
            })
        })
        .collect();
    json!({
        "kind": verdict.kind(),
        "text": verdict.to_string(),
        "status": verdict.status().map(|status| status.as_u16()),
        "rule": why.map(|why| why.rule).filter(|rule| !rule.is_empty()),
        "why": why.map(|why| &why.text),
        "hidden": why.is_some_and(|why| why.hidden),
        "location": location,
        "destinations": destinations,
    })
}
