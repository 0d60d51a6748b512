//! Handshake signatures, also under certificates that path validation cannot read.
//!
//! How-tos make client certificates without extensions, which is X.509 version 1, and old devices
//! show such ones too. They can be trusted by no path, but a handshake need not die of them
//! (MTL-08, `insecure` backends): the key is in the same place, and that it is held is proven as
//! for any other.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error};
use x509_parser::asn1_rs::{Any, FromDer};

use super::provider::provider;

/// Whether the holder of the certificate's key signed a TLS 1.2 handshake.
pub(super) fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let known = &provider().signature_verification_algorithms;
    if ParsedCertificate::try_from(certificate).is_ok() {
        return verify_tls12_signature(message, certificate, signed, known);
    }
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| malformed())?;
    let info = parsed.public_key();
    let kind = algorithm(info.raw).ok_or_else(malformed)?;
    let of_scheme = known
        .mapping
        .iter()
        .filter(|(scheme, _)| *scheme == signed.scheme);
    let fitting = of_scheme
        .flat_map(|(_, algorithms)| algorithms.iter())
        .find(|algorithm| algorithm.public_key_alg_id().as_ref() == kind);
    fitting
        .ok_or(CertificateError::BadSignature)?
        .verify_signature(&info.subject_public_key.data, message, signed.signature())
        .map_err(|_| CertificateError::BadSignature)?;
    Ok(HandshakeSignatureValid::assertion())
}

/// Whether the holder of the certificate's key signed a TLS 1.3 handshake.
pub(super) fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let known = &provider().signature_verification_algorithms;
    if ParsedCertificate::try_from(certificate).is_ok() {
        return verify_tls13_signature(message, certificate, signed, known);
    }
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| malformed())?;
    let info = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
    verify_tls13_signature_with_raw_key(message, &info, signed, known)
}

/// What stands inside the AlgorithmIdentifier of a SubjectPublicKeyInfo (RFC 5280 §4.1).
fn algorithm(info: &[u8]) -> Option<&[u8]> {
    let (_, info) = Any::from_der(info).ok()?;
    let (_, identifier) = Any::from_der(info.data).ok()?;
    Some(identifier.data)
}

fn malformed() -> Error {
    CertificateError::BadEncoding.into()
}
