//! Guarded hosts are never public: by the checks, by the compiled rules, and at random.

use adit_route::{CidrSet, ExposureRule, Role, Verdict};

use super::*;

#[test]
fn a_guarded_host_cannot_be_made_public() {
    let lan = |hosts| rule("lan", hosts, Class::Lan);
    let public = |hosts| rule("public", hosts, Class::Public);
    for (never, rules, expected) in [
        (
            &["git.test"][..],
            vec![public(&["www.test", "git.test"])],
            vec!["rules[0].hosts[1]"],
        ),
        (
            &["db.apps.test"],
            vec![public(&["*.apps.test"])],
            vec!["rules[0].hosts[0]"],
        ),
        (
            &["**.test"],
            vec![public(&["git.test"])],
            vec!["rules[0].hosts[0]"],
        ),
        (
            &["*"],
            vec![public(&["git.test"])],
            vec!["rules[0].hosts[0]"],
        ),
        (
            &["db.apps.test"],
            vec![lan(&["db.apps.test"]), public(&["*.apps.test"])],
            vec![],
        ),
        (
            &["db.apps.test"],
            vec![public(&["*.apps.test"]), lan(&["db.apps.test"])],
            vec!["rules[0].hosts[0]"],
        ),
        (
            &["*.apps.test"],
            vec![lan(&["db.apps.test"]), public(&["*.apps.test"])],
            vec!["rules[1].hosts[0]"],
        ),
        (
            &["git.test"],
            vec![paths(public(&["git.test"]), &["/hook"])],
            vec!["rules[0].hosts[0]"],
        ),
        (
            &["git.test"],
            vec![paths(lan(&["git.test"]), &["/a"]), public(&["git.test"])],
            vec!["rules[1].hosts[0]"],
        ),
        (
            &["git.test"],
            vec![
                paths(lan(&["git.test"]), &["/a"]),
                paths(public(&["git.test"]), &["/a/b"]),
            ],
            vec![],
        ),
        (&["**.int.test"], vec![public(&["*.test"])], vec![]),
        (
            &["git.test"],
            vec![rule("off", &["git.test"], Class::Off)],
            vec![],
        ),
    ] {
        let found = errors(&guarded(never, rules));
        assert!(
            found.iter().all(|error| error.code == "ADIT-2009"),
            "{found:?}"
        );
        assert_eq!(
            found
                .iter()
                .map(|error| error.path.as_str())
                .collect::<Vec<_>>(),
            expected,
            "{never:?}"
        );
    }
}

fn exposure(name: &str, hosts: &[&str], class: Class) -> ExposureRule {
    let verdict = Verdict {
        rule: name.into(),
        line: 3,
        class,
        from: None,
    };
    let (hosts, paths) = (patterns(hosts), Vec::new());
    ExposureRule {
        hosts,
        paths,
        requires_passthrough: false,
        verdict: Arc::new(verdict),
    }
}

#[test]
fn guards_hold_even_for_rules_that_passed_unchecked() {
    let inside = CidrSet::new(["10.0.0.0/8".parse().unwrap()]);
    let mut narrow = exposure("narrow", &["from.apps.test"], Class::Both);
    narrow.verdict = Arc::new(Verdict {
        from: Some(Arc::new(inside)),
        ..(*narrow.verdict).clone()
    });
    let mut hook = exposure("hook", &["git.test"], Class::Public);
    hook.paths = strings(&["/hook"]);
    let made = vec![
        exposure("gone", &["gone.apps.test"], Class::Off),
        narrow,
        hook,
        exposure("apps", &["*.apps.test", "git.test"], Class::Public),
        exposure("late", &["late.apps.test"], Class::Off),
    ];
    let never = patterns(&[
        "gone.apps.test",
        "db.apps.test",
        "from.apps.test",
        "git.test",
        "late.apps.test",
    ]);
    let rules = ExposureRules {
        rules: guards::enforce(made, &never),
        ..ExposureRules::default()
    };
    for (host, path, name, class) in [
        ("gone.apps.test", "/", "gone", Class::Off),
        ("db.apps.test", "/", guards::RULE, Class::Lan),
        ("from.apps.test", "/", guards::RULE, Class::Lan),
        ("git.test", "/hook", guards::RULE, Class::Lan),
        ("git.test", "/", guards::RULE, Class::Lan),
        ("late.apps.test", "/", guards::RULE, Class::Lan),
        ("web.apps.test", "/", "apps", Class::Public),
        ("other.test", "/", "default", Class::Lan),
    ] {
        let verdict = rules.decide(host, path);
        assert_eq!(
            (&*verdict.rule, verdict.class),
            (name, class),
            "{host}{path}"
        );
    }
    assert!(
        rules.decide("from.apps.test", "/").from.is_some(),
        "the guard widens nothing"
    );
    for host in &never {
        assert!(!rules.may_reach(host, Role::Internet), "{host}");
    }
}

