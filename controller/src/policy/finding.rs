//! What a check reports: a stable code, the place, what, why, and the way out.
//!
//! The same type serves errors and warnings. A path such as `rules[3].hosts[0]` is written in the
//! keys of the file, so that the reader of the file can turn it into line and column.

use std::fmt;

/// One error or warning about the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable code; its page says more.
    pub code: &'static str,
    /// Where, in the keys of the file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// Why that is not accepted, or worth a warning.
    pub why: &'static str,
    /// What to do about it.
    pub help: String,
    /// The nearest valid spelling.
    pub suggestion: Option<String>,
}

/// A kind of finding: its code and its reason.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    code: &'static str,
    why: &'static str,
}

impl Kind {
    const fn new(code: &'static str, why: &'static str) -> Self {
        Self { code, why }
    }

    pub(super) fn at(
        self,
        path: impl Into<String>,
        message: String,
        help: impl Into<String>,
    ) -> Finding {
        let Self { code, why } = self;
        Finding {
            code,
            path: path.into(),
            message,
            why,
            help: help.into(),
            suggestion: None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            path,
            message,
            ..
        } = self;
        write!(f, "{code}: {path}: {message}")
    }
}

impl std::error::Error for Finding {}

pub(super) const NETWORK_TWICE: Kind = Kind::new(
    "ADIT-2001",
    "a name stands for one set of addresses, and lists refer to it by name",
);
pub(super) const NETWORK_EMPTY: Kind = Kind::new(
    "ADIT-2002",
    "a list that names an empty network lets nobody in",
);
pub(super) const NETWORKS_OVERLAP: Kind = Kind::new(
    "ADIT-2003",
    "an address cannot belong to two kinds of clients",
);
pub(super) const RULE_NAME: Kind = Kind::new(
    "ADIT-2004",
    "logs and `adit explain` name the rule that decided",
);
pub(super) const NO_HOSTS: Kind = Kind::new("ADIT-2005", "a rule without hosts decides nothing");
pub(super) const PATHS_NEED_EXACT_HOSTS: Kind = Kind::new(
    "ADIT-2006",
    "under a wildcard it would not be plain which hosts are partly visible",
);
pub(super) const RULE_PATH: Kind = Kind::new(
    "ADIT-2007",
    "a path that can be read in several ways protects nothing",
);
pub(super) const PUBLIC_WITHOUT_DOOR: Kind = Kind::new(
    "ADIT-2008",
    "clients on the Internet have no way in, so the rule would be a promise unkept",
);
pub(super) const GUARDED: Kind = Kind::new("ADIT-2009", "guards hold whatever the rules say");
pub(super) const PUBLIC_DEFAULT: Kind = Kind::new(
    "ADIT-2010",
    "only a rule that names its hosts can make them public",
);
pub(super) const UNKNOWN_ADDRESS: Kind = Kind::new(
    "ADIT-2011",
    "the list must say exactly which clients are meant",
);
pub(super) const NOT_PASSED_THROUGH: Kind = Kind::new(
    "ADIT-2012",
    "the rule demands that TLS ends at the backend, and the route ends it here",
);
pub(super) const PATHS_PASSED_THROUGH: Kind = Kind::new(
    "ADIT-2013",
    "where TLS is passed through no path can be seen, so the whole host would follow another rule",
);
pub(super) const SHADOWED: Kind = Kind::new(
    "ADIT-2101",
    "the first rule that matches decides, so this one never does",
);
pub(super) const PUBLIC_NOTHING: Kind = Kind::new(
    "ADIT-2102",
    "the rule opens hosts that are not served, perhaps by a slip in the name",
);
