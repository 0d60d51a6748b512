//! The one path function: which bytes a request target may hold, every way to read a path, and
//! when a prefix covers it.
//!
//! A path that backends may read differently is not normalised here (that broke applications
//! elsewhere): it is forwarded as sent, but only if all of its readings lead to the same rule and
//! the same verdict (N-09). What must stay true: [`readings`] contains the path as sent, is closed
//! under every step, and its work is bounded whatever the client sends.

mod rewrite;

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

pub use rewrite::{push_escaped, rewritten, without_prefix};

/// The most readings that are followed. Real paths have one to four; what needs more is built to
/// confuse and is refused.
const MAX_READINGS: usize = 64;
/// The most bytes that all readings of one path may have together: sixteen of the longest paths.
const MAX_BYTES: usize = 128 * 1024;
/// How often a chain of backends may decode percent escapes (N-09).
const DECODES: usize = 2;

/// Why a path or query is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The path holds a byte that must be escaped.
    PathByte,
    /// A percent sign in the path without two hexadecimal digits.
    Escape,
    /// The path holds an escaped NUL.
    Nul,
    /// The query holds a byte that must be escaped.
    QueryByte,
    /// The path does not start with a slash.
    Relative,
    /// Dot-segments climb above the root under some reading.
    AboveRoot,
    /// There are more readings than any honest client needs.
    TooManyReadings,
    /// The path of a rule has more than one reading.
    NotCanonical,
}

impl PathError {
    /// The id of the broken rule in the security reference.
    pub fn rule(self) -> &'static str {
        match self {
            Self::PathByte | Self::Escape | Self::Nul | Self::QueryByte => "N-08",
            Self::Relative => "N-06",
            Self::AboveRoot => "N-10",
            Self::TooManyReadings | Self::NotCanonical => "N-09",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PathByte => "the path holds a byte that must be percent-encoded",
            Self::Escape => "a `%` in the path is not followed by two hexadecimal digits",
            Self::Nul => "the path holds an encoded NUL",
            Self::QueryByte => "the query holds a byte that must be percent-encoded",
            Self::Relative => "the path does not start with `/`",
            Self::AboveRoot => "the path climbs above the root",
            Self::TooManyReadings => "the path can be read in too many ways",
            Self::NotCanonical => "the path can be read in more than one way",
        })
    }
}

impl std::error::Error for PathError {}

/// Checks the bytes of a request target (N-08). What browsers send raw passes: braces, caret,
/// bar and quotes in a path; also backtick, backslash and stray `%` in a query.
pub fn check_target(path: &[u8], query: Option<&[u8]>) -> Result<(), PathError> {
    let found = classes(path);
    if found & BAD_IN_PATH != 0 {
        return Err(PathError::PathByte);
    }
    if found & PERCENT != 0 {
        check_escapes(path)?;
    }
    match query {
        Some(query) if classes(query) & BAD_IN_QUERY != 0 => Err(PathError::QueryByte),
        _ => Ok(()),
    }
}

const BAD_IN_PATH: u8 = 1;
const BAD_IN_QUERY: u8 = 2;
const PERCENT: u8 = 4;

static CLASS: [u8; 256] = byte_classes();

const fn byte_classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        let bad = match byte {
            0..=b' ' | 0x7f.. | b'#' | b'<' | b'>' => BAD_IN_PATH | BAD_IN_QUERY,
            b'\\' | b'`' => BAD_IN_PATH,
            b'"' => BAD_IN_QUERY,
            b'%' => PERCENT,
            _ => 0,
        };
        // A constant function can only index; the index is a byte and the table has 256 places.
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler, never at run time"
        )]
        {
            table[byte as usize] = bad;
        }
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

fn classes(text: &[u8]) -> u8 {
    text.iter().fold(0, |found, &byte| {
        found
            | CLASS
                .get(usize::from(byte))
                .copied()
                .unwrap_or(BAD_IN_PATH | BAD_IN_QUERY)
    })
}

