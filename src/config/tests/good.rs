//! What right files mean.

use std::time::Duration;

use adit_proxy::blueprint::{ForeignTunnel, HttpsRedirect, ListenerKind};
use adit_proxy::limits::Limits;
use adit_route::{
    Action, Address, Balance, BindProxyProtocol, Class, Family, HashKey, HostTls, PathMatch,
    Protocol, Role, Rule, UpstreamSpec,
};
use http::StatusCode;

use super::*;

const SAMPLE: &str = r#"version: 1
networks:
  lan:  {role: lan, cidrs: [192.168.10.0/24, 127.0.0.0/8, "::1/128"]}
listeners:
  - {name: web,    role: lan, bind: "127.0.0.1:8080", redirect: https, allow: [lan]}
  - {name: plain,  role: lan, bind: "127.0.0.1:8081", allow: [lan]}
  - {name: webs,   role: lan, bind: "127.0.0.1:8443", tls: true, allow: [lan]}
  - {name: fromlb, role: lan, bind: "127.0.0.1:9443", tls: true, proxyProtocol: required, trustProxy: [127.0.0.1/32]}
  - {name: ldaps,  role: lan, bind: "127.0.0.1:6636", tcp: {backends: ["127.0.0.1:636"]}}
  - {name: adm,    role: admin, bind: "127.0.0.1:9090"}
certificates:
  files: [{cert: tls/example.pem, key: tls/example.key}]
routes:
  - {host: www.example.test, backends: ["http://127.0.0.1:8000", "http://[::1]:8000"]}
  - host: api.example.test
    paths:
      - {prefix: /v1, backends: ["http://127.0.0.1:8001"], timeouts: {response: 30s}}
      - {exact: /healthz, backends: ["http://127.0.0.1:8002"]}
  - {host: grpc.example.test, backends: ["h2c://127.0.0.1:50051"]}
  - {host: secure.example.test, backends: ["https://127.0.0.1:8444"], backendTls: {ca: tls/ca.pem, serverName: internal.example.test}}
  - {host: argocd.example.test, tls: passthrough, backends: ["127.0.0.1:30443"], proxyProtocol: v2}
  - {host: "**.c1.example.test", tls: passthrough, backends: [{dns: ingress.c1.example.test, family: ipv6, port: 443}]}
rules:
  - {name: hidden, hosts: [old.example.test], exposure: off}
default: {exposure: lan}
"#;

#[test]
fn the_listeners_of_an_edge_box_mean_what_they_say() {
    let place = Workplace::new();
    let config = place.good(SAMPLE);
    let names: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| &*listener.name)
        .collect();
    assert_eq!(names, ["web", "plain", "webs", "fromlb", "ldaps", "adm"]);
    let [web, plain, webs, fromlb, ldaps, adm] = config.listeners.as_slice() else {
        panic!("six listeners")
    };
    let redirect = HttpsRedirect {
        port: None,
        status: StatusCode::PERMANENT_REDIRECT,
    };
    assert_eq!(
        (&web.kind, web.redirect),
        (&ListenerKind::Http, Some(redirect))
    );
    assert!(
        web.allow
            .as_ref()
            .unwrap()
            .contains("192.168.10.9".parse().unwrap())
    );
    assert!(
        !web.allow
            .as_ref()
            .unwrap()
            .contains("192.168.11.9".parse().unwrap())
    );
    assert_eq!(
        (&plain.kind, &webs.kind, &adm.kind),
        (
            &ListenerKind::Http,
            &ListenerKind::Https,
            &ListenerKind::Admin
        )
    );
    assert!(
        fromlb
            .proxy_protocol
            .as_ref()
            .unwrap()
            .contains("127.0.0.1".parse().unwrap())
    );
    assert_eq!((fromlb.allow.as_ref(), adm.role), (None, Role::Admin));
    let ListenerKind::Tcp {
        upstream,
        tls: false,
    } = &ldaps.kind
    else {
        panic!("{:?}", ldaps.kind)
    };
    assert_eq!(
        (&*upstream.name, targets(upstream)),
        ("tcp:ldaps", vec![("127.0.0.1:636".into(), Protocol::Tcp)])
    );
}

#[test]
fn an_edge_box_needs_no_more_than_its_sample() {
    let place = Workplace::new();
    let loaded = place
        .load(SAMPLE)
        .unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let config = loaded.config;
    assert_eq!(config.certificates.files.len(), 1);
    let file = &config.certificates.files[0];
    assert_eq!(
        (&*file.name, &file.cert, file.place.line),
        ("example", &place.path.join("tls/example.pem"), 12)
    );
    assert!(config.watched.contains(&place.path.join("tls/ca.pem")));
    assert_eq!(
        config.exposure.decide("old.example.test", "/").class,
        Class::Off
    );
    assert_eq!(
        config.exposure.decide("www.example.test", "/").class,
        Class::Lan
    );
    assert_eq!(config.limits, Limits::default());
}

