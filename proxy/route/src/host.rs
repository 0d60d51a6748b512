//! The one host function: what a host name is, and when a pattern covers it.
//!
//! Rules N-02 and N-03: ASCII letters, digits, `-`, `_` and dots, labels of 1 to 63, at most 253
//! bytes, or an IP literal; lower-cased, one trailing dot removed, the port split off. Everything
//! that names a host goes through [`CanonicalHost`], so two parts of the product cannot read one
//! name differently.

use std::fmt;

use smol_str::SmolStr;

/// The longest host name, without the trailing dot (RFC 1035 §2.3.4).
pub const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// A host name in canonical form: lower case, no trailing dot, no port. IPv6 literals keep their
/// brackets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalHost(SmolStr);

/// Why a text is not a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// Nothing, or nothing before the port.
    Empty,
    /// Longer than 253 bytes.
    TooLong,
    /// An empty label, or one longer than 63 bytes.
    Label,
    /// A byte outside the grammar: user information, a comma, a blank, `%`, non-ASCII.
    Character,
    /// A port that is not 1 to 65535, or written with leading zeros or signs.
    Port,
    /// Brackets that hold no IPv6 address, or one with a zone.
    Literal,
    /// A wildcard in a place where only a name may stand, or not at the front.
    Wildcard,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the host is empty",
            Self::TooLong => "the host is longer than 253 bytes",
            Self::Label => "a label of the host is empty or longer than 63 bytes",
            Self::Character => "the host holds a character that host names cannot have",
            Self::Port => "the port is not a number from 1 to 65535",
            Self::Literal => "the brackets hold no IPv6 address",
            Self::Wildcard => "a wildcard is `*.` or `**.` at the front, or `*` alone",
        })
    }
}

impl std::error::Error for HostError {}

impl CanonicalHost {
    /// Reads a name without a port, as SNI, certificates and routes write it.
    pub fn parse(text: &[u8]) -> Result<Self, HostError> {
        let name = text.strip_suffix(b".").unwrap_or(text);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name.first() == Some(&b'[') {
            return ipv6_literal(name);
        }
        if name.len() > MAX_HOST {
            return Err(HostError::TooLong);
        }
        let mut label = 0_usize;
        let mut lower = true;
        for &byte in name {
            match byte {
                b'.' if label == 0 => return Err(HostError::Label),
                b'.' => label = 0,
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
                b'A'..=b'Z' => {
                    lower = false;
                    label += 1;
                }
                _ => return Err(HostError::Character),
            }
            if label > MAX_LABEL {
                return Err(HostError::Label);
            }
        }
        if label == 0 {
            return Err(HostError::Label);
        }
        let text = std::str::from_utf8(name).map_err(|_| HostError::Character)?;
        Ok(Self(if lower {
            SmolStr::new(text)
        } else {
            SmolStr::new(text.to_ascii_lowercase())
        }))
    }

    /// Reads a `Host` field or an authority: a name, then optionally `:` and a port.
    pub fn parse_authority(text: &[u8]) -> Result<(Self, Option<u16>), HostError> {
        let split = if text.first() == Some(&b'[') {
            text.iter()
                .position(|&byte| byte == b']')
                .map(|end| end + 1)
                .ok_or(HostError::Literal)?
        } else {
            memchr::memchr(b':', text).unwrap_or(text.len())
        };
        let (name, rest) = text.split_at(split);
        let port = match rest.split_first() {
            None => None,
            Some((b':', digits)) => Some(port(digits)?),
            Some(_) => return Err(HostError::Character),
        };
        Ok((Self::parse(name)?, port))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether this is an IPv4 or bracketed IPv6 literal and not a name.
    pub fn is_ip_literal(&self) -> bool {
        self.0.starts_with('[') || self.as_str().parse::<std::net::Ipv4Addr>().is_ok()
    }
}

fn port(digits: &[u8]) -> Result<u16, HostError> {
    let valid = (1..=5).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && digits.first() != Some(&b'0');
    let value = std::str::from_utf8(digits)
        .ok()
        .filter(|_| valid)
        .and_then(|text| text.parse().ok());
    value.ok_or(HostError::Port)
}

fn ipv6_literal(name: &[u8]) -> Result<CanonicalHost, HostError> {
    let inner = name
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .ok_or(HostError::Literal)?;
    let address: std::net::Ipv6Addr = std::str::from_utf8(inner)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(HostError::Literal)?;
    Ok(CanonicalHost(SmolStr::new(format!("[{address}]"))))
}

impl fmt::Debug for CanonicalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for CanonicalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host as routes and rules write it.
///
/// Order of preference between patterns that cover one name: exact, `*.`, the longest `**.`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This name only.
    Exact(CanonicalHost),
    /// `*.suffix`: exactly one more label.
    OneLabel(CanonicalHost),
    /// `**.suffix`: one or more labels before the suffix.
    Subtree(CanonicalHost),
    /// `*`: every host, also a request that names none of the others.
    Any,
}

