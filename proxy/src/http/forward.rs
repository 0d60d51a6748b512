//! Sending a request to a backend: choosing, connecting, trying again where that is safe.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_route::{Balance, HashKey};
use smallvec::SmallVec;

use crate::error::{Attempt, Error, Side};
use crate::h1;
use crate::h1::client::Terms;
use crate::h2;
use crate::http::handle::{Authority, Serving, cookie, is_idempotent};
use crate::http::message::{Request, Response};
use crate::http::repeat::Repeat;
use crate::http::upgrade::Upgraded;
use crate::info::ConnInfo;
use crate::policy::{Scene, expand};
use crate::relay::{RelayCounters, RelayOptions, relay};
use crate::snapshot::{CompiledAction, CompiledRoute, CompiledUpstream};
use crate::trail::Trail;
use crate::upstream::connect::{self, Dial};
use crate::upstream::pool::Berth;
use crate::upstream::{Choice, FailureKind, InFlight, Outcome, PickError, Session, hash_key};
use crate::worker::{Current, Live, Worker};

/// Where a request goes, and how long it may take.
pub(crate) struct Aim<'a> {
    pub upstream: &'a CompiledUpstream,
    /// What consistent hashing goes by.
    pub hash: Option<u64>,
    /// Where the request's session is.
    pub session: Option<Session>,
    pub patience: Patience,
    /// The host that is asked for; `None` is that of the request.
    pub authority: Option<&'a Authority>,
    /// Client and our own address, for a PROXY header.
    pub conveyed: Option<(SocketAddr, SocketAddr)>,
}

/// Time limits of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Connecting; `None` takes that of the upstream.
    pub connect: Option<Duration>,
    /// From the request being sent to the response head (L-70).
    pub response: Duration,
    /// Between two pieces of a body (L-71).
    pub idle: Duration,
}

impl<'a> Aim<'a> {
    fn way(&self) -> (Option<u64>, Option<Session>) {
        (self.hash, self.session)
    }

    /// A request of a route to this upstream.
    pub(crate) fn of(serving: Serving<'a>, upstream: &'a CompiledUpstream) -> Self {
        let Serving {
            info,
            route,
            authority,
            ..
        } = serving;
        Self {
            upstream,
            hash: None,
            session: None,
            patience: Patience {
                connect: route.connect,
                response: route.response,
                idle: route.idle,
            },
            authority,
            conveyed: Some((info.client, info.local)),
        }
    }
}

/// Sends the request to one of the route's upstreams and waits for the response head.
pub(crate) async fn forward(
    serving: Serving<'_>,
    request: &mut Request,
    trail: &mut Trail,
) -> Result<Response, Error> {
    let compiled = share(serving.worker, serving.route).ok_or(Error::NoEndpoint)?;
    let mut aim = Aim::of(serving, compiled);
    aim.hash = hash_of(
        &compiled.upstream.spec().balance,
        serving.info,
        request,
        None,
    );
    let mut response = send(serving.worker, serving.current, &aim, request, trail).await?;
    response.body.set_upgraded_idle(serving.route.upgraded_idle);
    Ok(response)
}

/// Sends the request to an upstream, again where that is safe, and waits for the response head.
pub(crate) async fn send(
    worker: &Rc<Worker>,
    current: &Rc<Current>,
    aim: &Aim<'_>,
    request: &mut Request,
    trail: &mut Trail,
) -> Result<Response, Error> {
    worker.retries.request();
    let compiled = aim.upstream;
    let spec = compiled.upstream.spec();
    let mut repeat = Repeat::new(&spec.retry, request);
    let mut tried: SmallVec<[u32; 4]> = SmallVec::new();
    let mut fresh = false;
    loop {
        let place = match pick(worker, current, compiled, aim.way(), &tried) {
            Err(Error::EndpointsBusy) => {
                Box::pin(wait_for_place(worker, current, aim, &tried)).await?
            }
            picked => picked?,
        };
        trail.attempted(&spec.name, place.endpoint());
        let started = Instant::now();
        let mut attempt = Sending {
            worker,
            current,
            aim,
            repeatable: repeat.repeatable,
            fresh,
            started,
        };
        let result = attempt.send(&place, request, Some(&mut *trail)).await;
        report(worker, compiled, &place, &result, started);
        if repeat.again(&result, started) {
            let stats = compiled.upstream.stats();
            if worker.retries.retry() {
                // Where one idle connection was stale, the others probably are.
                fresh = true;
                tried.push(place.endpoint().id());
                stats.retried(worker.index);
                repeat.restore(request);
                continue;
            }
            stats.retry_denied(worker.index);
        }
        let mut response = result?;
        response.body.carry(place);
        return Ok(response);
    }
}

