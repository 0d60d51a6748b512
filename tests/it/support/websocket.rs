//! WebSocket clients over both kinds of upgrade.
//!
//! tungstenite does the handshake of HTTP/1.1 itself. For HTTP/2 an extended CONNECT stream
//! (RFC 8441) is joined to a socket pair, so that the same client code runs over it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;

use bytes::{Bytes, BytesMut};
use h2::ext::Protocol;
use http::{Method, Request};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::h2client::{H2, read, runtime, write};
use super::{PATIENCE, raw};

/// Upgrades an HTTP/1.1 connection.
pub(crate) fn upgrade<S: Read + Write>(url: &str, stream: S) -> WebSocket<S> {
    match tungstenite::client(url, stream) {
        Ok((socket, _)) => socket,
        Err(error) => panic!("no upgrade: {error}"),
    }
}

/// Upgrades in clear text.
pub(crate) fn plain(to: SocketAddr, url: &str) -> WebSocket<TcpStream> {
    upgrade(url, raw::tcp(to))
}

/// Opens an extended CONNECT stream over TLS; panics unless the answer is 200.
pub(crate) fn over_h2(
    to: SocketAddr,
    host: &str,
    path: &str,
    config: Arc<ClientConfig>,
) -> WebSocket<TcpStream> {
    let pair = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(pair.local_addr().unwrap()).unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    let (far, _) = pair.accept().unwrap();
    let (report, reported) = mpsc::channel();
    let (host, path) = (host.to_owned(), path.to_owned());
    thread::spawn(move || {
        runtime().block_on(async move {
            let mut connection = H2::tls(to, &host, config).await;
            assert!(connection.extended_connect().await, "no RFC 8441 settings");
            let request = Request::builder()
                .method(Method::CONNECT)
                .uri(format!("https://{host}{path}"))
                .extension(Protocol::from_static("websocket"))
                .header("sec-websocket-version", "13")
                .header("origin", format!("https://{host}"))
                .body(())
                .unwrap();
            let (answer, stream) = connection.open(request, false).await.unwrap();
            let answer = answer.await.unwrap();
            report.send(answer.status().as_u16()).unwrap();
            join(far, stream, answer.into_body()).await;
        });
    });
    assert_eq!(reported.recv_timeout(PATIENCE).unwrap(), 200);
    WebSocket::from_raw_socket(near, Role::Client, None)
}

async fn join(far: TcpStream, mut sending: h2::SendStream<Bytes>, mut receiving: h2::RecvStream) {
    far.set_nonblocking(true).unwrap();
    let far = tokio::net::TcpStream::from_std(far).unwrap();
    let (mut from_test, mut to_test) = far.into_split();
    let up = async {
        loop {
            let mut block = BytesMut::with_capacity(16 * 1024);
            match from_test.read_buf(&mut block).await {
                Ok(1..) if write(&mut sending, block.freeze(), false).await.is_ok() => {}
                _ => break,
            }
        }
        let _ = sending.send_data(Bytes::new(), true);
    };
    let down = async {
        while let Some(Ok(data)) = read(&mut receiving).await {
            if to_test.write_all(&data).await.is_err() {
                break;
            }
        }
        let _ = to_test.shutdown().await;
    };
    tokio::join!(up, down);
}

/// Text, binary of several sizes and a ping come back; then a clean close.
pub(crate) fn exercise<S: Read + Write>(mut socket: WebSocket<S>) {
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let data: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        echo(&mut socket, &Message::binary(data));
    }
    echo(&mut socket, &Message::text("grüß Gott"));
    socket
        .send(Message::Ping(Bytes::from_static(b"p")))
        .unwrap();
    assert_eq!(
        socket.read().unwrap(),
        Message::Pong(Bytes::from_static(b"p"))
    );
    socket.close(None).unwrap();
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("close was not answered: {error}"),
        }
    }
}

/// Sends a message and takes the same back.
#[track_caller]
pub(crate) fn echo<S: Read + Write>(socket: &mut WebSocket<S>, message: &Message) {
    socket.send(message.clone()).unwrap();
    assert_eq!(socket.read().unwrap(), *message);
}
