//! One GET over HTTP/1.1, as much as is needed to ask adit itself.
//!
//! Blocking, with a deadline over the whole exchange and a limit on what is read: whatever listens
//! there, the command comes back.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// An answer for ten thousand hosts is a tenth of this.
const MOST_BYTES: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AskError {
    /// Nobody is there, or the connection broke.
    Io(io::Error),
    /// Another status than 200, with the first line of what was said.
    Refused(String, String),
    /// Not an answer of adit.
    Foreign,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                f.write_str("nothing listens there; is adit running?")
            }
            Self::Io(error) if is_timeout(error) => f.write_str("no answer in time"),
            Self::Io(error) => error.fmt(f),
            Self::Refused(status, said) => write!(f, "it answered {status}: {said}"),
            Self::Foreign => f.write_str("what answers there is not the admin listener of an adit"),
        }
    }
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    // A read that runs into its deadline says the one or the other.
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// The JSON that is answered for a path.
pub(super) fn json(address: SocketAddr, path: &str) -> Result<Value, AskError> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n\
         User-Agent: adit/{}\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes())?;
    let answer = read_to_end(&mut stream)?;
    let (head, body) = split(&answer).ok_or(AskError::Foreign)?;
    let status = status(head).ok_or(AskError::Foreign)?;
    if !status.starts_with("200") {
        let said = String::from_utf8_lossy(body);
        let first = said.lines().next().unwrap_or_default();
        let shown: String = first
            .chars()
            .take(200)
            .flat_map(char::escape_debug)
            .collect();
        return Err(AskError::Refused(status, shown));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| AskError::Foreign)?;
    match value.get("phase") {
        Some(_) => Ok(value),
        None => Err(AskError::Foreign),
    }
}

fn read_to_end(stream: &mut TcpStream) -> Result<Vec<u8>, AskError> {
    let deadline = Instant::now() + PATIENCE;
    let (mut answer, mut block) = (Vec::new(), [0; 16 * 1024]);
    while answer.len() < MOST_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AskError::Io(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut block) {
            Ok(0) => return Ok(answer),
            Ok(length) => answer.extend_from_slice(block.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(AskError::Foreign)
}

fn split(answer: &[u8]) -> Option<(&str, &[u8])> {
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = answer.split_at_checked(at)?;
    Some((std::str::from_utf8(head).ok()?, body.get(4..)?))
}

/// Code and reason.
fn status(head: &str) -> Option<String> {
    let line = head.lines().next()?.strip_prefix("HTTP/1.1 ")?;
    let plain = line
        .chars()
        .all(|letter| letter == ' ' || letter.is_ascii_graphic());
    plain.then(|| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn asked(answer: &'static str) -> Result<Value, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /status HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let found = json(address, "/status").map_err(|error| error.to_string());
        serving.join().unwrap();
        found
    }

    #[test]
    fn answers_of_others_are_told_from_those_of_adit() {
        let good = asked("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"phase\":\"serving\"}");
        assert_eq!(good.unwrap()["phase"], "serving");
        for (answer, said) in [
            ("", "is not the admin listener"),
            ("SSH-2.0-x\r\n\r\n", "is not the admin listener"),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", "is not the admin listener"),
            (
                "HTTP/1.1 200 OK\r\n\r\n{\"a\":1}",
                "is not the admin listener",
            ),
            (
                "HTTP/1.1 404 Not Found\r\n\r\nno \x1b[2J such\nmore",
                "it answered 404 Not Found: no \\u{1b}[2J such",
            ),
        ] {
            let error = asked(answer).unwrap_err();
            assert!(error.contains(said), "{answer:?}: {error}");
        }
    }

    #[test]
    fn nobody_there_is_said_plainly() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = json(address, "/status").unwrap_err().to_string();
        assert!(error.contains("is adit running?"), "{error}");
    }
}
