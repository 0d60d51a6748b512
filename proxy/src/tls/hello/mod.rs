//! The ClientHello, read without consuming it.
//!
//! One reader serves termination, passthrough and both on one door (TL-06): it walks the bytes that
//! a connection has sent so far, puts the handshake message together from records of any size, and
//! says which name the client asks for. The bytes stay with the caller, who replays them. What must
//! stay true: a hello that cannot be read completely is an error or not finished yet, never a hello
//! without a name (TL-08), and the work is linear however the bytes arrive.

pub mod alert;
mod error;
#[cfg(test)]
mod tests;

use adit_route::CanonicalHost;

pub use self::alert::alert_record;
pub use self::error::HelloError;

/// The default of [`HelloReader::new`]: the longest handshake message that is read (TL-07).
pub const MAX_HELLO: usize = 16 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// The longest plaintext of a record (RFC 8446 §5.1).
const MAX_RECORD: usize = 1 << 14;

/// Reads the ClientHello at the start of a connection.
#[derive(Debug)]
pub struct HelloReader {
    limit: usize,
    /// How many of the connection's bytes have been taken into account.
    walked: usize,
    /// How many bytes of the current record have not.
    left_in_record: usize,
    /// The handshake message, as far as it has come.
    message: Vec<u8>,
    /// The first error; it is final.
    failed: Option<HelloError>,
}

/// How far the reading has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A valid beginning; read more bytes.
    NeedMore,
    /// The whole message.
    Done(ClientHello),
}

/// What a client offers, as far as it matters before the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The host that the client wants (TL-11, TL-12); `None` only if it sent no such extension.
    pub server_name: Option<CanonicalHost>,
    /// The application protocols.
    pub alpn: AlpnSet,
    /// The highest version offered, as on the wire (0x0304 is TLS 1.3); 0 if none is known.
    pub max_version: u16,
    /// How many bytes of the connection the message took, record headers included.
    pub record_bytes: usize,
}

/// Which application protocols a client offers (RFC 7301).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlpnSet {
    /// `h2`.
    pub h2: bool,
    /// `http/1.1`.
    pub http1: bool,
    /// `acme-tls/1`, which is refused (TL-17).
    pub acme: bool,
    /// Anything else, GREASE values not counted (RFC 8701).
    pub other: bool,
    /// Whether the extension was sent at all.
    pub sent: bool,
}

impl Default for HelloReader {
    fn default() -> Self {
        Self::new(MAX_HELLO)
    }
}

impl HelloReader {
    /// A reader for one connection; `limit` bounds the handshake message.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            walked: 0,
            left_in_record: 0,
            message: Vec::new(),
            failed: None,
        }
    }

    /// Reads on, until an error or [`Progress::Done`]. `buf` holds all bytes since the start of the
    /// connection, those of earlier calls included; only new ones are looked at.
    pub fn read(&mut self, buf: &[u8]) -> Result<Progress, HelloError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.walk(buf);
        self.failed = result.as_ref().err().copied();
        result
    }

    fn walk(&mut self, buf: &[u8]) -> Result<Progress, HelloError> {
        loop {
            let fresh = buf.get(self.walked..).unwrap_or_default();
            if self.left_in_record == 0 {
                match record_length(fresh, self.walked == 0)? {
                    None => return Ok(Progress::NeedMore),
                    Some(length) => {
                        self.left_in_record = length;
                        self.walked += RECORD_HEADER;
                    }
                }
                continue;
            }
            let part = fresh.get(..self.left_in_record).unwrap_or(fresh);
            if part.is_empty() {
                return Ok(Progress::NeedMore);
            }
            if let Some(hello) = self.take(part)? {
                return Ok(Progress::Done(hello));
            }
        }
    }

    /// Adds a part of a record to the message.
    fn take(&mut self, part: &[u8]) -> Result<Option<ClientHello>, HelloError> {
        // The header first, so that nothing of a message that is too long is kept.
        let wanted = self.message_length()?.unwrap_or(MESSAGE_HEADER);
        let missing = wanted.saturating_sub(self.message.len());
        let part = part.get(..missing).unwrap_or(part);
        self.message.extend_from_slice(part);
        self.walked += part.len();
        self.left_in_record -= part.len();
        match self.message_length()? {
            Some(length) if length == self.message.len() => {}
            _ => return Ok(None),
        }
        if self.left_in_record != 0 {
            return Err(HelloError::Unexpected);
        }
        let body = self.message.get(MESSAGE_HEADER..).unwrap_or_default();
        let mut hello = client_hello(body)?;
        hello.record_bytes = self.walked;
        Ok(Some(hello))
    }

    /// The length of the message with its header, once it is known and found to be in order.
    fn message_length(&self) -> Result<Option<usize>, HelloError> {
        match *self.message.as_slice() {
            [kind, ..] if kind != CLIENT_HELLO => Err(HelloError::Unexpected),
            [_, high, middle, low, ..] => {
                let length = u32::from_be_bytes([0, high, middle, low]) as usize;
                if length > self.limit {
                    return Err(HelloError::TooLong);
                }
                Ok(Some(MESSAGE_HEADER + length))
            }
            _ => Ok(None),
        }
    }
}

