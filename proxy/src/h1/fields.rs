//! Lines and fields: the grammar that heads and trailers share.
//!
//! One pass over complete sections: every line ends in CRLF, names are tokens, values hold no
//! control characters. Nothing is repaired (D-30 to D-36).

use adit_route::FieldList;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use super::violation::Violation;
use crate::limits::Limits;

/// Finds the end of a head or trailer section as bytes arrive, without looking at a byte twice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SectionScan {
    seen: usize,
    line_start: usize,
    lines: usize,
}

/// How long the parts of a section may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SectionLimits {
    pub first_line: usize,
    pub line: usize,
    pub total: usize,
}

impl SectionScan {
    /// The length of the section with its empty last line, once that has arrived.
    ///
    /// `empty_first` is the number of empty lines that may stand before the section.
    pub(crate) fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &SectionLimits,
    ) -> Result<Option<usize>, Violation> {
        loop {
            let rest = bytes.get(self.seen..).unwrap_or_default();
            let found = memchr::memchr(b'\n', rest);
            let line_end = found.map_or(bytes.len(), |at| self.seen + at);
            self.check_length(line_end, limits)?;
            if found.is_none() {
                self.seen = bytes.len();
                return Ok(None);
            }
            let line = bytes.get(self.line_start..line_end).unwrap_or_default();
            let Some((b'\r', line)) = line.split_last() else {
                return Err(Violation::BARE_LF);
            };
            self.seen = line_end + 1;
            self.line_start = self.seen;
            self.lines += 1;
            if line.is_empty() {
                return Ok(Some(self.seen));
            }
        }
    }

    fn check_length(&self, line_end: usize, limits: &SectionLimits) -> Result<(), Violation> {
        let (limit, violation) = match self.lines {
            0 => (limits.first_line, Violation::LINE_TOO_LONG),
            _ => (limits.line, Violation::FIELD_TOO_LONG),
        };
        // The CR of the line's end is not counted.
        if line_end - self.line_start > limit + 1 {
            return Err(violation);
        }
        // Lines bring two bytes and a colon each that the counted size does not have.
        if line_end
            > limits
                .total
                .saturating_add(4 * self.lines + limits.first_line)
        {
            return Err(Violation::HEAD_TOO_LARGE);
        }
        Ok(())
    }
}

/// What framing and routing need to know of a field section beside the fields themselves.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub map: FieldList,
    pub content_length: Option<u64>,
    pub chunked: bool,
    pub host: Option<HeaderValue>,
}

const COST_PER_FIELD: usize = 32;

/// Reads the lines of a complete section, the empty last line included. `section` is what `bytes`
/// holds from `from` on.
pub(crate) fn parse_fields(
    bytes: &Bytes,
    from: usize,
    limits: &Limits,
) -> Result<Fields, Violation> {
    const USUAL: usize = 16;
    let mut fields = Fields {
        map: FieldList::with_capacity(USUAL),
        ..Fields::default()
    };
    let (mut size, mut others, mut cookies) = (0_usize, 0_usize, 0_usize);
    let mut at = from;
    while let Some(length) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        // The scan has checked that each LF follows a CR.
        let line = bytes.get(at..at + length.saturating_sub(1));
        let line = line.unwrap_or_default();
        at += length + 1;
        if line.is_empty() {
            break;
        }
        let (name, value) = split_field(line, others + cookies == 0)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(value))
            .map_err(|_| wrong_byte(value))?;
        size += name.as_str().len() + value.len() + COST_PER_FIELD;
        if size > limits.header_bytes {
            return Err(Violation::HEAD_TOO_LARGE);
        }
        // Counted before it is kept, so that no more are ever held than a message may have.
        if name == header::COOKIE {
            cookies += 1;
            if cookies > limits.cookie_fields {
                return Err(Violation::TOO_MANY_COOKIES);
            }
        } else {
            others += 1;
            if others > limits.header_fields {
                return Err(Violation::TOO_MANY_FIELDS);
            }
        }
        fields.take(name, value)?;
    }
    if fields.chunked && fields.content_length.is_some() {
        return Err(Violation::LENGTH_AND_CODING);
    }
    Ok(fields)
}

impl Fields {
    /// Framing and host fields are read and kept apart: what leaves us is written anew (D-03).
    fn take(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Violation> {
        if name == header::CONTENT_LENGTH {
            if self.content_length.is_some() {
                return Err(Violation::DUPLICATE_LENGTH);
            }
            self.content_length = Some(content_length(value.as_bytes())?);
        } else if name == header::TRANSFER_ENCODING {
            if self.chunked {
                return Err(Violation::CODING);
            }
            transfer_encoding(value.as_bytes())?;
            self.chunked = true;
        } else if name == header::HOST {
            if self.host.is_some() {
                return Err(Violation::NO_HOST);
            }
            self.host = Some(value);
        } else {
            self.map.append(name, value);
        }
        Ok(())
    }
}

/// `name: value` with the blanks around the value removed.
fn split_field(line: &[u8], first: bool) -> Result<(HeaderName, &[u8]), Violation> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(if first {
            Violation::FIELD_NAME
        } else {
            Violation::FOLDING
        });
    }
    let colon = line.iter().position(|&byte| byte == b':');
    let colon = colon.ok_or(Violation::FIELD_NAME)?;
    let (name, value) = line.split_at(colon);
    if matches!(name.last(), Some(b' ' | b'\t')) {
        return Err(Violation::SPACE_BEFORE_COLON);
    }
    let name = HeaderName::from_bytes(name).map_err(|_| Violation::FIELD_NAME)?;
    Ok((name, trim_blanks(value.get(1..).unwrap_or_default())))
}

