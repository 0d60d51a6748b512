//! The sentences: one form for each thing, so that two steps never name it differently.

use std::fmt;

use adit_route::table::{Near, Nearness, Unmet};
use adit_route::{
    Address, CidrSet, Conditions, FieldMatch, PathMatch, Place, Protocol, Role, Target, ValueMatch,
};

use super::{Destination, Verdict, Why};
use crate::blueprint::{ListenerKind, ListenerSpec};
use crate::snapshot::CompiledRoute;
use crate::tls::Certificate;

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hidden {
            return write!(f, " as for an unknown host ({})", self.text);
        }
        write!(f, ": {}", self.text)?;
        match self.rule {
            "" => Ok(()),
            rule => write!(f, " [{rule}]"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upstream {}", self.upstream)?;
        match &*self.endpoints {
            [] => f.write_str(", which has no endpoint"),
            endpoints => write!(f, " via {}", endpoints.join(", ")),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(why) => write!(f, "the connection is closed{why}"),
            Self::UnrecognizedName(why) => write!(f, "TLS alert unrecognized_name{why}"),
            Self::Answered(status, why) => write!(f, "{}{why}", status.as_str()),
            Self::Redirected { status, location } => {
                write!(f, "{} to {location}", status.as_str())
            }
            Self::Fixed(status) => write!(f, "{}, the route's fixed answer", status.as_str()),
            Self::Admin => f.write_str("answered by the admin surface"),
            Self::Forwarded(all) => {
                f.write_str("forwarded to ")?;
                for (index, one) in all.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "; " };
                    write!(f, "{comma}{one}")?;
                    if all.len() > 1 {
                        write!(f, " ({} %)", one.percent)?;
                    }
                }
                Ok(())
            }
            Self::PassedThrough(one) => write!(f, "passthrough to {one}"),
            Self::Relayed(one) => write!(f, "relayed to {one}"),
        }
    }
}

/// `adit.yaml line 27`, or nothing for what was not written.
pub(super) fn place(place: &Place) -> String {
    match (&*place.source, place.line) {
        ("", 0) => String::new(),
        ("", line) => format!("line {line}"),
        (source, 0) => source.to_owned(),
        (source, line) => format!("{source} line {line}"),
    }
}

/// `lan listener web, HTTP on 127.0.0.1:8080`.
pub(super) fn listener(spec: &ListenerSpec) -> String {
    let binds: Vec<_> = spec.binds.iter().map(ToString::to_string).collect();
    format!(
        "{} ({}), {} on {}",
        spec.name,
        spec.role,
        speaks(&spec.kind),
        binds.join(", ")
    )
}

fn speaks(kind: &ListenerKind) -> &'static str {
    match kind {
        ListenerKind::Http | ListenerKind::Admin => "HTTP",
        ListenerKind::H2c => "HTTP/2 by prior knowledge",
        ListenerKind::Https => "TLS",
        ListenerKind::Tcp { tls: true, .. } => "TCP behind TLS",
        ListenerKind::Tcp { tls: false, .. } => "TCP",
    }
}

/// `certificate site names *.example.test`.
pub(super) fn certificate(certificate: &Certificate) -> String {
    let hosts: Vec<_> = certificate
        .hosts()
        .iter()
        .map(ToString::to_string)
        .collect();
    format!(
        "certificate {} names {}",
        certificate.name(),
        hosts.join(", ")
    )
}

/// From where clients of such a door come.
pub(super) fn whence(role: Role) -> &'static str {
    match role {
        Role::Lan => "the LAN",
        Role::Internet => "the Internet",
        Role::Tunnel => "a tunnel",
        Role::Admin => "operators",
    }
}

/// `10.0.0.0/8, fd00::/8`.
pub(super) fn blocks(set: &CidrSet) -> String {
    let blocks: Vec<_> = set.blocks().iter().map(ToString::to_string).collect();
    blocks.join(", ")
}

/// `prefix /api`.
pub(super) fn path(path: &PathMatch) -> String {
    let kind = match path {
        PathMatch::Exact(_) => "exact",
        PathMatch::Prefix(_) => "prefix",
        PathMatch::Regex(_) => "regex",
    };
    format!("{kind} {}", path.as_str())
}

/// What a rule demands beside its path: `; method GET`.
pub(super) fn conditions(conditions: &Conditions) -> String {
    let Conditions {
        methods,
        headers,
        query,
    } = conditions;
    let method = (!methods.is_empty()).then_some(Unmet::Method(methods));
    let all = method
        .into_iter()
        .chain(headers.iter().map(Unmet::Header))
        .chain(query.iter().map(Unmet::Query));
    all.fold(String::new(), |text, one| text + "; " + &unmet(&one))
}

/// A condition, in words.
pub(super) fn unmet(condition: &Unmet<'_>) -> String {
    fn wanted<N: fmt::Display>(wanted: &FieldMatch<N>) -> String {
        match &wanted.value {
            ValueMatch::Exact(value) => format!("{}: {value}", wanted.name),
            ValueMatch::Regex(regex) => format!("{} matching {regex}", wanted.name),
            ValueMatch::Present => wanted.name.to_string(),
        }
    }
    match condition {
        Unmet::Method(methods) => {
            let names: Vec<_> = methods.iter().map(http::Method::as_str).collect();
            format!("method {}", names.join(" or "))
        }
        Unmet::Header(field) => format!("header {}", wanted(field)),
        Unmet::Query(field) => format!("query parameter {}", wanted(field)),
    }
}

/// A rule that almost matched, and what it lacks.
pub(super) fn near<R>(near: &Near<'_, R>, asked: &str, at: &Place) -> String {
    let rule = path(&near.rule.path);
    let at = match place(at) {
        at if at.is_empty() => at,
        at => format!(" ({at})"),
    };
    let lacks = match &near.nearness {
        Nearness::Conditions(missing) => {
            let missing: Vec<_> = missing.iter().map(unmet).collect();
            format!("matches the path, and demands {}", missing.join("; "))
        }
        Nearness::Spelling => "is spelled nearly like the path".to_owned(),
        Nearness::Beginning(bytes) => match near.rule.path {
            PathMatch::Prefix(_) if near.rule.path.as_str().len() == *bytes => {
                "begins like the path, and a prefix covers whole elements only".to_owned()
            }
            _ => format!(
                "agrees with the path up to {}",
                asked.get(..*bytes).unwrap_or(asked)
            ),
        },
    };
    format!("almost: {rule}{at} {lacks}")
}

/// Which route: `prefix /api of www.example.test, adit.yaml line 12`.
pub(super) fn route(matched: &PathMatch, route: &CompiledRoute) -> String {
    let at = match place(&route.place) {
        at if at.is_empty() => at,
        at => format!(", {at}"),
    };
    format!("{} of {}{at}", path(matched), route.host)
}

/// A target as it can be written in the file.
pub(super) fn target(target: &Target) -> String {
    let address = match &target.address {
        Address::Unix(path) => return format!("unix:{}", path.display()),
        Address::Socket(address) => address.to_string(),
        Address::Dns(dns) if dns.srv => format!("{} (SRV)", dns.name),
        Address::Dns(dns) => format!("{}:{}", dns.name, dns.port),
    };
    match target.protocol {
        Protocol::Http1 => format!("http://{address}"),
        Protocol::Https1 => format!("https://{address}"),
        Protocol::H2c => format!("h2c://{address}"),
        Protocol::H2 => format!("h2://{address}"),
        Protocol::Tcp => address,
    }
}
