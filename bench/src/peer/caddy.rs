//! Caddy: one processor for its Go runtime; it relays nothing that it does not read.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{GRPC, Setup, Site, WWW};

/// What holds for all sites.
const GLOBAL: &str = "{
  admin off
  auto_https off
  default_bind 127.0.0.1
  log {
    level ERROR
  }
  servers {
    protocols h1 h2
    timeouts {
      idle 10m
    }
  }
}
";

pub(super) fn setup(program: &Path, site: &Site) -> Setup {
    let mut command = Command::new(program);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(site.path("Caddyfile"))
        .env("GOMAXPROCS", "1")
        .env("XDG_DATA_HOME", &site.folder)
        .env("XDG_CONFIG_HOME", &site.folder);
    Setup {
        files: vec![("Caddyfile", configuration(site))],
        command,
    }
}

fn configuration(site: &Site) -> String {
    let (doors, origins) = (&site.doors, &site.origins);
    let log = if site.features.log {
        format!(
            "  log {{\n    output file {}\n  }}\n",
            site.path("access.log")
        )
    } else {
        String::new()
    };
    let identity = format!(
        "  tls {} {}\n",
        site.identity.certificate.display(),
        site.identity.key.display()
    );
    let proxy = |to: String| {
        format!(
            "  reverse_proxy {to} {{\n    header_up X-Real-IP {{remote_host}}\n    \
             header_up X-Forwarded-Port {{port}}\n    transport http {{\n      \
             keepalive 10m\n      keepalive_idle_conns_per_host 512\n      \
             versions {versions}\n    }}\n  }}\n",
            versions = if to.starts_with("h2c") {
                "h2c 2"
            } else {
                "1.1"
            }
        )
    };
    let (plain, tls) = (doors.plain.port(), doors.tls.port());
    let mut text = GLOBAL.to_owned();
    let www = proxy(origins.http.to_string());
    // Writing to a String cannot fail.
    let _ = write!(text, "http://{WWW}:{plain} {{\n{log}{www}}}\n");
    let _ = write!(text, "https://{WWW}:{tls} {{\n{log}{identity}{www}}}\n");
    let rpc = proxy(format!("h2c://{}", origins.h2c));
    let _ = write!(text, "https://{GRPC}:{tls} {{\n{log}{identity}{rpc}}}\n");
    text
}
