//! What the tests ask about: every kind of door, host, route and rule.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use adit_route::{
    Action, Address, Balance, CidrSet, Class, Conditions, ExposureRule, ExposureRules, FieldList,
    FixedResponse, HostPattern, HostRoutes, HostTls, Outlier, PathMatch, Place, Profile, Protocol,
    Retry, Role, RouteSet, Rule, RuleTimeouts, Target, UpstreamSpec, UpstreamTimeouts, Verdict,
    Weighted,
};
use http::{Method, StatusCode};
use rcgen::{CertificateParams, KeyPair};

use super::super::Explainer;
use crate::blueprint::{Blueprint, ForeignTunnel, HttpsRedirect, ListenerKind, ListenerSpec};
use crate::tls::{Certificate, CertificateSet};

fn set(blocks: &[&str]) -> CidrSet {
    CidrSet::new(blocks.iter().map(|block| block.parse().unwrap()))
}

fn door(name: &str, role: Role, kind: ListenerKind, port: u16) -> ListenerSpec {
    ListenerSpec {
        name: name.into(),
        role,
        binds: vec![([192, 0, 2, 1], port).into()],
        interface: None,
        kind,
        allow: None,
        deny: CidrSet::default(),
        proxy_protocol: None,
        trust_forwarded: CidrSet::default(),
        redirect: None,
        foreign_tunnel: ForeignTunnel::AsTunnel,
        refusal: StatusCode::FORBIDDEN,
        per_source: false,
    }
}

fn upstream(name: &str, protocol: Protocol, targets: &[(&str, u32)]) -> Arc<UpstreamSpec> {
    let target = |(address, weight): &(&str, u32)| Target {
        address: Address::Socket(address.parse().unwrap()),
        protocol,
        weight: *weight,
    };
    Arc::new(UpstreamSpec {
        name: name.into(),
        targets: targets.iter().map(target).collect(),
        balance: Balance::default(),
        tls: adit_route::BackendTls::default(),
        proxy_protocol: None,
        timeouts: UpstreamTimeouts::default(),
        health: None,
        outlier: Outlier::default(),
        retry: Retry::default(),
    })
}

fn rule(path: PathMatch, action: Action, line: u32) -> Rule {
    Rule {
        path,
        conditions: Conditions::default(),
        action,
        timeouts: RuleTimeouts::default(),
        max_body: None,
        low_priority: false,
        websocket: true,
        policies: None,
        place: Place {
            source: "adit.yaml".into(),
            line,
        },
    }
}

fn forward(shares: &[(Arc<UpstreamSpec>, u32)]) -> Action {
    let share = |(upstream, weight): &(Arc<UpstreamSpec>, u32)| Weighted {
        upstream: Arc::clone(upstream),
        weight: *weight,
    };
    Action::Forward(shares.iter().map(share).collect())
}

fn to(name: &str, address: &str) -> Action {
    forward(&[(upstream(name, Protocol::Http1, &[(address, 1)]), 1)])
}

fn host(name: &str, rules: Vec<Rule>) -> HostRoutes {
    HostRoutes {
        pattern: HostPattern::parse(name).unwrap(),
        name: None,
        place: Place::default(),
        profile: Profile::Strict,
        app_root: None,
        tls: HostTls::default(),
        rules,
    }
}

fn site(name: &str, action: Action) -> HostRoutes {
    host(name, vec![rule(PathMatch::Prefix("/".into()), action, 3)])
}

fn exposure(name: &str, host: &str, paths: &[&str], class: Class, line: u32) -> ExposureRule {
    ExposureRule {
        hosts: vec![HostPattern::parse(host).unwrap()],
        paths: paths.iter().map(ToString::to_string).collect(),
        requires_passthrough: false,
        verdict: Arc::new(Verdict {
            rule: name.into(),
            line,
            class,
            from: None,
        }),
    }
}

fn certificate() -> Arc<Certificate> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["*.example.test".to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    let (chain, key) = (chain.as_bytes(), key.serialize_pem());
    let path = PathBuf::from("site.pem");
    let made = Certificate::from_pem(
        "site".into(),
        chain,
        key.as_bytes(),
        path,
        SystemTime::now(),
    );
    Arc::new(made.unwrap())
}

