//! The table as users meet it: tables of cases, then random tables against a reading of the rules
//! that is too slow to be wrong.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};

use super::*;
use crate::exposure::{Class, ExposureRule, Verdict};
use crate::field_list::FieldList;
use crate::pattern::{Pattern, Syntax};

type Rules = Vec<RuleEntry<usize>>;

fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

fn exact(path: &str) -> PathMatch {
    PathMatch::Exact(path.into())
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.into())
}

fn regex(path: &str) -> PathMatch {
    PathMatch::Regex(Pattern::compile(path, Syntax::default()).unwrap())
}

fn rules(paths: Vec<PathMatch>) -> Rules {
    let plain = paths.into_iter().enumerate();
    plain
        .map(|(payload, path)| RuleEntry {
            path,
            conditions: Conditions::default(),
            payload,
        })
        .collect()
}

fn table(hosts: Vec<(&str, Rules)>, exposure: &ExposureRules) -> RouteTable<usize, usize> {
    let entries = hosts.into_iter().enumerate();
    let entries = entries.map(|(payload, (host, rules))| HostEntry {
        pattern: pattern(host),
        payload,
        rules,
    });
    RouteTable::build(entries.collect(), exposure).unwrap()
}

#[derive(Clone)]
struct Request {
    method: Method,
    path: String,
    query: Option<String>,
    headers: FieldList,
}

impl Request {
    fn new(path: &str) -> Self {
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let (path, query) = (path.to_owned(), query.map(str::to_owned));
        Self {
            method: Method::GET,
            path,
            query,
            headers: FieldList::new(),
        }
    }

    fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
        self
    }

    fn view<'a>(&'a self, host: &'a str) -> RequestView<'a> {
        let Self {
            method,
            path,
            query,
            headers,
        } = self;
        RequestView {
            host,
            method,
            path,
            query: query.as_deref(),
            headers,
        }
    }
}

/// The payload of the selected rule, or the name of the other outcome.
fn selected(
    table: &RouteTable<usize, usize>,
    host: &str,
    request: &Request,
) -> Result<usize, &'static str> {
    let found = table.host(host).ok_or("no host")?;
    match found.select(&request.view(host)) {
        Selection::Rule(rule) => Ok(rule.payload),
        Selection::None => Err("none"),
        Selection::Ambiguous => Err("ambiguous"),
    }
}

