#![doc = include_str!("../README.md")]

mod content;
pub mod load;
pub mod origin;
mod peer;
mod pki;
mod process;
mod relay;
pub mod results;
pub mod suite;
pub mod watch;

pub use origin::{Kind, Origin, TlsIdentity};
pub use peer::{Kind as PeerKind, Peer};
