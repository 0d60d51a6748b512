//! The life of a request: who asks for what through which door, and what becomes of it.
//!
//! Exposure is decided first and for every request; whatever is out of reach is answered exactly as
//! if it did not exist. Only then do the relation of TLS name and host, redirects, routes and
//! limits follow.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use adit_route::table::{HostTable, RequestView, Selection};
use adit_route::{CanonicalHost, Role, Verdict};
use http::{HeaderValue, Method, StatusCode, header};

use crate::blueprint::{ForeignTunnel, HttpsRedirect, ListenerKind};
use crate::error::Error;
use crate::h1::Violation;
use crate::http::body::Body;
use crate::http::headers;
use crate::http::message::{Request, Response, Upgrade};
use crate::http::{forward, reply};
use crate::info::{ConnInfo, TlsInfo, address_text};
use crate::policy;
use crate::security::Attempt;
use crate::snapshot::{CompiledAction, CompiledHost, CompiledRoute, Snapshot};
use crate::tls::ClientIdentity;
use crate::trail::Trail;
use crate::worker::{Current, Worker};

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
    // Before anything else is asked, so that there is nothing to be learnt from it.
    if !trail.enter(worker.measures().requests) {
        return fail(&Error::Overloaded("L-85"), trail);
    }
    if headers::passes(&request.headers, &worker.shared.pseudonym) >= current.limits.loop_depth {
        trail.refused("L-16");
        return reply::page(StatusCode::LOOP_DETECTED);
    }
    let role = effective_role(info, &request);
    if role != Some(info.door.spec().role) {
        worker.shared.metrics.foreign_tunnel(worker.index);
    }
    if let Some(role) = role {
        trail.judged_as(role);
    }
    let route = match decide(&current.snapshot, info, role, &request) {
        Ok(route) => route,
        Err(unserved) => {
            tell_of_hidden(unserved, worker, &current, info, &request);
            let page = certificate_page(&current.snapshot, role, &request, unserved);
            let mut response = answer(unserved, &request, trail);
            if let Some(page) = page {
                response = Response::empty(StatusCode::FOUND);
                response.headers.insert(header::LOCATION, page);
            }
            return response;
        }
    };
    trail.routed(&route);
    if route.low_priority
        && let Some(rule) = worker.overload.refuses_low_priority()
    {
        return fail(&Error::Overloaded(rule), trail);
    }
    if !request.body.is_empty() && request.upgrade.is_none() && !is_grpc(&request) {
        request.body.demand(&current.limits);
    }
    let admitted = check_route(&route, &mut request);
    let serving = Serving {
        worker,
        current: &current,
        info,
        route: &route,
        authority: None,
    };
    if let Some(plan) = &route.plan {
        return Box::pin(policy::serve(serving, plan, request, admitted, trail)).await;
    }
    if let Err(unserved) = admitted {
        return answer(unserved, &request, trail);
    }
    if matches!(route.action, CompiledAction::Forward { .. }) {
        match set_forwarding(worker, info, &mut request, trail) {
            Ok(id) => trail.identified(&id),
            Err(violation) => return fail(&Error::Request(violation), trail),
        }
    }
    act(serving, &mut request, trail).await
}

/// A stream of messages, which come when there is something to say.
fn is_grpc(request: &Request) -> bool {
    let kind = request.headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Whoever asks for a host that exists and is not for it knows more than it should (O-06).
fn tell_of_hidden(
    unserved: Unserved,
    worker: &Worker,
    current: &Current,
    info: &ConnInfo,
    request: &Request,
) {
    let hidden = matches!(unserved, Unserved::Refused(Refusal::UnknownHost, _))
        && current.snapshot.table.host(request.host.as_str()).is_some();
    if hidden {
        let security = worker.shared.metrics.security();
        security.tell(Attempt::Exposure, info, Refusal::UnknownHost.rule());
    }
}

/// Who serves what to whom.
#[derive(Clone, Copy)]
pub(crate) struct Serving<'a> {
    pub worker: &'a Rc<Worker>,
    pub current: &'a Rc<Current>,
    pub info: &'a Rc<ConnInfo>,
    pub route: &'a Arc<CompiledRoute>,
    /// The host that the backend is asked for; `None` is that of the client.
    pub authority: Option<&'a Authority>,
}

