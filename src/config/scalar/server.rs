//! A server that is asked something: a URL whose path and query may hold variables.

use adit_route::policy::CacheFor;
use adit_route::{CanonicalHost, Template};
use http::StatusCode;

use super::{BackendText, Misfit, Parsed, backend, duration, template};

/// A server, and what it is asked for.
#[derive(Debug)]
pub(in crate::config) struct ServerUrl {
    /// Where it is, in the form of a backend.
    pub(in crate::config) backend: String,
    /// Its name.
    pub(in crate::config) host: CanonicalHost,
    /// Path and query.
    pub(in crate::config) target: Template,
}

/// `http://h/path` or `https://h:p/path?query`.
pub(in crate::config) fn server_url(text: &str) -> Parsed<ServerUrl> {
    let Some((scheme @ ("http" | "https"), rest)) = text.split_once("://") else {
        return Err(Misfit::new("a URL begins with `http://` or `https://`"));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.contains('$') {
        let why = "the server must be one for all requests, so its name holds no variables";
        return Err(Misfit::new(why));
    }
    if target.contains('#') {
        return Err(Misfit::new("a server is not sent what follows `#`"));
    }
    let parsed = CanonicalHost::parse_authority(authority.as_bytes());
    let (host, port) =
        parsed.map_err(|error| Misfit::new(format!("`{authority}` is not a host: {error}")))?;
    let usual = if scheme == "http" { 80 } else { 443 };
    let place = format!("{scheme}://{host}:{}", port.unwrap_or(usual));
    if !matches!(backend(&place)?, BackendText::Authority { .. }) {
        return Err(Misfit::new("the server is named by its address or name"));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(ServerUrl {
        backend: place,
        host,
        target: template(&format!("{slash}{target}"))?,
    })
}

/// Statuses, and how long answers with them are remembered: `200 202 401 5m`.
pub(in crate::config) fn cache_time(text: &str) -> Parsed<CacheFor> {
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    let time = words
        .pop()
        .ok_or_else(|| Misfit::new("nothing is written"))?;
    let status = |word: &str| {
        let status = word.parse::<StatusCode>().ok();
        status.ok_or_else(|| Misfit::new(format!("`{word}` is not a status")))
    };
    Ok(CacheFor {
        time: duration(time)?,
        statuses: words.into_iter().map(status).collect::<Parsed<_>>()?,
    })
}

/// The name of a parameter of a query.
pub(in crate::config) fn query_name(text: &str) -> Parsed<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(Misfit::new(format!(
            "`{text}` cannot be the name of a parameter"
        )))
    }
}
