//! Policies of routes: what happens to a request beside being forwarded. One table per family; each
//! may be written at a route and at each of its paths.

mod paths;

pub(super) use paths::PATHS;
