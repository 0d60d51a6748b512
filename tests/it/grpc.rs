//! gRPC (tonic): every kind of call, through termination and through passthrough.

use adit_bench::Kind;
use tonic::client::Grpc;

use crate::support::bridge;
use crate::support::grpc::{self, Talk};
use crate::support::h2client::run;
use crate::support::origin;
use crate::support::site::Site;

#[test]
fn every_kind_of_call_on_the_port_of_a_site() {
    let site = Site::new();
    let server = grpc::server();
    let names = ["own.example.test", "internal.example.test"];
    let tls = bridge::out_of_tls(server, &site.pki.leaf(&names), &["h2"]);
    let www = origin(Kind::Http1, "www");
    let doors = r#"
listeners:
  - {name: prior, role: lan, bind: "127.0.0.1:0", protocol: h2c}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}
"#;
    let adit = site.run_with(
        doors,
        &format!(
            "routes:\n\
             - {{host: www.example.test, backends: [\"http://{}\"]}}\n\
             - {{host: h2c.example.test, backends: [\"h2c://{server}\"]}}\n\
             - {{host: h2.example.test, backends: [\"h2://{tls}\"], \
             backendTls: {{ca: ca.pem, serverName: internal.example.test}}}}\n\
             - {{host: own.example.test, tls: passthrough, backends: [\"{tls}\"]}}\n",
            www.addr()
        ),
    );
    let webs = adit.addr("webs");
    for host in ["h2c.example.test", "h2.example.test", "own.example.test"] {
        let through = bridge::into_tls(webs, host, site.tls(&["h2"]));
        run(async {
            grpc::exercise(grpc::channel(through, &format!("https://{host}")).await).await;
        });
        site.curl(webs).get("https://www.example.test/").expect(200);
    }
    run(async {
        let channel = grpc::channel(adit.addr("prior"), "http://h2c.example.test").await;
        grpc::exercise(channel).await;
    });
    adit.stop();
}

#[test]
fn a_call_may_be_open_and_silent() {
    let site = Site::new();
    let server = grpc::server();
    let adit = site.run(&format!(
        "routes:\n- {{host: grpc.example.test, backends: [\"h2c://{server}\"]}}\n"
    ));
    let through = bridge::into_tls(adit.addr("webs"), "grpc.example.test", site.tls(&["h2"]));
    run(async {
        let channel = grpc::channel(through, "https://grpc.example.test").await;
        let mut grpc = Grpc::new(channel);
        let mut talk = Talk::start(&mut grpc).await;
        talk.say("before").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        talk.say("after").await.unwrap();
        talk.end().await;
    });
}

#[test]
fn a_call_to_nowhere_has_a_status() {
    let site = Site::new();
    let adit = site.run(&format!(
        "routes:\n- {{host: grpc.example.test, backends: [\"h2c://{}\"]}}\n",
        crate::support::free_addr()
    ));
    run(async {
        let mut h2 = site.h2(adit.addr("webs"), "grpc.example.test").await;
        let request = http::Request::post("https://grpc.example.test/echo.Echo/Unary")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let body = bytes::Bytes::from_static(b"\0\0\0\0\0");
        let answer = h2.send(request, body).await.unwrap();
        assert!(
            matches!(answer.status(), 502 | 503) || answer.head.headers.contains_key("grpc-status"),
            "{answer:?}"
        );
    });
}