/// A host with the port that is named beside it.
pub(crate) type Authority = (CanonicalHost, Option<u16>);

/// Does what the route does. The forwarding fields of the request are set.
pub(crate) async fn act(
    serving: Serving<'_>,
    request: &mut Request,
    trail: &mut Trail,
) -> Response {
    let forwarded = match &serving.route.action {
        CompiledAction::Respond(fixed) => Ok(Response {
            status: fixed.status,
            headers: fixed.headers.clone(),
            body: Body::full(fixed.body.clone()),
        }),
        CompiledAction::Policy => Ok(reply::page(StatusCode::NOT_FOUND)),
        CompiledAction::Forward { .. }
            if !trail.enter_route(serving.worker.measures().on_route)
                && !Box::pin(wait_for_route(serving, trail)).await =>
        {
            Err(Error::Overloaded("L-86"))
        }
        CompiledAction::Forward { .. } => forward::forward(serving, request, trail).await,
    };
    match forwarded {
        Ok(response) => response,
        Err(error) => fail(&error, trail),
    }
}

/// Waits for a place on a route that has as many requests as it may have.
async fn wait_for_route(serving: Serving<'_>, trail: &mut Trail) -> bool {
    let measure = serving.worker.measures().on_route;
    let enter = || trail.enter_route(measure).then_some(());
    let queue = serving.route.stats.queue();
    let waited = queue.wait(serving.current.patience(), enter).await;
    waited.is_some()
}

pub(crate) fn fail(error: &Error, trail: &mut Trail) -> Response {
    trail.failed(error);
    if matches!(
        error,
        Error::Request(_) | Error::ClientTimeout(_) | Error::BodyTooLarge
    ) {
        trail.close();
    }
    tracing::debug!(%error, "request failed");
    page(error.status(), trail)
}

/// The page for a status, as the client's protocol says it.
fn page(status: StatusCode, trail: &Trail) -> Response {
    let mut response = reply::page(status);
    if trail.is_grpc() {
        reply::as_grpc(&mut response);
    }
    response
}

/// Why no route serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// It is refused with this status.
    Refused(Refusal, StatusCode),
    /// Its place is over TLS.
    Redirected(HttpsRedirect),
    /// `OPTIONS *` asks about us.
    Asterisk,
    /// The host is there, and has nothing for the request.
    NoRoute,
}

/// What refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Connect,
    Trace,
    ForeignTunnel,
    UnknownHost,
    Source,
    PassthroughHost,
    /// The TLS name and the host lead to different policies, certificates or classes.
    Misdirected,
    /// The host's policy has changed since the handshake.
    PolicyChanged,
    ClientCertificate,
    AmbiguousPath,
    BodyTooLarge,
    NoWebSocket,
}

impl Refusal {
    /// The rule's id, for logs and metrics.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Connect => "D-82",
            Self::Trace => "D-84",
            Self::ForeignTunnel => "E-foreign-tunnel",
            Self::UnknownHost => "E-02",
            Self::Source => "E-from",
            Self::PassthroughHost => "TL-20",
            Self::Misdirected | Self::PolicyChanged => "TL-19",
            Self::ClientCertificate => "TL-16",
            Self::AmbiguousPath => "N-09",
            Self::BodyTooLarge => "L-10",
            Self::NoWebSocket => "D-83",
        }
    }

    /// Whether the connection must not be used after it.
    fn closes(self) -> bool {
        matches!(
            self,
            Self::Connect | Self::Trace | Self::PolicyChanged | Self::BodyTooLarge
        )
    }
}

/// The answer to a request that no route serves.
pub(crate) fn answer(unserved: Unserved, request: &Request, trail: &mut Trail) -> Response {
    match unserved {
        Unserved::Refused(refusal, status) => {
            if refusal.closes() {
                trail.close();
            }
            trail.refused(refusal.rule());
            page(status, trail)
        }
        Unserved::Redirected(redirect) => reply::to_https(request, redirect.port, redirect.status),
        Unserved::Asterisk => Response::empty(StatusCode::OK),
        Unserved::NoRoute => page(StatusCode::NOT_FOUND, trail),
    }
}

