//! Why a PROXY header is refused.
//!
//! Every kind names the rule that it breaks, so that the log, the metrics and the documentation
//! speak of the same thing. A refused header always closes the connection without an answer.

use std::fmt;
use std::net::IpAddr;

/// Why a connection's PROXY header is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeaderError {
    /// The first bytes belong to no PROXY header.
    Absent,
    /// A v1 line that is not exactly as it must be.
    Line(&'static str),
    /// A v2 version, command, family or transport that does not exist.
    Unknown(&'static str, u8),
    /// A v2 family or transport that exists but cannot be a TCP client.
    Unusable(u8),
    /// A v2 length that is too short for its addresses, or longer than we read.
    Length(u16),
    /// Extensions that do not fill the header exactly.
    Tiling,
    /// A checksum that does not fit, is not 4 bytes long or comes twice.
    Checksum,
    /// An id of more than 128 bytes.
    UniqueId,
    /// An address that no client of this peer can have.
    Source(IpAddr),
}

impl ProxyHeaderError {
    /// The id of the broken rule.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Absent => "P-04",
            Self::Line(_) => "P-05",
            Self::Unknown(..) => "P-07",
            Self::Unusable(_) => "P-09",
            Self::Length(_) => "P-10",
            Self::Tiling => "P-11",
            Self::Checksum => "P-12",
            Self::UniqueId => "P-13",
            Self::Source(_) => "P-14",
        }
    }
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the connection does not start with a PROXY header"),
            Self::Line(what) => write!(f, "the PROXY v1 line is not valid: {what}"),
            Self::Unknown(what, byte) => {
                write!(
                    f,
                    "the PROXY v2 header has an unknown {what} (byte {byte:#04x})"
                )
            }
            Self::Unusable(byte) => write!(
                f,
                "the PROXY v2 header names no TCP client (family and transport {byte:#04x})"
            ),
            Self::Length(length) => {
                write!(f, "the PROXY v2 header has an impossible length ({length})")
            }
            Self::Tiling => f.write_str("the extensions of the PROXY v2 header do not fill it"),
            Self::Checksum => f.write_str("the checksum of the PROXY v2 header is wrong"),
            Self::UniqueId => f.write_str("the PROXY v2 header has an id of more than 128 bytes"),
            Self::Source(address) => {
                write!(
                    f,
                    "the PROXY header names {address} as the client, which cannot be"
                )
            }
        }
    }
}

impl std::error::Error for ProxyHeaderError {}
