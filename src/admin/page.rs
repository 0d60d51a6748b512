//! The page: one embedded file without anything from elsewhere.
//!
//! Its script and its style are named by their digests, so that a browser runs these two and
//! nothing else, whatever a host or a certificate may be called. The script writes text, never
//! markup (O-05).

use std::fmt::Write;
use std::sync::LazyLock;

use adit_proxy::http::message::Response;
use http::{HeaderValue, StatusCode};

use super::reply;

const PAGE: &str = include_str!("page.html");

/// What the page may do: run its own script, use its own style, ask where it came from.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let script = source(between("<script>", "</script>")?)?;
    let style = source(between("<style>", "</style>")?)?;
    let policy = format!(
        "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

pub(super) fn page() -> Response {
    match &*POLICY {
        Some(policy) => reply::html(policy.clone(), PAGE),
        None => reply::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the page cannot be shown\n",
        ),
    }
}

fn between(start: &str, end: &str) -> Option<&'static str> {
    let (_, rest) = PAGE.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// `'sha256-…'`, as a content security policy names an inline text.
fn source(text: &str) -> Option<String> {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let digest = suite.tls13()?.common.hash_provider.hash(text.as_bytes());
    Some(format!("'sha256-{}'", base64(digest.as_ref())))
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| three.get(at).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * place) & 63) as usize);
            let letter = letter.filter(|_| place <= three.len());
            // Writing to a string cannot fail.
            let _ = text.write_char(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_written_in_base64() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        let nothing = source("").unwrap();
        assert_eq!(
            nothing,
            "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
        );
    }

    #[test]
    fn the_page_stands_alone_and_is_small() {
        assert!(PAGE.len() < 40 * 1024, "{} bytes", PAGE.len());
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert_eq!(PAGE.matches("<style").count(), 1);
        for outside in [
            "src=",
            "@import",
            "url(",
            "http:",
            "https:",
            "innerHTML",
            "style=\"",
            "onclick",
        ] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        let policy = page().headers.remove(http::header::CONTENT_SECURITY_POLICY);
        let policy = policy.unwrap();
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
