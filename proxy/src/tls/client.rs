//! TLS towards backends: verification is on unless the operator took it away by name (TL-27).
//!
//! A [`BackendConnector`] is made once per upstream and protocol when a generation is built. The
//! name that is sent and verified is what the route says, never what a client sent. Sessions are
//! resumed within one connector only, so nothing that was accepted unverified is trusted elsewhere.

use std::sync::{Arc, OnceLock};

use adit_route::{Address, BackendTls, CanonicalHost};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::client_auth::authorities;
use super::error::TlsError;
use super::provider::provider;
use super::signature::{verify_tls12, verify_tls13};

/// How TLS is spoken to the backends of one upstream.
#[derive(Clone, Debug)]
pub struct BackendConnector {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl BackendConnector {
    /// Compiles the settings. `alpn` is what is offered, `h2` or `http/1.1`, or nothing.
    pub fn new(tls: &BackendTls, alpn: &[&[u8]]) -> Result<Self, TlsError> {
        /// Names per connector whose sessions are kept.
        const SESSIONS: usize = 64;
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Settings)?
            .dangerous()
            .with_custom_certificate_verifier(verifier(tls)?);
        let mut config = match &tls.identity_pem {
            Some((chain, key)) => {
                let identity = SingleCertAndKey::from(identity(chain, key)?);
                builder.with_client_cert_resolver(Arc::new(identity))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let server_name = tls.server_name.as_deref().map(server_name).transpose()?;
        Ok(Self {
            config: Arc::new(config),
            server_name,
        })
    }

    /// For `TlsConnector::from`.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The name that a backend must prove to be.
    pub fn server_name(&self, address: &Address) -> Result<ServerName<'static>, TlsError> {
        if let Some(name) = &self.server_name {
            return Ok(name.clone());
        }
        match address {
            Address::Socket(socket) => Ok(ServerName::IpAddress(socket.ip().into())),
            // RFC 6125 §6.2.1: the domain that was configured, not what DNS made of it.
            Address::Dns(target) if target.srv => {
                let labels = target
                    .name
                    .split('.')
                    .skip_while(|label| label.starts_with('_'));
                server_name(&labels.collect::<Vec<_>>().join("."))
            }
            Address::Dns(target) => server_name(&target.name),
            Address::Unix(_) => Err(TlsError::NoServerName),
        }
    }
}

/// Reads a name or an address, with or without brackets.
fn server_name(text: &str) -> Result<ServerName<'static>, TlsError> {
    let unknown = || TlsError::ServerName(text.to_owned());
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    let host = CanonicalHost::parse(text.as_bytes()).map_err(|_| unknown())?;
    let name = host.as_str().trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(name.to_owned()).map_err(|_| unknown())
}

fn identity(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::IdentityPem)?;
    if chain.is_empty() {
        return Err(TlsError::IdentityPem(
            rustls::pki_types::pem::Error::NoItemsFound,
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::IdentityPem)?;
    CertifiedKey::from_der(chain, key, provider()).map_err(TlsError::Identity)
}

fn verifier(tls: &BackendTls) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if tls.insecure {
        return Ok(Arc::new(AnyCertificate));
    }
    let Some(bundle) = &tls.ca_pem else {
        return web_verifier(system_roots());
    };
    let listed = CertificateDer::pem_slice_iter(bundle)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::AuthorityPem)?;
    let authorities = web_verifier(&Arc::new(authorities(bundle)?))?;
    Ok(Arc::new(ListedCertificates {
        authorities,
        listed,
    }))
}

fn web_verifier(roots: &Arc<RootCertStore>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let built =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider()))
            .build();
    Ok(built.map_err(|_| TlsError::NoAuthority)?)
}

/// The authorities of this machine; those of the build where it has none, as in an image that holds
/// one file. Read once: it takes milliseconds, and changes with the system's packages.
fn system_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(error = %error, "system certificate store is not fully readable");
        }
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    })
}

/// A bundle of the operator's: authorities, or the backend's very certificate.
///
/// Devices sign their own certificate and mark it as an authority, which path validation refuses
/// as a server's. When the operator lists exactly that certificate, it is the certificate that is
/// trusted; name and time are checked as ever.
#[derive(Debug)]
struct ListedCertificates {
    authorities: Arc<dyn ServerCertVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl ListedCertificates {
    fn verify_listed(
        leaf: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        if now < validity.not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > validity.not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        Ok(())
    }
}

impl ServerCertVerifier for ListedCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.listed.iter().any(|listed| listed == end_entity) {
            Self::verify_listed(end_entity, server_name, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// `insecure`: whoever answers is believed. The handshake must still be sound, so that a fault of
/// the connection does not pass for a backend.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
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
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
