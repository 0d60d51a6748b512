//! One certificate: a chain and the key that goes with it, checked before anyone sees it.
//!
//! A [`Certificate`] exists only if a client could be served with it: it parses, key and leaf
//! belong together, it names a host, its time is not over, and nothing about it is known to be
//! refused by clients. Everything that TLS and the status page ask is read out once, here.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_route::{CanonicalHost, HostPattern};
use aws_lc_rs::digest::{Context, SHA256};
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroize;

use super::fault::CertificateFault;
use super::name::rfc4514;

/// A chain and its key, ready to be presented.
#[derive(Clone)]
pub struct Certificate {
    name: Arc<str>,
    key: Arc<CertifiedKey>,
    hosts: Arc<[HostPattern]>,
    subject: Arc<str>,
    issuer: Arc<str>,
    not_before: SystemTime,
    not_after: SystemTime,
    source: Arc<Path>,
    content: ContentDigest,
}

/// SHA-256 of what a certificate was read from; equal content is not read twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ContentDigest([u8; 32]);

impl ContentDigest {
    pub(super) fn of(chain_pem: &[u8], key_pem: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&chain_pem.len().to_be_bytes());
        context.update(chain_pem);
        context.update(key_pem);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

impl Certificate {
    /// Reads and checks a chain (leaf first) and its key, both PEM.
    pub fn from_pem(
        name: Arc<str>,
        chain_pem: &[u8],
        key_pem: &[u8],
        source: PathBuf,
        now: SystemTime,
    ) -> Result<Self, CertificateFault> {
        let chain = CertificateDer::pem_slice_iter(chain_pem)
            .map(|der| der.map(CertificateDer::into_owned))
            .collect::<Result<Vec<_>, _>>()
            .map_err(CertificateFault::ChainPem)?;
        let parsed = parse_chain(&chain)?;
        let leaf = parsed.first().ok_or(CertificateFault::NoCertificate)?;

        check_chain(&parsed)?;
        check_strength(leaf)?;
        check_staple(leaf)?;
        let hosts = names(leaf)?;
        let not_after = time(leaf.validity().not_after.timestamp());
        if not_after < now {
            return Err(CertificateFault::Expired { since: not_after });
        }
        let not_before = time(leaf.validity().not_before.timestamp());
        let (subject, issuer) = (rfc4514(leaf.subject()), rfc4514(leaf.issuer()));
        drop(parsed);

        let key = CertifiedKey::new(chain, signing_key(key_pem)?);
        key.keys_match()
            .map_err(|_| CertificateFault::KeyMismatch)?;
        Ok(Self {
            name,
            key: Arc::new(key),
            hosts: hosts.into(),
            subject: subject.into(),
            issuer: issuer.into(),
            not_before,
            not_after,
            source: source.into(),
            content: ContentDigest::of(chain_pem, key_pem),
        })
    }

    /// The name by which the configuration speaks of it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The hosts that it covers: names, one-label wildcards, addresses.
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }

    /// Whether a client that asked for this host accepts it.
    pub fn covers(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Subject of the leaf, RFC 4514; often empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Issuer of the leaf, RFC 4514.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Start of its time.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// End of its time.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether clients with this clock accept it.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// The file that the chain came from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// What kind of key signs for it.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.key.key.algorithm()
    }

    /// Chain and key, as rustls takes them.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    pub(super) fn content(&self) -> ContentDigest {
        self.content
    }

    pub(super) fn renamed(&self, name: Arc<str>) -> Self {
        Self {
            name,
            ..self.clone()
        }
    }

    /// Which of two certificates for one host is better; greater is better. An RSA signature costs
    /// sixteen times a P-256 one, and browsers do not take Ed25519.
    pub(super) fn preference(&self) -> (u8, SystemTime) {
        let kind = match self.algorithm() {
            SignatureAlgorithm::ECDSA => 2,
            SignatureAlgorithm::RSA => 1,
            _ => 0,
        };
        (kind, self.not_after)
    }
}

/// Without the key, and without the chain, which nobody reads in a log.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .field("hosts", &self.hosts)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

