//! The chunked coding, decoded strictly (RFC 9112 §7.1; D-39 to D-41, D-50 to D-53, L-07 to L-09).

use adit_route::FieldList;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, header};

use super::fields::{SectionLimits, SectionScan, parse_fields};
use super::violation::Violation;
use crate::limits::Limits;

/// What came out of the bytes so far.
#[derive(Debug)]
pub enum Decoded {
    /// More input is needed.
    NeedMore,
    /// A piece of the body.
    Data(Bytes),
    /// The body is complete.
    End(Option<FieldList>),
}

/// Incremental decoder of one chunked body.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// Framing bytes beyond what honest senders spend, over the whole message.
    excess: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers(SectionScan),
    Done,
}

const MAX_SIZE_DIGITS: usize = 16;
const MAX_EXCESS: u64 = 16 * 1024;

impl ChunkedDecoder {
    /// Takes what it can from the front of `input`.
    pub fn decode(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<Decoded, Violation> {
        loop {
            match &mut self.state {
                State::Size => {
                    let Some(size) = self.size_line(input, limits)? else {
                        return Ok(Decoded::NeedMore);
                    };
                    self.state = match size {
                        0 => State::Trailers(SectionScan::default()),
                        _ => State::Data(size),
                    };
                }
                State::Data(left) => {
                    if input.is_empty() {
                        return Ok(Decoded::NeedMore);
                    }
                    let available = u64::try_from(input.len()).unwrap_or(u64::MAX);
                    let take = (*left).min(available);
                    *left -= take;
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                    let take = usize::try_from(take).unwrap_or(input.len());
                    return Ok(Decoded::Data(input.split_to(take).freeze()));
                }
                State::DataEnd => match input.as_ref() {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(Decoded::NeedMore),
                    _ => return Err(Violation::CHUNK_END),
                },
                State::Trailers(scan) => {
                    let Some(end) = scan
                        .find_end(input, &trailer_limits(limits))
                        .map_err(trailer)?
                    else {
                        return Ok(Decoded::NeedMore);
                    };
                    let section = input.split_to(end).freeze();
                    self.state = State::Done;
                    return Ok(Decoded::End(trailers(&section, limits)?));
                }
                State::Done => return Ok(Decoded::End(None)),
            }
        }
    }

    fn size_line(
        &mut self,
        input: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<u64>, Violation> {
        let longest = MAX_SIZE_DIGITS + limits.chunk_extension + 2;
        let window = input.get(..input.len().min(longest)).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', window) else {
            if input.len() >= longest {
                return Err(Violation::CHUNK_OVERHEAD);
            }
            // A digit too many or a stray byte is refused before the line is complete.
            let digits = input
                .iter()
                .take_while(|byte| byte.is_ascii_hexdigit())
                .count();
            let stray = input
                .get(digits)
                .is_some_and(|byte| !matches!(byte, b'\r' | b';'));
            return if digits > MAX_SIZE_DIGITS || stray {
                Err(Violation::CHUNK_SIZE)
            } else {
                Ok(None)
            };
        };
        let line = input.split_to(end + 1);
        let Some((b'\r', line)) = line.get(..end).and_then(<[u8]>::split_last) else {
            return Err(Violation::BARE_LF);
        };
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (digits, extension) = line.split_at(digits);
        let size = parse_size(digits)?;
        check_extensions(extension, limits)?;
        let overhead = u64::try_from(line.len() + 2).unwrap_or(u64::MAX);
        self.excess += overhead.saturating_sub(size.saturating_mul(2).saturating_add(16));
        if self.excess > MAX_EXCESS {
            return Err(Violation::CHUNK_OVERHEAD);
        }
        Ok(Some(size))
    }
}

fn parse_size(digits: &[u8]) -> Result<u64, Violation> {
    if digits.is_empty() || digits.len() > MAX_SIZE_DIGITS {
        return Err(Violation::CHUNK_SIZE);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Violation::CHUNK_SIZE)?;
    let size = u64::from_str_radix(text, 16).map_err(|_| Violation::CHUNK_SIZE)?;
    if i64::try_from(size).is_err() {
        return Err(Violation::CHUNK_SIZE);
    }
    Ok(size)
}

/// `*( ";" token [ "=" ( token / quoted-string ) ] )`, without blanks (D-40).
fn check_extensions(mut rest: &[u8], limits: &Limits) -> Result<(), Violation> {
    let wrong = Err(Violation::CHUNK_EXTENSION);
    if rest.len() > limits.chunk_extension {
        return Err(Violation::CHUNK_OVERHEAD);
    }
    if rest.first().is_some_and(|&byte| byte != b';') {
        return Err(Violation::CHUNK_SIZE);
    }
    while let [b';', after @ ..] = rest {
        let Some(after) = skip_token(after) else {
            return wrong;
        };
        rest = match after {
            [b'=', b'"', quoted @ ..] => match skip_quoted(quoted) {
                Some(after) => after,
                None => return wrong,
            },
            [b'=', value @ ..] => match skip_token(value) {
                Some(after) => after,
                None => return wrong,
            },
            _ => after,
        };
    }
    if rest.is_empty() { Ok(()) } else { wrong }
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes
        .iter()
        .take_while(|&&byte| is_token_byte(byte))
        .count();
    (length > 0).then(|| bytes.get(length..)).flatten()
}

fn skip_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if *escaped >= 0x20 && *escaped != 0x7f => rest,
            [b'\\', ..] | [] => return None,
            [byte, rest @ ..] if *byte >= 0x20 && *byte != 0x7f => rest,
            _ => return None,
        };
    }
}

