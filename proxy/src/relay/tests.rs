//! Relays between real sockets, as a client and a backend see them.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpListener;

use super::*;

const MIB: usize = 1024 * 1024;

fn options() -> RelayOptions {
    RelayOptions {
        buffer: 32 * 1024,
        idle: Duration::from_secs(20),
        half_close: Duration::from_secs(10),
        stall: Duration::from_secs(20),
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    (near.unwrap(), far.unwrap().0)
}

/// A socket as the relay sees it: bare or not, and counting what was copied from it.
struct Seen<'a> {
    socket: TcpStream,
    bare: bool,
    copied: &'a Cell<usize>,
}

impl RawSocket for Seen<'_> {
    fn tcp(&self) -> Option<&TcpStream> {
        self.bare.then_some(&self.socket)
    }
}

impl AsyncRead for Seen<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.copied
            .set(self.copied.get() + buf.filled().len() - before);
        result
    }
}

impl AsyncWrite for Seen<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Runs a relay with a client and a backend; gives its end, the delivered and the copied bytes.
async fn with_relay<T>(
    options: RelayOptions,
    bare: bool,
    prefixes: (&'static [u8], &'static [u8]),
    story: impl AsyncFnOnce(TcpStream, TcpStream) -> T,
) -> (T, RelayEnd, (u64, u64), (usize, usize)) {
    let (client, client_side) = pair().await;
    let (backend, backend_side) = pair().await;
    let (up, down) = (Cell::new(0), Cell::new(0));
    let counters = RelayCounters::default();
    let relay = relay(
        Seen {
            socket: client_side,
            bare,
            copied: &up,
        },
        Seen {
            socket: backend_side,
            bare,
            copied: &down,
        },
        Bytes::from_static(prefixes.0),
        Bytes::from_static(prefixes.1),
        &options,
        &counters,
    );
    let both = async { tokio::join!(story(client, backend), relay) };
    let (told, end) = tokio::time::timeout(Duration::from_mins(1), both)
        .await
        .unwrap();
    (
        told,
        end,
        (counters.up.get(), counters.down.get()),
        (up.get(), down.get()),
    )
}

async fn read_all(socket: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    socket.read_to_end(&mut received).await.unwrap();
    received
}

#[tokio::test]
async fn what_was_read_before_comes_first() {
    for bare in [true, false] {
        let prefixes = (&b"hello "[..], &b"good "[..]);
        let ((), end, delivered, _) = with_relay(
            options(),
            bare,
            prefixes,
            async |mut client, mut backend| {
                client.write_all(b"backend").await.unwrap();
                backend.write_all(b"day").await.unwrap();
                client.shutdown().await.unwrap();
                assert_eq!(read_all(&mut backend).await, b"hello backend");
                backend.shutdown().await.unwrap();
                assert_eq!(read_all(&mut client).await, b"good day");
            },
        )
        .await;
        assert_eq!(
            end,
            RelayEnd {
                by: Side::Client,
                cause: Cause::Closed
            }
        );
        assert_eq!(delivered, (13, 8));
    }
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let answer = vec![7_u8; 5 * MIB];
    let ((), end, delivered, _) = with_relay(
        options(),
        true,
        (b"", b""),
        async |mut client, mut backend| {
            client.write_all(b"question").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(read_all(&mut backend).await, b"question");
            let answering = async {
                backend.write_all(&answer).await.unwrap();
                backend.shutdown().await.unwrap();
            };
            let (received, ()) = tokio::join!(read_all(&mut client), answering);
            assert!(received == answer);
        },
    )
    .await;
    assert_eq!(
        end,
        RelayEnd {
            by: Side::Client,
            cause: Cause::Closed
        }
    );
    assert_eq!(delivered, (8, 5 * MIB as u64));
}

#[tokio::test]
async fn a_backend_that_has_said_all_can_still_be_told() {
    let ((), end, _, _) = with_relay(
        options(),
        true,
        (b"", b""),
        async |mut client, mut backend| {
            backend.write_all(b"banner").await.unwrap();
            backend.shutdown().await.unwrap();
            assert_eq!(read_all(&mut client).await, b"banner");
            client.write_all(b"upload").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(read_all(&mut backend).await, b"upload");
        },
    )
    .await;
    assert_eq!(
        end,
        RelayEnd {
            by: Side::Backend,
            cause: Cause::Closed
        }
    );
    assert_eq!(end.reason(), "backend-closed");
}

