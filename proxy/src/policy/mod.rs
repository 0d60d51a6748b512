//! Policies of routes: what happens to a request beside being forwarded.
//!
//! [`Plan`] is compiled with the snapshot: a flat list of steps in the order of the route's profile
//! ([`step::Stage`]), then what is done to the response. [`serve()`] walks it. A [`step::Step`] lets the request
//! go on, changes it, or answers it; whatever answers, the response stage follows. A route without
//! policies has no plan, and pays for one comparison. `explain` asks the same steps.

mod access;
mod compress;
mod cookies;
mod cors;
mod errors;
mod expand;
mod fields;
mod https;
mod memory;
mod passage;
mod plan;
mod rate;
mod redirect;
mod rewrite;
mod seal;
mod serve;
mod step;
mod tracing;
mod traffic;

pub(crate) use expand::expand;
pub(crate) use memory::Memory;
pub(crate) use passage::Scene;
pub(crate) use plan::{Compiling, Plan};
pub(crate) use rate::{Pace, Place};
pub(crate) use serve::serve;
pub(crate) use step::Told;

#[cfg(test)]
mod tests;
