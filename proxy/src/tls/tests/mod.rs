//! TLS against itself: real certificates, real handshakes, in memory.
//!
//! `certificates` what is loaded and what is kept; `server` what a client of a host meets;
//! `tickets` who may come back; `backends` what we accept from the other side.

mod backends;
mod certificates;
mod server;
mod tickets;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::*;

/// An authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A chain and its key, PEM.
struct Pair {
    chain: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for hosts.
    fn issue(&self, hosts: &[&str]) -> Pair {
        self.issue_with(hosts, |_| {})
    }

    fn issue_with(&self, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.issue_for(&KeyPair::generate().unwrap(), hosts, change)
    }

    fn issue_for(
        &self,
        key: &KeyPair,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        change(&mut params);
        let certificate = params.signed_by(key, &self.0).unwrap();
        Pair {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A certificate for a client.
    fn issue_client(&self, name: &str) -> Pair {
        self.issue_with(&[], |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::OrganizationName, "Example, Inc");
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// Settings of a client that trusts this authority.
    fn client(&self) -> ClientConfig {
        self.client_of(&[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    fn client_of(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config
    }
}

impl Pair {
    fn certificate(&self) -> Result<Arc<Certificate>, CertificateFault> {
        Certificate::from_pem(
            "test".into(),
            self.chain.as_bytes(),
            self.key.as_bytes(),
            PathBuf::from("test.pem"),
            SystemTime::now(),
        )
        .map(Arc::new)
    }
}

/// Both ends after a handshake.
#[derive(Debug)]
struct Connected {
    client: ClientConnection,
    server: ServerConnection,
}

/// Which end gave up.
#[derive(Debug, PartialEq)]
enum Refused {
    ByClient(rustls::Error),
    ByServer(rustls::Error),
}

/// Carries bytes between two ends until neither has any, session tickets included.
fn connect(
    client: &Arc<ClientConfig>,
    host: &str,
    server: &Arc<rustls::ServerConfig>,
) -> Result<Connected, Refused> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        feed(&wire, |bytes| server.read_tls(bytes));
        server.process_new_packets().map_err(Refused::ByServer)?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        feed(&wire, |bytes| client.read_tls(bytes));
        client.process_new_packets().map_err(Refused::ByClient)?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Connected { client, server })
}

fn feed(mut wire: &[u8], mut read: impl FnMut(&mut dyn io::Read) -> io::Result<usize>) {
    while !wire.is_empty() {
        read(&mut wire).unwrap();
    }
}

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("adit-tls-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        path
    }

    /// Writes `stem.crt` and `stem.key`.
    fn write_pair(&self, stem: &str, pair: &Pair) {
        self.write(&format!("{stem}.crt"), &pair.chain);
        self.write(&format!("{stem}.key"), &pair.key);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// X.509 version 1, as `openssl x509 -req` without extensions makes it.
fn version_1() -> Pair {
    const CHAIN: &str = "\
-----BEGIN CERTIFICATE-----
MIIBIzCByQIUByRrtYuIgDY6MNSX5as4ZjA8eUMwCgYIKoZIzj0EAwIwEzERMA8G
A1UEAwwIb2xkLnRlc3QwIBcNMjYxMTIwMTEzMDIxWhgPMjA4MTA4MjMxMTMwMjFa
MBMxETAPBgNVBAMMCG9sZC50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
thaR261OXb2S1N5hJtbycpbDoG+laCQnYJ2NXy/nnYLaqVjpJ62yMcW47LbryIUH
gUjM2ua8mvqDF+sDhOUWfzAKBggqhkjOPQQDAgNJADBGAiEAjbxn4bqViR167JIr
RZCXU2N0VpzZvzPe9JTAQISt6fwCIQCo3PuMUigSeSq60xGfe87Kxe9LyshxOKHk
fK8hSTDRzA==
-----END CERTIFICATE-----
";
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVh0WbXj8Th26q08n
W0DpdDXGY60IWB+FtagqfyxZM9ChRANCAAS2FpHbrU5dvZLU3mEm1vJylsOgb6Vo
JCdgnY1fL+edgtqpWOknrbIxxbjstuvIhQeBSMza5rya+oMX6wOE5RZ/
-----END PRIVATE KEY-----
";
    Pair {
        chain: CHAIN.to_owned(),
        key: KEY.to_owned(),
    }
}
