//! Policies that guard routes: what they mean, and how wrong ones are reported.

use adit_route::policy::{Bandwidth, Period, Policies};
use http::StatusCode;

use super::*;

/// The policies of the paths of the first route.
fn policies(config: &Config) -> Vec<Option<&Policies>> {
    let rules = config.routes.hosts[0].rules.iter();
    rules.map(|rule| rule.policies.as_deref()).collect()
}

/// A route with this beside its backend.
fn route(more: &str) -> String {
    format!("{HEAD}routes: [{{host: a.test, backends: ['http://10.0.0.1:1'], {more}}}]")
}

#[test]
fn networks_of_the_file_stand_in_lists_of_routes() {
    let place = Workplace::new();
    let config = place.good(&format!(
        "networks: {{near: {{role: lan, cidrs: [10.1.0.0/16]}}}}\n{}",
        route("access: {allow: [near, '2001:db8::1'], deny: [10.1.6.6]}, paths: [{prefix: /}, {prefix: /o, access: off}]")
    ));
    let found = policies(&config);
    let access = &found[0].unwrap().access;
    let allow = access.allow.as_ref().unwrap();
    for (client, allowed, denied) in [
        ("10.1.2.3", true, false),
        ("10.1.6.6", true, true),
        ("2001:db8::1", true, false),
        ("10.2.0.1", false, false),
    ] {
        let client = client.parse().unwrap();
        let said = (allow.contains(client), access.deny.contains(client));
        assert_eq!(said, (allowed, denied), "{client}");
    }
    assert!(found[1].is_none(), "`off` lifts what the route demands");
}

#[test]
fn paths_share_the_counters_of_the_limit_that_they_take_from_their_route() {
    let place = Workplace::new();
    let text = r"routes:
  - name: shop
    host: a.test
    backends: ['http://10.0.0.1:1']
    rateLimit: {requests: [10/s, 300/m], burstMultiplier: 2, connections: 7}
    paths:
      - {prefix: /}
      - {prefix: /b, rateLimit: {requests: 1/h, status: 503, bandwidth: 1MiB}}
      - {prefix: /c}
  - {host: b.test, backends: ['http://10.0.0.1:1'], rateLimit: {requests: 1/s}}
  - {host: b.test, paths: [{prefix: /x, rateLimit: {connections: 1}, respond: {}}]}
  - {host: b.test, paths: [{exact: /y}], rateLimit: {connections: 1}, respond: {}}
";
    let config = place.good(&format!("{HEAD}{text}"));
    let rules = config.routes.hosts.iter().flat_map(|host| &host.rules);
    let limits: Vec<_> = rules
        .map(|rule| rule.policies.as_ref().unwrap().rate.clone().unwrap())
        .collect();
    let zones: Vec<&str> = limits.iter().map(|limit| &*limit.zone).collect();
    assert_eq!(
        zones,
        ["shop", "shop/b", "shop", "b.test", "b.test/x", "b.test#2"]
    );
    let shop: Vec<_> = limits[0]
        .requests
        .iter()
        .map(|rate| (rate.count, rate.period, rate.burst))
        .collect();
    assert_eq!(shop, [(10, Period::Second, 20), (300, Period::Minute, 600)]);
    assert_eq!(limits[0].connections, Some(7));
    assert_eq!(limits[0].request_status, StatusCode::TOO_MANY_REQUESTS);
    let own = &limits[1];
    assert_eq!(own.requests[0].burst, 5);
    assert_eq!(own.request_status, StatusCode::SERVICE_UNAVAILABLE);
    let bandwidth = Bandwidth {
        bytes_per_second: 1 << 20,
        after: 0,
    };
    assert_eq!(own.bandwidth, Some(bandwidth));
}

#[test]
fn wrong_guards_are_refused() {
    refuse_within(
        route,
        &[
            (
                "access: {allow: []}",
                &["3:74 ADIT-1017 routes[0].access.allow"],
            ),
            (
                "access: {allow: [nobody]}",
                &["3:75 ADIT-1022 routes[0].access.allow[0]"],
            ),
            ("access: [10.0.0.1]", &["3:66 ADIT-1013 routes[0].access"]),
            ("access: on", &["3:66 ADIT-1014 routes[0].access"]),
            ("allow: [10.0.0.1]", &["3:58 ADIT-1011 routes[0].allow"]),
            (
                "rateLimit: {requests: 10r/s}",
                &["3:80 ADIT-1015 routes[0].rateLimit.requests"],
            ),
            (
                "rateLimit: {requests: 0/s}",
                &["3:80 ADIT-1015 routes[0].rateLimit.requests"],
            ),
            (
                "rateLimit: {requests: [1/s, 2/s]}",
                &["3:86 ADIT-1018 routes[0].rateLimit.requests[1]"],
            ),
            (
                "rateLimit: {burstMultiplier: 2, bandwidthAfter: 1MiB, status: 503}",
                &[
                    "3:70 ADIT-1018 routes[0].rateLimit.burstMultiplier",
                    "3:90 ADIT-1018 routes[0].rateLimit.bandwidthAfter",
                    "3:112 ADIT-1018 routes[0].rateLimit.status",
                ],
            ),
            (
                "tls: passthrough, access: {deny: [10.0.0.1]}",
                &[
                    "3:36 ADIT-1033 routes[0].backends[0]",
                    "3:76 ADIT-1018 routes[0].access",
                ],
            ),
        ],
    );
}

