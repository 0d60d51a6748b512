//! A client that sends exactly the bytes it is told to, in clear text or through TLS.
//!
//! Reads end at a deadline, never by patience alone: a test that waits for an answer that does
//! not come fails with what it has.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::PATIENCE;

/// A connection under the test's own hands.
pub(crate) struct Raw {
    stream: Stream,
    read: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Raw {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::over(tcp(to))
    }

    /// Takes over a connection.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(stream),
            read: Vec::new(),
        }
    }

    /// Connects and finishes a TLS handshake.
    pub(crate) fn tls(to: SocketAddr, name: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        Self::tls_over(tcp(to), name, config)
    }

    /// Finishes a TLS handshake on a connection.
    pub(crate) fn tls_over(
        mut tcp: TcpStream,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = ClientConnection::new(config, name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Self {
            stream: Stream::Tls(Box::new(StreamOwned::new(tls, tcp))),
            read: Vec::new(),
        })
    }

    /// The certificate chain that the server presented.
    pub(crate) fn session(&self) -> &ClientConnection {
        match &self.stream {
            Stream::Tls(tls) => &tls.conn,
            Stream::Plain(_) => panic!("no TLS on this connection"),
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    /// Address of our side.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.tcp().local_addr().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes.as_ref()).unwrap();
        self
    }

    /// Sends where the peer may have closed already.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes),
            Stream::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        }
    }

    /// Ends our direction.
    pub(crate) fn finish(&mut self) -> &mut Self {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            let _ = tls.conn.write_tls(&mut tls.sock);
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
        self
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut block = [0; 16 * 1024];
        let len = match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(&mut block)?,
            Stream::Tls(tls) => tls.read(&mut block)?,
        };
        self.read.extend_from_slice(&block[..len]);
        Ok(len)
    }

    /// Reads until `mark` and takes what came up to its end.
    #[track_caller]
    pub(crate) fn until(&mut self, mark: &str) -> String {
        loop {
            let at = self
                .read
                .windows(mark.len())
                .position(|window| window == mark.as_bytes());
            if let Some(at) = at {
                let taken: Vec<u8> = self.read.drain(..at + mark.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            match self.fill() {
                Ok(1..) => {}
                ended => panic!(
                    "{ended:?} while waiting for {mark:?}, with {:?}",
                    self.text()
                ),
            }
        }
    }

    /// Reads a whole head if one comes; `false` if the peer closes instead.
    pub(crate) fn try_until_head(&mut self) -> bool {
        self.try_head().is_some()
    }

    /// The next head, if one comes before the peer closes.
    pub(crate) fn try_head(&mut self) -> Option<String> {
        while !self.read.windows(4).any(|four| four == b"\r\n\r\n") {
            if !matches!(self.fill(), Ok(1..)) {
                return None;
            }
        }
        Some(self.until("\r\n\r\n"))
    }

    /// What comes up to the end of `mark`, if it comes before the peer closes.
    pub(crate) fn try_until(&mut self, mark: &str) -> Option<String> {
        let mark_bytes = mark.as_bytes();
        while !self.read.windows(mark.len()).any(|part| part == mark_bytes) {
            if !matches!(self.fill(), Ok(1..)) {
                return None;
            }
        }
        Some(self.until(mark))
    }

    /// So many bytes, if they come before the peer closes.
    pub(crate) fn try_take(&mut self, len: usize) -> Option<Vec<u8>> {
        while self.read.len() < len {
            if !matches!(self.fill(), Ok(1..)) {
                return None;
            }
        }
        Some(self.read.drain(..len).collect())
    }

    /// The connection itself, in clear text, of which nothing has been read yet.
    pub(crate) fn into_tcp(self) -> TcpStream {
        match self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(_) => panic!("there is TLS on this connection"),
        }
    }

    /// Reads and forgets until the peer closes or the deadline passes.
    pub(crate) fn drain(&mut self) {
        while matches!(self.fill(), Ok(1..)) {
            self.read.clear();
        }
    }

    /// Takes so many bytes.
    #[track_caller]
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            match self.fill() {
                Ok(1..) => {}
                ended => panic!("{ended:?} with {} of {len} bytes", self.read.len()),
            }
        }
        self.read.drain(..len).collect()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// One answer with a length or chunks: its head, and its body without framing.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> (String, Vec<u8>) {
        let head = self.until("\r\n\r\n");
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (field, value) = line.split_once(':')?;
                field.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        if field("transfer-encoding").is_some() {
            let mut body = Vec::new();
            loop {
                let size = self.until("\r\n");
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                body.extend(self.take(size));
                self.until("\r\n");
                if size == 0 {
                    return (head, body);
                }
            }
        }
        let length = field("content-length").map_or(0, |length| length.parse().unwrap());
        let body = self.take(length);
        (head, body)
    }

    /// Everything up to the end of the connection; a reset ends it too.
    pub(crate) fn rest(&mut self) -> String {
        self.read_to_end().0
    }

    /// Everything up to the end, and whether the end was orderly.
    pub(crate) fn read_to_end(&mut self) -> (String, io::Result<()>) {
        let ended = loop {
            match self.fill() {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = &ended {
            let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!late, "connection still open with {:?}", self.text());
        }
        let text = self.text();
        self.read.clear();
        (text, ended)
    }
}

/// Whether a connection is closed without a byte of an answer; also if that happens so early that
/// connecting itself fails.
pub(crate) fn turned_away(to: SocketAddr, bytes: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect(to) else {
        return true;
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes);
    match stream.read(&mut [0]) {
        Ok(len) => len == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// Connects with a deadline on every read.
pub(crate) fn tcp(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
