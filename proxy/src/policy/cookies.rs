//! Fields of the backend that name places: attributes of cookies, `Location` and `Refresh`.

use adit_route::FieldList;
use adit_route::policy::{AttributeRewrite, CookieEdits, LocationEdit, SameSite};
use http::header::{self, HeaderName, HeaderValue};

use super::expand::{expand, expand_with};
use super::passage::Scene;

/// Edits every `Set-Cookie`.
pub(super) fn edit_cookies(edits: &CookieEdits, scene: &Scene<'_>, headers: &mut FieldList) {
    if edits.is_empty() || !headers.contains_key(header::SET_COOKIE) {
        return;
    }
    let cookies: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .map(|cookie| edited(edits, scene, cookie))
        .collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// One cookie. What cannot be read as text, or would not be a field any more, stays as it is.
fn edited(edits: &CookieEdits, scene: &Scene<'_>, cookie: &HeaderValue) -> HeaderValue {
    let Ok(text) = std::str::from_utf8(cookie.as_bytes()) else {
        return cookie.clone();
    };
    let mut attributes = text.split(';');
    let mut out = attributes.next().unwrap_or_default().to_owned();
    let (mut secure, mut http_only) = (false, false);
    for attribute in attributes {
        let (name, value) = match attribute.split_once('=') {
            Some((name, value)) => (name.trim(), value.trim()),
            None => (attribute.trim(), ""),
        };
        let rewritten = if name.eq_ignore_ascii_case("domain") {
            first_that_fits(&edits.domain, value, scene, domain)
        } else if name.eq_ignore_ascii_case("path") {
            first_that_fits(&edits.path, value, scene, path)
        } else {
            None
        };
        secure |= name.eq_ignore_ascii_case("secure");
        http_only |= name.eq_ignore_ascii_case("httponly");
        if edits.same_site.is_some() && name.eq_ignore_ascii_case("samesite") {
            continue;
        }
        out.push(';');
        match rewritten {
            Some(value) => out.extend([" ", name, "=", &value]),
            None => out.push_str(attribute),
        }
    }
    if edits.secure && !secure {
        out.push_str("; Secure");
    }
    if edits.http_only && !http_only {
        out.push_str("; HttpOnly");
    }
    if let Some(same_site) = edits.same_site {
        out.push_str(match same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
    }
    HeaderValue::try_from(out).unwrap_or_else(|_| cookie.clone())
}

/// What of a value a literal leaves standing before and behind it; `None` if it does not fit.
type Fit = for<'v> fn(&'v str, &str) -> Option<(&'v str, &'v str)>;

/// A domain fits as a whole, whatever its case. A leading dot does not count, and stays.
fn domain<'v>(value: &'v str, from: &str) -> Option<(&'v str, &'v str)> {
    let bare = |text: &'v str| text.strip_prefix('.').unwrap_or(text);
    let from = from.strip_prefix('.').unwrap_or(from);
    let dot = value.get(..value.len() - bare(value).len())?;
    bare(value).eq_ignore_ascii_case(from).then_some((dot, ""))
}

/// A path fits by its beginning.
fn path<'v>(value: &'v str, from: &str) -> Option<(&'v str, &'v str)> {
    Some(("", value.strip_prefix(from)?))
}

fn first_that_fits(
    rewrites: &[AttributeRewrite],
    value: &str,
    scene: &Scene<'_>,
    fit: Fit,
) -> Option<String> {
    rewrites.iter().find_map(|rewrite| match rewrite {
        AttributeRewrite::Literal { from, to } => {
            let (before, behind) = fit(value, from)?;
            Some(format!("{before}{}{behind}", expand(to, scene)))
        }
        AttributeRewrite::Expression { pattern, to } => {
            let groups = pattern.groups(value)?;
            Some(expand_with(to, scene, Some(&groups)))
        }
    })
}

/// Edits the beginning of `Location`, and of the URL in `Refresh`.
pub(super) fn edit_locations(edits: &[LocationEdit], scene: &Scene<'_>, headers: &mut FieldList) {
    if edits.is_empty() {
        return;
    }
    for (name, before) in [(header::LOCATION, ""), (header::REFRESH, "url=")] {
        if let Some(value) = edited_location(edits, scene, headers, &name, before) {
            headers.insert(name, value);
        }
    }
}

fn edited_location(
    edits: &[LocationEdit],
    scene: &Scene<'_>,
    headers: &FieldList,
    name: &HeaderName,
    before: &str,
) -> Option<HeaderValue> {
    let text = headers.get(name)?.to_str().ok()?;
    let start = text.to_ascii_lowercase().find(before)? + before.len();
    let (head, place) = text.split_at_checked(start)?;
    let new = edits.iter().find_map(|edit| {
        let rest = place.strip_prefix(&*edit.from)?;
        Some(format!("{head}{}{rest}", expand(&edit.to, scene)))
    })?;
    HeaderValue::try_from(new).ok()
}
