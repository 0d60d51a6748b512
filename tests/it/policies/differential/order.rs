//! One case for each pair of stages that follow each other in section 1.18.

use super::{Case, agree, ask, get};

#[test]
fn stages_follow_each_other_as_in_nginx() {
    agree(&[
        Case {
            rules: "5 before 6: app-root before 413",
            zone: "",
            nginx: "client_max_body_size 4; if ($uri = /) { return 302 $scheme://$http_host/app; } location / { proxy_pass http://$backend; }",
            adit: "appRoot: /app\nlimits: {body: 4}\nbackends: [\"http://$backend\"]",
            asks: vec![
                ask("POST", "/").body("too large"),
                ask("POST", "/x").body("too large"),
                ask("POST", "/x").body("ok"),
            ],
        },
        Case {
            rules: "6 before 7: 413 before the missing slash",
            zone: "",
            nginx: "location /foo/ { client_max_body_size 4; proxy_pass http://$backend; }",
            adit: "paths: [{prefix: /foo/, limits: {body: 4}, backends: [\"http://$backend\"]}]",
            asks: vec![
                ask("POST", "/foo").body("too large"),
                ask("POST", "/foo").body("ok"),
            ],
        },
        Case {
            rules: "7 before 9: the missing slash before a preflight",
            zone: "",
            nginx: r"location /foo/ { if ($request_method = OPTIONS) { return 204; } proxy_pass http://$backend; }",
            adit: "paths: [{prefix: /foo/, cors: {origins: [\"https://a.test\"]}, backends: [\"http://$backend\"]}]",
            asks: vec![ask("OPTIONS", "/foo").with(&["Origin: https://a.test"])],
        },
        Case {
            rules: "7 before 10: the missing slash before a redirect",
            zone: "",
            nginx: "location /foo/ { set $x 1; proxy_pass http://$backend; if ($x) { return 302 https://other.test/; } }",
            adit: "paths: [{prefix: /foo/, redirect: {to: \"https://other.test/\", status: 302}}]",
            asks: vec![get("/foo"), get("/foo/")],
        },
        Case {
            rules: "9 before 10: a preflight before a redirect",
            zone: "",
            nginx: r#"
                add_header Access-Control-Allow-Origin "*" always;
                add_header Access-Control-Allow-Methods "GET" always;
                add_header Access-Control-Allow-Headers "A" always;
                add_header Access-Control-Max-Age 60 always;
                location / {
                    if ($request_method = OPTIONS) { return 204; }
                    return 301 https://other.test/;
                }
            "#,
            adit: "cors: {methods: [GET], headers: [A], maxAge: 60s, credentials: false}\nredirect: \"https://other.test/\"",
            asks: vec![ask("OPTIONS", "/x"), get("/x")],
        },
        Case {
            rules: "10 before 12: a redirect before HTTPS",
            zone: "",
            nginx: "location / { return 301 http://other.test/; }",
            adit: "redirect: \"http://other.test/\"\nhttpsRedirect: certificate",
            asks: vec![get("/"), get("/").tls()],
        },
        Case {
            rules: "11 before 12: HTTPS with the target that was asked for",
            zone: "",
            nginx: r#"location ~* "^/a(.*)" { rewrite "(?i)/a(.*)" /b$1; if ($scheme = http) { return 308 https://$host$request_uri; } proxy_pass http://$backend; }"#,
            adit: "httpsRedirect: certificate\npaths: [{regex: \"/a(.*)\", rewrite: /b$1, backends: [\"http://$backend\"]}]",
            asks: vec![get("/a/x?y")],
        },
    ]);
}
