//! Readings, canonical forms and byte rules, by table and against a slow reference.

use super::*;

fn read(path: &str) -> Vec<String> {
    readings(path).map(SmallVec::into_vec).unwrap_or_default()
}

/// Acceptance: 13
#[test]
fn bytes_that_must_be_escaped_are_refused() {
    for (path, query, expected) in [
        ("/", None, Ok(())),
        ("/a{b}|c^\"'", None, Ok(())),
        ("/a%20b%FF", Some("q=%zz\\`'{}|^"), Ok(())),
        ("/a?b", None, Ok(())),
        ("/a b", None, Err(PathError::PathByte)),
        ("/a\tb", None, Err(PathError::PathByte)),
        ("/a\x7f", None, Err(PathError::PathByte)),
        ("/\u{fc}", None, Err(PathError::PathByte)),
        ("/a#b", None, Err(PathError::PathByte)),
        ("/a\\b", None, Err(PathError::PathByte)),
        ("/a<b", None, Err(PathError::PathByte)),
        ("/a>b", None, Err(PathError::PathByte)),
        ("/a`b", None, Err(PathError::PathByte)),
        ("/a%", None, Err(PathError::Escape)),
        ("/a%2", None, Err(PathError::Escape)),
        ("/a%g0", None, Err(PathError::Escape)),
        ("/a%+1", None, Err(PathError::Escape)),
        ("/a%00b", None, Err(PathError::Nul)),
        ("/", Some("a b"), Err(PathError::QueryByte)),
        ("/", Some("a#b"), Err(PathError::QueryByte)),
        ("/", Some("a\"b"), Err(PathError::QueryByte)),
        ("/", Some("<a>"), Err(PathError::QueryByte)),
        ("/", Some("a\0"), Err(PathError::QueryByte)),
        ("/", Some("\u{fc}"), Err(PathError::QueryByte)),
    ] {
        let found = check_target(path.as_bytes(), query.map(str::as_bytes));
        assert_eq!(found, expected, "{path:?} {query:?}");
    }
    assert_eq!(PathError::PathByte.rule(), "N-08");
    assert_eq!(PathError::AboveRoot.rule(), "N-10");
}

#[test]
fn a_plain_path_has_one_reading() {
    for path in ["/", "/a", "/a/b.c/", "/a.b/c.", "*", "", "/a../b."] {
        assert!(is_plain(path), "{path}");
        assert_eq!(read(path), [path], "{path}");
    }
    for path in ["/%41", "//", "/a//b", "/.well-known", "/a;b", "/a\\b"] {
        assert!(!is_plain(path), "{path}");
    }
}

#[test]
fn every_reading_of_a_path_is_found() {
    for (path, expected) in [
        ("/.well-known/x", vec!["/.well-known/x"]),
        ("/a/...", vec!["/a/..."]),
        ("/a%20b", vec!["/a b", "/a%20b"]),
        ("/a%2Fb", vec!["/a%2Fb", "/a/b"]),
        ("/a%252Fb", vec!["/a%252Fb", "/a%2Fb", "/a/b"]),
        ("/a%25252Fb", vec!["/a%25252Fb", "/a%252Fb", "/a%2Fb"]),
        ("/a//b", vec!["/a//b", "/a/b"]),
        ("/a/./b", vec!["/a/./b", "/a/b"]),
        ("/a/../b", vec!["/a/../b", "/b"]),
        ("/a/b/..", vec!["/a/", "/a/b/.."]),
        ("/a;x=1/b", vec!["/a/b", "/a;x=1/b"]),
        ("/a%3bx/b", vec!["/a%3bx/b", "/a/b", "/a;x/b"]),
        ("/a%5Cb", vec!["/a%5Cb", "/a/b", "/a\\b"]),
        ("/a/%2e%2e/b", vec!["/a/%2e%2e/b", "/a/../b", "/b"]),
        ("/a/..;/b", vec!["/a/../b", "/a/..;/b", "/b"]),
        ("/a//../b", vec!["/a/../b", "/a//../b", "/a/b", "/b"]),
        ("/a/..//b", vec!["/a/../b", "/a/..//b", "//b", "/b"]),
        ("/%ff", vec!["/%ff", "/\u{fffd}"]),
    ] {
        let mut found = read(path);
        assert_eq!(found.first().map(String::as_str), Some(path));
        let mut expected: Vec<String> = expected.into_iter().map(String::from).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{path}");
    }
}

