//! What right routes mean.

use std::time::Duration;

use adit_route::{
    Action, Balance, HashKey, HostTls, PathMatch, Profile, Protocol, RetryOn, TlsVersion,
    ValueMatch,
};
use http::StatusCode;

use super::good::upstream_of;
use super::*;

const SHOP: &str = r#"
routes:
  - name: shop
    hosts: [a.test, "*.a.test"]
    backends: ["http://10.0.0.1:80"]
    timeouts: {connect: 1s, response: 5s}
    limits: {body: 1MiB}
    balance: p2c
    retry: {attempts: 0}
    paths:
      - {prefix: /}
      - {prefix: /slow, timeouts: {response: 1h}}
      - {prefix: /up, limits: {body: unlimited}, balance: {hash: "header:X-Tenant"}}
      - {exact: /off, respond: {status: 503, headers: {retry-after: "60"}, body: later}}
      - {regex: "/v[0-9]+", backends: [{dns: b.test, port: 81, scheme: https, weight: 3}, {url: "h2://b.test:82", weight: 0}]}
      - prefix: /
        match: {methods: [POST, GET], headers: {x-b: {regex: "^1"}, x-a: blue}, query: {v: {present: true}}}
        outlier: {consecutive: 0}
        retry: {on: [connect, 503]}
        health: {path: /up, status: 200-299, host: up.test}
"#;

#[test]
fn paths_take_what_they_do_not_write_from_their_route() {
    let place = Workplace::new();
    let config = place.good(&format!("{HEAD}{SHOP}"));
    assert_eq!(config.routes.hosts.len(), 2);
    let rules = &config.routes.hosts[0].rules;
    let [root, slow, up, ..] = rules.as_slice() else {
        panic!("six rules")
    };
    assert_eq!(
        (root.max_body, root.timeouts.response),
        (Some(1 << 20), Some(Duration::from_secs(5)))
    );
    assert_eq!(
        (slow.timeouts.connect, slow.timeouts.response),
        (Some(Duration::from_secs(1)), Some(Duration::from_hours(1)))
    );
    assert_eq!(&*upstream_of(root).name, "shop");
    assert!(
        std::ptr::eq(upstream_of(root), upstream_of(slow)),
        "one pool for both"
    );
    assert!(
        std::ptr::eq(
            upstream_of(root),
            upstream_of(&config.routes.hosts[1].rules[0])
        ),
        "one pool for both hosts"
    );
    assert_eq!(
        (upstream_of(root).retry.attempts, &upstream_of(root).balance),
        (0, &Balance::PowerOfTwo)
    );
    assert_eq!((up.max_body, &*upstream_of(up).name), (None, "shop/up"));
    assert_eq!(
        upstream_of(up).balance,
        Balance::Hash(HashKey::Header("x-tenant".parse().unwrap()))
    );
}

#[test]
fn paths_do_what_they_write_themselves() {
    let place = Workplace::new();
    let config = place.good(&format!("{HEAD}{SHOP}"));
    let [.., off, regex, match_] = config.routes.hosts[0].rules.as_slice() else {
        panic!("six rules")
    };
    let Action::Respond(answer) = &off.action else {
        panic!("{off:?}")
    };
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.body.as_slice(),
            answer.headers.get("retry-after").unwrap().as_bytes()
        ),
        (503, &b"later"[..], &b"60"[..])
    );
    let PathMatch::Regex(expression) = &regex.path else {
        panic!("{regex:?}")
    };
    assert!(expression.is_match("/v2/x") && !expression.is_match("/evil/v2"));
    let [first, second] = upstream_of(regex).targets.as_slice() else {
        panic!("two targets")
    };
    assert_eq!(
        (first.protocol, first.weight, second.protocol, second.weight),
        (Protocol::Https1, 3, Protocol::H2, 0)
    );
    let conditions = &match_.conditions;
    assert_eq!(conditions.methods, ["GET", "POST"]);
    assert_eq!(
        conditions.headers[0].value,
        ValueMatch::Exact("blue".into())
    );
    assert!(matches!(&conditions.headers[1].value, ValueMatch::Regex(_)));
    assert_eq!(conditions.query[0].value, ValueMatch::Present);
    let upstream = upstream_of(match_);
    assert_eq!(&*upstream.name, "shop/");
    assert_eq!(
        (
            upstream.outlier.consecutive,
            upstream.outlier.min_requests,
            upstream.retry.attempts
        ),
        (0, 20, 1)
    );
    assert_eq!(
        upstream.retry.on,
        [
            RetryOn::Connect,
            RetryOn::Status(StatusCode::SERVICE_UNAVAILABLE)
        ]
    );
    let health = upstream.health.as_ref().unwrap();
    assert_eq!(
        (
            health.path.as_deref(),
            health.host.as_deref(),
            health.status.1.as_u16()
        ),
        (Some("/up"), Some("up.test"), 299)
    );
}

#[test]
fn two_routes_for_one_host_share_what_holds_for_the_host() {
    let place = Workplace::new();
    let config = place.good(&format!(
        "{HEAD}{}",
        r#"
tls: {minVersion: 1.2, clientAuth: {ca: tls/ca.pem}}
routes:
  - {host: A.test., backends: ["http://10.0.0.1:80"]}
  - {host: a.test, profile: nginx, tls: {minVersion: "1.3"}, clientAuth: {ca: tls/ca.pem, mode: optional}, paths: [{prefix: /b, backends: ["http://10.0.0.1:80"]}]}
  - {host: "*", respond: {status: 404}}
"#
    ));
    assert_eq!(config.tls.min_version, Some(TlsVersion::V1_2));
    assert!(config.tls.client_auth.as_ref().unwrap().required);
    for host in &config.routes.hosts[..2] {
        assert_eq!(
            (host.pattern.to_string().as_str(), host.profile),
            ("a.test", Profile::Nginx)
        );
        let HostTls::Terminate {
            min_version,
            client_auth,
        } = &host.tls
        else {
            panic!("{:?}", host.tls)
        };
        assert_eq!(
            (*min_version, client_auth.as_ref().unwrap().required),
            (Some(TlsVersion::V1_3), false)
        );
    }
    assert_eq!(config.routes.hosts[2].profile, Profile::Strict);
}
