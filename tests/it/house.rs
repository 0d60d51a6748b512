//! Rules of this repository that nobody should have to remember.
//!
//! They are read off the tree itself: a new file or crate is covered without being listed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines that a file may have.
const MAX_LINES: usize = 600;

/// Crates of the workspace, and which of them each may name (ARCHITECTURE.md).
const EDGES: &[(&str, &[&str])] = &[
    (
        "adit",
        &[
            "adit-bench",
            "adit-controller",
            "adit-fuzz",
            "adit-proxy",
            "adit-route",
            "adit-sys",
        ],
    ),
    ("adit-bench", &[]),
    ("adit-controller", &["adit-route"]),
    ("adit-fuzz", &["adit-proxy", "adit-route"]),
    ("adit-libfuzzer", &["adit-fuzz"]),
    ("adit-proxy", &["adit-route", "adit-sys"]),
    ("adit-route", &[]),
    ("adit-sys", &[]),
];

/// Crates of others that must not be linked, however they come.
const NEVER: &[&str] = &[
    "ring",
    "openssl",
    "openssl-sys",
    "native-tls",
    "serde_yaml",
    "async-std",
];

/// Lowest versions with no known hole that matters here.
const FLOORS: &[(&str, &str)] = &[
    ("aws-lc-sys", "0.39.0"),
    ("bytes", "1.11.1"),
    ("h2", "0.4.17"),
    ("hickory-proto", "0.26.1"),
    ("hickory-resolver", "0.26.1"),
    ("http", "1.5.0"),
    ("hyper", "1.11.0"),
    ("idna", "1.0.3"),
    ("rustls", "0.23.18"),
    ("rustls-webpki", "0.103.13"),
    ("time", "0.3.47"),
    ("tonic", "0.12.3"),
    ("tungstenite", "0.20.1"),
];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the tree with this ending, without what is built.
pub(crate) fn files(ending: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, ending, found);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), ending, &mut found);
    found.sort();
    found
}

/// Runs a rule over every source file and reports all breaches together.
fn sources(rule: impl Fn(&str, &str) -> Option<String>) {
    let mut breaches = String::new();
    let files = files(".rs");
    assert!(!files.is_empty());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let name = path
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if let Some(breach) = rule(&name, &text) {
            breaches += &format!("{name}: {breach}\n");
        }
    }
    assert!(breaches.is_empty(), "\n{breaches}");
}

#[test]
fn each_file_opens_with_what_it_is() {
    sources(|_, text| {
        // The page of a crate may be its README.
        let head = text.starts_with("//! ") || text.starts_with("#![doc = include_str!(");
        (!head).then(|| "no //! head".to_owned())
    });
}

#[test]
fn no_file_is_too_long() {
    sources(|_, text| {
        let lines = text.lines().count();
        (lines > MAX_LINES).then(|| format!("{lines} lines"))
    });
}

#[test]
fn unsafe_code_has_one_home() {
    let word = ["un", "safe"].concat();
    let forms = ["{", "fn", "impl", "extern", "trait"].map(|after| format!("{word} {after}"));
    sources(|name, text| {
        if name.starts_with("proxy/sys/") {
            return None;
        }
        let line = text.lines().position(|line| {
            let code = line.split("//").next().unwrap_or_default();
            forms.iter().any(|form| code.contains(form))
        })?;
        Some(format!("line {}", line + 1))
    });
}

#[test]
fn lints_are_excused_with_a_reason() {
    let attribute = ["#[al", "low("].concat();
    let inner = ["#![al", "low("].concat();
    sources(|_, text| {
        let line = text
            .lines()
            .position(|line| line.contains(&attribute) || line.contains(&inner))?;
        Some(format!("line {}: use expect with a reason", line + 1))
    });
}

#[test]
fn nothing_is_left_to_do() {
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"]].map(|parts| parts.concat());
    sources(|_, text| {
        let line = text
            .lines()
            .position(|line| marks.iter().any(|mark| line.contains(mark)))?;
        Some(format!("line {}", line + 1))
    });
}

#[test]
fn crates_know_only_whom_they_may() {
    let mut seen = BTreeSet::new();
    for path in files("Cargo.toml") {
        let text = fs::read_to_string(&path).unwrap();
        let Some((_, package)) = text.split_once("[package]") else {
            continue;
        };
        let name = package
            .lines()
            .find_map(|line| line.strip_prefix("name = "))
            .unwrap()
            .trim_matches('"');
        let (_, allowed) = EDGES
            .iter()
            .find(|(crate_name, _)| *crate_name == name)
            .unwrap_or_else(|| panic!("{name} is not in the list of crates"));
        for line in package.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if dependency.starts_with("adit-") {
                assert!(allowed.contains(&dependency), "{name} names {dependency}");
            }
        }
        seen.insert(name.to_owned());
    }
    assert_eq!(seen.len(), EDGES.len(), "{seen:?}");
}

/// Acceptance: 52
#[test]
fn one_provider_of_tls_is_linked_and_no_other() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--offline",
            "--target",
            "all",
        ])
        .args([
            "--edges",
            "normal,build,dev",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8_lossy(&output.stdout).into_owned();
    let linked: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .collect();
    for never in NEVER {
        assert!(
            !linked.iter().any(|(name, _)| name == never),
            "{never} is linked"
        );
    }
    let rustls = linked.iter().filter(|(name, _)| *name == "rustls").count();
    assert_eq!(rustls, 1, "versions of rustls");
}

/// Numbers of a version, to be compared.
fn version(text: &str) -> Vec<u64> {
    let release = text.split(['-', '+']).next().unwrap_or_default();
    release
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect()
}

/// Acceptance: 52
#[test]
fn nothing_older_than_its_known_holes_is_locked() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for entry in lock.split("[[package]]").skip(1) {
        let field = |key: &str| {
            let start = format!("{key} = \"");
            entry
                .lines()
                .find_map(|line| line.strip_prefix(start.as_str())?.strip_suffix('"'))
        };
        let (name, locked) = (field("name").unwrap(), field("version").unwrap());
        if let Some((_, floor)) = FLOORS.iter().find(|(crate_name, _)| *crate_name == name) {
            assert!(
                version(locked) >= version(floor),
                "{name} {locked} is below {floor}"
            );
        }
    }
}

#[test]
fn the_service_is_as_closed_as_we_say() {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(root().join("deploy/systemd/adit.service"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, score) = text.rsplit_once("adit.service: ").expect("a verdict");
    let score: f64 = score.split(' ').next().unwrap().parse().unwrap();
    assert!(score <= 2.0, "exposure {score}");
}

#[test]
fn files_that_documents_name_exist() {
    let mut breaches = String::new();
    for path in files(".md") {
        let text = fs::read_to_string(&path).unwrap();
        let dir = path.parent().unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !dir.join(target).exists() {
                breaches += &format!("{}: {target}\n", path.display());
            }
        }
    }
    assert!(breaches.is_empty(), "\n{breaches}");
}
