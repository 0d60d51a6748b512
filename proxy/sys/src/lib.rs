//! The few operating-system calls of adit that need care.
//!
#![doc = include_str!("../README.md")]

pub mod activation;
pub mod handover;
pub mod limits;
pub mod memory;
pub mod splice;