/// Acceptance: 13
#[test]
fn climbing_above_the_root_is_refused_however_it_is_written() {
    for path in [
        "/..",
        "/../a",
        "/a/../..",
        "/%2e%2e/a",
        "/%252e%252e/a",
        "/.%2e/a",
        "/..%2fa",
        "/..%5ca",
        "/..;/a",
        "/..%3bx/a",
        "/a//../../b",
        "/a/..%252f..%252fb",
        "/a/%5c../..",
    ] {
        assert_eq!(readings(path), Err(PathError::AboveRoot), "{path}");
    }
    assert_eq!(readings("a%41"), Err(PathError::Relative));
}

#[test]
fn the_work_for_one_path_is_bounded() {
    let bombs = [
        "/a//b;c%2F%252e/".repeat(500),
        "/%255c;".repeat(1000),
        "/a;%2f;%252f/./b%5C".repeat(400),
        "//".repeat(4096),
        "/%25".repeat(2048),
    ];
    for path in bombs {
        match readings(&path) {
            Ok(found) => assert!(found.iter().map(String::len).sum::<usize>() <= MAX_BYTES * 3),
            Err(error) => assert!(matches!(
                error,
                PathError::TooManyReadings | PathError::AboveRoot
            )),
        }
    }
    let long = format!("/{}", "%20name/".repeat(1000));
    assert_eq!(read(&long).len(), 2);
}

#[test]
fn readings_are_closed_under_every_step() {
    let mut random = fastrand::Rng::with_seed(7);
    let parts = [
        "/", "a", ".", "..", "%2e", "%2F", "%252f", "%5c", ";", "%3b", "%25", "b", "//", "/x/y",
    ];
    let mut accepted = 0;
    for _ in 0..20_000 {
        let length = random.usize(1..8);
        let path: String = std::iter::once("/")
            .chain((0..length).filter_map(|_| random.choice(parts)))
            .collect();
        let Ok(found) = explore(&path) else { continue };
        accepted += 1;
        for text in &found {
            let steps = [
                slashes_merged(text),
                backslashes_turned(text),
                without_parameters(text),
                without_dots(text).unwrap(),
            ];
            for made in steps.into_iter().flatten() {
                assert!(
                    found.contains(&made),
                    "{path}: {:?}",
                    String::from_utf8_lossy(&made)
                );
            }
        }
        let once = decoded(path.as_bytes()).unwrap_or_else(|| path.clone().into());
        let twice = decoded(&once).unwrap_or_else(|| once.clone());
        assert!(found.contains(&once) && found.contains(&twice), "{path}");
    }
    assert!(accepted > 5_000);
}

/// Acceptance: 16
#[test]
fn rewrites_see_the_canonical_form_only() {
    for (path, expected) in [
        ("/", Some("/")),
        ("/a/b", Some("/a/b")),
        ("/a%20b", Some("/a%20b")),
        ("/a%2fb", Some("/a%2Fb")),
        ("/%41%7e", Some("/A~")),
        ("/a//b/./c/../d", Some("/a/b/d")),
        ("/a;v=1/b", Some("/a;v=1/b")),
        ("/.well-known/x", Some("/.well-known/x")),
        ("/a/%2e%2e/b", Some("/b")),
        ("/..", None),
        ("/a/..;/b", None),
        ("/a/..%2fb", None),
        ("/a/%252e%252e/b", None),
        ("a", None),
    ] {
        let found = canonical(path);
        assert_eq!(found.as_deref(), expected, "{path}");
        if let Some(found) = found {
            assert_eq!(matches!(found, Cow::Borrowed(_)), found == path, "{path}");
        }
    }
}

#[test]
fn paths_of_rules_must_have_one_reading() {
    for (path, expected) in [
        ("/", Ok(())),
        ("/a/b/", Ok(())),
        ("/.well-known/acme-challenge/", Ok(())),
        ("a", Err(PathError::Relative)),
        ("", Err(PathError::Relative)),
        ("/a?b", Err(PathError::PathByte)),
        ("/a b", Err(PathError::PathByte)),
        ("/a//b", Err(PathError::NotCanonical)),
        ("/a%20b", Err(PathError::NotCanonical)),
        ("/a/../b", Err(PathError::NotCanonical)),
        ("/a;b", Err(PathError::NotCanonical)),
        ("/..", Err(PathError::AboveRoot)),
    ] {
        assert_eq!(check_rule_path(path), expected, "{path}");
    }
}

#[test]
fn prefixes_end_at_element_borders() {
    for (path, prefix, covered) in [
        ("/anything", "/", true),
        ("/api", "/api", true),
        ("/api/", "/api", true),
        ("/api/x", "/api/", true),
        ("/api", "/api/", true),
        ("/apix", "/api", false),
        ("/API", "/api", false),
        ("/", "/api", false),
    ] {
        assert_eq!(has_prefix(path, prefix), covered, "{path} {prefix}");
    }
}
