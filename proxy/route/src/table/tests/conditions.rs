//! Methods, header fields and query parameters, alone and against each other.

use http::HeaderName;

use super::*;
use crate::rule::{FieldMatch, ValueMatch};

pub(super) fn field<N>(name: N, value: ValueMatch) -> FieldMatch<N> {
    FieldMatch { name, value }
}

pub(super) fn is(text: &str) -> ValueMatch {
    ValueMatch::Exact(text.into())
}

pub(super) fn header(name: &'static str, value: ValueMatch) -> FieldMatch<HeaderName> {
    field(HeaderName::from_static(name), value)
}

#[test]
fn conditions_that_say_more_go_first_and_failing_ones_give_way() {
    let one_header = vec![header("a", is("1"))];
    let two_headers = vec![header("a", is("1")), header("b", is("1"))];
    let query = vec![field("q".to_owned(), is("1"))];
    let conditions = [
        Conditions::default(),
        Conditions {
            query,
            ..Conditions::default()
        },
        Conditions {
            headers: one_header,
            ..Conditions::default()
        },
        Conditions {
            headers: two_headers,
            ..Conditions::default()
        },
        Conditions {
            methods: vec![Method::PUT],
            ..Conditions::default()
        },
        Conditions {
            methods: vec![Method::PATCH, Method::PUT],
            ..Conditions::default()
        },
    ];
    let mut entries: Rules = conditions
        .into_iter()
        .enumerate()
        .map(|(payload, conditions)| RuleEntry {
            path: prefix("/p"),
            conditions,
            payload,
        })
        .collect();
    let deep = Conditions {
        headers: vec![header("deep", is("1"))],
        ..Conditions::default()
    };
    entries.push(RuleEntry {
        path: exact("/p/x"),
        conditions: deep,
        payload: 6,
    });
    let root = Conditions {
        methods: vec![Method::DELETE],
        ..Conditions::default()
    };
    entries.push(RuleEntry {
        path: prefix("/"),
        conditions: root,
        payload: 7,
    });
    let table = table(vec![("a.test", entries)], &ExposureRules::default());
    for (request, expected) in [
        (Request::new("/p"), Ok(0)),
        (Request::new("/p?q=1"), Ok(1)),
        (Request::new("/p?q=1").header("a", "1"), Ok(2)),
        (
            Request::new("/p?q=1").header("a", "1").header("b", "1"),
            Ok(3),
        ),
        (
            Request::new("/p").header("a", "1").method(Method::PUT),
            Ok(4),
        ),
        (Request::new("/p").method(Method::PATCH), Ok(5)),
        (Request::new("/p/x").header("deep", "1"), Ok(6)),
        (Request::new("/p/x"), Ok(0)),
        (Request::new("/p").method(Method::DELETE), Ok(0)),
        (Request::new("/q").method(Method::DELETE), Ok(7)),
        (Request::new("/q"), Err("none")),
    ] {
        assert_eq!(
            selected(&table, "a.test", &request),
            expected,
            "{} {}",
            request.method,
            request.path
        );
    }
}

#[test]
fn parameters_and_fields_are_compared_by_their_first_value() {
    let with = |conditions| {
        vec![RuleEntry {
            path: prefix("/"),
            conditions,
            payload: 0,
        }]
    };
    let parameter = |name: &str, value| {
        let query = vec![field(name.to_owned(), value)];
        with(Conditions {
            query,
            ..Conditions::default()
        })
    };
    let line = |name, value| {
        with(Conditions {
            headers: vec![header(name, value)],
            ..Conditions::default()
        })
    };
    let starts = |text: &str| ValueMatch::Regex(regex::Regex::new(text).unwrap());
    let get = Request::new;
    for (rules, request, found) in [
        (parameter("q", is("a b")), get("/?q=a+b"), true),
        (parameter("q", is("a b")), get("/?x&q=a%20b"), true),
        (parameter("q", is("a+b")), get("/?q=a%2bb"), true),
        (parameter("q", is("a")), get("/?%71=%61"), true),
        (parameter("q", is("a")), get("/?q=b&q=a"), false),
        (parameter("q", is("a")), get("/?Q=a"), false),
        (parameter("q", is("50%")), get("/?q=50%"), true),
        (parameter("q", is("50%zz")), get("/?q=50%zz"), true),
        (parameter("q", is("")), get("/?q"), true),
        (parameter("q", is("a=b")), get("/?q=a=b"), true),
        (parameter("q", ValueMatch::Present), get("/?q"), true),
        (parameter("q", ValueMatch::Present), get("/"), false),
        (parameter("q", starts("^a b$")), get("/?q=a+b"), true),
        (parameter("q", starts("^a$")), get("/?q=ab"), false),
        (line("x", is("1")), get("/").header("x", "1"), true),
        (
            line("x", is("1")),
            get("/").header("x", "1").header("x", "2"),
            true,
        ),
        (
            line("x", is("2")),
            get("/").header("x", "1").header("x", "2"),
            false,
        ),
        (
            line("x", is("\u{fc}")),
            get("/").header("x", "\u{fc}"),
            true,
        ),
        (
            line("x", starts("^v[0-9]")),
            get("/").header("x", "v2"),
            true,
        ),
        (
            line("x", ValueMatch::Present),
            get("/").header("x", ""),
            true,
        ),
        (line("x", ValueMatch::Present), get("/"), false),
    ] {
        let label = format!("{:?} {:?}", rules[0].conditions, request.query);
        let table = table(vec![("a.test", rules)], &ExposureRules::default());
        assert_eq!(
            selected(&table, "a.test", &request).is_ok(),
            found,
            "{label}"
        );
    }
}
