//! Wrong files: the text, listeners, TLS, networks and policy.

use super::*;

#[test]
fn what_is_not_a_configuration_is_refused() {
    refuse(&[
        ("", &[]),
        ("# nothing\n", &[]),
        ("---\n...\n", &[]),
        ("~\n", &[]),
        ("just a text\n", &[]),
        ("- a\n- b\n", &[]),
        ("a: [1, 2\n", &[]),
        ("a: 'b\n", &[]),
        ("version: 1\n\tlisteners: []\n", &[]),
        ("version: 1\n---\nversion: 1\n", &[]),
        ("version: !!int 1\n", &[]),
        ("version: 1\n? [a]\n: b\n", &[]),
        ("version: 1\nversion: 1\nversion: 1\nlisteners: [{name: w, role: lan, bind: '[::1]:0'}]", &[]),
        ("version: 2\nlisteners: [{name: w, role: lan, bind: '[::1]:0'}]", &[]),
        ("version: '1'\nlisteners: [{name: w, role: lan, bind: '[::1]:0'}]", &[]),
        ("version: one\nlisteners: [{name: w, role: lan, bind: '[::1]:0'}]", &[]),
        ("listeners: [{name: w, role: lan, bind: '[::1]:0'}]", &[]),
        ("version: 1", &[]),
        ("version: 1\nlisteners: []", &[]),
        ("version: 1\nlisteners: {}", &[]),
        ("version: 1\nlisteners:", &[]),
    ]);
}

#[test]
fn unknown_keys_are_refused_and_planned_ones_explained() {
    refuse_after_head(&[
        ("ruels: []", &[]),
        ("owner: home\nmode: apply\ncloudflare: {}\ntunnels: []\npublish: {}\ndelegation: []", &[]),
        ("certificates: {issuers: {}, default: le}", &[]),
        ("routes: [{host: a.test, backend: x, <<: {}}]", &[]),
        ("rules: [{hosts: [a.test], exposure: lan, namespaces: [a], dns: none}]", &[]),
        ("log: {levle: info}\naccessLog: {format: jsn, path: ''}", &[]),
        ("guards: {neverPublic: [a.test]}", &[]),
        ("limits: {headTimeout: 5, headerBytes: 10MB, requestLine: 1, headerFields: many, conections: 1, pingTimeout: 2d}", &[]),
        ("workers: 0", &[]),
        ("workers: all", &[]),
        ("workers: []", &[]),
        ("default: {exposure: public}", &[]),
        ("default: lan", &[]),
    ]);
}

#[test]
fn listeners_that_cannot_work_are_refused() {
    let listener = |text: &str| format!("version: 1\nnetworks: {{lan: {{role: lan, cidrs: [10.0.0.0/8]}}}}\nlisteners:\n  - {{{text}}}\n");
    let cases: &[(&str, &[&str])] = &[
        ("name: w", &[]),
        ("name: lan, role: lan, bind: '[::1]:0'", &[]),
        ("name: -w, role: lan, bind: '[::1]:0'", &[]),
        ("name: w, role: tunnel, bind: '[::1]:0'", &[]),
        ("name: w, role: lan, bind: ':443'", &[]),
        ("name: w, role: lan, bind: [localhost:80, '::1:80', '[::1]:70000', 1]", &[]),
        ("name: w, role: lan, bind: []", &[]),
        ("name: w, role: lan, bind: '[::1]:0', tls: yes", &[]),
        ("name: w, role: lan, bind: '[::1]:0', tls: true, redirect: https, protocol: h2c", &[]),
        ("name: w, role: lan, bind: '[::1]:0', protocol: h2", &[]),
        ("name: w, role: lan, bind: '[::1]:0', tcp: {}", &[]),
        ("name: w, role: lan, bind: '[::1]:0', tcp: {backends: ['http://10.0.0.1:80']}, refusal: 404", &[]),
        ("name: w, role: lan, bind: '[::1]:0', tcp: {backends: [a.test], retry: {}, health: {path: /}, balance: {hash: path}}", &[]),
        ("name: w, role: lan, bind: '[::1]:0', redirect: http", &[]),
        ("name: w, role: lan, bind: '[::1]:0', redirect: {status: 303, port: 0}", &[]),
        ("name: w, role: lan, bind: '[::1]:0', allow: [lna, 10.0.0.0/33]", &[]),
        ("name: w, role: lan, bind: '[::1]:0', allow: []", &[]),
        ("name: w, role: lan, bind: '[::1]:0', allow: lan", &[]),
        ("name: w, role: lan, bind: '[::1]:0', proxyProtocol: required", &[]),
        ("name: w, role: lan, bind: '[::1]:0', proxyProtocol: optional, trustProxy: [10.0.0.1]", &[]),
        ("name: w, role: lan, bind: '[::1]:0', trustProxy: [10.0.0.1]", &[]),
        ("name: w, role: lan, bind: '[::1]:0', proxyProtocol: required, trustProxy: []", &[]),
        ("name: w, role: lan, bind: '[::1]:0', proxyProtocol: required, trustProxy: [0.0.0.0/0, '::/0', '::ffff:0:0/96', lan]", &[]),
        ("name: w, role: lan, bind: '[::1]:0', refusal: 500, foreignTunnel: allow", &[]),
        ("name: w, role: internet, bind: '[::1]:0', foreignTunnel: deny", &[]),
        ("name: w, role: lan, bind: '[::1]:0', limits: {}", &[]),
        ("name: w, role: lan, bind: '[::1]:0', interface: way-too-long-for-linux", &[]),
        ("name: a, role: admin, bind: '0.0.0.0:9090'", &[]),
        ("name: a, role: admin, bind: '[::1]:0', tls: true, redirect: https", &[]),
        ("name: a, role: lan, bind: '[::1]:0'}\n  - {name: a, role: lan, bind: '[::1]:0'", &[]),
        ("name: a, role: lan, bind: '[::]:443'}\n  - {name: b, role: internet, bind: '192.0.2.1:443'", &[]),
        ("name: a, role: lan, bind: '0.0.0.0:443'}\n  - {name: b, role: lan, bind: ['[::1]:443', '0.0.0.0:443']", &[]),
        ("name: a, role: lan, bind: ['[::1]:443', '[::1]:443']", &[]),
        ("name: a, role: lan, bind: '[::]:443', interface: eth0}\n  - {name: b, role: lan, bind: '[::]:443'", &[]),
    ];
    let texts: Vec<_> = cases.iter().map(|(text, _)| listener(text)).collect();
    let whole: Vec<_> = texts.iter().zip(cases).map(|(text, (_, expected))| (text.as_str(), *expected)).collect();
    refuse(&whole);
}

