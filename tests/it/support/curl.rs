//! curl, the client that people use.
//!
//! Every name resolves to the address under test (`--connect-to`), so that URLs read as they
//! would in life: `https://www.example.test/`.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A request to be made.
#[derive(Debug)]
pub(crate) struct Curl {
    command: Command,
}

/// What came back.
pub(crate) struct Answer {
    /// Status of the final answer, 0 if there was none.
    pub(crate) status: u16,
    /// `1.0`, `1.1` or `2`.
    pub(crate) version: String,
    /// Heads of all answers, interim ones too.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Exit code of curl; 0 is a complete answer.
    pub(crate) exit: i32,
    pub(crate) error: String,
}

/// A request to what listens at `to`.
pub(crate) fn curl(to: SocketAddr) -> Curl {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(["--noproxy", "*", "--include"])
        .arg("--connect-to")
        .arg(format!("::{to}"))
        .args(["--write-out", "%{stderr}\n@%{http_code} %{http_version}"])
        // Without it curl asks for permission to send large bodies, which not every test wants.
        .args(["--header", "Expect:"]);
    Curl { command }
}

impl Curl {
    /// Trusts this authority.
    pub(crate) fn ca(self, ca: &Path) -> Self {
        self.arg("--cacert").arg(ca.to_str().unwrap())
    }

    pub(crate) fn header(self, line: &str) -> Self {
        self.arg("--header").arg(line)
    }

    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs it.
    pub(crate) fn get(mut self, url: &str) -> Answer {
        let output = self.command.arg(url).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let (error, facts) = stderr.rsplit_once("\n@").unwrap_or((&stderr, "0 0"));
        let (status, version) = facts.split_once(' ').unwrap_or(("0", "0"));
        let (head, body) = split(&output.stdout);
        Answer {
            status: status.parse().unwrap_or(0),
            version: version.trim().to_owned(),
            head,
            body,
            exit: output.status.code().unwrap_or(-1),
            error: error.to_owned(),
        }
    }
}

/// Takes every head off the front of what curl printed.
fn split(mut output: &[u8]) -> (String, Vec<u8>) {
    let mut heads = String::new();
    while output.starts_with(b"HTTP/") {
        let Some(end) = output.windows(4).position(|four| four == b"\r\n\r\n") else {
            break;
        };
        heads.push_str(&String::from_utf8_lossy(&output[..end + 4]));
        output = &output[end + 4..];
    }
    (heads, output.to_vec())
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.body[..self.body.len().min(2048)];
        writeln!(f, "exit {} {}", self.exit, self.error.trim())?;
        write!(f, "{}{}", self.head, String::from_utf8_lossy(start))
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The request as an origin describes it.
    pub(crate) fn seen(&self) -> Seen {
        let value: Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}: {}", self, self.text()));
        Seen::new(&value)
    }

    /// Values of a field of the final answer.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let last = self.head.trim_end().rsplit("\r\n\r\n").next()?.to_owned();
        last.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }

    /// All values of a field of the final answer.
    pub(crate) fn fields(&self, name: &str) -> Vec<String> {
        let last = self.head.trim_end().rsplit("\r\n\r\n").next();
        let lines = last.unwrap_or_default().lines();
        let named = lines.filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            let value = value.trim().to_owned();
            field.eq_ignore_ascii_case(name).then_some(value)
        });
        named.collect()
    }

    /// Requires a complete answer with this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!((self.exit, self.status), (0, status), "{self:?}");
        self
    }
}

/// A request as an origin received it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) backend: String,
    pub(crate) peer: String,
    pub(crate) request: String,
    fields: Vec<(String, String)>,
}

impl Seen {
    fn new(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let fields = value["headers"].as_array().cloned().unwrap_or_default();
        let fields = fields.iter().filter_map(|line| {
            let line = line.as_str()?;
            // A pseudo field begins with a colon of its own.
            let at = line.get(1..)?.find(':')? + 1;
            let name = line[..at].to_ascii_lowercase();
            Some((name, line[at + 1..].trim().to_owned()))
        });
        Self {
            backend: text("backend"),
            peer: text("peer"),
            request: text("request"),
            fields: fields.collect(),
        }
    }

    /// A request described by `body`.
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self::new(&serde_json::from_slice(body).unwrap())
    }

    /// All values of a field; `name` in lower case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a field, or nothing.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times: {self:?}", all.len());
        all.first().copied()
    }
}
