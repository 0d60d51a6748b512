//! The data plane of adit.

pub mod access_log;
pub mod blueprint;
pub mod limits;
pub mod metrics;
pub mod proxy_protocol;
pub mod tls;
pub mod upstream;
