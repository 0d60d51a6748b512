//! Certificates, TLS defaults, client certificates, and the PEM files that keys refer to.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use adit_proxy::blueprint::TlsDefaults;
use adit_route::{ClientAuth, TlsVersion};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::model::{CertificateDirectory, CertificateFile, CertificateSources};
use super::super::problem::{Code, Problem};
use super::super::source::read_limited;
use super::super::spelling::nearest;
use super::super::tree::Node;
use super::Reader;

/// Where certificates are found. Their loader reports what is wrong with the files.
pub(super) fn certificates(reader: &mut Reader<'_>, root: &Node) -> CertificateSources {
    let Some(node) = root.field("certificates") else {
        return CertificateSources::default();
    };
    let mut sources = CertificateSources::default();
    let mut seen = HashMap::new();
    let files = node.field("files").map(Node::items).unwrap_or_default();
    let written = files
        .iter()
        .filter_map(|file| file.field("name")?.text())
        .collect();
    let mut free = FreeNames {
        written,
        wanted: HashMap::new(),
    };
    for file in files {
        reader.unique(&mut seen, file.field("name"), "certificate");
        let (Some(cert), Some(key)) = (file.field("cert"), file.field("key")) else {
            continue;
        };
        let (Some(cert), Some(key)) = (reader.path(cert), reader.path(key)) else {
            continue;
        };
        let name: Arc<str> = match file.field("name").and_then(Node::text) {
            Some(name) => name.into(),
            None => free.take(&cert),
        };
        for path in [&cert, &key] {
            reader.refer(path);
        }
        sources.files.push(CertificateFile {
            name,
            cert,
            key,
            place: reader.place(file.span),
        });
    }
    for directory in node.field("directories").into_iter().flat_map(Node::items) {
        if let Some(path) = reader.path(directory) {
            reader.refer(&path);
            sources.directories.push(CertificateDirectory {
                path,
                place: reader.place(directory.span),
            });
        }
    }
    sources
}

/// Names for the pairs that were given none.
struct FreeNames<'n> {
    written: HashSet<&'n str>,
    /// How often a name was wanted, and so the number to go on from.
    wanted: HashMap<String, usize>,
}

impl FreeNames<'_> {
    /// The name of the file; that of its directory where tools call every file the same.
    fn take(&mut self, cert: &Path) -> Arc<str> {
        let text = |part: &OsStr| part.to_string_lossy().into_owned();
        let stem = cert.file_stem().map(text).unwrap_or_default();
        let generic = matches!(stem.as_str(), "fullchain" | "cert" | "chain" | "tls");
        let directory = cert.parent().and_then(Path::file_name).map(text);
        let name = directory.filter(|_| generic).unwrap_or(stem);
        loop {
            let count = self.wanted.entry(name.clone()).or_default();
            *count += 1;
            let free = if *count == 1 {
                name.clone()
            } else {
                format!("{name}-{count}")
            };
            if !self.written.contains(free.as_str()) {
                return free.into();
            }
        }
    }
}

/// Settings of hosts that have none of their own.
pub(super) fn tls_defaults(
    reader: &mut Reader<'_>,
    root: &Node,
    certificates: &CertificateSources,
) -> TlsDefaults {
    let Some(node) = root.field("tls") else {
        return TlsDefaults::default();
    };
    let named = node
        .field("defaultCertificate")
        .and_then(|node| Some((node, node.text()?)));
    if let Some((node, name)) = named
        && certificates.directories.is_empty()
        && !certificates.files.iter().any(|file| &*file.name == name)
    {
        let known: Vec<_> = certificates.files.iter().map(|file| &*file.name).collect();
        let near = nearest(name, known.iter().copied());
        let problem = Problem::error(
            Code::UNKNOWN_REFERENCE,
            node.span,
            format!("there is no certificate `{name}`"),
        )
        .found(format!("`{name}`"))
        .allowed(if known.is_empty() {
            "none: no certificates are written".to_owned()
        } else {
            known.join(", ")
        })
        .nearest(near);
        reader.push(problem.help("write the certificate under `certificates`"));
    }
    TlsDefaults {
        default_certificate: named.map(|(_, name)| name.into()),
        min_version: min_version(node),
        client_auth: node
            .field("clientAuth")
            .and_then(|node| client_auth(reader, node)),
    }
}