/// `tchar` of RFC 9110 §5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trailer_limits(limits: &Limits) -> SectionLimits {
    SectionLimits {
        first_line: limits.trailer_bytes,
        line: limits.trailer_bytes,
        total: limits.trailer_bytes,
    }
}

/// Size limits speak of trailers here, framing rules stay what they are.
fn trailer(violation: Violation) -> Violation {
    if violation.rule().starts_with('L') {
        Violation::TRAILERS_TOO_LARGE
    } else {
        violation
    }
}

fn trailers(section: &Bytes, limits: &Limits) -> Result<Option<FieldList>, Violation> {
    // The empty line is not part of it.
    if section.len() > limits.trailer_bytes.saturating_add(2) {
        return Err(Violation::TRAILERS_TOO_LARGE);
    }
    let fields = parse_fields(section, 0, limits).map_err(trailer)?;
    let framing = fields.host.is_some() || fields.chunked || fields.content_length.is_some();
    if framing || fields.map.keys().any(is_forbidden_trailer) {
        return Err(Violation::TRAILER);
    }
    if fields.map.len() > limits.trailer_fields {
        return Err(Violation::TRAILERS_TOO_LARGE);
    }
    Ok((!fields.map.is_empty()).then_some(fields.map))
}

/// Fields that would change framing or routing if they came last (D-52).
pub(crate) fn is_forbidden_trailer(name: &HeaderName) -> bool {
    [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TRAILER,
        header::HOST,
        header::CONNECTION,
        header::TE,
        header::UPGRADE,
        header::EXPECT,
    ]
    .contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8]) -> Result<(Vec<u8>, Option<FieldList>), Option<&'static str>> {
        let mut whole = BytesMut::from(input);
        let mut decoder = ChunkedDecoder::default();
        let mut body = Vec::new();
        loop {
            match decoder.decode(&mut whole, &Limits::default()) {
                Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                Ok(Decoded::End(trailers)) => return Ok((body, trailers)),
                Ok(Decoded::NeedMore) => return Err(None),
                Err(violation) => return Err(Some(violation.rule())),
            }
        }
    }

    /// Acceptance: 3, 6
    #[test]
    fn only_the_grammar_is_accepted() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300));
        for (input, expected) in [
            ("5\r\nhello\r\n0\r\n\r\n", Ok("hello")),
            ("5;a=b;c=\"d\\\"e\"\r\nhello\r\n0\r\n\r\n", Ok("hello")),
            ("0000000000000005\r\nhello\r\n0\r\n\r\n", Ok("hello")),
            ("00000000000000005\r\nhello\r\n0\r\n\r\n", Err(Some("D-39"))),
            ("5 \r\nhello\r\n0\r\n\r\n", Err(Some("D-39"))),
            (" 5\r\nhello\r\n", Err(Some("D-39"))),
            ("+5\r\nhello\r\n", Err(Some("D-39"))),
            ("0x5\r\nhello\r\n", Err(Some("D-39"))),
            ("5_0\r\nhello\r\n", Err(Some("D-39"))),
            ("\r\nhello\r\n", Err(Some("D-39"))),
            ("8000000000000000\r\n", Err(Some("D-39"))),
            ("5\nhello\r\n", Err(Some("D-30"))),
            ("5;\r\nhello\r\n", Err(Some("D-40"))),
            ("5; a\r\nhello\r\n", Err(Some("D-40"))),
            ("5;a=\"\u{1}\"\r\nhello\r\n", Err(Some("D-40"))),
            ("5\r\nhelloX\r\n", Err(Some("D-41"))),
            ("5\r\nhello\n0\r\n\r\n", Err(Some("D-41"))),
            ("0\r\nhost: a\r\n\r\n", Err(Some("D-52"))),
            ("0\r\nte: a\r\n\r\n", Err(Some("D-52"))),
            ("0\r\ncontent-length: 1\r\n\r\n", Err(Some("D-52"))),
            ("5\r\nhel", Err(None)),
            (long.as_str(), Err(Some("L-09"))),
        ] {
            let found = decode(input.as_bytes());
            let found = found.map(|(body, _)| String::from_utf8(body).unwrap());
            assert_eq!(found, expected.map(String::from), "{input:?}");
        }
    }

    /// Acceptance: 3
    #[test]
    fn every_cut_gives_the_same_body() {
        let input = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n";
        let mut buffer = BytesMut::new();
        let mut decoder = ChunkedDecoder::default();
        let mut body = Vec::new();
        let mut trailers = None;
        for &byte in input {
            buffer.extend_from_slice(&[byte]);
            loop {
                match decoder.decode(&mut buffer, &Limits::default()).unwrap() {
                    Decoded::Data(data) => body.extend_from_slice(&data),
                    Decoded::NeedMore => break,
                    Decoded::End(found) => {
                        trailers = found;
                        break;
                    }
                }
            }
        }
        assert_eq!(body, b"hello world");
        assert_eq!(trailers.unwrap().get("x-sum").unwrap(), "1");
    }
}