#[test]
fn no_policy_that_compiles_shows_a_guarded_host_to_the_internet() {
    const PATTERNS: [&str; 9] = [
        "*",
        "**.test",
        "*.test",
        "*.a.test",
        "**.a.test",
        "a.test",
        "x.a.test",
        "y.x.a.test",
        "**.x.a.test",
    ];
    const HOSTS: [&str; 6] = [
        "a.test",
        "b.test",
        "x.a.test",
        "y.a.test",
        "y.x.a.test",
        "z.y.x.a.test",
    ];
    let classes = [Class::Off, Class::Lan, Class::Public, Class::Both];
    let mut accepted = 0;
    for seed in 0..5_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let never = [random.choice(PATTERNS).unwrap()];
        let rules = (0..random.usize(1..5)).map(|number| {
            let host = random.choice(PATTERNS).unwrap();
            let made = rule(
                &number.to_string(),
                &[host],
                random.choice(classes).unwrap(),
            );
            if pattern(host).is_exact() && random.bool() {
                paths(made, &["/p"])
            } else {
                made
            }
        });
        let config = guarded(&never, rules.collect());
        // What the rules say by themselves, without the guard.
        let (unguarded, _) = compile(&policy(config.rules.clone()), &RouteSet::default()).unwrap();
        let exposed = |rules: &ExposureRules| {
            let guarded = HOSTS
                .into_iter()
                .filter(|host| pattern(never[0]).matches(host));
            guarded
                .flat_map(|host| ["/", "/p"].map(|path| (host, path)))
                .any(|(host, path)| rules.decide(host, path).class.is_public())
        };
        if let Ok((rules, _)) = compile(&config, &RouteSet::default()) {
            accepted += 1;
            assert!(!exposed(&rules) && !exposed(&unguarded), "seed {seed}");
            assert!(
                !rules.may_reach(&pattern(never[0]), Role::Internet),
                "seed {seed}"
            );
        }
        let unchecked = ExposureRules {
            rules: guards::enforce(unguarded.rules, &config.guards.never_public),
            ..unguarded
        };
        assert!(!exposed(&unchecked), "seed {seed}");
    }
    assert!(accepted > 1_000, "{accepted}");
}

#[test]
fn patterns_that_share_a_host_contain_each_other() {
    let names = [
        "test",
        "a.test",
        "b.test",
        "x.a.test",
        "y.x.a.test",
        "z.y.x.a.test",
        "other",
    ];
    let forms = names.iter().flat_map(|name| {
        [
            (*name).to_owned(),
            format!("*.{name}"),
            format!("**.{name}"),
        ]
    });
    let forms: Vec<_> = forms
        .map(|form| pattern(&form))
        .chain([HostPattern::Any])
        .collect();
    for one in &forms {
        for other in &forms {
            let shared = coverage::meet(one, other);
            assert_eq!(shared.is_some(), one.overlaps(other), "{one} {other}");
            for host in names {
                let both = one.matches(host) && other.matches(host);
                assert_eq!(
                    shared.is_some_and(|shared| shared.matches(host)),
                    both,
                    "{one} {other} {host}"
                );
            }
        }
    }
}
