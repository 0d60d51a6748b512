//! Listeners: sockets, what is spoken on them, and who may connect.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use adit_proxy::blueprint::{ForeignTunnel, HttpsRedirect, ListenerKind, ListenerSpec};
use adit_route::{CidrSet, Role};
use http::StatusCode;

use super::super::problem::{Code, Problem};
use super::super::scalar;
use super::super::tree::{Node, Span};
use super::upstreams::{Scope, relay_upstream};
use super::{Reader, cidrs};

const RESERVED: [&str; 4] = ["lan", "internet", "admin", "tunnel"];

/// All listeners of the document.
pub(super) fn listeners(reader: &mut Reader<'_>, root: &Node) -> Vec<Arc<ListenerSpec>> {
    let nodes = root.field("listeners").map(Node::items).unwrap_or_default();
    names(reader, nodes);
    sockets(reader, nodes);
    let https = https_ports(nodes);
    nodes
        .iter()
        .filter_map(|node| listener(reader, node, &https).map(Arc::new))
        .collect()
}

fn names(reader: &mut Reader<'_>, nodes: &[Node]) {
    let mut seen = HashMap::new();
    for node in nodes.iter().filter_map(|node| node.field("name")) {
        reader.unique(&mut seen, Some(node), "listener");
        if let Some(name) = node.text().filter(|name| RESERVED.contains(name)) {
            let problem = Problem::error(
                Code::RESERVED_NAME,
                node.span,
                format!("the name `{name}` is reserved"),
            );
            let help = format!(
                "`explain --from {name}` stands for the role; call the listener \
            `{name}1` or the like"
            );
            reader.push(problem.found(format!("`{name}`")).help(help));
        }
    }
}

fn listener(reader: &mut Reader<'_>, node: &Node, https: &HttpsPorts) -> Option<ListenerSpec> {
    let role = role(node)?;
    combinations(reader, node, role);
    let binds: Vec<_> = binds(node).map(|(_, address)| address).collect();
    if role == Role::Admin {
        admin_is_closed(reader, node, &binds);
    }
    let kind = kind(reader, node, role)?;
    let refusal = match node.field("refusal").and_then(Node::text) {
        Some("403") => StatusCode::FORBIDDEN,
        Some("404") => StatusCode::NOT_FOUND,
        _ if role == Role::Internet => StatusCode::NOT_FOUND,
        _ => StatusCode::FORBIDDEN,
    };
    Some(ListenerSpec {
        name: node.field("name")?.text()?.into(),
        role,
        binds,
        interface: node.field("interface").and_then(Node::text).map(Into::into),
        kind,
        allow: reader.peers(node.field("allow")),
        deny: reader.peers(node.field("deny")).unwrap_or_default(),
        proxy_protocol: proxy_protocol(reader, node),
        trust_forwarded: trust_forwarded(reader, node),
        redirect: node
            .field("redirect")
            .and_then(|redirect| https_redirect(redirect, role, https)),
        foreign_tunnel: match node.field("foreignTunnel").and_then(Node::text) {
            Some("deny") => ForeignTunnel::Deny,
            _ => ForeignTunnel::AsTunnel,
        },
        refusal,
        per_source: per_source(node, role),
    })
}

/// L-81 holds where anybody may come, and for whoever a balancer names; else where it is asked for.
fn per_source(node: &Node, role: Role) -> bool {
    let written = node
        .field("limits")
        .and_then(|node| node.field("perSource"));
    let written = written.and_then(Node::truth);
    written.unwrap_or(role == Role::Internet || node.field("proxyProtocol").is_some())
}

fn role(node: &Node) -> Option<Role> {
    match node.field("role")?.text()? {
        "lan" => Some(Role::Lan),
        "internet" => Some(Role::Internet),
        "admin" => Some(Role::Admin),
        _ => None,
    }
}

fn is_tls(node: &Node) -> bool {
    node.field("tls").and_then(Node::truth).unwrap_or(false)
}

/// Keys of HTTP that a relay of bytes cannot follow.
const HTTP_KEYS: [&str; 5] = [
    "protocol",
    "redirect",
    "trustForwarded",
    "foreignTunnel",
    "refusal",
];

