//! Whether a request goes to the canary (section 6.1).
//!
//! A pure function of the request, the policy and one random number; what a session says comes
//! before it and is not decided here.

use adit_route::policy::{Canary, CanaryHeader};

use crate::http::handle::cookie;
use crate::http::message::Request;

/// Whether the request goes to the canary: header, cookie, weight, in this order. `draw` gives a
/// number below its argument.
pub(super) fn takes(policy: &Canary, request: &Request, draw: impl FnOnce(u32) -> u32) -> bool {
    let said = policy
        .header
        .as_ref()
        .and_then(|header| by_header(header, request))
        .or_else(|| by_cookie(policy.cookie.as_deref()?, request));
    said.unwrap_or_else(|| match policy.weight {
        0 => false,
        weight if weight >= policy.total => true,
        weight => draw(policy.total) < weight,
    })
}

/// What the policy would do with the request, in words.
pub(super) fn tell(policy: &Canary, request: &Request) -> String {
    let name = &policy.upstream.name;
    let header = policy.header.as_ref();
    let cookie = policy.cookie.as_deref();
    if let Some(takes) = header.and_then(|header| by_header(header, request)) {
        let not = if takes { "" } else { "not " };
        return format!("its header says {not}to {name}");
    }
    if let Some(takes) = cookie.and_then(|cookie| by_cookie(cookie, request)) {
        let not = if takes { "" } else { "not " };
        return format!("its cookie says {not}to {name}");
    }
    let Canary { weight, total, .. } = policy;
    format!("{weight} of {total} requests go to {name}")
}

fn by_header(header: &CanaryHeader, request: &Request) -> Option<bool> {
    let value = |name| request.headers.get(name).map(http::HeaderValue::as_bytes);
    match header {
        CanaryHeader::Switch(name) => switch(value(name)?),
        CanaryHeader::Value(name, wanted) => (value(name)? == wanted.as_bytes()).then_some(true),
        CanaryHeader::Pattern(name, pattern) => {
            let value = String::from_utf8_lossy(value(name)?);
            pattern.is_match(&value).then_some(true)
        }
        CanaryHeader::Broken(name) => value(name).map(|_| false),
    }
}

fn by_cookie(name: &str, request: &Request) -> Option<bool> {
    switch(cookie(request, name)?)
}

/// `always` and `never` decide; anything else leaves it open.
fn switch(value: &[u8]) -> Option<bool> {
    match value {
        b"always" => Some(true),
        b"never" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderName, HeaderValue};
    use regex::Regex;

    use super::*;
    use crate::policy::tests::request;

    const FIELD: HeaderName = HeaderName::from_static("x-canary");

    fn canary(header: Option<CanaryHeader>, weight: u32) -> Canary {
        Canary {
            upstream: Arc::new(crate::upstream::test_spec()),
            header,
            cookie: Some("canary".into()),
            weight,
            total: 100,
            sticky: true,
        }
    }

    #[test]
    fn header_goes_before_cookie_before_weight() {
        let switch = || CanaryHeader::Switch(FIELD);
        let value = || CanaryHeader::Value(FIELD, "blue".into());
        let pattern = || CanaryHeader::Pattern(FIELD, Regex::new("^b[lr]").unwrap());
        let broken = || CanaryHeader::Broken(FIELD);
        // Header policy, header, cookie, weight, canary.
        let cases = [
            (switch(), Some("always"), Some("never"), 0, true),
            (switch(), Some("never"), Some("always"), 100, false),
            (switch(), Some("else"), Some("always"), 0, true),
            (switch(), None, Some("never"), 100, false),
            (switch(), None, Some("Always"), 0, false),
            (switch(), None, None, 100, true),
            (value(), Some("blue"), Some("never"), 0, true),
            (value(), Some("Blue"), None, 0, false),
            (value(), Some("always"), None, 0, false),
            (value(), Some("never"), Some("always"), 0, true),
            (value(), Some("never"), None, 100, true),
            (pattern(), Some("brown"), Some("never"), 0, true),
            (pattern(), Some("never"), None, 100, true),
            (pattern(), Some("dark blue"), None, 0, false),
            (broken(), Some("always"), Some("always"), 100, false),
            (broken(), None, Some("always"), 0, true),
            (broken(), None, None, 100, true),
        ];
        for (header, field, cookie, weight, expected) in cases {
            let name = format!("{header:?} {field:?} {cookie:?} {weight}");
            let mut request = request("/");
            if let Some(field) = field {
                request
                    .headers
                    .insert(FIELD, HeaderValue::from_static(field));
            }
            if let Some(cookie) = cookie {
                let cookie = HeaderValue::try_from(format!("a=b; canary={cookie}")).unwrap();
                request.headers.insert(http::header::COOKIE, cookie);
            }
            let policy = canary(Some(header), weight);
            assert_eq!(takes(&policy, &request, |_| 50), expected, "{name}");
        }
    }

    #[test]
    fn weight_is_a_share_of_the_total() {
        let request = request("/");
        let taken = |weight, total| {
            let policy = Canary {
                total,
                ..canary(None, weight)
            };
            (0..total)
                .filter(|drawn| takes(&policy, &request, |_| *drawn))
                .count()
        };
        assert_eq!(taken(0, 100), 0);
        assert_eq!(taken(30, 100), 30);
        assert_eq!(taken(100, 100), 100);
        assert_eq!(taken(250, 1000), 250);
        assert_eq!(taken(2000, 1000), 1000);
    }

    #[test]
    fn the_first_of_several_fields_counts() {
        let mut request = request("/");
        for value in ["never", "always"] {
            request
                .headers
                .append(FIELD, HeaderValue::from_static(value));
        }
        let policy = canary(Some(CanaryHeader::Switch(FIELD)), 100);
        assert!(!takes(&policy, &request, |_| 0));
    }
}
