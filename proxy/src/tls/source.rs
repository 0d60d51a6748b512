//! Certificate files: where a chain and its key lie, and how they are read.
//!
//! Two layouts are known, files that share a stem and certbot's `live` tree. Symbolic links are
//! followed, because both certbot and Kubernetes replace certificates by them. A key that everybody
//! may read is refused here, before a byte of it is in memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::fault::CertificateFault;

/// The files of one certificate; also its identity over reloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PairPaths {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Pairs with their names, in the order of their paths.
    pub(super) pairs: Vec<(PairPaths, Arc<str>)>,
    /// Certificates of hosts, and the key that each lacks.
    pub(super) without_key: Vec<(PathBuf, PathBuf)>,
}

/// The chain and, wiped when dropped, the key.
type Contents = (Vec<u8>, Zeroizing<Vec<u8>>);

impl PairPaths {
    pub(super) fn read(&self) -> Result<Contents, CertificateFault> {
        let chain = read(&self.cert, |_| Ok(()))?;
        let key = read(&self.key, |mode| {
            // Group-readable is Debian's way (group ssl-cert); others have no business with it.
            if mode & 0o006 == 0 {
                Ok(())
            } else {
                Err(CertificateFault::KeyExposed { mode })
            }
        })?;
        Ok((chain.to_vec(), key))
    }

    /// Whether one of the two is still there.
    pub(super) fn exist(&self) -> bool {
        [&self.cert, &self.key]
            .into_iter()
            .any(|path| fs::symlink_metadata(path).is_ok())
    }

    /// The stem of the file, unless it is one of those that say nothing.
    pub(super) fn default_name(&self) -> Arc<str> {
        const SAY_NOTHING: [&str; 5] = ["tls", "cert", "fullchain", "chain", "server"];
        let stem = self.cert.file_stem().unwrap_or_default().to_string_lossy();
        let parent = self
            .cert
            .parent()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy());
        match parent {
            Some(parent) if SAY_NOTHING.contains(&stem.as_ref()) => parent.into(),
            _ => stem.into(),
        }
    }
}

/// Reads a file whole after a look at its permission bits.
fn read(
    path: &Path,
    permitted: impl FnOnce(u32) -> Result<(), CertificateFault>,
) -> Result<Zeroizing<Vec<u8>>, CertificateFault> {
    const LONGEST: u64 = 1024 * 1024;
    // Before opening: to open a pipe would wait for a writer.
    if !fs::metadata(path)
        .map_err(CertificateFault::Unreadable)?
        .is_file()
    {
        return Err(CertificateFault::NotAFile);
    }
    let file = File::open(path).map_err(CertificateFault::Unreadable)?;
    let metadata = file.metadata().map_err(CertificateFault::Unreadable)?;
    permitted(metadata.mode() & 0o7777)?;
    if metadata.len() > LONGEST {
        return Err(CertificateFault::TooLong);
    }
    // Room for all of it: a vector that grows would leave copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(LONGEST)
        .read_to_end(&mut bytes)
        .map_err(CertificateFault::Unreadable)?;
    Ok(bytes)
}

/// Looks through a directory: `live` itself, what holds `live`, or plain files.
pub(super) fn scan(directory: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    if let Some(lineage) = lineage(directory) {
        found.pairs.push(lineage);
        return Ok(found);
    }
    let mut stems = BTreeMap::new();
    for path in entries(directory)? {
        if path.is_dir() {
            found.pairs.extend(lineage(&path));
            if path.ends_with("live") {
                found
                    .pairs
                    .extend(entries(&path)?.iter().filter_map(|path| lineage(path)));
            }
        } else if let Some(rank) = chain_rank(&path) {
            stems
                .entry(path.with_extension("key"))
                .or_insert_with(Vec::new)
                .push((rank, path));
        }
    }
    for (key, mut certs) in stems {
        certs.sort();
        let Some((_, cert)) = certs.into_iter().next() else {
            continue;
        };
        if key.is_file() {
            let paths = PairPaths { cert, key };
            let name = paths.default_name();
            found.pairs.push((paths, name));
        } else if is_for_a_host(&cert) {
            found.without_key.push((cert, key));
        }
    }
    found
        .pairs
        .sort_by(|(one, _), (other, _)| one.cert.cmp(&other.cert));
    Ok(found)
}

/// The paths in a directory, without hidden ones: Kubernetes keeps its generations in `..data`.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// A directory of certbot's `live` tree.
fn lineage(directory: &Path) -> Option<(PairPaths, Arc<str>)> {
    let (cert, key) = (
        directory.join("fullchain.pem"),
        directory.join("privkey.pem"),
    );
    // Dangling links count: they are a pair that broke, and must be reported as one.
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    if !is_there(&cert) || !is_there(&key) {
        return None;
    }
    let name = directory
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into();
    Some((PairPaths { cert, key }, name))
}

/// Which of two chains with one stem is taken: tools that write both put the key into the `.pem`.
fn chain_rank(path: &Path) -> Option<u8> {
    match path.extension()?.to_str()? {
        "crt" => Some(0),
        "pem" => Some(1),
        _ => None,
    }
}

/// Whether a file without a key should have had one: authorities and parameters lie beside
/// certificates by right.
fn is_for_a_host(path: &Path) -> bool {
    let Ok(bytes) = read(path, |_| Ok(())) else {
        return true;
    };
    let Ok(first) = CertificateDer::from_pem_slice(&bytes) else {
        return false;
    };
    x509_parser::parse_x509_certificate(&first).is_ok_and(|(_, parsed)| !parsed.is_ca())
}
