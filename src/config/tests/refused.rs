//! Wrong files: the text, listeners, TLS, networks and policy.

use super::*;

#[test]
fn what_is_not_a_configuration_is_refused() {
    refuse(&[
        ("", &["0:0 ADIT-1008"]),
        ("# nothing\n", &["0:0 ADIT-1008"]),
        ("---\n...\n", &["0:0 ADIT-1008"]),
        ("~\n", &["0:0 ADIT-1008"]),
        ("just a text\n", &["1:1 ADIT-1013"]),
        ("- a\n- b\n", &["1:1 ADIT-1013"]),
        ("a: [1, 2\n", &["2:1 ADIT-1004"]),
        ("a: 'b\n", &["1:4 ADIT-1004"]),
        ("version: 1\n\tlisteners: []\n", &["1:10 ADIT-1004"]),
        (
            "version: 1\n---\nversion: 1\n",
            &["1:1 ADIT-1012", "2:1 ADIT-1006"],
        ),
        ("version: !!int 1\n", &["1:10 ADIT-1009"]),
        ("version: 1\n? [a]\n: b\n", &["2:3 ADIT-1009"]),
        (
            "version: 1\nversion: 1\nversion: 1\nlisteners: [{name: w, role: lan, bind: '[::1]:0'}]",
            &["2:1 ADIT-1005", "3:1 ADIT-1005"],
        ),
        (
            "version: 2\nlisteners: [{name: w, role: lan, bind: '[::1]:0'}]",
            &["1:10 ADIT-1019 version"],
        ),
        (
            "version: '1'\nlisteners: [{name: w, role: lan, bind: '[::1]:0'}]",
            &["1:10 ADIT-1013 version"],
        ),
        (
            "version: one\nlisteners: [{name: w, role: lan, bind: '[::1]:0'}]",
            &["1:10 ADIT-1013 version"],
        ),
        (
            "listeners: [{name: w, role: lan, bind: '[::1]:0'}]",
            &["1:1 ADIT-1012"],
        ),
        ("version: 1", &["1:1 ADIT-1012"]),
        ("version: 1\nlisteners: []", &["2:12 ADIT-1017 listeners"]),
        ("version: 1\nlisteners: {}", &["2:12 ADIT-1013 listeners"]),
        ("version: 1\nlisteners:", &["2:10 ADIT-1013 listeners"]),
    ]);
}

#[test]
fn unknown_keys_are_refused_and_planned_ones_explained() {
    refuse_after_head(&[
        ("ruels: []", &["3:1 ADIT-1010 ruels"]),
        (
            "owner: home\nmode: apply\ncloudflare: {}\ntunnels: []\npublish: {}\ndelegation: []",
            &[
                "3:1 ADIT-1011 owner",
                "4:1 ADIT-1011 mode",
                "5:1 ADIT-1011 cloudflare",
                "6:1 ADIT-1011 tunnels",
                "7:1 ADIT-1011 publish",
                "8:1 ADIT-1011 delegation",
            ],
        ),
        (
            "certificates: {issuers: {}, default: le}",
            &[
                "3:16 ADIT-1011 certificates.issuers",
                "3:29 ADIT-1011 certificates.default",
            ],
        ),
        (
            "routes: [{host: a.test, backend: x, <<: {}}]",
            &[
                "3:10 ADIT-1032 routes[0]",
                "3:25 ADIT-1011 routes[0].backend",
                "3:37 ADIT-1010 routes[0].<<",
            ],
        ),
        (
            "rules: [{hosts: [a.test], exposure: lan, namespaces: [a], dns: none}]",
            &[
                "3:42 ADIT-1011 rules[0].namespaces",
                "3:59 ADIT-1011 rules[0].dns",
            ],
        ),
        (
            "log: {levle: info}\naccessLog: {format: jsn, path: ''}",
            &[
                "3:7 ADIT-1010 log.levle",
                "4:21 ADIT-1014 accessLog.format",
                "4:32 ADIT-1015 accessLog.path",
            ],
        ),
        (
            "guards: {neverPublic: [a.test]}",
            &["3:23 ADIT-1013 guards.neverPublic"],
        ),
        (
            "limits: {headTimeout: 5, headerBytes: 10MB, requestLine: 1, headerFields: many, conections: 1, pingTimeout: 2d}",
            &[
                "3:23 ADIT-1015 limits.headTimeout",
                "3:39 ADIT-1015 limits.headerBytes",
                "3:58 ADIT-1016 limits.requestLine",
                "3:75 ADIT-1013 limits.headerFields",
                "3:81 ADIT-1010 limits.conections",
                "3:109 ADIT-1015 limits.pingTimeout",
            ],
        ),
        ("workers: 0", &["3:10 ADIT-1016 workers"]),
        ("workers: all", &["3:10 ADIT-1013 workers"]),
        ("workers: []", &["3:10 ADIT-1013 workers"]),
        (
            "default: {exposure: public}",
            &["3:21 ADIT-1014 default.exposure"],
        ),
        ("default: lan", &["3:10 ADIT-1013 default"]),
    ]);
}

