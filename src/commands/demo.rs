//! `adit demo`: everything that adit does on a LAN edge box, without a file and without privileges.
//!
//! Embedded backends answer behind an embedded configuration; the certificate is made anew at each
//! start. What is printed can be pasted.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use adit_bench::{Kind, Origin, TlsIdentity};
use adit_proxy::Proxy;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{Exit, say};
use crate::app::{self, Options, Source};
use crate::cli::DemoArgs;

/// The backends; they stop when this is dropped.
struct Backends {
    http: [Origin; 2],
    grpc: Origin,
    passthrough: Origin,
}

/// What the demo made for itself; removed when it ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It lies in the system's temporary directory; what stays is cleared from there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(args: &DemoArgs) -> Exit {
    match prepare(args) {
        Ok((options, _backends, folder)) => {
            let ca = folder.0.join("ca.pem");
            app::run_with(&options, |proxy| {
                introduce(proxy, &ca.display().to_string());
            })
        }
        Err(error) => {
            eprintln!("adit: the demo cannot be set up: {error}");
            Exit::Failed
        }
    }
}

type Prepared = (Options, Backends, Folder);

fn prepare(args: &DemoArgs) -> Result<Prepared, Box<dyn std::error::Error>> {
    let folder = Folder(std::env::temp_dir().join(format!("adit-demo-{}", std::process::id())));
    // Nobody else may have made it, or look into it.
    std::fs::DirBuilder::new().mode(0o700).create(&folder.0)?;
    let identities = certificates(&folder)?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let backends = Backends {
        http: [
            Origin::start(Kind::Http1, "web-1", any)?,
            Origin::start(Kind::Http1, "web-2", any)?,
        ],
        grpc: Origin::start(Kind::H2c, "grpc", any)?,
        passthrough: Origin::start(Kind::Tls(identities), "own-tls", any)?,
    };
    let options = Options {
        source: Source::Embedded {
            name: "demo.yaml",
            text: configuration(args.port, &backends),
            base: folder.0.clone(),
        },
        state_dir: None,
        ready_file: args.ready_file.clone(),
        take_over: false,
        managed: false,
    };
    Ok((options, backends, folder))
}

/// An authority, a certificate of ours for the hosts that end here, and one for the backend whose
/// TLS is passed through.
fn certificates(folder: &Folder) -> Result<TlsIdentity, Box<dyn std::error::Error>> {
    use std::os::unix::fs::OpenOptionsExt;

    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "adit demo");
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);
    let issue = |names: &[&str]| -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    };
    let (certificate, key) = issue(&["*.example.test"])?;
    std::fs::write(folder.0.join("ca.pem"), &ca_pem)?;
    std::fs::write(folder.0.join("demo.pem"), certificate)?;
    let mut key_file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.0.join("demo.key"))?;
    std::io::Write::write_all(&mut key_file, key.as_bytes())?;
    let (certificates, key) = issue(&["argocd.example.test"])?;
    Ok(TlsIdentity { certificates, key })
}

