//! Policies of routes, as a client and a backend notice them. Each file is the table of a family.

mod access;
mod as_nginx;
mod auth;
mod bodies;
mod differential;
mod errors;
mod oauth2_proxy;
mod paths;
mod traces;
mod traffic;