fn listeners() -> Vec<ListenerSpec> {
    use ListenerKind::{Admin, Http, Https, Tcp};
    let bytes = upstream("db", Protocol::Tcp, &[("192.0.2.50:5432", 1)]);
    let tcp = |tls| Tcp {
        upstream: Arc::clone(&bytes),
        tls,
    };
    vec![
        door("web", Role::Lan, Http, 80),
        door("webs", Role::Lan, Https, 443),
        ListenerSpec {
            redirect: Some(HttpsRedirect {
                port: Some(8443),
                status: StatusCode::PERMANENT_REDIRECT,
            }),
            ..door("net", Role::Internet, Http, 8080)
        },
        door("nets", Role::Internet, Https, 8443),
        ListenerSpec {
            allow: Some(set(&["10.0.0.0/8"])),
            deny: set(&["10.6.6.0/24"]),
            ..door("home", Role::Lan, Http, 81)
        },
        ListenerSpec {
            proxy_protocol: Some(set(&["192.0.2.0/24"])),
            foreign_tunnel: ForeignTunnel::Deny,
            ..door("edge", Role::Lan, Http, 82)
        },
        door("adm", Role::Admin, Admin, 9090),
        door("db", Role::Lan, tcp(false), 5432),
        door("dbs", Role::Lan, tcp(true), 5433),
    ]
}

fn routes() -> Vec<HostRoutes> {
    let posts = Rule {
        conditions: Conditions {
            methods: vec![Method::POST],
            ..Conditions::default()
        },
        max_body: Some(1000),
        ..rule(
            PathMatch::Prefix("/upload".into()),
            to("up", "192.0.2.11:80"),
            12,
        )
    };
    let answer = FixedResponse {
        status: StatusCode::NO_CONTENT,
        headers: FieldList::new(),
        body: Vec::new(),
    };
    let status = Action::Respond(Arc::new(answer));
    let one = upstream("one", Protocol::Http1, &[("192.0.2.11:80", 1)]);
    let two = upstream(
        "two",
        Protocol::H2c,
        &[("192.0.2.12:80", 1), ("192.0.2.13:80", 0)],
    );
    let idle = upstream("idle", Protocol::Http1, &[("192.0.2.14:80", 0)]);
    let own = upstream("own", Protocol::Tcp, &[("192.0.2.15:443", 1)]);
    vec![
        host(
            "www.example.test",
            vec![
                rule(
                    PathMatch::Prefix("/api/v1".into()),
                    forward(&[(one, 3), (two, 1)]),
                    11,
                ),
                posts,
                rule(PathMatch::Exact("/status".into()), status, 13),
            ],
        ),
        site("git.example.test", to("git", "192.0.2.16:80")),
        site("off.example.test", to("off", "192.0.2.16:80")),
        site("few.example.test", to("few", "192.0.2.16:80")),
        site("idle.example.test", forward(&[(idle, 1)])),
        site("loop.example.test", to("loop", "192.0.2.1:80")),
        site("*.apps.test", to("apps", "192.0.2.17:80")),
        HostRoutes {
            tls: HostTls::Passthrough(own),
            ..host("own.example.test", Vec::new())
        },
    ]
}

pub(super) fn explainer() -> Explainer {
    let mut few = exposure("few", "few.example.test", &[], Class::Lan, 24);
    few.verdict = Arc::new(Verdict {
        from: Some(Arc::new(set(&["10.1.0.0/16"]))),
        ..(*few.verdict).clone()
    });
    let rules = vec![
        exposure("site", "www.example.test", &[], Class::Public, 21),
        exposure("hooks", "git.example.test", &["/hook"], Class::Public, 22),
        exposure("hidden", "off.example.test", &[], Class::Off, 23),
        few,
    ];
    let blueprint = Blueprint {
        listeners: listeners().into_iter().map(Arc::new).collect(),
        routes: RouteSet { hosts: routes() },
        exposure: ExposureRules {
            rules,
            ..ExposureRules::default()
        },
        certificates: Arc::new(CertificateSet::new([certificate()])),
        ..Blueprint::default()
    };
    let explainer = Explainer::new(&blueprint).unwrap();
    let place = |line| Place {
        source: "adit.yaml".into(),
        line,
    };
    let places = [("site", 21), ("hooks", 22), ("hidden", 23), ("few", 24)];
    explainer.with_rule_places(places.map(|(name, line)| (name.into(), place(line))))
}
