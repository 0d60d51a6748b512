//! The life of a connection, from accept to its protocol.
//!
//! Read top to bottom: a PROXY header from a trusted peer, the door's lists, then what the door
//! speaks. TLS connections are looked at before TLS begins: the name in the ClientHello decides
//! whether they are relayed as they are or terminated, and under which policy and certificate.

mod relaying;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_route::{CanonicalHost, FieldList};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::blueprint::ListenerKind;
use crate::h1;
use crate::h1::BodyLength;
use crate::h2;
use crate::info::{ConnInfo, TlsInfo};
use crate::io::{Rewound, Stream};
use crate::limits::Limits;
use crate::listen::Ends;
use crate::metrics::{Handshake, HandshakeVersion, RouteStats};
use crate::overload::{OfSource, Unfinished};
use crate::proxy_protocol::{self, Parse};
use crate::snapshot::{CompiledHost, CompiledUpstream, Door, Snapshot};
use crate::tls::hello::{HelloError, HelloReader, Progress, alert, alert_record};
use crate::tls::{ClientIdentity, PolicyId, Selected, Termination};
use crate::trail;
use crate::worker::{Live, OwnTask, Worker};

use relaying::Relaying;

/// Serves one accepted connection to its end.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    tcp: TcpStream,
    ends: Ends,
    door: Arc<Door>,
    own: Rc<OwnTask>,
) {
    let Ends { peer, local } = ends;
    let limits = worker.limits();
    let live = worker.enter(&door, own);
    worker.served.set(worker.served.get() + 1);
    let mut connection = Connection {
        info: ConnInfo::new(door, peer, local),
        tcp,
        input: BytesMut::new(),
        worker,
        live,
        of_source: None,
    };
    if connection.info.door.spec().proxy_protocol.is_some() {
        let reading = connection.proxy_header(peer);
        match tokio::time::timeout(limits.proxy_header_timeout, reading).await {
            Ok(Ok(())) => {}
            Ok(Err(rule)) => return connection.refused(rule),
            Err(_) => return connection.refused("L-60"),
        }
    }
    if !connection.info.is_admitted() {
        return connection.refused("listener-lists");
    }
    if !connection.enter_source(&limits) {
        return connection.refused("L-81");
    }
    let door = Arc::clone(&connection.info.door);
    match &door.spec().kind {
        ListenerKind::Http | ListenerKind::Admin => connection.http().await,
        ListenerKind::H2c => connection.h2c().await,
        ListenerKind::Https => connection.https().await,
        ListenerKind::Tcp { .. } => connection.tcp_door().await,
    }
}

/// Closes a connection for which there is no room, unread.
pub(crate) fn turn_away(worker: &Worker, tcp: &TcpStream, door: &Arc<Door>, rule: &'static str) {
    if let (Ok(peer), Ok(local)) = (tcp.peer_addr(), tcp.local_addr()) {
        refused(worker, &ConnInfo::new(Arc::clone(door), peer, local), rule);
    }
}

struct Connection {
    info: ConnInfo,
    tcp: TcpStream,
    /// What was read and not yet used.
    input: BytesMut,
    worker: Rc<Worker>,
    live: Rc<Live>,
    /// What it counts for its source, if anything (L-81).
    of_source: Option<OfSource>,
}

/// What the ClientHello leads to.
pub(crate) enum Decision {
    Terminate(Selected, Terminating),
    Passthrough(Arc<CompiledHost>),
}

/// Keeps the termination alive over the handshake.
pub(crate) enum Terminating {
    Host(Arc<CompiledHost>),
    WithoutSni(Arc<Termination>),
    Door(Arc<Door>),
}

impl Terminating {
    pub(crate) fn termination(&self) -> Option<&Termination> {
        match self {
            Self::Host(host) => match &**host {
                CompiledHost::Terminate(termination) => Some(termination),
                CompiledHost::Passthrough { .. } => None,
            },
            Self::WithoutSni(termination) => Some(termination),
            Self::Door(door) => door.tcp.as_ref().and_then(|tcp| tcp.tls.as_ref()),
        }
    }
}

