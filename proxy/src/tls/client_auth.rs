//! Client certificates: asked for in the handshake, judged after it.
//!
//! A refused certificate must reach the client as an HTTP answer that a person can read, not as a
//! dead connection (MTL-08). So the handshake proves only that the client holds the key of what it
//! shows; whether that is worth anything is verified once per connection, against the authorities
//! of the host's policy, and recorded as a [`ClientIdentity`] (TL-16). Until that says `Verified`,
//! nothing may be concluded from the certificate.

use std::sync::Arc;

use adit_route::ClientAuth;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use x509_parser::x509::X509Version;

use super::error::TlsError;
use super::name::{hexadecimal, rfc4514};
use super::provider::provider;
use super::signature::{verify_tls12, verify_tls13};

/// Who the client of a connection is, as far as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientIdentity {
    /// It showed no certificate, or was not asked.
    None,
    /// The certificate leads to an authority of the policy.
    Verified(Arc<VerifiedClient>),
    /// It does not.
    Invalid(InvalidClient),
}

/// The certificate of a verified client, in the forms that are passed on.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedClient {
    /// Subject, RFC 4514.
    pub subject: String,
    /// Issuer, RFC 4514.
    pub issuer: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The certificate.
    pub certificate: CertificateDer<'static>,
}

/// Why a client certificate counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvalidClient {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// No authority of the policy stands behind it.
    UnknownIssuer,
    /// A signature of the chain is wrong.
    BadSignature,
    /// It is not made for clients.
    WrongPurpose,
    /// It is X.509 version 1: made without extensions, so nothing says what it is for.
    Version,
    /// It cannot be read.
    Malformed,
    /// Anything else, name constraints for example.
    Refused,
}

impl InvalidClient {
    /// A short text for fields, logs and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "certificate has expired",
            Self::NotYetValid => "certificate is not yet valid",
            Self::UnknownIssuer => "unknown issuer",
            Self::BadSignature => "bad signature",
            Self::WrongPurpose => "not a client certificate",
            Self::Version => "not an X.509 version 3 certificate",
            Self::Malformed => "malformed certificate",
            Self::Refused => "certificate refused",
        }
    }
}

impl From<Error> for InvalidClient {
    fn from(error: Error) -> Self {
        let Error::InvalidCertificate(reason) = error else {
            return Self::Refused;
        };
        match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::WrongPurpose
            }
            CertificateError::BadEncoding => Self::Malformed,
            _ => Self::Refused,
        }
    }
}

/// The authorities of one policy, in the shape that rustls asks questions of.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    authorities: Arc<dyn ClientCertVerifier>,
}

impl ClientVerifier {
    pub(super) fn new(auth: &ClientAuth) -> Result<Self, TlsError> {
        let roots = Arc::new(authorities(&auth.ca_pem)?);
        let authorities =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider()))
                .build()
                .map_err(|_| TlsError::NoAuthority)?;
        Ok(Self { authorities })
    }

    /// The verdict on what the client showed, leaf first.
    pub(super) fn identify(&self, presented: &[CertificateDer<'_>]) -> ClientIdentity {
        let Some((leaf, intermediates)) = presented.split_first() else {
            return ClientIdentity::None;
        };
        match self.verify(leaf, intermediates) {
            Ok(client) => ClientIdentity::Verified(Arc::new(client)),
            Err(reason) => ClientIdentity::Invalid(reason),
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<VerifiedClient, InvalidClient> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(leaf).map_err(|_| InvalidClient::Malformed)?;
        if parsed.version() != X509Version::V3 {
            return Err(InvalidClient::Version);
        }
        self.authorities
            .verify_client_cert(leaf, intermediates, UnixTime::now())?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, leaf).as_ref());
        Ok(VerifiedClient {
            subject: rfc4514(parsed.subject()),
            issuer: rfc4514(parsed.issuer()),
            serial: hexadecimal(parsed.raw_serial()),
            fingerprint,
            certificate: leaf.clone().into_owned(),
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.root_hint_subjects()
    }

    /// Lets everything pass: [`ClientVerifier::identify`] judges after the handshake.
    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Reads a bundle of authorities whole: one bad certificate refuses it, because a policy that was
/// half understood is not the policy that was written (TL-15).
pub(super) fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate = certificate.map_err(TlsError::AuthorityPem)?;
        roots
            .add(certificate)
            .map_err(|source| TlsError::Authority {
                position: index + 1,
                source,
            })?;
    }
    if roots.is_empty() {
        Err(TlsError::NoAuthority)
    } else {
        Ok(roots)
    }
}
