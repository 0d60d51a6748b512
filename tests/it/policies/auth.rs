//! Names and passwords, servers that decide, client certificates.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use adit_bench::Kind;

use crate::support::backend::Backend;
use crate::support::curl::{Answer, Curl};
use crate::support::h2client::run;
use crate::support::pki::write_identity;
use crate::support::raw::Raw;
use crate::support::site::Site;
use crate::support::{bridge, eventually, grpc, origin, websocket};

/// `correct horse`, with bcrypt and with `$apr1$`; the third line is of no use.
pub(super) const USERS: &str = "# office\n\
    anna:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n\
    bert:$apr1$r31TbsR.$Wdu7QVbICuLJYkPqRAb0V1\n\
    carl:secret\n";

#[test]
fn passwords_let_in_and_go_no_further() {
    let site = Site::new();
    site.dir.write("users", USERS);
    site.dir
        .write("team/dora", "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=\n");
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 auth: {{basic: {{file: users, realm: the \"office\"}}}}\n\
         \x20 requestHeaders: {{set: {{x-user: $remote_user}}}}\n\
         \x20 paths:\n\
         \x20   - {{prefix: /}}\n\
         \x20   - {{prefix: /healthz, auth: off}}\n\
         \x20   - {{prefix: /team, auth: {{basic: {{directory: team}}}}}}\n",
        one.addr()
    ));
    let to = adit.addr("webs");
    let get = |user: &str, path: &str| {
        let curl = site.curl(to);
        let curl = if user.is_empty() {
            curl
        } else {
            curl.arg("--user").arg(user)
        };
        curl.get(&format!("https://www.example.test{path}"))
    };
    for (user, path, status) in [
        ("anna:correct horse", "/", 200),
        ("anna:correct horse", "/", 200),
        ("bert:correct horse", "/", 200),
        ("anna:correct", "/", 401),
        ("anna:", "/", 401),
        ("carl:secret", "/", 401),
        ("emil:correct horse", "/", 401),
        ("dora:correct horse", "/", 401),
        ("dora:correct horse", "/team", 200),
        ("", "/", 401),
        ("", "/healthz", 200),
    ] {
        let answer = get(user, path);
        assert_eq!(answer.status, status, "{user} {path}: {answer:?}");
        if status == 401 {
            let realm = if path == "/" {
                "the \\\"office\\\""
            } else {
                ""
            };
            let expected = format!("Basic realm=\"{realm}\"");
            assert_eq!(answer.field("www-authenticate"), Some(expected));
        }
    }
    let seen = get("anna:correct horse", "/").expect(200).seen();
    assert_eq!(seen.one("authorization"), None);
    assert_eq!(seen.one("x-user"), Some("anna"));
    eventually("the user in the access log", || {
        (adit.access("\"user\":\"anna\"").len() == 3).then_some(())
    });
    let log = adit.process().stdout() + &adit.process().stderr();
    assert!(!log.contains("horse") && !log.contains("$2y$"), "{log}");
    // Who is taken out of the file is out at once; a file that is gone changes nothing.
    site.dir
        .write("users", "bert:$apr1$r31TbsR.$Wdu7QVbICuLJYkPqRAb0V1\n");
    eventually("anna is out", || {
        (get("anna:correct horse", "/").status == 401).then_some(())
    });
    std::fs::remove_file(site.dir.join("users")).unwrap();
    eventually("the refusal in the log", || {
        adit.process().stderr().contains("ADIT-1023").then_some(())
    });
    get("bert:correct horse", "/").expect(200);
}

/// A server that answers as its questions ask it to, and remembers them.
pub(super) struct Judge {
    server: Backend,
    questions: Arc<Mutex<Vec<String>>>,
}

impl Judge {
    pub(super) fn start() -> Self {
        let questions = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&questions);
        let server = Backend::start(move |_, mut client| {
            while let Some(head) = client.try_head() {
                let wanted = field(&head, "x-want").unwrap_or_else(|| "200".to_owned());
                let more = field(&head, "x-more").unwrap_or_default();
                asked.lock().unwrap().push(head);
                match wanted.as_str() {
                    "close" => return,
                    "hang" => return client.drain(),
                    "junk" => return drop(client.try_send(b"nonsense\r\n\r\n")),
                    _ => {}
                }
                let more = if more.is_empty() { more } else { more + "\r\n" };
                let answer = format!(
                    "HTTP/1.1 {wanted} Decided\r\nX-Auth-User: anna\r\nX-Auth-User: second\r\n\
                     WWW-Authenticate: Bearer realm=\"judge\"\r\n{more}Content-Length: 3\r\n\r\nno\n"
                );
                if client.try_send(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self { server, questions }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    fn count(&self) -> usize {
        self.questions.lock().unwrap().len()
    }

    fn last(&self) -> String {
        self.questions.lock().unwrap().last().cloned().unwrap()
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

fn guarded(judge: &Judge, backend: SocketAddr, more: &str) -> String {
    format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{backend}\"]\n\
         \x20 auth:\n\
         \x20   external:\n\
         \x20     url: \"http://{}/check?for=$host\"\n\
         \x20     timeout: 2s\n\
         \x20     responseHeaders: [x-auth-user, x-auth-missing]\n{more}",
        judge.addr()
    )
}

#[test]
fn a_server_decides_and_nobody_gets_in_without_its_word() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let adit = site.run(&guarded(&judge, one.addr(), ""));
    let ask = |wanted: &str| {
        site.curl(adit.addr("webs"))
            .header(&format!("X-Want: {wanted}"))
            .header("X-Auth-User: mallory")
            .header("X-Auth-Missing: mallory")
            .header("Authorization: Bearer token")
    };
    let url = "https://www.example.test:8443/a?b=c";
    for (wanted, status) in [
        ("200", 200),
        ("202", 200),
        ("401", 401),
        ("403", 403),
        ("302", 500),
        ("404", 500),
        ("500", 500),
        ("close", 500),
        ("hang", 500),
        ("junk", 500),
        ("299", 200),
    ] {
        let answer = ask(wanted).get(url);
        assert_eq!(answer.status, status, "{wanted}: {answer:?}");
        let challenge = (status == 401).then(|| "Bearer realm=\"judge\"".to_owned());
        assert_eq!(answer.field("www-authenticate"), challenge, "{wanted}");
    }
    let seen = ask("200").get(url).expect(200).seen();
    assert_eq!(seen.one("x-auth-user"), Some("anna"));
    assert_eq!(seen.one("x-auth-missing"), None);
    assert_eq!(seen.one("authorization"), Some("Bearer token"));
    let refused = eventually("access log", || {
        let lines = adit.access("AUT-04");
        (lines.len() == 8).then_some(lines)
    });
    // Each worker writes its own lines.
    assert!(refused.iter().any(|line| line["status"] == 401));
}

#[test]
fn the_question_has_the_request_without_its_body() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let more = "\x20     setHeaders: {x-tenant: blue, x-debug: \"\", x-path: \"$request_uri\"}\n";
    let adit = site.run(&guarded(&judge, one.addr(), more));
    let body = "the body, which is for the backend";
    for version in ["--http1.1", "--http2"] {
        let answer = site
            .curl(adit.addr("webs"))
            .args(&[version, "--data", body])
            .header("X-Debug: 1")
            .header("X-Original-URL: https://evil.test/")
            .header("X-Forwarded-For: 10.0.0.1")
            .get("https://www.example.test:8443/echo?q=1")
            .expect(200);
        assert_eq!(answer.text(), body);
        let question = judge.last();
        let expected = [
            ("host", "127.0.0.1"),
            ("x-original-url", "https://www.example.test:8443/echo?q=1"),
            ("x-original-method", "POST"),
            ("x-auth-request-redirect", "/echo?q=1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-method", "POST"),
            ("x-forwarded-uri", "/echo?q=1"),
            ("x-sent-from", "adit"),
            ("x-tenant", "blue"),
            ("x-path", "/echo?q=1"),
        ];
        assert!(
            question.starts_with("GET /check?for=www.example.test HTTP/1.1\r\n"),
            "{question}"
        );
        for (name, value) in expected {
            assert_eq!(field(&question, name).as_deref(), Some(value), "{question}");
        }
        for name in [
            "content-length",
            "transfer-encoding",
            "x-debug",
            "x-original-uri",
        ] {
            assert_eq!(field(&question, name), None, "{question}");
        }
        assert!(field(&question, "x-request-id").is_some(), "{question}");
    }
}

#[test]
fn the_nginx_profile_asks_as_ingress_nginx_does() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let more = "\x20     method: HEAD\n\x20 profile: nginx\n";
    let adit = site.run(&guarded(&judge, one.addr(), more));
    site.curl(adit.addr("web"))
        .header("X-Want: 403")
        .get("http://www.example.test/x")
        .expect(403);
    let question = judge.last();
    assert!(question.starts_with("HEAD /check"), "{question}");
    for (name, value) in [
        ("x-sent-from", Some("nginx-ingress-controller")),
        ("x-original-uri", Some("/x")),
        ("x-scheme", Some("http")),
        ("x-forwarded-proto", None),
        ("x-forwarded-method", None),
    ] {
        assert_eq!(
            field(&question, name).as_deref(),
            value,
            "{name} in {question}"
        );
    }
}

#[test]
fn a_browser_is_sent_to_sign_in_and_told_how_to_come_back() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let route = |host: &str, sign_in: &str| {
        format!(
            "- {{host: {host}, backends: [\"http://{}\"], auth: {{external: {{url: \"http://{}/\", signIn: \"{sign_in}\"}}}}}}\n",
            one.addr(),
            judge.addr()
        )
    };
    let adit = site.run(&format!(
        "routes:\n{}{}{}",
        route("a.example.test", "https://auth.example.test/start"),
        route("b.example.test", "https://auth.example.test/start?x=1"),
        route(
            "c.example.test",
            "https://$host/start?rd=$escaped_request_uri"
        ),
    ));
    for (host, location) in [
        (
            "a.example.test",
            "https://auth.example.test/start?rd=http://a.example.test%2F%3Fa%3Db%26c%3Dd",
        ),
        (
            "b.example.test",
            "https://auth.example.test/start?x=1&rd=http://b.example.test%2F%3Fa%3Db%26c%3Dd",
        ),
        (
            "c.example.test",
            "https://c.example.test/start?rd=%2F%3Fa%3Db%26c%3Dd",
        ),
    ] {
        let ask = |more: &str| {
            site.curl(adit.addr("web"))
                .header("X-Want: 401")
                .header(more)
                .get(&format!("http://{host}/?a=b&c=d"))
        };
        let answer = ask("X-More: Set-Cookie: csrf=1").expect(302);
        assert_eq!(answer.field("location").as_deref(), Some(location));
        assert_eq!(answer.field("set-cookie").as_deref(), Some("csrf=1"));
    }
}

#[test]
fn cookies_of_the_server_reach_the_client_with_success() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let cookies = |config: &str, wanted: &str, path: &str| {
        let adit = site.run(config);
        let answer = site
            .curl(adit.addr("web"))
            .header(&format!("X-Want: {wanted}"))
            .header("X-More: Set-Cookie: session=2")
            .get(&format!("http://www.example.test{path}"));
        answer.field("set-cookie").is_some()
    };
    let usual = guarded(&judge, one.addr(), "");
    let always = guarded(&judge, one.addr(), "\x20     alwaysSetCookie: true\n");
    for (config, wanted, path, expected) in [
        (&usual, "200", "/", true),
        (&usual, "200", "/status/404", false),
        (&usual, "200", "/status/307", true),
        (&usual, "403", "/", false),
        (&always, "200", "/status/404", true),
        (&always, "403", "/", true),
    ] {
        assert_eq!(cookies(config, wanted, path), expected, "{wanted} {path}");
    }
}

#[test]
fn answers_are_remembered_by_their_key_and_outlive_the_server() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let more = "\x20     cache: {key: \"$http_x_key\", times: [200 1h, 401 1h]}\n\
                \x20 paths: [{prefix: /}, {prefix: /other}]\n";
    let adit = site.run(&guarded(&judge, one.addr(), more));
    let ask = |key: &str, path: &str, more: &str| -> Answer {
        let curl: Curl = site.curl(adit.addr("web")).header(&format!("X-Key: {key}"));
        let curl = if more.is_empty() {
            curl
        } else {
            curl.header(more)
        };
        curl.get(&format!("http://www.example.test{path}"))
    };
    for (key, path, more, status, asked) in [
        ("a", "/", "", 200, 1),
        ("a", "/", "", 200, 1),
        ("a", "/", "X-Want: 403", 200, 1),
        ("a", "/other", "", 200, 2),
        ("b", "/", "X-Want: 401", 401, 3),
        ("b", "/", "", 401, 3),
        ("c", "/", "X-Want: 403", 403, 4),
        ("c", "/", "", 200, 5),
        ("d", "/", "X-More: Set-Cookie: a=b", 200, 6),
        ("d", "/", "", 200, 7),
        (
            "e",
            "/",
            "X-More: Cache-Control: max-age=9, No-Store",
            200,
            8,
        ),
        ("e", "/", "", 200, 9),
    ] {
        let answer = ask(key, path, more);
        assert_eq!(
            (answer.status, judge.count()),
            (status, asked),
            "{key} {path} {more}"
        );
    }
    let seen = ask("a", "/", "X-Want: close").expect(200).seen();
    assert_eq!(
        seen.one("x-auth-user"),
        Some("anna"),
        "remembered with its fields"
    );
    ask("new", "/", "X-Want: close").expect(500);
}

#[test]
fn a_websocket_is_asked_about_before_it_opens() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let adit = site.run(&guarded(&judge, one.addr(), ""));
    let to = adit.addr("web");
    websocket::exercise(websocket::plain(to, "ws://www.example.test/ws"));
    assert_eq!(judge.count(), 1);
    assert_eq!(field(&judge.last(), "upgrade"), None);
    let mut refused = Raw::connect(to);
    refused.send(
        b"GET /ws HTTP/1.1\r\nHost: www.example.test\r\nX-Want: 401\r\nConnection: Upgrade\r\n\
          Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(refused.answer().0.starts_with("HTTP/1.1 401"));
}

#[test]
fn calls_of_grpc_are_asked_about() {
    let site = Site::new();
    let server = grpc::server();
    let judge = Judge::start();
    let routes = guarded(&judge, server, "");
    let adit = site.run(&routes.replace(&format!("http://{server}"), &format!("h2c://{server}")));
    let through = bridge::into_tls(adit.addr("webs"), "www.example.test", site.tls(&["h2"]));
    run(async {
        grpc::exercise(grpc::channel(through, "https://www.example.test").await).await;
    });
    assert!(judge.count() >= 4, "{}", judge.count());
    let question = judge.last();
    assert!(question.starts_with("GET /check"), "{question}");
    let kind = field(&question, "content-type");
    assert_eq!(kind.as_deref(), Some("application/grpc"));
}

#[test]
fn one_of_several_demands_is_enough_if_the_route_says_so() {
    let site = Site::new();
    site.dir.write("users", USERS);
    let one = origin(Kind::Http1, "one");
    let judge = Judge::start();
    let doors = "listeners:\n  - {name: web, role: lan, bind: \"127.0.0.1:0\", trustForwarded: [127.0.0.0/8]}\n";
    let adit = site.run_with(
        doors,
        &format!(
            "routes:\n\
             - host: www.example.test\n\
             \x20 backends: [\"http://{}\"]\n\
             \x20 access: {{allow: [10.0.0.0/8]}}\n\
             \x20 auth:\n\
             \x20   satisfy: any\n\
             \x20   basic: {{file: users}}\n\
             \x20   external: {{url: \"http://{}/\", signIn: \"https://auth.example.test/\", responseHeaders: [x-auth-user]}}\n\
             \x20 paths: [{{prefix: /}}, {{prefix: /all, auth: {{basic: {{file: users}}}}}}]\n",
            one.addr(),
            judge.addr()
        ),
    );
    let ask = |client: &str, user: &str, wanted: &str, path: &str| {
        site.curl(adit.addr("web"))
            .header(&format!("X-Forwarded-For: {client}"))
            .header(&format!("X-Want: {wanted}"))
            .header("X-Auth-User: mallory")
            .arg("--user")
            .arg(user)
            .get(&format!("http://www.example.test{path}"))
    };
    let (near, far) = ("10.0.0.1", "192.0.2.1");
    let (right, wrong) = ("anna:correct horse", "anna:x");
    for (client, user, wanted, path, status, asked) in [
        (near, wrong, "403", "/", 200, 0),
        (far, right, "403", "/", 200, 0),
        (far, wrong, "200", "/", 200, 1),
        (far, wrong, "401", "/", 302, 2),
        (far, wrong, "403", "/", 401, 3),
        (far, wrong, "500", "/", 500, 4),
        (near, right, "403", "/all", 200, 4),
        (near, wrong, "403", "/all", 401, 4),
        (far, right, "403", "/all", 403, 4),
    ] {
        let answer = ask(client, user, wanted, path);
        let found = (answer.status, judge.count());
        assert_eq!(found, (status, asked), "{client} {user} {wanted} {path}");
        if status == 200 && path == "/" {
            let seen = answer.seen();
            let expected = (asked == 1).then_some("anna");
            assert_eq!(seen.one("x-auth-user"), expected, "{client} {user}");
            assert_eq!(seen.one("authorization"), None);
        }
    }
}

#[test]
fn the_backend_learns_whose_certificate_it_is() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    write_identity(&site.dir, "anna", &site.pki.client("anna"));
    write_identity(&site.dir, "bert", &site.pki.client("bert"));
    let route = |host: &str, mode: &str, more: &str| {
        format!(
            "- {{host: {host}, backends: [\"http://{}\"], clientAuth: {{ca: ca.pem, mode: {mode}}}, clientCertificate: {{{more}}}}}\n",
            one.addr()
        )
    };
    let adit = site.run(&format!(
        "routes:\n{}{}{}",
        route("a.example.test", "optional", "pass: true"),
        route("b.example.test", "require", "matchSubject: \"CN=anna\""),
        route("c.example.test", "require", "errorPage: /certificates"),
    ));
    let ask = |host: &str, who: &str| {
        let curl = site
            .curl(adit.addr("webs"))
            .header("ssl-client-verify: SUCCESS");
        let curl = match who {
            "" => curl,
            who => {
                let path = |ending| site.dir.join(&format!("{who}.{ending}"));
                curl.arg("--cert")
                    .arg(path("pem").to_str().unwrap())
                    .arg("--key")
                    .arg(path("key").to_str().unwrap())
            }
        };
        curl.get(&format!("https://{host}/"))
    };
    let seen = ask("a.example.test", "anna").expect(200).seen();
    assert_eq!(seen.one("ssl-client-verify"), Some("SUCCESS"));
    assert!(
        seen.one("ssl-client-subject-dn")
            .unwrap()
            .contains("CN=anna")
    );
    assert!(
        seen.one("ssl-client-issuer-dn")
            .unwrap()
            .contains("CN=test authority")
    );
    let certificate = seen.one("ssl-client-cert").unwrap();
    let pem = std::fs::read_to_string(site.dir.join("anna.pem"))
        .unwrap()
        .replace("\r\n", "\n");
    let plain = certificate
        .replace("%20", " ")
        .replace("%0A", "\n")
        .replace("%2B", "+");
    let plain = plain.replace("%2F", "/").replace("%3D", "=");
    assert_eq!(plain.trim(), pem.trim());
    let seen = ask("a.example.test", "").expect(200).seen();
    assert_eq!(seen.one("ssl-client-verify"), Some("NONE"));
    assert_eq!(seen.one("ssl-client-subject-dn"), None);
    ask("b.example.test", "anna").expect(200);
    ask("b.example.test", "bert").expect(403);
    ask("b.example.test", "").expect(400);
    ask("c.example.test", "bert").expect(200);
    let sent = ask("c.example.test", "").expect(302);
    assert_eq!(sent.field("location").as_deref(), Some("/certificates"));
}
