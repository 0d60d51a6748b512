//! Answers of our own: fixed per status, without anything of the request in them.

use adit_route::FieldList;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::http::body::Body;
use crate::http::message::{Request, Response};
use crate::worker::Worker;

/// What every response carries.
pub(crate) fn complete(headers: &mut FieldList, worker: &Worker) {
    if !headers.contains_key(header::DATE) {
        headers.insert(header::DATE, worker.date());
    }
}

/// A short page that says the status. A host that does not exist and one that must not be known
/// get it from the same place, byte for byte (E-02).
pub(crate) fn page(status: StatusCode) -> Response {
    let mut response = Response::empty(status);
    if status == StatusCode::MISDIRECTED_REQUEST {
        return response;
    }
    let text = format!(
        "{} {}\n",
        status.as_str(),
        status.canonical_reason().unwrap_or("Error")
    );
    response.body = Body::full(Bytes::from(text));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers.insert(header::CONTENT_TYPE, plain);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        response.headers.insert(header::ALLOW, allow);
    }
    response
}

/// The same answer for a client that speaks gRPC: what its library reads is `grpc-status`, which
/// stands beside the status (section 4.3).
pub(crate) fn as_grpc(response: &mut Response) {
    let code = match response.status.as_u16() {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    };
    response.body = Body::empty();
    let headers = &mut response.headers;
    let kind = HeaderValue::from_static("application/grpc");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(GRPC_STATUS, HeaderValue::from_static(code));
    let reason = response.status.canonical_reason().unwrap_or("Error");
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(reason));
}

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The same place over TLS.
pub(crate) fn to_https(request: &Request, port: Option<u16>, status: StatusCode) -> Response {
    let host = &request.host;
    let target = request.target.as_str();
    let location = match port {
        Some(port) if port != 443 => format!("https://{host}:{port}{target}"),
        _ => format!("https://{host}{target}"),
    };
    let mut response = Response::empty(status);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers.insert(header::LOCATION, location);
    }
    response
}
