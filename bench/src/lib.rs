//! Origins that answer like real backends, for `adit demo`, the tests and the benches.
//!
//! An [`Origin`] is a server on its own thread: it works beside any runtime and stops when it is
//! dropped. What it serves is listed in [`origin`]; every path answers the same over HTTP/1.1 and
//! HTTP/2. Nothing here is reached by `adit run`.

pub mod origin;

pub use origin::{Kind, Origin, TlsIdentity};
