//! Wrong routes.

use super::*;

#[test]
fn routes_that_serve_nothing_or_too_much_are_refused() {
    refuse_after_head(&[
        ("routes: [{backends: ['http://10.0.0.1:1']}]", &[]),
        ("routes: [{host: a.test, hosts: [b.test], backends: ['http://10.0.0.1:1']}]", &[]),
        ("routes: [{hosts: [], backends: ['http://10.0.0.1:1']}]", &[]),
        ("routes: [{hosts: [a.test, A.test.], backends: ['http://10.0.0.1:1']}]", &[]),
        ("routes: [{host: 'http://a.test:80/', backends: ['http://10.0.0.1:1']}]", &[]),
        ("routes: [{host: b\u{fc}cher.test, backends: ['http://10.0.0.1:1']}]", &[]),
        ("routes: [{host: a.test}]", &[]),
        ("routes: [{host: a.test, backends: []}]", &[]),
        ("routes: [{host: a.test, backends: 'http://10.0.0.1:1'}]", &[]),
        ("routes: [{host: a.test, paths: []}]", &[]),
        ("routes: [{host: a.test, paths: [{prefix: /}]}]", &[]),
        ("routes: [{host: a.test, backends: ['http://10.0.0.1:1'], respond: {status: 200}}]", &[]),
        ("routes: [{host: a.test, backends: ['http://10.0.0.1:1'], paths: [{prefix: /a, respond: {}}]}]", &[]),
        ("routes: [{host: a.test, profile: traefik, backends: ['http://10.0.0.1:1']}]", &[]),
        ("routes: [a.test]", &[]),
        ("routes: [{}]", &[]),
        ("routes: [{host: a.test, paths: [{}, {prefix: /, backends: [{}]}]}]", &[]),
        ("routes: [~]", &[]),
        ("routes: [{host: a.test, name: x, backends: ['http://10.0.0.1:1']}, {host: b.test, name: x, backends: ['http://10.0.0.1:1']}]", &[]),
    ]);
}

#[test]
fn paths_that_are_unclear_are_refused() {
    let route = |paths: &str| format!("{HEAD}routes:\n  - host: a.test\n    backends: ['http://10.0.0.1:1']\n    paths:\n{paths}");
    let cases: &[(&str, &[&str])] = &[
        ("      - {match: {}}\n", &[]),
        ("      - {prefix: /a, exact: /a}\n", &[]),
        ("      - {prefix: a}\n      - {prefix: /a//b}\n      - {exact: /a/../b}\n      - {prefix: '/a b'}\n      - {prefix: '/%61'}\n", &[]),
        ("      - {regex: '/a(b'}\n      - {regex: '(?=a)'}\n      - {regex: '/(a{1000}){1000}'}\n", &[]),
        ("      - {prefix: /a}\n      - {prefix: /a/}\n", &[]),
        ("      - {exact: /a}\n      - {exact: /a/}\n      - {prefix: /a}\n      - {exact: /a}\n", &[]),
        ("      - {prefix: /a, match: {methods: [GET, POST]}}\n      - {prefix: /a, match: {methods: [POST, GET]}}\n", &[]),
        ("      - {prefix: /a, match: {methods: get, headers: {'a b': x, c: {}, d: {exact: x, regex: y}, e: {present: false}, f: {regex: '('}}}}\n", &[]),
        ("      - {prefix: /a, methods: [GET]}\n", &[]),
        ("      - {prefix: /a, tls: passthrough}\n", &[]),
        ("      - {prefix: /a, timeouts: {response: 30, connect: 2h, idel: 1s}}\n", &[]),
        ("      - {prefix: /a, limits: {body: 10mb}}\n      - {prefix: /b, limits: {body: none}}\n", &[]),
        ("      - {prefix: /a, balance: leastConn}\n      - {prefix: /b, balance: {hash: client_ip}}\n      - {prefix: /c, balance: {hash: 'header:'}}\n", &[]),
        ("      - {prefix: /a, health: {interval: 1s, timeout: 2s, status: 399-200, host: h.test}}\n", &[]),
        ("      - {prefix: /a, retry: {attempts: 11, on: [conect, 200]}}\n", &[]),
        ("      - {prefix: /a, outlier: {consecutive: -1, maxPercent: 101, window: 0s}}\n", &[]),
        ("      - {prefix: /a, respond: {status: 100, headers: {content-length: '1', 'x y': z, a: \"b\\nc\"}}}\n      - {prefix: /b, respond: {status: 204, body: x}}\n", &[]),
        ("      - {prefix: /a, proxyProtocol: v3}\n", &[]),
    ];
    let texts: Vec<_> = cases.iter().map(|(text, _)| route(text)).collect();
    let whole: Vec<_> = texts.iter().zip(cases).map(|(text, (_, expected))| (text.as_str(), *expected)).collect();
    refuse(&whole);
}

