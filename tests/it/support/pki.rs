//! Certificates for the tests: an authority in memory and leaves in files.
//!
//! Keys are written 0600, as adit demands of a key file that it reads.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use adit_bench::TlsIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Dir;

pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's certificate.
    pub(crate) ca: String,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Each has a name of its own, so that a leaf of one is never tried against another.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("test authority {number}"));
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, ca }
    }

    /// A leaf for these names.
    pub(crate) fn leaf(&self, names: &[&str]) -> TlsIdentity {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate.
    pub(crate) fn client(&self, name: &str) -> TlsIdentity {
        self.issue(&[name], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> TlsIdentity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        TlsIdentity {
            certificates: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Writes `ca.pem` into `dir`.
    pub(crate) fn write_ca(&self, dir: &Dir) -> PathBuf {
        dir.write("ca.pem", &self.ca)
    }

    /// Client settings that trust this authority only.
    pub(crate) fn client_config(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        client_config(&self.ca, alpn, None)
    }

    /// The same, with a client certificate.
    pub(crate) fn client_config_as(&self, who: &TlsIdentity, alpn: &[&str]) -> Arc<ClientConfig> {
        client_config(&self.ca, alpn, Some(who))
    }
}

/// Writes `NAME.pem` and `NAME.key` into `dir`.
pub(crate) fn write_identity(dir: &Dir, name: &str, identity: &TlsIdentity) {
    dir.write(&format!("{name}.pem"), &identity.certificates);
    let key = dir.write(&format!("{name}.key"), &identity.key);
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
}

fn client_config(ca: &str, alpn: &[&str], who: Option<&TlsIdentity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match who {
        None => builder.with_no_client_auth(),
        Some(who) => {
            let chain = CertificateDer::pem_slice_iter(who.certificates.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .unwrap();
            let key = PrivateKeyDer::from_pem_slice(who.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}
