//! Paths that a rewrite has made (N-12): written as every backend reads them.
//!
//! Rewrites work on the canonical form of what the client sent, and what they make is brought into
//! that form again. What must stay true: the result begins with one slash, has no escape that it
//! does not need, and no reading of it holds a dot-segment; a path that cannot be brought there is
//! no path.

use std::borrow::Cow;

use super::{check_target, escapes_normalised, explore, has_dot_segment, is_plain, slashes_merged};

/// The canonical form of a path that a rewrite made of texts of the request. `None`: there is none,
/// since it is relative, or holds a dot-segment or a bad escape under some reading.
pub fn rewritten(path: &str) -> Option<Cow<'_, str>> {
    if !path.starts_with('/') || check_target(path.as_bytes(), None).is_err() || path.contains('?')
    {
        return None;
    }
    if is_plain(path) {
        return Some(Cow::Borrowed(path));
    }
    let mut form = escapes_normalised(path.as_bytes());
    if let Some(merged) = slashes_merged(&form) {
        form = merged;
    }
    let form = String::from_utf8(form).ok()?;
    let readings = explore(&form).ok()?;
    if readings.iter().any(|reading| has_dot_segment(reading)) {
        return None;
    }
    Some(Cow::Owned(form))
}

/// Appends text to a path so that it can be nothing else there: what no path may hold is escaped,
/// and so is `?`. Escapes stay as they are.
pub fn push_escaped(path: &mut String, text: &str) {
    for byte in text.bytes() {
        let plain = matches!(byte, b'!'..=b'~') && !b"\"#<>?\\`".contains(&byte);
        if plain {
            path.push(char::from(byte));
        } else {
            push_escape(path, byte);
        }
    }
}

fn push_escape(path: &mut String, byte: u8) {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    path.push('%');
    path.push(digit(byte >> 4).to_ascii_uppercase());
    path.push(digit(byte & 0xf).to_ascii_uppercase());
}

/// Takes the first of these prefixes off a canonical path, by whole elements; what is left begins
/// with a slash. Says which prefix it was.
pub fn without_prefix<'p, 'x, T: AsRef<str>>(
    path: &'p str,
    prefixes: &'x [T],
) -> Option<(&'x str, Cow<'p, str>)> {
    let prefix = prefixes.iter().map(AsRef::as_ref);
    let prefix = prefix
        .into_iter()
        .find(|prefix| super::has_prefix(path, prefix))?;
    let stem = prefix.strip_suffix('/').unwrap_or(prefix);
    let rest = path.strip_prefix(stem)?;
    let rest = match rest {
        "" => Cow::Borrowed("/"),
        rest if rest.starts_with('/') => Cow::Borrowed(rest),
        rest => Cow::Owned(format!("/{rest}")),
    };
    Some((stem, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rewrite_makes_has_one_reading_of_its_elements() {
        let cases = [
            ("/a/b", Some("/a/b")),
            ("//a//b", Some("/a/b")),
            ("/%61%2f%3a", Some("/a%2F%3A")),
            ("/a/../b", None),
            ("/a/%2e%2e/b", None),
            ("/a/%252e%252e/b", None),
            ("/a/..;x/b", None),
            ("/a%5c..%5cb", None),
            ("/a%zz", None),
            ("/a%00", None),
            ("/a?b", None),
            ("/a b", None),
            ("a", None),
            ("", None),
        ];
        for (made, wanted) in cases {
            assert_eq!(rewritten(made).as_deref(), wanted, "{made}");
        }
    }

    #[test]
    fn texts_of_a_request_cannot_end_the_path() {
        let mut path = "/".to_owned();
        push_escaped(&mut path, "a b?c#d/é%20\"");
        assert_eq!(path, "/a%20b%3Fc%23d/%C3%A9%20%22");
    }

    #[test]
    fn prefixes_go_by_whole_elements() {
        let cases = [
            ("/api/x", &["/api"][..], Some(("/api", "/x"))),
            ("/api", &["/api"], Some(("/api", "/"))),
            ("/api/", &["/api/"], Some(("/api", "/"))),
            ("/apix", &["/api"], None),
            ("/b/c", &["/a", "/b"], Some(("/b", "/c"))),
            ("/b", &["/"], Some(("", "/b"))),
        ];
        for (path, prefixes, wanted) in cases {
            let found = without_prefix(path, prefixes);
            let found = found.as_ref().map(|(prefix, rest)| (*prefix, &**rest));
            assert_eq!(found, wanted, "{path}");
        }
    }
}
