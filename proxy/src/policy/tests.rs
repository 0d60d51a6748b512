//! What the tests of policies stand on.

use bytes::BytesMut;

use crate::h1;
use crate::http::message::Request;
use crate::limits::Limits;

/// A GET request for this target, as the gate lets it through.
pub(super) fn request(target: &str) -> Request {
    let head = format!("GET {target} HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    h1::request_of(BytesMut::from(head.as_bytes()), false, &Limits::default()).unwrap()
}