#[test]
fn listeners_that_cannot_work_are_refused() {
    refuse_within(
        |text| {
            format!(
                "version: 1\nnetworks: {{lan: {{role: lan, cidrs: [10.0.0.0/8]}}}}\nlisteners:\n  - {{{text}}}\n"
            )
        },
        LISTENERS,
    );
}

const LISTENERS: &[(&str, &[&str])] = &[
    (
        "name: w",
        &["4:5 ADIT-1012 listeners[0]", "4:5 ADIT-1012 listeners[0]"],
    ),
    (
        "name: lan, role: lan, bind: '[::1]:0'",
        &["4:12 ADIT-1021 listeners[0].name"],
    ),
    (
        "name: -w, role: lan, bind: '[::1]:0'",
        &["4:12 ADIT-1015 listeners[0].name"],
    ),
    (
        "name: w, role: tunnel, bind: '[::1]:0'",
        &["4:21 ADIT-1014 listeners[0].role"],
    ),
    (
        "name: w, role: lan, bind: ':443'",
        &["4:32 ADIT-1015 listeners[0].bind"],
    ),
    (
        "name: w, role: lan, bind: [localhost:80, '::1:80', '[::1]:70000', 1]",
        &[
            "4:33 ADIT-1015 listeners[0].bind[0]",
            "4:47 ADIT-1015 listeners[0].bind[1]",
            "4:57 ADIT-1015 listeners[0].bind[2]",
            "4:72 ADIT-1015 listeners[0].bind[3]",
        ],
    ),
    (
        "name: w, role: lan, bind: []",
        &["4:32 ADIT-1017 listeners[0].bind"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', tls: yes",
        &["4:48 ADIT-1013 listeners[0].tls"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', tls: true, redirect: https, protocol: h2c",
        &[
            "4:54 ADIT-1018 listeners[0].redirect",
            "4:71 ADIT-1018 listeners[0].protocol",
        ],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', protocol: h2",
        &["4:53 ADIT-1014 listeners[0].protocol"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', tcp: {}",
        &["4:48 ADIT-1012 listeners[0].tcp"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', tcp: {backends: ['http://10.0.0.1:80']}, refusal: 404",
        &[
            "4:60 ADIT-1033 listeners[0].tcp.backends[0]",
            "4:84 ADIT-1018 listeners[0].refusal",
        ],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', tcp: {backends: [a.test], retry: {}, health: {path: /}, balance: {hash: path}}",
        &[
            "4:60 ADIT-1015 listeners[0].tcp.backends[0]",
            "4:69 ADIT-1010 listeners[0].tcp.retry",
            "4:89 ADIT-1018 listeners[0].tcp.health.path",
            "4:115 ADIT-1018 listeners[0].tcp.balance.hash",
        ],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', redirect: http",
        &["4:53 ADIT-1014 listeners[0].redirect"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', redirect: {status: 303, port: 0}",
        &[
            "4:62 ADIT-1014 listeners[0].redirect.status",
            "4:73 ADIT-1016 listeners[0].redirect.port",
        ],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', allow: [lna, 10.0.0.0/33]",
        &[
            "4:51 ADIT-1022 listeners[0].allow[0]",
            "4:56 ADIT-1015 listeners[0].allow[1]",
        ],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', allow: []",
        &["4:50 ADIT-1017 listeners[0].allow"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', allow: lan",
        &["4:50 ADIT-1013 listeners[0].allow"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', proxyProtocol: required",
        &["4:58 ADIT-1018 listeners[0].proxyProtocol"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', proxyProtocol: optional, trustProxy: [10.0.0.1]",
        &["4:58 ADIT-1014 listeners[0].proxyProtocol"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', trustProxy: [10.0.0.1]",
        &["4:43 ADIT-1018 listeners[0].trustProxy"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', proxyProtocol: required, trustProxy: []",
        &["4:80 ADIT-1017 listeners[0].trustProxy"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', proxyProtocol: required, trustProxy: [0.0.0.0/0, '::/0', '::ffff:0:0/96', lan]",
        &[
            "4:81 ADIT-1027 listeners[0].trustProxy[0]",
            "4:92 ADIT-1027 listeners[0].trustProxy[1]",
            "4:100 ADIT-1027 listeners[0].trustProxy[2]",
            "4:117 ADIT-1015 listeners[0].trustProxy[3]",
        ],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', refusal: 500, foreignTunnel: allow",
        &[
            "4:52 ADIT-1014 listeners[0].refusal",
            "4:72 ADIT-1014 listeners[0].foreignTunnel",
        ],
    ),
    (
        "name: w, role: internet, bind: '[::1]:0', foreignTunnel: deny",
        &["4:48 ADIT-1018 listeners[0].foreignTunnel"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', limits: {sourceRate: 5}",
        &["4:52 ADIT-1011 listeners[0].limits.sourceRate"],
    ),
    (
        "name: w, role: lan, bind: '[::1]:0', interface: way-too-long-for-linux",
        &["4:54 ADIT-1015 listeners[0].interface"],
    ),
    (
        "name: a, role: admin, bind: '0.0.0.0:9090'",
        &["4:34 ADIT-1028 listeners[0].bind"],
    ),
    (
        "name: a, role: admin, bind: '[::1]:0', tls: true, redirect: https",
        &[
            "4:45 ADIT-1018 listeners[0].tls",
            "4:56 ADIT-1018 listeners[0].redirect",
        ],
    ),
    (
        "name: a, role: lan, bind: '[::1]:0'}\n  - {name: a, role: lan, bind: '[::1]:0'",
        &["5:12 ADIT-1020 listeners[1].name"],
    ),
    (
        "name: a, role: lan, bind: '[::]:443'}\n  - {name: b, role: internet, bind: '192.0.2.1:443'",
        &["5:37 ADIT-1026 listeners[1].bind"],
    ),
    (
        "name: a, role: lan, bind: '0.0.0.0:443'}\n  - {name: b, role: lan, bind: ['[::1]:443', '0.0.0.0:443']",
        &["5:46 ADIT-1026 listeners[1].bind[1]"],
    ),
    (
        "name: a, role: lan, bind: ['[::1]:443', '[::1]:443']",
        &["4:46 ADIT-1026 listeners[0].bind[1]"],
    ),
    (
        "name: a, role: lan, bind: '[::]:443', interface: eth0}\n  - {name: b, role: lan, bind: '[::]:443'",
        &["5:32 ADIT-1026 listeners[1].bind"],
    ),
];

#[test]
fn tls_settings_that_cannot_work_are_refused() {
    refuse_after_head(&[
        ("tls: {minVersion: 1.1}", &["3:19 ADIT-1014 tls.minVersion"]),
        (
            "tls: {clientAuth: {mode: require}}",
            &["3:19 ADIT-1012 tls.clientAuth"],
        ),
        (
            "tls: {clientAuth: {ca: tls/none.pem, mode: maybe}}",
            &[
                "3:24 ADIT-1023 tls.clientAuth.ca",
                "3:44 ADIT-1014 tls.clientAuth.mode",
            ],
        ),
        (
            "tls: {clientAuth: {ca: tls/junk.pem}}",
            &["3:24 ADIT-1024 tls.clientAuth.ca"],
        ),
        (
            "tls: {clientAuth: {ca: tls/broken.pem}}",
            &["3:24 ADIT-1024 tls.clientAuth.ca"],
        ),
        (
            "tls: {clientAuth: {ca: tls}}",
            &["3:24 ADIT-1023 tls.clientAuth.ca"],
        ),
        (
            "tls: {defaultCertificate: exmaple}\ncertificates: {files: [{cert: example.pem, key: k}]}",
            &["3:27 ADIT-1022 tls.defaultCertificate"],
        ),
        (
            "tls: {defaultCertificate: a}",
            &["3:27 ADIT-1022 tls.defaultCertificate"],
        ),
        (
            "certificates: {files: [{cert: a.pem}, {name: x, cert: a.pem, key: k}, {name: x, cert: a.pem, key: k}], directories: x}",
            &[
                "3:24 ADIT-1012 certificates.files[0]",
                "3:78 ADIT-1020 certificates.files[2].name",
                "3:117 ADIT-1013 certificates.directories",
            ],
        ),
    ]);
}

#[test]
fn networks_and_rules_that_contradict_are_refused() {
    refuse_after_head(&[
        (
            "networks: {lan: {cidrs: [10.0.0.0/8]}, vpn: {role: wan, cidrs: []}, 'a b': {role: lan, cidrs: [10.0.0.256]}}",
            &[
                "3:17 ADIT-1012 networks.lan",
                "3:52 ADIT-1014 networks.vpn.role",
                "3:64 ADIT-1017 networks.vpn.cidrs",
                "3:69 ADIT-1015 networks.a b",
                "3:96 ADIT-1015 networks.a b.cidrs[0]",
            ],
        ),
        (
            "networks: {lan: {role: lan, cidrs: [10.0.0.0/8]}, pods: {role: cluster, cidrs: [192.168.0.0/16, 10.42.0.0/16]}}",
            &["3:97 ADIT-2003 networks.pods.cidrs[1]"],
        ),
        ("rules: [{hosts: [a.test]}]", &["3:9 ADIT-1012 rules[0]"]),
        ("rules: [{exposure: lan}]", &["3:9 ADIT-1012 rules[0]"]),
        (
            "rules: [{hosts: [], exposure: lan}]",
            &["3:17 ADIT-1017 rules[0].hosts"],
        ),
        (
            "rules: [{hosts: [a.test], exposure: privat}]",
            &["3:37 ADIT-1014 rules[0].exposure"],
        ),
        (
            "rules: [{hosts: ['foo*.test', 'https://b.test/x'], exposure: lan}]",
            &[
                "3:18 ADIT-1015 rules[0].hosts[0]",
                "3:31 ADIT-1015 rules[0].hosts[1]",
            ],
        ),
        (
            "rules: [{hosts: [a.test], exposure: public}]",
            &["3:37 ADIT-2008 rules[0].exposure"],
        ),
        (
            "rules: [{name: a, hosts: [a.test], exposure: lan}, {name: a, hosts: [b.test], exposure: lan}]",
            &["3:59 ADIT-2004 rules[1].name"],
        ),
        (
            "rules: [{hosts: ['*.test'], paths: [/a], exposure: lan}]",
            &["3:18 ADIT-2006 rules[0].hosts[0]"],
        ),
        (
            "rules: [{hosts: [a.test], paths: [a, /a//b, '/a?b', /a/../b], exposure: lan}]",
            &[
                "3:35 ADIT-1015 rules[0].paths[0]",
                "3:38 ADIT-1015 rules[0].paths[1]",
                "3:45 ADIT-1015 rules[0].paths[2]",
                "3:53 ADIT-1015 rules[0].paths[3]",
            ],
        ),
        (
            "rules: [{hosts: [a.test], exposure: lan, from: [nobody]}]",
            &["3:49 ADIT-2011 rules[0].from[0]"],
        ),
        (
            "rules: [{hosts: [a.test], exposure: lan, tls: terminate}]",
            &["3:47 ADIT-1014 rules[0].tls"],
        ),
        (
            "rules: [{}, {hosts: [a.test], exposure: public}]",
            &[
                "3:9 ADIT-1012 rules[0]",
                "3:9 ADIT-1012 rules[0]",
                "3:41 ADIT-2008 rules[1].exposure",
            ],
        ),
        (
            "routes: [{host: a.test, backends: ['http://10.0.0.1:1']}]\nrules: [{hosts: [a.test], exposure: lan, tls: passthrough}]",
            &["4:18 ADIT-2012 rules[0].hosts[0]"],
        ),
    ]);
}

#[test]
fn a_guard_holds_against_every_rule() {
    refuse(&[(
        "version: 1\nlisteners: [{name: i, role: internet, bind: '127.0.0.2:0'}]\nrules: [{hosts: [b.test, a.test], exposure: public}]\n\
         guards: {neverPublic: {hosts: [a.test]}}",
        &["3:26 ADIT-2009 rules[0].hosts[1]"],
    )]);
}
