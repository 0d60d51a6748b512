//! The site that most tests serve: one authority, one certificate, three doors on loopback.
//!
//! `web` is clear text, `webs` is TLS, `adm` is admin; a test adds its routes. The certificate
//! covers `*.example.test` and `*.c1.example.test`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use super::Dir;
use super::adit::Adit;
use super::curl::{Curl, curl};
use super::h2client::H2;
use super::pki::{Pki, write_identity};
use super::raw::Raw;

pub(crate) struct Site {
    pub(crate) dir: Dir,
    pub(crate) pki: Pki,
    pub(crate) ca: PathBuf,
}

/// The usual doors.
pub(crate) const DOORS: &str = r#"
listeners:
  - {name: web, role: lan, bind: "127.0.0.1:0"}
  - {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}
  - {name: adm, role: admin, bind: "127.0.0.1:0"}
"#;

impl Site {
    pub(crate) fn new() -> Self {
        let dir = Dir::new();
        let pki = Pki::new();
        let ca = pki.write_ca(&dir);
        let names = ["*.example.test", "example.test", "*.c1.example.test"];
        write_identity(&dir, "site", &pki.leaf(&names));
        Self { dir, pki, ca }
    }

    /// A whole file with the usual doors.
    pub(crate) fn config(routes: &str) -> String {
        Self::config_with(DOORS, routes)
    }

    /// A whole file with these doors. There is no balancer to wait for when it stops.
    pub(crate) fn config_with(doors: &str, routes: &str) -> String {
        let limits = if routes.contains("\nlimits:") || routes.starts_with("limits:") {
            ""
        } else {
            "limits: {shutdownGrace: 0s}\n"
        };
        format!(
            "version: 1\n{doors}\n\
             certificates:\n  files: [{{cert: site.pem, key: site.key}}]\n{routes}\n{limits}"
        )
    }

    /// Serves these routes through the usual doors.
    pub(crate) fn run(&self, routes: &str) -> Adit {
        Adit::run(&self.dir, &Self::config(routes))
    }

    /// Serves these routes through these doors.
    pub(crate) fn run_with(&self, doors: &str, routes: &str) -> Adit {
        Adit::run(&self.dir, &Self::config_with(doors, routes))
    }

    /// curl, trusting this site.
    pub(crate) fn curl(&self, to: SocketAddr) -> Curl {
        curl(to).ca(&self.ca)
    }

    /// Client settings that trust this site.
    pub(crate) fn tls(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        self.pki.client_config(alpn)
    }

    /// A TLS connection for HTTP/1.1.
    pub(crate) fn raw_tls(&self, to: SocketAddr, name: &str) -> Raw {
        Raw::tls(to, name, self.tls(&["http/1.1"])).unwrap()
    }

    /// An HTTP/2 connection.
    pub(crate) async fn h2(&self, to: SocketAddr, name: &str) -> H2 {
        H2::tls(to, name, self.tls(&["h2"])).await
    }
}
