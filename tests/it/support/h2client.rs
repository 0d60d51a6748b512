//! An HTTP/2 client whose every pseudo field the test writes.
//!
//! One connection, many streams: tests of authority, coalescing, drains and floods need to say
//! which connection a request travels on, and to see when it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::response::Parts;
use http::{HeaderMap, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

/// A runtime for local tasks.
pub(crate) fn runtime() -> tokio::runtime::LocalRuntime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap()
}

/// Runs a test's story with a deadline.
pub(crate) fn run<T>(story: impl Future<Output = T>) -> T {
    runtime().block_on(async {
        tokio::time::timeout(Duration::from_mins(1), story)
            .await
            .expect("the story ends before its deadline")
    })
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct H2Answer {
    pub(crate) head: Parts,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl H2Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection.
#[derive(Clone)]
pub(crate) struct H2 {
    requests: SendRequest<Bytes>,
    ended: watch::Receiver<Option<String>>,
}

impl H2 {
    /// HTTP/2 by prior knowledge.
    pub(crate) async fn plain(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.unwrap()).await
    }

    /// HTTP/2 over TLS; ALPN must choose it.
    pub(crate) async fn tls(to: SocketAddr, name: &str, config: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tcp = TcpStream::connect(to).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let stream = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Self {
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .handshake(stream)
            .await
            .unwrap();
        let (end, ended) = watch::channel(None);
        tokio::task::spawn_local(async move {
            let how = match connection.await {
                Ok(()) => "closed".to_owned(),
                Err(error) => error.to_string(),
            };
            let _ = end.send(Some(how));
        });
        Self { requests, ended }
    }

    /// How the connection ended, if it has.
    pub(crate) fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Waits for the end of the connection.
    pub(crate) async fn end(&mut self) -> String {
        let ended = self.ended.wait_for(Option::is_some).await.unwrap();
        ended.clone().unwrap()
    }

    /// A GET.
    pub(crate) async fn get(&mut self, url: &str) -> Result<H2Answer, h2::Error> {
        let request = Request::get(url).body(()).unwrap();
        self.send(request, Bytes::new()).await
    }

    /// Sends a request with its whole body.
    pub(crate) async fn send(
        &mut self,
        request: Request<()>,
        body: Bytes,
    ) -> Result<H2Answer, h2::Error> {
        let (answer, mut stream) = self.open(request, body.is_empty()).await?;
        if !body.is_empty() {
            write(&mut stream, body, true).await?;
        }
        collect(answer).await
    }

    /// Opens a stream.
    pub(crate) async fn open(
        &mut self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        requests.send_request(request, end)
    }

    /// Whether the server offers extended CONNECT (RFC 8441), once its settings have come.
    pub(crate) async fn extended_connect(&self) -> bool {
        for _ in 0..200 {
            if self.requests.is_extended_connect_protocol_enabled() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

/// Writes as the window allows.
pub(crate) async fn write(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    end: bool,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let granted = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let granted = granted.ok_or(h2::Error::from(h2::Reason::CANCEL))??;
        let piece = data.split_to(granted.min(data.len()));
        let last = end && data.is_empty();
        stream.send_data(piece, last)?;
    }
    Ok(())
}

/// The next bytes of a stream, given back to its window.
pub(crate) async fn read(body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let data = body.data().await?;
    if let Ok(data) = &data {
        let _ = body.flow_control().release_capacity(data.len());
    }
    Some(data)
}

/// A whole answer.
pub(crate) async fn collect(answer: ResponseFuture) -> Result<H2Answer, h2::Error> {
    let (head, mut stream) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = read(&mut stream).await {
        body.extend_from_slice(&data?);
    }
    let trailers = stream.trailers().await?;
    Ok(H2Answer {
        head,
        body,
        trailers,
    })
}
