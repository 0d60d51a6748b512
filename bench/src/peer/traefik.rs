//! Traefik: one processor for its Go runtime; static options as arguments, routes in a file.

use std::path::Path;
use std::process::Command;

use super::{GRPC, PASS, Setup, Site, WWW};

pub(super) fn setup(program: &Path, site: &Site) -> Setup {
    let doors = &site.doors;
    let mut command = Command::new(program);
    command
        .env("GOMAXPROCS", "1")
        .arg(format!(
            "--providers.file.filename={}",
            site.path("traefik.yaml")
        ))
        .arg("--log.level=ERROR")
        .args([
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
        ]);
    let entries = [
        ("plain", doors.plain),
        ("tls", doors.tls),
        ("tcp", doors.tcp),
        ("pass", doors.pass),
    ];
    for (name, addr) in entries {
        command
            .arg(format!("--entrypoints.{name}.address={addr}"))
            .arg(format!(
                "--entrypoints.{name}.transport.respondingtimeouts.idletimeout=600s"
            ))
            .arg(format!(
                "--entrypoints.{name}.transport.respondingtimeouts.readtimeout=0"
            ));
    }
    if site.features.log {
        command
            .arg("--accesslog=true")
            .arg(format!("--accesslog.filepath={}", site.path("access.log")));
    }
    Setup {
        files: vec![("traefik.yaml", configuration(site))],
        command,
    }
}

fn configuration(site: &Site) -> String {
    let origins = &site.origins;
    format!(
        "http:
  routers:
    www: {{entryPoints: [plain], rule: 'Host(`{WWW}`)', service: www}}
    wwws: {{entryPoints: [tls], rule: 'Host(`{WWW}`)', service: www, tls: {{}}}}
    rpc: {{entryPoints: [tls], rule: 'Host(`{GRPC}`)', service: rpc, tls: {{}}}}
  services:
    www: {{loadBalancer: {{servers: [{{url: 'http://{http}'}}], serversTransport: many}}}}
    rpc: {{loadBalancer: {{servers: [{{url: 'h2c://{h2c}'}}]}}}}
  serversTransports:
    many: {{maxIdleConnsPerHost: 512}}
tcp:
  routers:
    raw: {{entryPoints: [tcp], rule: 'HostSNI(`*`)', service: raw}}
    pass: {{entryPoints: [pass], rule: 'HostSNI(`{PASS}`)', service: raw, tls: {{passthrough: true}}}}
  services:
    raw: {{loadBalancer: {{servers: [{{address: '{raw}'}}]}}}}
tls:
  certificates:
    - {{certFile: '{certificate}', keyFile: '{key}'}}
",
        http = origins.http,
        h2c = origins.h2c,
        raw = origins.raw,
        certificate = site.identity.certificate.display(),
        key = site.identity.key.display(),
    )
}
