//! The certificate that all servers of a comparison present: P-256, one for all names.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

/// Paths of the certificate, of its key, and of both in one.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) both: PathBuf,
}

impl Identity {
    pub(crate) fn make(folder: &Path, names: &[&str]) -> io::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names)
            .and_then(|params| params.self_signed(&key))
            .map_err(io::Error::other)?
            .pem();
        let key = key.serialize_pem();
        let identity = Self {
            certificate: folder.join("bench.pem"),
            key: folder.join("bench.key"),
            both: folder.join("bench.both.pem"),
        };
        write_private(&identity.certificate, &certificate)?;
        write_private(&identity.key, &key)?;
        write_private(&identity.both, &format!("{certificate}{key}"))?;
        Ok(identity)
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}
