//! How problems look.

use super::*;

#[test]
fn an_error_shows_the_line_and_what_to_do() {
    let place = Workplace::new();
    let report = place.load("version: 1\nlisteners:\n  - {name: w, role: lan, bind: \"127.0.0.1:0\", proxy_protocol: required}\n").unwrap_err();
    let allowed = "allow, bind, deny, foreignTunnel, interface, limits, name, protocol, proxyProtocol, redirect, refusal, role, tcp, tls, trustForwarded, \
                   trustProxy";
    let expected = [
        "error[ADIT-1010]: unknown key `proxy_protocol`",
        "  --> adit.yaml:3:47 (listeners[0].proxy_protocol)",
        "   |",
        " 3 |   - {name: w, role: lan, bind: \"127.0.0.1:0\", proxy_protocol: required}",
        "   |                                               ^^^^^^^^^^^^^^",
        "  = found: `proxy_protocol`",
        &format!("  = allowed: {allowed}"),
        "  = help: did you mean `proxyProtocol`?",
        "",
        "1 error",
        "",
    ];
    assert_eq!(report.render(false), expected.join("\n"));
    assert!(
        report
            .render(true)
            .contains("\u{1b}[1;31merror[ADIT-1010]\u{1b}[0m")
    );
    let json = report.json();
    let found = &json["diagnostics"][0];
    assert_eq!(
        (
            found["line"].as_u64(),
            found["column"].as_u64(),
            found["endColumn"].as_u64(),
            found["nearest"].as_str()
        ),
        (Some(3), Some(47), Some(61), Some("proxyProtocol"))
    );
    assert_eq!(
        (
            json["errors"].as_u64(),
            found["code"].as_str(),
            found["path"].as_str()
        ),
        (
            Some(1),
            Some("ADIT-1010"),
            Some("listeners[0].proxy_protocol")
        )
    );
}

#[test]
fn both_places_of_a_conflict_are_shown() {
    let place = Workplace::new();
    let text = "version: 1\nlisteners:\n  - {name: a, role: lan, bind: \"[::]:443\"}\n  - {name: b, role: lan, bind: \"0.0.0.0:443\"}\n";
    let expected = [
        "error[ADIT-1026]: two listeners would share the socket 0.0.0.0:443",
        "  --> adit.yaml:4:32 (listeners[1].bind)",
        "   |",
        " 4 |   - {name: b, role: lan, bind: \"0.0.0.0:443\"}",
        "   |                                ^^^^^^^^^^^^^",
        "  ::: adit.yaml:3:32 (already bound here)",
        "   |",
        " 3 |   - {name: a, role: lan, bind: \"[::]:443\"}",
        "   |                                ^^^^^^^^^^",
        "  = found: 0.0.0.0:443",
        "  = help: give each its own address or port; `[::]` takes IPv4 too, and `0.0.0.0` takes every IPv4 address",
        "",
        "1 error",
        "",
    ];
    assert_eq!(
        place.load(text).unwrap_err().render(false),
        expected.join("\n")
    );
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_file() {
    let place = Workplace::new();
    let text = "verson: 1\nlisteners:\n  - {name: lan, role: Lan, bind: 443}\nroutes:\n  - {host: a..b, backends: [10.0.0.1]}\n  - {hosts: [], paths: [{prefix: x}]}\n\
                rules:\n  - {hosts: [a.test], exposure: publik}\ndefault: {exposure: public}\n";
    let report = place.load(text).unwrap_err();
    assert_eq!(
        places(&report),
        [
            "1:1 ADIT-1010 verson",
            "1:1 ADIT-1012",
            "3:12 ADIT-1021 listeners[0].name",
            "3:23 ADIT-1014 listeners[0].role",
            "3:34 ADIT-1015 listeners[0].bind",
            "5:12 ADIT-1015 routes[0].host",
            "5:29 ADIT-1015 routes[0].backends[0]",
            "6:13 ADIT-1017 routes[1].hosts",
            "6:34 ADIT-1015 routes[1].paths[0].prefix",
            "8:33 ADIT-1014 rules[0].exposure",
            "9:21 ADIT-1014 default.exposure",
        ]
    );
    let nearest: Vec<_> = report
        .diagnostics
        .iter()
        .map(|found| found.nearest.as_deref())
        .collect();
    assert_eq!(nearest[0], Some("version"));
    assert_eq!(nearest[4], Some("[::]:443"));
    assert_eq!(nearest[9], Some("public"));
}
