//! The route vocabulary: what a source of routes (the file, and later Kubernetes) says, and the
//! table that answers a request from it.
//!
//! Plain data and pure functions: no sockets, no clock, no runtime, no parsing of YAML. A source
//! fills a [`RouteSet`]; the data plane compiles it into a [`table::RouteTable`] that carries its
//! own payloads. The one host function ([`host`]) and the one path function ([`path`]) live here so
//! that routes, policy, SNI, `Host` and certificates can never disagree about a name.

pub mod cidr;
pub mod exposure;
mod field_list;
pub mod host;
pub mod path;
pub mod pattern;
pub mod policy;
pub mod profile;

pub mod rule;
pub mod spelling;
pub mod table;
pub mod upstream;

pub use cidr::CidrSet;
pub use exposure::{Class, ExposureRule, ExposureRules, Role, Verdict};
pub use field_list::FieldList;
pub use host::{CanonicalHost, HostError, HostPattern};
pub use pattern::{Groups, Pattern, PatternError, Syntax};
pub use policy::{Policies, Template};
pub use rule::{
    Action, ClientAuth, Conditions, FieldMatch, FixedResponse, HostRoutes, HostTls, PathMatch,
    Place, Profile, RouteSet, Rule, RuleTimeouts, TlsVersion, ValueMatch, Weighted,
};
pub use upstream::{
    Address, BackendTls, Balance, BindProxyProtocol, DnsTarget, Family, HashKey, HealthCheck,
    Outlier, Protocol, Retry, RetryOn, Target, UpstreamSpec, UpstreamTimeouts,
};
