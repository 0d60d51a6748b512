//! One check: connect, and for HTTP ask for a path and look at the status.
//!
//! The request is the smallest that is correct, over a connection of its own. What the endpoint
//! answers is read to the end of its status line and not believed beyond 8 KiB.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use adit_route::{Address, BindProxyProtocol, HealthCheck, Protocol, UpstreamSpec};
use http::{Method, Request, StatusCode, Version};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::proxy_protocol::{EncodedHeader, encode, encode_local};
use crate::upstream::endpoint::{Endpoint, EndpointAddress};

/// Gives the TLS settings for an endpoint: those that requests use, and the name to verify.
pub type ClientTls =
    dyn Fn(&UpstreamSpec, &Endpoint) -> io::Result<(Arc<ClientConfig>, ServerName<'static>)>;

/// A status line and interim responses are read up to here.
const MOST_ANSWER: usize = 8 * 1024;

/// Why a check failed.
#[derive(Debug)]
pub enum ProbeError {
    /// It took longer than the check's timeout.
    Timeout,
    /// Connecting, TLS or the exchange failed.
    Io(io::Error),
    /// HTTP/2 failed.
    Http2(h2::Error),
    /// The answer is not HTTP.
    NotHttp,
    /// The status is not among those that are wanted.
    Status(StatusCode),
    /// Path or host of the check cannot be sent.
    Request(http::Error),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Io(error) => error.fmt(f),
            Self::Http2(error) => error.fmt(f),
            Self::NotHttp => f.write_str("the answer is not HTTP"),
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Request(error) => write!(f, "the check cannot be sent: {error}"),
        }
    }
}

impl std::error::Error for ProbeError {}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<h2::Error> for ProbeError {
    fn from(error: h2::Error) -> Self {
        Self::Http2(error)
    }
}

/// A byte stream of any kind.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Checks once; the caller limits the time.
pub(super) async fn probe(
    spec: &UpstreamSpec,
    check: &HealthCheck,
    endpoint: &Endpoint,
    tls: &ClientTls,
) -> Result<(), ProbeError> {
    let stream = connect(spec, endpoint).await?;
    let Some(path) = check
        .path
        .as_deref()
        .filter(|_| endpoint.protocol() != Protocol::Tcp)
    else {
        return Ok(());
    };
    let host = check
        .host
        .clone()
        .unwrap_or_else(|| own_name(endpoint.declared()));
    let request = request(endpoint.protocol(), &host, path)?;
    let stream: Box<dyn Stream> = if endpoint.protocol().is_tls() {
        let (config, name) = tls(spec, endpoint)?;
        Box::new(TlsConnector::from(config).connect(name, stream).await?)
    } else {
        stream
    };
    let status = if endpoint.protocol().is_h2() {
        http2(stream, request).await?
    } else {
        http1(stream, &request, &host).await?
    };
    let (lowest, highest) = check.status;
    if (lowest..=highest).contains(&status) {
        Ok(())
    } else {
        Err(ProbeError::Status(status))
    }
}

/// What a client would write as `Host` to reach the target itself.
fn own_name(declared: &Address) -> String {
    match declared {
        Address::Socket(address) => address.to_string(),
        Address::Unix(_) => "localhost".into(),
        Address::Dns(dns) if dns.srv => {
            let labels = dns.name.trim_end_matches('.').split('.');
            labels
                .skip_while(|label| label.starts_with('_'))
                .collect::<Vec<_>>()
                .join(".")
        }
        Address::Dns(dns) => format!("{}:{}", dns.name.trim_end_matches('.'), dns.port),
    }
}

async fn connect(spec: &UpstreamSpec, endpoint: &Endpoint) -> io::Result<Box<dyn Stream>> {
    match endpoint.address() {
        EndpointAddress::Socket(address) => {
            let mut stream = TcpStream::connect(address).await?;
            if let Some(version) = spec.proxy_protocol {
                let header = proxy_header(version, stream.local_addr()?, stream.peer_addr()?);
                stream.write_all(&header).await?;
            }
            Ok(Box::new(stream))
        }
        EndpointAddress::Unix(path) => {
            let mut stream = UnixStream::connect(path).await?;
            match spec.proxy_protocol {
                None => {}
                Some(BindProxyProtocol::V1) => stream.write_all(b"PROXY UNKNOWN\r\n").await?,
                Some(BindProxyProtocol::V2) => stream.write_all(&encode_local()).await?,
            }
            Ok(Box::new(stream))
        }
    }
}

/// A header that speaks for nobody: LOCAL, or in the text form our own addresses (P-18).
fn proxy_header(version: BindProxyProtocol, local: SocketAddr, peer: SocketAddr) -> EncodedHeader {
    match version {
        BindProxyProtocol::V1 => encode(version, local, peer),
        BindProxyProtocol::V2 => encode_local(),
    }
}

/// The request as HTTP/2 sends it; HTTP/1 is written from its parts, which are valid then.
fn request(protocol: Protocol, host: &str, path: &str) -> Result<Request<()>, ProbeError> {
    let scheme = if protocol.is_tls() { "https" } else { "http" };
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(host)
        .path_and_query(path)
        .build();
    Request::builder()
        .method(Method::GET)
        .version(Version::HTTP_2)
        .uri(uri.map_err(ProbeError::Request)?)
        .header(http::header::USER_AGENT, USER_AGENT)
        .body(())
        .map_err(ProbeError::Request)
}

const USER_AGENT: &str = concat!("adit-health/", env!("CARGO_PKG_VERSION"));

async fn http1(
    mut stream: Box<dyn Stream>,
    request: &Request<()>,
    host: &str,
) -> Result<StatusCode, ProbeError> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::with_capacity(1_024);
    loop {
        if let Some(status) = final_status(&answer)? {
            return Ok(status);
        }
        if answer.len() >= MOST_ANSWER || stream.read_buf(&mut answer).await? == 0 {
            return Err(ProbeError::NotHttp);
        }
    }
}

/// The status of the final response, if it has arrived; interim responses are passed over.
fn final_status(answer: &[u8]) -> Result<Option<StatusCode>, ProbeError> {
    let mut rest = answer;
    loop {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return Ok(None);
        };
        let line = rest.get(..end).unwrap_or_default();
        let status = status_of(line).ok_or(ProbeError::NotHttp)?;
        if !status.is_informational() {
            return Ok(Some(status));
        }
        let Some(head) = memchr::memmem::find(rest, b"\r\n\r\n") else {
            return Ok(None);
        };
        rest = rest.get(head + 4..).unwrap_or_default();
    }
}

fn status_of(line: &[u8]) -> Option<StatusCode> {
    let rest = line
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (code, rest) = rest.split_at_checked(3)?;
    let ends = rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\r'));
    StatusCode::from_bytes(code).ok().filter(|_| ends)
}

async fn http2(stream: Box<dyn Stream>, request: Request<()>) -> Result<StatusCode, ProbeError> {
    let (client, connection) = h2::client::handshake(stream).await?;
    let exchange = async move {
        let (response, _) = client.ready().await?.send_request(request, true)?;
        Ok::<_, h2::Error>(response.await?.status())
    };
    tokio::select! {
        status = exchange => Ok(status?),
        ended = connection => {
            ended?;
            Err(ProbeError::NotHttp)
        }
    }
}