/// The route that serves the request, which comes in the role that [`effective_role`] says. A
/// function of its arguments: `explain` asks it too.
pub(crate) fn decide(
    snapshot: &Snapshot,
    info: &ConnInfo,
    role: Option<Role>,
    request: &Request,
) -> Result<Arc<CompiledRoute>, Unserved> {
    check_method(request)?;
    let Some(role) = role else {
        return Err(Unserved::Refused(
            Refusal::ForeignTunnel,
            StatusCode::NOT_FOUND,
        ));
    };
    let host = request.host.as_str();
    let Some(entry) = snapshot.reachable(host, role) else {
        return Err(unknown(info, request));
    };
    let selection = entry.select(&view(request));
    let verdict = entry.verdict(host, request.target.path());
    if !verdict.class.reaches(role) {
        return Err(unknown(info, request));
    }
    check_source(verdict, role, info)?;
    if let Some(tls) = &info.tls {
        check_tls(snapshot, tls, entry, request, verdict, role)?;
    } else if let Some(redirect) = info.door.spec().redirect
        && request.target.as_str() != "*"
    {
        return Err(Unserved::Redirected(redirect));
    } else if matches!(**entry.payload(), CompiledHost::Passthrough { .. }) {
        return Err(unknown(info, request));
    }
    if request.method == Method::OPTIONS && request.target.as_str() == "*" {
        return Err(Unserved::Asterisk);
    }
    let route = match selection {
        Selection::Rule(rule) => Arc::clone(&rule.payload),
        Selection::None => return Err(Unserved::NoRoute),
        Selection::Ambiguous => {
            return Err(Unserved::Refused(
                Refusal::AmbiguousPath,
                StatusCode::BAD_REQUEST,
            ));
        }
    };
    Ok(route)
}

pub(crate) fn view(request: &Request) -> RequestView<'_> {
    RequestView {
        host: request.host.as_str(),
        method: &request.method,
        path: request.target.path(),
        query: request.target.query(),
        headers: &request.headers,
    }
}

/// CONNECT and TRACE have no place here (D-82, D-84).
fn check_method(request: &Request) -> Result<(), Unserved> {
    let refusal = match request.method.as_str() {
        "CONNECT" if request.upgrade.is_none() => Refusal::Connect,
        "TRACE" | "TRACK" => Refusal::Trace,
        _ => return Ok(()),
    };
    Err(Unserved::Refused(refusal, StatusCode::METHOD_NOT_ALLOWED))
}

/// The role of the door; less if the request came through a tunnel that is not ours. `None` refuses.
pub(crate) fn effective_role(info: &ConnInfo, request: &Request) -> Option<Role> {
    let spec = info.door.spec();
    if spec.role != Role::Lan || !headers::has_tunnel_marks(&request.headers) {
        return Some(spec.role);
    }
    match spec.foreign_tunnel {
        ForeignTunnel::AsTunnel => Some(Role::Tunnel),
        ForeignTunnel::Deny => None,
    }
}

/// The answer for a host that does not exist, and for one that must not be known here: over TLS a
/// host other than the one of the handshake is misdirected, whatever it is.
fn unknown(info: &ConnInfo, request: &Request) -> Unserved {
    let misdirected = info
        .tls
        .as_ref()
        .is_some_and(|tls| tls.sni.as_ref() != Some(&request.host));
    let status = if misdirected {
        StatusCode::MISDIRECTED_REQUEST
    } else {
        StatusCode::NOT_FOUND
    };
    Unserved::Refused(Refusal::UnknownHost, status)
}

/// A rule's `from` narrows who may ask.
fn check_source(verdict: &Verdict, role: Role, info: &ConnInfo) -> Result<(), Unserved> {
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
    Err(Unserved::Refused(Refusal::Source, status))
}

