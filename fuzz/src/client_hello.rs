//! ClientHellos: our reader against rustls, and against itself in other pieces and other records.

use adit_proxy::tls::hello::{HelloReader, Progress};
use rustls::server::Acceptor;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "client_hello",
    run,
    words: &[
        b"\x16\x03\x01",
        b"\x16\x03\x03\0\x01",
        b"\x01\0\0",
        b"\x03\x03",
        b"\0\0\0\x0f\0\x0d\0\0\x0aa.test.com",
        b"a.test",
        b"\0\x10\0\x0e\0\x0c\x02h2\x08http/1.1",
        b"\0\x2b\0\x03\x02\x03\x04",
        b"\x0aacme-tls/1",
    ],
};

/// An error is its rule and its alert: for the log it may say more, the more bytes there are.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Progress, (&'static str, u8)> {
    let mut reader = HelloReader::default();
    let mut all = Vec::new();
    let mut last = Ok(Progress::NeedMore);
    for piece in pieces {
        all.extend_from_slice(piece);
        last = reader
            .read(&all)
            .map_err(|error| (error.rule(), error.alert()));
        if last != Ok(Progress::NeedMore) {
            break;
        }
    }
    last
}

fn run(input: &[u8]) {
    let whole = read(std::iter::once(input));
    for size in [1, 7] {
        assert_eq!(whole, read(input.chunks(size)), "in pieces of {size}");
    }
    let Ok(Progress::Done(hello)) = whole else {
        return;
    };
    let taken = &input[..hello.record_bytes];
    for size in [1, 3, 100, 16_384] {
        let Ok(Progress::Done(other)) = read(std::iter::once(recut(taken, size).as_slice())) else {
            panic!("another hello in records of {size}");
        };
        assert_eq!(other.server_name, hello.server_name);
        assert_eq!(other.alpn, hello.alpn);
        assert_eq!(other.max_version, hello.max_version);
    }
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &taken[..]).unwrap();
    // rustls may refuse what does not matter here, such as a hello without a signature scheme.
    if let Ok(Some(accepted)) = acceptor.accept() {
        let theirs = accepted.client_hello();
        let theirs = theirs.server_name().map(|name| {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.to_ascii_lowercase()
        });
        let ours = hello
            .server_name
            .as_ref()
            .map(|name| name.as_str().to_owned());
        assert_eq!(ours, theirs, "the name that rustls sees");
    }
}

/// The same handshake bytes in records of another size.
fn recut(input: &[u8], size: usize) -> Vec<u8> {
    let mut rest = input;
    let mut message = Vec::new();
    while let [_, _, _, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (part, after) = after.split_at(length);
        message.extend_from_slice(part);
        rest = after;
    }
    message.chunks(size).fold(Vec::new(), |mut out, part| {
        out.extend_from_slice(&[22, 3, 1]);
        out.extend_from_slice(&(part.len() as u16).to_be_bytes());
        out.extend_from_slice(part);
        out
    })
}