#[tokio::test]
async fn a_reset_of_one_side_is_a_reset_of_the_other() {
    for (by, cut_client) in [(Side::Client, true), (Side::Backend, false)] {
        let ((), end, _, _) = with_relay(
            options(),
            true,
            (b"", b""),
            async |mut client, mut backend| {
                client.write_all(b"x").await.unwrap();
                backend.read_u8().await.unwrap();
                let (cut, mut other) = if cut_client {
                    (client, backend)
                } else {
                    (backend, client)
                };
                cut.set_zero_linger().unwrap();
                drop(cut);
                let error = other.read_u8().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{by:?}");
            },
        )
        .await;
        assert_eq!(
            end,
            RelayEnd {
                by,
                cause: Cause::Reset
            }
        );
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_of_bulk_is_not_taken_for_the_end() {
    for bare in [true, false] {
        let (received, end, _, _) = with_relay(
            options(),
            bare,
            (b"", b""),
            async |mut client, mut backend| {
                let sending = async {
                    // A reset drops what the kernel has not sent yet.
                    backend.write_all(&vec![1; 4 * MIB]).await.unwrap();
                    backend.set_zero_linger().unwrap();
                    drop(backend);
                };
                let mut received = Vec::new();
                let (outcome, ()) = tokio::join!(client.read_to_end(&mut received), sending);
                outcome.map_err(|error| error.kind())
            },
        )
        .await;
        assert_eq!(
            end,
            RelayEnd {
                by: Side::Backend,
                cause: Cause::Reset
            }
        );
        if bare {
            assert_eq!(received, Err(ErrorKind::ConnectionReset));
        }
    }
}

#[tokio::test]
async fn a_backend_that_refuses_an_upload_is_still_heard() {
    let ((), end, _, _) = with_relay(
        options(),
        true,
        (b"", b""),
        async |mut client, mut backend| {
            client.write_all(&vec![b'u'; 256 * 1024]).await.unwrap();
            backend.read_u8().await.unwrap();
            backend.write_all(b"too large").await.unwrap();
            // It closes with bytes unread, which is a reset to us.
            drop(backend);
            let mut answer = [0; 9];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"too large");
            let error = loop {
                if let Err(error) = client.write_all(&[b'u'; 4096]).await {
                    break error;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                "{kind}"
            );
        },
    )
    .await;
    assert_eq!(
        end,
        RelayEnd {
            by: Side::Backend,
            cause: Cause::Reset
        }
    );
}

/// Byte `at` of an endless stream that repeats at no power of two.
fn pattern(at: usize) -> u8 {
    (at % 251) as u8 ^ (at / 65_521) as u8
}

async fn send_pattern(socket: &mut (impl AsyncWrite + Unpin), total: usize) {
    let mut sent = 0;
    while sent < total {
        let size = (total - sent).min(256 * 1024);
        let chunk: Vec<u8> = (sent..sent + size).map(pattern).collect();
        socket.write_all(&chunk).await.unwrap();
        sent += size;
    }
    socket.shutdown().await.unwrap();
}

async fn check_pattern(socket: &mut (impl AsyncRead + Unpin), total: usize) {
    let mut received = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let size = socket.read(&mut buffer).await.unwrap();
        if size == 0 {
            break;
        }
        let wrong = (0..size).find(|&place| buffer[place] != pattern(received + place));
        assert_eq!(wrong, None, "after {received} bytes");
        received += size;
    }
    assert_eq!(received, total);
}

/// Sends bulk both ways at once, from threads of its own; gives what was copied.
async fn bulk(bare: bool, total: usize) -> (usize, usize) {
    let ((), end, delivered, copied) =
        with_relay(options(), bare, (b"", b""), async |client, backend| {
            let ends = [client, backend].map(|end| end.into_std().unwrap());
            let threads = ends.map(|end| {
                tokio::task::spawn_blocking(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        let mut end = TcpStream::from_std(end).unwrap();
                        let (mut reader, mut writer) = end.split();
                        tokio::join!(
                            send_pattern(&mut writer, total),
                            check_pattern(&mut reader, total)
                        );
                    });
                })
            });
            for thread in threads {
                thread.await.unwrap();
            }
        })
        .await;
    assert_eq!(end.cause, Cause::Closed);
    assert_eq!(delivered, (total as u64, total as u64));
    copied
}

