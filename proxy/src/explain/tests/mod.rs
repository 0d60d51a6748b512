//! What is said of requests, and that it names the step and the neighbour that a person looks for.

mod blueprint;

use adit_route::CanonicalHost;

use self::blueprint::explainer;
use super::Question;

/// `METHOD scheme://host/path`, through a listener, with fields.
fn question(listener: &str, request: &str, fields: &[&str]) -> Question {
    let (method, url) = request.split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    Question {
        listener: listener.into(),
        secure: scheme == "https",
        host: CanonicalHost::parse(host.as_bytes()).unwrap(),
        port: None,
        target: format!("/{path}"),
        method: method.to_owned(),
        fields: fields.iter().map(ToString::to_string).collect(),
        client: None,
    }
}

/// Listener, request, fields, the step that fails, the verdict.
type Case = (
    &'static str,
    &'static str,
    &'static [&'static str],
    Option<&'static str>,
    &'static str,
);

const CASES: &[Case] = &[
    (
        "web",
        "GET http://www.example.test/api/v1/x?y",
        &[],
        None,
        "forwarded to upstream one via http://192.0.2.11:80 (75 %); \
         upstream two via h2c://192.0.2.12:80 (25 %)",
    ),
    (
        "web",
        "GET http://www.example.test/status",
        &[],
        None,
        "204, the route's fixed answer",
    ),
    (
        "web",
        "GET http://www.example.test/api/v2",
        &[],
        Some("route"),
        "404: no route of www.example.test is for /api/v2",
    ),
    (
        "web",
        "POST http://www.example.test/upload",
        &["Content-Length: 1001"],
        Some("limits"),
        "413: a body of 1001 bytes is over the route's limit of 1000 [L-10]",
    ),
    (
        "web",
        "GET http://wwww.example.test/",
        &[],
        Some("host"),
        "404: no route is for wwww.example.test [E-02]",
    ),
    (
        "web",
        "GET http://off.example.test/",
        &[],
        Some("exposure"),
        "404 as for an unknown host (rule hidden, adit.yaml line 23: off)",
    ),
    (
        "nets",
        "GET https://off.example.test/",
        &[],
        Some("tls"),
        "TLS alert unrecognized_name as for an unknown host (rule hidden, adit.yaml line 23: off)",
    ),
    (
        "nets",
        "GET https://none.example.test/",
        &[],
        Some("tls"),
        "TLS alert unrecognized_name: no route is for none.example.test [TL-13]",
    ),
    (
        "webs",
        "GET https://a.apps.test/",
        &[],
        Some("tls"),
        "TLS alert unrecognized_name: no certificate names a.apps.test [TL-14]",
    ),
    (
        "webs",
        "GET https://192.0.2.1/",
        &[],
        Some("tls"),
        "TLS alert unrecognized_name: no name is sent for an address, \
         and `tls.defaultCertificate` is not set [TL-10]",
    ),
    (
        "web",
        "GET http://a.apps.test/",
        &[],
        None,
        "forwarded to upstream apps via http://192.0.2.17:80",
    ),
    (
        "net",
        "GET http://www.example.test/x",
        &[],
        None,
        "308 to https://www.example.test:8443/x",
    ),
    (
        "net",
        "GET http://git.example.test/hooks",
        &[],
        Some("exposure"),
        "404 as for an unknown host (default: lan)",
    ),
    (
        "nets",
        "GET https://git.example.test/hook",
        &[],
        None,
        "forwarded to upstream git via http://192.0.2.16:80",
    ),
    (
        "nets",
        "GET https://git.example.test/hook/../admin",
        &[],
        Some("route"),
        "400: /hook/../admin can be read in ways that lead to different routes [N-09]",
    ),
    (
        "webs",
        "GET https://own.example.test/",
        &[],
        None,
        "passthrough to upstream own via 192.0.2.15:443",
    ),
    (
        "web",
        "GET http://own.example.test/",
        &[],
        Some("tls-name"),
        "404: TLS of own.example.test is passed through, so there is no plain HTTP for it [E-02]",
    ),
    (
        "webs",
        "GET https://www.example.test/",
        &["Host: own.example.test"],
        Some("tls-name"),
        "421: TLS of own.example.test is passed through; \
         this connection ended here for www.example.test [TL-20]",
    ),
    (
        "webs",
        "GET https://www.example.test/",
        &["Host: git.example.test"],
        Some("tls-name"),
        "421: git.example.test is asked for on a connection for www.example.test: \
         its TLS policy, certificate or class differs [TL-19]",
    ),
    (
        "webs",
        "GET https://git.example.test/",
        &["Host: idle.example.test"],
        Some("upstream"),
        "503: no endpoint has a weight above 0 [no-endpoint]",
    ),
    (
        "web",
        "GET http://loop.example.test/",
        &[],
        Some("upstream"),
        "508: every endpoint is a listener of adit itself [loop]",
    ),
    (
        "web",
        "GET https://www.example.test/",
        &[],
        Some("tls"),
        "the connection is closed: the listener speaks plain HTTP, \
         and the client begins with TLS [D-37]",
    ),
    (
        "webs",
        "GET http://www.example.test/",
        &[],
        Some("tls"),
        "400: the listener speaks TLS, and the client begins with plain HTTP [TL-09]",
    ),
    (
        "web",
        "TRACE http://www.example.test/",
        &[],
        Some("method"),
        "405: TRACE is not served [D-84]",
    ),
    (
        "web",
        "GET http://www.example.test/%zz",
        &[],
        Some("request"),
        "400: target-bytes [N-08]",
    ),
    (
        "web",
        "GET http://git.example.test/",
        &["CF-Ray: 1"],
        Some("exposure"),
        "404 as for an unknown host (default: lan)",
    ),
    (
        "edge",
        "GET http://git.example.test/",
        &["CF-Ray: 1"],
        Some("tunnel"),
        "404: it bears the marks of a foreign tunnel, and `foreignTunnel` is deny \
         [E-foreign-tunnel]",
    ),
    (
        "adm",
        "GET http://www.example.test/",
        &[],
        None,
        "answered by the admin surface",
    ),
    (
        "db",
        "GET http://www.example.test/",
        &[],
        None,
        "relayed to upstream db via 192.0.2.50:5432",
    ),
    (
        "dbs",
        "GET https://www.example.test/",
        &[],
        None,
        "relayed to upstream db via 192.0.2.50:5432",
    ),
    (
        "dbs",
        "GET https://www.test/",
        &[],
        Some("tls"),
        "TLS alert unrecognized_name: no certificate names www.test [TL-13]",
    ),
];

