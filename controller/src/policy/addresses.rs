//! Lists of addresses: names of networks, blocks and single addresses, resolved to one set.
//!
//! Used for `from` of rules and for `allow` and `deny` of listeners. An entry that is none of the
//! three is an error: an unknown name must never quietly mean nobody, or everybody.

use std::net::IpAddr;

use adit_route::{CidrSet, spelling};
use ipnet::IpNet;

use super::finding::{NETWORK_EMPTY, NETWORK_TWICE, NETWORKS_OVERLAP, UNKNOWN_ADDRESS};
use super::{Finding, Network};

/// The addresses that a list stands for, or each entry that is wrong with its position.
///
/// The path of a finding is the position in the list, such as `[2]`; the caller puts the name of
/// the list before it.
pub fn resolve_addresses(
    list: &[String],
    networks: &[Network],
) -> Result<CidrSet, Vec<(usize, Finding)>> {
    let mut blocks = Vec::new();
    let mut errors = Vec::new();
    for (position, entry) in list.iter().enumerate() {
        match resolve(entry, networks) {
            Some(found) => blocks.extend(found),
            None => errors.push((position, unknown(position, entry, networks))),
        }
    }
    if errors.is_empty() {
        Ok(CidrSet::new(blocks))
    } else {
        Err(errors)
    }
}

fn resolve(entry: &str, networks: &[Network]) -> Option<Vec<IpNet>> {
    if let Some(network) = networks.iter().find(|network| network.name == entry) {
        return Some(network.cidrs.clone());
    }
    let block = entry
        .parse()
        .ok()
        .or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(vec![block])
}

fn unknown(position: usize, entry: &str, networks: &[Network]) -> Finding {
    let path = format!("[{position}]");
    let names = networks.iter().map(|network| network.name.as_str());
    let like_address = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    if entry.contains(['/', ':']) || entry.bytes().all(like_address) {
        let message = format!("`{entry}` is neither an address nor a block of addresses");
        return UNKNOWN_ADDRESS.at(
            path,
            message,
            "write an address, or a block such as 192.168.1.0/24 or 2001:db8::/48",
        );
    }
    let known: Vec<_> = names.clone().map(|name| format!("`{name}`")).collect();
    let known = if known.is_empty() {
        "none is declared".into()
    } else {
        known.join(", ")
    };
    let help = format!("declare it under `networks`, or write a block; known networks: {known}");
    let suggestion = spelling::nearest(entry, names, 1).pop();
    Finding {
        suggestion,
        ..UNKNOWN_ADDRESS.at(path, format!("there is no network `{entry}`"), help)
    }
}

/// Checks the networks themselves.
pub(super) fn check_networks(networks: &[Network]) -> Vec<Finding> {
    let mut errors = Vec::new();
    for (position, network) in networks.iter().enumerate() {
        let name = &network.name;
        let earlier = networks.iter().take(position);
        if earlier.clone().any(|other| other.name == *name) {
            let message = format!("the network `{name}` is declared twice");
            errors.push(NETWORK_TWICE.at(
                format!("networks.{name}"),
                message,
                "rename one, or join their blocks",
            ));
        }
        if network.cidrs.is_empty() {
            let path = format!("networks.{name}.cidrs");
            let message = format!("the network `{name}` has no addresses");
            errors.push(NETWORK_EMPTY.at(
                path,
                message,
                "list at least one block, or remove the network",
            ));
        }
        errors.extend(
            earlier
                .filter(|other| other.role != network.role)
                .filter_map(|other| overlap(network, other)),
        );
    }
    errors
}

fn overlap(network: &Network, other: &Network) -> Option<Finding> {
    let (mine, theirs) = (
        CidrSet::new(network.cidrs.clone()),
        CidrSet::new(other.cidrs.clone()),
    );
    let shared = |block: &IpNet| {
        theirs
            .blocks()
            .iter()
            .find(|known| known.contains(block) || block.contains(*known))
            .copied()
    };
    let mut found = mine.blocks().iter().enumerate();
    let (position, block, known) =
        found.find_map(|(at, block)| Some((at, block, shared(block)?)))?;
    let Network { name, role, .. } = network;
    let message = format!(
        "{block} of `{name}` ({}) overlaps {known} of `{}` ({})",
        role.as_str(),
        other.name,
        other.role.as_str()
    );
    let help = "give both the same role, or take the shared addresses out of one of them";
    Some(NETWORKS_OVERLAP.at(format!("networks.{name}.cidrs[{position}]"), message, help))
}