/// Why there is no TLS connection.
pub(crate) enum Refused {
    /// An alert says why.
    Alert(u8, &'static str),
    /// Plain HTTP on a TLS door.
    PlainHttp,
    /// Nothing is said.
    Closed(&'static str),
}

impl Connection {
    fn refused(&self, rule: &'static str) {
        refused(&self.worker, &self.info, rule);
    }

    /// Counts the connection for its source, if that is limited here (L-81). What is not known to be
    /// one client, such as a balancer that conveys nobody, is none.
    fn enter_source(&mut self, limits: &Limits) -> bool {
        let info = &self.info;
        let spec = info.door.spec();
        let known = spec.proxy_protocol.is_none() || info.client_from == "proxy_protocol";
        let address = info.client.ip();
        if !spec.per_source || !known || limits.source_exempt.contains(address) {
            return true;
        }
        let overload = &self.worker.overload;
        self.of_source = OfSource::enter(overload, address, spec.kind.is_tls(), limits);
        self.of_source.is_some()
    }

    /// Counts a handshake from here to its end (L-82).
    fn begin_handshake(&self, limits: &Limits) -> Unfinished {
        let handshakes = &self.worker.handshakes;
        handshakes.begin(&self.worker.overload, limits.handshakes)
    }

    /// Reads the PROXY header (P-01 to P-16).
    async fn proxy_header(&mut self, peer: SocketAddr) -> Result<(), &'static str> {
        let spec = Arc::clone(self.info.door.spec());
        let trusted = spec.proxy_protocol.as_ref();
        if !trusted.is_some_and(|trusted| trusted.contains(peer.ip())) {
            return Err("P-02");
        }
        loop {
            match proxy_protocol::parse(&self.input, peer).map_err(|error| error.rule())? {
                Parse::NeedMore => {}
                Parse::Done { header, consumed } => {
                    let _ = self.input.split_to(consumed.min(self.input.len()));
                    self.info.verified = header.verified;
                    if let Some(source) = header.source {
                        self.info.conveyed(source, header.destination);
                    }
                    return Ok(());
                }
            }
            if !self.read_more().await {
                return Err("P-04");
            }
        }
    }

    async fn read_more(&mut self) -> bool {
        self.input.reserve(4096);
        matches!(self.tcp.read_buf(&mut self.input).await, Ok(1..))
    }

    async fn http(self) {
        let _of_source = self.of_source;
        let info = Rc::new(self.info);
        self.live.set_info(&info);
        h1::server::serve(Stream::Tcp(self.tcp), self.input, info, self.live).await;
    }

    async fn h2c(self) {
        let _of_source = self.of_source;
        let info = Rc::new(self.info);
        self.live.set_info(&info);
        let stream = if self.input.is_empty() {
            Stream::Tcp(self.tcp)
        } else {
            Stream::Rewound(Rewound::new(self.input.freeze(), self.tcp))
        };
        Box::pin(h2::server::serve(stream, info, self.live)).await;
    }

    async fn https(mut self) {
        let limits = self.worker.limits();
        let started = Instant::now();
        let unfinished = self.begin_handshake(&limits);
        let hello = Box::pin(unfinished.within(limits.handshake_timeout, self.hello()));
        let (sni, decision) = match hello.await {
            Ok(Ok(decided)) => decided,
            Ok(Err(refused)) => return self.close(refused).await,
            Err(rule) => return self.close(Refused::Closed(rule)).await,
        };
        match decision {
            Decision::Passthrough(host) => {
                drop(unfinished);
                if let Some(of_source) = &mut self.of_source {
                    of_source.shaken();
                }
                if let CompiledHost::Passthrough { upstream, route } = &*host {
                    Box::pin(self.passthrough(sni, upstream, route)).await;
                }
            }
            Decision::Terminate(selected, terminating) => {
                let left = limits.handshake_timeout.saturating_sub(started.elapsed());
                let handshake = self.handshake(sni, selected, terminating, unfinished, left);
                let Some((stream, info, live, _of_source)) = Box::pin(handshake).await else {
                    return;
                };
                let is_h2 = info.tls.as_ref().is_some_and(|tls| tls.h2);
                let info = Rc::new(info);
                live.set_info(&info);
                if is_h2 {
                    Box::pin(h2::server::serve(stream, info, live)).await;
                } else {
                    h1::server::serve(stream, BytesMut::new(), info, live).await;
                }
            }
        }
    }

    /// Reads the ClientHello and decides what it leads to.
    async fn hello(&mut self) -> Result<(Option<CanonicalHost>, Decision), Refused> {
        let limits = self.worker.limits();
        let mut reader = HelloReader::default();
        let hello = loop {
            match reader.read(&self.input) {
                Ok(Progress::Done(hello)) => break hello,
                Ok(Progress::NeedMore) => {}
                Err(HelloError::NotTls {
                    looks_like_http: true,
                }) => return Err(Refused::PlainHttp),
                Err(error) => return Err(Refused::Alert(error.alert(), error.rule())),
            }
            let more = if self.input.is_empty() {
                let first = tokio::time::timeout(limits.first_byte_timeout, self.read_more());
                first.await.map_err(|_| Refused::Closed("L-61"))?
            } else {
                self.read_more().await
            };
            if !more {
                return Err(Refused::Closed("TL-08"));
            }
        };
        if hello.alpn.acme {
            return Err(Refused::Alert(alert::NO_APPLICATION_PROTOCOL, "TL-17"));
        }
        let snapshot = &self.worker.current().snapshot;
        let decision = decide(snapshot, &self.info, hello.server_name.as_ref())?;
        Ok((hello.server_name, decision))
    }

    async fn handshake(
        self,
        sni: Option<CanonicalHost>,
        selected: Selected,
        terminating: Terminating,
        unfinished: Unfinished,
        time: Duration,
    ) -> Option<(Stream, ConnInfo, Rc<Live>, Option<OfSource>)> {
        let Self {
            mut info,
            tcp,
            input,
            worker,
            live,
            mut of_source,
        } = self;
        let steps = worker.limits().handshake_steps;
        let stats = Arc::clone(&info.door.stats);
        let rewound = Rewound::new(input.freeze(), tcp);
        let accepting = TlsAcceptor::from(Arc::clone(&selected.config)).accept(rewound);
        let accepting = unfinished.within(time, unfinished.stepwise(steps, accepting));
        let stream = match accepting.await {
            Ok(Ok(stream)) => stream,
            Err(rule) => {
                stats.handshake(worker.index, Handshake::Timeout, HandshakeVersion::None);
                refused(&worker, &info, rule);
                return None;
            }
            Ok(Err(error)) => {
                let result = match error.kind() {
                    std::io::ErrorKind::InvalidData => Handshake::Protocol,
                    _ => Handshake::Closed,
                };
                tracing::debug!(%error, client = %info.client, "TLS handshake failed");
                stats.handshake(worker.index, result, HandshakeVersion::None);
                return None;
            }
        };
        drop(unfinished);
        if let Some(of_source) = &mut of_source {
            of_source.shaken();
        }
        let connection = stream.get_ref().1;
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let (version, text) = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => (HandshakeVersion::V1_3, "TLSv1.3"),
            _ => (HandshakeVersion::V1_2, "TLSv1.2"),
        };
        let kind = if resumed {
            Handshake::Resumed
        } else {
            Handshake::Full
        };
        stats.handshake(worker.index, kind, version);
        let (policy, identity) = identify(&terminating, connection.peer_certificates())?;
        info.tls = Some(TlsInfo {
            sni,
            certificate: selected.certificate,
            policy,
            version: text,
            cipher: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or(""),
            resumed,
            h2: connection.alpn_protocol() == Some(b"h2"),
            identity,
        });
        Some((Stream::TlsServer(Box::new(stream)), info, live, of_source))
    }

