//! Sets of addresses, written as CIDR blocks.
//!
//! An IPv4-mapped IPv6 address is folded to IPv4 before any comparison (rule H-15), so a dual-stack
//! socket and an IPv4 socket give the same answer.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// A list of address blocks that answers "is this address in it".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CidrSet {
    blocks: Vec<IpNet>,
}

impl CidrSet {
    /// A set of these blocks; IPv4-mapped blocks of at least /96 count as IPv4.
    pub fn new(blocks: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            blocks: blocks
                .into_iter()
                .map(|block| fold_net(block).trunc())
                .collect(),
        }
    }

    /// Whether the (folded) address lies in one of the blocks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = fold(address);
        self.blocks.iter().any(|block| block.contains(&address))
    }

    /// Whether the set has no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks, in the order in which they were given.
    pub fn blocks(&self) -> &[IpNet] {
        &self.blocks
    }

    /// Adds the blocks of another set.
    pub fn extend(&mut self, other: &Self) {
        self.blocks.extend_from_slice(&other.blocks);
    }
}

/// An IPv4-mapped IPv6 address as the IPv4 address that it means; any other address as it is.
pub fn fold(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn fold_net(block: IpNet) -> IpNet {
    const MAPPED_PREFIX: u8 = 96;
    let IpNet::V6(v6) = block else { return block };
    let address: Ipv6Addr = v6.addr();
    match (
        address.to_ipv4_mapped(),
        v6.prefix_len().checked_sub(MAPPED_PREFIX),
    ) {
        (Some(v4), Some(length)) => ipnet::Ipv4Net::new(v4, length).map_or(block, IpNet::V4),
        _ => block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_and_blocks_count_as_ipv4() {
        let set = CidrSet::new([
            "::ffff:10.0.0.0/104".parse().unwrap(),
            "192.168.1.0/24".parse().unwrap(),
        ]);
        for (address, inside) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("::ffff:192.168.1.9", true),
            ("192.168.2.1", false),
            ("::1", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), inside, "{address}");
        }
    }
}
