//! Where requests go: endpoints, how one is chosen, and how their state is known.

pub mod balance;
pub(crate) mod connect;
pub mod destination;
pub mod endpoint;
pub mod health;
pub mod outlier;
pub(crate) mod pool;
pub mod resolve;
pub(crate) mod sessions;
pub mod set;
pub mod stats;

pub use balance::{Choice, PickError, Session, hash_key};
pub use endpoint::{Endpoint, EndpointAddress, Found, InFlight, Upstream};
pub use outlier::{FailureKind, Health, Outcome};
pub use set::{EndpointSet, Member};

/// A spec without targets, for the tests of this module.
#[cfg(test)]
pub(crate) fn test_spec() -> adit_route::UpstreamSpec {
    adit_route::UpstreamSpec {
        name: "test".into(),
        targets: Vec::new(),
        balance: adit_route::Balance::default(),
        tls: adit_route::BackendTls::default(),
        proxy_protocol: None,
        timeouts: adit_route::UpstreamTimeouts::default(),
        health: None,
        outlier: adit_route::Outlier::default(),
        retry: adit_route::Retry::default(),
    }
}