#[test]
fn password_files_are_read_with_the_configuration() {
    let place = Workplace::new();
    place.write("users", "anna:{SHA}abc=\nbert:rqXexS6ZhobKA\ncarl\n");
    fs::create_dir_all(place.path.join("team/.hidden")).unwrap();
    place.write("team/dora", "{SHA}abc=\n");
    let load = |text: &str| place.load(&route(text)).unwrap();
    let users = |loaded: &Loaded| {
        let access = policies(&loaded.config)[0].unwrap().access.clone();
        let credentials = access.basic.unwrap().credentials;
        let users = credentials.users.iter().map(|(user, _)| user.to_string());
        users.collect::<Vec<_>>()
    };
    let file = load("auth: {basic: {file: users, realm: office}}");
    assert_eq!(users(&file), ["anna"]);
    let mut warnings = file.warnings.iter().map(|found| found.code.to_string());
    let lines = warnings.by_ref().filter(|code| code == "ADIT-1024").count();
    assert_eq!(lines, 2, "{:?}", file.warnings);
    let shown = format!("{:?}", file.warnings);
    assert!(!shown.contains("rqXexS6ZhobKA"), "{shown}");
    let directory = load("auth: {basic: {directory: team}}");
    assert_eq!(users(&directory), ["dora"]);
    fs::rename(place.path.join("team/dora"), place.path.join("team/emil")).unwrap();
    let renamed = load("auth: {basic: {directory: team}}");
    assert_eq!(users(&renamed), ["emil"]);
    assert_ne!(directory.config.source_digest, renamed.config.source_digest);
}

#[test]
fn routes_that_ask_one_server_share_its_connections() {
    let place = Workplace::new();
    let text = r#"routes:
  - {host: a.test, backends: ['http://10.0.0.1:1'], auth: {external: {url: "http://10.0.0.9:4180/auth?for=$host"}}}
  - {host: b.test, backends: ['http://10.0.0.1:1'], auth: {external: {url: "http://10.0.0.9:4180/other", timeout: 1s, cache: {key: $http_cookie}}}}
  - {host: c.test, backends: ['http://10.0.0.1:1'], auth: {external: {url: "https://auth.test", tls: {insecure: true}, cache: {key: "$args", times: [200 1s, 401 403 2s, 1m]}}}}
  - {host: d.test, backends: ['http://10.0.0.1:1'], auth: {external: {url: "https://auth.test"}}}
"#;
    let config = place.good(&format!("{HEAD}{text}"));
    let external: Vec<_> = config
        .routes
        .hosts
        .iter()
        .map(|host| {
            let policies = host.rules[0].policies.as_ref().unwrap();
            policies.access.external.clone().unwrap()
        })
        .collect();
    let names: Vec<_> = external.iter().map(|asked| &*asked.upstream.name).collect();
    let expected = [
        "auth:10.0.0.9:4180",
        "auth:10.0.0.9:4180",
        "auth:auth.test:443",
        "auth:auth.test:443#2",
    ];
    assert_eq!(names, expected);
    assert_eq!(external[2].host.as_str(), "auth.test");
    assert_eq!(external[2].target.as_literal(), Some("/"));
    let times: Vec<_> = external[2]
        .cache_for
        .iter()
        .map(|times| (times.statuses.len(), times.time.as_secs()))
        .collect();
    assert_eq!(times, [(1, 1), (2, 2), (0, 60)]);
    assert_eq!(external[1].cache_for.len(), 1);
}

#[test]
fn wrong_demands_are_refused() {
    refuse_within(
        |text| route(&format!("auth: {text}")),
        &[
            ("{}", &["3:64 ADIT-1018 routes[0].auth"]),
            ("{satisfy: any}", &["3:64 ADIT-1018 routes[0].auth"]),
            (
                "{digest: {file: x}}",
                &[
                    "3:64 ADIT-1018 routes[0].auth",
                    "3:65 ADIT-1011 routes[0].auth.digest",
                ],
            ),
            ("{basic: {}}", &["3:72 ADIT-1018 routes[0].auth.basic"]),
            (
                "{basic: {file: nowhere}}",
                &["3:79 ADIT-1023 routes[0].auth.basic.file"],
            ),
            (
                "{basic: {directory: nowhere}}",
                &["3:84 ADIT-1023 routes[0].auth.basic.directory"],
            ),
            (
                "{external: {}}",
                &["3:75 ADIT-1012 routes[0].auth.external"],
            ),
            (
                "{external: {url: '$host/auth'}}",
                &["3:81 ADIT-1015 routes[0].auth.external.url"],
            ),
            (
                "{external: {url: 'http://$host/auth'}}",
                &["3:81 ADIT-1015 routes[0].auth.external.url"],
            ),
            (
                "{external: {url: 'http://10.0.0.9/$nothing'}}",
                &["3:81 ADIT-1015 routes[0].auth.external.url"],
            ),
            (
                "{external: {url: 'http://localhost:80/'}}",
                &["3:81 ADIT-1033 routes[0].auth.external.url"],
            ),
            (
                "{external: {url: 'http://10.0.0.9', returnParameter: rd}}",
                &["3:100 ADIT-1018 routes[0].auth.external.returnParameter"],
            ),
            (
                "{external: {url: 'http://10.0.0.9', responseHeaders: [content-length]}}",
                &["3:118 ADIT-1018 routes[0].auth.external.responseHeaders[0]"],
            ),
            (
                "{external: {url: 'http://10.0.0.9', cache: {key: a, times: 200}}}",
                &["3:123 ADIT-1015 routes[0].auth.external.cache.times"],
            ),
            (
                "off, clientCertificate: {errorPage: nowhere}",
                &["3:100 ADIT-1015 routes[0].clientCertificate.errorPage"],
            ),
        ],
    );
}
