//! The pages of docs/errors, and the words of logs and metrics: each code has a page, each example
//! causes what its page shows, and each rule that refuses something is explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::adit::command;
use crate::support::pki::write_identity;
use crate::support::site::Site;

/// Codes that the reading of a file forestalls: another check finds the same thing earlier.
const FORESTALLED: &[&str] = &[
    "ADIT-2001",
    "ADIT-2002",
    "ADIT-2005",
    "ADIT-2007",
    "ADIT-2010",
    "ADIT-2011",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages by their code.
fn pages() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(root().join("docs/errors")).unwrap();
    let mut pages: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let stem = path.file_stem()?.to_str()?.to_owned();
            stem.starts_with("ADIT-").then_some((stem, path))
        })
        .collect();
    pages.sort();
    pages
}

/// What stands in the first block of this kind.
fn block<'t>(text: &'t str, kind: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("```{kind}\n"))?;
    rest.split("```").next()
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let code = regex::Regex::new(r#""(ADIT-\d{4})""#).unwrap();
    let mut codes = BTreeSet::new();
    for source in ["src/config/problem.rs", "controller/src/policy/finding.rs"] {
        let text = fs::read_to_string(root().join(source)).unwrap();
        for found in code.captures_iter(&text) {
            assert!(codes.insert(found[1].to_owned()), "{} twice", &found[1]);
        }
    }
    let pages: BTreeSet<_> = pages().into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, pages);
    let index = fs::read_to_string(root().join("docs/errors/index.md")).unwrap();
    for code in codes {
        let link = format!("[{code}]({code}.md)");
        assert!(index.contains(&link), "{code} is not in the index");
    }
}

#[test]
fn every_example_of_an_error_causes_it_as_shown() {
    let mut wrong = String::new();
    for (code, path) in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let Some(shown) = block(&page, "text") else {
            assert!(FORESTALLED.contains(&&*code), "{code} has no example");
            continue;
        };
        let site = Site::new();
        let identity = site.pki.leaf(&["*.example.test"]);
        write_identity(&site.dir, "tls/example", &identity);
        let file = block(&page, "yaml").unwrap_or_default();
        let file = site.dir.write("adit.yaml", file);
        let dir = file.parent().unwrap();
        if let Some(script) = block(&page, "sh") {
            let mut shell = Command::new("sh");
            let done = shell.args(["-c", script]).current_dir(dir).status();
            assert!(done.unwrap().success(), "{code}: {script}");
        }
        let mut check = command();
        let output = check
            .args(["check", "adit.yaml"])
            .current_dir(dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let told = shown
            .strip_prefix("$ adit check adit.yaml\n")
            .expect("the command that was typed");
        if !said.contains(told) || !told.contains(&format!("[{code}]")) {
            wrong += &format!("{code}: shown\n{told}\nsaid\n{said}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Acceptance: 85
#[test]
fn every_rule_that_refuses_is_explained() {
    let page = fs::read_to_string(root().join("docs/reference/reasons.md")).unwrap();
    let rule = regex::Regex::new(r#""([A-Z]{1,2}-(?:\d{2}|[a-z-]+)|listener-lists)""#).unwrap();
    let mut missing = BTreeSet::new();
    let mut seen = 0;
    let mut folders = vec![root().join("proxy/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            // What only tests of a file name is not told to anybody.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for found in rule.captures_iter(text) {
                seen += 1;
                if !page.contains(&format!("`{}`", &found[1])) {
                    missing.insert(found[1].to_owned());
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} rules are found");
    assert!(missing.is_empty(), "{missing:?}");
}