fn check_paths(paths: Vec<PathMatch>, cases: &[(&str, Result<usize, &'static str>)]) {
    let table = table(vec![("a.test", rules(paths))], &ExposureRules::default());
    for (path, expected) in cases {
        assert_eq!(
            selected(&table, "a.test", &Request::new(path)),
            *expected,
            "{path}"
        );
    }
}

#[test]
fn the_most_specific_host_answers() {
    let hosts = [
        "*",
        "a.test",
        "*.test",
        "**.test",
        "*.b.test",
        "**.c.test",
        "**.d.c.test",
        "x.b.test",
        "10.0.0.1",
        "[::1]",
    ];
    let table = table(
        hosts.iter().map(|host| (*host, Vec::new())).collect(),
        &ExposureRules::default(),
    );
    for (host, expected) in [
        ("a.test", "a.test"),
        ("b.test", "*.test"),
        ("_acme.test", "*.test"),
        ("test", "*"),
        ("x.b.test", "x.b.test"),
        ("y.b.test", "*.b.test"),
        ("x.y.b.test", "**.test"),
        ("c.test", "*.test"),
        ("x.c.test", "**.c.test"),
        ("x.y.c.test", "**.c.test"),
        ("x.d.c.test", "**.d.c.test"),
        ("d.c.test", "**.c.test"),
        ("other.example", "*"),
        (".test", "*"),
        ("10.0.0.1", "10.0.0.1"),
        ("[::1]", "[::1]"),
    ] {
        assert_eq!(
            table.host(host).unwrap().pattern().to_string(),
            expected,
            "{host}"
        );
    }
    assert_eq!(
        table
            .hosts()
            .map(|host| host.pattern().to_string())
            .collect::<Vec<_>>(),
        hosts
    );
}

#[test]
fn a_found_host_never_falls_back_to_a_wider_one() {
    let hosts = vec![
        ("*", rules(vec![prefix("/")])),
        ("*.test", rules(vec![prefix("/")])),
        ("a.test", rules(vec![prefix("/only")])),
    ];
    let table = table(hosts, &ExposureRules::default());
    assert_eq!(selected(&table, "a.test", &Request::new("/only/x")), Ok(0));
    assert_eq!(
        selected(&table, "a.test", &Request::new("/other")),
        Err("none")
    );
    assert_eq!(selected(&table, "b.test", &Request::new("/other")), Ok(0));

    let without_any = RouteTable::<(), ()>::build(
        vec![HostEntry {
            pattern: pattern("a.test"),
            payload: (),
            rules: Vec::new(),
        }],
        &ExposureRules::default(),
    )
    .unwrap();
    assert!(without_any.host("b.test").is_none());
    assert_eq!(without_any.nearest("b.test"), ["a.test"]);
}

#[test]
fn exact_paths_match_the_whole_path_only() {
    check_paths(
        vec![exact("/foo"), exact("/bar/")],
        &[
            ("/foo", Ok(0)),
            ("/foo?x=1", Ok(0)),
            ("/foo/", Err("none")),
            ("/FOO", Err("none")),
            ("/fo", Err("none")),
            ("/bar", Err("none")),
            ("/bar/", Ok(1)),
            ("/", Err("none")),
        ],
    );
}

#[test]
fn prefixes_match_whole_elements_and_the_longest_wins() {
    check_paths(
        vec![
            prefix("/foo"),
            prefix("/aaa/bbb"),
            prefix("/aaa"),
            prefix("/aaa-bbb"),
            prefix("/aaa/bbb/ccc/"),
        ],
        &[
            ("/foo", Ok(0)),
            ("/foo/", Ok(0)),
            ("/foo/bar", Ok(0)),
            ("/foobar", Err("none")),
            ("/FOO", Err("none")),
            ("/aaa", Ok(2)),
            ("/aaa/", Ok(2)),
            ("/aaa/b", Ok(2)),
            ("/aaa/bbb", Ok(1)),
            ("/aaa/bbb/x", Ok(1)),
            ("/aaa/bbbx", Ok(2)),
            ("/aaa-bbb/x", Ok(3)),
            ("/aaa-", Err("none")),
            ("/aaa/bbb/ccc", Ok(4)),
            ("/aaa/bbb/ccc/x", Ok(4)),
            ("/aaa/bbb/cccc", Ok(1)),
            ("/", Err("none")),
            ("*", Err("none")),
        ],
    );
    check_paths(
        vec![prefix("/")],
        &[
            ("/", Ok(0)),
            ("/x", Ok(0)),
            ("/x/y/", Ok(0)),
            ("*", Err("none")),
        ],
    );
}

#[test]
fn an_exact_path_goes_before_the_same_prefix() {
    check_paths(
        vec![prefix("/"), prefix("/foo"), exact("/foo")],
        &[
            ("/foo", Ok(2)),
            ("/foo/", Ok(1)),
            ("/foo/x", Ok(1)),
            ("/bar", Ok(0)),
        ],
    );
}

#[test]
fn expressions_stand_between_exact_paths_and_prefixes() {
    check_paths(
        vec![
            prefix("/"),
            prefix("/api/long/path"),
            regex("^/api/.*"),
            regex("^/api/[a-z]+/x"),
            exact("/api/a/x"),
        ],
        &[
            ("/api/a/x", Ok(4)),
            ("/api/b/x", Ok(3)),
            ("/api/1", Ok(2)),
            ("/api/long/path/y", Ok(2)),
            ("/api", Ok(0)),
        ],
    );
}

#[test]
fn paths_that_could_mean_two_rules_are_ambiguous() {
    check_paths(
        vec![
            prefix("/"),
            prefix("/admin"),
            prefix("/files"),
            exact("/admin/login"),
        ],
        &[
            ("/%61dmin", Err("ambiguous")),
            ("/%2561dmin", Err("ambiguous")),
            ("//admin", Err("ambiguous")),
            ("/x/../admin", Err("ambiguous")),
            ("/x/..;/admin", Err("ambiguous")),
            ("/x%2f..%2fadmin", Err("ambiguous")),
            ("/files/%2e%2e/admin", Err("ambiguous")),
            ("/files/..%5cadmin", Err("ambiguous")),
            ("/admin;x=1", Err("ambiguous")),
            ("/admin/%6cogin", Err("ambiguous")),
            ("/../admin", Err("ambiguous")),
            ("/files/group%2Fproject", Ok(2)),
            ("/files//a", Ok(2)),
            ("/files/a;v=1", Ok(2)),
            ("/files/a/../b", Ok(2)),
            ("/admin/x%20y", Ok(1)),
            ("/.well-known/x", Ok(0)),
        ],
    );
    check_paths(
        vec![prefix("/a")],
        &[("/b%20c", Err("none")), ("/%61", Err("ambiguous"))],
    );
}

fn policy(hosts: &[&str], paths: &[&str], class: Class) -> ExposureRule {
    ExposureRule {
        hosts: hosts.iter().map(|host| pattern(host)).collect(),
        paths: paths.iter().map(ToString::to_string).collect(),
        requires_passthrough: false,
        verdict: Arc::new(Verdict {
            rule: format!("{hosts:?}{paths:?}").into(),
            line: 1,
            class,
            from: None,
        }),
    }
}

fn policies(rules: Vec<ExposureRule>) -> ExposureRules {
    ExposureRules {
        rules,
        ..ExposureRules::default()
    }
}

#[test]
fn a_path_that_could_mean_two_classes_is_ambiguous() {
    let exposure = policies(vec![
        policy(&["git.test"], &["/hook"], Class::Public),
        policy(&["two.test"], &["/a"], Class::Public),
        policy(&["two.test"], &[], Class::Public),
    ]);
    let hosts = vec![
        ("git.test", rules(vec![prefix("/")])),
        ("two.test", rules(vec![prefix("/")])),
    ];
    let table = table(hosts, &exposure);
    let git = table.host("git.test").unwrap();
    assert!(git.has_path_verdicts());
    assert_eq!(git.verdict("git.test", "/hook/x").class, Class::Public);
    assert_eq!(git.verdict("git.test", "/hooks").class, Class::Lan);
    for (host, path, expected) in [
        ("git.test", "/hook/x", Ok(0)),
        ("git.test", "/hook/../admin", Err("ambiguous")),
        ("git.test", "/hook/..%2fadmin", Err("ambiguous")),
        ("git.test", "/%68ook", Err("ambiguous")),
        ("git.test", "/hook/a%20b", Ok(0)),
        ("git.test", "/admin//x", Ok(0)),
        ("two.test", "/%61", Ok(0)),
    ] {
        assert_eq!(
            selected(&table, host, &Request::new(path)),
            expected,
            "{host}{path}"
        );
    }
}

#[test]
fn an_exact_policy_rule_holds_under_a_wildcard_route() {
    let exposure = policies(vec![
        policy(&["db.apps.test"], &[], Class::Lan),
        policy(&["*.apps.test"], &[], Class::Public),
    ]);
    let hosts = vec![
        ("*.apps.test", rules(vec![prefix("/")])),
        ("web.apps.test", rules(vec![prefix("/")])),
    ];
    let table = table(hosts, &exposure);
    let wildcard = table.host("db.apps.test").unwrap();
    assert_eq!(wildcard.pattern(), &pattern("*.apps.test"));
    assert!(!wildcard.has_path_verdicts());
    assert_eq!(wildcard.verdict("db.apps.test", "/").class, Class::Lan);
    assert_eq!(wildcard.verdict("x.apps.test", "/").class, Class::Public);
    assert_eq!(
        table
            .host("web.apps.test")
            .unwrap()
            .verdict("web.apps.test", "/")
            .class,
        Class::Public
    );
}

#[test]
fn entries_for_one_host_are_merged() {
    let hosts = vec![
        ("a.test", rules(vec![prefix("/a")])),
        ("b.test", rules(vec![prefix("/")])),
        (
            "a.test",
            vec![RuleEntry {
                path: prefix("/b"),
                conditions: Conditions::default(),
                payload: 1,
            }],
        ),
    ];
    let table = table(hosts, &ExposureRules::default());
    assert_eq!(table.hosts().len(), 2);
    let host = table.host("a.test").unwrap();
    assert_eq!((*host.payload(), host.rules().len()), (0, 2));
    assert_eq!(selected(&table, "a.test", &Request::new("/b")), Ok(1));
}

#[test]
fn rules_that_could_never_be_selected_are_errors() {
    let methods = |methods: &[Method]| Conditions {
        methods: methods.to_vec(),
        ..Conditions::default()
    };
    let entry = |path, conditions| RuleEntry {
        path,
        conditions,
        payload: (),
    };
    let host = |host: &str, rules| HostEntry {
        pattern: pattern(host),
        payload: (),
        rules,
    };
    let at = |host, rule| RulePosition { host, rule };
    let entries = vec![
        host(
            "a.test",
            vec![
                entry(prefix("/a"), methods(&[Method::GET, Method::PUT])),
                entry(prefix("/a"), Conditions::default()),
                entry(exact("/a"), Conditions::default()),
                entry(exact("relative"), Conditions::default()),
            ],
        ),
        host(
            "b.test",
            vec![
                entry(prefix("/a"), Conditions::default()),
                entry(prefix("/x//y"), Conditions::default()),
            ],
        ),
        host(
            "a.test",
            vec![
                entry(prefix("/a/"), methods(&[Method::PUT, Method::GET])),
                entry(prefix("/a/"), methods(&[Method::GET])),
                entry(exact("/a/"), Conditions::default()),
            ],
        ),
    ];
    let errors = RouteTable::build(entries, &ExposureRules::default()).unwrap_err();
    let path = |host, path: &str, at, error| TableError::Path {
        host: pattern(host),
        path: path.into(),
        at,
        error,
    };
    assert_eq!(
        errors,
        [
            path("a.test", "relative", at(0, 3), PathError::Relative),
            TableError::Duplicate {
                host: pattern("a.test"),
                path: "/a/".into(),
                first: at(0, 0),
                second: at(2, 0)
            },
            path("b.test", "/x//y", at(1, 1), PathError::NotCanonical),
        ]
    );
    assert_eq!(
        errors[1].to_string(),
        "two rules of `a.test` have the path `/a/` and the same conditions"
    );
}

mod conditions;
mod reference;
