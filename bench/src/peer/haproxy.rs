//! HAProxy: one thread, and splicing where it relays.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{CONNECTIONS, GRPC, PASS, Setup, Site, WWW};

pub(super) fn setup(program: &Path, site: &Site) -> Setup {
    let mut command = Command::new(program);
    // Master and worker, so that it can be told to read its configuration again.
    command
        .arg("-Ws")
        .arg("-db")
        .arg("-f")
        .arg(site.path("haproxy.cfg"));
    Setup {
        files: vec![("haproxy.cfg", configuration(site))],
        command,
    }
}

fn configuration(site: &Site) -> String {
    let (doors, origins) = (&site.doors, &site.origins);
    let (target, log) = if site.features.log {
        // It logs to a socket or a descriptor; its standard output is a file here.
        (
            "  log stdout format raw local0\n",
            "  log global\n  option httplog\n",
        )
    } else {
        ("", "")
    };
    let windows = if site.features.windows {
        "  tune.h2.initial-window-size 16777216\n"
    } else {
        ""
    };
    let mut hosts = String::new();
    if site.features.hosts > 0 {
        hosts += "  acl known hdr(host),lower -m str";
        for number in 0..site.features.hosts.min(50) {
            // Writing to a String cannot fail.
            let _ = write!(hosts, " h{number}.bench.test");
        }
        hosts += "\n  use_backend www if known\n";
    }
    let regex = if site.features.edits {
        "  http-request set-header X-Tenant blue\n  http-request del-header X-Debug\n  \
         http-response set-header X-Frame-Options DENY\n  use_backend www if { path_reg ^/never/[0-9]+$ }\n"
    } else {
        ""
    };
    let set = |scheme: &str, port: u16| {
        format!(
            "  http-request set-header X-Real-IP %[src]\n  \
             http-request set-header X-Forwarded-For %[src]\n  \
             http-request set-header X-Forwarded-Proto {scheme}\n  \
             http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  \
             http-request set-header X-Forwarded-Port {port}\n"
        )
    };
    format!(
        "global
  nbthread 1
  maxconn {CONNECTIONS}
  no strict-limits
{target}{windows}  tune.h2.max-concurrent-streams 128
  ssl-default-bind-options ssl-min-ver TLSv1.2
  ssl-default-bind-curves X25519:P-256
defaults
  mode http
  maxconn {CONNECTIONS}
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-request 600s
  timeout http-keep-alive 600s
  timeout tunnel 600s
  option http-keep-alive
  option splice-auto
  http-reuse always
{log}frontend plain
  bind {plain} backlog 4096
{plain_set}{regex}{hosts}  default_backend www
frontend tls
  bind {tls} backlog 4096 ssl crt {both} alpn h2,http/1.1
{tls_set}  use_backend rpc if {{ hdr(host) -i {GRPC} }}
  default_backend www
frontend pass
  mode tcp
  bind {pass} backlog 4096
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  use_backend raw if {{ req.ssl_sni -i {PASS} }}
frontend tcp
  mode tcp
  bind {tcp} backlog 4096
  default_backend raw
backend www
  # {WWW}
  server one {http} pool-max-conn 512 pool-purge-delay 600s
backend rpc
  server one {h2c} proto h2 pool-max-conn 512 pool-purge-delay 600s
backend raw
  mode tcp
  server one {raw}
",
        plain = doors.plain,
        tls = doors.tls,
        pass = doors.pass,
        tcp = doors.tcp,
        both = site.identity.both.display(),
        plain_set = set("http", doors.plain.port()),
        tls_set = set("https", doors.tls.port()),
        http = origins.http,
        h2c = origins.h2c,
        raw = origins.raw,
    )
}
