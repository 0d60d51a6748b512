//! The short form of a backend.

use std::net::{IpAddr, Ipv6Addr};

use adit_route::CanonicalHost;

use super::{Misfit, Parsed};
use crate::config::spelling::nearest;

/// The scheme of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Scheme {
    Http,
    Https,
    H2c,
    H2,
}

/// The words of [`Scheme`].
pub(in crate::config) const SCHEMES: [&str; 4] = ["http", "https", "h2c", "h2"];

pub(in crate::config) fn scheme(text: &str) -> Option<Scheme> {
    match text {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "h2c" => Some(Scheme::H2c),
        "h2" => Some(Scheme::H2),
        _ => None,
    }
}

/// A backend as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) enum BackendText<'t> {
    /// `unix:/path`.
    Unix(&'t str),
    /// `scheme://host:port`, or `host:port`.
    Authority {
        scheme: Option<Scheme>,
        host: BackendHost,
        port: u16,
    },
}

/// The host of a backend.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) enum BackendHost {
    Address(IpAddr),
    Name(CanonicalHost),
}

pub(in crate::config) fn backend(text: &str) -> Parsed<BackendText<'_>> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        // sun_path holds 108 bytes with the closing NUL (unix(7)).
        const MAX: usize = 107;
        let good = path.starts_with('/') && path.len() <= MAX && !path.contains('\0');
        let wrong = || Misfit::new("a UNIX socket needs an absolute path of at most 107 bytes");
        return if good {
            Ok(BackendText::Unix(path))
        } else {
            Err(wrong())
        };
    }
    let (known, authority) = match text.split_once("://") {
        None => (None, text),
        Some((word, rest)) => {
            let Some(found) = scheme(word) else {
                let misfit = Misfit::new(format!("the scheme `{word}` is not known"));
                return Err(match nearest(word, SCHEMES) {
                    Some(near) => misfit.instead(format!("{near}://{rest}")),
                    None => misfit,
                });
            };
            (Some(found), rest)
        }
    };
    if let Some(end) = authority.find(['/', '?', '#']) {
        let (front, _) = authority.split_at(end);
        let front = text
            .strip_suffix(authority)
            .map_or_else(|| front.to_owned(), |head| format!("{head}{front}"));
        let why = "a backend has no path or query: the path of the request is sent as it came";
        return Err(Misfit::new(why).instead(front));
    }
    if authority.contains('@') {
        return Err(Misfit::new("a backend has no user or password"));
    }
    let (host, port) = CanonicalHost::parse_authority(authority.as_bytes()).map_err(|error| {
        let misfit = Misfit::new(format!("`{authority}` is not a host with a port: {error}"));
        match authority.rsplit_once(':') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => {
                misfit.instead(format!("[{address}]:{port}"))
            }
            _ => misfit,
        }
    })?;
    let Some(port) = port else {
        let usual = if matches!(known, Some(Scheme::Https | Scheme::H2)) {
            443
        } else {
            80
        };
        // Without a scheme too, HTTP is what is meant nearly always.
        let scheme = if known.is_none() { "http://" } else { "" };
        return Err(Misfit::new("the port is missing").instead(format!("{scheme}{text}:{usual}")));
    };
    let bare = host.as_str();
    let literal = bare
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(bare)
        .parse()
        .ok();
    let host = literal.map_or(BackendHost::Name(host), BackendHost::Address);
    Ok(BackendText::Authority {
        scheme: known,
        host,
        port,
    })
}