fn configuration(port: u16, backends: &Backends) -> String {
    let at = |offset: u16| {
        if port == 0 {
            free_port()
        } else {
            port.saturating_add(offset)
        }
    };
    let [first, second] = &backends.http;
    format!(
        r#"version: 1
accessLog: {{format: off}}
log: {{level: warn}}
networks:
  lan: {{role: lan, cidrs: [127.0.0.0/8, "::1/128"]}}
listeners:
  - {{name: web,   role: lan, bind: "127.0.0.1:{web}", redirect: {{port: {tls}}}, allow: [lan]}}
  - {{name: plain, role: lan, bind: "127.0.0.1:{plain}", allow: [lan]}}
  - {{name: webs,  role: lan, bind: "127.0.0.1:{tls}", tls: true, allow: [lan]}}
  - {{name: inet,  role: internet, bind: "127.0.0.1:{inet}", tls: true}}
  - {{name: adm,   role: admin, bind: "127.0.0.1:{adm}"}}
certificates:
  files: [{{cert: demo.pem, key: demo.key}}]
routes:
  - {{host: www.example.test, backends: ["http://{first}", "http://{second}"]}}
  - {{host: public.example.test, backends: ["http://{first}"]}}
  - {{host: grpc.example.test, backends: ["h2c://{grpc}"]}}
  - {{host: argocd.example.test, tls: passthrough, backends: ["{passthrough}"]}}
  - {{host: closed.example.test, respond: {{status: 503, body: "back soon\n"}}}}
rules:
  - {{name: shop-window, hosts: [public.example.test], exposure: public}}
default: {{exposure: lan}}
limits: {{shutdownGrace: 0s, drainTimeout: 2s}}
"#,
        web = at(0),
        plain = at(1),
        tls = at(363),
        inet = at(364),
        adm = at(1010),
        first = first.addr(),
        second = second.addr(),
        grpc = backends.grpc.addr(),
        passthrough = backends.passthrough.addr(),
    )
}

/// A port that is free at this moment: the redirect must know the port of the TLS listener.
fn free_port() -> u16 {
    let probe = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    probe
        .and_then(|probe| probe.local_addr())
        .map_or(0, |address| address.port())
}

/// Prints what to open and what to type.
fn introduce(proxy: &Proxy, ca: &str) {
    let addresses = proxy.addresses();
    let port = |name: &str| {
        let found = addresses.iter().find(|(door, _)| &**door == name);
        found
            .and_then(|(_, at)| at.first())
            .map_or(0, SocketAddr::port)
    };
    let (plain, tls, inet, adm) = (port("plain"), port("webs"), port("inet"), port("adm"));
    let curl = |host: &str, port: u16, path: &str| {
        format!("curl --cacert {ca} --resolve {host}:{port}:127.0.0.1 https://{host}:{port}{path}")
    };
    let mut text = String::new();
    let mut row = |what: &str, how: &str| {
        let _ = writeln!(text, "  {what:<40} {how}");
    };
    row(
        "the admin page, in a browser",
        &format!("http://127.0.0.1:{adm}/"),
    );
    row(
        "HTTP",
        &format!("curl -H 'Host: www.example.test' http://127.0.0.1:{plain}/"),
    );
    row(
        "the way to TLS",
        &format!(
            "curl -i -H 'Host: www.example.test' http://127.0.0.1:{}/",
            port("web")
        ),
    );
    row(
        "HTTPS, two backends in turn",
        &curl("www.example.test", tls, "/"),
    );
    row(
        "server-sent events",
        &curl("www.example.test", tls, "/sse/5"),
    );
    row(
        "an upload, echoed as it arrives",
        &format!(
            "{} --data-binary hello",
            curl("www.example.test", tls, "/echo")
        ),
    );
    row(
        "WebSocket (101, then frames)",
        &format!(
            "{} --http1.1 -i -N --max-time 1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='",
            curl("www.example.test", tls, "/ws")
        ),
    );
    row(
        "gRPC, unary echo of an empty message",
        &format!(
            "printf '\\0\\0\\0\\0\\0' | {} -i -H 'content-type: application/grpc' -H 'te: trailers' --data-binary @- --output -",
            curl("grpc.example.test", tls, "/echo.Echo/Unary")
        ),
    );
    row(
        "TLS passed through to its backend",
        &curl("argocd.example.test", tls, "/"),
    );
    row("a maintenance page", &curl("closed.example.test", tls, "/"));
    row(
        "from the Internet: a public host",
        &curl("public.example.test", inet, "/"),
    );
    row(
        "from the Internet: a LAN host (refused)",
        &curl("www.example.test", inet, "/"),
    );
    row("metrics", &format!("curl http://127.0.0.1:{adm}/metrics"));
    say(&format!(
        "adit demo is serving. Ctrl-C ends it.\n\n{text}\n"
    ));
}
