//! Random tables and requests against a naive reading of the rules: no index, no narrowing, every
//! candidate looked at. The seed of a failing round is printed.

use http::HeaderName;

use super::conditions::{field, header, is};
use super::*;
use crate::path::{has_prefix, is_plain, readings};
use crate::rule::ValueMatch;

const HOSTS: [&str; 10] = [
    "*",
    "a.test",
    "b.test",
    "*.test",
    "**.test",
    "*.a.test",
    "**.a.test",
    "x.a.test",
    "**.x.a.test",
    "test",
];
const ASKED: [&str; 9] = [
    "a.test",
    "b.test",
    "c.test",
    "x.a.test",
    "y.a.test",
    "y.x.a.test",
    "z.y.x.a.test",
    "test",
    "else",
];
const PATHS: [&str; 13] = [
    "/", "/a", "/a/", "/a/b", "/a/b/c", "/a-b", "/ab", "/b", "/b/a", "/a/bc", "/a/b/", "/b.c",
    "/b/.c",
];
const EXPRESSIONS: [&str; 5] = ["^/a", "b$", "^/a/b", "^/[ab]/", "c"];
const PIECES: [&str; 14] = [
    "/", "/a", "/b", "/ab", "/a/b", "/c", "-b", "%61", "%2f", "/..", "/.", ";x", ".c", "%252fb",
];

fn conditions(random: &mut fastrand::Rng) -> Conditions {
    let mut made = Conditions::default();
    if random.u8(..4) == 0 {
        made.methods.push(if random.bool() {
            Method::GET
        } else {
            Method::POST
        });
    }
    for name in ["h1", "h2"] {
        if random.u8(..5) == 0 {
            made.headers.push(header(
                name,
                if random.bool() {
                    is("1")
                } else {
                    ValueMatch::Present
                },
            ));
        }
    }
    if random.u8(..5) == 0 {
        made.query.push(field("q".into(), is("1")));
    }
    made
}

fn some_rules(random: &mut fastrand::Rng) -> Rules {
    let mut made: Rules = Vec::new();
    for payload in 0..random.usize(..10) {
        let path = match random.u8(..5) {
            0 | 1 => exact(random.choice(PATHS).unwrap()),
            2 => regex(random.choice(EXPRESSIONS).unwrap()),
            _ => prefix(random.choice(PATHS).unwrap()),
        };
        let entry = RuleEntry {
            path,
            conditions: conditions(random),
            payload,
        };
        let stem = |rule: &RuleEntry<usize>| match &rule.path {
            PathMatch::Prefix(path) => format!("prefix {}", path.trim_end_matches('/')),
            other => format!("{:?} {}", std::mem::discriminant(other), other.as_str()),
        };
        let twice = made
            .iter()
            .any(|other| stem(other) == stem(&entry) && other.conditions == entry.conditions);
        if !twice {
            made.push(entry);
        }
    }
    made
}

fn some_policy(random: &mut fastrand::Rng) -> ExposureRules {
    let classes = [Class::Off, Class::Lan, Class::Public, Class::Both];
    let made = (0..random.usize(..5)).map(|_| {
        let host = random.choice(HOSTS).unwrap();
        let path =
            (pattern(host).is_exact() && random.bool()).then(|| random.choice(PATHS).unwrap());
        policy(&[host], path.as_slice(), random.choice(classes).unwrap())
    });
    policies(made.collect())
}

fn some_request(random: &mut fastrand::Rng) -> Request {
    let plain = random.bool();
    let pieces = if plain { &PIECES[1..6] } else { &PIECES[..] };
    let path: String = (0..random.usize(1..5))
        .filter_map(|_| random.choice(pieces).copied())
        .collect();
    let path = if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    };
    let mut request = Request::new(&path);
    request.query = random.bool().then(|| "p=2&q=1".to_owned());
    for name in ["h1", "h2"] {
        if random.bool() {
            request = request.header(name, if random.bool() { "1" } else { "2" });
        }
    }
    if random.bool() {
        request.method(Method::POST)
    } else {
        request
    }
}

/// Rank of a host pattern that covers the host: smaller is more specific.
fn host_rank(host: &HostPattern) -> (u8, usize) {
    match host {
        HostPattern::Exact(_) => (0, 0),
        HostPattern::OneLabel(_) => (1, 0),
        HostPattern::Subtree(suffix) => (2, usize::MAX - suffix.as_str().len()),
        HostPattern::Any => (3, 0),
    }
}

