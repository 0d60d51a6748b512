//! Host names and authorities, read plainly (N-01 to N-03).

use std::net::Ipv6Addr;

/// The canonical name, or nothing.
pub(crate) fn name(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_suffix('.').unwrap_or(text);
    if let Some(inner) = text.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(good);
    (text.len() <= 253 && text.split('.').all(label)).then(|| text.to_ascii_lowercase())
}

/// The canonical name and the port of `name` or `name:port`.
pub(crate) fn authority(text: &[u8]) -> Option<(String, Option<u16>)> {
    let split = match text.first() {
        Some(b'[') => text.iter().position(|&byte| byte == b']')? + 1,
        _ => text
            .iter()
            .position(|&byte| byte == b':')
            .unwrap_or(text.len()),
    };
    let port = match &text[split..] {
        [] => None,
        [b':', digits @ ..] => Some(port(digits)?),
        _ => return None,
    };
    Some((name(&text[..split])?, port))
}

fn port(digits: &[u8]) -> Option<u16> {
    let number: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    // The only spelling of a number is the shortest one.
    (number > 0 && number.to_string().as_bytes() == digits).then_some(number)
}
