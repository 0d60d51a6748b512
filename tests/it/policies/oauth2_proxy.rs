//! The real oauth2-proxy behind `auth.external`, with its form for names and passwords instead of an
//! identity provider.
//!
//! Run where its binary is found: `ADIT_OAUTH2_PROXY`, or `oauth2-proxy` on the path, or where `go
//! install github.com/oauth2-proxy/oauth2-proxy/v7@latest` puts it. Skipped elsewhere.

use std::env;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use adit_bench::Kind;

use crate::support::process::Process;
use crate::support::site::Site;
use crate::support::{eventually, free_addr, origin};

fn binary() -> Option<PathBuf> {
    let named = env::var_os("ADIT_OAUTH2_PROXY").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|place| place.join("oauth2-proxy"));
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join("go/bin/oauth2-proxy"));
    let mut places = named.into_iter().chain(on_path).chain(home);
    places.find(|place| place.is_file())
}

fn start(site: &Site, binary: &PathBuf, at: SocketAddr) -> Process {
    // `anna`, with the password `correct horse`.
    let users = "anna:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";
    let users = site.dir.write("oauth2-users", users);
    let mut command = Command::new(binary);
    command
        .arg(format!("--http-address={at}"))
        .arg(format!("--htpasswd-file={}", users.display()))
        .args(["--provider=google", "--client-id=x", "--client-secret=x"])
        .args(["--display-htpasswd-form=true", "--email-domain=*"])
        .args(["--upstream=static://202", "--reverse-proxy=true"])
        .args(["--set-xauthrequest=true", "--cookie-secure=false"])
        .arg("--cookie-secret=0123456789abcdef0123456789abcdef");
    let mut process = Process::start(&mut command);
    eventually("oauth2-proxy accepts", || {
        if let Some(status) = process.ended() {
            panic!("oauth2-proxy ended with {status}");
        }
        TcpStream::connect_timeout(&at, Duration::from_millis(200)).ok()
    });
    process
}

#[test]
fn whoever_signs_in_at_oauth2_proxy_is_let_in() {
    let Some(binary) = binary() else {
        eprintln!("skipped: there is no oauth2-proxy; see the head of this file");
        return;
    };
    let site = Site::new();
    let one = origin(Kind::Http1, "one");
    let at = free_addr();
    let _proxy = start(&site, &binary, at);
    let adit = site.run(&format!(
        "routes:\n\
         - host: www.example.test\n\
         \x20 backends: [\"http://{}\"]\n\
         \x20 auth:\n\
         \x20   external:\n\
         \x20     url: \"http://{at}/oauth2/auth\"\n\
         \x20     signIn: \"http://www.example.test/oauth2/start\"\n\
         \x20     responseHeaders: [x-auth-request-user, x-auth-request-email]\n\
         \x20 paths: [{{prefix: /}}, {{prefix: /oauth2, auth: off, backends: [\"http://{at}\"]}}]\n",
        one.addr()
    ));
    let jar = site.dir.join("cookies");
    let curl = || {
        let jar = jar.to_str().unwrap();
        let curl = site.curl(adit.addr("web"));
        curl.args(&["--cookie", jar, "--cookie-jar", jar])
            .header("X-Auth-Request-User: mallory")
    };
    let sent = curl().get("http://www.example.test/page?a=b").expect(302);
    assert_eq!(
        sent.field("location").as_deref(),
        Some("http://www.example.test/oauth2/start?rd=http://www.example.test%2Fpage%3Fa%3Db")
    );
    curl()
        .get("http://www.example.test/oauth2/sign_in")
        .expect(200);
    let form = ["username=anna", "password=correct horse", "rd=/page"];
    let mut sign_in = curl();
    for part in form {
        sign_in = sign_in.arg("--data-urlencode").arg(part);
    }
    sign_in
        .get("http://www.example.test/oauth2/sign_in")
        .expect(302);
    let seen = curl()
        .get("http://www.example.test/page")
        .expect(200)
        .seen();
    assert_eq!(seen.one("x-auth-request-user"), Some("anna"));
    curl()
        .get("http://www.example.test/oauth2/sign_out")
        .expect(302);
    curl().get("http://www.example.test/page").expect(302);
}
