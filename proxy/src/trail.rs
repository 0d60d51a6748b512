//! What is remembered of a request until it has ended: for the access log and for metrics, once.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_route::{CanonicalHost, FieldList, Role};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Version, header};

use crate::access_log::{Record, Termination, Timings};
use crate::error::{Error, Side};
use crate::http::message::Request;
use crate::info::ConnInfo;
use crate::overload::Measure;
use crate::snapshot::CompiledRoute;
use crate::trace::{Begun, Span};
use crate::upstream::Endpoint;
use crate::worker::{Relayed, Worker};

/// The record of one request in the making; written when it is dropped.
pub(crate) struct Trail {
    worker: Rc<Worker>,
    info: Rc<ConnInfo>,
    started: Instant,
    method: Method,
    version: Version,
    host: CanonicalHost,
    target: PathAndQuery,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    route: Option<Arc<CompiledRoute>>,
    endpoint: Option<Arc<Endpoint>>,
    upstream: Option<Arc<str>>,
    attempts: u32,
    connect: Option<Duration>,
    first_byte: Option<Duration>,
    status: u16,
    bytes_in: Option<Rc<Cell<u64>>>,
    bytes_out: u64,
    rule: &'static str,
    termination: Termination,
    closes: bool,
    complete: bool,
    /// The client as trusted proxies say.
    forwarded: Option<IpAddr>,
    user: Option<Arc<str>>,
    role: Role,
    /// Whether it is counted in flight, in the process and on its route.
    in_flight: (bool, bool),
    /// The span that it becomes, if it is traced.
    span: Option<Box<Begun>>,
    /// Whether the client speaks gRPC.
    grpc: bool,
}

impl Trail {
    pub(crate) fn new(worker: &Rc<Worker>, info: &Rc<ConnInfo>, request: &mut Request) -> Self {
        let logged = worker.log.is_on();
        let field = |name| request.headers.get(name).filter(|_| logged).cloned();
        let (user_agent, referer) = (field(header::USER_AGENT), field(header::REFERER));
        Self {
            worker: Rc::clone(worker),
            info: Rc::clone(info),
            started: Instant::now(),
            method: request.method.clone(),
            version: request.version,
            host: request.host.clone(),
            target: request.target.clone(),
            user_agent,
            referer,
            request_id: None,
            route: None,
            endpoint: None,
            upstream: None,
            attempts: 0,
            connect: None,
            first_byte: None,
            status: 0,
            bytes_in: request.body.taken(),
            bytes_out: 0,
            rule: "",
            termination: Termination::Normal,
            closes: false,
            complete: false,
            forwarded: None,
            user: None,
            role: info.door.spec().role,
            in_flight: (false, false),
            span: None,
            grpc: request.version == Version::HTTP_2 && is_grpc(&request.headers),
        }
    }

    /// Counts the request in flight until it is over; `false` if there are too many (L-85).
    pub(crate) fn enter(&mut self, measure: Measure) -> bool {
        self.worker.served.set(self.worker.served.get() + 1);
        self.in_flight.0 = self
            .worker
            .overload
            .begin_request(self.worker.index, measure);
        self.in_flight.0
    }

    /// The same for its route (L-86).
    pub(crate) fn enter_route(&mut self, measure: Measure) -> bool {
        if self.in_flight.1 {
            return true;
        }
        let route = self.route.as_ref();
        self.in_flight.1 = route.is_some_and(|route| route.stats.enter(self.worker.index, measure));
        self.in_flight.1
    }

    fn bytes_in(&self) -> u64 {
        self.bytes_in.as_ref().map_or(0, |bytes| bytes.get())
    }

    /// The request as a stream that is relayed from now on.
    pub(crate) fn relayed(&self) -> Relayed {
        Relayed {
            host: self.host.clone(),
            path: self.target.path().to_owned(),
            role: self.role,
        }
    }

