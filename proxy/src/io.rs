//! The byte streams of the data path: one enum instead of boxed traits.
//!
//! A client connection is TCP, or TLS over TCP whose first bytes have already been read once; a
//! backend connection is TCP, a UNIX socket, or TLS over TCP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::relay::RawSocket;

/// A stream to a client or to a backend.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Clear text over TCP.
    Tcp(TcpStream),
    /// Clear text over TCP, the first bytes of which were read already.
    Rewound(Rewound),
    /// Clear text over a UNIX socket.
    Unix(UnixStream),
    /// TLS that we terminate.
    TlsServer(Box<tokio_rustls::server::TlsStream<Rewound>>),
    /// TLS that we started.
    TlsClient(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// A TCP stream whose first bytes were read already and come again.
#[derive(Debug)]
pub(crate) struct Rewound {
    head: Bytes,
    tcp: TcpStream,
}

impl Rewound {
    /// `head` is what was read from `tcp`.
    pub(crate) fn new(head: Bytes, tcp: TcpStream) -> Self {
        Self { head, tcp }
    }

    /// The socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl Stream {
    /// The TCP socket underneath, if there is one.
    pub(crate) fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Rewound(rewound) => Some(rewound.tcp()),
            Self::Unix(_) => None,
            Self::TlsServer(tls) => Some(tls.get_ref().0.tcp()),
            Self::TlsClient(tls) => Some(tls.get_ref().0),
        }
    }

    /// Whether there is TLS, whose end must be said.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::TlsServer(_) | Self::TlsClient(_))
    }

    /// Makes the close that follows a reset: the peer learns that this was no clean end.
    pub(crate) fn reset_on_close(&self) {
        if let Some(socket) = self.socket() {
            // A socket that is gone already needs no reset.
            let _ = socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

impl RawSocket for Stream {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self {
            Stream::Tcp($stream) => $call,
            Stream::Rewound($stream) => $call,
            Stream::Unix($stream) => $call,
            Stream::TlsServer($stream) => $call,
            Stream::TlsClient($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.head.is_empty() {
            return Pin::new(&mut this.tcp).poll_read(cx, buf);
        }
        let take = this.head.len().min(buf.remaining());
        buf.put_slice(this.head.get(..take).unwrap_or_default());
        this.head.advance(take);
        if this.head.is_empty() {
            this.head = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
