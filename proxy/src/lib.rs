#![doc = include_str!("../README.md")]

pub mod access_log;
pub mod blueprint;
mod conn;
mod deadline;
pub mod error;
pub mod explain;
pub mod h1;
mod h2;
mod housekeeping;
pub mod http;
mod info;
mod io;
pub mod limits;
pub mod listen;
pub mod metrics;
mod overload;
mod policy;
mod proxy;
pub mod proxy_protocol;
pub mod relay;
mod security;
mod shared;
pub mod snapshot;
mod thread;
pub mod tls;
mod trace;
mod trail;
pub mod upstream;
mod view;
mod worker;

pub use h1::Violation;
pub use overload::{InForce, Overload, OverloadReading};
pub use proxy::{Options, Proxy};
pub use security::{Attempt, RefusedHead, Security};
pub use shared::AdminSurface;
pub use view::{ActionView, ConnectionView, ExposureView, HostTlsView, HostView, RuleView};
