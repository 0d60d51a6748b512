//! Host names and authorities: the one function against a plain reader, and against itself.

use adit_route::{CanonicalHost, HostPattern};

use crate::Target;
use crate::reference::host;

pub(crate) const TARGET: Target = Target {
    name: "host",
    run,
    words: &[
        b"a.test",
        b"www.",
        b"A",
        b"[::1]",
        b"[::ffff:1.2.3.4]",
        b":80",
        b":0",
        b":65536",
        b".",
        b"..",
        b"*.",
        b"**.",
        b"192.0.2.1",
        b"xn--",
        b"_x",
        b"%25",
    ],
};

fn run(input: &[u8]) {
    let found = CanonicalHost::parse(input).ok();
    assert_eq!(
        found.as_ref().map(|found| found.as_str().to_owned()),
        host::name(input)
    );
    let authority = CanonicalHost::parse_authority(input).ok();
    let told = authority
        .as_ref()
        .map(|(found, port)| (found.as_str().to_owned(), *port));
    assert_eq!(told, host::authority(input));
    for canonical in found.iter().chain(authority.iter().map(|(name, _)| name)) {
        let again = CanonicalHost::parse(canonical.as_str().as_bytes());
        assert_eq!(
            again.as_ref(),
            Ok(canonical),
            "the canonical form is stable"
        );
        assert_eq!(
            CanonicalHost::parse_authority(canonical.as_str().as_bytes()),
            Ok((canonical.clone(), None))
        );
        let pattern = HostPattern::Exact(canonical.clone());
        assert!(pattern.matches(canonical.as_str()) && HostPattern::Any.contains(&pattern));
    }
    if let Some(pattern) = std::str::from_utf8(input)
        .ok()
        .and_then(|text| HostPattern::parse(text).ok())
    {
        assert!(pattern.contains(&pattern) && pattern.overlaps(&pattern));
    }
}
