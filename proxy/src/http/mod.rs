//! HTTP between the two sides: messages, fields, routing decisions, forwarding.
//!
//! `handle` is the life of a request; `forward` is the part of it that talks to a backend; `headers`
//! are the fields that change on the way; `upgrade` is what WebSocket needs; `reply` is what we
//! answer ourselves; `spool` and `ahead` gather bodies on either side, where a route asks for it.

pub(crate) mod ahead;
pub mod body;
pub(crate) mod forward;
pub(crate) mod handle;
pub(crate) mod headers;
pub mod message;
pub(crate) mod progress;
mod repeat;
pub(crate) mod reply;
pub(crate) mod spool;
pub(crate) mod upgrade;
