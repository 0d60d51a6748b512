//! What a client sees instead of an error.

use adit_bench::Kind;

use crate::support::servers::nginx;
use crate::support::site::Site;
use crate::support::{Dir, free_addr, origin};

/// nginx that fails in every way that is asked for, and one that answers for it.
fn servers() -> (std::net::SocketAddr, std::net::SocketAddr, String) {
    let (app, errors) = (free_addr(), free_addr());
    let told = "$request_method $request_uri code=$http_x_code format=$http_x_format \
                uri=$http_x_original_uri service=$http_x_service_name host=$http_host";
    let config = format!(
        "server {{ listen {app};\n\
           location /down {{ return 503 down; }}\n\
           location /missing {{ return 404 gone; }}\n\
           location /teapot {{ return 418 short; }}\n\
           location /private {{ add_header WWW-Authenticate Basic always; return 401 no; }}\n\
           location / {{ return 200 fine; }}\n}}\n\
         server {{ listen {errors};\n\
           location / {{ add_header X-Errors yes always; return 409 \"{told}\"; }}\n}}\n"
    );

    (app, errors, config)
}

#[test]
fn pages_of_our_own_keep_the_status_and_go_before_the_error_backend() {
    let site = Site::new();
    let dir = Dir::new();
    let (app, errors, config) = servers();
    let _nginx = nginx(&dir, &config, "", app);
    site.dir.write("maintenance.html", "<h1>back soon</h1>");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{app}\"]\n\
         \x20 errors:\n\
         \x20   pages: {{503: {{file: maintenance.html}}, 401: {{body: \"{{}}\", type: application/json}}}}\n\
         \x20   statuses: [404, 503]\n\
         \x20   backends: [\"http://{errors}\"]\n\
         \x20   labels: {{x-service-name: shop}}\n"
    ));
    let ask = |target: &str, more: &[&str]| {
        let url = format!("http://www.example.test{target}");
        site.curl(adit.addr("web")).args(more).get(&url)
    };
    let page = ask("/down", &[]).expect(503);
    assert_eq!(page.text(), "<h1>back soon</h1>");
    assert_eq!(
        page.field("content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    let page = ask("/private", &[]).expect(401);
    assert_eq!(page.field("www-authenticate").as_deref(), Some("Basic"));
    assert_eq!(
        page.field("content-type").as_deref(),
        Some("application/json")
    );
    assert_eq!(page.text(), "{}");
    // The final status is that of the error backend.
    let told = ask(
        "/missing/a?b=c",
        &["--header", "Accept: text/html", "--data", "x"],
    )
    .expect(409);
    assert_eq!(told.field("x-errors").as_deref(), Some("yes"));
    assert_eq!(
        told.text(),
        "POST /?b=c code=404 format=text/html uri=/missing/a?b=c service=shop host=www.example.test"
    );
    assert_eq!(ask("/teapot", &[]).expect(418).text(), "short");
    assert_eq!(ask("/", &[]).expect(200).text(), "fine");
}

#[test]
fn errors_of_adit_are_replaced_too_and_an_error_backend_that_is_gone_is_a_503() {
    let site = Site::new();
    let dir = Dir::new();
    let (app, errors, config) = servers();
    let _nginx = nginx(&dir, &config, "", app);
    let dead = free_addr();
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 paths:\n\
         \x20   - {{prefix: /dead, backends: [\"http://{dead}\"], errors: {{statuses: [502], backends: [\"http://{errors}\"]}}}}\n\
         \x20   - {{prefix: /both, backends: [\"http://{dead}\"], errors: {{statuses: [502], backends: [\"http://{dead}\"]}}}}\n\
         \x20   - {{prefix: /large, backends: [\"http://{app}\"], limits: {{body: 1KiB}}, errors: {{pages: {{413: {{body: \"too much\"}}}}}}}}\n"
    ));
    let ask = |target: &str| {
        let url = format!("http://www.example.test{target}");
        site.curl(adit.addr("web")).get(&url)
    };
    assert!(
        ask("/dead?q")
            .expect(409)
            .text()
            .starts_with("GET /?q code=502 ")
    );
    ask("/both").expect(503);
    let body = site.dir.write("body", vec![b'x'; 2000]);
    let answer = site
        .curl(adit.addr("web"))
        .args(&["--data-binary", &format!("@{}", body.display())])
        .get("http://www.example.test/large");
    assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
}

#[test]
fn a_route_without_endpoints_is_served_by_its_stand_in() {
    let site = Site::new();
    let stand_in = origin(Kind::Http1, "stand-in");
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [{{url: \"http://127.0.0.1:9\", weight: 0}}]\n\
         \x20 errors: {{withoutEndpoints: [\"http://{}\"]}}\n",
        stand_in.addr()
    ));
    let answer = site
        .curl(adit.addr("web"))
        .args(&["--request", "DELETE"])
        .get("http://www.example.test/some/path?q=1")
        .expect(200);
    let seen = answer.seen();
    assert_eq!(seen.backend, "stand-in");
    assert!(
        seen.request.starts_with("DELETE /some/path?q=1"),
        "{}",
        seen.request
    );
    assert_eq!(seen.one("x-code"), Some("503"));
    assert_eq!(seen.one("x-original-uri"), None);
}
