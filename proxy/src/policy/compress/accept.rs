//! Which encoding a client takes (RFC 9110 §12.5.3).

use http::HeaderValue;

use super::coder::Coding;

/// The best of what is offered, in its order where the client does not care; `None` leaves the body
/// as it is.
pub(super) fn best<'a>(
    offered: &[Coding],
    values: impl Iterator<Item = &'a HeaderValue>,
) -> Option<Coding> {
    let mut wishes = Wishes::default();
    for value in values {
        for item in value.as_bytes().split(|&byte| byte == b',') {
            wishes.take(item);
        }
    }
    let (mut found, mut quality) = (None, 0);
    for coding in offered {
        let wish = wishes.of(*coding);
        if wish > quality {
            (found, quality) = (Some(*coding), wish);
        }
    }
    found.filter(|_| wishes.identity.is_none_or(|identity| quality >= identity))
}

/// Qualities in thousandths.
#[derive(Default)]
struct Wishes {
    named: [Option<u16>; 3],
    identity: Option<u16>,
    others: Option<u16>,
}

impl Wishes {
    fn take(&mut self, item: &[u8]) {
        let mut parts = item.split(|&byte| byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let quality = parts.find_map(weight).unwrap_or(1000);
        let place = match name.to_ascii_lowercase().as_slice() {
            b"zstd" => self.named.get_mut(Coding::Zstd as usize),
            b"br" => self.named.get_mut(Coding::Brotli as usize),
            b"gzip" | b"x-gzip" => self.named.get_mut(Coding::Gzip as usize),
            b"identity" => Some(&mut self.identity),
            b"*" => Some(&mut self.others),
            _ => None,
        };
        if let Some(place) = place {
            *place = Some(quality);
        }
    }

    fn of(&self, coding: Coding) -> u16 {
        let named = self.named.get(coding as usize).copied().flatten();
        named.or(self.others).unwrap_or(0)
    }
}

/// `q=0.5` in thousandths. What is malformed counts as 0: the client did not mean yes.
fn weight(part: &[u8]) -> Option<u16> {
    let part = part.trim_ascii();
    let value = part
        .strip_prefix(b"q=")
        .or_else(|| part.strip_prefix(b"Q="))?;
    let text = std::str::from_utf8(value).ok()?;
    let quality: f32 = text.parse().unwrap_or(0.0);
    Some((quality.clamp(0.0, 1.0) * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_by_quality_and_we_among_equals() {
        use Coding::{Brotli, Gzip, Zstd};
        let all = [Zstd, Brotli, Gzip];
        let cases: [(&[Coding], &str, Option<Coding>); 19] = [
            (&all, "gzip, deflate, br, zstd", Some(Zstd)),
            (&all, "gzip, deflate, br", Some(Brotli)),
            (&all, "GZIP", Some(Gzip)),
            (&all, "x-gzip", Some(Gzip)),
            (&all, "deflate", None),
            (&all, "", None),
            (&all, "gzip;q=1.0, br;q=0.9", Some(Gzip)),
            (&all, "gzip;q=0, br;q=0.0", None),
            (&all, "*", Some(Zstd)),
            (&all, "*;q=0.5, zstd;q=0", Some(Brotli)),
            (&all, "*;q=0", None),
            (&all, "identity, gzip;q=0.5", None),
            (&all, "identity;q=0.5, gzip", Some(Gzip)),
            (&all, "identity;q=0, gzip;q=0.1", Some(Gzip)),
            (&all, "gzip;q=nonsense", None),
            (&all, "gzip ; q=0.3 , br ; Q=0.4", Some(Brotli)),
            (&all, "gzip;q=7", Some(Gzip)),
            (&[Gzip], "br, zstd", None),
            (&[Gzip, Zstd], "zstd, gzip", Some(Gzip)),
        ];
        for (offered, field, expected) in cases {
            let value = HeaderValue::from_static(field);
            assert_eq!(best(offered, [&value].into_iter()), expected, "{field}");
        }
        let lines = ["br;q=0.2", "gzip"].map(HeaderValue::from_static);
        assert_eq!(best(&all, lines.iter()), Some(Gzip));
    }
}