/// The TLS name and the host must lead to the same policy, certificate and class (TL-19 to TL-21).
fn check_tls(
    snapshot: &Snapshot,
    tls: &TlsInfo,
    entry: &Entry,
    request: &Request,
    verdict: &Verdict,
    role: Role,
) -> Result<(), Unserved> {
    let misdirected = |refusal| Unserved::Refused(refusal, StatusCode::MISDIRECTED_REQUEST);
    let CompiledHost::Terminate(termination) = &**entry.payload() else {
        return Err(misdirected(Refusal::PassthroughHost));
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
            return Err(misdirected(Refusal::Misdirected));
        }
    } else if termination.policy() != tls.policy {
        return Err(misdirected(Refusal::PolicyChanged));
    }
    let refused = match &tls.identity {
        ClientIdentity::Invalid(_) => true,
        ClientIdentity::None => termination.requires_client(),
        ClientIdentity::Verified(_) => false,
    };
    if refused {
        return Err(Unserved::Refused(
            Refusal::ClientCertificate,
            StatusCode::BAD_REQUEST,
        ));
    }
    Ok(())
}

/// Where a client without a good certificate is sent, instead of being refused (MTL-04).
pub(crate) fn certificate_page(
    snapshot: &Snapshot,
    role: Option<Role>,
    request: &Request,
    unserved: Unserved,
) -> Option<HeaderValue> {
    let Unserved::Refused(Refusal::ClientCertificate, _) = unserved else {
        return None;
    };
    let entry = snapshot.reachable(request.host.as_str(), role?)?;
    let Selection::Rule(rule) = entry.select(&view(request)) else {
        return None;
    };
    rule.payload.plan.as_ref()?.certificate_page().cloned()
}

/// What the route itself limits.
pub(crate) fn check_route(route: &CompiledRoute, request: &mut Request) -> Result<(), Unserved> {
    if let Some(most) = route.max_body {
        if request.body.length().is_some_and(|length| length > most) {
            return Err(Unserved::Refused(
                Refusal::BodyTooLarge,
                StatusCode::PAYLOAD_TOO_LARGE,
            ));
        }
        request.body.limit(most);
    }
    // A fixed success would tell the client of an extended CONNECT that its stream is open.
    let fixed =
        matches!(&route.action, CompiledAction::Respond(fixed) if fixed.status.is_success());
    if route.websocket && !fixed {
        return Ok(());
    }
    match request.upgrade.take() {
        Some(Upgrade::Connect) => Err(Unserved::Refused(
            Refusal::NoWebSocket,
            StatusCode::NOT_IMPLEMENTED,
        )),
        // The handshake goes on as the plain request that it also is (D-85).
        Some(Upgrade::Key(_)) | None => Ok(()),
    }
}

/// Whether the request may be sent twice without harm (RFC 9110 §9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
    ]
    .contains(method)
}

/// Adds what the backend must know of the client.
pub(crate) fn set_forwarding(
    worker: &Worker,
    info: &ConnInfo,
    request: &mut Request,
    trail: &mut Trail,
) -> Result<HeaderValue, Violation> {
    let host = match request.port {
        None => HeaderValue::from_str(request.host.as_str()),
        Some(port) => HeaderValue::from_str(&format!("{}:{port}", request.host)),
    };
    let host = host.map_err(|_| Violation::HOST)?;
    let trusted = info.trusts_forwarding();
    let forwarded = forwarded_client(info, request);
    if let Some(client) = forwarded {
        trail.forwarded(client);
    }
    let real = forwarded.map(address_text);
    headers::set_forwarding(
        &mut request.headers,
        &headers::Forwarding {
            client: &info.client_text,
            real: real.as_ref().unwrap_or(&info.client_text),
            trusted,
            secure: info.tls.is_some(),
            port: &info.port_text,
            host,
            pseudonym: &worker.shared.pseudonym,
            request_id: request_id(worker),
        },
    )?;
    let id = request.headers.get(headers::X_REQUEST_ID).cloned();
    Ok(id.unwrap_or_else(|| HeaderValue::from_static("")))
}

/// The client as trusted HTTP proxies say, if one of them is the peer.
pub(crate) fn forwarded_client(info: &ConnInfo, request: &Request) -> Option<IpAddr> {
    let proxies = &info.door.spec().trust_forwarded;
    info.trusts_forwarding()
        .then(|| headers::forwarded_client(&request.headers, proxies))?
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
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b';'))
        .find_map(|pair| {
            let pair = pair.trim_ascii();
            let at = memchr::memchr(b'=', pair)?;
            let (found, value) = pair.split_at(at);
            (found == name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
        })
}
