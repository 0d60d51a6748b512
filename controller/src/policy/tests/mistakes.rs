//! What is refused, and at which place of the file.

use adit_route::CidrSet;

use super::*;

#[test]
fn a_rule_that_says_nothing_clear_is_refused() {
    for (label, config, expected) in [
        (
            "no hosts",
            policy(vec![rule("r", &[], Class::Lan)]),
            vec![("ADIT-2005", "rules[0].hosts")],
        ),
        (
            "names twice",
            policy(vec![
                rule("r", &["git.test"], Class::Lan),
                rule("r", &["www.test"], Class::Lan),
            ]),
            vec![("ADIT-2004", "rules[1].name")],
        ),
        (
            "reserved name",
            policy(vec![rule("default", &["git.test"], Class::Lan)]),
            vec![("ADIT-2004", "rules[0].name")],
        ),
        (
            "paths under wildcards",
            policy(vec![paths(
                rule("r", &["git.test", "*.apps.test"], Class::Lan),
                &["/a"],
            )]),
            vec![("ADIT-2006", "rules[0].hosts[1]")],
        ),
        (
            "paths with several readings",
            policy(vec![paths(
                rule("r", &["git.test"], Class::Lan),
                &["/a", "b", "/a//b", "/%61"],
            )]),
            vec![
                ("ADIT-2007", "rules[0].paths[1]"),
                ("ADIT-2007", "rules[0].paths[2]"),
                ("ADIT-2007", "rules[0].paths[3]"),
            ],
        ),
    ] {
        assert_eq!(places(&errors(&config)), expected, "{label}");
    }
}

#[test]
fn a_rule_that_contradicts_its_surroundings_is_refused() {
    let public = |hosts| rule("r", hosts, Class::Public);
    for (label, config, expected) in [
        (
            "no way in for the Internet",
            PolicyConfig {
                has_internet_listener: false,
                ..policy(vec![public(&["git.test"])])
            },
            vec![("ADIT-2008", "rules[0].exposure")],
        ),
        (
            "public default",
            PolicyConfig {
                default: Class::Both,
                ..policy(Vec::new())
            },
            vec![("ADIT-2010", "default")],
        ),
        (
            "unknown addresses",
            policy(vec![from(
                rule("r", &["git.test"], Class::Lan),
                &["hom", "home", "10.0.0.0/33", "192.168"],
            )]),
            vec![
                ("ADIT-2011", "rules[0].from[0]"),
                ("ADIT-2011", "rules[0].from[2]"),
                ("ADIT-2011", "rules[0].from[3]"),
            ],
        ),
        (
            "passthrough demanded of terminated routes",
            policy(vec![passthrough(rule(
                "r",
                &["argo.test", "git.test", "*.apps.test"],
                Class::Lan,
            ))]),
            vec![
                ("ADIT-2012", "rules[0].hosts[1]"),
                ("ADIT-2012", "rules[0].hosts[2]"),
                ("ADIT-2012", "rules[0].hosts[2]"),
            ],
        ),
        (
            "paths of a host whose paths cannot be seen",
            policy(vec![paths(
                rule("r", &["git.test", "argo.test"], Class::Lan),
                &["/admin"],
            )]),
            vec![("ADIT-2013", "rules[0].hosts[1]")],
        ),
        (
            "several at once",
            PolicyConfig {
                has_internet_listener: false,
                ..guarded(
                    &["git.test"],
                    vec![
                        from(public(&["git.test"]), &["nowhere"]),
                        rule("s", &[], Class::Lan),
                    ],
                )
            },
            vec![
                ("ADIT-2008", "rules[0].exposure"),
                ("ADIT-2009", "rules[0].hosts[0]"),
                ("ADIT-2011", "rules[0].from[0]"),
                ("ADIT-2005", "rules[1].hosts"),
            ],
        ),
    ] {
        assert_eq!(places(&errors(&config)), expected, "{label}");
    }
}

#[test]
fn networks_must_be_plain_to_tell_apart() {
    let networks = |networks| PolicyConfig {
        networks,
        ..PolicyConfig::default()
    };
    let lan = |name, cidrs| network(name, NetworkRole::Lan, cidrs);
    let cluster = |name, cidrs| network(name, NetworkRole::Cluster, cidrs);
    for (config, expected) in [
        (
            networks(vec![lan("a", &["10.0.0.0/8"]), lan("b", &["10.1.0.0/16"])]),
            vec![],
        ),
        (
            networks(vec![
                lan("a", &["10.0.0.0/16"]),
                cluster("b", &["10.1.0.0/16"]),
            ]),
            vec![],
        ),
        (
            networks(vec![
                lan("a", &["10.0.0.0/8"]),
                cluster("b", &["fd00::/8", "10.1.0.0/16"]),
            ]),
            vec![("ADIT-2003", "networks.b.cidrs[1]")],
        ),
        (
            networks(vec![
                cluster("a", &["::ffff:10.1.0.0/112"]),
                lan("b", &["10.0.0.0/8"]),
            ]),
            vec![("ADIT-2003", "networks.b.cidrs[0]")],
        ),
        (
            networks(vec![lan("a", &["10.0.0.0/8"]), lan("a", &["10.1.0.0/16"])]),
            vec![("ADIT-2001", "networks.a")],
        ),
        (
            networks(vec![lan("a", &[])]),
            vec![("ADIT-2002", "networks.a.cidrs")],
        ),
    ] {
        assert_eq!(places(&errors(&config)), expected);
    }
}

#[test]
fn lists_of_addresses_are_names_blocks_or_addresses() {
    let config = policy(Vec::new());
    let set = resolve_addresses(
        &strings(&["home", "2001:db8:2::7", "172.16.0.0/12"]),
        &config.networks,
    )
    .unwrap();
    for (address, inside) in [
        ("192.168.1.200", true),
        ("::ffff:192.168.1.200", true),
        ("2001:db8:2::7", true),
        ("2001:db8:2::8", false),
        ("172.31.0.1", true),
        ("10.66.0.1", false),
    ] {
        assert_eq!(set.contains(address.parse().unwrap()), inside, "{address}");
    }
    assert_eq!(
        resolve_addresses(&[], &config.networks),
        Ok(CidrSet::default())
    );

    let errors = resolve_addresses(&strings(&["vpn", "hmoe", "fe80::1%eth0"]), &config.networks)
        .unwrap_err();
    let found: Vec<_> = errors
        .iter()
        .map(|(at, error)| (*at, error.path.as_str(), error.suggestion.as_deref()))
        .collect();
    assert_eq!(found, [(1, "[1]", Some("home")), (2, "[2]", None)]);
    assert!(errors[0].1.help.contains("`home`, `vpn`"));
    assert!(config.network("vpn").is_some() && config.network("hmoe").is_none());
}