impl HostPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let name = |text: &str| {
            if text.contains('*') {
                Err(HostError::Wildcard)
            } else {
                CanonicalHost::parse(text.as_bytes())
            }
        };
        if text == "*" {
            Ok(Self::Any)
        } else if let Some(suffix) = text.strip_prefix("**.") {
            name(suffix).map(Self::Subtree)
        } else if let Some(suffix) = text.strip_prefix("*.") {
            name(suffix).map(Self::OneLabel)
        } else {
            name(text).map(Self::Exact)
        }
    }

    /// Whether the pattern covers this host.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name.as_str() == host,
            Self::OneLabel(suffix) => head_of(host, suffix).is_some_and(|head| !head.contains('.')),
            Self::Subtree(suffix) => head_of(host, suffix).is_some(),
            Self::Any => true,
        }
    }

    /// Whether every host that `other` covers is covered by this pattern too.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (_, Self::Exact(name)) => self.matches(name.as_str()),
            (Self::OneLabel(mine), Self::OneLabel(theirs)) => mine == theirs,
            (Self::Subtree(mine), Self::OneLabel(theirs) | Self::Subtree(theirs)) => {
                mine == theirs || self.matches(theirs.as_str())
            }
            (Self::Exact(_), Self::OneLabel(_) | Self::Subtree(_))
            | (Self::OneLabel(_), Self::Subtree(_)) => false,
        }
    }

    /// Whether some host is covered by both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OneLabel(label), Self::Subtree(tree))
            | (Self::Subtree(tree), Self::OneLabel(label)) => {
                label == tree || Self::Subtree(tree.clone()).matches(label.as_str())
            }
            _ => self.contains(other) || other.contains(self),
        }
    }

    /// Whether the pattern names exactly one host.
    pub fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }
}

/// What stands before `.suffix` in the host, if it ends so.
fn head_of<'a>(host: &'a str, suffix: &CanonicalHost) -> Option<&'a str> {
    host.strip_suffix(suffix.as_str())?
        .strip_suffix('.')
        .filter(|head| !head.is_empty())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::OneLabel(suffix) => write!(f, "*.{suffix}"),
            Self::Subtree(suffix) => write!(f, "**.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance: 13
    #[test]
    fn authorities_are_read_or_refused() {
        let long = "a".repeat(64);
        for (text, expected) in [
            ("Example.TEST", Ok(("example.test", None))),
            ("example.test.", Ok(("example.test", None))),
            ("example.test:8443", Ok(("example.test", Some(8443)))),
            ("[::1]:80", Ok(("[::1]", Some(80)))),
            ("[0:0::1]", Ok(("[::1]", None))),
            ("192.0.2.1", Ok(("192.0.2.1", None))),
            ("a_b.test", Ok(("a_b.test", None))),
            ("", Err(HostError::Empty)),
            (".", Err(HostError::Empty)),
            (":80", Err(HostError::Empty)),
            ("a..b", Err(HostError::Label)),
            ("a.b..", Err(HostError::Label)),
            (".a", Err(HostError::Label)),
            (long.as_str(), Err(HostError::Label)),
            ("a b", Err(HostError::Character)),
            ("u@a", Err(HostError::Character)),
            ("a,b", Err(HostError::Character)),
            ("a/x", Err(HostError::Character)),
            ("a%2e", Err(HostError::Character)),
            ("b\u{fc}cher.test", Err(HostError::Character)),
            ("a:0", Err(HostError::Port)),
            ("a:", Err(HostError::Port)),
            ("a:080", Err(HostError::Port)),
            ("a:80x", Err(HostError::Port)),
            ("a:65536", Err(HostError::Port)),
            ("[fe80::1%eth0]", Err(HostError::Literal)),
            ("[::1", Err(HostError::Literal)),
            ("[::1]x", Err(HostError::Character)),
        ] {
            let found = CanonicalHost::parse_authority(text.as_bytes());
            let found = found
                .as_ref()
                .map(|(host, port)| (host.as_str(), *port))
                .map_err(|error| *error);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, host, covered) in [
            ("a.test", "a.test", true),
            ("*.test", "a.test", true),
            ("*.test", "a.b.test", false),
            ("*.test", "test", false),
            ("**.test", "a.b.test", true),
            ("**.test", "test", false),
            ("**.test", "atest", false),
            ("*", "anything", true),
        ] {
            assert_eq!(
                HostPattern::parse(pattern).unwrap().matches(host),
                covered,
                "{pattern} {host}"
            );
        }
        for wrong in ["foo*.test", "*foo.test", "a.*.test", "***.test", "*."] {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn containment_follows_coverage() {
        let pattern = |text| HostPattern::parse(text).unwrap();
        for (outer, inner, contains) in [
            ("**.test", "*.a.test", true),
            ("**.test", "*.test", true),
            ("**.a.test", "*.test", false),
            ("*.test", "**.test", false),
            ("*.test", "a.test", true),
            ("*", "**.test", true),
            ("**.test", "*", false),
        ] {
            assert_eq!(
                pattern(outer).contains(&pattern(inner)),
                contains,
                "{outer} {inner}"
            );
        }
        assert!(pattern("*.a.test").overlaps(&pattern("**.test")));
        assert!(!pattern("*.a.test").overlaps(&pattern("**.b.test")));
    }
}
