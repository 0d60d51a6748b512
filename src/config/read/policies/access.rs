//! Who may ask, and how often.

use std::collections::HashMap;
use std::sync::Arc;

use adit_route::policy::{Access, Bandwidth, Period, Policies, RateLimit, RequestRate};
use http::StatusCode;

use super::super::super::problem::{Code, Problem};
use super::super::super::scalar;
use super::super::super::tree::{Node, Span};
use super::super::Reader;
use super::super::upstreams::Scope;
use super::{Names, unless_off};

/// Names of counters, unique, by where their limit is written: paths that take it from their route
/// count together.
#[derive(Default)]
pub(in super::super) struct Zones {
    written: HashMap<Span, Arc<str>>,
    taken: HashMap<String, u32>,
}

impl Zones {
    fn name(&mut self, written: Span, name: &str) -> Arc<str> {
        if let Some(known) = self.written.get(&written) {
            return Arc::clone(known);
        }
        let count = self.taken.entry(name.to_owned()).or_default();
        *count += 1;
        let zone: Arc<str> = match *count {
            1 => name.into(),
            count => format!("{name}#{count}").into(),
        };
        self.written.insert(written, Arc::clone(&zone));
        zone
    }
}

/// Reads the family; whether anything of it is written.
pub(super) fn access(
    reader: &mut Reader<'_>,
    scope: &Scope<'_>,
    names: Names<'_>,
    policies: &mut Policies,
) -> bool {
    if let Some(node) = unless_off(scope, "access") {
        lists(reader, node, &mut policies.access);
    }
    policies.rate = unless_off(scope, "rateLimit").map(|node| {
        let own = scope.is_own("rateLimit");
        let name = if own { names.path } else { names.route };
        rate_limit(reader, node, name)
    });
    let Access { deny, allow, .. } = &policies.access;
    policies.rate.is_some() || !deny.is_empty() || allow.is_some()
}

fn lists(reader: &mut Reader<'_>, node: &Node, access: &mut Access) {
    for list in ["allow", "deny"].iter().filter_map(|key| node.field(key)) {
        reader.host_bits_of(list);
    }
    access.allow = reader.peers(node.field("allow"));
    access.deny = reader.peers(node.field("deny")).unwrap_or_default();
}

fn rate_limit(reader: &mut Reader<'_>, node: &Node, name: &str) -> RateLimit {
    let integer = |key: &str| node.field(key).and_then(Node::integer);
    let size = |key: &str| scalar::size(node.field(key)?.text()?).ok();
    let multiplier = integer("burstMultiplier").unwrap_or(5) as u32;
    let connections = integer("connections").map(|most| most as u32);
    let requests = rates(reader, node, multiplier);
    if requests.is_empty() {
        let why = "there is no rate in `requests` that it could be a multiple of";
        reader.forbid(node, &["burstMultiplier"], why);
    }
    let bandwidth = size("bandwidth");
    if bandwidth.is_none() {
        reader.forbid(
            node,
            &["bandwidthAfter"],
            "there is no `bandwidth` to wait for",
        );
    }
    if requests.is_empty() && connections.is_none() {
        let why = "neither `requests` nor `connections` is limited";
        reader.forbid(node, &["exempt", "status"], why);
    }
    if let Some(list) = node.field("exempt") {
        reader.host_bits_of(list);
    }
    let status = integer("status").and_then(|status| StatusCode::from_u16(status as u16).ok());
    let status = status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    RateLimit {
        zone: reader.zones.name(node.span, name),
        requests,
        connections,
        exempt: reader.peers(node.field("exempt")).unwrap_or_default(),
        request_status: status,
        connection_status: status,
        retry_after: true,
        bandwidth: bandwidth.map(|bytes_per_second| Bandwidth {
            bytes_per_second,
            after: size("bandwidthAfter").unwrap_or(0),
        }),
    }
}

fn rates(reader: &mut Reader<'_>, node: &Node, multiplier: u32) -> Vec<RequestRate> {
    let items = node.field("requests").map(Node::one_or_more);
    let mut rates: Vec<(Period, Span, RequestRate)> = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(Ok((count, period))) = item.text().map(scalar::rate) else {
            continue;
        };
        if let Some((_, first, _)) = rates.iter().find(|(known, ..)| *known == period) {
            let message = format!("there are two rates for `/{}`", period.unit());
            let problem = Problem::error(Code::COMBINATION, item.span, message)
                .found(format!("`{count}/{}`", period.unit()))
                .related(*first, "first written here");
            reader.push(problem.help("keep the lower one: each must let a request pass"));
            continue;
        }
        let rate = RequestRate {
            count,
            period,
            burst: count.saturating_mul(multiplier),
        };
        rates.push((period, item.span, rate));
    }
    rates.into_iter().map(|(_, _, rate)| rate).collect()
}