/// Sends a request of our own: a copy, a span, a question about a request. Nothing is logged of it.
/// Sent again once, where nothing can have come of the first time.
pub(crate) async fn ask(
    worker: &Rc<Worker>,
    current: &Rc<Current>,
    aim: &Aim<'_>,
    request: &mut Request,
) -> Result<Response, Error> {
    let compiled = aim.upstream;
    let whole = request.body.is_empty();
    let repeatable = whole && is_idempotent(&request.method);
    let mut fresh = false;
    loop {
        let place = pick(worker, current, compiled, aim.way(), &[])?;
        let started = Instant::now();
        let mut attempt = Sending {
            worker,
            current,
            aim,
            repeatable,
            fresh,
            started,
        };
        let result = attempt.send(&place, request, None).await;
        report(worker, compiled, &place, &result, started);
        match result {
            Err(error) if whole && !fresh && may_ask_again(&error, repeatable) => fresh = true,
            Err(error) => return Err(error),
            Ok(mut response) => {
                response.body.carry(place);
                return Ok(response);
            }
        }
    }
}

fn may_ask_again(error: &Error, repeatable: bool) -> bool {
    match error.retry() {
        Attempt::Never => false,
        Attempt::NothingSent => true,
        Attempt::Idempotent => repeatable,
    }
}

/// One of the route's upstreams, by weight.
pub(crate) fn share<'a>(
    worker: &Worker,
    route: &'a CompiledRoute,
) -> Option<&'a Arc<CompiledUpstream>> {
    let CompiledAction::Forward { shares, total } = &route.action else {
        return None;
    };
    let mut ticket = match shares.len() {
        0 | 1 => 0,
        _ => worker.random.borrow_mut().u32(..*total),
    };
    for (upstream, weight) in shares {
        match ticket.checked_sub(*weight) {
            Some(rest) => ticket = rest,
            None => return Some(upstream),
        }
    }
    None
}

/// What consistent hashing goes by. A route with policies knows its scene already.
pub(crate) fn hash_of(
    balance: &Balance,
    info: &ConnInfo,
    request: &Request,
    scene: Option<&Scene<'_>>,
) -> Option<u64> {
    let Balance::Hash(key) = balance else {
        return None;
    };
    match key {
        HashKey::ClientIp => Some(hash_key(info.client_text.as_bytes())),
        HashKey::Header(name) => request
            .headers
            .get(name)
            .map(|value| hash_key(value.as_bytes())),
        HashKey::Path => Some(hash_key(request.target.path().as_bytes())),
        HashKey::Host => Some(hash_key(request.host.as_str().as_bytes())),
        HashKey::Cookie(name) => cookie(request, name).map(hash_key),
        HashKey::Query(name) => request.target.query().and_then(|query| {
            let mut pairs = query
                .split('&')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs
                .find(|(found, _)| found == name)
                .map(|(_, value)| hash_key(value.as_bytes()))
        }),
        HashKey::Template(template) => {
            let text = match scene {
                Some(scene) => expand(template, scene),
                None => expand(template, &Scene::plain(info, request)),
            };
            (!text.is_empty()).then(|| hash_key(text.as_bytes()))
        }
    }
}

