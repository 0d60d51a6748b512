//! The control plane of adit: what the operator decided, checked and turned into what the data plane
//! enforces. It imports the route vocabulary and nothing else of adit, and knows no file format.
#![doc = include_str!("../README.md")]

pub mod policy;
