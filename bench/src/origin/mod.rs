//! A backend to put behind adit: HTTP/1.1, HTTP/2 in clear text, or both over its own TLS.
//!
//! | path | answer |
//! |---|---|
//! | `/size/N`, `/chunked/N` | N bytes, with a length or without |
//! | `/echo`, `/upload` | the request body as it arrives; the number of its bytes |
//! | `/delay/MS`, `/drip/N`, `/sse` | late; one byte per 50 ms; one event per 100 ms |
//! | `/trailers`, `/interim`, `/status/CODE` | a trailer section; 103 before 200; any status |
//! | `/early`, `/truncate/N` | before the request body was read; half of what was promised |
//! | `/ws` | WebSocket echo, by upgrade or by extended CONNECT |
//! | `/echo.Echo/…` | gRPC echo (HTTP/2): `Unary`, `ClientStream`, `ServerStream`, `Bidi` |
//! | anything else | name of the origin and the request head as it was received, as JSON |

mod answer;
mod exchange;
mod grpc;
mod h1;
mod h2;
mod raw;
#[cfg(test)]
mod tests;
mod tls;
mod websocket;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

pub use tls::TlsIdentity;

/// What an origin speaks.
#[derive(Clone, Debug)]
pub enum Kind {
    /// HTTP/1.1 in clear text.
    Http1,
    /// HTTP/2 in clear text, by prior knowledge.
    H2c,
    /// HTTP/1.1 or HTTP/2 over TLS, as the client's ALPN asks.
    Tls(TlsIdentity),
    /// Plain bytes behind an optional ClientHello, for what relays without reading: commands of a
    /// letter and a length of eight bytes. `E` echoes so many bytes, `D` sends them, `U` takes them.
    Raw,
}

/// A running origin; dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Origin {
    /// Binds `addr` and serves it on a new thread; `name` is what answers call the origin.
    pub fn start(kind: Kind, name: &str, addr: SocketAddr) -> io::Result<Self> {
        let speaker = Speaker::new(kind)?;
        let socket = std::net::TcpListener::bind(addr)?;
        socket.set_nonblocking(true)?;
        let addr = socket.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let name: Box<str> = name.into();
        let thread = thread::Builder::new()
            .name(format!("origin-{name}"))
            .spawn(move || run(socket, speaker, &name, stopped))?;
        Ok(Self {
            addr,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The address that it listens on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the origin has already been printed; there is nothing to add to it.
            let _ = thread.join();
        }
    }
}

/// How a connection is spoken to, made before the thread starts so that errors are early.
#[derive(Clone)]
enum Speaker {
    Http1,
    H2c,
    Tls(tokio_rustls::TlsAcceptor),
    Raw,
}

impl Speaker {
    fn new(kind: Kind) -> io::Result<Self> {
        Ok(match kind {
            Kind::Http1 => Self::Http1,
            Kind::H2c => Self::H2c,
            Kind::Tls(identity) => Self::Tls(identity.acceptor()?),
            Kind::Raw => Self::Raw,
        })
    }

    async fn serve(self, stream: TcpStream, name: Rc<str>, peer: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match self {
            Self::Http1 => h1::serve(stream, &name, peer).await,
            Self::H2c => h2::serve(stream, name, peer).await,
            Self::Raw => raw::serve(stream).await,
            Self::Tls(acceptor) => {
                let stream = acceptor.accept(stream).await?;
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                if h2 {
                    h2::serve(stream, name, peer).await
                } else {
                    h1::serve(stream, &name, peer).await
                }
            }
        }
    }
}

fn run(
    socket: std::net::TcpListener,
    speaker: Speaker,
    name: &str,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("origin {name}: no runtime: {error}");
            return;
        }
    };
    let served: io::Result<()> = runtime.block_on(async {
        let listener = TcpListener::from_std(socket)?;
        tokio::select! {
            _ = stopped => {}
            () = accept(listener, speaker, name.into()) => {}
        }
        Ok(())
    });
    if let Err(error) = served {
        eprintln!("origin {name}: {error}");
    }
}

/// Accepts for ever; a connection that ends badly is its client's affair.
async fn accept(listener: TcpListener, speaker: Speaker, name: Rc<str>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => spawn(speaker.clone().serve(stream, Rc::clone(&name), peer)),
            // Out of descriptors, or a peer that left: neither gets better by trying at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn spawn(connection: impl Future<Output = io::Result<()>> + 'static) {
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
}
