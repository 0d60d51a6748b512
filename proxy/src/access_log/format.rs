//! What a line says, as JSON or in the combined log format.
//!
//! Everything a peer wrote is escaped and cut (O-05), and of the query only the names are shown,
//! because values are where secrets are (O-02). What must stay true: one line per record whatever
//! the bytes, and no allocation beyond the buffer.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use super::AccessLogFormat;
use super::text;
use super::time::{Clock, Style};

/// A request or relayed connection that ended, as `handle` holds it. What is not known or does not
/// apply stays `None` or empty and is left out of JSON.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When it ended.
    pub time: SystemTime,
    /// Id of the request, as it was sent to the backend.
    pub request_id: &'a str,
    /// Kind of the door: `lan`, `internet`, `tunnel`.
    pub channel: &'a str,
    /// Name of the door.
    pub listener: &'a str,
    /// Address that exposure was judged by.
    pub client_ip: IpAddr,
    /// How it was learnt: `socket`, `proxy_protocol`, `forwarded`, `tunnel`.
    pub client_ip_from: &'static str,
    /// Peer of the connection; `None` on a UNIX socket or a tunnel stream.
    pub peer: Option<SocketAddr>,
    /// Name in the ClientHello.
    pub sni: &'a [u8],
    /// Protocol agreed on by ALPN.
    pub alpn: &'a [u8],
    /// `TLSv1.2`, `TLSv1.3`, or empty.
    pub tls_version: &'static str,
    /// Cipher suite, or empty.
    pub tls_cipher: &'a str,
    /// Whether the TLS session was resumed.
    pub tls_resumed: bool,
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2.0`, `tcp` or `tls` (passed through).
    pub protocol: &'static str,
    /// Method.
    pub method: &'a [u8],
    /// Host as it was asked for.
    pub host: &'a [u8],
    /// Path and query as they were asked for; values of the query are not written.
    pub path: &'a [u8],
    /// Route that answered: host and path as configured, or its name.
    pub route: &'a str,
    /// Upstream that was chosen.
    pub upstream: &'a str,
    /// Address of the last endpoint.
    pub endpoint: &'a str,
    /// Attempts at endpoints.
    pub attempts: u32,
    /// Status that was sent; 0 if none was.
    pub status: u16,
    /// Bytes of the body from the client, or of the stream.
    pub bytes_in: u64,
    /// Bytes of the body to the client, or of the stream.
    pub bytes_out: u64,
    /// Durations.
    pub timings: Timings,
    /// Who ended it, if it did not end well.
    pub termination: Termination,
    /// Id of the rule that refused it (O-01), or empty.
    pub rule: &'static str,
    /// Whether it ended while its connection was being drained.
    pub draining: bool,
    /// Who basic authentication let in, or empty.
    pub user: &'a str,
    /// User-Agent.
    pub user_agent: &'a [u8],
    /// Referer.
    pub referer: &'a [u8],
}

impl Record<'_> {
    /// A record in which nothing is known yet but when and from where.
    pub fn new(time: SystemTime, client_ip: IpAddr) -> Self {
        Self {
            time,
            request_id: "",
            channel: "",
            listener: "",
            client_ip,
            client_ip_from: "socket",
            peer: None,
            sni: b"",
            alpn: b"",
            tls_version: "",
            tls_cipher: "",
            tls_resumed: false,
            protocol: "",
            method: b"",
            host: b"",
            path: b"",
            route: "",
            upstream: "",
            endpoint: "",
            attempts: 0,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            timings: Timings::default(),
            termination: Termination::Normal,
            rule: "",
            draining: false,
            user: "",
            user_agent: b"",
            referer: b"",
        }
    }
}

/// How long the phases took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// From the first byte of the request (or from accept) to the end.
    pub total: Duration,
    /// The TLS handshake, on the first request of a connection.
    pub handshake: Option<Duration>,
    /// First byte to end of the request's head.
    pub head: Option<Duration>,
    /// Making the connection to the endpoint; `None` if it was reused.
    pub connect: Option<Duration>,
    /// Request sent to first byte of the response.
    pub first_byte: Option<Duration>,
}

/// Who ended a request, and in which phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Termination {
    /// It ended as it should.
    #[default]
    Normal,
    /// We refused it by a rule.
    Refused,
    /// The client went away before its request was complete.
    ClientRequest,
    /// The client went away before the response was complete.
    ClientResponse,
    /// The client was too slow.
    ClientTimeout,
    /// No connection to an endpoint.
    UpstreamConnect,
    /// The endpoint failed before the head of its response.
    UpstreamHead,
    /// The endpoint failed within the body of its response.
    UpstreamBody,
    /// The endpoint was too slow.
    UpstreamTimeout,
    /// No endpoint was free or known.
    NoEndpoint,
    /// We were shutting down.
    Shutdown,
    /// A fault of our own.
    Internal,
}

impl Termination {
    /// The name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Refused => "refused",
            Self::ClientRequest => "client_request",
            Self::ClientResponse => "client_response",
            Self::ClientTimeout => "client_timeout",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamHead => "upstream_head",
            Self::UpstreamBody => "upstream_body",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::NoEndpoint => "no_endpoint",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        }
    }
}

/// Longest of each field in bytes, before escaping.
const NAME: usize = 255;
const WORD: usize = 64;
const PATH: usize = 1_024;
const TEXT: usize = 256;

/// Room that is made for a line at once.
const LINE: usize = 1_024;

/// What stands before a member's value.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
/// The same with the quote that opens a string.
macro_rules! quoted {
    ($name:literal) => {
        concat!(",\"", $name, "\":\"")
    };
}

/// Writes lines of one format for one worker.
#[derive(Debug)]
pub(super) struct Formatter {
    format: AccessLogFormat,
    worker: usize,
    /// Lines of this worker so far: tells order and loss even when the clock jumps.
    sequence: u64,
    clock: Clock,
}

impl Formatter {
    pub(super) fn new(format: AccessLogFormat, worker: usize) -> Self {
        let style = match format {
            AccessLogFormat::Combined => Style::Common,
            AccessLogFormat::Json | AccessLogFormat::Off => Style::Rfc3339,
        };
        Self {
            format,
            worker,
            sequence: 0,
            clock: Clock::new(style),
        }
    }

    /// Appends one line.
    pub(super) fn line(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        self.sequence += 1;
        match self.format {
            AccessLogFormat::Json => self.json(out, record),
            AccessLogFormat::Combined => self.combined(out, record),
            AccessLogFormat::Off => {}
        }
    }

    fn json(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        out.reserve(LINE);
        out.extend_from_slice(b"{\"time\":\"");
        self.clock.write(out, record.time);
        out.push(b'"');
        let mut fields = Fields(out);
        fields.number(name!("worker"), self.worker as u64);
        fields.number(name!("seq"), self.sequence);
        fields.text(quoted!("request_id"), record.request_id.as_bytes(), WORD);
        fields.text(quoted!("channel"), record.channel.as_bytes(), WORD);
        fields.text(quoted!("listener"), record.listener.as_bytes(), NAME);
        fields.ip(quoted!("client_ip"), record.client_ip);
        fields.word(quoted!("client_ip_from"), record.client_ip_from);
        fields.peer(quoted!("peer"), record.peer);
        fields.text(quoted!("sni"), record.sni, NAME);
        fields.text(quoted!("alpn"), record.alpn, WORD);
        fields.word(quoted!("tls_version"), record.tls_version);
        fields.text(quoted!("tls_cipher"), record.tls_cipher.as_bytes(), WORD);
        fields.flag(name!("tls_resumed"), record.tls_resumed);
        fields.word(quoted!("protocol"), record.protocol);
        fields.text(quoted!("method"), record.method, WORD);
        fields.text(quoted!("host"), record.host, NAME);
        fields.path(quoted!("path"), record.path);
        fields.text(quoted!("route"), record.route.as_bytes(), TEXT);
        fields.text(quoted!("upstream"), record.upstream.as_bytes(), NAME);
        fields.text(quoted!("endpoint"), record.endpoint.as_bytes(), TEXT);
        fields.number(name!("attempts"), record.attempts.into());
        fields.number(name!("status"), record.status.into());
        fields.number(name!("bytes_in"), record.bytes_in);
        fields.number(name!("bytes_out"), record.bytes_out);
        fields.millis(name!("duration_ms"), Some(record.timings.total));
        fields.millis(name!("handshake_ms"), record.timings.handshake);
        fields.millis(name!("head_ms"), record.timings.head);
        fields.millis(name!("connect_ms"), record.timings.connect);
        fields.millis(name!("first_byte_ms"), record.timings.first_byte);
        fields.word(quoted!("termination"), record.termination.as_str());
        fields.word(quoted!("rule"), record.rule);
        fields.flag(name!("draining"), record.draining);
        fields.text(quoted!("user"), record.user.as_bytes(), NAME);
        fields.text(quoted!("user_agent"), record.user_agent, TEXT);
        fields.text(
            quoted!("referer"),
            text::without_query(record.referer),
            PATH,
        );
        out.extend_from_slice(b"}\n");
    }

    fn combined(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        text::ip(out, record.client_ip);
        out.extend_from_slice(b" - ");
        if record.user.is_empty() {
            out.push(b'-');
        }
        text::hex_escaped(out, record.user.as_bytes(), NAME);
        out.extend_from_slice(b" [");
        self.clock.write(out, record.time);
        out.extend_from_slice(b"] \"");
        text::hex_escaped(out, record.method, WORD);
        out.push(b' ');
        text::path(out, record.path, PATH, text::hex_escaped);
        out.push(b' ');
        out.extend_from_slice(record.protocol.as_bytes());
        out.extend_from_slice(b"\" ");
        text::number(out, record.status.into());
        out.push(b' ');
        text::number(out, record.bytes_out);
        for (field, limit) in [
            (text::without_query(record.referer), PATH),
            (record.user_agent, TEXT),
        ] {
            out.extend_from_slice(b" \"");
            if field.is_empty() {
                out.push(b'-');
            }
            text::hex_escaped(out, field, limit);
            out.push(b'"');
        }
        out.push(b'\n');
    }
}

/// Members of a JSON object after its first. What is empty is left out.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn open(&mut self, name: &str) {
        self.0.extend_from_slice(name.as_bytes());
    }

    fn text(&mut self, name: &str, value: &[u8], limit: usize) {
        if !value.is_empty() {
            self.open(name);
            text::json_escaped(self.0, value, limit);
            self.0.push(b'"');
        }
    }

    /// One of our own words: it needs no escaping.
    fn word(&mut self, name: &str, word: &'static str) {
        if !word.is_empty() {
            self.open(name);
            self.0.extend_from_slice(word.as_bytes());
            self.0.push(b'"');
        }
    }

    fn path(&mut self, name: &str, path: &[u8]) {
        if !path.is_empty() {
            self.open(name);
            text::path(self.0, path, PATH, text::json_escaped);
            self.0.push(b'"');
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.open(name);
        text::number(self.0, value);
    }

    fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.open(name);
            self.0.extend_from_slice(b"true");
        }
    }

    fn ip(&mut self, name: &str, address: IpAddr) {
        self.open(name);
        text::ip(self.0, address);
        self.0.push(b'"');
    }

    fn peer(&mut self, name: &str, peer: Option<SocketAddr>) {
        if let Some(peer) = peer {
            self.open(name);
            text::socket(self.0, peer);
            self.0.push(b'"');
        }
    }

    fn millis(&mut self, name: &str, duration: Option<Duration>) {
        if let Some(duration) = duration {
            self.open(name);
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            text::number(self.0, micros / 1_000);
            text::thousandths(self.0, micros % 1_000);
        }
    }
}
