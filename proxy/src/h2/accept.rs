//! The value checks between an HTTP/2 head and a request (D-62 to D-72, N-01 to N-08).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use adit_route::{CanonicalHost, FieldList};
use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use h2::server::SendResponse;
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version, header};

use super::meter::{Finding, Meter};
use super::stream::StreamBody;
use crate::error::Side;
use crate::h1::{Violation, path_and_query};
use crate::http::body::Body;
use crate::http::headers;
use crate::http::message::{Interim, Request, Upgrade};
use crate::limits::Limits;

/// What is done with a head that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The message is malformed: the stream is reset (RFC 9113 §8.1.1).
    Malformed(Violation),
    /// The message is well-formed and refused.
    Refused(Violation),
}

const fn malformed(rule: &'static str, reason: &'static str) -> Refusal {
    Refusal::Malformed(Violation::new(rule, reason, StatusCode::BAD_REQUEST))
}

const fn refused(rule: &'static str, reason: &'static str) -> Refusal {
    Refusal::Refused(Violation::new(rule, reason, StatusCode::BAD_REQUEST))
}

/// Length of a method (L-02).
const MOST_METHOD: usize = 32;

/// Turns a head into a request.
pub(super) fn accept(
    request: http::Request<RecvStream>,
    respond: &Rc<RefCell<SendResponse<Bytes>>>,
    meter: &Rc<RefCell<Meter>>,
    secure: bool,
    limits: &Limits,
) -> Result<Request, Refusal> {
    let (mut parts, stream) = request.into_parts();
    let number = stream.stream_id().as_u32();
    match meter.borrow_mut().finding(number) {
        Some(Finding::Fragment) => return Err(malformed("D-67", "fragment")),
        Some(Finding::Scheme) => return Err(refused("D-66", "scheme")),
        // They have come already.
        Some(Finding::Trailers) => return Err(malformed("D-60", "pseudo-field-in-trailers")),
        None => {}
    }
    if parts.method.as_str().len() > MOST_METHOD {
        return Err(malformed("D-68", "method-length"));
    }
    let mut fields = FieldList::from(std::mem::take(&mut parts.headers));
    check_size(&fields, limits)?;
    check_values(&fields)?;
    let (host, port) = host(&parts.uri, &fields)?;
    let wanted = if secure { "https" } else { "http" };
    if parts
        .uri
        .scheme_str()
        .is_some_and(|scheme| scheme != wanted)
    {
        return Err(refused("D-66", "scheme"));
    }
    let protocol = parts.extensions.remove::<Protocol>();
    let upgrade = match (&parts.method, protocol) {
        (&Method::CONNECT, Some(protocol)) if protocol.as_str() == "websocket" => {
            Some(Upgrade::Connect)
        }
        (&Method::CONNECT, Some(_)) => {
            return Err(Refusal::Refused(Violation::new(
                "D-83",
                "protocol",
                StatusCode::NOT_IMPLEMENTED,
            )));
        }
        _ => None,
    };
    let target = target(&parts, upgrade.is_some(), limits)?;
    let accepts_trailers = fields.contains_key(header::TE);
    let expects_continue = expectation(&fields)?;
    let length = content_length(&fields)?;
    fields.remove(header::HOST);
    fields.remove(header::CONTENT_LENGTH);
    headers::strip_request(&mut fields).map_err(Refusal::Refused)?;
    headers::join_cookies(&mut fields);
    let idle: Duration = limits.body_idle_timeout;
    let body = if stream.is_end_stream() {
        if length.is_some_and(|length| length > 0) {
            return Err(malformed("D-69", "no-content"));
        }
        Body::empty()
    } else {
        let stream = StreamBody::new(stream, Side::Client, idle, None).watched_by(meter);
        Body::stream(stream, length)
    };
    let expects_continue = expects_continue && !body.is_empty();
    Ok(Request {
        method: parts.method,
        version: Version::HTTP_2,
        host,
        port,
        target,
        headers: fields,
        body,
        expects_continue,
        upgrade,
        accepts_trailers,
        interim: Interim::H2(Rc::clone(respond)),
    })
}

