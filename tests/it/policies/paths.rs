//! Redirects, rewrites and header fields.

use adit_bench::Kind;

use crate::support::origin;
use crate::support::site::Site;

#[test]
fn a_redirect_answers_with_its_location_alone() {
    let site = Site::new();
    let adit = site.run(
        "routes:\n\
         - host: www.example.test\n\
         \x20 paths:\n\
         \x20   - {prefix: /fixed, redirect: \"https://new.example.test/home\"}\n\
         \x20   - {prefix: /kept, redirect: {to: \"https://new.example.test$request_uri\", status: 308}}\n\
         \x20   - {prefix: /path, redirect: {to: /elsewhere, status: 302}}\n",
    );
    let cases = [
        ("/fixed/a?b=c", 301, "https://new.example.test/home"),
        ("/kept/a?b=c", 308, "https://new.example.test/kept/a?b=c"),
        ("/path", 302, "http://www.example.test/elsewhere"),
    ];
    for (target, status, location) in cases {
        let url = format!("http://www.example.test{target}");
        let answer = site.curl(adit.addr("web")).get(&url).expect(status);
        assert_eq!(
            answer.field("location").as_deref(),
            Some(location),
            "{target}"
        );
    }
}

#[test]
fn fields_are_edited_in_both_directions() {
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 requestHeaders: {{set: {{x-tenant: blue, x-asked: \"$request_method $host\", x-none: \"$arg_none\"}}, remove: [x-debug]}}\n\
         \x20 responseHeaders: {{set: {{x-frame-options: DENY}}, add: {{x-for: \"$remote_addr\"}}, remove: [content-type]}}\n",
        one.addr()
    ));
    let curl = site.curl(adit.addr("web"));
    let answer = curl
        .header("X-Tenant: red")
        .header("X-Debug: 1")
        .header("X-None: 1")
        .get("http://www.example.test/")
        .expect(200);
    assert_eq!(answer.field("x-frame-options").as_deref(), Some("DENY"));
    assert_eq!(answer.field("x-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(answer.field("content-type"), None);
    let seen = answer.seen();
    assert_eq!(seen.one("x-tenant"), Some("blue"));
    assert_eq!(seen.one("x-asked"), Some("GET www.example.test"));
    assert_eq!(seen.one("x-none"), None);
    assert_eq!(seen.one("x-debug"), None);
}
