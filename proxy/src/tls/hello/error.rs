//! Why the start of a connection is refused.
//!
//! Every kind has the alert that the client gets and the rule that it breaks. No kind may lead to a
//! default host or a default policy: the connection is closed (TL-08).

use std::fmt;

use adit_route::HostError;

use super::alert::{
    DECODE_ERROR, ILLEGAL_PARAMETER, PROTOCOL_VERSION, RECORD_OVERFLOW, UNEXPECTED_MESSAGE,
};

/// Why the start of a connection is not a ClientHello that we can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// The first byte is not that of a TLS handshake (TL-09).
    NotTls {
        /// Whether it may be an HTTP request.
        looks_like_http: bool,
    },
    /// The record layer is of a version that does not exist.
    RecordVersion,
    /// A handshake record without content (RFC 8446 §5.1).
    EmptyRecord,
    /// A record that is longer than 2^14 bytes.
    LongRecord,
    /// A record or a message of another kind, or something behind the hello in its record.
    Unexpected,
    /// A message that is longer than the limit.
    TooLong,
    /// A message whose parts do not fit into each other; the part is named.
    Malformed(&'static str),
    /// An extension came twice.
    Repeated(u16),
    /// The server name extension holds no name.
    NoName,
    /// The server name extension holds several names.
    SeveralNames,
    /// The server name extension holds a name of an unknown type.
    NameType(u8),
    /// The server name is no host name.
    Name(HostError),
    /// The server name is an IP address (RFC 6066 §3).
    NameIsAddress,
}

impl HelloError {
    /// The alert with which the connection is refused.
    pub fn alert(&self) -> u8 {
        match self {
            Self::NotTls { .. } | Self::EmptyRecord | Self::Unexpected => UNEXPECTED_MESSAGE,
            Self::RecordVersion => PROTOCOL_VERSION,
            Self::LongRecord => RECORD_OVERFLOW,
            Self::TooLong | Self::Malformed(_) => DECODE_ERROR,
            Self::Repeated(_)
            | Self::NoName
            | Self::SeveralNames
            | Self::NameType(_)
            | Self::Name(_)
            | Self::NameIsAddress => ILLEGAL_PARAMETER,
        }
    }

    /// The id of the broken rule.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::NotTls { .. } => "TL-09",
            Self::EmptyRecord => "TL-06",
            Self::LongRecord | Self::TooLong => "TL-07",
            Self::RecordVersion | Self::Unexpected | Self::Malformed(_) | Self::Repeated(_) => {
                "TL-08"
            }
            Self::NoName
            | Self::SeveralNames
            | Self::NameType(_)
            | Self::Name(_)
            | Self::NameIsAddress => "TL-11",
        }
    }
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls {
                looks_like_http: true,
            } => f.write_str("the client speaks plain HTTP where TLS is expected"),
            Self::NotTls {
                looks_like_http: false,
            } => f.write_str("the client does not speak TLS"),
            Self::RecordVersion => f.write_str("the TLS record version does not exist"),
            Self::EmptyRecord => f.write_str("a TLS handshake record is empty"),
            Self::LongRecord => f.write_str("a TLS record is longer than 16 KiB"),
            Self::Unexpected => f.write_str("the client sent something else than one ClientHello"),
            Self::TooLong => f.write_str("the ClientHello is longer than the limit"),
            Self::Malformed(part) => write!(f, "the ClientHello is malformed: {part}"),
            Self::Repeated(kind) => write!(f, "the ClientHello repeats extension {kind}"),
            Self::NoName => f.write_str("the server name extension holds no name"),
            Self::SeveralNames => f.write_str("the server name extension holds several names"),
            Self::NameType(kind) => write!(f, "the server name is of the unknown type {kind}"),
            Self::Name(error) => write!(f, "the server name is not valid: {error}"),
            Self::NameIsAddress => f.write_str("the server name is an IP address"),
        }
    }
}

impl std::error::Error for HelloError {}