    /// Whether the client speaks gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        self.grpc
    }

    /// The role under which the request is judged.
    pub(crate) fn judged_as(&mut self, role: Role) {
        self.role = role;
    }

    /// The request becomes a span when it has ended.
    pub(crate) fn traced(&mut self, span: Begun) {
        self.span = Some(Box::new(span));
    }

    pub(crate) fn routed(&mut self, route: &Arc<CompiledRoute>) {
        self.route = Some(Arc::clone(route));
    }

    pub(crate) fn forwarded(&mut self, client: IpAddr) {
        self.forwarded = Some(client);
    }

    pub(crate) fn authenticated(&mut self, user: &Arc<str>) {
        self.user = Some(Arc::clone(user));
    }

    pub(crate) fn identified(&mut self, request_id: &HeaderValue) {
        self.request_id = Some(request_id.clone());
    }

    pub(crate) fn attempted(&mut self, upstream: &Arc<str>, endpoint: &Arc<Endpoint>) {
        self.attempts += 1;
        self.upstream = Some(Arc::clone(upstream));
        self.endpoint = Some(Arc::clone(endpoint));
    }

    /// The endpoint that was tried last.
    pub(crate) fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        self.endpoint.as_ref()
    }

    pub(crate) fn connected(&mut self, took: Duration) {
        self.connect = Some(took);
    }

    /// A rule refused the request.
    pub(crate) fn refused(&mut self, rule: &'static str) {
        self.rule = rule;
        self.termination = Termination::Refused;
        self.worker.refused(&self.info, rule);
    }

    /// The connection must not be used after this answer.
    pub(crate) fn close(&mut self) {
        self.closes = true;
    }

    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    pub(crate) fn failed(&mut self, error: &Error) {
        self.termination = match (error, error.side()) {
            (Error::Request(violation), _) => {
                self.rule = violation.rule();
                self.worker.refused(&self.info, violation.rule());
                Termination::Refused
            }
            (Error::ClientGone, _) => Termination::ClientRequest,
            (Error::ClientTimeout(rule), _) => {
                self.rule = rule;
                self.worker.refused(&self.info, rule);
                Termination::ClientTimeout
            }
            (Error::EndpointsBusy | Error::Overloaded(_) | Error::BodyTooLarge, _) => {
                self.refused(error.reason());
                Termination::Refused
            }
            (Error::NoEndpoint, _) => Termination::NoEndpoint,
            (Error::Connect(_) | Error::ConnectTimeout | Error::BackendTls(_), _) => {
                Termination::UpstreamConnect
            }
            (Error::ResponseTimeout | Error::ResponseIdle, _) => Termination::UpstreamTimeout,
            (_, Side::Backend) => Termination::UpstreamHead,
            (_, Side::Client) => Termination::Refused,
            (_, Side::Us) => Termination::Internal,
        };
        if self.rule.is_empty() {
            self.rule = error.reason();
        }
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
        self.complete = true;
    }

    pub(crate) fn first_byte(&mut self) {
        if self.first_byte.is_none() {
            self.first_byte = Some(self.started.elapsed());
        }
    }

    pub(crate) fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// The exchange broke off.
    pub(crate) fn end(&mut self, reason: &'static str) {
        self.termination = match (self.complete, reason) {
            (false, "client-gone") => Termination::ClientRequest,
            (true, "client-gone") => Termination::ClientResponse,
            (_, "L-35" | "L-67" | "L-74") => {
                self.worker.refused(&self.info, reason);
                Termination::ClientTimeout
            }
            (_, "L-10") => {
                self.worker.refused(&self.info, reason);
                Termination::Refused
            }
            (_, "response-idle" | "response-timeout") => Termination::UpstreamTimeout,
            _ => Termination::UpstreamBody,
        };
        self.rule = reason;
        self.complete = true;
    }

    /// Gives its places back.
    fn leave(&self) {
        let index = self.worker.index;
        let (of_process, of_route) = self.in_flight;
        if of_process {
            let measures = self.worker.measures();
            self.worker.overload.end_request(index, measures.requests);
            if of_route && let Some(route) = &self.route {
                route.stats.leave(index, measures.on_route);
            }
        }
    }

    fn span(&self, begun: Begun, total: Duration) -> Span {
        let owned = |text: Option<&Arc<str>>| text.map_or_else(|| "".into(), Arc::clone);
        let client = self.forwarded.unwrap_or(self.info.client.ip());
        Span {
            method: self.method.as_str().to_owned(),
            path: self.target.path().to_owned(),
            host: self.host.as_str().to_owned(),
            client: client.to_string(),
            version: protocol(self.version)
                .strip_prefix("HTTP/")
                .unwrap_or_default(),
            route: owned(self.route.as_ref().map(|route| &route.name)),
            upstream: owned(self.upstream.as_ref()),
            endpoint: owned(self.endpoint.as_ref().map(|endpoint| endpoint.label())),
            status: self.status,
            reason: self.rule,
            took: total,
            begun,
        }
    }

    fn write(&self, total: Duration) {
        let info = &self.info;
        let text = |value: &Option<HeaderValue>| {
            value
                .as_ref()
                .map_or(Vec::new(), |value| value.as_bytes().to_vec())
        };
        let (user_agent, referer) = (text(&self.user_agent), text(&self.referer));
        let tls = info.tls.as_ref();
        let spec = info.door.spec();
        let record = Record {
            request_id: self
                .request_id
                .as_ref()
                .and_then(|id| id.to_str().ok())
                .unwrap_or_default(),
            channel: spec.role.as_str(),
            listener: &spec.name,
            client_ip_from: match self.forwarded {
                Some(_) => "forwarded",
                None => info.client_from,
            },
            peer: Some(info.peer),
            sni: tls
                .and_then(|tls| tls.sni.as_ref())
                .map_or(&b""[..], |sni| sni.as_str().as_bytes()),
            alpn: tls.map_or(&b""[..], |tls| if tls.h2 { b"h2" } else { b"http/1.1" }),
            tls_version: tls.map_or("", |tls| tls.version),
            tls_cipher: tls.map_or("", |tls| tls.cipher),
            tls_resumed: tls.is_some_and(|tls| tls.resumed),
            protocol: protocol(self.version),
            method: self.method.as_str().as_bytes(),
            host: self.host.as_str().as_bytes(),
            path: self.target.as_str().as_bytes(),
            route: self.route.as_ref().map_or("", |route| &route.name),
            upstream: self.upstream.as_deref().unwrap_or_default(),
            endpoint: self
                .endpoint
                .as_ref()
                .map_or("", |endpoint| endpoint.label()),
            attempts: self.attempts,
            status: self.status,
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out,
            timings: Timings {
                total,
                connect: self.connect,
                first_byte: self.first_byte,
                ..Timings::default()
            },
            termination: self.termination,
            rule: self.rule,
            draining: self.worker.is_draining(),
            user: self.user.as_deref().unwrap_or_default(),
            user_agent: &user_agent,
            referer: &referer,
            ..Record::new(
                SystemTime::now(),
                self.forwarded.unwrap_or(info.client.ip()),
            )
        };
        self.worker.log.record(&record);
    }
}