/// The length of the record whose header starts `bytes`, judging each byte that is there.
fn record_length(bytes: &[u8], first: bool) -> Result<Option<usize>, HelloError> {
    match bytes.first() {
        Some(&kind) if kind != HANDSHAKE && first => {
            return Err(HelloError::NotTls {
                looks_like_http: looks_like_http(bytes),
            });
        }
        Some(&kind) if kind != HANDSHAKE => return Err(HelloError::Unexpected),
        _ => {}
    }
    // The minor version must be ignored (RFC 8446 §5.1).
    if bytes.get(1).is_some_and(|&major| major != 3) {
        return Err(HelloError::RecordVersion);
    }
    let (Some(&high), Some(&low)) = (bytes.get(3), bytes.get(4)) else {
        return Ok(None);
    };
    match usize::from(u16::from_be_bytes([high, low])) {
        0 => Err(HelloError::EmptyRecord),
        length if length > MAX_RECORD => Err(HelloError::LongRecord),
        length => Ok(Some(length)),
    }
}

/// Whether these bytes may start an HTTP request: only then is a plain answer of use (TL-09).
fn looks_like_http(bytes: &[u8]) -> bool {
    const METHODS: [&[u8]; 10] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
        b"PRI ",
    ];
    METHODS
        .iter()
        .any(|method| bytes.starts_with(method) || method.starts_with(bytes))
}

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Takes the message apart (RFC 8446 §4.1.2); nothing may be left over anywhere.
fn client_hello(body: &[u8]) -> Result<ClientHello, HelloError> {
    const TLS12: u16 = 0x0303;
    const MAX_SESSION_ID: usize = 32;
    let mut body = Cursor(body);
    let version = body.u16().ok_or(HelloError::Malformed("version"))?;
    body.take(32).ok_or(HelloError::Malformed("random"))?;
    let session = body.vector8().ok_or(HelloError::Malformed("session id"))?;
    if session.0.len() > MAX_SESSION_ID {
        return Err(HelloError::Malformed("session id"));
    }
    let suites = body
        .vector16()
        .ok_or(HelloError::Malformed("cipher suites"))?;
    if suites.is_empty() || suites.0.len() % 2 != 0 {
        return Err(HelloError::Malformed("cipher suites"));
    }
    let compression = body
        .vector8()
        .ok_or(HelloError::Malformed("compression methods"))?;
    if compression.is_empty() {
        return Err(HelloError::Malformed("compression methods"));
    }
    let mut hello = ClientHello {
        server_name: None,
        alpn: AlpnSet::default(),
        max_version: version.min(TLS12),
        record_bytes: 0,
    };
    // Before TLS 1.3 there may be no extensions at all.
    if !body.is_empty() {
        let list = body.vector16().ok_or(HelloError::Malformed("extensions"))?;
        if !body.is_empty() {
            return Err(HelloError::Malformed("extensions"));
        }
        extensions(list, &mut hello)?;
    }
    Ok(hello)
}

