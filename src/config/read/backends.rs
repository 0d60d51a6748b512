//! Backends: where they are, and what is spoken there.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use adit_route::{Address, DnsTarget, Family, Protocol, Target};

use super::super::problem::{Code, Problem};
use super::super::scalar::{self, BackendHost, BackendText, Scheme};
use super::super::tree::Node;
use super::Reader;

/// What is spoken to the backends of a scope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    Relay,
}

/// The backends of a list.
pub(super) fn targets(reader: &mut Reader<'_>, list: &[Node], transport: Transport) -> Vec<Target> {
    list.iter()
        .filter_map(|node| target(reader, node, transport))
        .collect()
}

fn target(reader: &mut Reader<'_>, node: &Node, transport: Transport) -> Option<Target> {
    if node.text().is_some() {
        return short_target(reader, node, transport, 1);
    }
    if !node.is_map() {
        return None;
    }
    let weight = node
        .field("weight")
        .and_then(Node::integer)
        .map_or(1, |weight| weight as u32);
    match (node.field("url"), node.field("dns")) {
        (Some(url), None) => {
            reader.forbid(
                node,
                &["family", "port", "scheme", "srv"],
                "it belongs to `dns`; a `url` says all of this itself",
            );
            short_target(reader, url, transport, weight)
        }
        (None, Some(dns)) => dns_target(reader, node, dns, transport, weight),
        (found, _) => {
            let message = if found.is_some() {
                "both `url` and `dns` are written"
            } else {
                "neither `url` nor `dns` is written"
            };
            let problem = Problem::error(Code::COMBINATION, node.span, message)
                .allowed("exactly one of `url` and `dns`");
            reader.push(
                problem.help("write `{url: \"http://10.0.0.7:8000\"}` or `{dns: NAME, port: 80}`"),
            );
            None
        }
    }
}

fn short_target(
    reader: &mut Reader<'_>,
    node: &Node,
    transport: Transport,
    weight: u32,
) -> Option<Target> {
    text_target(reader, node, node.text()?, transport, weight)
}

/// The target that a text stands for, which is written at `node`.
pub(super) fn text_target(
    reader: &mut Reader<'_>,
    node: &Node,
    text: &str,
    transport: Transport,
    weight: u32,
) -> Option<Target> {
    match scalar::backend(text).ok()? {
        BackendText::Unix(path) => Some(Target {
            address: Address::Unix(PathBuf::from(path)),
            protocol: protocol(None, transport),
            weight,
        }),
        BackendText::Authority { scheme, host, port } => {
            fitting_scheme(reader, node, text, scheme, transport)?;
            let address = match host {
                BackendHost::Address(ip) => {
                    Address::Socket(usable_address(reader, node, SocketAddr::new(ip, port))?)
                }
                BackendHost::Name(name) => {
                    not_localhost(reader, node, name.as_str(), port)?;
                    Address::Dns(DnsTarget {
                        name: name.as_str().into(),
                        port,
                        family: Family::Any,
                        srv: false,
                    })
                }
            };
            Some(Target {
                address,
                protocol: protocol(scheme, transport),
                weight,
            })
        }
    }
}