/// An endpoint with a place at it.
pub(crate) fn pick(
    worker: &Worker,
    current: &Current,
    compiled: &CompiledUpstream,
    (hash, session): (Option<u64>, Option<Session>),
    tried: &[u32],
) -> Result<InFlight, Error> {
    let choice = Choice {
        worker: worker.index,
        hash,
        session,
        tried,
        limit: current.limits.requests_per_endpoint,
        now: Instant::now(),
    };
    compiled
        .upstream
        .pick(&choice, &mut worker.random.borrow_mut())
        .map_err(|error| match error {
            PickError::NoEndpoints => Error::NoEndpoint,
            PickError::AllBusy => Error::EndpointsBusy,
        })
}

/// Waits for a place at an endpoint while all of them have as much as they may have.
async fn wait_for_place(
    worker: &Worker,
    current: &Current,
    aim: &Aim<'_>,
    tried: &[u32],
) -> Result<InFlight, Error> {
    let attempt = || match pick(worker, current, aim.upstream, aim.way(), tried) {
        Err(Error::EndpointsBusy) => None,
        picked => Some(picked),
    };
    let queue = aim.upstream.upstream.stats().queue();
    let waited = queue.wait(current.patience(), attempt).await;
    waited.unwrap_or(Err(Error::EndpointsBusy))
}

/// Tells the endpoint how it did. What the client broke off says nothing about it.
fn report(
    worker: &Worker,
    compiled: &CompiledUpstream,
    place: &InFlight,
    result: &Result<Response, Error>,
    started: Instant,
) {
    let now = Instant::now();
    let outcome = match result {
        Ok(response) => Outcome::of_status(response.status, now.duration_since(started)),
        Err(error) if error.side() != Side::Backend => return,
        // The backend's keep-alive timer was faster: no failure of its service.
        Err(Error::BackendClosed { reused: true }) => return,
        Err(error) => Outcome::Failure(failure(error)),
    };
    let endpoint = place.endpoint();
    endpoint.report(worker.index, outcome, &compiled.upstream, now);
}

pub(crate) fn failure(error: &Error) -> FailureKind {
    match error {
        Error::Connect(_) | Error::ConnectTimeout => FailureKind::Connect,
        Error::BackendTls(_) => FailureKind::Tls,
        Error::ResponseTimeout | Error::ResponseIdle => FailureKind::Timeout,
        Error::Response(_) | Error::Upgrade => FailureKind::Protocol,
        _ => FailureKind::Reset,
    }
}

/// One attempt at one endpoint.
struct Sending<'a> {
    worker: &'a Rc<Worker>,
    current: &'a Rc<Current>,
    aim: &'a Aim<'a>,
    repeatable: bool,
    /// Whether idle connections are passed over.
    fresh: bool,
    started: Instant,
}

