//! The exposure policy as the operator writes it.
//!
//! Who may see which host is decided by an ordered list of rules, a default that is never public,
//! and guards that no rule can overrule. This module is plain data without a file format: a source
//! fills [`PolicyConfig`], [`compile()`] turns it into the rules that the data plane reads.

mod addresses;
mod compile;
mod coverage;
mod finding;
mod guards;

use adit_route::{Class, HostPattern, Place};
use ipnet::IpNet;

pub use addresses::resolve_addresses;
pub use compile::compile;
pub use finding::Finding;

/// The policy of one file.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    /// Named sets of addresses.
    pub networks: Vec<Network>,
    /// In order; the first that matches decides.
    pub rules: Vec<RuleConfig>,
    /// For every other host: `lan` or `off`.
    pub default: Class,
    /// Where the default was written; line 0 if it was not.
    pub default_place: Place,
    /// What no rule may do.
    pub guards: Guards,
    /// Whether a listener of role `internet` exists, without which nothing can be public.
    pub has_internet_listener: bool,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            rules: Vec::new(),
            default: Class::Lan,
            default_place: Place::default(),
            guards: Guards::default(),
            has_internet_listener: false,
        }
    }
}

impl PolicyConfig {
    /// The network of this name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }
}

/// A named set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Unique name.
    pub name: String,
    /// Who is there.
    pub role: NetworkRole,
    /// The blocks.
    pub cidrs: Vec<IpNet>,
}

/// Who is in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkRole {
    /// Our own clients, VPN included.
    Lan,
    /// Everybody.
    Internet,
    /// Pods and services of a cluster.
    Cluster,
}

impl NetworkRole {
    /// The word used in files and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Internet => "internet",
            Self::Cluster => "cluster",
        }
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct RuleConfig {
    /// Unique name, shown by `explain` and in logs.
    pub name: String,
    /// The hosts it speaks of; at least one.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes on element borders; empty means all. Only with exact hosts.
    pub paths: Vec<String>,
    /// What it says.
    pub exposure: Class,
    /// Clients must also come from here: names of networks, blocks or addresses; empty means anywhere.
    pub from: Vec<String>,
    /// Whether the rule demands that TLS is passed through for its hosts.
    pub tls_passthrough: bool,
    /// Where it was written.
    pub place: Place,
}

/// What no rule may do.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// Hosts that are never public.
    pub never_public: Vec<HostPattern>,
}

#[cfg(test)]
mod tests;
