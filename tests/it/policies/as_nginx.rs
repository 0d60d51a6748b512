//! Access, demands and rates beside nginx itself: the same requests, the same statuses.

use std::fmt::Write as _;
use std::net::SocketAddr;

use adit_bench::Kind;

use super::auth::{Judge, USERS};
use crate::support::servers::nginx;
use crate::support::site::Site;
use crate::support::{free_addr, origin};

const DOORS: &str = r#"
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0", trustForwarded: [127.0.0.0/8]}
  - {name: adm, role: admin, bind: "127.0.0.1:0"}
"#;

fn nginx_config(at: SocketAddr, backend: SocketAddr, judge: SocketAddr, users: &str) -> String {
    let demands = "allow 10.0.0.0/8; deny all; auth_basic office; auth_request /check;";
    format!(
        "limit_req_zone $binary_remote_addr zone=few:1m rate=1r/m;\n\
         limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;\n\
         server {{\n\
           listen {at};\n\
           set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;\n\
           limit_req_status 429;\n\
           auth_basic_user_file {users};\n\
           location / {{ proxy_pass http://{backend}; }}\n\
           location /all {{ satisfy all; {demands} proxy_pass http://{backend}; }}\n\
           location /any {{ satisfy any; {demands} proxy_pass http://{backend}; }}\n\
           location /rate {{ limit_req zone=few burst=3 nodelay; proxy_pass http://{backend}; }}\n\
           location /order {{ limit_req zone=one; deny 192.0.2.0/24; proxy_pass http://{backend}; }}\n\
           location = /check {{\n\
             internal; proxy_pass http://{judge}; proxy_pass_request_body off;\n\
             proxy_set_header Content-Length \"\";\n\
           }}\n\
         }}"
    )
}

fn adit_routes(backend: SocketAddr, judge: SocketAddr) -> String {
    let demands = |satisfy: &str| {
        format!(
            "access: {{allow: [10.0.0.0/8]}}, auth: {{satisfy: {satisfy}, basic: {{file: users, realm: office}}, external: {{url: \"http://{judge}/\"}}}}"
        )
    };
    format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 profile: nginx\n\
         \x20 backends: [\"http://{backend}\"]\n\
         \x20 paths:\n\
         \x20   - {{prefix: /}}\n\
         \x20   - {{prefix: /all, {}}}\n\
         \x20   - {{prefix: /any, {}}}\n\
         \x20   - {{prefix: /rate, rateLimit: {{requests: 1/m, burstMultiplier: 3}}}}\n\
         \x20   - {{prefix: /order, rateLimit: {{requests: 1/m, burstMultiplier: 0}}, access: {{deny: [192.0.2.0/24]}}}}\n",
        demands("all"),
        demands("any")
    )
}

#[test]
fn the_same_requests_get_the_same_statuses() {
    let site = Site::new();
    let users = site.dir.write("users", USERS);
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let beside = free_addr();
    let config = nginx_config(beside, one.addr(), judge.addr(), users.to_str().unwrap());
    let _nginx = nginx(&site.dir, &config, "", beside);
    let adit = site.run_with(DOORS, &adit_routes(one.addr(), judge.addr()));
    let ask = |to: SocketAddr, path: &str, client: &str, user: &str, wanted: &str| {
        let mut curl = site
            .curl(to)
            .header(&format!("X-Forwarded-For: {client}"))
            .header(&format!("X-Want: {wanted}"));
        if !user.is_empty() {
            curl = curl.arg("--user").arg(user);
        }
        let answer = curl.get(&format!("http://www.example.test{path}"));
        // nginx leaves the challenge also on answers that ask for nothing.
        let challenge = answer.field("www-authenticate");
        (answer.status, challenge.filter(|_| answer.status == 401))
    };
    let mut requests = Vec::new();
    for path in ["/all", "/any"] {
        for client in ["10.0.0.1", "192.0.2.1"] {
            for user in ["", "bert:correct horse", "bert:wrong", "nobody:x"] {
                for wanted in ["200", "202", "401", "403", "404", "500", "close"] {
                    requests.push((path, client, user, wanted));
                }
            }
        }
    }
    requests.extend([("/rate", "192.0.2.1", "", "200"); 7]);
    requests.extend([("/rate", "192.0.2.2", "", "200"); 2]);
    requests.extend([("/order", "192.0.2.1", "", "200"); 3]);
    requests.extend([("/order", "10.0.0.1", "", "200"); 2]);
    let mut wrong = String::new();
    for (path, client, user, wanted) in requests {
        let ours = ask(adit.addr("web"), path, client, user, wanted);
        let theirs = ask(beside, path, client, user, wanted);
        if ours != theirs {
            let request = format!("{path} {client} `{user}` {wanted}");
            writeln!(wrong, "{request}: {ours:?}, nginx {theirs:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
