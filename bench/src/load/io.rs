//! Connections of the generator: plain or TLS, and how they are made.
//!
//! TLS offers one cipher suite and one group, so that every server does the same work whatever it
//! prefers.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, HandshakeKind, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::plan::{Plan, Protocol, Tls};

/// How long a connection may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, whatever is under it.
pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Makes connections of one plan.
#[derive(Clone)]
pub(crate) struct Dial {
    to: SocketAddr,
    security: Security,
}

#[derive(Clone)]
enum Security {
    None,
    /// This ClientHello first, then clear text.
    Hello(Arc<[u8]>),
    Tls(TlsConnector, ServerName<'static>),
}

impl Dial {
    pub(crate) fn new(plan: &Plan) -> io::Result<Self> {
        let Some(tls) = &plan.tls else {
            return Ok(Self {
                to: plan.connect,
                security: Security::None,
            });
        };
        let name = plan.authority.rsplit_once(':');
        let name = name.map_or(plan.authority.as_str(), |(host, _)| host);
        let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
            .map_err(io::Error::other)?;
        let config = Arc::new(config(tls, plan.protocol)?);
        let security = if tls.hello_only {
            let mut client = ClientConnection::new(config, name).map_err(io::Error::other)?;
            let mut hello = Vec::new();
            client.write_tls(&mut hello)?;
            Security::Hello(hello.into())
        } else {
            Security::Tls(config.into(), name)
        };
        Ok(Self {
            to: plan.connect,
            security,
        })
    }

    /// A new connection; whether its TLS session was taken up again.
    pub(crate) async fn connect(&self) -> io::Result<(Io, bool)> {
        match tokio::time::timeout(PATIENCE, self.dial()).await {
            Ok(made) => made,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn dial(&self) -> io::Result<(Io, bool)> {
        let socket = if self.to.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        let mut stream = socket.connect(self.to).await?;
        stream.set_nodelay(true)?;
        match &self.security {
            Security::None => Ok((Io::Plain(stream), false)),
            Security::Hello(hello) => {
                stream.write_all(hello).await?;
                Ok((Io::Plain(stream), false))
            }
            Security::Tls(connector, name) => {
                let stream = connector.connect(name.clone(), stream).await?;
                let kind = stream.get_ref().1.handshake_kind();
                let resumed = kind == Some(HandshakeKind::Resumed);
                Ok((Io::Tls(Box::new(stream)), resumed))
            }
        }
    }
}

fn config(tls: &Tls, protocol: Protocol) -> io::Result<ClientConfig> {
    let mut groups = vec![kx_group::X25519];
    if tls.post_quantum {
        groups.insert(0, kx_group::X25519MLKEM768);
    }
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: groups,
        ..default_provider()
    });
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = match &tls.ca {
        Some(file) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
                roots
                    .add(certificate.map_err(io::Error::other)?)
                    .map_err(io::Error::other)?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth(),
    };
    if !tls.resume {
        config.resumption = Resumption::disabled();
    }
    config.alpn_protocols = match protocol {
        Protocol::Http1 | Protocol::WebSocket => vec![b"http/1.1".to_vec()],
        Protocol::Http2 | Protocol::Grpc => vec![b"h2".to_vec()],
        Protocol::RawEcho | Protocol::RawDownload | Protocol::RawUpload => Vec::new(),
    };
    Ok(config)
}

/// Believes anybody: who the server is was decided by whoever wrote its address, and checking
/// signatures would load the generator.
struct Anybody(Arc<CryptoProvider>);

impl fmt::Debug for Anybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anybody")
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
