//! Canaries, sessions, hashes by variables, and what is tried again.

use std::collections::HashSet;

use adit_bench::Kind;

use crate::support::adit::Adit;
use crate::support::backend::Backend;
use crate::support::curl::Answer;
use crate::support::site::Site;
use crate::support::{eventually, origin};

const URL: &str = "http://www.example.test/";

/// Asks with these fields; says which backend answered.
fn ask(site: &Site, adit: &Adit, fields: &[&str]) -> (String, Answer) {
    let curl = fields
        .iter()
        .fold(site.curl(adit.addr("web")), |curl, field| {
            curl.header(field)
        });
    let answer = curl.get(URL).expect(200);
    (answer.seen().backend, answer)
}

#[test]
fn a_canary_is_chosen_by_header_cookie_and_weight() {
    let site = Site::new();
    let (main, canary) = (origin(Kind::Http1, "main"), origin(Kind::Http1, "canary"));
    let config = |canary_of: &str| {
        Site::config(&format!(
            "routes:\n\
             - host: www.example.test\n\
             \x20 backends: [\"http://{}\"]\n\
             \x20 canary: {{backends: [\"http://{}\"], {canary_of}}}\n",
            main.addr(),
            canary.addr()
        ))
    };
    let adit = Adit::run(&site.dir, &config("header: x-canary, cookie: canary"));
    let cases: [(&[&str], &str); 6] = [
        (&[], "main"),
        (&["X-Canary: always"], "canary"),
        (&["X-Canary: never", "Cookie: canary=always"], "main"),
        (&["X-Canary: perhaps", "Cookie: canary=always"], "canary"),
        (&["Cookie: canary=never"], "main"),
        (&["Cookie: canary=perhaps"], "main"),
    ];
    for (fields, backend) in cases {
        assert_eq!(ask(&site, &adit, fields).0, backend, "{fields:?}");
    }
    adit.rewrite(&config(
        "header: {name: x-region, regex: ^eu-}, weight: 100",
    ));
    eventually("the canary takes all", || {
        (ask(&site, &adit, &[]).0 == "canary").then_some(())
    });
    adit.rewrite(&config(
        "header: {name: x-region, value: eu}, weight: 300, total: 1000",
    ));
    eventually("the canary takes a part", || {
        (ask(&site, &adit, &[]).0 == "main").then_some(())
    });
    assert_eq!(ask(&site, &adit, &["X-Region: eu"]).0, "canary");
    let taken = (0..100)
        .filter(|_| ask(&site, &adit, &[]).0 == "canary")
        .count();
    assert!((10..=55).contains(&taken), "{taken} of 100 at weight 30 %");
}

