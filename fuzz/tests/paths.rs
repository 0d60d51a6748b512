//! Two hundred spellings of paths against five sets of routes: the decision is that of a model that
//! tries every reading a backend might have (N-09).
//!
//! The model shares no code with the table: it rewrites texts until nothing new comes out, and looks
//! at every rule for each of them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use adit_route::path::check_target;
use adit_route::table::{HostEntry, RequestView, RouteTable, RuleEntry, Selection};
use adit_route::{Conditions, ExposureRules, FieldList, HostPattern, PathMatch};
use http::Method;

/// Prefixes of one host each; an exact path ends in `$`.
const ROUTES: [&[&str]; 5] = [
    &["/"],
    &["/", "/admin"],
    &["/public", "/admin", "/public/special$"],
    &["/a/b", "/a/b/c$", "/a", "/A"],
    &["/api/v1", "/api/v2", "/static", "/"],
];

const FRONTS: [&str; 10] = [
    "/public",
    "/admin",
    "/a/b",
    "/a/b/c",
    "/api/v1",
    "/api/v1/x",
    "/static/s.css",
    "/",
    "/public/special",
    "/A",
];

/// What is done to a front: written behind it, or instead of one of its slashes.
const TWISTS: [&str; 22] = [
    "",
    "/",
    "//",
    "/.",
    "/..",
    "/../admin",
    "/..%2fadmin",
    "%2f..%2fadmin",
    "/%2e%2e/admin",
    "/%252e%252e/admin",
    "/%2e%2e%2fadmin",
    "/..;/admin",
    ";x=1",
    ";/../admin",
    "/..%5cadmin",
    "%5c..%5cadmin",
    "/./special",
    "/x/../special",
    "%2Fspecial",
    "//special",
    "/%2e",
    "/..%252fadmin",
];

fn spellings() -> Vec<String> {
    let twisted = FRONTS
        .iter()
        .flat_map(|front| TWISTS.iter().map(move |twist| format!("{front}{twist}")));
    let encoded = FRONTS.iter().flat_map(|front| {
        let first = front.replacen('a', "%61", 1);
        let slash = front[1..].replacen('/', "%2F", 1);
        [
            first,
            format!("/{slash}"),
            format!("/{front}"),
            format!("/.{front}"),
        ]
    });
    let all: BTreeSet<String> = twisted.chain(encoded).collect();
    all.into_iter().collect()
}

/// One step of some backend, and whether it decodes.
fn steps(text: &str) -> Result<Vec<(String, bool)>, ()> {
    let mut made = vec![
        (text.replace('\\', "/"), false),
        (merged(text), false),
        (without_parameters(text), false),
        (resolved(text)?, false),
    ];
    let decoded = decoded(text);
    made.push((decoded, true));
    Ok(made)
}

fn merged(text: &str) -> String {
    let mut text = text.to_owned();
    while text.contains("//") {
        text = text.replace("//", "/");
    }
    text
}

fn without_parameters(text: &str) -> String {
    let part = |part: &str| part.split(';').next().unwrap_or_default().to_owned();
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Dot-segments removed; an error if they climb above the root.
fn resolved(text: &str) -> Result<String, ()> {
    let parts: Vec<&str> = text.split('/').skip(1).collect();
    let mut kept: Vec<&str> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        match *part {
            "." => {}
            ".." => drop(kept.pop().ok_or(())?),
            part => kept.push(part),
        }
        if at + 1 == parts.len() && (*part == "." || *part == "..") {
            kept.push("");
        }
    }
    Ok(format!("/{}", kept.join("/")))
}

fn decoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out += &rest[..at];
        let value = rest
            .get(at + 1..at + 3)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (decoded, taken) = match value {
            Some(value) => (char::from(value), 3),
            None => ('%', 1),
        };
        out.push(decoded);
        rest = &rest[at + taken..];
    }
    out + rest
}

