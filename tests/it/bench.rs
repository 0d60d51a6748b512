//! `adit bench`: it starts real peers, counts without failures, and says how it ended.
//!
//! No figure is judged here: what a time is worth on a machine that runs tests is nothing.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::Dir;
use crate::support::adit::adit;

/// As short as a run can be.
const SHORT: [&str; 6] = ["--seconds", "0.2", "--warmup", "0.1", "--rounds", "1"];

fn bench(arguments: &[&str], more: &[&str]) -> Output {
    let all: Vec<&str> = ["bench"]
        .iter()
        .chain(arguments)
        .chain(more)
        .copied()
        .collect();
    adit(&all)
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn rows_count_against_real_peers_without_failures() {
    let rows = [
        "run",
        "W1",
        "W2",
        "W3",
        "W4-resumed",
        "W5",
        "W6-up",
        "W7-connect",
        "W8-unary",
    ];
    let output = bench(&rows, &SHORT);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for row in &rows[1..] {
        let line = table.lines().find(|line| line.starts_with(row));
        let line = line.unwrap_or_else(|| panic!("{row} in {table}"));
        assert!(line.contains("nginx") || line.contains("haproxy"), "{line}");
    }
}

#[test]
fn results_are_kept_compared_drawn_and_judged() {
    let dir = Dir::new();
    let saved = dir.join("results.json").display().to_string();
    let page = dir.join("page.html").display().to_string();
    let budget = dir.write("budget", "W1 cpu_us <= 0.001\nW1 rate >= 1\n");
    let budget = budget.display().to_string();
    let run = [
        "run", "--peer", "nginx", "--save", &saved, "--html", &page, "--budget", &budget, "-o",
        "json",
    ];
    let output = bench(&run, &SHORT);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("budget missed: W1 cpu_us <= 0.001: found"),
        "{said}"
    );
    assert!(!said.contains("W1 rate"), "{said}");

    let results = json(&output);
    let subjects: Vec<&str> = results["subjects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subject| subject["name"].as_str().unwrap())
        .collect();
    assert_eq!(subjects, ["adit", "nginx"]);
    let row = &results["rows"][0];
    assert_eq!(row["id"], "W1");
    for subject in ["adit", "nginx"] {
        let sample = &row["samples"][subject][0];
        for metric in ["cpu_us", "rate", "p99_us", "rss_mib", "steal", "load"] {
            assert!(sample[metric].is_f64(), "{subject} {metric} in {sample}");
        }
    }
    assert!(row["samples"]["direct"][0]["rate"].as_f64().unwrap() > 0.0);
    assert!(fs::read_to_string(&page).unwrap().contains("<svg"));

    let drawing = dir.join("w1.svg").display().to_string();
    let output = bench(&["report", &saved, "--svg", &drawing, "--rows", "W1"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(fs::read_to_string(&drawing).unwrap().starts_with("<svg"));

    let output = bench(&["compare", &saved, &saved, "--strict", "-o", "json"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let rows = json(&output)["rows"].as_array().unwrap().clone();
    assert!(rows.iter().all(|row| row["verdict"] == "same"), "{rows:?}");
}

#[test]
fn idle_connections_are_weighed_and_reloads_lose_nothing() {
    let few = ["--connections", "40", "--alone", "-o", "json"];
    let mut arguments = vec![
        "run",
        "W10-accepted",
        "W10-h2",
        "W9-idle",
        "W15",
        "W14-start",
    ];
    arguments.extend(few);
    let output = bench(
        &arguments,
        &["--seconds", "1.2", "--warmup", "0.1", "--rounds", "1"],
    );
    let results = json(&output);
    assert_eq!(output.status.code(), Some(0), "{results}");
    let sample = |row: usize| results["rows"][row]["samples"]["adit"][0].clone();
    for idle in 0..3 {
        assert_eq!(sample(idle)["held"], 40.0, "{results}");
    }
    let reload = sample(3);
    assert!(reload["reloads"].as_f64().unwrap() >= 1.0, "{reload}");
    assert_eq!(reload["failed"], 0.0, "{reload}");
    assert!(sample(4)["rss_mib"].as_f64().unwrap() > 1.0);
}

#[test]
fn an_upload_over_a_long_way_and_an_open_load_count_too() {
    let output = bench(
        &[
            "run",
            "W11-25",
            "W13-20ms",
            "W9-echo",
            "--alone",
            "--connections",
            "4",
            "-o",
            "json",
        ],
        &SHORT,
    );
    let results = json(&output);
    assert_eq!(output.status.code(), Some(0), "{results}");
    for (row, metric) in [(0, "late_p99_us"), (1, "mbit_s"), (2, "cpu_us")] {
        let sample = &results["rows"][row]["samples"]["adit"][0];
        assert!(
            sample[metric].as_f64().unwrap() > 0.0,
            "{metric} in {sample}"
        );
    }
}

#[test]
fn what_cannot_be_measured_is_wrong_usage() {
    for (arguments, why) in [
        (&["run", "W99"][..], "there is no row W99"),
        (
            &["run", "W1", "--peer", "apache"],
            "apache is none of adit, nginx",
        ),
        (&["run", "W1", "--peer", "nginx=/no/such"], "/no/such"),
        (&["run", "W1", "--seconds", "0"], "a window"),
        (&["load", "https://127.0.0.1:1/"], "--insecure"),
        (&["compare", "/dev/null", "/dev/null"], "no results"),
    ] {
        let output = bench(arguments, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn a_load_says_what_failed() {
    let output = bench(
        &[
            "load",
            "http://127.0.0.1:1/",
            "-c",
            "1",
            "--seconds",
            "0.1",
            "--warmup",
            "0",
        ],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("failed: ") && said.contains("connection refused"),
        "{said}"
    );
}
