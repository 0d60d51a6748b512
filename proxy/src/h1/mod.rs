//! HTTP/1: the strict gate and the engine that grew from it, for both sides of the proxy.
//!
//! One parser decides what a message is, and the same code that decides it delivers the message, so
//! there is no second reading that could differ. `fields`, `head`, `chunked` and `body` are pure:
//! bytes in, values out. `wire` is one connection, `server` and `client` are the two roles on it.
//! `encode` writes what leaves us.
//!
//! What is public is the pure part, so that it can be tested with millions of inputs without a
//! connection.

mod accept;
mod body;
mod chunked;
pub(crate) mod client;
pub(crate) mod encode;
mod fields;
mod head;
pub(crate) mod server;
mod splice;
mod upload;
mod violation;
mod wire;

pub(crate) use accept::request_of;
pub use chunked::{ChunkedDecoder, Decoded};
pub(crate) use client::ResponseBody;
pub use encode::{RequestLine, request_head};
pub(crate) use head::path_and_query;
pub use head::{
    BodyLength, HeadReader, RequestHead, ResponseHead, Target, parse_request, parse_response,
};
pub(crate) use server::IncomingBody;
pub(crate) use splice::Pipes;
pub use violation::Violation;
pub(crate) use wire::{Wire, WireError};
