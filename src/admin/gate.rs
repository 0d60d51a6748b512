//! Who is answered at all: requests to look, under a name that only this machine has.
//!
//! A page of another site can make its own name lead to this address (DNS rebinding); a browser
//! then lets that page read what is answered here. So only names count that no other site can have:
//! addresses, `localhost`, and the machine's own host name.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use adit_proxy::http::message::Response;
use adit_route::CanonicalHost;
use http::{HeaderValue, Method, StatusCode, header};

use super::reply;

/// What is let in.
#[derive(Debug)]
pub(super) struct Gate {
    own_name: Option<CanonicalHost>,
}

impl Gate {
    /// Knows the machine's host name. The kernel's word counts; where a sandbox hides it, what the
    /// machine was set up with.
    pub(super) fn of_this_machine() -> Self {
        let read = |path| fs::read_to_string(path).ok();
        let name = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
        Self::named(name.as_deref().unwrap_or_default())
    }

    fn named(name: &str) -> Self {
        let name = CanonicalHost::parse_authority(name.trim().as_bytes());
        Self {
            own_name: name.ok().map(|(host, _)| host),
        }
    }

    /// The answer to a request that is not let in.
    pub(super) fn refuse(&self, host: &CanonicalHost, method: &Method) -> Option<Response> {
        if !self.knows(host) {
            return Some(reply::text(
                StatusCode::MISDIRECTED_REQUEST,
                "refused: ask by address, as localhost, or by the host name of this machine\n",
            ));
        }
        if ![Method::GET, Method::HEAD].contains(method) {
            let mut refusal = reply::text(
                StatusCode::METHOD_NOT_ALLOWED,
                "refused: this is for looking only\n",
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            refusal.headers.insert(header::ALLOW, allowed);
            return Some(refusal);
        }
        None
    }

    fn knows(&self, host: &CanonicalHost) -> bool {
        let name = host.as_str();
        let bracketed = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        name == "localhost"
            || name.parse::<Ipv4Addr>().is_ok()
            || bracketed.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok())
            || self.own_name.as_ref() == Some(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_no_other_site_can_have_are_answered() {
        let gate = Gate::named("Edge-1\n");
        for (host, status) in [
            ("127.0.0.1:9090", None),
            ("[::1]:9090", None),
            ("192.0.2.7", None),
            ("localhost", None),
            ("LOCALHOST:9090", None),
            ("edge-1:9090", None),
            ("edge-1.example.test", Some(StatusCode::MISDIRECTED_REQUEST)),
            (
                "127.0.0.1.example.test",
                Some(StatusCode::MISDIRECTED_REQUEST),
            ),
            ("evil.localhost", Some(StatusCode::MISDIRECTED_REQUEST)),
            ("evil.example.test", Some(StatusCode::MISDIRECTED_REQUEST)),
        ] {
            let (name, _) = CanonicalHost::parse_authority(host.as_bytes()).unwrap();
            let refusal = gate.refuse(&name, &Method::GET);
            assert_eq!(refusal.map(|refusal| refusal.status), status, "{host}");
        }
        let (name, _) = CanonicalHost::parse_authority(b"localhost").unwrap();
        for (method, allowed) in [
            ("GET", true),
            ("HEAD", true),
            ("POST", false),
            ("PURGE", false),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(gate.refuse(&name, &method).is_none(), allowed, "{method}");
        }
    }

    #[test]
    fn a_machine_without_a_name_answers_by_address() {
        let gate = Gate::named("");
        let (name, _) = CanonicalHost::parse_authority(b"edge-1").unwrap();
        assert!(gate.refuse(&name, &Method::GET).is_some());
        let (name, _) = CanonicalHost::parse_authority(b"127.0.0.1").unwrap();
        assert!(gate.refuse(&name, &Method::GET).is_none());
    }
}
