//! PROXY headers, read plainly (P-05 to P-14).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a whole header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The client and where it connected to, IPv4-mapped addresses as they are written.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Length of the header.
    pub taken: usize,
}

/// The header at the front of the input, if it is whole and good but for P-14.
pub(crate) fn read(input: &[u8]) -> Option<Said> {
    if input.starts_with(b"PROXY ") {
        text(input)
    } else {
        block(input)
    }
}

fn text(input: &[u8]) -> Option<Said> {
    let end = input.windows(2).position(|two| two == b"\r\n")?;
    let taken = end + 2;
    let line = &input[..end];
    if taken > 107 || line.contains(&b'\n') || line.contains(&b'\r') {
        return None;
    }
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let addresses = match parts[..] {
        [_, b"UNKNOWN", ..] => None,
        [_, family, source, destination, from, to] => {
            let pair = match family {
                b"TCP4" => (
                    IpAddr::V4(exact::<Ipv4Addr>(source)?),
                    IpAddr::V4(exact::<Ipv4Addr>(destination)?),
                ),
                b"TCP6" => (
                    IpAddr::V6(exact::<Ipv6Addr>(source)?),
                    IpAddr::V6(exact::<Ipv6Addr>(destination)?),
                ),
                _ => return None,
            };
            let (from, to) = (exact::<u16>(from)?, exact::<u16>(to)?);
            Some((SocketAddr::new(pair.0, from), SocketAddr::new(pair.1, to)))
        }
        _ => return None,
    };
    Some(Said { addresses, taken })
}

/// A value that is written in its only spelling.
fn exact<T: std::str::FromStr + ToString>(text: &[u8]) -> Option<T> {
    let value: T = std::str::from_utf8(text).ok()?.parse().ok()?;
    (value.to_string().as_bytes() == text).then_some(value)
}

fn block(input: &[u8]) -> Option<Said> {
    let head = input.get(..16)?;
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if head[..12] != SIGNATURE[..] || 16 + length > 2048 {
        return None;
    }
    let body = input.get(16..16 + length)?;
    let taken = 16 + length;
    match (head[12], head[13]) {
        // Skipped, whatever it holds.
        (0x20, _) => Some(Said {
            addresses: None,
            taken,
        }),
        (0x21, 0x11) => {
            let a = body.get(..12)?;
            let four =
                |at: usize| IpAddr::V4(Ipv4Addr::new(a[at], a[at + 1], a[at + 2], a[at + 3]));
            let port = |at: usize| u16::from_be_bytes([a[at], a[at + 1]]);
            let pair = (
                SocketAddr::new(four(0), port(8)),
                SocketAddr::new(four(4), port(10)),
            );
            good_values(&input[..taken], 16 + 12).then_some(Said {
                addresses: Some(pair),
                taken,
            })
        }
        (0x21, 0x21) => {
            let a = body.get(..36)?;
            let six = |at: usize| {
                let bytes: [u8; 16] = a[at..at + 16].try_into().unwrap();
                IpAddr::V6(Ipv6Addr::from(bytes))
            };
            let port = |at: usize| u16::from_be_bytes([a[at], a[at + 1]]);
            let pair = (
                SocketAddr::new(six(0), port(32)),
                SocketAddr::new(six(16), port(34)),
            );
            good_values(&input[..taken], 16 + 36).then_some(Said {
                addresses: Some(pair),
                taken,
            })
        }
        _ => None,
    }
}

/// Whether the rest is type-length-values without a gap, and a checksum among them fits.
fn good_values(header: &[u8], from: usize) -> bool {
    let mut at = from;
    let mut sums = Vec::new();
    while at < header.len() {
        let Some(head) = header.get(at..at + 3) else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let Some(value) = header.get(at + 3..at + 3 + length) else {
            return false;
        };
        // Types 3 (CRC32C) and 5 (a connection's id) have a form of their own.
        match head[0] {
            3 if length != 4 => return false,
            3 => sums.push((at + 3, u32::from_be_bytes(value.try_into().unwrap()))),
            5 if length > 128 => return false,
            _ => {}
        }
        at += 3 + length;
    }
    match sums[..] {
        [] => true,
        [(place, sum)] => {
            let mut zeroed = header.to_vec();
            zeroed[place..place + 4].fill(0);
            crc32c(&zeroed) == sum
        }
        _ => false,
    }
}

/// Castagnoli's polynomial, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}