fn dns_target(
    reader: &mut Reader<'_>,
    node: &Node,
    dns: &Node,
    transport: Transport,
    weight: u32,
) -> Option<Target> {
    let srv = node.field("srv").and_then(Node::truth).unwrap_or(false);
    let port = node.field("port");
    if srv {
        reader.forbid(node, &["port"], "the SRV record gives the port");
    } else if port.is_none() {
        let problem = Problem::error(
            Code::COMBINATION,
            node.span,
            "the port of the backend is missing",
        );
        reader.push(problem.help("write `port`, or `srv: true` if the name is an SRV name"));
        return None;
    }
    if transport == Transport::Relay {
        reader.forbid(node, &["scheme"], "bytes are relayed as they come");
    }
    let name = scalar::dns_name(dns.text()?).ok()?;
    not_localhost(
        reader,
        dns,
        name.as_str(),
        port.and_then(Node::integer).unwrap_or(0) as u16,
    )?;
    let target = DnsTarget {
        name: name.as_str().into(),
        port: port.and_then(Node::integer).unwrap_or(0) as u16,
        family: match node.field("family").and_then(Node::text) {
            Some("ipv4") => Family::Ipv4,
            Some("ipv6") => Family::Ipv6,
            _ => Family::Any,
        },
        srv,
    };
    let scheme = node
        .field("scheme")
        .and_then(Node::text)
        .map_or(Some(Scheme::Http), scalar::scheme);
    Some(Target {
        address: Address::Dns(target),
        protocol: protocol(scheme, transport),
        weight,
    })
}

fn protocol(scheme: Option<Scheme>, transport: Transport) -> Protocol {
    match (transport, scheme) {
        (Transport::Relay, _) => Protocol::Tcp,
        (Transport::Http, None | Some(Scheme::Http)) => Protocol::Http1,
        (Transport::Http, Some(Scheme::Https)) => Protocol::Https1,
        (Transport::Http, Some(Scheme::H2c)) => Protocol::H2c,
        (Transport::Http, Some(Scheme::H2)) => Protocol::H2,
    }
}

fn fitting_scheme(
    reader: &mut Reader<'_>,
    node: &Node,
    text: &str,
    scheme: Option<Scheme>,
    transport: Transport,
) -> Option<()> {
    let (message, instead, allowed) = match (transport, scheme) {
        (Transport::Http, Some(_)) | (Transport::Relay, None) => return Some(()),
        (Transport::Http, None) => {
            let allowed = "http://h:p, https://h:p, h2c://h:p, h2://h:p, unix:/path";
            (
                "the scheme is missing: this route speaks HTTP to its backends",
                format!("http://{text}"),
                allowed,
            )
        }
        (Transport::Relay, Some(_)) => {
            let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
            (
                "bytes are relayed as they come, so the backend has no scheme",
                bare.to_owned(),
                "h:p, unix:/path",
            )
        }
    };
    let help = format!("did you mean `{instead}`?");
    let problem = Problem::error(Code::BACKEND_FORM, node.span, message).found(format!("`{text}`"));
    reader.push(problem.allowed(allowed).nearest(Some(instead)).help(help));
    None
}

/// Connecting to `0.0.0.0` reaches this machine by accident, and a multicast address nobody.
fn usable_address(reader: &mut Reader<'_>, node: &Node, address: SocketAddr) -> Option<SocketAddr> {
    let ip = adit_route::cidr::fold(address.ip());
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if !ip.is_unspecified() && !ip.is_multicast() && !broadcast {
        return Some(address);
    }
    let problem = Problem::error(
        Code::BACKEND_FORM,
        node.span,
        format!("{ip} is not the address of one machine"),
    );
    reader.push(
        problem
            .found(address.to_string())
            .help("write the address of the backend; this machine is `127.0.0.1` or `[::1]`"),
    );
    None
}

/// A DNS answer that leads to this machine is refused (E-10); the name that always does is refused
/// here already.
fn not_localhost(reader: &mut Reader<'_>, node: &Node, name: &str, port: u16) -> Option<()> {
    if name != "localhost" && !name.ends_with(".localhost") {
        return Some(());
    }
    let message =
        format!("`{name}` leads to this machine, and names that do are refused: write the address");
    let text = node.text().unwrap_or_default();
    let instead = if text == name {
        format!("127.0.0.1:{port}")
    } else {
        text.replacen(name, "127.0.0.1", 1)
    };
    let help = format!("did you mean `{instead}`?");
    let problem = Problem::error(Code::BACKEND_FORM, node.span, message).found(format!("`{text}`"));
    reader.push(problem.nearest(Some(instead)).help(help));
    None
}