#[test]
fn the_verdict_and_the_step_that_fails_are_named() {
    let explainer = explainer();
    for (listener, request, fields, failed, verdict) in CASES {
        let explained = explainer
            .explain(&question(listener, request, fields))
            .unwrap();
        let steps = &explained.steps;
        let stopped = steps.iter().find(|step| !step.passed).map(|step| step.name);
        assert_eq!(
            (explained.verdict.to_string().as_str(), stopped),
            (*verdict, *failed),
            "{listener} {request} {fields:?}"
        );
        let after = steps.iter().skip_while(|step| step.passed).skip(1);
        assert_eq!(
            after.count(),
            0,
            "nothing is told behind the failure: {request}"
        );
    }
    assert!(
        explainer
            .explain(&question("wbe", "GET http://a.test/", &[]))
            .is_none()
    );
}

#[test]
fn an_address_is_judged_or_assumed() {
    let explainer = explainer();
    for (listener, host, client, expected, verdict) in [
        (
            "home",
            "git",
            Some("10.0.0.9"),
            "10.0.0.9 is allowed",
            "forwarded",
        ),
        (
            "home",
            "git",
            Some("10.6.6.6"),
            "10.6.6.6 is denied: 10.6.6.0/24",
            "closed",
        ),
        (
            "home",
            "git",
            Some("192.0.2.9"),
            "192.0.2.9 is not allowed: 10.0.0.0/8",
            "closed",
        ),
        ("home", "git", None, "10.0.0.1 is allowed", "forwarded"),
        ("home", "few", None, "10.1.0.1 is allowed", "forwarded"),
        (
            "web",
            "few",
            None,
            "10.1.0.1, everybody is let in",
            "forwarded",
        ),
        (
            "web",
            "few",
            Some("10.2.0.1"),
            "10.2.0.1, everybody is let in",
            "answered",
        ),
        (
            "web",
            "few",
            Some("::ffff:10.1.0.1"),
            "10.1.0.1, everybody is let in",
            "forwarded",
        ),
        (
            "web",
            "git",
            None,
            "any: nothing here depends on its address",
            "forwarded",
        ),
        (
            "edge",
            "few",
            Some("10.1.0.1"),
            "10.1.0.1, everybody is let in",
            "forwarded",
        ),
    ] {
        let request = format!("GET http://{host}.example.test/");
        let question = Question {
            client: client.map(|client| client.parse().unwrap()),
            ..question(listener, &request, &[])
        };
        let explained = explainer.explain(&question).unwrap();
        let step = explained
            .steps
            .iter()
            .find(|step| step.name == "client")
            .unwrap();
        assert_eq!(
            (step.text.as_str(), explained.verdict.kind()),
            (expected, verdict),
            "{listener} {host} {client:?}"
        );
    }
}

#[test]
fn what_almost_matched_and_what_was_skipped_is_told() {
    let explainer = explainer();
    for (listener, request, step, note) in [
        (
            "web",
            "GET http://wwww.example.test/",
            "host",
            "nearest: www.example.test",
        ),
        (
            "webs",
            "GET https://wwww.example.test/",
            "tls",
            "nearest: www.example.test",
        ),
        (
            "web",
            "GET http://www.example.test/api/v2",
            "route",
            "almost: prefix /api/v1 (adit.yaml line 11) is spelled nearly like the path",
        ),
        (
            "web",
            "GET http://www.example.test/upload/x",
            "route",
            "almost: prefix /upload (adit.yaml line 12) matches the path, and demands method POST",
        ),
        (
            "web",
            "POST http://www.example.test/uploads-all",
            "route",
            "almost: prefix /upload (adit.yaml line 12) begins like the path, \
             and a prefix covers whole elements only",
        ),
        (
            "net",
            "GET http://git.example.test/hooks",
            "exposure",
            "skipped: rule hooks, adit.yaml line 22: public; path /hooks is not under /hook",
        ),
        (
            "net",
            "GET http://git.example.test/hooks",
            "exposure",
            "skipped: rule site, adit.yaml line 21: public; speaks of www.example.test",
        ),
        (
            "nets",
            "GET https://git.example.test/hook/../admin",
            "route",
            "as /admin: prefix / (lan)",
        ),
        (
            "web",
            "GET http://www.example.test/api/v1",
            "upstream",
            "192.0.2.13:80 has weight 0 and gets nothing",
        ),
    ] {
        let explained = explainer
            .explain(&question(listener, request, &[]))
            .unwrap();
        let told = explained
            .steps
            .iter()
            .filter(|found| found.name == step)
            .flat_map(|found| &found.notes);
        let told: Vec<_> = told.collect();
        assert!(
            told.iter().any(|told| told.contains(note)),
            "{request}: {told:?}"
        );
    }
}
