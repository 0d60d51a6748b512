//! Answers that send a client elsewhere, and paths that change on the way to the backend.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use super::template::Template;
use crate::pattern::Pattern;

/// An answer with a `Location`.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// Where to; a value that begins with `/` is completed with the request's scheme and host.
    pub to: Template,
    /// 300 to 308.
    pub status: StatusCode,
    /// Whether a value that begins with `/` is left as it is.
    pub relative: bool,
    /// Whether a `/` at the end of the location is removed (the redirect between `www.` and the
    /// bare name does so).
    pub cut_slash: bool,
}

/// The request for the root of a host is sent to its application, before any rule is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRoot {
    /// The path, which begins with `/`.
    pub to: Arc<str>,
}

/// A redirect from plain HTTP, decided per rule (RED-01 to RED-08).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsUpgrade {
    /// When it happens.
    pub when: UpgradeWhen,
    /// 301, 302, 307 or 308.
    pub status: StatusCode,
    /// Port in the location; `None` omits it.
    pub port: Option<u16>,
    /// Whether a `/` at the end of the target stays; `None` is as the profile does (RED-03). It stays
    /// in any case beside a port (RED-04).
    pub keep_slash: Option<bool>,
}

/// When plain HTTP is sent to HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpgradeWhen {
    /// Where a certificate covers the host.
    #[default]
    Certificate,
    /// Always.
    Always,
}

/// A change of the path that the backend sees; the query stays.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// The new path.
    pub path: RewritePath,
    /// `X-Forwarded-Prefix` sent along; `None` sends the prefix that was taken off, if one was.
    pub forwarded_prefix: Option<HeaderValue>,
}

/// How the new path is made.
#[derive(Clone, Debug)]
pub enum RewritePath {
    /// What the expression finds anywhere in the canonical path decides the captures; the whole path
    /// is replaced (REW-02). A path without a match is left alone.
    Expression {
        /// The expression; `None` replaces every path.
        pattern: Option<Pattern>,
        /// The new path, with `$1` to `$9`, and a query if it holds `?` (REW-04).
        to: Template,
    },
    /// The first of these prefixes that covers the path goes; what is left begins with `/`.
    StripPrefix(Vec<Arc<str>>),
    /// This comes before the path.
    AddPrefix(Arc<str>),
    /// One prefix takes the place of another (Gateway API `ReplacePrefixMatch`).
    ReplacePrefix {
        /// What goes, by whole path elements.
        from: Arc<str>,
        /// What comes instead.
        to: Arc<str>,
    },
}
