//! Wrong routes.

use super::*;

#[test]
fn routes_that_serve_nothing_or_too_much_are_refused() {
    refuse_after_head(&[
        (
            "routes: [{backends: ['http://10.0.0.1:1']}]",
            &["3:10 ADIT-1012 routes[0]"],
        ),
        (
            "routes: [{host: a.test, hosts: [b.test], backends: ['http://10.0.0.1:1']}]",
            &["3:25 ADIT-1018 routes[0].hosts"],
        ),
        (
            "routes: [{hosts: [], backends: ['http://10.0.0.1:1']}]",
            &["3:18 ADIT-1017 routes[0].hosts"],
        ),
        (
            "routes: [{hosts: [a.test, A.test.], backends: ['http://10.0.0.1:1']}]",
            &["3:27 ADIT-1020 routes[0].hosts[1]"],
        ),
        (
            "routes: [{host: 'http://a.test:80/', backends: ['http://10.0.0.1:1']}]",
            &["3:17 ADIT-1015 routes[0].host"],
        ),
        (
            "routes: [{host: b\u{fc}cher.test, backends: ['http://10.0.0.1:1']}]",
            &["3:17 ADIT-1015 routes[0].host"],
        ),
        ("routes: [{host: a.test}]", &["3:10 ADIT-1032 routes[0]"]),
        (
            "routes: [{host: a.test, backends: []}]",
            &["3:35 ADIT-1017 routes[0].backends"],
        ),
        (
            "routes: [{host: a.test, backends: 'http://10.0.0.1:1'}]",
            &["3:35 ADIT-1013 routes[0].backends"],
        ),
        (
            "routes: [{host: a.test, paths: []}]",
            &["3:32 ADIT-1017 routes[0].paths"],
        ),
        (
            "routes: [{host: a.test, paths: [{prefix: /}]}]",
            &["3:33 ADIT-1032 routes[0].paths[0]"],
        ),
        (
            "routes: [{host: a.test, backends: ['http://10.0.0.1:1'], respond: {status: 200}}]",
            &["3:58 ADIT-1018 routes[0].respond"],
        ),
        (
            "routes: [{host: a.test, backends: ['http://10.0.0.1:1'], paths: [{prefix: /a, respond: {}}]}]",
            &["3:25 ADIT-1018 routes[0].backends"],
        ),
        (
            "routes: [{host: a.test, profile: traefik, backends: ['http://10.0.0.1:1']}]",
            &["3:34 ADIT-1014 routes[0].profile"],
        ),
        ("routes: [a.test]", &["3:10 ADIT-1013 routes[0]"]),
        ("routes: [{}]", &["3:10 ADIT-1012 routes[0]"]),
        (
            "routes: [{host: a.test, paths: [{}, {prefix: /, backends: [{}]}]}]",
            &[
                "3:33 ADIT-1018 routes[0].paths[0]",
                "3:60 ADIT-1018 routes[0].paths[1].backends[0]",
            ],
        ),
        ("routes: [~]", &["3:10 ADIT-1013 routes[0]"]),
        (
            "routes: [{host: a.test, name: x, backends: ['http://10.0.0.1:1']}, {host: b.test, name: x, backends: ['http://10.0.0.1:1']}]",
            &["3:89 ADIT-1020 routes[1].name"],
        ),
    ]);
}

#[test]
fn paths_that_are_unclear_are_refused() {
    refuse_within(
        |text| {
            format!(
                "{HEAD}routes:\n  - host: a.test\n    backends: ['http://10.0.0.1:1']\n    paths:\n{text}"
            )
        },
        PATHS,
    );
}