fn check_size(headers: &FieldList, limits: &Limits) -> Result<(), Refusal> {
    let cookies = headers.get_all(header::COOKIE).count();
    let too_many = headers.len() - cookies > limits.header_fields;
    let rule = match (too_many, cookies > limits.cookie_fields) {
        (true, _) => Violation::TOO_MANY_FIELDS,
        (_, true) => Violation::TOO_MANY_COOKIES,
        _ => return Ok(()),
    };
    Err(Refusal::Refused(rule))
}

fn check_values(headers: &FieldList) -> Result<(), Refusal> {
    for value in headers.values() {
        let bytes = value.as_bytes();
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if blank(bytes.first()) || blank(bytes.last()) {
            return Err(malformed("D-62", "blank-around-value"));
        }
    }
    for name in [
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "connection",
    ] {
        if headers.contains_key(name) {
            return Err(malformed("D-63", "connection-field"));
        }
    }
    if headers.get_all(header::TE).any(|te| te != "trailers") {
        return Err(malformed("D-63", "te"));
    }
    if headers.contains_key("http2-settings") {
        return Err(refused("D-64", "http2-settings"));
    }
    Ok(())
}

/// `:authority` and `Host` say the same, or one of them speaks alone (D-64, D-65).
fn host(uri: &http::Uri, headers: &FieldList) -> Result<(CanonicalHost, Option<u16>), Refusal> {
    let parse = |text: &[u8]| {
        CanonicalHost::parse_authority(text).map_err(|_| Refusal::Refused(Violation::HOST))
    };
    let mut fields = headers.get_all(header::HOST);
    let field = match (fields.next(), fields.next()) {
        (_, Some(_)) => return Err(refused("D-64", "repeated-host")),
        (field, None) => field.map(|value| parse(value.as_bytes())).transpose()?,
    };
    let authority = uri.authority();
    let authority = authority
        .map(|text| parse(text.as_str().as_bytes()))
        .transpose()?;
    match (authority, field) {
        (Some(authority), Some(field)) if authority != field => {
            Err(refused("D-64", "authority-disagrees-with-host"))
        }
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(refused("D-65", "no-authority")),
    }
}

fn target(
    parts: &http::request::Parts,
    extended: bool,
    limits: &Limits,
) -> Result<PathAndQuery, Refusal> {
    let plain_connect = parts.method == Method::CONNECT && !extended;
    let Some(target) = parts.uri.path_and_query().filter(|_| !plain_connect) else {
        return if plain_connect {
            Ok(PathAndQuery::from_static("/"))
        } else {
            Err(malformed("D-67", "no-path"))
        };
    };
    let text = target.as_str();
    if text == "*" && parts.method == Method::OPTIONS {
        return Ok(target.clone());
    }
    if !text.starts_with('/') {
        return Err(malformed("D-67", "path-form"));
    }
    if text.len() > limits.request_line {
        return Err(Refusal::Refused(Violation::LINE_TOO_LONG));
    }
    path_and_query(Bytes::copy_from_slice(text.as_bytes())).map_err(Refusal::Refused)
}

fn expectation(headers: &FieldList) -> Result<bool, Refusal> {
    match headers.get(header::EXPECT) {
        None => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Refusal::Refused(Violation::EXPECTATION)),
    }
}

fn content_length(headers: &FieldList) -> Result<Option<u64>, Refusal> {
    let mut values = headers.get_all(header::CONTENT_LENGTH);
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.as_bytes(),
        _ => return Err(malformed("D-69", "repeated-length")),
    };
    let plain =
        value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value.first() != Some(&b'0'));
    let length = std::str::from_utf8(value)
        .ok()
        .filter(|_| plain)
        .and_then(|text| text.parse().ok());
    length.map(Some).ok_or(malformed("D-69", "length-syntax"))
}