/// What is wrong with a value that is none: its first control character.
fn wrong_byte(value: &[u8]) -> Violation {
    let wrong = value
        .iter()
        .find(|&&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f);
    match wrong {
        Some(b'\r') => Violation::BARE_CR,
        _ => Violation::CONTROL,
    }
}

/// Without leading and trailing SP and HTAB; no other byte is a blank (RFC 9110 §5.6.3).
pub(crate) fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn content_length(value: &[u8]) -> Result<u64, Violation> {
    const MAX_DIGITS: usize = 19;
    if value.contains(&b',') {
        return Err(Violation::DUPLICATE_LENGTH);
    }
    if value.is_empty() || value.len() > MAX_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return Err(Violation::LENGTH_SYNTAX);
    }
    if value.len() > 1 && value.first() == Some(&b'0') {
        return Err(Violation::LENGTH_LEADING_ZERO);
    }
    let length = value
        .iter()
        .try_fold(0_u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .filter(|&length| i64::try_from(length).is_ok());
    length.ok_or(Violation::LENGTH_SYNTAX)
}

fn transfer_encoding(value: &[u8]) -> Result<(), Violation> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let chunked = |coding: &[u8]| trim_blanks(coding).eq_ignore_ascii_case(b"chunked");
    let codings = || value.split(|&byte| byte == b',');
    if codings().filter(|coding| chunked(coding)).count() > 1
        || codings().next_back().is_some_and(|last| !chunked(last)) && codings().any(chunked)
    {
        return Err(Violation::CODING_ORDER);
    }
    Err(Violation::CODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Fields, Violation> {
        parse_fields(
            &Bytes::copy_from_slice(text.as_bytes()),
            0,
            &Limits::default(),
        )
    }

    /// Acceptance: 1, 3
    #[test]
    fn framing_fields_have_one_reading_or_none() {
        for (text, expected) in [
            ("content-length: 5\r\n", Ok((Some(5), false))),
            ("content-length:0\r\n", Ok((Some(0), false))),
            ("transfer-encoding: \tChunked \r\n", Ok((None, true))),
            ("content-length: 5\r\ncontent-length: 5\r\n", Err("D-11")),
            ("content-length: 5, 5\r\n", Err("D-11")),
            ("content-length: +5\r\n", Err("D-12")),
            ("content-length: 0x5\r\n", Err("D-12")),
            ("content-length: 1_0\r\n", Err("D-12")),
            ("content-length: \r\n", Err("D-12")),
            ("content-length: 9223372036854775808\r\n", Err("D-12")),
            ("content-length: 99999999999999999999\r\n", Err("D-12")),
            ("content-length: 010\r\n", Err("D-13")),
            ("transfer-encoding: gzip, chunked\r\n", Err("D-14")),
            ("transfer-encoding: identity\r\n", Err("D-14")),
            ("transfer-encoding: xchunked\r\n", Err("D-14")),
            ("transfer-encoding: \u{b}chunked\r\n", Err("D-32")),
            ("transfer-encoding: chunked;a=b\r\n", Err("D-14")),
            ("transfer-encoding: ,chunked\r\n", Err("D-14")),
            ("transfer-encoding: chunked, chunked\r\n", Err("D-15")),
            ("transfer-encoding: chunked, gzip\r\n", Err("D-15")),
            (
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                Err("D-14"),
            ),
            (
                "content-length: 5\r\ntransfer-encoding: chunked\r\n",
                Err("D-10"),
            ),
            (
                "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
                Err("D-10"),
            ),
            ("a : b\r\n", Err("D-34")),
            ("a: b\r\n c\r\n", Err("D-35")),
            (" a: b\r\n", Err("D-36")),
            ("a\r\n", Err("D-36")),
            (": b\r\n", Err("D-36")),
            ("a\u{e9}: b\r\n", Err("D-36")),
            ("a(: b\r\n", Err("D-36")),
            ("a: b\rc\r\n", Err("D-31")),
            ("a: b\0c\r\n", Err("D-32")),
            ("a: b\u{7f}\r\n", Err("D-32")),
            ("host: a\r\nhost: a\r\n", Err("N-01")),
            ("a: \u{e9}\tb\r\n", Ok((None, false))),
        ] {
            let found = parse(&format!("{text}\r\n"));
            let found = found
                .map(|fields| (fields.content_length, fields.chunked))
                .map_err(Violation::rule);
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn more_fields_than_allowed_are_refused_also_where_heads_may_be_large() {
        let text = "x:\r\n".repeat(29_000);
        let limits = Limits {
            header_bytes: 1024 * 1024,
            header_fields: 10_000,
            ..Limits::default()
        };
        let found = parse_fields(&Bytes::from(text + "\r\n"), 0, &limits);
        assert_eq!(found.err().map(Violation::rule), Some("L-05"));
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        let section = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nrest";
        let limits = SectionLimits {
            first_line: 100,
            line: 100,
            total: 1000,
        };
        for cut in 0..section.len() {
            let mut scan = SectionScan::default();
            let early = scan.find_end(&section[..cut], &limits).unwrap();
            assert_eq!(early.is_some(), cut >= 27, "{cut}");
            if early.is_none() {
                assert_eq!(scan.find_end(section, &limits), Ok(Some(27)));
            }
        }
        for (text, rule) in [
            (&b"GET / HTTP/1.1\n"[..], "D-30"),
            (b"GET / HTTP/1.1\r\na: b\n", "D-30"),
            (&[b'a'; 102], "L-01"),
        ] {
            let found = SectionScan::default().find_end(text, &limits);
            assert_eq!(found.map_err(Violation::rule), Err(rule));
        }
    }
}