const PATHS: &[(&str, &[&str])] = &[
    (
        "      - {match: {}}\n",
        &["7:9 ADIT-1018 routes[0].paths[0]"],
    ),
    (
        "      - {prefix: /a, exact: /a}\n",
        &["7:22 ADIT-1018 routes[0].paths[0].exact"],
    ),
    (
        "      - {prefix: a}\n      - {prefix: /a//b}\n      - {exact: /a/../b}\n      - {prefix: '/a b'}\n      - {prefix: '/%61'}\n",
        &[
            "7:18 ADIT-1015 routes[0].paths[0].prefix",
            "8:18 ADIT-1015 routes[0].paths[1].prefix",
            "9:17 ADIT-1015 routes[0].paths[2].exact",
            "10:18 ADIT-1015 routes[0].paths[3].prefix",
            "11:18 ADIT-1015 routes[0].paths[4].prefix",
        ],
    ),
    (
        "      - {regex: '/a(b'}\n      - {regex: '(?=a)'}\n      - {regex: '/(a{1000}){1000}'}\n",
        &[
            "7:17 ADIT-1015 routes[0].paths[0].regex",
            "8:17 ADIT-1015 routes[0].paths[1].regex",
            "9:17 ADIT-1015 routes[0].paths[2].regex",
        ],
    ),
    (
        "      - {prefix: /a}\n      - {prefix: /a/}\n",
        &["8:18 ADIT-1030 routes[0].paths[1].prefix"],
    ),
    (
        "      - {exact: /a}\n      - {exact: /a/}\n      - {prefix: /a}\n      - {exact: /a}\n",
        &["10:17 ADIT-1030 routes[0].paths[3].exact"],
    ),
    (
        "      - {prefix: /a, match: {methods: [GET, POST]}}\n      - {prefix: /a, match: {methods: [POST, GET]}}\n",
        &["8:18 ADIT-1030 routes[0].paths[1].prefix"],
    ),
    (
        "      - {prefix: /a, match: {methods: get, headers: {'a b': x, c: {}, d: {exact: x, regex: y}, e: {present: false}, f: {regex: '('}}}}\n",
        &[
            "7:39 ADIT-1015 routes[0].paths[0].match.methods",
            "7:54 ADIT-1015 routes[0].paths[0].match.headers.a b",
            "7:67 ADIT-1018 routes[0].paths[0].match.headers.c",
            "7:74 ADIT-1018 routes[0].paths[0].match.headers.d",
            "7:109 ADIT-1014 routes[0].paths[0].match.headers.e.present",
            "7:128 ADIT-1015 routes[0].paths[0].match.headers.f.regex",
        ],
    ),
    (
        "      - {prefix: /a, methods: [GET]}\n",
        &["7:22 ADIT-1011 routes[0].paths[0].methods"],
    ),
    (
        "      - {prefix: /a, tls: passthrough}\n",
        &["7:22 ADIT-1011 routes[0].paths[0].tls"],
    ),
    (
        "      - {prefix: /a, timeouts: {response: 30, connect: 2h, idel: 1s}}\n",
        &[
            "7:43 ADIT-1015 routes[0].paths[0].timeouts.response",
            "7:56 ADIT-1016 routes[0].paths[0].timeouts.connect",
            "7:60 ADIT-1010 routes[0].paths[0].timeouts.idel",
        ],
    ),
    (
        "      - {prefix: /a, limits: {body: 10mb}}\n      - {prefix: /b, limits: {body: none}}\n",
        &[
            "7:37 ADIT-1015 routes[0].paths[0].limits.body",
            "8:37 ADIT-1015 routes[0].paths[1].limits.body",
        ],
    ),
    (
        "      - {prefix: /a, balance: leastConn}\n      - {prefix: /b, balance: {hash: client_ip}}\n      - {prefix: /c, balance: {hash: 'header:'}}\n",
        &[
            "7:31 ADIT-1014 routes[0].paths[0].balance",
            "8:38 ADIT-1015 routes[0].paths[1].balance.hash",
            "9:38 ADIT-1015 routes[0].paths[2].balance.hash",
        ],
    ),
    (
        "      - {prefix: /a, health: {interval: 1s, timeout: 2s, status: 399-200, host: h.test}}\n",
        &[
            "7:54 ADIT-1016 routes[0].paths[0].health.timeout",
            "7:58 ADIT-1018 routes[0].paths[0].health.status",
            "7:66 ADIT-1015 routes[0].paths[0].health.status",
            "7:75 ADIT-1018 routes[0].paths[0].health.host",
        ],
    ),
    (
        "      - {prefix: /a, retry: {attempts: 11, on: [conect, 200]}}\n",
        &[
            "7:40 ADIT-1016 routes[0].paths[0].retry.attempts",
            "7:49 ADIT-1014 routes[0].paths[0].retry.on[0]",
            "7:57 ADIT-1016 routes[0].paths[0].retry.on[1]",
        ],
    ),
    (
        "      - {prefix: /a, outlier: {consecutive: -1, maxPercent: 101, window: 0s}}\n",
        &[
            "7:45 ADIT-1013 routes[0].paths[0].outlier.consecutive",
            "7:61 ADIT-1016 routes[0].paths[0].outlier.maxPercent",
            "7:74 ADIT-1016 routes[0].paths[0].outlier.window",
        ],
    ),
    (
        "      - {prefix: /a, respond: {status: 100, headers: {content-length: '1', 'x y': z, a: \"b\\nc\"}}}\n      - {prefix: /b, respond: {status: 204, body: x}}\n",
        &[
            "5:5 ADIT-1018 routes[0].backends",
            "7:40 ADIT-1016 routes[0].paths[0].respond.status",
            "7:55 ADIT-1018 routes[0].paths[0].respond.headers.content-length",
            "7:76 ADIT-1015 routes[0].paths[0].respond.headers.x y",
            "7:89 ADIT-1015 routes[0].paths[0].respond.headers.a",
            "8:45 ADIT-1018 routes[0].paths[1].respond.body",
        ],
    ),
    (
        "      - {prefix: /a, proxyProtocol: v3}\n",
        &["7:37 ADIT-1014 routes[0].paths[0].proxyProtocol"],
    ),
];

