//! The binary form: a signature, a fixed head, addresses and extensions (P-07 to P-13).
//!
//! The fixed head is judged byte by byte as it comes; the rest waits until the declared length,
//! which is bounded first, has arrived. Extensions decide nothing: their tiling and checksum are
//! verified, the unique id is kept for the log, everything else is skipped.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32c::checksum;
use super::{Command, Parse, ProxyHeader, ProxyHeaderError, Version};

/// What every v2 header starts with.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Upper half of the 13th byte.
pub(super) const VERSION: u8 = 0x20;
/// Lower half of the 13th byte: the peer speaks for itself.
pub(super) const LOCAL: u8 = 0;
/// Lower half of the 13th byte: the peer speaks for a client.
pub(super) const PROXY: u8 = 1;
/// Family and transport: none.
pub(super) const UNSPEC: u8 = 0x00;
/// Family and transport: TCP over IPv4.
pub(super) const INET_STREAM: u8 = 0x11;
/// Family and transport: TCP over IPv6.
pub(super) const INET6_STREAM: u8 = 0x21;
/// Size of the addresses and ports of IPv6.
pub(super) const INET6_LENGTH: usize = 36;
/// The longest header that is read (P-10).
pub(super) const MAX_HEADER: usize = 2048;

/// Size of the addresses and ports of IPv4.
const INET_LENGTH: usize = 12;
/// Signature, command, family and length.
const FIXED: usize = 16;
const TYPE_CRC32C: u8 = 0x03;
const TYPE_UNIQUE_ID: u8 = 0x05;
const MAX_UNIQUE_ID: usize = 128;

/// Reads the header at the start of `buf`.
pub(super) fn parse(buf: &[u8]) -> Result<Parse, ProxyHeaderError> {
    let present = buf.get(..SIGNATURE.len()).unwrap_or(buf);
    if !SIGNATURE.starts_with(present) {
        return Err(ProxyHeaderError::Absent);
    }
    let fixed = buf.get(SIGNATURE.len()..).unwrap_or_default();
    let Some(&command) = fixed.first() else {
        return Ok(Parse::NeedMore);
    };
    let command = read_command(command)?;
    let Some(&family) = fixed.get(1) else {
        return Ok(Parse::NeedMore);
    };
    let addresses = match command {
        // A LOCAL header is skipped whatever it holds (P-08).
        Command::Local => 0,
        Command::Proxy => address_length(family)?,
    };
    let (Some(&high), Some(&low)) = (fixed.get(2), fixed.get(3)) else {
        return Ok(Parse::NeedMore);
    };
    let length = u16::from_be_bytes([high, low]);
    let total = FIXED + usize::from(length);
    if usize::from(length) < addresses || total > MAX_HEADER {
        return Err(ProxyHeaderError::Length(length));
    }
    let (Some(whole), Some(body)) = (buf.get(..total), buf.get(FIXED..total)) else {
        return Ok(Parse::NeedMore);
    };
    let header = match command {
        Command::Local => ProxyHeader::without_addresses(Version::V2, command, true),
        Command::Proxy => client(body, addresses, whole)?,
    };
    Ok(Parse::Done {
        header,
        consumed: total,
    })
}

fn read_command(byte: u8) -> Result<Command, ProxyHeaderError> {
    match (byte & 0xF0, byte & 0x0F) {
        (VERSION, LOCAL) => Ok(Command::Local),
        (VERSION, PROXY) => Ok(Command::Proxy),
        (VERSION, _) => Err(ProxyHeaderError::Unknown("command", byte)),
        _ => Err(ProxyHeaderError::Unknown("version", byte)),
    }
}

/// How many bytes the addresses of this family take; only TCP is of use (P-07, P-09).
fn address_length(family: u8) -> Result<usize, ProxyHeaderError> {
    match (family >> 4, family & 0x0F) {
        (1, 1) => Ok(INET_LENGTH),
        (2, 1) => Ok(INET6_LENGTH),
        (0..=3, 0..=2) => Err(ProxyHeaderError::Unusable(family)),
        (0..=3, _) => Err(ProxyHeaderError::Unknown("transport", family)),
        _ => Err(ProxyHeaderError::Unknown("address family", family)),
    }
}

fn client(body: &[u8], addresses: usize, whole: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let short = ProxyHeaderError::Length(body.len() as u16);
    let (addresses, extensions) = body.split_at_checked(addresses).ok_or(short)?;
    let (source, destination) = socket_addresses(addresses).ok_or(short)?;
    let mut header = ProxyHeader::of_client(Version::V2, source, destination);
    header.unique_id = read_extensions(extensions, whole)?;
    Ok(header)
}

/// Source and destination address, source and destination port, of whichever family fits.
fn socket_addresses(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (bytes, destination_port) = bytes.split_last_chunk::<2>()?;
    let (bytes, source_port) = bytes.split_last_chunk::<2>()?;
    let (source, destination) = bytes.split_at_checked(bytes.len() / 2)?;
    let address = |bytes: &[u8], port: &[u8; 2]| {
        let port = u16::from_be_bytes(*port);
        if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
            return Some(SocketAddr::from((Ipv4Addr::from(octets), port)));
        }
        let octets = <[u8; 16]>::try_from(bytes).ok()?;
        Some(SocketAddr::from((Ipv6Addr::from(octets), port)))
    };
    Some((
        address(source, source_port)?,
        address(destination, destination_port)?,
    ))
}

/// Walks the extensions, which must fill their place exactly (P-11); gives the unique id.
fn read_extensions(mut rest: &[u8], whole: &[u8]) -> Result<Option<Box<str>>, ProxyHeaderError> {
    let mut unique_id = None;
    let mut checksum_seen = false;
    while !rest.is_empty() {
        let (&[kind, high, low], tail) = rest
            .split_first_chunk::<3>()
            .ok_or(ProxyHeaderError::Tiling)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, tail) = tail
            .split_at_checked(length)
            .ok_or(ProxyHeaderError::Tiling)?;
        match kind {
            TYPE_CRC32C => {
                if std::mem::replace(&mut checksum_seen, true) {
                    return Err(ProxyHeaderError::Checksum);
                }
                verify_checksum(value, tail.len(), whole)?;
            }
            TYPE_UNIQUE_ID if length > MAX_UNIQUE_ID => return Err(ProxyHeaderError::UniqueId),
            TYPE_UNIQUE_ID => unique_id = Some(value.escape_ascii().to_string().into()),
            _ => {}
        }
        rest = tail;
    }
    Ok(unique_id)
}

/// The checksum covers the whole header with its own field as zeros (P-12). `behind` is the number
/// of bytes that follow the field.
fn verify_checksum(field: &[u8], behind: usize, whole: &[u8]) -> Result<(), ProxyHeaderError> {
    let wrong = ProxyHeaderError::Checksum;
    let stated = <[u8; 4]>::try_from(field)
        .map(u32::from_be_bytes)
        .map_err(|_| wrong)?;
    let end = whole.len().checked_sub(behind).ok_or(wrong)?;
    let start = end.checked_sub(field.len()).ok_or(wrong)?;
    let (before, after) = whole.get(..start).zip(whole.get(end..)).ok_or(wrong)?;
    let actual = checksum(before.iter().chain(&[0; 4]).chain(after));
    if actual == stated { Ok(()) } else { Err(wrong) }
}
