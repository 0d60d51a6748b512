//! Answers of the admin surface, with the fields that keep them where they belong.
//!
//! Nothing is cached, guessed at, framed, or handed to another site's script: whatever an answer
//! does not need is forbidden to the browser that shows it.

use adit_proxy::http::body::Body;
use adit_proxy::http::message::Response;
use adit_route::FieldList;
use http::{HeaderName, HeaderValue, StatusCode, header};

/// For answers that are not a page: nothing may be loaded or run.
const INERT: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Foreign text is cut after so many bytes (O-05).
const LONGEST: usize = 16 * 1024;

/// A text for people.
pub(super) fn text(status: StatusCode, body: &str) -> Response {
    answer(status, "text/plain; charset=utf-8", INERT, body.to_owned())
}

/// A report for programs.
pub(super) fn json(body: String) -> Response {
    json_with(StatusCode::OK, body)
}

pub(super) fn json_with(status: StatusCode, body: String) -> Response {
    answer(status, "application/json", INERT, body + "\n")
}

/// Counters, in the text format of Prometheus.
pub(super) fn metrics(body: String) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    answer(StatusCode::OK, kind, INERT, body)
}

/// The page, with what it may do.
pub(super) fn html(policy: HeaderValue, body: &'static str) -> Response {
    answer(StatusCode::OK, "text/html; charset=utf-8", policy, body)
}

fn answer(
    status: StatusCode,
    kind: &'static str,
    policy: HeaderValue,
    body: impl Into<bytes::Bytes>,
) -> Response {
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    let fixed = HeaderValue::from_static;
    let headers = [
        (header::CONTENT_TYPE, fixed(kind)),
        (header::CACHE_CONTROL, fixed("no-store")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (header::X_FRAME_OPTIONS, fixed("DENY")),
        (header::REFERRER_POLICY, fixed("no-referrer")),
        (RESOURCE_POLICY, fixed("same-origin")),
        (OPENER_POLICY, fixed("same-origin")),
    ];
    Response {
        status,
        headers: FieldList::from_iter(headers),
        body: Body::full(body),
    }
}

/// Text of foreign origin that can neither break a terminal nor fill a page (O-05). Lines stay.
pub(super) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len().min(LONGEST));
    for letter in text.chars() {
        if tamed.len() >= LONGEST {
            tamed.push_str("\n(cut here)");
            break;
        }
        match letter {
            '\n' => tamed.push(letter),
            // Marks that turn the direction of what follows would let text pose as other text.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                tamed.extend(letter.escape_unicode());
            }
            _ if letter.is_control() => tamed.extend(letter.escape_default()),
            _ => tamed.push(letter),
        }
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        for (foreign, tamed) in [
            ("a key\nof b\u{fc}cher", "a key\nof b\u{fc}cher"),
            ("\x1b[2Jgone", "\\u{1b}[2Jgone"),
            ("a\tb\rc", "a\\tb\\rc"),
            ("lan\u{202e}cilbup", "lan\\u{202e}cilbup"),
        ] {
            assert_eq!(tame(foreign), tamed);
        }
        let long = tame(&"x".repeat(100_000));
        assert!(long.len() < LONGEST + 20 && long.ends_with("(cut here)"));
    }
}