fn naive_rule<'a>(rules: &'a Rules, path: &str, request: &Request) -> Option<&'a RuleEntry<usize>> {
    let covers = |rule: &RuleEntry<usize>| match &rule.path {
        PathMatch::Exact(wanted) => **wanted == *path,
        PathMatch::Prefix(wanted) => has_prefix(path, wanted),
        PathMatch::Regex(regex) => regex.is_match(path),
    };
    let holds = |rule: &RuleEntry<usize>| {
        let Conditions {
            methods,
            headers,
            query,
        } = &rule.conditions;
        let header = |name: &HeaderName| {
            request
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap())
        };
        (methods.is_empty() || methods.contains(&request.method))
            && headers
                .iter()
                .all(|wanted| header(&wanted.name).is_some_and(|value| wanted.value.matches(value)))
            && (query.is_empty() || request.query.is_some())
    };
    let rank = |rule: &RuleEntry<usize>| {
        let text = rule.path.as_str();
        let (kind, length, first) = match &rule.path {
            PathMatch::Exact(_) => (0, 0, 0),
            PathMatch::Regex(_) => (
                1,
                text.len(),
                rules
                    .iter()
                    .position(|other| other.path == rule.path)
                    .unwrap(),
            ),
            PathMatch::Prefix(_) => (2, text.trim_end_matches('/').len(), 0),
        };
        let Conditions {
            methods,
            headers,
            query,
        } = &rule.conditions;
        let said = std::cmp::Reverse((
            length,
            usize::MAX - first,
            !methods.is_empty(),
            headers.len(),
            query.len(),
        ));
        (kind, said, rule.payload)
    };
    rules
        .iter()
        .filter(|rule| covers(rule) && holds(rule))
        .min_by_key(|rule| rank(rule))
}

fn naive(
    hosts: &[(&str, Rules)],
    exposure: &ExposureRules,
    host: &str,
    request: &Request,
) -> (Result<usize, &'static str>, Option<Class>) {
    let covering = hosts
        .iter()
        .filter(|(known, _)| pattern(known).matches(host));
    let Some((_, rules)) = covering.min_by_key(|(known, _)| host_rank(&pattern(known))) else {
        return (Err("no host"), None);
    };
    let class = |path: &str| exposure.decide(host, path).class;
    let outcome = |path: &str| {
        (
            naive_rule(rules, path, request).map(|rule| rule.payload),
            class(path),
        )
    };
    let sent = outcome(&request.path);
    let same =
        readings(&request.path).is_ok_and(|all| all.iter().all(|path| outcome(path) == sent));
    let found = if same {
        sent.0.ok_or("none")
    } else {
        Err("ambiguous")
    };
    (found, Some(sent.1))
}

/// Acceptance: 14
#[test]
fn the_table_agrees_with_a_naive_reading_of_the_rules() {
    let (mut plain, mut ambiguous, mut matched) = (0, 0, 0);
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut names = HOSTS.to_vec();
        random.shuffle(&mut names);
        names.truncate(random.usize(1..=HOSTS.len()));
        let hosts: Vec<(&str, Rules)> = names
            .into_iter()
            .map(|name| (name, some_rules(&mut random)))
            .collect();
        let exposure = some_policy(&mut random);
        let table = table(hosts.clone(), &exposure);
        for _ in 0..40 {
            let (host, request) = (random.choice(ASKED).unwrap(), some_request(&mut random));
            let (expected, class) = naive(&hosts, &exposure, host, &request);
            let label = format!("seed {seed}: {} {host}{}", request.method, request.path);
            assert_eq!(selected(&table, host, &request), expected, "{label}");
            let verdict = table
                .host(host)
                .map(|found| found.verdict(host, &request.path).class);
            assert_eq!(verdict, class, "{label}");
            plain += usize::from(is_plain(&request.path));
            ambiguous += usize::from(expected == Err("ambiguous"));
            matched += usize::from(expected.is_ok());
        }
    }
    assert!(
        plain > 10_000 && ambiguous > 5_000 && matched > 10_000,
        "{plain} {ambiguous} {matched}"
    );
}