fn combinations(reader: &mut Reader<'_>, node: &Node, role: Role) {
    if role == Role::Admin {
        let keys = [
            &HTTP_KEYS[..],
            &["tls", "tcp", "proxyProtocol", "trustProxy", "limits"],
        ]
        .concat();
        reader.forbid(
            node,
            &keys,
            "an admin listener speaks plain HTTP to operators only",
        );
        return;
    }
    if node.field("tcp").is_some() {
        reader.forbid(
            node,
            &HTTP_KEYS,
            "a `tcp` listener relays bytes and knows no HTTP",
        );
    } else if is_tls(node) {
        reader.forbid(
            node,
            &["redirect"],
            "clients of this listener speak TLS already",
        );
        reader.forbid(
            node,
            &["protocol"],
            "with TLS the protocol is negotiated (ALPN)",
        );
    }
    if role == Role::Internet {
        reader.forbid(
            node,
            &["foreignTunnel"],
            "clients of this listener come from the Internet anyway",
        );
    }
}

/// The admin surface needs no token, so an address that others can reach needs a list of who may
/// (design: no open admin).
fn admin_is_closed(reader: &mut Reader<'_>, node: &Node, binds: &[SocketAddr]) {
    let open = binds
        .iter()
        .find(|address| !adit_route::cidr::fold(address.ip()).is_loopback());
    let (Some(address), None) = (open, node.field("allow")) else {
        return;
    };
    let span = node.field("bind").map_or(node.span, |bind| bind.span);
    let message = format!("an admin listener on {address} is open to everybody who can reach it");
    reader.push(
        Problem::error(Code::ADMIN_OPEN, span, message)
            .found(address.to_string())
            .allowed("a loopback address; any address together with `allow`")
            .help("bind it to `127.0.0.1`, or say with `allow` who may connect"),
    );
}

fn kind(reader: &mut Reader<'_>, node: &Node, role: Role) -> Option<ListenerKind> {
    if role == Role::Admin {
        return Some(ListenerKind::Admin);
    }
    let tls = is_tls(node);
    if let Some(tcp) = node.field("tcp") {
        let name = node.field("name")?.text()?;
        let upstream = relay_upstream(reader, &format!("tcp:{name}"), &Scope::of(tcp))?;
        return Some(ListenerKind::Tcp {
            upstream: Arc::new(upstream),
            tls,
        });
    }
    Some(match (tls, node.field("protocol").and_then(Node::text)) {
        (true, _) => ListenerKind::Https,
        (false, Some("h2c")) => ListenerKind::H2c,
        (false, _) => ListenerKind::Http,
    })
}

/// P-01, P-02: required or never, and never from everybody.
fn proxy_protocol(reader: &mut Reader<'_>, node: &Node) -> Option<CidrSet> {
    let required = node.field("proxyProtocol");
    let trusted = node.field("trustProxy");
    match (required, trusted) {
        (None, None) => None,
        (None, Some(_)) => {
            reader.forbid(
                node,
                &["trustProxy"],
                "without `proxyProtocol: required` no PROXY header is read",
            );
            None
        }
        (Some(key), None) => {
            let message = "`proxyProtocol: required` needs `trustProxy`";
            let problem = Problem::error(Code::COMBINATION, key.span, message);
            reader.push(problem.help(
                "write `trustProxy: [CIDR]` with the addresses of the load \
            balancers that send the header",
            ));
            None
        }
        (Some(_), Some(list)) => {
            for item in list.items().iter().filter(|item| is_everybody(item)) {
                let message = "a PROXY header would be believed from everybody";
                let problem = Problem::error(Code::TRUST_ALL, item.span, message)
                    .found(item.text().unwrap_or_default());
                reader.push(problem.help(
                    "name the addresses of the load balancers: whoever may send the \
            header can claim any address",
                ));
            }
            Some(CidrSet::new(cidrs(list)))
        }
    }
}

fn trust_forwarded(reader: &mut Reader<'_>, node: &Node) -> CidrSet {
    let Some(list) = node.field("trustForwarded") else {
        return CidrSet::default();
    };
    for item in list.items().iter().filter(|item| is_everybody(item)) {
        let message =
            "forwarding fields are believed from everybody: any client can claim any address";
        let problem = Problem::warning(Code::RELAXED, item.span, message)
            .found(item.text().unwrap_or_default());
        reader.push(problem.help("name the addresses of the HTTP proxies in front"));
    }
    CidrSet::new(cidrs(list))
}