#[test]
fn a_canary_that_is_gone_leaves_its_requests_to_the_main_side() {
    let site = Site::new();
    let main = origin(Kind::Http1, "main");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 canary: {{backends: [{{url: \"http://127.0.0.1:9\", weight: 0}}], weight: 100, header: x-canary}}\n",
        main.addr(),
    ));
    for fields in [&[][..], &["X-Canary: always"]] {
        assert_eq!(ask(&site, &adit, fields).0, "main");
    }
}

/// A site with a sticky route over these backends.
fn sticky(backends: &[&str], policy: &str) -> String {
    let list: Vec<_> = backends
        .iter()
        .map(|addr| format!("\"http://{addr}\""))
        .collect();
    Site::config(&format!(
        "routes:\n\
         - name: default-web-80\n\
         \x20 host: www.example.test\n\
         \x20 backends: [{}]\n\
         \x20 sticky: {policy}\n",
        list.join(", ")
    ))
}

/// `name=value` of a session's cookie.
fn cookie(answer: &Answer) -> Option<String> {
    let field = answer.field("set-cookie")?;
    Some(field.split(';').next().unwrap().to_owned())
}

#[test]
fn a_session_stays_at_its_backend_and_moves_only_when_that_goes() {
    for mode in ["balanced", "persistent"] {
        let site = Site::new();
        let origins: Vec<_> = ["a", "b", "c", "d"]
            .iter()
            .map(|name| (*name, origin(Kind::Http1, name)))
            .collect();
        let addrs: Vec<_> = origins
            .iter()
            .map(|(_, origin)| origin.addr().to_string())
            .collect();
        let addrs: Vec<&str> = addrs.iter().map(String::as_str).collect();
        let policy = format!("{{cookie: place, mode: {mode}, maxAge: 1h}}");
        let adit = Adit::run(&site.dir, &sticky(&addrs[..3], &policy));
        let mut sessions = Vec::new();
        for _ in 0..30 {
            let (backend, answer) = ask(&site, &adit, &[]);
            let field = answer.field("set-cookie").expect("a session begins");
            assert!(
                field.ends_with("; Path=/; Max-Age=3600; HttpOnly"),
                "{field}"
            );
            sessions.push((backend, cookie(&answer).unwrap()));
        }
        let used: HashSet<_> = sessions
            .iter()
            .map(|(backend, _)| backend.clone())
            .collect();
        assert_eq!(used.len(), 3, "{mode}: sessions are spread");
        for (backend, cookie) in &sessions {
            let (again, answer) = ask(&site, &adit, &[&format!("Cookie: {cookie}")]);
            assert_eq!(&again, backend, "{mode} {cookie}");
            assert_eq!(
                answer.field("set-cookie"),
                None,
                "a session that goes on is not written"
            );
        }
        // A fourth backend; then the first goes.
        adit.rewrite(&sticky(&addrs, &policy));
        eventually("the fourth is used", || {
            (ask(&site, &adit, &[]).0 == "d").then_some(())
        });
        let moved = sessions
            .iter()
            .filter(|(backend, cookie)| {
                let (now, answer) = ask(&site, &adit, &[&format!("Cookie: {cookie}")]);
                assert_eq!(answer.field("set-cookie"), None);
                assert!(
                    now == *backend || now == "d",
                    "{mode}: {backend} became {now}"
                );
                now != *backend
            })
            .count();
        let expected = if mode == "persistent" { 0..=0 } else { 1..=18 };
        assert!(expected.contains(&moved), "{mode}: {moved} of 30 moved");
        adit.rewrite(&sticky(&addrs[1..], &policy));
        let orphan = sessions.iter().find(|(backend, _)| backend == "a").unwrap();
        let field = format!("Cookie: {}", orphan.1);
        eventually("the first is gone", || {
            (ask(&site, &adit, &[&field]).0 != "a").then_some(())
        });
        let (_, answer) = ask(&site, &adit, &[&field]);
        // In balanced mode the key leads on to the next; in persistent mode a session begins anew.
        assert_eq!(cookie(&answer).is_some(), mode == "persistent");
    }
}

#[test]
fn a_session_keeps_its_side_of_a_canary() {
    let site = Site::new();
    let (main, canary) = (origin(Kind::Http1, "main"), origin(Kind::Http1, "canary"));
    let config = |canary_of: &str| {
        Site::config(&format!(
            "routes:\n\
             - host: www.example.test\n\
             \x20 backends: [\"http://{}\"]\n\
             \x20 sticky: place\n\
             \x20 canary: {{backends: [\"http://{}\"], {canary_of}}}\n",
            main.addr(),
            canary.addr()
        ))
    };
    let adit = Adit::run(&site.dir, &config("header: x-canary"));
    let (_, answer) = ask(&site, &adit, &[]);
    let on_main = format!("Cookie: {}", cookie(&answer).unwrap());
    let (backend, answer) = ask(&site, &adit, &["X-Canary: always"]);
    assert_eq!(backend, "canary");
    let on_canary = format!("Cookie: {}", cookie(&answer).unwrap());
    assert_eq!(ask(&site, &adit, &[&on_canary]).0, "canary");
    assert_eq!(ask(&site, &adit, &[&on_main, "X-Canary: always"]).0, "main");
    adit.rewrite(&config("weight: 100, sticky: false"));
    eventually("the canary takes all", || {
        (ask(&site, &adit, &[&on_main]).0 == "canary").then_some(())
    });
    assert_eq!(ask(&site, &adit, &[]).1.field("set-cookie"), None);
}

#[test]
fn a_failing_backend_keeps_its_sessions_unless_the_policy_says_otherwise() {
    for change in [false, true] {
        let site = Site::new();
        let live = origin(Kind::Http1, "live");
        let addr = live.addr().to_string();
        let policy =
            |change| format!("{{cookie: place, mode: persistent, changeOnFailure: {change}}}");
        // Nobody listens at the second address.
        let dead = crate::support::free_addr().to_string();
        let adit = Adit::run(&site.dir, &sticky(&[&addr, &dead], &policy(change)));
        // MD5 of name and address, as ingress-nginx makes it.
        let digest = md5(&format!("default-web-80{dead}"));
        let named = md5(&format!("{}default-web-80", md5("default-web-80")));
        let field = format!("Cookie: place={digest}|{named}");
        let (backend, answer) = ask(&site, &adit, &[&field]);
        assert_eq!(backend, "live");
        assert_eq!(
            cookie(&answer).is_some(),
            change,
            "changeOnFailure: {change}"
        );
    }
}

/// MD5 in hexadecimal digits, by the tool of the system.
fn md5(text: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut command = Command::new("md5sum");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..32].to_owned()
}

#[test]
fn a_hash_goes_by_any_text_with_variables() {
    let site = Site::new();
    let origins: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| origin(Kind::Http1, name))
        .collect();
    let list: Vec<_> = origins
        .iter()
        .map(|one| format!("\"http://{}\"", one.addr()))
        .collect();
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [{}]\n\
         \x20 balance: {{hash: \"$http_x_tenant$arg_shard\"}}\n",
        list.join(", ")
    ));
    let curl = |tenant: &str, shard: &str| {
        let answer = site
            .curl(adit.addr("web"))
            .header(&format!("X-Tenant: {tenant}"))
            .get(&format!("{URL}?shard={shard}"))
            .expect(200);
        answer.seen().backend
    };
    let mut used = HashSet::new();
    for tenant in 0..12 {
        let tenant = format!("t{tenant}-");
        let backend = curl(&tenant, "1");
        for _ in 0..3 {
            assert_eq!(curl(&tenant, "1"), backend);
        }
        used.insert(backend);
        // The key is the text as a whole.
        assert_eq!(curl(&format!("{tenant}1"), ""), curl(&tenant, "1"));
    }
    assert_eq!(used.len(), 3, "{used:?}");
}

#[test]
fn what_may_be_sent_again_is_up_to_the_route_and_to_the_request() {
    // A backend that reads the head and closes, and one that answers.
    let cases = [
        ("[closed]", "", "GET", 200),
        ("[connect]", "", "GET", 502),
        ("[closed]", "", "POST", 502),
        ("[closed]", ", nonIdempotent: true", "POST", 200),
    ];
    for (on, more, method, status) in cases {
        let site = Site::new();
        let live = origin(Kind::Http1, "live");
        let closing = Backend::start(|_, mut client| {
            let _ = client.try_until_head();
        });
        let adit = site.run(&format!(
            "routes:\n\
             - host: www.example.test\n\
             \x20 backends: [\"http://{}\", \"http://{}\"]\n\
             \x20 outlier: {{consecutive: 0}}\n\
             \x20 retry: {{attempts: 2, on: {on}{more}}}\n",
            closing.addr(),
            live.addr()
        ));
        let answers: HashSet<_> = (0..4)
            .map(|_| {
                let curl = site.curl(adit.addr("web")).args(&["--request", method]);
                curl.get(URL).status
            })
            .collect();
        let expected = HashSet::from([200, status]);
        assert_eq!(answers, expected, "{method} on {on}{more}");
    }
}