/// `minVersion` of a mapping.
pub(super) fn min_version(node: &Node) -> Option<TlsVersion> {
    match node.field("minVersion")?.text()? {
        "1.2" => Some(TlsVersion::V1_2),
        "1.3" => Some(TlsVersion::V1_3),
        _ => None,
    }
}

/// A `clientAuth` mapping.
pub(super) fn client_auth(reader: &mut Reader<'_>, node: &Node) -> Option<ClientAuth> {
    let required = node.field("mode").and_then(Node::text) != Some("optional");
    Some(ClientAuth {
        ca_pem: authorities(reader, node.field("ca")?)?,
        required,
    })
}

/// A PEM file of certificate authorities.
pub(super) fn authorities(reader: &mut Reader<'_>, node: &Node) -> Option<Arc<[u8]>> {
    let pem = reader.content(node)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| store.add(certificate).map_err(|error| error.to_string()));
        if let Err(error) = added {
            let problem = Problem::error(
                Code::FILE_CONTENT,
                node.span,
                format!("a certificate of the file is broken: {error}"),
            );
            reader.push(problem.help("the file must hold PEM certificates of authorities"));
            return None;
        }
    }
    if store.is_empty() {
        let problem = Problem::error(
            Code::FILE_CONTENT,
            node.span,
            "the file holds no certificate",
        );
        reader.push(
            problem
                .allowed("one or more blocks `-----BEGIN CERTIFICATE-----`")
                .help("is this the right file?"),
        );
        return None;
    }
    Some(pem)
}

/// A PEM file with a certificate chain.
pub(super) fn chain(reader: &mut Reader<'_>, node: &Node) -> Option<Arc<[u8]>> {
    let pem = reader.content(node)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    if certificates.is_ok_and(|certificates| !certificates.is_empty()) {
        return Some(pem);
    }
    let problem = Problem::error(
        Code::FILE_CONTENT,
        node.span,
        "the file holds no certificate",
    );
    reader.push(
        problem
            .allowed("one or more blocks `-----BEGIN CERTIFICATE-----`")
            .help("is this the right file?"),
    );
    None
}

/// A PEM file with a private key.
pub(super) fn private_key(reader: &mut Reader<'_>, node: &Node) -> Option<Arc<[u8]>> {
    let pem = reader.content(node)?;
    if PrivateKeyDer::from_pem_slice(&pem).is_ok() {
        if readable_by_everybody(&reader.path(node)?) {
            let problem = Problem::error(
                Code::FILE_MODE,
                node.span,
                "everybody on this machine can read the private key",
            );
            reader.push(problem.help("take the right away: `chmod o-r FILE`; a group may keep it"));
        }
        return Some(pem);
    }
    let problem = Problem::error(
        Code::FILE_CONTENT,
        node.span,
        "the file holds no private key",
    );
    reader.push(
        problem
            .allowed("a block `-----BEGIN PRIVATE KEY-----`, unencrypted")
            .help("is this the right file?"),
    );
    None
}

pub(super) fn readable_by_everybody(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS_READ: u32 = 0o004;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ != 0)
}

impl Reader<'_> {
    pub(super) fn refer(&mut self, path: &Path) {
        if !self.referenced.iter().any(|known| known == path) {
            self.referenced.push(path.to_owned());
        }
    }

    /// What is in a file; each file is read once.
    pub(super) fn content(&mut self, node: &Node) -> Option<Arc<[u8]>> {
        const MAX: u64 = 1 << 20;
        let path = self.path(node)?;
        if let Some(Some(content)) = self.contents.get(&path) {
            return Some(Arc::clone(content));
        }
        self.refer(&path);
        let (content, wrong) = match read_limited(&path, MAX) {
            Ok(bytes) if bytes.len() as u64 > MAX => {
                (None, Some("the file is larger than 1 MiB".to_owned()))
            }
            Ok(bytes) => (Some(Arc::from(bytes)), None),
            Err(error) => (None, Some(format!("the file cannot be read: {error}"))),
        };
        if let Some(wrong) = wrong {
            let problem = Problem::error(Code::FILE_UNREADABLE, node.span, wrong)
                .found(path.display().to_string());
            self.push(problem.help("relative paths are relative to the file that names them"));
        }
        self.contents.insert(path, content.clone());
        content
    }
}