    /// Says why, as far as anything is said, and closes.
    async fn close(mut self, refused: Refused) {
        let stats = Arc::clone(&self.info.door.stats);
        let none = HandshakeVersion::None;
        match refused {
            Refused::Alert(number, rule) => {
                let result = match rule {
                    "TL-10" => Handshake::NoName,
                    "TL-13" | "TL-14" => Handshake::UnknownName,
                    _ => Handshake::Protocol,
                };
                stats.handshake(self.worker.index, result, none);
                self.refused(rule);
                self.say(&alert_record(number)).await;
            }
            Refused::PlainHttp => {
                stats.handshake(self.worker.index, Handshake::Protocol, none);
                self.refused("TL-09");
                let mut out = BytesMut::new();
                h1::encode::response_head(
                    &mut out,
                    false,
                    StatusCode::BAD_REQUEST,
                    &FieldList::new(),
                    Some(BodyLength::None),
                    Some("close"),
                );
                self.say(&out).await;
            }
            Refused::Closed(rule) => {
                stats.handshake(self.worker.index, Handshake::Timeout, none);
                self.refused(rule);
            }
        }
    }

    /// Writes a last word and reads on for a moment, so that the peer gets to read it.
    async fn say(&mut self, last: &[u8]) {
        let limit = self.worker.limits().linger_time;
        let saying = async {
            if self.tcp.write_all(last).await.is_err() || self.tcp.shutdown().await.is_err() {
                return;
            }
            let mut taken = 0;
            while taken < 64 * 1024 && self.read_more().await {
                taken += self.input.len();
                self.input.clear();
            }
        };
        // Whether the peer took it in time changes nothing.
        let _ = tokio::time::timeout(limit, saying).await;
    }