fn parse_chain<'a>(
    chain: &'a [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'a>>, CertificateFault> {
    let parse = |(index, der): (usize, &'a CertificateDer<'static>)| {
        match x509_parser::parse_x509_certificate(der) {
            Ok(([], certificate)) => Ok(certificate),
            Ok(_) | Err(_) => Err(CertificateFault::Malformed {
                position: index + 1,
            }),
        }
    };
    chain.iter().enumerate().map(parse).collect()
}

/// Each certificate after the leaf issued one before it. Cross-signed ones may follow in any order
/// (RFC 8446 §4.4.2), strangers may not: clients that do not sort would fail, others hide it.
fn check_chain(chain: &[X509Certificate<'_>]) -> Result<(), CertificateFault> {
    for (index, issuer) in chain.iter().enumerate().skip(1) {
        let name = issuer.subject().as_raw();
        if !chain
            .iter()
            .take(index)
            .any(|earlier| earlier.issuer().as_raw() == name)
        {
            return Err(CertificateFault::ChainOrder {
                position: index + 1,
            });
        }
    }
    Ok(())
}

fn check_strength(leaf: &X509Certificate<'_>) -> Result<(), CertificateFault> {
    const SHORTEST_RSA: usize = 2048;
    // PKCS#1 with MD2, MD5 and SHA-1; ECDSA and DSA with SHA-1. No client takes them any more.
    const BROKEN: [&str; 5] = [
        "1.2.840.113549.1.1.2",
        "1.2.840.113549.1.1.4",
        "1.2.840.113549.1.1.5",
        "1.2.840.10045.4.1",
        "1.2.840.10040.4.3",
    ];
    if let Ok(PublicKey::RSA(key)) = leaf.public_key().parsed()
        && key.key_size() < SHORTEST_RSA
    {
        return Err(CertificateFault::WeakKey {
            bits: key.key_size(),
        });
    }
    let signature = leaf.signature_algorithm.algorithm.to_id_string();
    if BROKEN.contains(&signature.as_str()) {
        return Err(CertificateFault::WeakSignature);
    }
    Ok(())
}

/// RFC 7633: such a certificate is invalid without an OCSP response, and we have none (TL-30).
fn check_staple(leaf: &X509Certificate<'_>) -> Result<(), CertificateFault> {
    const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
    let marked = leaf
        .extensions()
        .iter()
        .any(|extension| extension.oid.to_id_string() == TLS_FEATURE);
    if marked {
        Err(CertificateFault::MustStaple)
    } else {
        Ok(())
    }
}

/// The hosts of the subject alternative names; the common name has not counted since RFC 6125. What
/// is no host name by our one function cannot be asked for and is left out.
fn names(leaf: &X509Certificate<'_>) -> Result<Vec<HostPattern>, CertificateFault> {
    let mut hosts = Vec::new();
    for extension in leaf.extensions() {
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
            continue;
        };
        for name in &names.general_names {
            let host = match name {
                GeneralName::DNSName(text) => HostPattern::parse(text).ok(),
                GeneralName::IPAddress(octets) => address(octets).map(HostPattern::Exact),
                _ => None,
            };
            // `*` and `**.` are words of our files, not of certificates.
            if let Some(host @ (HostPattern::Exact(_) | HostPattern::OneLabel(_))) = host
                && !hosts.contains(&host)
            {
                hosts.push(host);
            }
        }
    }
    if hosts.is_empty() {
        Err(CertificateFault::NoNames)
    } else {
        Ok(hosts)
    }
}

fn address(octets: &[u8]) -> Option<CanonicalHost> {
    let address = if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        IpAddr::from(v4).to_string()
    } else {
        format!("[{}]", IpAddr::from(<[u8; 16]>::try_from(octets).ok()?))
    };
    CanonicalHost::parse(address.as_bytes()).ok()
}

fn signing_key(pem: &[u8]) -> Result<Arc<dyn rustls::sign::SigningKey>, CertificateFault> {
    let mut der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if memchr::memmem::find(pem, b"ENCRYPTED").is_some() => {
            CertificateFault::KeyEncrypted
        }
        error => CertificateFault::KeyPem(error),
    })?;
    let key = any_supported_type(&der).map_err(CertificateFault::KeyUnusable);
    der.zeroize();
    key
}

fn time(seconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
