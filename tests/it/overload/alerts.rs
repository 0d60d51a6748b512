//! The alert rules that are shipped speak of metrics that exist (O-09).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::FIXED;
use crate::support::site::Site;

const RULES: &str = "deploy/prometheus/adit.rules.yml";

fn rules() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(RULES)).unwrap()
}

#[test]
fn every_metric_of_an_alert_is_there_to_be_scraped() {
    let site = Site::new();
    let adit = site.run(FIXED);
    let answer = site.curl(adit.addr("adm")).get("http://localhost/metrics");
    let text = answer.expect(200).text();
    let families: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let name = regex::Regex::new(r"\b(?:adit|process)_[a-z_]+").unwrap();
    let rules = rules();
    let mut asked = 0;
    for line in rules
        .lines()
        .filter(|line| line.trim_start().starts_with("expr:"))
    {
        for found in name.find_iter(line) {
            assert!(
                families.contains(found.as_str()),
                "{} in {line}",
                found.as_str()
            );
            asked += 1;
        }
    }
    assert!(asked >= 14, "only {asked} metrics are asked for");
}

#[test]
fn prometheus_accepts_the_rules() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(RULES);
    let mut promtool = Command::new("promtool");
    let Ok(checked) = promtool.args(["check", "rules"]).arg(file).output() else {
        eprintln!("skipped: promtool, of Debian's package prometheus, is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}");
}
