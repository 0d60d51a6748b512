//! Making one connection to an endpoint: TCP or UNIX, a PROXY header, TLS.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::error::Error;
use crate::io::Stream;
use crate::limits::Limits;
use crate::listen;
use crate::proxy_protocol;
use crate::snapshot::CompiledUpstream;
use crate::tls::BackendConnector;
use crate::upstream::{Endpoint, EndpointAddress};
use crate::worker::Worker;

/// What a connection is made with.
pub(crate) struct Dial<'a> {
    pub worker: &'a Worker,
    pub compiled: &'a CompiledUpstream,
    pub endpoint: &'a Arc<Endpoint>,
    pub limits: &'a Limits,
    /// TCP connect (L-68).
    pub timeout: Duration,
    /// Client and our own address, for a PROXY header.
    pub conveyed: Option<(SocketAddr, SocketAddr)>,
}

/// Connects.
pub(crate) async fn dial(dial: &Dial<'_>) -> Result<Stream, Error> {
    let mut stream = match dial.endpoint.address() {
        EndpointAddress::Unix(path) => {
            let connecting = tokio::time::timeout(dial.timeout, UnixStream::connect(path));
            let stream = connecting.await.map_err(|_| Error::ConnectTimeout)?;
            let stream = stream.map_err(Error::Connect)?;
            keep(dial, &stream)?;
            Stream::Unix(stream)
        }
        EndpointAddress::Socket(address) => Stream::Tcp(tcp(dial, *address).await?),
    };
    if let (Some(version), Some((client, local))) =
        (dial.compiled.upstream.spec().proxy_protocol, dial.conveyed)
    {
        let header = proxy_protocol::encode(version, client, local);
        let writing = tokio::time::timeout(dial.timeout, stream.write_all(&header));
        writing
            .await
            .map_err(|_| Error::ConnectTimeout)?
            .map_err(Error::Connect)?;
    }
    match dial.compiled.connector(dial.endpoint.protocol()) {
        None => Ok(stream),
        Some(connector) => tls(dial, connector, stream).await,
    }
}

async fn tcp(dial: &Dial<'_>, address: SocketAddr) -> Result<TcpStream, Error> {
    if dial.worker.shared.is_own(address) {
        return Err(Error::Loop);
    }
    let connecting = tokio::time::timeout(dial.timeout, TcpStream::connect(address));
    let stream = connecting
        .await
        .map_err(|_| Error::ConnectTimeout)?
        .map_err(Error::Connect)?;
    keep(dial, &stream)?;
    listen::tune(&socket2::SockRef::from(&stream), dial.limits.tcp_keep_alive);
    Ok(stream)
}

/// Gives a connection up that would take a reserved descriptor, and idle ones with it (L-93).
fn keep(dial: &Dial<'_>, stream: &impl AsRawFd) -> Result<(), Error> {
    if dial.worker.shared.may_hold(stream) {
        return Ok(());
    }
    dial.worker.pool.clear();
    Err(Error::Overloaded("L-93"))
}

async fn tls(
    dial: &Dial<'_>,
    connector: &BackendConnector,
    stream: Stream,
) -> Result<Stream, Error> {
    let name = server_name(connector, dial.endpoint)?;
    let Stream::Tcp(tcp) = stream else {
        return Err(Error::Unsupported);
    };
    let handshake = TlsConnector::from(Arc::clone(connector.config())).connect(name, tcp);
    let limit = dial.limits.backend_handshake_timeout;
    let tls = tokio::time::timeout(limit, handshake)
        .await
        .map_err(|_| Error::BackendTls(std::io::ErrorKind::TimedOut.into()))?
        .map_err(Error::BackendTls)?;
    Ok(Stream::TlsClient(Box::new(tls)))
}

/// The name that the endpoint must prove: the route's, else that of its target, else its address.
pub(crate) fn server_name(
    connector: &BackendConnector,
    endpoint: &Endpoint,
) -> Result<ServerName<'static>, Error> {
    connector
        .server_name(endpoint.declared())
        .map_err(|error| Error::BackendTls(std::io::Error::other(error)))
}