#[test]
fn tls_settings_that_cannot_work_are_refused() {
    refuse_after_head(&[
        ("tls: {minVersion: 1.1}", &[]),
        ("tls: {clientAuth: {mode: require}}", &[]),
        ("tls: {clientAuth: {ca: tls/none.pem, mode: maybe}}", &[]),
        ("tls: {clientAuth: {ca: tls/junk.pem}}", &[]),
        ("tls: {clientAuth: {ca: tls/broken.pem}}", &[]),
        ("tls: {clientAuth: {ca: tls}}", &[]),
        ("tls: {defaultCertificate: exmaple}\ncertificates: {files: [{cert: example.pem, key: k}]}", &[]),
        ("tls: {defaultCertificate: a}", &[]),
        ("certificates: {files: [{cert: a.pem}, {name: x, cert: a.pem, key: k}, {name: x, cert: a.pem, key: k}], directories: x}", &[]),
    ]);
}

#[test]
fn networks_and_rules_that_contradict_are_refused() {
    refuse_after_head(&[
        ("networks: {lan: {cidrs: [10.0.0.0/8]}, vpn: {role: wan, cidrs: []}, 'a b': {role: lan, cidrs: [10.0.0.256]}}", &[]),
        ("networks: {lan: {role: lan, cidrs: [10.0.0.0/8]}, pods: {role: cluster, cidrs: [192.168.0.0/16, 10.42.0.0/16]}}", &[]),
        ("rules: [{hosts: [a.test]}]", &[]),
        ("rules: [{exposure: lan}]", &[]),
        ("rules: [{hosts: [], exposure: lan}]", &[]),
        ("rules: [{hosts: [a.test], exposure: privat}]", &[]),
        ("rules: [{hosts: ['foo*.test', 'https://b.test/x'], exposure: lan}]", &[]),
        ("rules: [{hosts: [a.test], exposure: public}]", &[]),
        ("rules: [{name: a, hosts: [a.test], exposure: lan}, {name: a, hosts: [b.test], exposure: lan}]", &[]),
        ("rules: [{hosts: ['*.test'], paths: [/a], exposure: lan}]", &[]),
        ("rules: [{hosts: [a.test], paths: [a, /a//b, '/a?b', /a/../b], exposure: lan}]", &[]),
        ("rules: [{hosts: [a.test], exposure: lan, from: [nobody]}]", &[]),
        ("rules: [{hosts: [a.test], exposure: lan, tls: terminate}]", &[]),
        ("rules: [{}, {hosts: [a.test], exposure: public}]", &[]),
        ("routes: [{host: a.test, backends: ['http://10.0.0.1:1']}]\nrules: [{hosts: [a.test], exposure: lan, tls: passthrough}]", &[]),
    ]);
}

#[test]
fn a_guard_holds_against_every_rule() {
    refuse(&[(
        "version: 1\nlisteners: [{name: i, role: internet, bind: '127.0.0.2:0'}]\nrules: [{hosts: [b.test, a.test], exposure: public}]\n\
         guards: {neverPublic: {hosts: [a.test]}}",
        &[],
    )]);
}
