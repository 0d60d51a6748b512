//! The URL of the question, taken apart as a client does before it sends anything.
//!
//! Path and query stay as they were written: whether adit would accept them is part of the answer.

use adit_route::CanonicalHost;

/// What a client makes of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Whether it is `https`.
    pub secure: bool,
    pub host: CanonicalHost,
    pub port: Option<u16>,
    /// Path and query; the fragment stays with the client.
    pub target: String,
}

impl Url {
    /// Reads a URL, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!(
                "`{text}` has no scheme; write http://{text} or https://{text}"
            ));
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(format!("the scheme `{scheme}` is neither http nor https")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err("a URL with user information is not sent as such; leave it out".to_owned());
        }
        let (host, port) =
            CanonicalHost::parse_authority(authority.as_bytes()).map_err(|error| {
                let hint = if authority.is_ascii() {
                    ""
                } else {
                    "; write the name as clients send it, `xn--…`"
                };
                format!("`{authority}` names no host: {error}{hint}")
            })?;
        let target = target.split_once('#').map_or(target, |(target, _)| target);
        let root = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            secure,
            host,
            // The default port is not sent.
            port: port.filter(|port| *port != if secure { 443 } else { 80 }),
            target: format!("{root}{target}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_a_client_reads_it() {
        for (text, expected) in [
            ("http://a.test", Ok((false, "a.test", None, "/"))),
            ("HTTPS://A.test./x?y#z", Ok((true, "a.test", None, "/x?y"))),
            ("https://a.test:443/", Ok((true, "a.test", None, "/"))),
            (
                "https://a.test:8443?q",
                Ok((true, "a.test", Some(8443), "/?q")),
            ),
            (
                "http://[::1]:8080/..//x",
                Ok((false, "[::1]", Some(8080), "/..//x")),
            ),
            ("wss://a.test/ws", Ok((true, "a.test", None, "/ws"))),
            ("a.test/x", Err("has no scheme")),
            ("ftp://a.test/", Err("neither http nor https")),
            ("http:///x", Err("names no host")),
            ("http://a b/", Err("names no host")),
            ("http://b\u{fc}cher.test/", Err("xn--")),
            ("http://u:p@a.test/", Err("user information")),
        ] {
            let found = Url::parse(text);
            match (&found, expected) {
                (Ok(url), Ok(expected)) => {
                    let Url {
                        secure,
                        host,
                        port,
                        target,
                    } = url;
                    assert_eq!((*secure, host.as_str(), *port, target.as_str()), expected);
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                _ => panic!("{text}: {found:?}"),
            }
        }
    }
}
