//! The text form: one line of at most 107 bytes (P-05, P-06).
//!
//! The line is read field by field from its start on each call; every byte that is present is
//! judged, so a connection that cannot become valid is refused without waiting for its end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Command, Parse, ProxyHeader, ProxyHeaderError, Version};

/// The longest line, CRLF included.
pub(super) const MAX_LINE: usize = 107;

/// The longest texts of an IPv4 address, an IPv6 address and a port.
const IPV4_TEXT: usize = 15;
const IPV6_TEXT: usize = 39;
const PORT_TEXT: usize = 5;

/// A field is read, refused, or not complete yet.
type Step<T> = Result<Option<T>, ProxyHeaderError>;

/// Reads the line at the start of `buf`.
pub(super) fn parse(buf: &[u8]) -> Result<Parse, ProxyHeaderError> {
    let mut line = Line {
        rest: buf.get(..MAX_LINE).unwrap_or(buf),
        read: 0,
    };
    match line.header()? {
        Some(header) => Ok(Parse::Done {
            header,
            consumed: line.read,
        }),
        None if buf.len() >= MAX_LINE => Err(ProxyHeaderError::Line("no CRLF within 107 bytes")),
        None => Ok(Parse::NeedMore),
    }
}

#[derive(Clone, Copy)]
enum Family {
    Tcp4,
    Tcp6,
    Unknown,
}

struct Line<'a> {
    rest: &'a [u8],
    read: usize,
}

impl<'a> Line<'a> {
    fn header(&mut self) -> Step<ProxyHeader> {
        if self.literal(b"PROXY ")?.is_none() {
            return Ok(None);
        }
        let Some(family) = self.family()? else {
            return Ok(None);
        };
        if matches!(family, Family::Unknown) {
            return self.unknown();
        }
        let Some(source) = self.address(family)? else {
            return Ok(None);
        };
        let Some(destination) = self.address(family)? else {
            return Ok(None);
        };
        let Some(source_port) = self.port(b' ')? else {
            return Ok(None);
        };
        let Some(destination_port) = self.port(b'\r')? else {
            return Ok(None);
        };
        if self.literal(b"\n")?.is_none() {
            return Ok(None);
        }
        Ok(Some(ProxyHeader::of_client(
            Version::V1,
            SocketAddr::new(source, source_port),
            SocketAddr::new(destination, destination_port),
        )))
    }

    /// The bytes must be exactly these.
    fn literal(&mut self, expected: &[u8]) -> Step<()> {
        let present = self.rest.get(..expected.len()).unwrap_or(self.rest);
        if !expected.starts_with(present) {
            let what = if expected == b"\n" {
                "CR without LF"
            } else {
                "it must start `PROXY `"
            };
            return Err(ProxyHeaderError::Line(what));
        }
        if present.len() < expected.len() {
            return Ok(None);
        }
        self.skip(expected.len());
        Ok(Some(()))
    }

    fn family(&mut self) -> Step<Family> {
        const FAMILIES: [(&[u8], Family); 3] = [
            (b"TCP4 ", Family::Tcp4),
            (b"TCP6 ", Family::Tcp6),
            (b"UNKNOWN", Family::Unknown),
        ];
        let mut possible = false;
        for (word, family) in FAMILIES {
            if self.rest.starts_with(word) {
                self.skip(word.len());
                return Ok(Some(family));
            }
            possible |= word.starts_with(self.rest);
        }
        if possible {
            return Ok(None);
        }
        Err(ProxyHeaderError::Line(
            "the family must be TCP4, TCP6 or UNKNOWN",
        ))
    }

    /// After `UNKNOWN` everything up to CRLF is ignored (P-06).
    fn unknown(&mut self) -> Step<ProxyHeader> {
        match self.rest.first() {
            None => return Ok(None),
            Some(b' ' | b'\r') => {}
            Some(_) => {
                return Err(ProxyHeaderError::Line(
                    "the family must be TCP4, TCP6 or UNKNOWN",
                ));
            }
        }
        let Some(end) = self
            .rest
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'))
        else {
            return Ok(None);
        };
        self.skip(end);
        if self.rest.first() == Some(&b'\n') {
            return Err(ProxyHeaderError::Line("LF without CR"));
        }
        self.skip(1);
        if self.literal(b"\n")?.is_none() {
            return Ok(None);
        }
        Ok(Some(ProxyHeader::without_addresses(
            Version::V1,
            Command::Proxy,
            false,
        )))
    }

    fn address(&mut self, family: Family) -> Step<IpAddr> {
        const WRONG: ProxyHeaderError =
            ProxyHeaderError::Line("an address is not in the canonical form of its family");
        let field = if let Family::Tcp4 = family {
            self.field(
                IPV4_TEXT,
                b' ',
                |byte| byte.is_ascii_digit() || byte == b'.',
                WRONG,
            )?
        } else {
            let hex = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            self.field(IPV6_TEXT, b' ', hex, WRONG)?
        };
        let Some(text) = field else { return Ok(None) };
        let address = if let Family::Tcp4 = family {
            text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
        } else {
            text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        };
        // Canonical means that there is one spelling: ours (RFC 5952 for IPv6).
        match address {
            Some(address) if address.to_string() == text => Ok(Some(address)),
            _ => Err(WRONG),
        }
    }

    fn port(&mut self, end: u8) -> Step<u16> {
        const WRONG: ProxyHeaderError = ProxyHeaderError::Line(
            "a port is not a number from 0 to 65535 in its shortest form, or something follows it",
        );
        let field = self.field(PORT_TEXT, end, |byte| byte.is_ascii_digit(), WRONG)?;
        let Some(text) = field else { return Ok(None) };
        if text.len() > 1 && text.starts_with('0') {
            return Err(WRONG);
        }
        text.parse().map(Some).map_err(|_| WRONG)
    }

    /// The bytes before `end`, which is taken too; each must be `allowed`.
    fn field(
        &mut self,
        longest: usize,
        end: u8,
        allowed: impl Fn(u8) -> bool,
        wrong: ProxyHeaderError,
    ) -> Step<&'a str> {
        let length = self.rest.iter().take_while(|&&byte| allowed(byte)).count();
        let (field, tail) = self.rest.split_at_checked(length).ok_or(wrong)?;
        if length > longest {
            return Err(wrong);
        }
        match tail.first() {
            None => Ok(None),
            Some(&byte) if byte == end => {
                self.skip(length + 1);
                std::str::from_utf8(field).map(Some).map_err(|_| wrong)
            }
            Some(_) => Err(wrong),
        }
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
        self.read += count;
    }
}
