//! Policies of routes: what is refused, and what the profile changes about reading them.

use adit_route::policy::{RewritePath, UpgradeWhen};
use adit_route::{Action, HostPattern, Profile};

use super::*;

fn route(text: &str) -> String {
    format!("{HEAD}routes:\n- {{host: a.test, {text}}}\n")
}

#[test]
fn wrong_paths_and_fields_are_refused_where_they_stand() {
    let backend = "backends: [\"http://127.0.0.1:1\"]";
    let cases: [(&str, &[&str]); 22] = [
        ("rewrite: {to: /a, addPrefix: /b}", &["ADIT-1018"]),
        ("rewrite: {forwardedPrefix: /b}", &["ADIT-1018"]),
        ("rewrite: /$1", &["ADIT-1018"]),
        ("rewrite: {to: /$1, regex: \"/(\"}", &["ADIT-1015"]),
        ("rewrite: {to: /x, regex: \"/(?=a)\"}", &["ADIT-1015"]),
        ("rewrite: {addPrefix: /x, regex: \"/a\"}", &["ADIT-1018"]),
        ("rewrite: {stripPrefix: api}", &["ADIT-1015"]),
        ("rewrite: /$nope", &["ADIT-1015"]),
        ("paths: [{regex: \"/(?=a)\"}]", &["ADIT-1015"]),
        ("httpsRedirect: sometimes", &["ADIT-1014"]),
        ("httpsRedirect: {status: 303}", &["ADIT-1014"]),
        ("upstreamHost: \"a b\"", &["ADIT-1015"]),
        ("requestHeaders: {set: {host: x}}", &["ADIT-1018"]),
        (
            "requestHeaders: {set: {x-forwarded-prefix: x}}",
            &["ADIT-1018"],
        ),
        ("cors: {origins: [a.test]}", &["ADIT-1015"]),
        ("cors: {origins: [\"https://a.test/\"]}", &["ADIT-1015"]),
        ("cors: {methods: [get]}", &["ADIT-1015"]),
        ("cookies: {path: [{to: /a}]}", &["ADIT-1018"]),
        ("cookies: {path: [{from: /b, to: /$1}]}", &["ADIT-1015"]),
        ("cookies: {sameSite: Lax}", &["ADIT-1014"]),
        ("appRoot: \"https://b.test/\"", &["ADIT-1015"]),
        ("paths: [{prefix: /, appRoot: /a}]", &["ADIT-1011"]),
    ];
    let place = Workplace::new();
    let mut wrong = String::new();
    for (text, expected) in cases {
        let found = match place.load(&route(&format!("{backend}, {text}"))) {
            Ok(_) => vec!["accepted".to_owned()],
            Err(report) => {
                let codes = report
                    .diagnostics
                    .iter()
                    .map(|found| found.code.to_string());
                codes.collect()
            }
        };
        if found != expected {
            writeln!(wrong, "{text}: {found:?}, not {expected:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_passed_through_host_has_no_policies() {
    let text =
        "tls: passthrough, backends: [\"10.0.0.1:443\"], rewrite: /x, hsts: true, appRoot: /x";
    let report = Workplace::new().load(&route(text)).unwrap_err();
    assert_eq!(report.diagnostics.len(), 3, "{report}");
}

#[test]
fn the_profile_of_a_host_holds_whichever_route_says_it() {
    let text = format!(
        "{HEAD}routes:\n- {{host: a.test, paths: [{{regex: \"/x(?!y)\", respond: {{}}, rewrite: {{to: /$1, regex: \"(?<=x)(.*)\"}}}}]}}\n\
         - {{host: a.test, profile: nginx, paths: [{{prefix: /z, respond: {{}}}}]}}\n"
    );
    let config = Workplace::new().good(&text);
    let profiles: Vec<_> = config
        .routes
        .hosts
        .iter()
        .map(|host| host.profile)
        .collect();
    assert_eq!(profiles, [Profile::Nginx, Profile::Nginx]);
}

#[test]
fn twins_are_made_unless_they_are_there() {
    let text = format!(
        "{HEAD}routes:\n- {{hosts: [a.test, www.b.test, www.c.test], wwwRedirect: true, respond: {{}}}}\n\
         - {{host: c.test, respond: {{}}}}\n"
    );
    let config = Workplace::new().good(&text);
    let hosts: Vec<_> = config
        .routes
        .hosts
        .iter()
        .map(|host| host.pattern.to_string())
        .collect();
    assert_eq!(
        hosts,
        [
            "a.test",
            "www.b.test",
            "www.c.test",
            "c.test",
            "www.a.test",
            "b.test"
        ]
    );
    let twin = HostPattern::parse("b.test").unwrap();
    let twin = config
        .routes
        .hosts
        .iter()
        .find(|host| host.pattern == twin)
        .unwrap();
    assert!(matches!(twin.rules[0].action, Action::Policy));
}

#[test]
fn paths_may_switch_off_what_their_route_says() {
    let text = "httpsRedirect: always, rewrite: {addPrefix: /x}, cors: true, hsts: true, respond: {}, \
                paths: [{prefix: /}, {prefix: /off, httpsRedirect: off, rewrite: off, cors: false, hsts: false}]";
    let config = Workplace::new().good(&route(text));
    let [all, none] = config.routes.hosts[0].rules.as_slice() else {
        panic!("two rules")
    };
    let policies = all.policies.as_ref().unwrap();
    assert_eq!(policies.https.as_ref().unwrap().when, UpgradeWhen::Always);
    let rewrite = policies.rewrite.as_ref().unwrap();
    assert!(matches!(&rewrite.path, RewritePath::AddPrefix(prefix) if **prefix == *"/x"));
    assert!(none.policies.is_none(), "{:?}", none.policies);
}
