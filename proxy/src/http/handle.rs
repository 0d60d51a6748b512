//! The life of a request: who asks for what through which door, and what becomes of it.
//!
//! Exposure is decided first and for every request; whatever is out of reach is answered exactly as
//! if it did not exist. Only then do the relation of TLS name and host, redirects, routes and
//! limits follow.

use std::rc::Rc;
use std::sync::Arc;

use adit_route::table::{HostTable, RequestView, Selection};
use adit_route::{Role, Verdict};
use http::{HeaderValue, Method, StatusCode, header};

use crate::blueprint::{ForeignTunnel, ListenerKind};
use crate::error::Error;
use crate::h1::Violation;
use crate::http::body::Body;
use crate::http::headers;
use crate::http::message::{Request, Response, Upgrade};
use crate::http::{forward, reply};
use crate::info::{ConnInfo, TlsInfo};
use crate::snapshot::{CompiledAction, CompiledHost, CompiledRoute, Snapshot};
use crate::tls::ClientIdentity;
use crate::trail::Trail;
use crate::worker::Worker;

type Entry = HostTable<Arc<CompiledHost>, Arc<CompiledRoute>>;

/// Answers a request.
pub(crate) async fn handle(
    worker: &Rc<Worker>,
    info: &Rc<ConnInfo>,
    mut request: Request,
    trail: &mut Trail,
) -> Response {
    if info.door.spec().kind == ListenerKind::Admin {
        return worker.shared.admin.respond(&request).await;
    }
    let current = worker.current();
    let decided = decide(worker, &current.snapshot, info, &mut request, trail);
    let route = match decided {
        Ok(route) => route,
        Err(response) => return *response,
    };
    trail.routed(&route);
    let forwarded = match &route.action {
        CompiledAction::Respond(fixed) => Ok(Response {
            status: fixed.status,
            headers: fixed.headers.clone(),
            body: Body::full(fixed.body.clone()),
        }),
        CompiledAction::Forward { .. } => {
            forward::forward(worker, &current, info, &route, request, trail).await
        }
    };
    match forwarded {
        Ok(response) => response,
        Err(error) => fail(&error, trail),
    }
}

fn fail(error: &Error, trail: &mut Trail) -> Response {
    trail.failed(error);
    if matches!(error, Error::Request(_) | Error::ClientTimeout | Error::BodyTooLarge) {
        trail.close();
    }
    tracing::debug!(%error, "request failed");
    reply::page(error.status())
}

/// The route that serves the request, or the answer to it.
fn decide(
    worker: &Worker,
    snapshot: &Snapshot,
    info: &ConnInfo,
    request: &mut Request,
    trail: &mut Trail,
) -> Result<Arc<CompiledRoute>, Box<Response>> {
    check_method(request, trail)?;
    if headers::passes(&request.headers, &worker.shared.pseudonym) >= snapshot.limits.loop_depth {
        return Err(Box::new(fail(&Error::Loop, trail)));
    }
    let Some(role) = effective_role(worker, info, request) else {
        return Err(refuse("E-foreign-tunnel", StatusCode::NOT_FOUND, trail));
    };
    let host = request.host.as_str();
    let Some(entry) = snapshot.reachable(host, role) else {
        return Err(unknown(info, request, trail));
    };
    let selection = entry.select(&view(request));
    let verdict = entry.verdict(host, request.target.path());
    if !verdict.class.reaches(role) {
        return Err(unknown(info, request, trail));
    }
    check_source(verdict, role, info, trail)?;
    if let Some(tls) = &info.tls {
        check_tls(snapshot, tls, entry, request, verdict, role, trail)?;
    } else if let Some(redirect) = &info.door.spec().redirect {
        return Err(Box::new(reply::to_https(request, redirect.port, redirect.status)));
    } else if matches!(**entry.payload(), CompiledHost::Passthrough { .. }) {
        return Err(unknown(info, request, trail));
    }
    if request.method == Method::OPTIONS && request.target.as_str() == "*" {
        return Err(Box::new(Response::empty(StatusCode::OK)));
    }
    let route = match selection {
        Selection::Rule(rule) => Arc::clone(&rule.payload),
        Selection::None => return Err(Box::new(reply::page(StatusCode::NOT_FOUND))),
        Selection::Ambiguous => {
            return Err(refuse("N-09", StatusCode::BAD_REQUEST, trail));
        }
    };
    check_route(&route, request, trail)?;
    Ok(route)
}

fn view(request: &Request) -> RequestView<'_> {
    RequestView {
        host: request.host.as_str(),
        method: &request.method,
        path: request.target.path(),
        query: request.target.query(),
        headers: &request.headers,
    }
}

fn refuse(rule: &'static str, status: StatusCode, trail: &mut Trail) -> Box<Response> {
    trail.refused(rule);
    Box::new(reply::page(status))
}

/// CONNECT and TRACE have no place here (D-82, D-84).
fn check_method(request: &Request, trail: &mut Trail) -> Result<(), Box<Response>> {
    let rule = match request.method.as_str() {
        "CONNECT" if request.upgrade.is_none() => "D-82",
        "TRACE" | "TRACK" => "D-84",
        _ => return Ok(()),
    };
    trail.close();
    Err(refuse(rule, StatusCode::METHOD_NOT_ALLOWED, trail))
}

/// The role of the door; less if the request came through a tunnel that is not ours. `None` refuses.
fn effective_role(worker: &Worker, info: &ConnInfo, request: &Request) -> Option<Role> {
    let spec = info.door.spec();
    if spec.role != Role::Lan || !headers::has_tunnel_marks(&request.headers) {
        return Some(spec.role);
    }
    worker.shared.metrics.foreign_tunnel(worker.index);
    match spec.foreign_tunnel {
        ForeignTunnel::AsTunnel => Some(Role::Tunnel),
        ForeignTunnel::Deny => None,
    }
}