fn check_escapes(path: &[u8]) -> Result<(), PathError> {
    for at in memchr::memchr_iter(b'%', path) {
        match path.get(at..).and_then(escaped_byte) {
            None => return Err(PathError::Escape),
            Some(0) => return Err(PathError::Nul),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether nobody can read the path in another way: it holds no `%`, `//`, `/.`, `;` and no
/// backslash.
pub fn is_plain(path: &str) -> bool {
    let mut previous = 0;
    for byte in path.bytes() {
        match byte {
            b'%' | b';' | b'\\' => return false,
            b'/' | b'.' if previous == b'/' => return false,
            _ => previous = byte,
        }
    }
    true
}

/// Every distinct reading of the path (N-09), the path as sent first.
///
/// The steps are: percent escapes decoded (at most twice), slashes merged, backslash taken for a
/// slash, path parameters removed, dot-segments removed; in every order. Bytes that are not UTF-8
/// after decoding are shown as U+FFFD, which no rule can name.
pub fn readings(path: &str) -> Result<SmallVec<[String; 4]>, PathError> {
    let texts = explore(path)?;
    Ok(texts
        .iter()
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect())
}

type Readings = SmallVec<[Vec<u8>; 4]>;

/// Level by level: everything that can be made without decoding, then each of these decoded once
/// more. So a text is always met with the most decodes left to it.
fn explore(path: &str) -> Result<Readings, PathError> {
    let mut found = Readings::from_iter([path.as_bytes().to_vec()]);
    if is_plain(path) {
        return Ok(found);
    }
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    let mut start = 0;
    for level in 0..=DECODES {
        let mut next = start;
        while let Some(text) = found.get(next) {
            let made = [
                slashes_merged(text),
                backslashes_turned(text),
                without_parameters(text),
                without_dots(text)?,
            ];
            for text in made.into_iter().flatten() {
                add(&mut found, text)?;
            }
            next += 1;
        }
        if level < DECODES {
            let decoded: Readings = found
                .iter()
                .skip(start)
                .filter_map(|text| decoded(text))
                .collect();
            start = found.len();
            for text in decoded {
                add(&mut found, text)?;
            }
        }
    }
    Ok(found)
}

fn add(found: &mut Readings, text: Vec<u8>) -> Result<(), PathError> {
    if found.contains(&text) {
        return Ok(());
    }
    let bytes: usize = found.iter().map(Vec::len).sum();
    if found.len() == MAX_READINGS || bytes + text.len() > MAX_BYTES {
        return Err(PathError::TooManyReadings);
    }
    found.push(text);
    Ok(())
}

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'%', text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(value) = escaped_byte(rest) {
            out.push(value);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    Some(out)
}

/// The byte that an escape at the front of the text stands for.
pub(crate) fn escaped_byte(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

fn slashes_merged(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(text, b"//")?;
    let mut out = text.to_vec();
    out.dedup_by(|next, previous| *next == b'/' && *previous == b'/');
    Some(out)
}

fn backslashes_turned(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', text)?;
    Some(
        text.iter()
            .map(|&byte| if byte == b'\\' { b'/' } else { byte })
            .collect(),
    )
}

fn without_parameters(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b';', text)?;
    let mut in_parameter = false;
    let kept = text.iter().copied().filter(|&byte| {
        in_parameter = byte != b'/' && (in_parameter || byte == b';');
        !in_parameter
    });
    Some(kept.collect())
}

/// RFC 3986 §5.2.4, except that climbing above the root is an error and not ignored (N-10).
fn without_dots(text: &[u8]) -> Result<Option<Vec<u8>>, PathError> {
    if !has_dot_segment(text) {
        return Ok(None);
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = text.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." => {}
            b".." => {
                kept.pop().ok_or(PathError::AboveRoot)?;
            }
            _ => kept.push(segment),
        }
        if segments.peek().is_none() && is_dot_segment(segment) {
            kept.push(b"");
        }
    }
    let mut out = Vec::with_capacity(text.len());
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    Ok(Some(out))
}

fn has_dot_segment(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"/.").is_some()
        && text.split(|&byte| byte == b'/').any(is_dot_segment)
}

fn is_dot_segment(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

/// The canonical form that rewrites work on (N-12), borrowed if the path already has it.
///
/// Escapes of unreserved characters are decoded and the others written in upper case (RFC 3986
/// §6.2.2), slashes are merged and dot-segments removed. `None`: the path has no such form, since
/// it climbs above the root or some reading of the form still holds a dot-segment.
pub fn canonical(path: &str) -> Option<Cow<'_, str>> {
    if is_plain(path) {
        return path.starts_with('/').then_some(Cow::Borrowed(path));
    }
    let mut form = escapes_normalised(path.as_bytes());
    if let Some(merged) = slashes_merged(&form) {
        form = merged;
    }
    if let Some(resolved) = without_dots(&form).ok()? {
        form = resolved;
    }
    let form = String::from_utf8(form).ok()?;
    if explore(&form)
        .ok()?
        .iter()
        .any(|reading| has_dot_segment(reading))
    {
        return None;
    }
    Some(if form == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(form)
    })
}

fn escapes_normalised(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        if let (Some(value), Some(escape)) = (escaped_byte(rest), rest.get(..3)) {
            if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
                out.push(value);
            } else {
                out.extend(escape.iter().map(u8::to_ascii_uppercase));
            }
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

/// Checks the path of a rule: absolute, of bytes that a request can hold, and with one reading
/// only. A rule with another path could never be selected, since every request for it is ambiguous.
pub fn check_rule_path(path: &str) -> Result<(), PathError> {
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    check_target(path.as_bytes(), None)?;
    if path.contains('?') {
        return Err(PathError::PathByte);
    }
    if explore(path)?.len() > 1 {
        Err(PathError::NotCanonical)
    } else {
        Ok(())
    }
}

/// Whether `prefix` covers `path` by whole path elements (N-11): `/api` and `/api/` cover `/api`
/// and `/api/x`, never `/apix`.
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