/// Everything that the path can be read as, with at most two decodings.
fn readings(path: &str) -> Result<BTreeSet<String>, ()> {
    let mut seen: BTreeSet<(String, u8)> = BTreeSet::new();
    let mut open = vec![(path.to_owned(), 0)];
    while let Some((text, decodes)) = open.pop() {
        if !seen.insert((text.clone(), decodes)) {
            continue;
        }
        for (next, decodes_again) in steps(&text)? {
            let decodes = decodes + u8::from(decodes_again && next != text);
            if decodes <= 2 {
                open.push((next, decodes));
            }
        }
    }
    Ok(seen.into_iter().map(|(text, _)| text).collect())
}

fn rule_of(rules: &[&str], path: &str) -> Option<usize> {
    let exact = rules
        .iter()
        .position(|rule| rule.strip_suffix('$') == Some(path));
    let covers = |rule: &str| {
        let rule = rule.trim_end_matches('/');
        path == rule || path.starts_with(&format!("{rule}/"))
    };
    let longest = || {
        let prefixes = rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| !rule.ends_with('$'));
        let covering = prefixes.filter(|(_, rule)| covers(rule));
        covering
            .max_by_key(|(_, rule)| rule.len())
            .map(|(at, _)| at)
    };
    exact.or_else(longest)
}

/// `Err`: refused.
fn model(rules: &[&str], path: &str) -> Result<Option<usize>, ()> {
    let sent = rule_of(rules, path);
    let same = readings(path)?
        .iter()
        .all(|reading| rule_of(rules, reading) == sent);
    if same { Ok(sent) } else { Err(()) }
}

fn table(rules: &[&str]) -> RouteTable<(), usize> {
    let rules = rules.iter().enumerate().map(|(payload, rule)| RuleEntry {
        path: match rule.strip_suffix('$') {
            Some(exact) => PathMatch::Exact(exact.into()),
            None => PathMatch::Prefix((*rule).into()),
        },
        conditions: Conditions::default(),
        payload,
    });
    let entry = HostEntry {
        pattern: HostPattern::parse("a.test").unwrap(),
        payload: (),
        rules: rules.collect(),
    };
    RouteTable::build(vec![entry], &ExposureRules::default()).unwrap()
}

/// Acceptance: 14
#[test]
fn two_hundred_spellings_are_decided_as_the_model_says() {
    let spellings = spellings();
    assert!(spellings.len() >= 200, "{}", spellings.len());
    let (mut refused, mut wrong) = (0, String::new());
    for rules in ROUTES {
        let table = table(rules);
        for path in &spellings {
            assert_eq!(check_target(path.as_bytes(), None), Ok(()), "{path}");
            let request = RequestView {
                host: "a.test",
                method: &Method::GET,
                path,
                query: None,
                headers: &FieldList::new(),
            };
            let found = match table.host("a.test").unwrap().select(&request) {
                Selection::Rule(rule) => Ok(Some(rule.payload)),
                Selection::None => Ok(None),
                Selection::Ambiguous => Err(()),
            };
            let expected = model(rules, path);
            refused += usize::from(expected.is_err());
            if found != expected {
                let _ = writeln!(wrong, "{rules:?} {path}: {found:?}, not {expected:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(refused > 150, "{refused} refusals");
}

/// Acceptance: 14
#[test]
fn an_ambiguous_path_is_refused_exactly_where_the_routes_differ() {
    let path = "/public/..%2fadmin";
    for (rules, expected) in [
        (&["/"][..], Ok(Some(0))),
        (&["/public", "/admin"], Err(())),
        (&["/public"], Err(())),
        (&["/other"], Ok(None)),
    ] {
        assert_eq!(model(rules, path), expected, "the model, {rules:?}");
        let request = RequestView {
            host: "a.test",
            method: &Method::GET,
            path,
            query: None,
            headers: &FieldList::new(),
        };
        let table = table(rules);
        let selection = table.host("a.test").unwrap().select(&request);
        match expected {
            Ok(Some(_)) => assert!(matches!(selection, Selection::Rule(_)), "{rules:?}"),
            Ok(None) => assert!(matches!(selection, Selection::None), "{rules:?}"),
            Err(()) => assert!(matches!(selection, Selection::Ambiguous), "{rules:?}"),
        }
    }
}
