//! adit: one port for all that is TLS, told apart by name.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{GRPC, PASS, Setup, Site, WWW};

pub(super) fn setup(program: &Path, site: &Site) -> Setup {
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg("--config")
        .arg(site.path("adit.yaml"));
    Setup {
        files: vec![("adit.yaml", configuration(site))],
        command,
    }
}

fn configuration(site: &Site) -> String {
    let (doors, origins) = (&site.doors, &site.origins);
    let log = if site.features.log {
        format!("{{format: json, path: {}}}", site.path("access.log"))
    } else {
        "{format: off}".to_owned()
    };
    let windows = if site.features.windows {
        ", streamWindow: 16MiB, connectionWindow: 64MiB"
    } else {
        ""
    };
    let many = if site.features.many {
        ", requests: 1000000, requestsPerRoute: 1000000"
    } else {
        ""
    };
    // Loads hold their connections: limits that end them after so many requests are for others.
    let mut text = format!(
        "version: 1
workers: 1
log: {{level: warn}}
accessLog: {log}
networks:
  lan: {{role: lan, cidrs: [127.0.0.0/8]}}
listeners:
  - {{name: plain, role: lan, bind: \"{plain}\"}}
  - {{name: tls, role: lan, bind: \"{tls}\", tls: true}}
  - {{name: raw, role: lan, bind: \"{tcp}\", tcp: {{backends: [\"{raw}\"]}}}}
  - {{name: adm, role: admin, bind: \"{admin}\"}}
certificates:
  files: [{{cert: \"{certificate}\", key: \"{key}\"}}]
default: {{exposure: lan}}
limits: {{requestsPerConnection: 2147483647, streamsPerConnection: 2147483647, concurrentStreams: 128,
  requestsPerEndpoint: 1000000, idleUpstreams: 512, keepAliveTimeout: 10m, idleStreamsTimeout: 10m,
  firstByteTimeout: 10m, shutdownGrace: 0s, drainTimeout: 1s{windows}{many}}}
routes:
",
        plain = doors.plain,
        tls = doors.tls,
        tcp = doors.tcp,
        admin = doors.admin,
        raw = origins.raw,
        certificate = site.identity.certificate.display(),
        key = site.identity.key.display(),
    );
    let http = origins.http;
    // Writing to a String cannot fail.
    if site.features.edits {
        let _ = writeln!(
            text,
            "  - host: {WWW}
    requestHeaders: {{set: {{x-tenant: blue}}, remove: [x-debug]}}
    responseHeaders: {{set: {{x-frame-options: DENY}}}}
    rateLimit: {{requests: 1000000/s}}
    paths:
      - {{regex: \"^/never/[0-9]+$\", backends: [\"http://{http}\"]}}
      - {{prefix: /, backends: [\"http://{http}\"]}}"
        );
    } else {
        let _ = writeln!(text, "  - {{host: {WWW}, backends: [\"http://{http}\"]}}");
    }
    let _ = writeln!(
        text,
        "  - {{host: {GRPC}, backends: [\"h2c://{}\"]}}",
        origins.h2c
    );
    let _ = writeln!(
        text,
        "  - {{host: {PASS}, tls: passthrough, backends: [\"{}\"]}}",
        origins.raw
    );
    for number in 0..site.features.hosts {
        let _ = writeln!(
            text,
            "  - {{host: h{number}.bench.test, backends: [\"http://{http}\"]}}"
        );
    }
    text
}