/// Logs a connection that was refused without a request.
pub(crate) fn refused_connection(worker: &Worker, info: &ConnInfo, rule: &'static str) {
    refused_message(worker, info, "", 0, rule);
}

/// Logs a message that is no request, because the gate refused it; a status of 0 is none.
pub(crate) fn refused_message(
    worker: &Worker,
    info: &ConnInfo,
    protocol: &'static str,
    status: u16,
    rule: &'static str,
) {
    let spec = info.door.spec();
    if !worker.log.is_on() || spec.role == Role::Admin {
        return;
    }
    let sni = info.tls.as_ref().and_then(|tls| tls.sni.as_ref());
    worker.log.record(&Record {
        channel: spec.role.as_str(),
        listener: &spec.name,
        client_ip_from: info.client_from,
        peer: Some(info.peer),
        sni: sni.map_or(&b""[..], |sni| sni.as_str().as_bytes()),
        protocol,
        status,
        termination: Termination::Refused,
        rule,
        draining: worker.is_draining(),
        ..Record::new(SystemTime::now(), info.client.ip())
    });
}

fn is_grpc(headers: &FieldList) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let total = self.started.elapsed();
        self.leave();
        if !self.complete {
            self.termination = Termination::ClientRequest;
        }
        if let Some(route) = &self.route {
            let (bytes_in, bytes_out) = (self.bytes_in(), self.bytes_out);
            route
                .stats
                .record(self.worker.index, self.status, total, bytes_in, bytes_out);
        }
        if let Some(begun) = self.span.take() {
            let span = self.span(*begun, total);
            self.worker.spans.push(&self.worker, span);
        }
        // Whoever watches us every other second is no visitor.
        let watched = self.info.door.spec().role == Role::Admin;
        if self.worker.log.is_on() && !watched {
            self.write(total);
        }
    }
}