#[test]
fn backends_of_a_wrong_form_are_refused() {
    let cases: &[(&str, &[&str])] = &[
        ("10.0.0.1:80", &[]),
        ("'http://10.0.0.1'", &[]),
        ("'http://10.0.0.1:80/app'", &[]),
        ("'http://10.0.0.1:80/'", &[]),
        ("'http://u:p@10.0.0.1:80'", &[]),
        ("'http://10.0.0.1:0'", &[]),
        ("'http://10.0.0.1:99999'", &[]),
        ("'http://::1:80'", &[]),
        ("'htp://10.0.0.1:80'", &[]),
        ("'ftp://10.0.0.1:80'", &[]),
        ("'http://localhost:80'", &[]),
        ("'http://0.0.0.0:80'", &[]),
        ("'http://224.0.0.1:80'", &[]),
        ("'unix:run/x'", &[]),
        ("{}", &[]),
        ("{weight: 1}", &[]),
        ("{url: 'http://10.0.0.1:80', dns: a.test}", &[]),
        ("{url: 'http://10.0.0.1:80', port: 80, weight: -1}", &[]),
        ("{dns: a.test}", &[]),
        ("{dns: a.test, srv: true, port: 80}", &[]),
        ("{dns: 10.0.0.1, port: 80}", &[]),
        ("{dns: localhost, port: 80}", &[]),
        ("{dns: a.test, port: 80, scheme: h3, family: ipv5}", &[]),
        ("8080", &[]),
        ("[]", &[]),
    ];
    let texts: Vec<_> = cases.iter().map(|(text, _)| format!("{HEAD}routes: [{{host: a.test, backends: [{text}]}}]")).collect();
    let whole: Vec<_> = texts.iter().zip(cases).map(|(text, (_, expected))| (text.as_str(), *expected)).collect();
    refuse(&whole);
}

#[test]
fn files_towards_backends_must_hold_what_they_should() {
    refuse_after_head(&[
        ("routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {ca: tls/none.pem}}]", &[]),
        ("routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {cert: tls/client.pem}}]", &[]),
        ("routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {cert: tls/client.key, key: tls/client.pem}}]", &[]),
        ("routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {cert: tls/client.pem, key: tls/open.key}}]", &[]),
        ("routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {ca: tls/ca.pem, insecure: true, serverName: '*.test'}}]", &[]),
    ]);
}

#[test]
fn passthrough_is_not_mixed_with_what_needs_requests() {
    refuse_after_head(&[
        ("routes: [{host: a.test, tls: passthrough}]", &[]),
        ("routes: [{host: a.test, tls: passtrough, backends: ['10.0.0.1:1']}]", &[]),
        ("routes: [{host: a.test, tls: passthrough, backends: ['https://10.0.0.1:1']}]", &[]),
        ("routes: [{host: a.test, tls: passthrough, paths: [{prefix: /, backends: ['http://10.0.0.1:1']}]}]", &[]),
        (
            "routes: [{host: a.test, tls: passthrough, backends: ['10.0.0.1:1'], retry: {}, respond: {}, limits: {}, timeouts: {response: 1s}, health: {path: /}, balance: {hash: path}}]",
            &[],
        ),
        ("routes: [{host: a.test, tls: passthrough, backends: [{dns: a.test, port: 1, scheme: https}]}]", &[]),
    ]);
}

#[test]
fn routes_of_one_host_must_agree() {
    refuse_after_head(&[
        ("routes:\n  - {host: a.test, backends: ['http://10.0.0.1:1']}\n  - {hosts: [b.test, A.test], backends: ['http://10.0.0.1:1']}", &[]),
        ("routes:\n  - {host: a.test, backends: ['http://10.0.0.1:1']}\n  - {host: a.test, tls: passthrough, backends: ['10.0.0.1:1']}", &[]),
        ("routes:\n  - {host: a.test, tls: passthrough, backends: ['10.0.0.1:1']}\n  - {host: a.test, tls: passthrough, backends: ['10.0.0.1:1']}", &[]),
        (
            "routes:\n  - {host: a.test, profile: strict, tls: {minVersion: '1.2', clientAuth: {ca: tls/ca.pem}}, backends: ['http://10.0.0.1:1']}\n  - {host: a.test, profile: nginx, tls: {minVersion: '1.3'}, clientAuth: {ca: tls/ca.pem, mode: optional}, paths: [{prefix: /b, backends: ['http://10.0.0.1:1']}]}",
            &[],
        ),
        ("routes: [{host: a.test, clientAuth: {ca: tls/ca.pem}, tls: {clientAuth: {ca: tls/ca.pem}}, backends: ['http://10.0.0.1:1']}]", &[]),
    ]);
}
