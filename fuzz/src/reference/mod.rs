//! The plain readers: each rule as it is written, without care for speed.
//!
//! They share no code with the readers of the product. Each works on a whole input, copies what it
//! likes and looks at bytes as often as it likes; that is what makes them easy to believe.

pub(crate) mod chunked;
pub(crate) mod head;
pub(crate) mod host;
pub(crate) mod proxy_header;

/// A character of a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    const MARKS: &[u8] = b"!#$%&'*+-.^_`|~";
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || MARKS.contains(byte))
}

/// Blanks at either end removed.
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = text.iter().position(|byte| !blank(byte));
    let Some(start) = start else { return &[] };
    let end = text.iter().rposition(|byte| !blank(byte)).unwrap();
    &text[start..=end]
}
