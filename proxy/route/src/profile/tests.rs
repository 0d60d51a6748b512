//! What each profile makes of the paths of a host.

use super::*;
use crate::policy::Rewrite;
use crate::rule::{HostTls, Place, RuleTimeouts};

fn rule(text: &str) -> Rule {
    let (written, rewrite) = match text.split_once(" -> ") {
        Some((path, to)) => (path, Some(to)),
        None => (text, None),
    };
    let path = match written.split_once(' ').unwrap() {
        ("exact", path) => PathMatch::Exact(path.into()),
        ("prefix", path) => PathMatch::Prefix(path.into()),
        (_, path) => PathMatch::Regex(Pattern::compile(path, Syntax::NGINX_PATH).unwrap()),
    };
    let rewrite = rewrite.map(|to| Rewrite {
        path: RewritePath::Expression {
            pattern: Some(Pattern::compile(path.as_str(), Syntax::NGINX_REWRITE).unwrap()),
            to: Template::with_captures(to, &[]).unwrap(),
        },
        forwarded_prefix: None,
    });
    Rule {
        path,
        conditions: Conditions::default(),
        action: Action::Policy,
        timeouts: RuleTimeouts::default(),
        max_body: None,
        low_priority: false,
        websocket: true,
        policies: rewrite.map(|rewrite| {
            Arc::new(Policies {
                rewrite: Some(rewrite),
                ..Policies::default()
            })
        }),
        place: Place::default(),
    }
}

fn host(profile: Profile, rules: &[&str]) -> HostRoutes {
    HostRoutes {
        pattern: HostPattern::parse("a.test").unwrap(),
        name: None,
        place: Place::default(),
        profile,
        tls: HostTls::default(),
        app_root: None,
        rules: rules.iter().map(|text| rule(text)).collect(),
    }
}

/// `exact /foo 301` for a rule that redirects.
fn shown(hosts: &[HostRoutes]) -> Vec<String> {
    let rules = expanded(hosts)
        .into_iter()
        .flat_map(|host| host.rules.clone());
    let show = |rule: Rule| {
        let kind = match &rule.path {
            PathMatch::Exact(_) => "exact",
            PathMatch::Prefix(_) => "prefix",
            PathMatch::Regex(_) => "regex",
        };
        let redirect = rule
            .policies
            .as_ref()
            .and_then(|policies| policies.redirect.as_ref());
        let status = redirect.map(|redirect| format!(" {}", redirect.status.as_u16()));
        format!(
            "{kind} {}{}",
            rule.path.as_str(),
            status.unwrap_or_default()
        )
    };
    rules.map(show).collect()
}

#[test]
fn each_profile_makes_its_rules_of_the_paths() {
    let cases: [(&str, Profile, &[&str], &[&str]); 12] = [
        (
            "strict leaves all",
            Profile::Strict,
            &["prefix /foo/", "exact /bar/"],
            &["prefix /foo/", "exact /bar/"],
        ),
        (
            "PTH-07",
            Profile::Nginx,
            &["prefix /foo/"],
            &["exact /foo 301", "prefix /foo/"],
        ),
        (
            "PTH-08",
            Profile::Nginx,
            &["exact /foo/"],
            &["exact /foo 301", "exact /foo/"],
        ),
        (
            "PTH-09: a shorter prefix suppresses nothing",
            Profile::Nginx,
            &["prefix /", "prefix /foo/"],
            &["prefix /", "exact /foo 301", "prefix /foo/"],
        ),
        (
            "PTH-09: an exact path does",
            Profile::Nginx,
            &["exact /foo", "prefix /foo/"],
            &["exact /foo", "prefix /foo/"],
        ),
        (
            "no slash, no redirect",
            Profile::Nginx,
            &["prefix /foo", "prefix /"],
            &["prefix /foo", "prefix /"],
        ),
        (
            "RGX-01, RGX-04",
            Profile::Nginx,
            &["regex /x[0-9]", "prefix /foo", "exact /bar", "prefix /"],
            &[
                "regex /x[0-9]",
                "regex /foo/",
                "regex /foo",
                "regex /bar",
                "regex /",
            ],
        ),
        (
            "RGX-01: a rewrite",
            Profile::Nginx,
            &["prefix /a -> /", "prefix /foo"],
            &["regex /a", "regex /foo/", "regex /foo"],
        ),
        (
            "REW-01: to itself is none",
            Profile::Nginx,
            &["prefix /a -> /a", "prefix /foo"],
            &["prefix /a", "prefix /foo"],
        ),
        (
            "RGX-05",
            Profile::Nginx,
            &["regex /x", "prefix /foo/"],
            &["regex /x", "regex /foo/"],
        ),
        (
            "PTH-05 on a host of expressions",
            Profile::Nginx,
            &["regex /x", "exact /foo", "prefix /foo"],
            &["regex /x", "regex /foo", "regex /foo/"],
        ),
        (
            "a path that is no expression stands for itself",
            Profile::Nginx,
            &["regex /x", "exact /a("],
            &["regex /x", r"regex /a\("],
        ),
    ];
    for (what, profile, rules, wanted) in cases {
        assert_eq!(shown(&[host(profile, rules)]), wanted, "{what}");
    }
}

#[test]
fn entries_of_one_host_know_of_each_other() {
    let one = host(Profile::Nginx, &["prefix /foo"]);
    let other = host(Profile::Nginx, &["regex /x", "exact /foo"]);
    let found = shown(&[one, other]);
    assert_eq!(found, ["regex /foo/", "regex /foo", "regex /x"]);
}

#[test]
fn the_root_leads_to_the_application_whoever_owns_it() {
    for profile in [Profile::Strict, Profile::Nginx] {
        let plain = host(profile, &["exact /", "prefix /"]);
        let mut rooted = host(profile, &["prefix /app"]);
        rooted.app_root = Some(AppRoot { to: "/app".into() });
        let found = shown(&[plain, rooted]);
        assert_eq!(found, ["exact / 302", "prefix /", "prefix /app"]);
    }
}