#[test]
fn the_routes_of_an_edge_box_mean_what_they_say() {
    let place = Workplace::new();
    let config = place.good(SAMPLE);
    let hosts: Vec<_> = config
        .routes
        .hosts
        .iter()
        .map(|host| host.pattern.to_string())
        .collect();
    assert_eq!(
        hosts,
        [
            "www.example.test",
            "api.example.test",
            "grpc.example.test",
            "secure.example.test",
            "argocd.example.test",
            "**.c1.example.test"
        ]
    );
    let [www, api, grpc, secure, argocd, c1] = config.routes.hosts.as_slice() else {
        panic!("six hosts")
    };
    assert_eq!(
        targets(upstream_of(&www.rules[0])),
        [
            ("127.0.0.1:8000".to_owned(), Protocol::Http1),
            ("[::1]:8000".to_owned(), Protocol::Http1)
        ]
    );
    assert_eq!(www.rules[0].path, PathMatch::Prefix("/".into()));
    assert_eq!(
        api.rules[0].timeouts.response,
        Some(Duration::from_secs(30))
    );
    assert_eq!(api.rules[1].path, PathMatch::Exact("/healthz".into()));
    assert_eq!(
        &*upstream_of(&api.rules[1]).name,
        "api.example.test=/healthz"
    );
    assert_eq!(api.place.line, 15);
    assert_eq!(targets(upstream_of(&grpc.rules[0]))[0].1, Protocol::H2c);
    let tls = &upstream_of(&secure.rules[0]).tls;
    assert_eq!(tls.server_name.as_deref(), Some("internal.example.test"));
    assert!(
        tls.ca_pem
            .as_ref()
            .unwrap()
            .starts_with(b"-----BEGIN CERTIFICATE")
    );
    let HostTls::Passthrough(upstream) = &argocd.tls else {
        panic!("{:?}", argocd.tls)
    };
    assert_eq!(upstream.proxy_protocol, Some(BindProxyProtocol::V2));
    assert!(argocd.rules.is_empty());
    let HostTls::Passthrough(upstream) = &c1.tls else {
        panic!("{:?}", c1.tls)
    };
    let Address::Dns(target) = &upstream.targets[0].address else {
        panic!("{upstream:?}")
    };
    assert_eq!(
        (&*target.name, target.port, target.family),
        ("ingress.c1.example.test", 443, Family::Ipv6)
    );
}

pub(super) fn upstream_of(rule: &Rule) -> &UpstreamSpec {
    match &rule.action {
        Action::Forward(weighted) => &weighted[0].upstream,
        Action::Respond(_) | Action::Policy => panic!("no upstream"),
    }
}

pub(super) fn targets(upstream: &UpstreamSpec) -> Vec<(String, Protocol)> {
    let shown = |address: &Address| match address {
        Address::Socket(address) => address.to_string(),
        Address::Dns(dns) => format!("{}:{}", dns.name, dns.port),
        Address::Unix(path) => path.display().to_string(),
    };
    upstream
        .targets
        .iter()
        .map(|target| (shown(&target.address), target.protocol))
        .collect()
}

#[test]
fn redirects_go_to_the_only_tls_listener_of_their_role() {
    let place = Workplace::new();
    let port = |listeners: &str| {
        let config = place.good(&format!("version: 1\nlisteners:\n  - {{name: w, role: lan, bind: '127.0.0.1:80', redirect: https}}\n{listeners}"));
        config.listeners[0].redirect.unwrap().port
    };
    for (listeners, expected) in [
        ("", None),
        (
            "  - {name: a, role: lan, bind: '127.0.0.1:8443', tls: true}\n",
            Some(8443),
        ),
        (
            "  - {name: a, role: lan, bind: '127.0.0.1:443', tls: true}\n",
            None,
        ),
        (
            "  - {name: a, role: lan, bind: '127.0.0.1:0', tls: true}\n",
            None,
        ),
        (
            "  - {name: a, role: lan, bind: ['127.0.0.1:8443', '[::1]:8443'], tls: true}\n",
            Some(8443),
        ),
        (
            "  - {name: a, role: lan, bind: ['127.0.0.1:8443', '[::1]:9443'], tls: true}\n",
            None,
        ),
        (
            "  - {name: a, role: internet, bind: '127.0.0.1:8443', tls: true}\n",
            None,
        ),
        (
            "  - {name: a, role: lan, bind: '127.0.0.1:8443', tls: true, tcp: {backends: ['h.test:1']}}\n",
            None,
        ),
        (
            "  - {name: a, role: lan, bind: '127.0.0.1:8443', tls: true}\n  - {name: b, role: lan, bind: '127.0.0.1:9443', tls: true}\n",
            None,
        ),
    ] {
        assert_eq!(port(listeners), expected, "{listeners}");
    }
    let long = "version: 1\nlisteners: [{name: w, role: lan, bind: '[::]:80', redirect: {scheme: https, port: 444, status: 302}}]";
    let redirect = HttpsRedirect {
        port: Some(444),
        status: StatusCode::FOUND,
    };
    assert_eq!(place.good(long).listeners[0].redirect, Some(redirect));
}