/// Folding first: `::ffff:0:0/96` is all of IPv4 too.
fn is_everybody(item: &Node) -> bool {
    let block = item.text().and_then(|text| scalar::cidr(text).ok());
    CidrSet::new(block)
        .blocks()
        .iter()
        .any(|block| block.prefix_len() == 0)
}

/// The addresses of the admin listeners, whatever else is wrong with the file.
pub(in crate::config) fn admin_binds(root: &Node) -> Vec<SocketAddr> {
    let listeners = root.field("listeners").into_iter().flat_map(Node::items);
    listeners
        .filter(|node| node.field("role").and_then(Node::text) == Some("admin"))
        .flat_map(binds)
        .map(|(_, address)| address)
        .collect()
}

fn binds(node: &Node) -> impl Iterator<Item = (Span, SocketAddr)> {
    let items = node
        .field("bind")
        .map(Node::one_or_more)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| Some((item.span, scalar::bind(item.text()?).ok()?)))
}

/// Address, interface and place of a socket, listed by port.
type Socket<'n> = (IpAddr, Option<&'n str>, Span);

/// Two listeners must not share a socket: the role of a connection is that of its listener.
fn sockets(reader: &mut Reader<'_>, nodes: &[Node]) {
    let mut taken: HashMap<u16, Vec<Socket<'_>>> = HashMap::new();
    for node in nodes {
        let interface = node.field("interface").and_then(Node::text);
        for (span, address) in binds(node).filter(|(_, address)| address.port() != 0) {
            let others = taken.entry(address.port()).or_default();
            let other = others.iter().find(|(ip, device, _)| {
                let apart = device.is_some() && interface.is_some() && *device != interface;
                !apart && overlap(*ip, address.ip())
            });
            if let Some((_, _, first)) = other {
                let message = format!("two listeners would share the socket {address}");
                let problem =
                    Problem::error(Code::SOCKET_CONFLICT, span, message).found(address.to_string());
                reader.push(problem.related(*first, "already bound here").help(
                    "give each its own address or port; `[::]` takes IPv4 too, and \
            `0.0.0.0` takes every IPv4 address",
                ));
            }
            others.push((address.ip(), interface, span));
        }
    }
}

fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (adit_route::cidr::fold(one), adit_route::cidr::fold(other));
    let takes = |wide: IpAddr, address: IpAddr| {
        wide.is_unspecified() && (wide.is_ipv6() || address.is_ipv4())
    };
    one == other || takes(one, other) || takes(other, one)
}

/// Ports of the TLS listeners that speak HTTP, by role.
type HttpsPorts = HashMap<Role, Vec<Vec<u16>>>;

fn https_ports(nodes: &[Node]) -> HttpsPorts {
    let mut ports = HttpsPorts::new();
    for node in nodes
        .iter()
        .filter(|node| is_tls(node) && node.field("tcp").is_none())
    {
        let mut own: Vec<_> = binds(node).map(|(_, address)| address.port()).collect();
        own.sort_unstable();
        own.dedup();
        if let Some(role) = role(node) {
            ports.entry(role).or_default().push(own);
        }
    }
    ports
}

fn https_redirect(node: &Node, role: Role, https: &HttpsPorts) -> Option<HttpsRedirect> {
    const HTTPS: u16 = 443;
    let only = match https.get(&role).map(Vec::as_slice) {
        Some([ports]) => match ports.as_slice() {
            [port] => Some(*port),
            _ => None,
        },
        _ => None,
    };
    let written = node
        .field("port")
        .and_then(Node::integer)
        .and_then(|port| u16::try_from(port).ok());
    let status = match node.field("status") {
        Some(status) => status.text()?.parse().ok()?,
        None => StatusCode::PERMANENT_REDIRECT,
    };
    // Port 0 is settled by the system later; 443 is then as good a guess as any.
    let port = written.or(only).filter(|port| !matches!(*port, 0 | HTTPS));
    Some(HttpsRedirect { port, status })
}
