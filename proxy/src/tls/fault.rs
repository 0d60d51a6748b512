//! What can be wrong with a certificate, said so that its owner knows what to do.
//!
//! A fault closes at most the host whose certificate it is, and only if no good one was ever loaded
//! (TL-14). The text never holds anything that was read from a key file.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem;

use super::error::PemFault;

/// A fault of one source, and what is served meanwhile.
#[derive(Debug)]
pub struct CertificateProblem {
    /// The file or directory.
    pub source: PathBuf,
    /// The name of the certificate, if it is known.
    pub name: Option<Arc<str>>,
    /// What is wrong.
    pub fault: CertificateFault,
    /// What follows from it.
    pub outcome: Outcome,
}

/// What a fault leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is served from this source.
    Refused,
    /// The last good content is served on.
    KeptPrevious,
    /// It is served all the same.
    Served,
}

/// What is wrong with a certificate or with the place that it comes from.
#[derive(Debug)]
pub enum CertificateFault {
    /// The file or directory cannot be read.
    Unreadable(io::Error),
    /// It is no regular file.
    NotAFile,
    /// It is longer than any chain or key.
    TooLong,
    /// Everybody on the machine may read or write the key.
    KeyExposed {
        /// Permission bits.
        mode: u32,
    },
    /// A certificate in a directory, and no key beside it.
    NoKeyFile {
        /// Where the key was looked for.
        expected: PathBuf,
    },
    /// The chain is not PEM.
    ChainPem(pem::Error),
    /// The file holds no certificate.
    NoCertificate,
    /// A certificate is not X.509; counted from 1.
    Malformed {
        /// Its place in the file.
        position: usize,
    },
    /// A certificate did not issue any that stands before it; counted from 1.
    ChainOrder {
        /// Its place in the file.
        position: usize,
    },
    /// The key is not PEM, or absent.
    KeyPem(pem::Error),
    /// The key is protected by a passphrase.
    KeyEncrypted,
    /// The key is of no kind that we use.
    KeyUnusable(rustls::Error),
    /// Key and certificate do not belong together.
    KeyMismatch,
    /// An RSA key of fewer than 2048 bits.
    WeakKey {
        /// Its length.
        bits: usize,
    },
    /// The certificate is signed with MD5 or SHA-1.
    WeakSignature,
    /// No subject alternative name is a host.
    NoNames,
    /// Its time is over.
    Expired {
        /// Since when.
        since: SystemTime,
    },
    /// Its time has not begun.
    NotYetValid {
        /// When it will.
        until: SystemTime,
    },
    /// It is valid only with an OCSP response.
    MustStaple,
    /// Another certificate has this name.
    NameTaken,
}

impl CertificateFault {
    /// What its owner can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "check that it exists and that adit's user may read it",
            Self::NotAFile => "name the file itself",
            Self::TooLong => "name a PEM file with one chain, or one key",
            Self::KeyExposed { .. } => {
                "chmod o-rwx; in Kubernetes set `defaultMode: 0440` on the volume"
            }
            Self::NoKeyFile { .. } => "put the key there, or move the certificate elsewhere",
            Self::ChainPem(_) | Self::NoCertificate | Self::Malformed { .. } => {
                "write the chain as PEM, the host's certificate first"
            }
            Self::ChainOrder { .. } => {
                "write the host's certificate first, then each certificate's issuer, nothing else"
            }
            Self::KeyPem(_) => "write the key as PEM (PKCS#8, PKCS#1 or SEC1)",
            Self::KeyEncrypted => "remove the passphrase with `openssl pkey`",
            Self::KeyUnusable(_) | Self::WeakKey { .. } => "use a P-256 key",
            Self::KeyMismatch => {
                "a renewal may be half written; else name the key of this certificate"
            }
            Self::WeakSignature | Self::Expired { .. } => "renew it",
            Self::NoNames => "have it issued with the host as subject alternative name",
            Self::NotYetValid { .. } => "check the clock of this machine",
            Self::MustStaple => "have it issued without the must-staple extension",
            Self::NameTaken => "give each certificate a `name` of its own",
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(_) => f.write_str("cannot be read"),
            Self::NotAFile => f.write_str("is not a regular file"),
            Self::TooLong => f.write_str("is longer than 1 MiB"),
            Self::KeyExposed { mode } => {
                write!(
                    f,
                    "the key is open to every user of the machine (mode {mode:04o})"
                )
            }
            Self::NoKeyFile { expected } => {
                write!(
                    f,
                    "a certificate without a key: there is no {}",
                    expected.display()
                )
            }
            Self::ChainPem(error) => write!(f, "the chain is not PEM: {}", PemFault(error)),
            Self::NoCertificate => f.write_str("the file holds no certificate"),
            Self::Malformed { position } => write!(f, "certificate {position} is not X.509"),
            Self::ChainOrder { position } => {
                write!(
                    f,
                    "certificate {position} of the chain issued none before it"
                )
            }
            Self::KeyPem(error) => write!(f, "no key can be read: {}", PemFault(error)),
            Self::KeyEncrypted => f.write_str("the key is protected by a passphrase"),
            Self::KeyUnusable(_) => f.write_str("the key is of a kind that is not supported"),
            Self::KeyMismatch => f.write_str("the key does not belong to the certificate"),
            Self::WeakKey { bits } => write!(f, "an RSA key of {bits} bits is too short"),
            Self::WeakSignature => f.write_str("it is signed with MD5 or SHA-1"),
            Self::NoNames => f.write_str("it names no host (subject alternative name)"),
            Self::Expired { since } => write!(f, "it expired on {}", date(*since)),
            Self::NotYetValid { until } => write!(f, "it is not valid before {}", date(*until)),
            Self::MustStaple => f.write_str("it demands a stapled OCSP response"),
            Self::NameTaken => f.write_str("another certificate has the same name"),
        }
    }
}

impl std::error::Error for CertificateFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::KeyUnusable(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source.display(), self.fault)?;
        if let CertificateFault::Unreadable(error) = &self.fault {
            write!(f, " ({error})")?;
        }
        f.write_str(match self.outcome {
            Outcome::Refused => "; it is not served",
            Outcome::KeptPrevious => "; the last good one is served",
            Outcome::Served => "; it is served all the same",
        })?;
        write!(f, "; {}", self.fault.remedy())
    }
}

fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}
