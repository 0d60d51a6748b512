//! Lists of addresses and rate limits.

use std::net::SocketAddr;

use adit_bench::Kind;

use crate::support::curl::Curl;
use crate::support::site::Site;
use crate::support::{eventually, origin};

const DOORS: &str = r#"
networks:
  near: {role: lan, cidrs: [10.1.0.0/16]}
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0", trustForwarded: [127.0.0.0/8]}
  - {name: adm, role: admin, bind: "127.0.0.1:0"}
"#;

/// A request that a trusted proxy brings from `client`.
fn from(site: &Site, to: SocketAddr, client: &str) -> Curl {
    site.curl(to).header(&format!("X-Forwarded-For: {client}"))
}

#[test]
fn lists_judge_the_client_that_a_trusted_proxy_names() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run_with(
        DOORS,
        &format!(
            "routes:\n\
             - host: www.example.test\n\
             \x20 backends: [\"http://{}\"]\n\
             \x20 access: {{allow: [near, \"2001:db8::/32\"], deny: [10.1.6.0/24]}}\n\
             \x20 paths:\n\
             \x20   - {{prefix: /}}\n\
             \x20   - {{prefix: /open, access: off}}\n\
             \x20   - {{prefix: /deny, access: {{deny: [192.0.2.1]}}}}\n",
            one.addr()
        ),
    );
    let to = adit.addr("web");
    for (client, path, status) in [
        ("10.1.2.3", "/", 200),
        ("2001:db8::7", "/", 200),
        ("::ffff:10.1.2.3", "/", 200),
        ("10.1.6.3", "/", 403),
        ("192.0.2.1", "/", 403),
        ("192.0.2.1", "/open", 200),
        ("192.0.2.1", "/deny", 403),
        ("192.0.2.2", "/deny", 200),
        // Who adds an address to the front of the chain is not believed.
        ("10.1.2.3, 192.0.2.1", "/", 403),
    ] {
        let answer = from(&site, to, client).get(&format!("http://www.example.test{path}"));
        assert_eq!(answer.status, status, "{client} {path}: {answer:?}");
    }
    let refused = eventually("access log", || {
        let lines = adit.access("ACL-01");
        (lines.len() == 4).then_some(lines)
    });
    assert_eq!(refused[0]["status"], 403);
}

#[test]
fn each_client_has_its_rate_and_a_reload_keeps_count() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let config = |more: &str| {
        Site::config_with(
            DOORS,
            &format!(
                "routes:\n\
                 - host: www.example.test\n\
                 \x20 backends: [\"http://{}\"]\n\
                 \x20 rateLimit: {{requests: 2/h, burstMultiplier: 2, exempt: [10.1.0.0/16]}}\n\
                 \x20 paths:\n\
                 \x20   - {{prefix: /}}\n\
                 \x20   - {{prefix: /same}}\n\
                 \x20   - {{prefix: /own, rateLimit: {{requests: 1/h, burstMultiplier: 0, status: 503}}}}\n\
                 \x20   - {{prefix: /free, rateLimit: off}}\n{more}",
                one.addr()
            ),
        )
    };
    let adit = crate::support::adit::Adit::run(&site.dir, &config(""));
    let to = adit.addr("web");
    let get = |client: &str, path: &str| {
        from(&site, to, client).get(&format!("http://www.example.test{path}"))
    };
    for _ in 0..4 {
        get("192.0.2.1", "/").expect(200);
    }
    get("192.0.2.1", "/same").expect(200);
    let refused = get("192.0.2.1", "/same").expect(429);
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1000..=1800).contains(&wait), "{wait}");
    get("192.0.2.1", "/free").expect(200);
    get("192.0.2.1", "/own").expect(200);
    get("192.0.2.1", "/own").expect(503);
    get("192.0.2.2", "/").expect(200);
    for _ in 0..8 {
        get("10.1.0.1", "/").expect(200);
    }
    adit.rewrite(&config("\x20   - {prefix: /new, respond: {status: 204}}\n"));
    eventually("the reload", || {
        let answer = get("10.1.0.1", "/new");
        (answer.status == 204).then_some(())
    });
    get("192.0.2.1", "/").expect(429);
    get("192.0.2.2", "/").expect(200);
}

#[test]
fn requests_in_progress_are_counted_up_to_the_end_of_their_answers() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run_with(
        DOORS,
        &format!(
            "routes:\n\
             - host: www.example.test\n\
             \x20 backends: [\"http://{}\"]\n\
             \x20 rateLimit: {{connections: 1}}\n",
            one.addr()
        ),
    );
    let to = adit.addr("web");
    let mut slow = crate::support::raw::Raw::connect(to);
    slow.send(b"GET /drip/1000 HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    assert!(slow.try_until_head());
    let get = || site.curl(to).get("http://www.example.test/");
    get().expect(429);
    from(&site, to, "192.0.2.1")
        .get("http://www.example.test/")
        .expect(200);
    drop(slow);
    eventually("the place is free again", || {
        (get().status == 200).then_some(())
    });
}

#[test]
fn a_paced_answer_is_whole() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 rateLimit: {{bandwidth: 400KiB, bandwidthAfter: 100KiB}}\n",
        one.addr()
    ));
    let urls = [
        (adit.addr("web"), "http://www.example.test/size/250000"),
        (adit.addr("web"), "http://www.example.test/chunked/250000"),
        (adit.addr("webs"), "https://www.example.test/size/250000"),
    ];
    for (to, url) in urls {
        let answer = site.curl(to).get(url).expect(200);
        assert_eq!(answer.body.len(), 250_000, "{url}");
    }
}
