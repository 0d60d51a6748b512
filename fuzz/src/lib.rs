#![doc = include_str!("../README.md")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a broken promise is told by a panic"
)]

pub mod mutation;

mod chunked;
mod client_hello;
mod host;
mod path;
mod proxy_header;
mod reference;
mod request;
mod response;

/// One reader and its promises.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target and of the directory of its corpus.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Words of the language that mutations put into inputs.
    pub words: &'static [&'static [u8]],
}

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    request::TARGET,
    response::TARGET,
    chunked::TARGET,
    proxy_header::TARGET,
    client_hello::TARGET,
    host::TARGET,
    path::TARGET,
];

/// The function of the target of this name.
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|target| target.name == name);
    found.expect("a target of this name").run
}