#[test]
fn backends_of_a_wrong_form_are_refused() {
    refuse_within(
        |text| format!("{HEAD}routes: [{{host: a.test, backends: [{text}]}}]"),
        BACKENDS,
    );
}

const BACKENDS: &[(&str, &[&str])] = &[
    ("10.0.0.1:80", &["3:36 ADIT-1033 routes[0].backends[0]"]),
    (
        "'http://10.0.0.1'",
        &["3:36 ADIT-1015 routes[0].backends[0]"],
    ),
    (
        "'http://10.0.0.1:80/app'",
        &["3:36 ADIT-1015 routes[0].backends[0]"],
    ),
    (
        "'http://10.0.0.1:80/'",
        &["3:36 ADIT-1015 routes[0].backends[0]"],
    ),
    (
        "'http://u:p@10.0.0.1:80'",
        &["3:36 ADIT-1015 routes[0].backends[0]"],
    ),
    (
        "'http://10.0.0.1:0'",
        &["3:36 ADIT-1015 routes[0].backends[0]"],
    ),
    (
        "'http://10.0.0.1:99999'",
        &["3:36 ADIT-1015 routes[0].backends[0]"],
    ),
    ("'http://::1:80'", &["3:36 ADIT-1015 routes[0].backends[0]"]),
    (
        "'htp://10.0.0.1:80'",
        &["3:36 ADIT-1015 routes[0].backends[0]"],
    ),
    (
        "'ftp://10.0.0.1:80'",
        &["3:36 ADIT-1015 routes[0].backends[0]"],
    ),
    (
        "'http://localhost:80'",
        &["3:36 ADIT-1033 routes[0].backends[0]"],
    ),
    (
        "'http://0.0.0.0:80'",
        &["3:36 ADIT-1033 routes[0].backends[0]"],
    ),
    (
        "'http://224.0.0.1:80'",
        &["3:36 ADIT-1033 routes[0].backends[0]"],
    ),
    ("'unix:run/x'", &["3:36 ADIT-1015 routes[0].backends[0]"]),
    ("{}", &["3:36 ADIT-1018 routes[0].backends[0]"]),
    ("{weight: 1}", &["3:36 ADIT-1018 routes[0].backends[0]"]),
    (
        "{url: 'http://10.0.0.1:80', dns: a.test}",
        &["3:36 ADIT-1018 routes[0].backends[0]"],
    ),
    (
        "{url: 'http://10.0.0.1:80', port: 80, weight: -1}",
        &[
            "3:64 ADIT-1018 routes[0].backends[0].port",
            "3:82 ADIT-1013 routes[0].backends[0].weight",
        ],
    ),
    ("{dns: a.test}", &["3:36 ADIT-1018 routes[0].backends[0]"]),
    (
        "{dns: a.test, srv: true, port: 80}",
        &["3:61 ADIT-1018 routes[0].backends[0].port"],
    ),
    (
        "{dns: 10.0.0.1, port: 80}",
        &["3:42 ADIT-1015 routes[0].backends[0].dns"],
    ),
    (
        "{dns: localhost, port: 80}",
        &["3:42 ADIT-1033 routes[0].backends[0].dns"],
    ),
    (
        "{dns: a.test, port: 80, scheme: h3, family: ipv5}",
        &[
            "3:68 ADIT-1014 routes[0].backends[0].scheme",
            "3:80 ADIT-1014 routes[0].backends[0].family",
        ],
    ),
    ("8080", &["3:36 ADIT-1015 routes[0].backends[0]"]),
    ("[]", &["3:36 ADIT-1013 routes[0].backends[0]"]),
];