#[tokio::test]
async fn bulk_between_bare_sockets_is_spliced_byte_for_byte() {
    let total = 256 * MIB;
    let (up, down) = bulk(true, total).await;
    assert!(
        up >= 64 * 1024 && down >= 64 * 1024,
        "the first bytes are copied: {up} {down}"
    );
    assert!(
        up < total / 8 && down < total / 8,
        "the rest is not: {up} {down}"
    );
}

#[tokio::test]
async fn bulk_of_other_streams_is_copied_byte_for_byte() {
    let total = 16 * MIB;
    assert_eq!(bulk(false, total).await, (total, total));
}

#[tokio::test]
async fn a_pipe_goes_back_when_a_bulk_transfer_pauses() {
    let ((), _, _, (up, down)) = with_relay(
        options(),
        true,
        (b"", b""),
        async |mut client, mut backend| {
            let sending = async { client.write_all(&vec![1; 8 * MIB]).await.unwrap() };
            let mut received = vec![0; 8 * MIB];
            let (_, ()) = tokio::join!(backend.read_exact(&mut received), sending);
            // The other direction talks all the time; silence counts for each on its own.
            for _ in 0..30 {
                backend.write_all(b".").await.unwrap();
                client.read_u8().await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            client.write_all(&vec![2; 60_000]).await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(read_all(&mut backend).await, vec![2; 60_000]);
        },
    )
    .await;
    assert_eq!(down, 30);
    assert!(
        up >= 64 * 1024 + 60_000,
        "what followed was copied again: {up}"
    );
}

#[tokio::test]
async fn silence_ends_a_connection_for_both() {
    let options = RelayOptions {
        idle: Duration::from_millis(150),
        ..options()
    };
    let started = Instant::now();
    let ((), end, _, _) = with_relay(
        options,
        true,
        (b"", b""),
        async |mut client, mut backend| {
            // Activity, in whichever direction, puts it off.
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                backend.write_all(b".").await.unwrap();
            }
            assert_eq!(read_all(&mut client).await, b".....");
            assert_eq!(read_all(&mut backend).await, b"");
        },
    )
    .await;
    assert_eq!(
        end,
        RelayEnd {
            by: Side::Us,
            cause: Cause::Idle
        }
    );
    assert!(
        started.elapsed() >= Duration::from_millis(350),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn half_a_connection_is_given_less_time() {
    let options = RelayOptions {
        half_close: Duration::from_millis(100),
        ..options()
    };
    let started = Instant::now();
    let ((), end, _, _) = with_relay(
        options,
        true,
        (b"", b""),
        async |mut client, mut backend| {
            client.shutdown().await.unwrap();
            assert_eq!(read_all(&mut backend).await, b"");
            // As long as something comes, it goes on.
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(60)).await;
                backend.write_all(b".").await.unwrap();
            }
            assert_eq!(read_all(&mut client).await, b"....");
        },
    )
    .await;
    assert_eq!(
        end,
        RelayEnd {
            by: Side::Us,
            cause: Cause::HalfClosed
        }
    );
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_stalled_reader_stalls_the_sender_and_loses_nothing() {
    let ((), end, _, _) = with_relay(
        options(),
        true,
        (b"", b""),
        async |mut client, mut backend| {
            let total = 24 * MIB;
            let sending = send_pattern(&mut client, total);
            let reading = async {
                tokio::time::sleep(Duration::from_millis(2500)).await;
                check_pattern(&mut backend, total).await;
                backend.shutdown().await.unwrap();
            };
            tokio::join!(sending, reading);
        },
    )
    .await;
    assert_eq!(
        end,
        RelayEnd {
            by: Side::Client,
            cause: Cause::Closed
        }
    );
}
