//! One lookup: the system's servers (or given ones), records to addresses, the filter of E-07.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adit_route::{DnsTarget, Family};
use arc_swap::ArcSwap;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::knowledge::Answer;
use crate::upstream::Found;
use crate::upstream::destination::{Refusal, is_listener, refusal};

/// Time for all attempts of one lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for one attempt at one server.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// Addresses that one name may have: a bound for hostile answers.
const MOST_ADDRESSES: usize = 256;

/// How names are resolved.
#[derive(Clone, Debug, Default)]
pub struct ResolverOptions {
    /// Servers to ask instead of those of `/etc/resolv.conf`; its search list is not used then.
    pub nameservers: Option<Vec<SocketAddr>>,
}

/// Asks DNS and refuses what must not be connected to.
#[derive(Debug)]
pub struct Resolver {
    dns: TokioResolver,
    listeners: ArcSwap<Vec<SocketAddr>>,
}

impl Resolver {
    /// Reads the system's configuration. To be called within a runtime.
    pub fn new(options: &ResolverOptions) -> io::Result<Self> {
        let mut builder = match &options.nameservers {
            None => TokioResolver::builder_tokio().map_err(io::Error::other)?,
            Some(servers) => {
                let servers = servers.iter().copied().map(name_server).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let settings = builder.options_mut();
        // Answers are kept by who asks, together with when to ask again.
        settings.cache_size = 0;
        settings.timeout = settings.timeout.min(ATTEMPT_TIMEOUT);
        let dns = builder.build().map_err(io::Error::other)?;
        Ok(Self {
            dns,
            listeners: ArcSwap::default(),
        })
    }

    /// Our own doors, which no name may lead to.
    pub fn set_listeners(&self, listeners: Vec<SocketAddr>) {
        self.listeners.store(Arc::new(listeners));
    }

    /// Our own doors.
    pub fn listeners(&self) -> Arc<Vec<SocketAddr>> {
        self.listeners.load_full()
    }

    /// Asks once.
    pub(super) async fn ask(&self, target: &DnsTarget, kind: RecordType) -> Answer {
        let asked = async {
            match kind {
                RecordType::SRV => self.services(target).await,
                kind => self.addresses(&target.name, kind, target.port, 1).await,
            }
        };
        match tokio::time::timeout(LOOKUP_TIMEOUT, asked).await {
            Ok(answer) => self.filtered(answer),
            Err(_) => Answer::Failed("no answer in time".into()),
        }
    }

    async fn addresses(&self, name: &str, kind: RecordType, port: u16, weight: u32) -> Answer {
        let lookup = match self.records(name, kind).await {
            Ok(lookup) => lookup,
            Err(answer) => return answer,
        };
        let address = |data: &RData| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        };
        let ips = lookup
            .answers()
            .iter()
            .filter_map(|record| address(&record.data));
        let found: Vec<Found> = ips
            .take(MOST_ADDRESSES)
            .map(|ip| Found {
                address: SocketAddr::new(ip, port),
                weight,
            })
            .collect();
        if found.is_empty() {
            Answer::Absent
        } else {
            Answer::Found {
                found,
                ttl: ttl(&lookup),
            }
        }
    }

    /// Services of the best priority (RFC 2782), each with the addresses of its host.
    async fn services(&self, target: &DnsTarget) -> Answer {
        let lookup = match self.records(&target.name, RecordType::SRV).await {
            Ok(lookup) => lookup,
            Err(answer) => return answer,
        };
        let mut priorities: BTreeMap<u16, Vec<(String, u16, u16)>> = BTreeMap::new();
        for record in lookup.answers().iter().take(MOST_ADDRESSES) {
            // A target of "." says that the service is not offered.
            if let RData::SRV(srv) = &record.data
                && !srv.target.is_root()
            {
                let service = (srv.target.to_ascii(), srv.port, srv.weight);
                priorities.entry(srv.priority).or_default().push(service);
            }
        }
        let Some((_, services)) = priorities.pop_first() else {
            return Answer::Absent;
        };
        let kinds: &[RecordType] = match target.family {
            Family::Any => &[RecordType::A, RecordType::AAAA],
            Family::Ipv4 => &[RecordType::A],
            Family::Ipv6 => &[RecordType::AAAA],
        };
        let mut all = Vec::new();
        let mut shortest = ttl(&lookup);
        for (host, port, weight) in services {
            for kind in kinds {
                // A weight of 0 asks for a very small share, not for none.
                match self
                    .addresses(&host, *kind, port, u32::from(weight).max(1))
                    .await
                {
                    Answer::Found { found, ttl } => {
                        shortest = shortest.min(ttl);
                        all.extend(found);
                    }
                    Answer::Absent => {}
                    failed @ Answer::Failed(_) => return failed,
                }
            }
        }
        all.truncate(MOST_ADDRESSES);
        if all.is_empty() {
            Answer::Absent
        } else {
            Answer::Found {
                found: all,
                ttl: shortest,
            }
        }
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Lookup, Answer> {
        self.dns
            .lookup(name, kind)
            .await
            .map_err(|error| match error {
                NetError::Dns(DnsError::NoRecordsFound(NoRecords {
                    response_code: ResponseCode::NXDomain | ResponseCode::NoError,
                    ..
                })) => Answer::Absent,
                error => Answer::Failed(error.to_string()),
            })
    }

    /// Takes out what must not be connected to. If nothing is left the answer was a lie or a
    /// mistake, and counts as no answer.
    fn filtered(&self, answer: Answer) -> Answer {
        let Answer::Found { mut found, ttl } = answer else {
            return answer;
        };
        let listeners = self.listeners.load();
        let mut refused = None;
        let mut own = Vec::new();
        found.retain(|found| match refusal(found.address, &listeners) {
            Some(reason) => {
                if reason == Refusal::OwnListener {
                    own.push(found.clone());
                }
                refused = Some(format!("{} is {reason}", found.address.ip()));
                false
            }
            None => true,
        });
        match refused {
            // Connecting there is refused as the loop that it is, which tells more than silence.
            Some(_) if found.is_empty() && !own.is_empty() => Answer::Found { found: own, ttl },
            Some(reason) if found.is_empty() => Answer::Failed(format!("refused: {reason}")),
            _ => Answer::Found { found, ttl },
        }
    }
}

/// `localhost` is this machine by definition (RFC 6761 §6.3) and the operator's own word: it is not
/// asked for, so nobody can answer something else. Only our own doors are refused.
pub(super) fn localhost(target: &DnsTarget, listeners: &[SocketAddr]) -> Option<Vec<Found>> {
    let name = target.name.trim_end_matches('.');
    let label = name.rsplit('.').next().unwrap_or(name);
    if target.srv || !label.eq_ignore_ascii_case("localhost") {
        return None;
    }
    let (v4, v6) = (
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    );
    let ips: &[IpAddr] = match target.family {
        Family::Any => &[v4, v6],
        Family::Ipv4 => &[v4],
        Family::Ipv6 => &[v6],
    };
    let foreign = ips
        .iter()
        .filter(|ip| is_listener(**ip, target.port, listeners).is_none());
    let found = |ip: &IpAddr| Found {
        address: SocketAddr::new(*ip, target.port),
        weight: 1,
    };
    Some(foreign.map(found).collect())
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// The shortest TTL in the answer, aliases included.
fn ttl(lookup: &Lookup) -> Duration {
    let shortest = lookup.answers().iter().map(|record| record.ttl).min();
    Duration::from_secs(shortest.unwrap_or_default().into())
}
