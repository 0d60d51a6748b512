//! Policies of routes, as a client and a backend notice them. Each file is the table of a family.

mod access;
mod as_nginx;
mod auth;
mod differential;
mod oauth2_proxy;
mod paths;