    /// Relays a TLS connection as it is (TL-25).
    async fn passthrough(
        self,
        sni: Option<CanonicalHost>,
        upstream: &Arc<CompiledUpstream>,
        route: &Arc<RouteStats>,
    ) {
        let _of_source = self.of_source;
        let prefix = self.input.freeze();
        let relaying = Relaying {
            worker: self.worker,
            live: self.live,
            info: Rc::new(self.info),
            protocol: "tls",
            sni,
        };
        relaying
            .run(Stream::Tcp(self.tcp), prefix, upstream, route)
            .await;
    }

    /// A raw TCP door, with or without TLS.
    async fn tcp_door(mut self) {
        let door = Arc::clone(&self.info.door);
        let Some(tcp) = &door.tcp else { return };
        let limits = self.worker.limits();
        let worker = Rc::clone(&self.worker);
        let (stream, prefix, info, live, _of_source) = if tcp.tls.is_some() {
            let started = Instant::now();
            let unfinished = self.begin_handshake(&limits);
            let hello = Box::pin(unfinished.within(limits.handshake_timeout, self.hello()));
            let (sni, decision) = match hello.await {
                Ok(Ok(decided)) => decided,
                Ok(Err(refused)) => return self.close(refused).await,
                Err(rule) => return self.close(Refused::Closed(rule)).await,
            };
            let Decision::Terminate(selected, terminating) = decision else {
                return;
            };
            let left = limits.handshake_timeout.saturating_sub(started.elapsed());
            let handshake = self.handshake(sni, selected, terminating, unfinished, left);
            let Some((stream, info, live, of_source)) = Box::pin(handshake).await else {
                return;
            };
            (stream, Bytes::new(), info, live, of_source)
        } else {
            (
                Stream::Tcp(self.tcp),
                self.input.freeze(),
                self.info,
                self.live,
                self.of_source,
            )
        };
        let relaying = Relaying {
            worker,
            live,
            info: Rc::new(info),
            protocol: "tcp",
            sni: None,
        };
        Box::pin(relaying.run(stream, prefix, &tcp.upstream, &tcp.route)).await;
    }
}

/// Counts and logs a connection that is refused before it asked for anything (O-01).
fn refused(worker: &Worker, info: &ConnInfo, rule: &'static str) {
    worker.refused(info, rule);
    trail::refused_connection(worker, info, rule);
}

/// What the name in the ClientHello leads to. A function of its arguments: `explain` asks it too.
pub(crate) fn decide(
    snapshot: &Snapshot,
    info: &ConnInfo,
    sni: Option<&CanonicalHost>,
) -> Result<Decision, Refused> {
    const UNKNOWN: Refused = Refused::Alert(alert::UNRECOGNIZED_NAME, "TL-13");
    let door = &info.door;
    if let Some(tcp) = &door.tcp {
        let selected = tcp.tls.as_ref().and_then(|tls| tls.select(sni));
        let selected = selected.ok_or(UNKNOWN)?;
        return Ok(Decision::Terminate(
            selected,
            Terminating::Door(Arc::clone(door)),
        ));
    }
    let Some(sni) = sni else {
        let termination = snapshot.without_sni.as_ref();
        let termination = termination.ok_or(Refused::Alert(alert::UNRECOGNIZED_NAME, "TL-10"))?;
        let selected = termination.select(None).ok_or(UNKNOWN)?;
        let kept = Terminating::WithoutSni(Arc::clone(termination));
        return Ok(Decision::Terminate(selected, kept));
    };
    let role = door.spec().role;
    let entry = snapshot.reachable(sni.as_str(), role).ok_or(UNKNOWN)?;
    let host = Arc::clone(entry.payload());
    match &*host {
        CompiledHost::Terminate(termination) => {
            let selected = termination.select(Some(sni));
            let selected = selected.ok_or(Refused::Alert(alert::UNRECOGNIZED_NAME, "TL-14"))?;
            Ok(Decision::Terminate(selected, Terminating::Host(host)))
        }
        CompiledHost::Passthrough { .. } => {
            let verdict = entry.verdict(sni.as_str(), "/");
            let admitted = verdict
                .from
                .as_ref()
                .is_none_or(|from| info.verified && from.contains(info.client.ip()));
            if !admitted || !verdict.class.reaches(role) {
                return Err(UNKNOWN);
            }
            Ok(Decision::Passthrough(host))
        }
    }
}

pub(crate) fn identify(
    terminating: &Terminating,
    presented: Option<&[rustls::pki_types::CertificateDer<'_>]>,
) -> Option<(PolicyId, ClientIdentity)> {
    let termination = terminating.termination()?;
    Some((termination.policy(), termination.identify(presented)))
}
