//! Why TLS for a host or a backend cannot be set up.
//!
//! These are faults of what the operator wrote, found when a generation is built; nothing that a
//! client sends makes one. A host whose policy fails is closed with an alert and never served with
//! a weaker one (TL-15).

use std::fmt;

use rustls::pki_types::pem;

/// A TLS setting that cannot be used.
#[derive(Debug)]
pub enum TlsError {
    /// The bundle of authorities that verify clients or a backend is not PEM.
    AuthorityPem(pem::Error),
    /// The bundle of authorities holds no certificate.
    NoAuthority,
    /// A certificate of the bundle cannot be used as an authority; counted from 1.
    Authority {
        /// Its place in the bundle.
        position: usize,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The certificate that we show to a backend is not PEM, or absent.
    IdentityPem(pem::Error),
    /// The certificate that we show to a backend and its key do not go together.
    Identity(rustls::Error),
    /// A name that no certificate can be verified against.
    ServerName(String),
    /// A backend at a socket path, and no name to verify its certificate against.
    NoServerName,
    /// The TLS library refuses the settings.
    Settings(rustls::Error),
    /// The system gives no random bytes.
    NoRandomness,
    /// Ticket keys that were not written by us, or by a version that we do not know.
    TicketKeys,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthorityPem(error) => {
                write!(f, "the authority bundle is not PEM: {}", PemFault(error))
            }
            Self::NoAuthority => f.write_str(
                "the authority bundle holds no certificate; it must be PEM (BEGIN CERTIFICATE)",
            ),
            Self::Authority { position, .. } => {
                write!(
                    f,
                    "certificate {position} of the authority bundle cannot be used"
                )
            }
            Self::IdentityPem(error) => {
                write!(
                    f,
                    "the client certificate or its key is not PEM: {}",
                    PemFault(error)
                )
            }
            Self::Identity(_) => {
                f.write_str("the client certificate and its key do not go together")
            }
            Self::ServerName(name) => {
                write!(
                    f,
                    "`{name}` is no name that a certificate can be verified against"
                )
            }
            Self::NoServerName => {
                f.write_str("a backend at a socket path has no name of its own; set `serverName`")
            }
            Self::Settings(_) => f.write_str("the TLS settings are refused"),
            Self::NoRandomness => f.write_str("the system gives no random bytes"),
            Self::TicketKeys => f.write_str("the ticket keys are not in a form that we know"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Authority { source, .. } | Self::Identity(source) | Self::Settings(source) => {
                Some(source)
            }
            Self::AuthorityPem(_)
            | Self::NoAuthority
            | Self::IdentityPem(_)
            | Self::ServerName(_)
            | Self::NoServerName
            | Self::NoRandomness
            | Self::TicketKeys => None,
        }
    }
}

/// A PEM error without the text of the file: a line of a key file must never reach a log.
pub(super) struct PemFault<'a>(pub(super) &'a pem::Error);

impl fmt::Display for PemFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            pem::Error::MissingSectionEnd { .. } => "a section has no END line",
            pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
            pem::Error::Base64Decode(_) => "a section is not base64",
            pem::Error::NoItemsFound => "the section that is wanted is not there",
            _ => "it cannot be read",
        })
    }
}
