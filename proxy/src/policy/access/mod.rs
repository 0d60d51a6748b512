//! Who may ask: addresses, names and passwords, a server that decides, certificates.
//!
//! Each demand is a step of its own, in the order of the profile. With `satisfy: any` the demands
//! are one step at the place of the passwords.

mod addresses;

pub(super) use addresses::Addresses;
