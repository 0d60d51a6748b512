//! Cross-origin resource sharing, as users of ingress-nginx know it (COR-01 to COR-06).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::host::CanonicalHost;

/// The CORS fields of a rule. Preflight requests are answered before anybody is asked who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Who may read the answers.
    pub origins: CorsOrigins,
    /// `Access-Control-Allow-Methods`.
    pub methods: HeaderValue,
    /// `Access-Control-Allow-Headers`.
    pub headers: HeaderValue,
    /// `Access-Control-Expose-Headers`.
    pub expose: Option<HeaderValue>,
    /// Whether cookies and credentials may be sent; `None` is as the profile does: not in the strict
    /// one (COR-06).
    pub credentials: Option<bool>,
    /// How long a preflight answer is remembered.
    pub max_age: Duration,
}

/// Origins that are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// `*`, also for requests without `Origin`.
    Any,
    /// These; the origin of the request is echoed. An empty list lets nobody in.
    Listed(Vec<OriginPattern>),
}

/// One origin, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `scheme://host[:port]`, or `null`.
    Exact(Arc<str>),
    /// `scheme://*.domain[:port]`: exactly one label in place of the star.
    Label {
        /// `scheme://`.
        scheme: Arc<str>,
        /// `.domain[:port]`.
        suffix: Arc<str>,
    },
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// It has no scheme.
    Scheme,
    /// What follows the scheme is no host with an optional port.
    Host,
    /// There is something behind the host.
    Path,
    /// A star anywhere but in place of the first label.
    Star,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "an origin begins with a scheme, such as `https://`",
            Self::Host => "an origin names a host, and a port if it is not the usual one",
            Self::Path => "an origin ends with its host and port: no path, no `/`",
            Self::Star => {
                "a `*` stands for the whole first label only, as in `https://*.example.com`"
            }
        })
    }
}

impl std::error::Error for OriginError {}

impl OriginPattern {
    /// Reads an origin (COR-02); `*` is everyone, and no pattern.
    pub fn parse(text: &str) -> Result<Option<Self>, OriginError> {
        let text = text.to_ascii_lowercase();
        match &*text {
            "*" => return Ok(None),
            "null" => return Ok(Some(Self::Exact(text.into()))),
            _ => {}
        }
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::Scheme)?;
        if scheme.is_empty()
            || !scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return Err(OriginError::Scheme);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(OriginError::Path);
        }
        let (label, name) = match authority.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, authority),
        };
        if name.contains('*') {
            return Err(OriginError::Star);
        }
        CanonicalHost::parse_authority(name.as_bytes()).map_err(|_| OriginError::Host)?;
        Ok(Some(if label {
            Self::Label {
                scheme: format!("{scheme}://").into(),
                suffix: format!(".{name}").into(),
            }
        } else {
            Self::Exact(text.into())
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let exact = |text: &str| Ok(Some(OriginPattern::Exact(text.into())));
        let label = |scheme: &str, suffix: &str| {
            let (scheme, suffix) = (scheme.into(), suffix.into());
            Ok(Some(OriginPattern::Label { scheme, suffix }))
        };
        let cases = [
            ("*", Ok(None)),
            ("null", exact("null")),
            ("https://App.example.com", exact("https://app.example.com")),
            ("http://a.test:8080", exact("http://a.test:8080")),
            ("capacitor://localhost", exact("capacitor://localhost")),
            ("https://*.a.test:81", label("https://", ".a.test:81")),
            ("app.example.com", Err(OriginError::Scheme)),
            ("://a.test", Err(OriginError::Scheme)),
            ("https://a.test/", Err(OriginError::Path)),
            ("https://a.*.test", Err(OriginError::Star)),
            ("https://", Err(OriginError::Host)),
        ];
        for (text, wanted) in cases {
            assert_eq!(OriginPattern::parse(text), wanted, "{text}");
        }
    }
}
