//! From the head of a request to the request: expectation, WebSocket handshake, body (D-80 to D-85).

use std::rc::Rc;

use adit_route::FieldList;
use bytes::BytesMut;
use http::{HeaderValue, Method, Version, header};

use super::head::{BodyLength, HeadReader, RequestHead, Target, parse_request};
use super::server::IncomingBody;
use super::violation::Violation;
use super::wire::Wire;
use crate::http::body::Body;
use crate::http::headers;
use crate::http::message::{Interim, Request, Upgrade};
use crate::http::upgrade;
use crate::limits::Limits;

/// A request head that has become a request.
pub(super) struct Accepted {
    pub request: Request,
    pub persistent: bool,
    pub version_10: bool,
    pub holds_body: bool,
}

/// The request that a head of these bytes makes, without a connection: its body is only announced.
pub(crate) fn request_of(
    mut head: BytesMut,
    secure: bool,
    limits: &Limits,
) -> Result<Request, Violation> {
    let read = HeadReader::default().read(&mut head, limits, true)?;
    let head = read.ok_or(Violation::REQUEST_LINE)?;
    let head = parse_request(&head, secure, limits)?;
    Ok(Accepted::without_body(head)?.request)
}

impl Accepted {
    pub(super) fn new(
        head: RequestHead,
        wire: &Rc<Wire>,
        limits: &Rc<Limits>,
    ) -> Result<Self, Violation> {
        let length = head.length;
        let mut accepted = Self::without_body(head)?;
        wire.begin_body(length);
        let body = || IncomingBody::new(wire, limits);
        accepted.request.body = match length {
            BodyLength::None | BodyLength::UntilClose => Body::empty(),
            BodyLength::Exact(length) => Body::incoming(body(), Some(length)),
            BodyLength::Chunked => Body::incoming(body(), None),
        };
        if !accepted.version_10 {
            accepted.request.interim = Interim::H1(Rc::clone(wire));
        }
        Ok(accepted)
    }

    fn without_body(head: RequestHead) -> Result<Self, Violation> {
        let RequestHead {
            method,
            version,
            host,
            port,
            target,
            mut headers,
            length,
        } = head;
        let version_10 = version == Version::HTTP_10;
        let expects_continue = expectation(&headers, version_10)?;
        let asked = handshake(&method, version_10, &headers, length);
        let accepts_trailers = headers.get(header::TE).is_some_and(|te| {
            te.as_bytes()
                .split(|&byte| byte == b',')
                .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        });
        let options = headers::strip_request(&mut headers)?;
        let upgrade = match asked {
            Handshake::Whole(key) if options.upgrade => {
                // The encoder writes these anew.
                headers.remove(header::SEC_WEBSOCKET_KEY);
                headers.remove(header::SEC_WEBSOCKET_VERSION);
                Some(Upgrade::Key(key))
            }
            Handshake::Half if options.upgrade => return Err(Violation::HANDSHAKE),
            _ => None,
        };
        let target = match target {
            Target::Path(target) => target,
            Target::Asterisk => http::uri::PathAndQuery::from_static("*"),
            Target::Authority => http::uri::PathAndQuery::from_static("/"),
        };
        let bodiless = matches!(length, BodyLength::None | BodyLength::UntilClose);
        let holds_body = expects_continue && !bodiless;
        // An HTTP/1.0 client may mean what follows as a body that it did not announce (D-17).
        let unannounced = version_10 && bodiless && may_have_body(&method);
        Ok(Self {
            persistent: !options.close && !unannounced && (!version_10 || options.keep_alive),
            version_10,
            holds_body,
            request: Request {
                method,
                version,
                host,
                port,
                target,
                headers,
                body: Body::announced(match length {
                    BodyLength::Exact(length) => Some(length),
                    BodyLength::None | BodyLength::UntilClose => Some(0),
                    BodyLength::Chunked => None,
                }),
                expects_continue: holds_body,
                upgrade,
                accepts_trailers,
                interim: Interim::None,
            },
        })
    }
}

fn may_have_body(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE].contains(method)
}

/// `Expect` is 100-continue or refused (D-80); HTTP/1.0 clients know none (D-81).
fn expectation(headers: &FieldList, version_10: bool) -> Result<bool, Violation> {
    let mut values = headers.get_all(header::EXPECT);
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Ok(!version_10)
        }
        _ => Err(Violation::EXPECTATION),
    }
}

/// What a head says of WebSocket.
enum Handshake {
    /// Nothing, or nothing that counts.
    None,
    /// It asks for one.
    Whole(HeaderValue),
    /// It asks for one, without a good key or version.
    Half,
}

fn handshake(
    method: &Method,
    version_10: bool,
    headers: &FieldList,
    length: BodyLength,
) -> Handshake {
    let websocket = headers.get_all(header::UPGRADE).any(|value| {
        value
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    });
    if !websocket || version_10 || *method != Method::GET || length != BodyLength::None {
        return Handshake::None;
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|key| upgrade::is_key(key))
        .filter(|_| version.is_some_and(|version| version == "13"));
    key.cloned().map_or(Handshake::Half, Handshake::Whole)
}
