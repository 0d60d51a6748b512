//! Small relays that put TLS around programs and libraries that speak clear text.
//!
//! A bridge listens on loopback and lives on its own thread until its test process ends. It adds
//! no bytes of its own: what a test sees is what adit answered.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use adit_bench::TlsIdentity;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Clear text in, TLS with this name out.
pub(crate) fn into_tls(to: SocketAddr, name: &str, config: Arc<ClientConfig>) -> SocketAddr {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(config);
    bridge(move |mut client| {
        let (connector, name) = (connector.clone(), name.clone());
        async move {
            let Ok(server) = TcpStream::connect(to).await else {
                return;
            };
            if let Ok(mut server) = connector.connect(name, server).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        }
    })
}

/// TLS in, clear text out: a backend's own certificate in front of a server without TLS.
pub(crate) fn out_of_tls(to: SocketAddr, identity: &TlsIdentity, alpn: &[&str]) -> SocketAddr {
    let chain = CertificateDer::pem_slice_iter(identity.certificates.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    bridge(move |client| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut client) = acceptor.accept(client).await else {
                return;
            };
            if let Ok(mut server) = TcpStream::connect(to).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        }
    })
}

/// Runs `relay` for each connection to the address that it returns.
pub(crate) fn bridge<F>(relay: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + 'static,
{
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        super::h2client::runtime().block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    tokio::task::spawn_local(relay(stream));
                }
            }
        });
    });
    addr
}
