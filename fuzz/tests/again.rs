//! What the gate lets pass is let pass again when it is written anew, and means the same.
//!
//! The targets show this for mutations of real messages; here heads are put together from parts that
//! are good or nearly good, so that most of them pass.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

use adit_proxy::h1::{HeadReader, RequestHead, RequestLine, Target, parse_request, request_head};
use adit_proxy::limits::Limits;
use bytes::{Bytes, BytesMut};
use fastrand::Rng;

const METHODS: &[&str] = &[
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "OPTIONS",
    "DELETE",
    "M-SEARCH",
    "x!#$%&'*+-.^_`|~9",
];
const TARGETS: &[&str] = &[
    "/",
    "/a/b?c=d",
    "*",
    "http://a.test/x",
    "http://A.test:80?q",
    "/%7Ea/..;/b",
    "/{}|^\"'?`\\%",
    "//a//b",
    "/?",
    "/a%2fb?%00",
    "http://a.test",
];
const HOSTS: &[&str] = &[
    "a.test",
    "A.test.",
    "a.test:80",
    "[::1]:8080",
    "192.0.2.1",
    "_x.a-b",
];
const NAMES: &[&str] = &[
    "accept",
    "X-Odd_Name",
    "cookie",
    "Cookie",
    "connection",
    "te",
    "a",
    "set-cookie",
    "upgrade",
];
const VALUES: &[&[u8]] = &[
    b"",
    b"x",
    b"\t a b \t",
    b"caf\xc3\xa9",
    b"\x80\xff",
    b"a,b;c=\"d\"",
    b"close",
    b"trailers",
    b"%0d%0a",
    b"\\r\\n",
];
const FRAMINGS: &[&str] = &[
    "",
    "",
    "Content-Length: 0\r\n",
    "content-length: 9223372036854775807\r\n",
    "Transfer-Encoding:chunked\r\n",
    "TRANSFER-ENCODING: CHUNKED \r\n",
];

fn some_head(random: &mut Rng, text: &mut Vec<u8>) {
    let mut pick = |list: &[&str]| random.choice(list.to_vec()).unwrap().to_owned();
    text.clear();
    let version = pick(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]);
    text.extend_from_slice(format!("{} {} {version}\r\n", pick(METHODS), pick(TARGETS)).as_bytes());
    text.extend_from_slice(format!("Host: {}\r\n", pick(HOSTS)).as_bytes());
    text.extend_from_slice(pick(FRAMINGS).as_bytes());
    for _ in 0..random.usize(..6) {
        let name = random.choice(NAMES).unwrap();
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend_from_slice(random.choice(VALUES).unwrap());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    // One byte of anything in a third of them.
    if random.u8(..3) == 0 {
        let at = random.usize(..text.len());
        text.splice(at..=at, [random.u8(..)]);
    }
}

fn read(text: &[u8], buffer: &mut BytesMut) -> Option<(Bytes, RequestHead)> {
    let limits = Limits::default();
    buffer.clear();
    buffer.extend_from_slice(text);
    let head = HeadReader::default().read(buffer, &limits, true).ok()??;
    let parsed = parse_request(&head, false, &limits).ok()?;
    Some((head, parsed))
}

/// Ten million heads that pass; two hundred thousand unless `--soak` is given.
///
/// Acceptance: 5
#[test]
fn what_passes_once_passes_again_and_means_the_same() {
    let soak = std::env::var_os("ADIT_TEST_SOAK").is_some();
    let wanted = if soak { 10_000_000 } else { 200_000 };
    let mut random = Rng::with_seed(if soak { fastrand::u64(..) } else { 7 });
    let seed = random.get_seed();
    let (mut text, mut out) = (Vec::new(), BytesMut::new());
    let (mut first, mut second) = (BytesMut::new(), BytesMut::new());
    let mut passed = 0;
    while passed < wanted {
        some_head(&mut random, &mut text);
        let Some((_, head)) = read(&text, &mut first) else {
            continue;
        };
        let target = match &head.target {
            Target::Path(path) => path.as_str(),
            Target::Asterisk => "*",
            Target::Authority => continue,
        };
        let line = RequestLine {
            method: &head.method,
            target,
            host: head.host.as_str(),
            port: head.port,
        };
        out.clear();
        request_head(&mut out, &line, &head.headers, head.length, None);
        let again = read(&out, &mut second);
        let same = again.is_some_and(|(sent, again)| {
            sent.len() == out.len()
                && again.method == head.method
                && again.target == head.target
                && (&again.host, again.port) == (&head.host, head.port)
                && again.headers == head.headers
                && again.length == head.length
        });
        assert!(
            same,
            "seed {seed}: {:?} becomes {out:?}",
            text.escape_ascii().to_string()
        );
        passed += 1;
    }
}