#[test]
fn a_listener_keeps_what_is_written_and_the_defaults_of_its_role() {
    let place = Workplace::new();
    let config = place.good(
        r#"
version: 1
networks: {pods: {role: cluster, cidrs: [10.42.0.0/16]}, a.b: {role: lan, cidrs: [10.1.1.1]}}
listeners:
  - {name: in, role: internet, bind: ["192.0.2.1:443", "[2001:db8::1]:443"], tls: true, deny: [pods, 198.51.100.7]}
  - {name: h2, role: lan, bind: "[::]:8080", protocol: h2c, interface: eth0, foreignTunnel: deny, refusal: 404, trustForwarded: [10.0.0.1]}
  - {name: ldaps, role: lan, bind: "[::]:636", tls: true, tcp: {backends: ["10.0.0.1:389", "unix:/run/ldap"], balance: {hash: $remote_addr},
      health: {interval: 3s}, timeouts: {connect: 1s, idle: 2h}, proxyProtocol: v1}}
  - {name: adm, role: admin, bind: "0.0.0.0:9090", allow: [a.b]}
"#,
    );
    let [internet, h2, ldaps, adm] = config.listeners.as_slice() else {
        panic!("four listeners")
    };
    assert_eq!(
        (internet.role, internet.refusal, internet.binds.len()),
        (Role::Internet, StatusCode::NOT_FOUND, 2)
    );
    assert!(
        internet.deny.contains("198.51.100.7".parse().unwrap())
            && internet.deny.contains("10.42.1.1".parse().unwrap())
    );
    assert_eq!(
        (&h2.kind, h2.interface.as_deref(), h2.foreign_tunnel),
        (&ListenerKind::H2c, Some("eth0"), ForeignTunnel::Deny)
    );
    assert_eq!(
        (
            h2.refusal,
            h2.trust_forwarded.contains("10.0.0.1".parse().unwrap())
        ),
        (StatusCode::NOT_FOUND, true)
    );
    let ListenerKind::Tcp {
        upstream,
        tls: true,
    } = &ldaps.kind
    else {
        panic!("{:?}", ldaps.kind)
    };
    assert_eq!(upstream.balance, Balance::Hash(HashKey::ClientIp));
    assert_eq!(
        upstream
            .health
            .as_ref()
            .map(|health| (health.interval, health.timeout, health.fall)),
        Some((Duration::from_secs(3), Duration::from_secs(2), 3))
    );
    assert_eq!(
        (upstream.timeouts.connect, upstream.timeouts.idle),
        (Some(Duration::from_secs(1)), Some(Duration::from_hours(2)))
    );
    assert_eq!(upstream.proxy_protocol, Some(BindProxyProtocol::V1));
    assert!(
        matches!(&upstream.targets[1].address, Address::Unix(path) if path == Path::new("/run/ldap"))
    );
    assert!(
        adm.allow
            .as_ref()
            .unwrap()
            .contains("10.1.1.1".parse().unwrap())
    );
}

#[test]
fn off_is_a_word_with_and_without_quotes_and_after_a_yaml_1_1_tool() {
    let place = Workplace::new();
    for written in ["off", "'off'", "\"off\"", "false"] {
        let text = format!(
            "{HEAD}rules: [{{hosts: a.test, exposure: {written}}}]\ndefault: {{exposure: {written}}}\naccessLog: {{format: {written}}}"
        );
        let config = place.good(&text);
        assert_eq!(
            config.exposure.decide("a.test", "/").class,
            Class::Off,
            "{written}"
        );
        assert_eq!(
            config.exposure.decide("b.test", "/").class,
            Class::Off,
            "{written}"
        );
        assert_eq!(
            config.access_log.format,
            crate::config::AccessFormat::Off,
            "{written}"
        );
    }
    for word in ["no", "on", "yes"] {
        let text = format!(
            "{HEAD}networks: {{{word}: {{role: lan, cidrs: [10.0.0.0/8]}}}}\nrules: [{{hosts: [{word}.test], exposure: off, from: [{word}]}}]"
        );
        assert!(
            place
                .good(&text)
                .exposure
                .decide(&format!("{word}.test"), "/")
                .from
                .is_some(),
            "{word}"
        );
    }
}

