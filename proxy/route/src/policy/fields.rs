//! Edits of header fields, on the way in and on the way out.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::template::Template;
use crate::pattern::Pattern;

/// Edits of one message, done in the order remove, set, add.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldEdits {
    /// Fields that go.
    pub remove: Vec<HeaderName>,
    /// Fields that have exactly this value afterwards.
    pub set: Vec<(HeaderName, Template)>,
    /// Fields that are added beside what is there.
    pub add: Vec<(HeaderName, Template)>,
}

impl FieldEdits {
    /// Whether nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// Strict-Transport-Security (RFC 6797).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// How long browsers remember; zero makes them forget.
    pub max_age: Duration,
    /// Whether subdomains are meant too.
    pub include_subdomains: bool,
    /// Whether browsers may ship the host in their lists.
    pub preload: bool,
}

/// Edits of `Set-Cookie`.
#[derive(Clone, Debug, Default)]
pub struct CookieEdits {
    /// Rewrites of `Domain`; the first that fits is applied.
    pub domain: Vec<AttributeRewrite>,
    /// Rewrites of `Path`; the first that fits is applied.
    pub path: Vec<AttributeRewrite>,
    /// Adds `Secure`.
    pub secure: bool,
    /// Adds `HttpOnly`.
    pub http_only: bool,
    /// Sets `SameSite`.
    pub same_site: Option<SameSite>,
}

impl CookieEdits {
    /// Whether nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.domain.is_empty()
            && self.path.is_empty()
            && !self.secure
            && !self.http_only
            && self.same_site.is_none()
    }
}

/// A rewrite of one attribute of a cookie.
#[derive(Clone, Debug)]
pub enum AttributeRewrite {
    /// The domain itself (case and a leading dot do not count), or the beginning of the path.
    Literal {
        /// What is looked for.
        from: Arc<str>,
        /// What replaces it.
        to: Template,
    },
    /// An expression; the whole value is replaced, with `$1` to `$9`.
    Expression {
        /// What is looked for.
        pattern: Pattern,
        /// What replaces the value.
        to: Template,
    },
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent to the site itself only.
    Strict,
    /// Sent with top-level navigation too.
    Lax,
    /// Always sent; browsers demand `Secure` with it.
    None,
}

/// A rewrite of the beginning of `Location` and `Refresh`.
#[derive(Clone, Debug, PartialEq)]
pub struct LocationEdit {
    /// What the value begins with.
    pub from: Arc<str>,
    /// What that beginning becomes.
    pub to: Template,
}
