//! Policies of routes: what happens to a request beside being forwarded. One table per family; each
//! may be written at a route and at each of its paths.

mod access;
mod answers;
mod auth;
mod cors;
mod fields;
mod paths;
mod traffic;

use super::Table;

pub(super) use access::ACCESS;
pub(super) use answers::ANSWERS;
pub(super) use auth::AUTH;
pub(super) use cors::CORS;
pub(super) use fields::FIELDS;
pub(super) use paths::PATHS;
pub(super) use traffic::TRAFFIC;

/// The keys of all policies, none of which means anything where no request is seen.
pub(in super::super) fn keys() -> impl Iterator<Item = &'static str> {
    [&PATHS, &FIELDS, &CORS, &ACCESS, &AUTH, &TRAFFIC, &ANSWERS]
        .into_iter()
        .flat_map(Table::all_keys)
        .map(|key| key.name)
}