fn extensions(mut list: Cursor<'_>, hello: &mut ClientHello) -> Result<(), HelloError> {
    // All extensions that decide anything have numbers below 64.
    let mut seen = 0_u64;
    while !list.is_empty() {
        let kind = list.u16().ok_or(HelloError::Malformed("extensions"))?;
        let data = list.vector16().ok_or(HelloError::Malformed("extensions"))?;
        let bit = 1_u64.checked_shl(u32::from(kind)).unwrap_or_default();
        if seen & bit != 0 {
            return Err(HelloError::Repeated(kind));
        }
        seen |= bit;
        match kind {
            SERVER_NAME => hello.server_name = Some(server_name(data)?),
            ALPN => hello.alpn = alpn(data).ok_or(HelloError::Malformed("ALPN"))?,
            SUPPORTED_VERSIONS => {
                hello.max_version =
                    highest_version(data).ok_or(HelloError::Malformed("supported versions"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The one host name of the extension (RFC 6066 §3).
fn server_name(mut data: Cursor<'_>) -> Result<CanonicalHost, HelloError> {
    const HOST_NAME: u8 = 0;
    const MALFORMED: HelloError = HelloError::Malformed("server name");
    let mut list = data.vector16().ok_or(MALFORMED)?;
    if !data.is_empty() {
        return Err(MALFORMED);
    }
    if list.is_empty() {
        return Err(HelloError::NoName);
    }
    // What follows the type of an unknown type cannot be known.
    match list.u8().ok_or(MALFORMED)? {
        HOST_NAME => {}
        kind => return Err(HelloError::NameType(kind)),
    }
    let name = list.vector16().ok_or(MALFORMED)?;
    match list.u8() {
        None => {}
        Some(HOST_NAME) => return Err(HelloError::SeveralNames),
        Some(kind) => return Err(HelloError::NameType(kind)),
    }
    let host = CanonicalHost::parse(name.0).map_err(HelloError::Name)?;
    if host.is_ip_literal() {
        Err(HelloError::NameIsAddress)
    } else {
        Ok(host)
    }
}

fn alpn(mut data: Cursor<'_>) -> Option<AlpnSet> {
    let mut list = data.vector16()?;
    if list.is_empty() || !data.is_empty() {
        return None;
    }
    let mut offered = AlpnSet {
        sent: true,
        ..AlpnSet::default()
    };
    while !list.is_empty() {
        match list.vector8()?.0 {
            b"" => return None,
            b"h2" => offered.h2 = true,
            b"http/1.1" => offered.http1 = true,
            b"acme-tls/1" => offered.acme = true,
            &[high, low] if is_grease(u16::from_be_bytes([high, low])) => {}
            _ => offered.other = true,
        }
    }
    Some(offered)
}

fn highest_version(mut data: Cursor<'_>) -> Option<u16> {
    const KNOWN: std::ops::RangeInclusive<u16> = 0x0300..=0x0304;
    let mut list = data.vector8()?;
    if list.is_empty() || !data.is_empty() {
        return None;
    }
    let mut highest = 0;
    while !list.is_empty() {
        let version = list.u16()?;
        if KNOWN.contains(&version) {
            highest = highest.max(version);
        }
    }
    Some(highest)
}

/// Values that clients send so that servers keep ignoring what they do not know (RFC 8701).
fn is_grease(value: u16) -> bool {
    value & 0x0F0F == 0x0A0A && value >> 8 == value & 0xFF
}

/// The rest of a message; every step checks that the bytes are there.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    /// A field that is preceded by its length in one byte.
    fn vector8(&mut self) -> Option<Self> {
        let length = self.u8()?;
        self.take(length.into()).map(Self)
    }

    /// A field that is preceded by its length in two bytes.
    fn vector16(&mut self) -> Option<Self> {
        let length = self.u16()?;
        self.take(length.into()).map(Self)
    }
}
