//! What the variables of a template stand for in a request (section 2.14).

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use adit_route::Groups;
use adit_route::policy::template::Part;
use adit_route::policy::{Template, Variable};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};

use super::access::certificate::{self, verified};
use super::passage::Scene;
use crate::http::handle::cookie;
use crate::http::headers;

/// The text of a template. A variable that the request does not have is empty. Bytes of fields that
/// are no UTF-8 become U+FFFD.
pub(crate) fn expand(template: &Template, scene: &Scene<'_>) -> String {
    expand_with(template, scene, None)
}

/// The text of a template beside an expression. A group that found nothing is empty.
pub(super) fn expand_with(
    template: &Template,
    scene: &Scene<'_>,
    groups: Option<&Groups<'_>>,
) -> String {
    if let Some(text) = template.as_literal() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(64);
    for part in template.parts() {
        expand_part(part, scene, groups, &mut out);
    }
    out
}

/// The text of one piece.
pub(super) fn expand_part(
    part: &Part,
    scene: &Scene<'_>,
    groups: Option<&Groups<'_>>,
    out: &mut String,
) {
    match part {
        Part::Text(text) => out.push_str(text),
        Part::Variable(variable) => value(variable, scene, out),
        Part::Capture(group) => {
            out.push_str(groups.map_or("", |groups| groups.group(usize::from(*group))));
        }
    }
}

static HOSTNAME: LazyLock<String> = LazyLock::new(|| {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
});

fn value(variable: &Variable, scene: &Scene<'_>, out: &mut String) {
    let request = scene.request;
    match variable {
        Variable::Scheme => out.push_str(scene.scheme()),
        Variable::Host => out.push_str(request.host.as_str()),
        Variable::HostAndPort => {
            out.push_str(request.host.as_str());
            if let Some(port) = request.port {
                let _ = write!(out, ":{port}");
            }
        }
        Variable::IsRequestPort => out.push_str(if request.port.is_some() { ":" } else { "" }),
        Variable::RequestPort => {
            if let Some(port) = request.port {
                let _ = write!(out, "{port}");
            }
        }
        Variable::Field(name) => field(scene, name, out),
        Variable::RequestUri => out.push_str(scene.target.as_str()),
        Variable::EscapedRequestUri => escape(scene.target.as_str(), out),
        Variable::Uri => out.push_str(request.target.path()),
        Variable::Method => out.push_str(request.method.as_str()),
        Variable::Query => out.push_str(scene.target.query().unwrap_or_default()),
        Variable::Argument(name) => out.push_str(argument(scene, name)),
        Variable::IsArgs => {
            if scene.target.query().is_some_and(|query| !query.is_empty()) {
                out.push('?');
            }
        }
        Variable::RemoteAddr => {
            let _ = write!(out, "{}", scene.client);
        }
        Variable::RemoteUser => out.push_str(scene.user.unwrap_or_default()),
        Variable::ServerPort => {
            let _ = write!(out, "{}", scene.info.local.port());
        }
        Variable::PassPort => field(scene, &headers::X_FORWARDED_PORT, out),
        Variable::Hostname => out.push_str(&HOSTNAME),
        Variable::LocationPath => out.push_str(scene.location),
        Variable::ContentType => field(scene, &CONTENT_TYPE, out),
        Variable::ContentLength => match request.body.length() {
            Some(length) if length > 0 => {
                let _ = write!(out, "{length}");
            }
            _ => field(scene, &CONTENT_LENGTH, out),
        },
        Variable::Cookie(name) => {
            let found = cookie(request, name).unwrap_or_default();
            out.push_str(&String::from_utf8_lossy(found));
        }
        Variable::RequestId => field(scene, &headers::X_REQUEST_ID, out),
        Variable::ForwardedFor => field(scene, &headers::X_FORWARDED_FOR, out),
        Variable::ClientSubject => {
            out.push_str(verified(scene.info).map_or("", |client| &client.subject));
        }
        Variable::ClientIssuer => {
            out.push_str(verified(scene.info).map_or("", |client| &client.issuer));
        }
        Variable::ClientVerify => out.push_str(&certificate::verify(scene.info)),
        Variable::ClientFingerprint => {
            let fingerprint = verified(scene.info).map(certificate::fingerprint);
            out.push_str(&fingerprint.unwrap_or_default());
        }
        Variable::Milliseconds => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default();
            let _ = write!(out, "{}.{:03}", now.as_secs(), now.subsec_millis());
        }
        Variable::TimeIso8601 => {
            let now = SystemTime::now();
            out.push_str(&crate::access_log::iso8601(now));
        }
    }
}

fn field(scene: &Scene<'_>, name: &HeaderName, out: &mut String) {
    let value = scene.request.headers.get(name).map(HeaderValue::as_bytes);
    out.push_str(&String::from_utf8_lossy(value.unwrap_or_default()));
}

/// The first parameter of a name, as it was sent.
fn argument<'a>(scene: &Scene<'a>, name: &str) -> &'a str {
    let query = scene.target.query().unwrap_or_default();
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find_map(|(found, value)| (found == name).then_some(value))
        .unwrap_or_default()
}

/// Everything but unreserved characters becomes `%XX` (RFC 3986 §2.3).
pub(super) fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
