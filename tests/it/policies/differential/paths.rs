//! Redirects, rewrites, fields and CORS.

use super::{Case, agree, ask, get};

const PASS: &str = "location / { proxy_pass http://$backend; }";

/// As ingress-nginx decides on it (section 1.12), without Lua.
const UPGRADE: &str = r#"
    set $target $request_uri;
    if ($request_uri ~ "^(.*)/$") { set $target $1; }
    if ($scheme = http) { return 308 https://$host$target; }
    location / { proxy_pass http://$backend; }
"#;

#[test]
fn redirects_are_those_of_nginx() {
    agree(&[
        Case {
            rules: "RED-01, RED-02, RED-03",
            zone: "",
            nginx: UPGRADE,
            adit: "httpsRedirect: certificate\nbackends: [\"http://$backend\"]",
            asks: vec![
                get("/"),
                get("/a/"),
                get("/a/b"),
                get("/a/?x=1"),
                get("/?q=/"),
                ask("POST", "/a").body("x"),
                ask("HEAD", "/a/"),
                get("/a/").tls(),
            ],
        },
        Case {
            rules: "RED-03: preserve-trailing-slash; http-redirect-code",
            zone: "",
            nginx: "if ($scheme = http) { return 301 https://$host$request_uri; } location / { proxy_pass http://$backend; }",
            adit: "httpsRedirect: {status: 301, keepSlash: true}\nbackends: [\"http://$backend\"]",
            asks: vec![get("/"), get("/a/"), get("/a/?b=/")],
        },
        Case {
            rules: "RED-04",
            zone: "",
            nginx: "if ($scheme = http) { return 308 https://$host:8443$request_uri; }",
            adit: "httpsRedirect: {port: 8443}\nbackends: [\"http://$backend\"]",
            asks: vec![get("/"), get("/a/")],
        },
        Case {
            rules: "RED-05",
            zone: "",
            nginx: r"
                location / { return 308 https://$host$request_uri; }
                location /.well-known/acme-challenge/token { proxy_pass http://$backend; }
            ",
            adit: "httpsRedirect: {keepSlash: true}\nbackends: [\"http://$backend\"]\npaths:\n- {prefix: /}\n- {prefix: /.well-known/acme-challenge/token}",
            asks: vec![
                get("/.well-known/acme-challenge/token"),
                get("/.well-known/acme-challenge/other"),
            ],
        },
        Case {
            rules: "permanent-redirect: neither path nor query are appended",
            zone: "",
            nginx: "location / { return 301 https://new.example.test/home; } location /kept { return 308 https://new.example.test$request_uri; } location /path { return 302 /elsewhere; }",
            adit: "paths:\n- {prefix: /, redirect: \"https://new.example.test/home\"}\n- {prefix: /kept, redirect: {to: \"https://new.example.test$request_uri\", status: 308}}\n- {prefix: /path, redirect: {to: /elsewhere, status: 302}}",
            asks: vec![
                get("/a?b"),
                get("/kept/a?b=/"),
                get("/path/x"),
                ask("POST", "/a").body("x"),
            ],
        },
        Case {
            rules: "relative-redirects",
            zone: "",
            nginx: "absolute_redirect off; location / { return 301 /elsewhere; }",
            adit: "redirect: {to: /elsewhere, relative: true}",
            asks: vec![get("/a")],
        },
    ]);
}

#[test]
fn hosts_and_slashes_lead_where_nginx_leads() {
    agree(&[
        Case {
            rules: "app-root",
            zone: "",
            nginx: "if ($uri = /) { return 302 $scheme://$http_host/app/root; } location / { proxy_pass http://$backend; }",
            adit: "appRoot: /app/root\nbackends: [\"http://$backend\"]",
            asks: vec![
                get("/"),
                get("/?x=1"),
                ask("POST", "/").body("x"),
                get("/app/root"),
                get("/").tls(),
            ],
        },
        Case {
            rules: "PTH-07, PTH-08, PTH-09",
            zone: "",
            nginx: r"
                location / { proxy_pass http://$backend; }
                location /foo/ { proxy_pass http://$backend; }
                location = /exact/ { proxy_pass http://$backend; }
                location /both/ { proxy_pass http://$backend; }
                location = /both { proxy_pass http://$backend; }
            ",
            adit: "backends: [\"http://$backend\"]\npaths:\n- {prefix: /}\n- {prefix: /foo/}\n- {exact: /exact/}\n- {prefix: /both/}\n- {exact: /both}",
            asks: vec![
                get("/foo"),
                get("/foo?a=b"),
                get("/foo/"),
                get("/foo/bar"),
                get("/exact"),
                get("/exact/"),
                get("/both"),
                get("/both/x"),
                get("/foo").tls(),
                ask("POST", "/foo").body("x"),
            ],
        },
    ]);
}

#[test]
fn hosts_of_expressions_choose_as_nginx_does() {
    agree(&[
        Case {
            rules: "RGX-01, RGX-02, RGX-03, RGX-04",
            zone: "",
            nginx: r#"
                location ~* "^/foo/bar/[a-z]{3}" { return 200 "page letters\n"; }
                location ~* "^/foo/bar/bar" { return 200 "page bar\n"; }
                location ~* "^/foo/bar" { return 200 "page short\n"; }
                location ~* "^/a.b/" { return 200 "page dot below\n"; }
                location ~* "^/a.b" { return 200 "page dot\n"; }
                location ~* "^/x(?!y)" { return 200 "page ahead\n"; }
            "#,
            adit: r#"paths:
- {exact: /foo/bar/bar, respond: {body: "page bar\n"}}
- {regex: "/foo/bar/[a-z]{3}", respond: {body: "page letters\n"}}
- {exact: /foo/bar, respond: {body: "page short\n"}}
- {exact: /a.b/, respond: {body: "page dot below\n"}}
- {exact: /a.b, respond: {body: "page dot\n"}}
- {regex: "/x(?!y)", respond: {body: "page ahead\n"}}"#,
            asks: vec![
                get("/foo/bar/bar"),
                get("/FOO/bar/12"),
                get("/foo/barbaz"),
                get("/foo/BAR/abc/d?x"),
                get("/aXb"),
                get("/a.b/c"),
                get("/x"),
                get("/xz"),
                get("/xy"),
                get("/nothing"),
            ],
        },
        Case {
            rules: "RGX-05",
            zone: "",
            nginx: r#"location ~* "^/foo/" { proxy_pass http://$backend; } location ~* "^/v[0-9]" { proxy_pass http://$backend; }"#,
            adit: "backends: [\"http://$backend\"]\npaths:\n- {prefix: /foo/}\n- {regex: \"/v[0-9]\"}",
            asks: vec![get("/foo"), get("/foo/"), get("/Foo/x"), get("/v1")],
        },
    ]);
}

#[test]
fn backends_see_the_paths_that_nginx_makes() {
    agree(&[
        Case {
            rules: "REW-01, REW-02, REW-04",
            zone: "",
            nginx: r#"location ~* "^/something(/|$)(.*)" { rewrite "(?i)/something(/|$)(.*)" /$2 break; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Prefix /something; proxy_pass http://$backend; }"#,
            adit: "backends: [\"http://$backend\"]\npaths: [{regex: \"/something(/|$)(.*)\", rewrite: {to: /$2, forwardedPrefix: /something}}]",
            asks: vec![
                get("/something/new?x=1"),
                get("/something"),
                get("/something/"),
                get("/SomeThing/New/A"),
                get("/something/a//b"),
                get("/something/a%20b"),
                get("/something/%41"),
                get("/something/caf%C3%A9"),
                get("/something/a%3Ab")
                    .differs(&[("backend", "N-12: escapes that carry a meaning stay")]),
                get("/something/a%2Fb").differs(&[("backend", "N-12: an escaped slash stays one")]),
                get("/something/../x").differs(&[("status", "N-09")]),
                get("/somethingelse"),
                ask("POST", "/something/post").body("x"),
                ask("HEAD", "/something/x"),
            ],
        },
        Case {
            rules: "REW-03, REW-08",
            zone: "",
            nginx: r#"location ~* "^/foo" { rewrite "(?i)/foo" / break; proxy_pass http://$backend; }"#,
            adit: "backends: [\"http://$backend\"]\npaths: [{prefix: /foo, rewrite: /}]",
            asks: vec![
                get("/foo"),
                get("/foo/bar?q"),
                get("/foobar"),
                get("/FOO/x"),
            ],
        },
        Case {
            rules: "REW-04: arguments of the target",
            zone: "",
            nginx: r#"
                location ~* "^/args/(.*)" { rewrite "(?i)/args/(.*)" /$1?page=$1 break; proxy_pass http://$backend; }
                location ~* "^/own/(.*)" { rewrite "(?i)/own/(.*)" /own?page=$1? break; proxy_pass http://$backend; }
                location ~* "^/none/(.*)" { rewrite "(?i)/none/(.*)" /$1? break; proxy_pass http://$backend; }
            "#,
            adit: "backends: [\"http://$backend\"]\npaths:\n- {regex: \"/args/(.*)\", rewrite: \"/$1?page=$1\"}\n- {regex: \"/own/(.*)\", rewrite: \"/own?page=$1?\"}\n- {regex: \"/none/(.*)\", rewrite: \"/$1?\"}",
            asks: vec![
                get("/args/a?b=c"),
                get("/args/a"),
                get("/own/a?b=c"),
                get("/none/a?b=c"),
            ],
        },
        Case {
            rules: "REW-05: slashes that the target makes",
            zone: "",
            nginx: r#"location ~* "^/p(.*)" { rewrite "(?i)/p(.*)" /$1 break; proxy_pass http://$backend; }"#,
            adit: "backends: [\"http://$backend\"]\npaths: [{regex: \"/p(.*)\", rewrite: /$1}]",
            asks: vec![
                get("/pa/b"),
                get("/p/a").differs(&[("backend", "N-12: a rewrite never makes `//`")]),
            ],
        },
        Case {
            rules: "REW-05: without a rewrite the target passes as it is; RGX-08",
            zone: "",
            nginx: PASS,
            adit: "backends: [\"http://$backend\"]",
            asks: vec![get("/a%2fb//c?x=%20"), get("/%41/../b"), get("/a;b=c")],
        },
        Case {
            rules: "REW-06",
            zone: "",
            nginx: r#"proxy_redirect off; location ~* "^/x(/.*)" { rewrite "(?i)/x(/.*)" $1 break; proxy_pass http://$backend; }"#,
            adit: "backends: [\"http://$backend\"]\npaths: [{regex: \"/x(/.*)\", rewrite: $1}]",
            asks: vec![get("/x/be/redirect"), get("/x/y")],
        },
        Case {
            rules: "REW-07",
            zone: "",
            nginx: r#"location ~* "^/a/(.*)" { rewrite "(?i)/a/(.*)" /b/$1 break; proxy_pass http://$backend; } location ~* "^/b/" { return 200 "page b\n"; }"#,
            adit: "paths:\n- {regex: \"/a/(.*)\", rewrite: /b/$1, backends: [\"http://$backend\"]}\n- {prefix: /b/, respond: {body: \"page b\\n\"}}",
            asks: vec![get("/a/x"), get("/b/x")],
        },
        Case {
            rules: "upstream-vhost",
            zone: "",
            nginx: "location / { proxy_set_header Host inner.lan; proxy_pass http://$backend; } location /var { proxy_set_header Host $arg_to.lan:81; proxy_pass http://$backend; }",
            adit: "backends: [\"http://$backend\"]\npaths:\n- {prefix: /, upstreamHost: inner.lan}\n- {prefix: /var, upstreamHost: \"${arg_to}.lan:81\"}",
            asks: vec![get("/a"), get("/var?to=blue")],
        },
    ]);
}

#[test]
fn fields_are_edited_as_nginx_does() {
    agree(&[
        Case {
            rules: "custom-headers; HSTS (3.1)",
            zone: "",
            nginx: r#"
                proxy_hide_header X-Powered-By;
                set $hsts "";
                if ($scheme = https) { set $hsts "max-age=31536000; includeSubDomains"; }
                add_header Strict-Transport-Security $hsts always;
                proxy_hide_header Strict-Transport-Security;
                add_header X-Frame-Options DENY always;
                add_header X-Added "$request_method $scheme $arg_a $http_x_in $cookie_c $is_args$args $http_none" always;
                location / { proxy_set_header Host $http_host; proxy_set_header X-Added "$host $uri"; proxy_set_header X-Gone ""; proxy_pass http://$backend; }
                location /gone { return 410; }
            "#,
            adit: r#"hsts: {includeSubdomains: true}
responseHeaders: {remove: [x-powered-by], set: {x-frame-options: DENY, x-added: "$request_method $scheme $arg_a $http_x_in $cookie_c $is_args$args $http_none"}}
requestHeaders: {set: {x-added: "$host $uri"}, remove: [x-gone]}
backends: ["http://$backend"]
paths: [{prefix: /}, {prefix: /gone, respond: {status: 410}}]"#,
            asks: vec![
                get("/x?a=1").with(&["X-In: in", "Cookie: b=1; c=2"]),
                get("/be/fields").tls(),
                get("/x").with(&["X-Gone: 1", "X-Added: 1"]),
                get("/gone").tls(),
                get("/be/404").tls(),
            ],
        },
        Case {
            rules: "proxy-cookie-domain, proxy-cookie-path",
            zone: "",
            nginx: r"
                proxy_cookie_domain backend.lan www.example.test;
                proxy_cookie_path /two/ /one/;
                location / { proxy_pass http://$backend; }
            ",
            adit: "cookies: {domain: [{from: backend.lan, to: www.example.test}], path: [{from: /two/, to: /one/}]}\nbackends: [\"http://$backend\"]",
            asks: vec![get("/be/cookies")],
        },
        Case {
            rules: "proxy-cookie-domain, proxy-cookie-path: expressions",
            zone: "",
            nginx: r#"
                proxy_cookie_domain "~([a-z]+)\.lan$" $1.example.test;
                proxy_cookie_path "~^/two(/.*)" /one$1;
                location / { proxy_pass http://$backend; }
            "#,
            adit: "cookies: {domain: [{regex: \"([a-z]+)[.]lan$\", to: $1.example.test}], path: [{regex: \"^/two(/.*)\", to: /one$1}]}\nbackends: [\"http://$backend\"]",
            asks: vec![get("/be/cookies")],
        },
        Case {
            rules: "proxy-redirect-from, proxy-redirect-to",
            zone: "",
            nginx: r"
                proxy_redirect http://backend.lan:8080/two/ https://$host/one/;
                location / { proxy_pass http://$backend; }
            ",
            adit: "locations: [{from: \"http://backend.lan:8080/two/\", to: \"https://$host/one/\"}]\nbackends: [\"http://$backend\"]",
            asks: vec![
                get("/be/redirect"),
                get("/be/elsewhere"),
                get("/be/refresh"),
            ],
        },
    ]);
}

/// As ingress-nginx writes it, with the fields in place of those of the backend (COR-05).
const CORS_ANY: &str = r#"
    proxy_hide_header Access-Control-Allow-Origin;
    add_header Access-Control-Allow-Origin "*" always;
    add_header Access-Control-Allow-Credentials "true" always;
    add_header Access-Control-Allow-Methods "GET, PUT, POST, DELETE, PATCH, OPTIONS" always;
    add_header Access-Control-Allow-Headers "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization" always;
    add_header Access-Control-Max-Age 1728000 always;
    if ($request_method = OPTIONS) { return 204; }
    location / { proxy_pass http://$backend; }
    location /small { client_max_body_size 4; proxy_pass http://$backend; }
"#;

const CORS_LISTED: &str = r#"
    proxy_hide_header Access-Control-Allow-Origin;
    add_header Access-Control-Allow-Origin $CASE_origin always;
    add_header Access-Control-Expose-Headers $CASE_expose always;
    add_header Access-Control-Allow-Methods $CASE_methods always;
    add_header Access-Control-Allow-Headers $CASE_headers always;
    add_header Access-Control-Max-Age $CASE_age always;
    add_header Vary Origin always;
    set $preflight "$request_method $CASE_allowed";
    if ($preflight = "OPTIONS 1") { return 204; }
    location / { proxy_pass http://$backend; }
    location /be/404 { proxy_pass http://$backend; }
"#;

const CORS_MAPS: &str = r#"
    map $http_origin $CASE_allowed {
        default 0;
        "~*^https://app\.example\.test$" 1;
        "~*^https://[a-z0-9_-]+\.sub\.test:8443$" 1;
        "null" 1;
    }
    map $CASE_allowed $CASE_origin { default ""; 1 $http_origin; }
    map $CASE_allowed $CASE_expose { default ""; 1 "X-Total,X-Page"; }
    map $CASE_allowed $CASE_methods { default ""; 1 "GET, POST"; }
    map $CASE_allowed $CASE_headers { default ""; 1 "Content-Type,X-Token"; }
    map $CASE_allowed $CASE_age { default ""; 1 600; }
"#;

#[test]
fn cross_origin_requests_are_answered_as_by_nginx() {
    agree(&[
        Case {
            rules: "COR-01, COR-04, COR-05",
            zone: "",
            nginx: CORS_ANY,
            adit: "cors: true\nbackends: [\"http://$backend\"]\npaths: [{prefix: /}, {prefix: /small, limits: {body: 4}}]",
            asks: vec![
                get("/"),
                get("/").with(&["Origin: https://a.test"]),
                get("/be/404"),
                get("/be/500"),
                ask("OPTIONS", "/").with(&[
                    "Origin: https://a.test",
                    "Access-Control-Request-Method: PUT",
                ]),
                ask("OPTIONS", "/x"),
                // COR-05: the Fix keeps the fields there, as nginx itself does with `always`.
                ask("POST", "/small").body("too large"),
            ],
        },
        Case {
            rules: "COR-02, COR-06",
            zone: CORS_MAPS,
            nginx: CORS_LISTED,
            adit: "cors: {origins: [\"https://app.example.test\", \"https://*.sub.test:8443\", \"null\"], expose: [X-Total, X-Page], methods: [GET, POST], headers: [Content-Type, X-Token], credentials: false, maxAge: 10m}\nbackends: [\"http://$backend\"]",
            asks: vec![
                get("/").with(&["Origin: https://app.example.test"]),
                get("/").with(&["Origin: https://APP.example.test"]),
                get("/").with(&["Origin: https://app.example.test:443"]),
                get("/").with(&["Origin: http://app.example.test"]),
                get("/").with(&["Origin: https://a.sub.test:8443"]),
                get("/").with(&["Origin: https://a.b.sub.test:8443"]),
                get("/").with(&["Origin: https://sub.test:8443"]),
                get("/").with(&["Origin: null"]),
                get("/"),
                get("/be/404").with(&["Origin: https://app.example.test"]),
                ask("OPTIONS", "/").with(&["Origin: https://app.example.test"]),
                ask("OPTIONS", "/").with(&[
                    "Origin: https://other.test",
                    "Access-Control-Request-Method: PUT",
                ]),
            ],
        },
    ]);
}
