//! HTTP/2 over the `h2` crate, for both sides of the proxy.
//!
//! The library checks what can be seen in the field list; the value rules that it leaves open
//! (D-62 to D-69) are checked here before a request exists. Flow control is the back-pressure:
//! capacity is given back only when the next hop has taken the bytes.

mod accept;
pub(crate) mod client;
mod connection;
mod duplex;
mod meter;
pub(crate) mod server;
mod stream;

pub(crate) use duplex::Duplex;
pub(crate) use meter::KINDS;
pub(crate) use stream::StreamBody;
