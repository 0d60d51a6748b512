//! The policy as an operator meets it: what is accepted, what is refused and how that reads, and
//! that nothing becomes public by accident.

use std::net::SocketAddr;
use std::sync::Arc;

use adit_route::{
    Address, BackendTls, Balance, ExposureRules, HostRoutes, HostTls, Outlier, Profile, Protocol,
    Retry, RouteSet, Target, UpstreamSpec, UpstreamTimeouts,
};

use super::*;

fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

fn patterns(texts: &[&str]) -> Vec<HostPattern> {
    texts.iter().map(|text| pattern(text)).collect()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn place(line: u32) -> Place {
    Place {
        source: "adit.yaml".into(),
        line,
    }
}

fn rule(name: &str, hosts: &[&str], exposure: Class) -> RuleConfig {
    RuleConfig {
        name: name.into(),
        hosts: patterns(hosts),
        paths: Vec::new(),
        exposure,
        from: Vec::new(),
        tls_passthrough: false,
        place: place(7),
    }
}

fn paths(rule: RuleConfig, paths: &[&str]) -> RuleConfig {
    RuleConfig {
        paths: strings(paths),
        ..rule
    }
}

fn from(rule: RuleConfig, from: &[&str]) -> RuleConfig {
    RuleConfig {
        from: strings(from),
        ..rule
    }
}

fn passthrough(rule: RuleConfig) -> RuleConfig {
    RuleConfig {
        tls_passthrough: true,
        ..rule
    }
}

fn network(name: &str, role: NetworkRole, cidrs: &[&str]) -> Network {
    let cidrs = cidrs.iter().map(|block| block.parse().unwrap()).collect();
    Network {
        name: name.into(),
        role,
        cidrs,
    }
}

fn policy(rules: Vec<RuleConfig>) -> PolicyConfig {
    let networks = vec![
        network(
            "home",
            NetworkRole::Lan,
            &["192.168.1.0/24", "2001:db8:1::/48"],
        ),
        network("vpn", NetworkRole::Lan, &["10.66.0.0/24"]),
    ];
    PolicyConfig {
        networks,
        rules,
        has_internet_listener: true,
        ..PolicyConfig::default()
    }
}

fn guarded(never_public: &[&str], rules: Vec<RuleConfig>) -> PolicyConfig {
    PolicyConfig {
        guards: Guards {
            never_public: patterns(never_public),
        },
        ..policy(rules)
    }
}

fn upstream() -> Arc<UpstreamSpec> {
    let address = Address::Socket(SocketAddr::from(([192, 0, 2, 1], 443)));
    Arc::new(UpstreamSpec {
        name: "backend".into(),
        targets: vec![Target {
            address,
            protocol: Protocol::Tcp,
            weight: 1,
        }],
        balance: Balance::RoundRobin,
        tls: BackendTls::default(),
        proxy_protocol: None,
        timeouts: UpstreamTimeouts::default(),
        health: None,
        outlier: Outlier::default(),
        retry: Retry::default(),
    })
}

/// Routes for these hosts; `!` before a host passes its TLS through.
fn routes(hosts: &[&str]) -> RouteSet {
    let routes = hosts.iter().zip(20..).map(|(host, line)| HostRoutes {
        pattern: pattern(host.trim_start_matches('!')),
        name: None,
        place: place(line),
        profile: Profile::Strict,
        app_root: None,
        tls: if host.starts_with('!') {
            HostTls::Passthrough(upstream())
        } else {
            HostTls::default()
        },
        rules: Vec::new(),
    });
    RouteSet {
        hosts: routes.collect(),
    }
}

const ROUTES: &[&str] = &[
    "git.test",
    "www.test",
    "*.apps.test",
    "db.apps.test",
    "!argo.test",
    "!**.k8s.test",
];

fn compiled(config: &PolicyConfig) -> (ExposureRules, Vec<Finding>) {
    compile(config, &routes(ROUTES)).unwrap()
}

/// Code and path of each finding.
fn places(findings: &[Finding]) -> Vec<(&str, &str)> {
    findings
        .iter()
        .map(|finding| (finding.code, finding.path.as_str()))
        .collect()
}

fn errors(config: &PolicyConfig) -> Vec<Finding> {
    compile(config, &routes(ROUTES)).map_or_else(|errors| errors, |_| Vec::new())
}

#[test]
fn the_first_matching_rule_decides_and_lan_is_the_default() {
    let config = policy(vec![
        paths(
            rule("hook", &["git.test"], Class::Public),
            &["/api/webhook"],
        ),
        rule("db", &["db.apps.test"], Class::Off),
        from(
            rule("apps", &["*.apps.test"], Class::Both),
            &["home", "10.1.2.3"],
        ),
        passthrough(rule("argo", &["argo.test"], Class::Lan)),
    ]);
    let (rules, warnings) = compiled(&config);
    assert_eq!(places(&warnings), []);
    for (host, path, name, class) in [
        ("git.test", "/api/webhook/x", "hook", Class::Public),
        ("git.test", "/api/webhooks", "default", Class::Lan),
        ("db.apps.test", "/", "db", Class::Off),
        ("x.apps.test", "/", "apps", Class::Both),
        ("argo.test", "/", "argo", Class::Lan),
        ("other.test", "/", "default", Class::Lan),
    ] {
        let verdict = rules.decide(host, path);
        assert_eq!(
            (&*verdict.rule, verdict.class),
            (name, class),
            "{host}{path}"
        );
    }
    let apps = rules.decide("x.apps.test", "/");
    assert_eq!(apps.line, 7);
    let from = apps.from.as_ref().unwrap();
    for (address, inside) in [
        ("192.168.1.9", true),
        ("10.1.2.3", true),
        ("10.1.2.4", false),
        ("2001:db8:1::1", true),
    ] {
        assert_eq!(from.contains(address.parse().unwrap()), inside, "{address}");
    }
    assert!(rules.rules.last().unwrap().requires_passthrough);
}

#[test]
fn a_rule_above_settles_what_a_later_rule_would_contradict() {
    let config = policy(vec![
        rule("site", &["www.k8s.test", "git.test"], Class::Both),
        passthrough(rule("clusters", &["**.k8s.test", "git.test"], Class::Lan)),
    ]);
    let mixed = routes(&["www.k8s.test", "git.test", "!**.k8s.test"]);
    let (_, warnings) = compile(&config, &mixed).unwrap();
    assert_eq!(places(&warnings), [("ADIT-2101", "rules[1].hosts[1]")]);

    let alone = policy(vec![passthrough(rule(
        "clusters",
        &["**.k8s.test"],
        Class::Lan,
    ))]);
    let found = compile(&alone, &mixed).unwrap_err();
    assert_eq!(places(&found), [("ADIT-2012", "rules[0].hosts[0]")]);
    assert!(
        found[0].message.contains("`www.k8s.test` (adit.yaml:20)"),
        "{}",
        found[0].message
    );

    let exact = policy(vec![passthrough(rule("one", &["a.apps.test"], Class::Lan))]);
    assert!(compile(&exact, &routes(&["*.apps.test", "!a.apps.test"])).is_ok());
}

#[test]
fn rules_without_effect_are_warned_of() {
    for (rules, expected) in [
        (
            vec![
                rule("all", &["**.test"], Class::Lan),
                rule("git", &["git.test"], Class::Public),
            ],
            vec![("ADIT-2101", "rules[1]")],
        ),
        (
            vec![
                rule("all", &["*.test"], Class::Lan),
                rule("two", &["x.apps.test", "git.test"], Class::Off),
            ],
            vec![("ADIT-2101", "rules[1].hosts[1]")],
        ),
        (
            vec![
                paths(rule("api", &["git.test"], Class::Lan), &["/api"]),
                paths(rule("deep", &["git.test"], Class::Off), &["/api/x", "/api"]),
                paths(rule("half", &["git.test"], Class::Off), &["/api/x", "/b"]),
                rule("rest", &["git.test"], Class::Off),
            ],
            vec![("ADIT-2101", "rules[1]")],
        ),
        (
            vec![rule("open", &["*.apps.test", "x.apps.test"], Class::Public)],
            vec![],
        ),
        (vec![rule("open", &["x.apps.test"], Class::Public)], vec![]),
        (
            vec![rule("open", &["gti.test"], Class::Public)],
            vec![("ADIT-2102", "rules[0].hosts")],
        ),
        (vec![rule("closed", &["nothing.test"], Class::Off)], vec![]),
    ] {
        let (_, warnings) = compiled(&policy(rules));
        assert_eq!(places(&warnings), expected);
    }
    let (_, warnings) = compiled(&policy(vec![rule("open", &["gti.test"], Class::Public)]));
    assert_eq!(warnings[0].suggestion.as_deref(), Some("git.test"));
    let text = "ADIT-2102: rules[0].hosts: the rule `open` says `public`, but no route has one of its hosts";
    assert_eq!(warnings[0].to_string(), text);
}

mod guarded;
mod mistakes;
