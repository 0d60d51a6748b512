//! A connection whose bytes go to one backend: passed through, or from a raw TCP door.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use adit_route::CanonicalHost;
use bytes::Bytes;

use crate::access_log::{Record, Timings};
use crate::error::Error;
use crate::http::forward::{failure, pick};
use crate::info::ConnInfo;
use crate::io::Stream;
use crate::metrics::RouteStats;
use crate::relay::{RelayCounters, RelayOptions, relay};
use crate::snapshot::CompiledUpstream;
use crate::upstream::connect::{self, Dial};
use crate::upstream::{InFlight, Outcome};
use crate::worker::{Live, Relayed, Worker};

/// A connection whose bytes go to one backend.
pub(super) struct Relaying {
    pub worker: Rc<Worker>,
    pub live: Rc<Live>,
    pub info: Rc<ConnInfo>,
    /// What the log says of it: `tls` or `tcp`.
    pub protocol: &'static str,
    pub sni: Option<CanonicalHost>,
}

impl Relaying {
    pub(super) async fn run(
        &self,
        client: Stream,
        prefix: Bytes,
        compiled: &Arc<CompiledUpstream>,
        route: &Arc<RouteStats>,
    ) {
        self.live.set_info(&self.info);
        if let Some(sni) = &self.sni {
            self.live.relays(Relayed {
                host: sni.clone(),
                path: "/".to_owned(),
                role: self.info.door.spec().role,
            });
        }
        let started = Instant::now();
        let limits = self.worker.limits();
        let (place, backend) = match self.connect(compiled).await {
            Ok(connected) => connected,
            Err(error) => {
                tracing::debug!(%error, client = %self.info.client, "no backend for a relayed connection");
                // The client sees a refused connection, not an orderly end.
                client.reset_on_close();
                self.log(
                    compiled,
                    None,
                    started,
                    &RelayCounters::default(),
                    error.reason(),
                );
                return;
            }
        };
        let spec = compiled.upstream.spec();
        let options = RelayOptions {
            buffer: limits.relay_buffer,
            idle: spec.timeouts.idle.unwrap_or(limits.tunnel_idle_timeout),
            half_close: limits.half_close_timeout,
            stall: limits.write_timeout,
        };
        let counters = RelayCounters::default();
        let end = tokio::select! {
            end = relay(client, backend, prefix, Bytes::new(), &options, &counters) => end.reason(),
            () = self.live.cut() => "shutdown",
        };
        if end == "L-74" {
            self.worker.refused(&self.info, end);
        }
        route.relayed(self.worker.index, counters.up.get(), counters.down.get());
        self.log(compiled, Some(&place), started, &counters, end);
    }

    /// A connection to the first endpoint that takes one.
    async fn connect(&self, compiled: &Arc<CompiledUpstream>) -> Result<(InFlight, Stream), Error> {
        const MOST: usize = 3;
        let current = self.worker.current();
        let spec = compiled.upstream.spec();
        let mut tried = smallvec::SmallVec::<[u32; 4]>::new();
        let hash = crate::upstream::hash_key(self.info.client_text.as_bytes());
        loop {
            let place = pick(&self.worker, &current, compiled, (Some(hash), None), &tried)?;
            let dial = Dial {
                worker: &self.worker,
                compiled,
                endpoint: place.endpoint(),
                limits: &current.limits,
                timeout: spec
                    .timeouts
                    .connect
                    .unwrap_or(current.limits.connect_timeout),
                conveyed: Some((self.info.client, self.info.local)),
            };
            let begun = Instant::now();
            let result = connect::dial(&dial).await;
            let now = Instant::now();
            let outcome = match &result {
                Ok(_) => Outcome::Success {
                    latency: now.duration_since(begun),
                },
                Err(error) => Outcome::Failure(failure(error)),
            };
            place
                .endpoint()
                .report(self.worker.index, outcome, &compiled.upstream, now);
            match result {
                Ok(stream) => return Ok((place, stream)),
                Err(Error::Loop) => return Err(Error::Loop),
                Err(error) if tried.len() + 1 >= MOST => return Err(error),
                Err(error) => {
                    let others = compiled.upstream.endpoints().len() > tried.len() + 1;
                    if !others {
                        return Err(error);
                    }
                    tried.push(place.endpoint().id());
                }
            }
        }
    }

    fn log(
        &self,
        compiled: &CompiledUpstream,
        place: Option<&InFlight>,
        started: Instant,
        counters: &RelayCounters,
        reason: &'static str,
    ) {
        if !self.worker.log.is_on() {
            return;
        }
        let info = &self.info;
        let spec = info.door.spec();
        let sni = self.sni.as_ref().map_or("", CanonicalHost::as_str);
        self.worker.log.record(&Record {
            channel: spec.role.as_str(),
            listener: &spec.name,
            client_ip_from: info.client_from,
            peer: Some(info.peer),
            sni: sni.as_bytes(),
            protocol: self.protocol,
            host: sni.as_bytes(),
            upstream: &compiled.upstream.spec().name,
            endpoint: place.map_or("", |place| place.endpoint().label()),
            attempts: 1,
            bytes_in: counters.up.get(),
            bytes_out: counters.down.get(),
            timings: Timings {
                total: started.elapsed(),
                ..Timings::default()
            },
            rule: reason,
            draining: self.worker.is_draining(),
            ..Record::new(SystemTime::now(), info.client.ip())
        });
    }
}
