//! Lists of addresses and rates. Every client of these tests is 127.0.0.1.

use super::{Ask, Case, agree, ask, get};

const LIMIT: &str = "limit_req_zone $binary_remote_addr zone=CASE:1m rate=1r/m;";

#[test]
fn lists_and_rates_are_those_of_nginx() {
    agree(&[
        Case {
            rules: "ACL-01: allow",
            zone: "",
            nginx: r"
                proxy_set_header Host $http_host;
                location / { allow 10.0.0.0/8; allow 2001:db8::/32; deny all; proxy_pass http://$backend; }
                location /near { allow 127.0.0.0/8; deny all; proxy_pass http://$backend; }
                location /not { deny 127.0.0.1; allow all; proxy_pass http://$backend; }
                location /both { deny 127.0.0.1; allow 127.0.0.0/8; deny all; proxy_pass http://$backend; }
                location /other { deny 10.0.0.0/8; allow all; proxy_pass http://$backend; }
            ",
            adit: r#"backends: ["http://$backend"]
paths:
- {prefix: /, access: {allow: [10.0.0.0/8, "2001:db8::/32"]}}
- {prefix: /near, access: {allow: [127.0.0.0/8]}}
- {prefix: /not, access: {deny: [127.0.0.1]}}
- {prefix: /both, access: {deny: [127.0.0.1], allow: [127.0.0.0/8]}}
- {prefix: /other, access: {deny: [10.0.0.0/8]}}"#,
            asks: vec![
                get("/"),
                get("/near"),
                get("/not"),
                get("/both"),
                get("/other"),
                ask("POST", "/").body("x"),
            ],
        },
        Case {
            rules: "RAT-02, RAT-04",
            zone: LIMIT,
            nginx: "limit_req zone=CASE burst=5 nodelay; location / { proxy_pass http://$backend; }",
            adit: "rateLimit: {requests: 1/m, status: 503}\nbackends: [\"http://$backend\"]",
            asks: vec![get("/"); 9],
        },
        Case {
            rules: "RAT-04: limit-req-status-code",
            zone: LIMIT,
            nginx: "limit_req_status 429; limit_req zone=CASE burst=1 nodelay; location / { proxy_pass http://$backend; }",
            adit: "rateLimit: {requests: 1/m, burstMultiplier: 1}\nbackends: [\"http://$backend\"]",
            asks: vec![get("/"); 4],
        },
        Case {
            rules: "RAT-01: locations share the counters",
            zone: LIMIT,
            nginx: "limit_req zone=CASE burst=1 nodelay; location / { proxy_pass http://$backend; } location /a { proxy_pass http://$backend; }",
            adit: "rateLimit: {requests: 1/m, burstMultiplier: 1, status: 503}\nbackends: [\"http://$backend\"]\npaths: [{prefix: /}, {prefix: /a}]",
            asks: vec![get("/"), get("/a"), get("/"), get("/a")],
        },
        Case {
            rules: "RAT-05",
            zone: "geo $CASE_key { default $binary_remote_addr; 127.0.0.0/8 ''; } limit_req_zone $CASE_key zone=CASE:1m rate=1r/m;",
            nginx: "limit_req zone=CASE burst=1 nodelay; location / { proxy_pass http://$backend; }",
            adit: "rateLimit: {requests: 1/m, burstMultiplier: 1, status: 503, exempt: [127.0.0.0/8]}\nbackends: [\"http://$backend\"]",
            asks: vec![get("/"); 4],
        },
    ]);
}

fn limited(rules: &'static str, nginx: &'static str, adit: &'static str, asks: Vec<Ask>) -> Case {
    Case {
        rules,
        zone: LIMIT,
        nginx,
        adit,
        asks,
    }
}

#[test]
fn stages_of_access_follow_each_other_as_in_nginx() {
    agree(&[
        limited(
            "6 before 14: a body that is too large is not counted",
            "limit_req zone=CASE burst=1 nodelay; client_max_body_size 4; location / { proxy_pass http://$backend; }",
            "rateLimit: {requests: 1/m, burstMultiplier: 1, status: 503}\nlimits: {body: 4}\nbackends: [\"http://$backend\"]",
            vec![
                ask("POST", "/").body("too large"),
                ask("POST", "/").body("too large"),
                ask("POST", "/").body("too large"),
                ask("POST", "/").body("ok"),
            ],
        ),
        limited(
            "9 before 14: preflights are not counted",
            r#"
                limit_req zone=CASE burst=1 nodelay;
                add_header Access-Control-Allow-Origin "*" always;
                add_header Access-Control-Allow-Methods "GET" always;
                add_header Access-Control-Allow-Headers "A" always;
                add_header Access-Control-Max-Age 60 always;
                if ($request_method = OPTIONS) { return 204; }
                location / { proxy_pass http://$backend; }
            "#,
            "rateLimit: {requests: 1/m, burstMultiplier: 1, status: 503}\ncors: {methods: [GET], headers: [A], maxAge: 60s, credentials: false}\nbackends: [\"http://$backend\"]",
            vec![
                ask("OPTIONS", "/"),
                ask("OPTIONS", "/"),
                ask("OPTIONS", "/"),
                get("/"),
                get("/"),
                get("/"),
            ],
        ),
        limited(
            "10 before 14: redirects are not counted",
            "limit_req zone=CASE burst=1 nodelay; location / { proxy_pass http://$backend; } location /go { return 301 https://other.test/; }",
            "rateLimit: {requests: 1/m, burstMultiplier: 1, status: 503}\npaths: [{prefix: /, backends: [\"http://$backend\"]}, {prefix: /go, redirect: \"https://other.test/\"}]",
            vec![
                get("/go"),
                get("/go"),
                get("/go"),
                get("/"),
                get("/"),
                get("/"),
                get("/go"),
            ],
        ),
        limited(
            "12 before 14: neither is the way to HTTPS",
            "limit_req zone=CASE burst=1 nodelay; if ($scheme = http) { return 308 https://$host$request_uri; } location / { proxy_pass http://$backend; }",
            "rateLimit: {requests: 1/m, burstMultiplier: 1, status: 503}\nhttpsRedirect: {keepSlash: true}\nbackends: [\"http://$backend\"]",
            vec![
                get("/"),
                get("/"),
                get("/"),
                get("/").tls(),
                get("/").tls(),
                get("/").tls(),
            ],
        ),
        limited(
            "14 before 15: rates before addresses, and the refused are counted",
            "limit_req zone=CASE burst=1 nodelay; location / { deny all; proxy_pass http://$backend; }",
            "rateLimit: {requests: 1/m, burstMultiplier: 1, status: 503}\naccess: {deny: [127.0.0.1]}\nbackends: [\"http://$backend\"]",
            vec![get("/"); 4],
        ),
    ]);
}

#[test]
fn refusals_come_where_nginx_has_them() {
    agree(&[
        limited(
            "12 before 15: HTTPS before addresses",
            "if ($scheme = http) { return 308 https://$host$request_uri; } location / { deny all; proxy_pass http://$backend; }",
            "access: {deny: [127.0.0.1]}\nhttpsRedirect: {keepSlash: true}\nbackends: [\"http://$backend\"]",
            vec![get("/a"), get("/a").tls()],
        ),
        limited(
            "6 before 15: 413 before addresses",
            "client_max_body_size 4; location / { deny all; proxy_pass http://$backend; }",
            "access: {deny: [127.0.0.1]}\nlimits: {body: 4}\nbackends: [\"http://$backend\"]",
            vec![
                ask("POST", "/").body("too large"),
                ask("POST", "/").body("ok"),
            ],
        ),
        limited(
            "19 after 15: fields and CORS are on refusals (COR-05)",
            r#"
                add_header Access-Control-Allow-Origin "*" always;
                add_header Access-Control-Allow-Methods "GET" always;
                add_header Access-Control-Allow-Headers "A" always;
                add_header Access-Control-Max-Age 60 always;
                add_header X-Added yes always;
                location / { deny all; proxy_pass http://$backend; }
            "#,
            "access: {deny: [127.0.0.1]}\ncors: {methods: [GET], headers: [A], maxAge: 60s, credentials: false}\nresponseHeaders: {set: {x-added: \"yes\"}}\nbackends: [\"http://$backend\"]",
            vec![get("/")],
        ),
    ]);
}