#[test]
fn process_settings_and_limits_are_read() {
    let place = Workplace::new();
    let config = place.good(&format!(
        "{HEAD}{}",
        "workers: 3\nlog: {level: debug, format: json}\naccessLog: {format: combined, path: logs/a.log}\n\
         limits: {headTimeout: 250ms, headerBytes: 64KiB, requestLine: 4096, streamWindow: 1MiB, headerFields: 5}\n"
    ));
    assert_eq!(config.workers.map(std::num::NonZeroUsize::get), Some(3));
    assert_eq!(
        (config.log.level, config.log.format),
        (
            crate::config::LogLevel::Debug,
            crate::config::LogFormat::Json
        )
    );
    assert_eq!(
        config.access_log.target,
        crate::config::AccessTarget::File(place.path.join("logs/a.log"))
    );
    let expected = Limits {
        head_timeout: Duration::from_millis(250),
        header_bytes: 65536,
        request_line: 4096,
        stream_window: 1 << 20,
        header_fields: 5,
        ..Limits::default()
    };
    assert_eq!(config.limits, expected);
    assert_eq!(place.good(&format!("{HEAD}workers: auto")).workers, None);
}

#[test]
fn aliases_repeat_what_they_stand_for() {
    let place = Workplace::new();
    let config = place.good(&format!(
        "{HEAD}{}",
        "routes:\n  - {host: a.test, backends: &b ['http://10.0.0.1:80']}\n  - {host: b.test, backends: *b}\n"
    ));
    assert_eq!(
        targets(upstream_of(&config.routes.hosts[1].rules[0])),
        [("10.0.0.1:80".to_owned(), Protocol::Http1)]
    );
}

#[test]
fn json_is_accepted_as_the_yaml_that_it_is() {
    let place = Workplace::new();
    place.good(r#"{"version": 1, "listeners": [{"name": "w", "role": "lan", "bind": "[::1]:0"}], "rules": []}"#);
}

#[test]
fn certificates_get_the_name_by_which_people_know_them() {
    let place = Workplace::new();
    let config = place.good(&format!(
        "{HEAD}{}",
        "tls: {defaultCertificate: wild}\n\
         certificates:\n  files:\n    - {cert: a/site.pem, key: k}\n    - {cert: b/site.pem, key: k}\n    - {cert: b/wild.pem, key: k}\n    - {cert: live/x.test/fullchain.pem, key: k}\n\
         \x20   - {name: wild, cert: c.pem, key: k}\n  directories: [live, /srv/tls]\n"
    ));
    let names: Vec<_> = config
        .certificates
        .files
        .iter()
        .map(|file| &*file.name)
        .collect();
    assert_eq!(names, ["site", "site-2", "wild-2", "x.test", "wild"]);
    let directories: Vec<_> = config
        .certificates
        .directories
        .iter()
        .map(|directory| directory.path.clone())
        .collect();
    assert_eq!(
        directories,
        [place.path.join("live"), PathBuf::from("/srv/tls")]
    );
    assert_eq!(config.tls.default_certificate.as_deref(), Some("wild"));
}

#[test]
fn the_digest_changes_with_the_file_and_with_what_it_refers_to() {
    let place = Workplace::new();
    let text = format!("{HEAD}tls: {{clientAuth: {{ca: tls/own.pem}}}}");
    let pem = fs::read_to_string(place.path.join("tls/ca.pem")).unwrap();
    place.write("tls/own.pem", &pem);
    let first = place.good(&text).source_digest;
    assert_eq!(first.len(), 64);
    assert_eq!(first, place.good(&text).source_digest);
    assert_ne!(first, place.good(&format!("{text}\n")).source_digest);
    place.write("tls/own.pem", &format!("{pem}\n"));
    assert_ne!(first, place.good(&text).source_digest);
}

#[test]
fn what_is_accepted_with_a_doubt_is_a_warning() {
    let place = Workplace::new();
    for (text, expected) in [
        (
            "networks: {a: {role: lan, cidrs: [10.0.0.1/8]}}",
            "3:35 ADIT-1901 networks.a.cidrs[0]",
        ),
        (
            "rules: [{hosts: [a.test], exposure: lan, from: [10.0.0.1/8]}]",
            "3:49 ADIT-1901 rules[0].from[0]",
        ),
        (
            "routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {insecure: true}}]",
            "3:82 ADIT-1902 routes[0].backendTls.insecure",
        ),
        (
            "rules: [{hosts: ['*.test'], exposure: lan}, {name: b, hosts: [a.test], exposure: off}]",
            "3:45 ADIT-2101 rules[1]",
        ),
    ] {
        let loaded = place
            .load(&format!("{HEAD}{text}"))
            .unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(
            places(&Report {
                diagnostics: loaded.warnings
            }),
            [expected],
            "{text}"
        );
    }
}