/// The answer for a host that does not exist, and for one that must not be known here: over TLS a
/// host other than the one of the handshake is misdirected, whatever it is.
fn unknown(info: &ConnInfo, request: &Request, trail: &mut Trail) -> Box<Response> {
    let misdirected = info
        .tls
        .as_ref()
        .is_some_and(|tls| tls.sni.as_ref() != Some(&request.host));
    let status = match misdirected {
        true => StatusCode::MISDIRECTED_REQUEST,
        false => StatusCode::NOT_FOUND,
    };
    refuse("E-02", status, trail)
}

/// A rule's `from` narrows who may ask.
fn check_source(
    verdict: &Verdict,
    role: Role,
    info: &ConnInfo,
    trail: &mut Trail,
) -> Result<(), Box<Response>> {
    let Some(from) = &verdict.from else {
        return Ok(());
    };
    if info.verified && from.contains(info.client.ip()) {
        return Ok(());
    }
    let status = match role {
        Role::Lan => info.door.spec().refusal,
        _ => StatusCode::NOT_FOUND,
    };
    Err(refuse("E-from", status, trail))
}

/// The TLS name and the host must lead to the same policy, certificate and class (TL-19 to TL-21).
fn check_tls(
    snapshot: &Snapshot,
    tls: &TlsInfo,
    entry: &Entry,
    request: &Request,
    verdict: &Verdict,
    role: Role,
    trail: &mut Trail,
) -> Result<(), Box<Response>> {
    let CompiledHost::Terminate(termination) = &**entry.payload() else {
        return Err(refuse("TL-20", StatusCode::MISDIRECTED_REQUEST, trail));
    };
    let host = request.host.as_str();
    let same_name = tls.sni.as_ref() == Some(&request.host);
    if !same_name {
        let same_policy = termination.policy() == tls.policy;
        let covered = tls.certificate.covers(host);
        let same_class = tls.sni.as_ref().is_none_or(|sni| {
            snapshot.reachable(sni.as_str(), role).is_some_and(|entry| {
                entry.verdict(sni.as_str(), request.target.path()).class == verdict.class
            })
        });
        if !(same_policy && covered && same_class) {
            return Err(refuse("TL-19", StatusCode::MISDIRECTED_REQUEST, trail));
        }
    } else if termination.policy() != tls.policy {
        // The host's policy has changed since the handshake.
        trail.close();
        return Err(refuse("TL-19", StatusCode::MISDIRECTED_REQUEST, trail));
    }
    match &tls.identity {
        ClientIdentity::Invalid(_) => Err(refuse("TL-16", StatusCode::BAD_REQUEST, trail)),
        ClientIdentity::None if termination.requires_client() => {
            Err(refuse("TL-16", StatusCode::BAD_REQUEST, trail))
        }
        _ => Ok(()),
    }
}

/// What the route itself limits.
fn check_route(
    route: &CompiledRoute,
    request: &mut Request,
    trail: &mut Trail,
) -> Result<(), Box<Response>> {
    if let Some(most) = route.max_body {
        if request.body.length().is_some_and(|length| length > most) {
            trail.close();
            return Err(refuse("L-10", StatusCode::PAYLOAD_TOO_LARGE, trail));
        }
        request.body.limit(most);
    }
    if route.websocket {
        return Ok(());
    }
    match request.upgrade.take() {
        Some(Upgrade::Connect) => Err(refuse("D-83", StatusCode::NOT_IMPLEMENTED, trail)),
        // The handshake goes on as the plain request that it also is (D-85).
        Some(Upgrade::Key(_)) | None => Ok(()),
    }
}

/// Whether the request may be sent twice without harm (RFC 9110 §9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

/// Adds what the backend must know of the client.
pub(crate) fn set_forwarding(
    worker: &Worker,
    info: &ConnInfo,
    request: &mut Request,
) -> Result<HeaderValue, Violation> {
    let host = match request.port {
        None => HeaderValue::from_str(request.host.as_str()),
        Some(port) => HeaderValue::from_str(&format!("{}:{port}", request.host)),
    };
    let host = host.map_err(|_| Violation::HOST)?;
    let trusted = info.door.spec().trust_forwarded.contains(info.peer.ip());
    headers::set_forwarding(
        &mut request.headers,
        &headers::Forwarding {
            client: &info.client_text,
            trusted,
            secure: info.tls.is_some(),
            port: &HeaderValue::from(info.local.port()),
            host,
            pseudonym: &worker.shared.pseudonym,
            request_id: request_id(worker),
        },
    )?;
    let id = request.headers.get(headers::X_REQUEST_ID).cloned();
    Ok(id.unwrap_or_else(|| HeaderValue::from_static("")))
}

/// A fresh id: 128 random bits.
fn request_id(worker: &Worker) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut random = worker.random.borrow_mut().u128(..);
    let text: [u8; 32] = std::array::from_fn(|_| {
        let digit = DIGITS.get((random & 0xf) as usize).copied().unwrap_or(b'0');
        random >>= 4;
        digit
    });
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// The host's cookie, for consistent hashing.
pub(crate) fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a [u8]> {
    request
        .headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b';'))
        .find_map(|pair| {
            let pair = pair.trim_ascii();
            let at = memchr::memchr(b'=', pair)?;
            let (found, value) = pair.split_at(at);
            (found == name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
        })
}
