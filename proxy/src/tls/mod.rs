//! TLS: certificates, what each host demands of its clients, and connections to backends.
//!
//! # A connection
//!
//! The connection code reads the ClientHello with [`hello`], before any TLS library has seen a
//! byte: a hello that is not complete or not sound ends there, and a host that is passed through
//! never comes further. The server name leads to a route, and the route's host to its
//! [`Termination`]. [`Termination::select`] gives the settings for this one connection, or nothing,
//! which is alert unrecognized_name. rustls then reads the same bytes again and performs the
//! handshake; it has one certificate and one policy, and nothing to choose.
//!
//! When the handshake is over, [`Termination::identify`] says who the client is. The handshake
//! itself does not fail for a bad client certificate: the request gets an answer that a person can
//! read. The connection keeps the [`PolicyId`] and the certificate it was served with; a request
//! for another host is answered only if that host has the same policy and the certificate covers
//! it (TL-19).
//!
//! # A certificate
//!
//! [`CertificateSet::load`] reads the sources on control. Each bundle is checked whole before it
//! replaces anything: chain, key, names, time, strength, and who may read the key. What fails is a
//! [`CertificateProblem`] for the log and the status page, and the last good content is served on.
//! What did not change keeps its `Arc`. The set goes into a blueprint and is immutable from there.
//!
//! # A policy
//!
//! [`TlsPolicy`] is the lowest version, the client authorities and ALPN of a host. [`ServerTls`]
//! compiles it once and holds it while some generation uses it. A policy that cannot be compiled is
//! a [`TlsError`]: its host is closed, and never opened with less (TL-15).
//!
//! # Coming back
//!
//! Sessions are resumed by tickets alone; no session is stored. [`TicketSecrets`] are three
//! generations of one secret, shared by all workers, moved on every twelve hours by control, handed
//! to a successor process and saved in the state directory. Each server name under each policy has
//! a key derived from them, so a ticket opens where it was given and nowhere else (TL-23). Hosts
//! that ask for client certificates give none.
//!
//! # Backends
//!
//! [`BackendConnector`] verifies backends against the operator's bundle, or the system's
//! authorities, or, where the operator says `insecure`, not at all (TL-27).
//!
//! # What must stay true
//!
//! - No certificate is shown to a client that asked for a name it does not cover.
//! - No failure makes a policy weaker.
//! - Only [`provider()`] names suites and groups; there is no second crypto library.
//! - Secrets are wiped when they are dropped, have no `Debug` output, and keys have no way into an
//!   error text. There is no key log.

mod certificate;
mod client;
mod client_auth;
mod error;
mod fault;
pub mod hello;
mod name;
mod provider;
mod server;
mod signature;
mod source;
mod store;
mod tickets;

pub use certificate::Certificate;
pub use client::BackendConnector;
pub use client_auth::{ClientIdentity, InvalidClient, VerifiedClient};
pub use error::TlsError;
pub use fault::{CertificateFault, CertificateProblem, Outcome};
pub use provider::{install_provider, provider};
pub use server::{Alpn, PolicyId, Selected, ServerTls, Termination, TlsPolicy};
pub use store::{CertificateSet, CertificateSource};
pub use tickets::{ROTATION, TicketSecrets};

#[cfg(test)]
mod tests;