#[test]
fn files_towards_backends_must_hold_what_they_should() {
    refuse_after_head(&[
        (
            "routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {ca: tls/none.pem}}]",
            &["3:76 ADIT-1023 routes[0].backendTls.ca"],
        ),
        (
            "routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {cert: tls/client.pem}}]",
            &["3:71 ADIT-1018 routes[0].backendTls"],
        ),
        (
            "routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {cert: tls/client.key, key: tls/client.pem}}]",
            &[
                "3:78 ADIT-1024 routes[0].backendTls.cert",
                "3:99 ADIT-1024 routes[0].backendTls.key",
            ],
        ),
        (
            "routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {cert: tls/client.pem, key: tls/open.key}}]",
            &["3:99 ADIT-1025 routes[0].backendTls.key"],
        ),
        (
            "routes: [{host: a.test, backends: ['https://10.0.0.1:1'], backendTls: {ca: tls/ca.pem, insecure: true, serverName: '*.test'}}]",
            &[
                "3:72 ADIT-1018 routes[0].backendTls.ca",
                "3:98 ADIT-1902 routes[0].backendTls.insecure",
                "3:116 ADIT-1015 routes[0].backendTls.serverName",
            ],
        ),
    ]);
}

#[test]
fn passthrough_is_not_mixed_with_what_needs_requests() {
    refuse_after_head(&[
        (
            "routes: [{host: a.test, tls: passthrough}]",
            &["3:10 ADIT-1032 routes[0]"],
        ),
        (
            "routes: [{host: a.test, tls: passtrough, backends: ['10.0.0.1:1']}]",
            &[
                "3:30 ADIT-1014 routes[0].tls",
                "3:53 ADIT-1033 routes[0].backends[0]",
            ],
        ),
        (
            "routes: [{host: a.test, tls: passthrough, backends: ['https://10.0.0.1:1']}]",
            &["3:54 ADIT-1033 routes[0].backends[0]"],
        ),
        (
            "routes: [{host: a.test, tls: passthrough, paths: [{prefix: /, backends: ['http://10.0.0.1:1']}]}]",
            &["3:10 ADIT-1032 routes[0]", "3:43 ADIT-1018 routes[0].paths"],
        ),
        (
            "routes: [{host: a.test, tls: passthrough, backends: ['10.0.0.1:1'], retry: {}, respond: {}, limits: {}, timeouts: {response: 1s}, health: {path: /}, balance: {hash: path}}]",
            &[
                "3:69 ADIT-1018 routes[0].retry",
                "3:80 ADIT-1018 routes[0].respond",
                "3:93 ADIT-1018 routes[0].limits",
                "3:116 ADIT-1018 routes[0].timeouts.response",
                "3:140 ADIT-1018 routes[0].health.path",
                "3:166 ADIT-1018 routes[0].balance.hash",
            ],
        ),
        (
            "routes: [{host: a.test, tls: passthrough, backends: [{dns: a.test, port: 1, scheme: https}]}]",
            &["3:77 ADIT-1018 routes[0].backends[0].scheme"],
        ),
    ]);
}

#[test]
fn routes_of_one_host_must_agree() {
    refuse_after_head(&[
        (
            "routes:\n  - {host: a.test, backends: ['http://10.0.0.1:1']}\n  - {hosts: [b.test, A.test], backends: ['http://10.0.0.1:1']}",
            &["5:13 ADIT-1030 routes[1].hosts"],
        ),
        (
            "routes:\n  - {host: a.test, backends: ['http://10.0.0.1:1']}\n  - {host: a.test, tls: passthrough, backends: ['10.0.0.1:1']}",
            &["5:12 ADIT-1031 routes[1].host"],
        ),
        (
            "routes:\n  - {host: a.test, tls: passthrough, backends: ['10.0.0.1:1']}\n  - {host: a.test, tls: passthrough, backends: ['10.0.0.1:1']}",
            &["5:12 ADIT-1030 routes[1].host"],
        ),
        (
            "routes:\n  - {host: a.test, profile: strict, tls: {minVersion: '1.2', clientAuth: {ca: tls/ca.pem}}, backends: ['http://10.0.0.1:1']}\n  - {host: a.test, profile: nginx, tls: {minVersion: '1.3'}, clientAuth: {ca: tls/ca.pem, mode: optional}, paths: [{prefix: /b, backends: ['http://10.0.0.1:1']}]}",
            &[
                "5:29 ADIT-1031 routes[1].profile",
                "5:54 ADIT-1031 routes[1].tls.minVersion",
                "5:74 ADIT-1031 routes[1].clientAuth",
            ],
        ),
        (
            "routes: [{host: a.test, clientAuth: {ca: tls/ca.pem}, tls: {clientAuth: {ca: tls/ca.pem}}, backends: ['http://10.0.0.1:1']}]",
            &["3:25 ADIT-1018 routes[0].clientAuth"],
        ),
    ]);
}