impl Sending<'_> {
    async fn send(
        &mut self,
        place: &InFlight,
        request: &mut Request,
        trail: Option<&mut Trail>,
    ) -> Result<Response, Error> {
        // The fields travel beside the request, so that a further attempt finds them again.
        let fields = std::mem::take(&mut request.headers);
        let target = request.target.clone();
        let host = request.host.clone();
        let (host, port) = match self.aim.authority {
            Some((host, port)) => (host, *port),
            None => (&host, request.port),
        };
        let terms = Terms {
            scratch: &self.worker.scratch,
            limits: &self.current.limits,
            response: self.aim.patience.response,
            idle: self.aim.patience.idle,
            headers: &fields,
            host: host.as_str(),
            port,
            target: target.as_str(),
        };
        let result = if place.endpoint().protocol().is_h2() {
            self.send_h2(place, request, &terms, trail).await
        } else {
            self.send_h1(place, request, &terms, trail).await
        };
        request.headers = fields;
        result
    }

    async fn send_h1(
        &self,
        place: &InFlight,
        request: &mut Request,
        terms: &Terms<'_>,
        trail: Option<&mut Trail>,
    ) -> Result<Response, Error> {
        let endpoint = place.endpoint();
        let pool = &self.worker.pool;
        // A connection that carries a PROXY header, or was asked to change its protocol, serves
        // nobody else (D-04).
        let own =
            self.aim.upstream.upstream.spec().proxy_protocol.is_some() || request.upgrade.is_some();
        let idle = if own || self.fresh {
            None
        } else {
            pool.take(endpoint.id(), self.repeatable, self.started)
        };
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let stream = self.dial(place, trail).await?;
            h1::client::Connection::new(stream, terms.idle)
        };
        let berth = (!own).then(|| Berth {
            pool: Rc::clone(pool),
            endpoint: endpoint.id(),
            most: self
                .current
                .limits
                .idle_upstreams
                .div_ceil(self.worker.shared.workers)
                .max(2),
            keep: self.current.limits.idle_upstream_timeout,
        });
        h1::client::exchange(connection, berth, request, terms).await
    }

    async fn send_h2(
        &self,
        place: &InFlight,
        request: &mut Request,
        terms: &Terms<'_>,
        trail: Option<&mut Trail>,
    ) -> Result<Response, Error> {
        let secure = place.endpoint().protocol().is_tls();
        let channel = Box::pin(self.channel(place, trail)).await?;
        Box::pin(h2::client::exchange(channel, secure, request, terms)).await
    }

    /// A connection with room for one more stream, opened if there is none (at most four).
    async fn channel(
        &self,
        place: &InFlight,
        mut trail: Option<&mut Trail>,
    ) -> Result<h2::client::Channel, Error> {
        const MOST: usize = 4;
        let limits = &self.current.limits;
        if self.aim.upstream.upstream.spec().proxy_protocol.is_some() {
            let stream = self.dial(place, trail).await?;
            return h2::client::Channel::open(stream, limits, self.counts()).await;
        }
        let pool = &self.worker.pool;
        let endpoint = place.endpoint().id();
        loop {
            let channels = pool.channels(endpoint);
            let count = channels.len();
            let best = channels
                .into_iter()
                .min_by_key(h2::client::Channel::streams);
            if let Some(best) = best
                && (!best.is_crowded() || count >= MOST)
            {
                return Ok(best);
            }
            let Some(_opening) = pool.opening(endpoint) else {
                pool.opened().await;
                continue;
            };
            let stream = self.dial(place, trail.as_deref_mut()).await?;
            let channel = h2::client::Channel::open(stream, limits, self.counts()).await?;
            pool.add_channel(endpoint, channel.clone());
            return Ok(channel);
        }
    }

    fn counts(&self) -> h2::client::BackendCounts {
        h2::client::BackendCounts {
            stats: Arc::clone(self.aim.upstream.upstream.stats()),
            worker: self.worker.index,
        }
    }

    async fn dial(
        &self,
        place: &InFlight,
        trail: Option<&mut Trail>,
    ) -> Result<crate::io::Stream, Error> {
        let started = Instant::now();
        let spec = self.aim.upstream.upstream.spec();
        let timeout = self.aim.patience.connect.or(spec.timeouts.connect);
        let dial = Dial {
            worker: self.worker,
            compiled: self.aim.upstream,
            endpoint: place.endpoint(),
            limits: &self.current.limits,
            timeout: timeout.unwrap_or(self.current.limits.connect_timeout),
            conveyed: self.aim.conveyed,
        };
        let stream = Box::pin(connect::dial(&dial)).await?;
        let took = started.elapsed();
        if let Some(trail) = trail {
            trail.connected(took);
        }
        self.aim
            .upstream
            .upstream
            .stats()
            .connected(self.worker.index, took);
        Ok(stream)
    }
}

/// Joins the two ends of an upgraded connection until one of them, or we, end it.
pub(crate) async fn join(live: &Live, client: Upgraded, backend: Upgraded) {
    let limits = live.worker().limits();
    let options = RelayOptions {
        buffer: limits.relay_buffer,
        idle: backend.idle.unwrap_or(limits.tunnel_idle_timeout),
        half_close: limits.half_close_timeout,
        stall: limits.write_timeout,
    };
    let counters = RelayCounters::default();
    let relaying = relay(
        client.end,
        backend.end,
        client.leftover,
        backend.leftover,
        &options,
        &counters,
    );
    tokio::select! {
        end = relaying => live.relay_ended(end),
        () = live.cut() => {}
    }
}
