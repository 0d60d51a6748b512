//! One thing that is wrong with a configuration, and the list that gathers all of them.
//!
//! A [`Problem`] knows its span and nothing of files or paths: those are added once, when reading
//! has ended, by `report`. Codes are stable: a number is never given a second meaning.

use std::fmt;

use super::tree::Span;

/// The kind of a problem: a stable code with a page of its own under `docs/errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Code(pub(super) &'static str);

impl Code {
    /// A configuration file cannot be read.
    pub(super) const UNREADABLE: Self = Self("ADIT-1001");
    /// A configuration file is too large.
    pub(super) const TOO_LARGE: Self = Self("ADIT-1002");
    /// A configuration file is not UTF-8.
    pub(super) const ENCODING: Self = Self("ADIT-1003");
    /// The text is not YAML.
    pub(super) const SYNTAX: Self = Self("ADIT-1004");
    /// A key is written twice.
    pub(super) const DUPLICATE_KEY: Self = Self("ADIT-1005");
    /// More than one document.
    pub(super) const SEVERAL_DOCUMENTS: Self = Self("ADIT-1006");
    /// Anchors stand for too much.
    pub(super) const EXPANSION: Self = Self("ADIT-1007");
    /// Nothing is written.
    pub(super) const EMPTY: Self = Self("ADIT-1008");
    /// YAML that a configuration has no use for: tags, compound keys, deep nesting.
    pub(super) const UNSUPPORTED: Self = Self("ADIT-1009");
    /// A key that does not exist.
    pub(super) const UNKNOWN_KEY: Self = Self("ADIT-1010");
    /// A key that will exist.
    pub(super) const PLANNED_KEY: Self = Self("ADIT-1011");
    /// A key that must be there.
    pub(super) const MISSING_KEY: Self = Self("ADIT-1012");
    /// A list where a text should be, or the like.
    pub(super) const WRONG_TYPE: Self = Self("ADIT-1013");
    /// A word that is not one of the known ones.
    pub(super) const UNKNOWN_WORD: Self = Self("ADIT-1014");
    /// A text that does not follow its form.
    pub(super) const MALFORMED: Self = Self("ADIT-1015");
    /// A number outside its range.
    pub(super) const RANGE: Self = Self("ADIT-1016");
    /// An empty list that would mean nobody or nothing.
    pub(super) const EMPTY_LIST: Self = Self("ADIT-1017");
    /// Keys that do not go together.
    pub(super) const COMBINATION: Self = Self("ADIT-1018");
    /// A version that this program does not know.
    pub(super) const VERSION: Self = Self("ADIT-1019");
    /// A name that is taken.
    pub(super) const DUPLICATE_NAME: Self = Self("ADIT-1020");
    /// A name that is reserved.
    pub(super) const RESERVED_NAME: Self = Self("ADIT-1021");
    /// A name that nothing bears.
    pub(super) const UNKNOWN_REFERENCE: Self = Self("ADIT-1022");
    /// A referenced file cannot be read.
    pub(super) const FILE_UNREADABLE: Self = Self("ADIT-1023");
    /// A referenced file does not hold what it should.
    pub(super) const FILE_CONTENT: Self = Self("ADIT-1024");
    /// A key file that everybody can read.
    pub(super) const FILE_MODE: Self = Self("ADIT-1025");
    /// Two listeners on one socket.
    pub(super) const SOCKET_CONFLICT: Self = Self("ADIT-1026");
    /// Everybody would be believed.
    pub(super) const TRUST_ALL: Self = Self("ADIT-1027");
    /// An admin listener open to everybody.
    pub(super) const ADMIN_OPEN: Self = Self("ADIT-1028");
    /// The same host, path and conditions twice.
    pub(super) const DUPLICATE_ROUTE: Self = Self("ADIT-1030");
    /// Routes of one host that contradict each other.
    pub(super) const HOST_CONFLICT: Self = Self("ADIT-1031");
    /// Nothing is done with requests.
    pub(super) const NO_ACTION: Self = Self("ADIT-1032");
    /// A backend that cannot be used in this place.
    pub(super) const BACKEND_FORM: Self = Self("ADIT-1033");
    /// A block of addresses with host bits.
    pub(super) const HOST_BITS: Self = Self("ADIT-1901");
    /// A relaxation of a check.
    pub(super) const RELAXED: Self = Self("ADIT-1902");
    /// A host that ends here and has no certificate.
    pub(super) const NO_CERTIFICATE: Self = Self("ADIT-1903");
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether a problem refuses the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// One thing that is wrong, at a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(super) severity: Severity,
    pub(super) code: Code,
    pub(super) span: Span,
    pub(super) message: String,
    /// Why that is not accepted, where the message does not say it.
    pub(super) why: Option<&'static str>,
    pub(super) found: Option<String>,
    pub(super) allowed: Option<String>,
    pub(super) nearest: Option<String>,
    pub(super) help: Option<String>,
    /// Other places that take part, each with what it is.
    pub(super) related: Vec<(Span, &'static str)>,
}

impl Problem {
    /// An error.
    pub(super) fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            span,
            message: message.into(),
            why: None,
            found: None,
            allowed: None,
            nearest: None,
            help: None,
            related: Vec::new(),
        }
    }

    /// A warning.
    pub(super) fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// Says why.
    pub(super) fn why(mut self, why: &'static str) -> Self {
        self.why = Some(why);
        self
    }

    /// Says what was found.
    pub(super) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// Says what may stand there.
    pub(super) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// Says what was probably meant.
    pub(super) fn nearest(mut self, nearest: Option<impl Into<String>>) -> Self {
        self.nearest = nearest.map(Into::into);
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Names another place.
    pub(super) fn related(mut self, span: Span, label: &'static str) -> Self {
        self.related.push((span, label));
        self
    }
}

/// All problems of one reading.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Adds one.
    pub(super) fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Whether something inside of this span is wrong already.
    pub(super) fn blames(&self, node: Span) -> bool {
        self.list
            .iter()
            .any(|problem| problem.severity == Severity::Error && node.covers(problem.span))
    }

    /// Whether the configuration is refused.
    pub(super) fn has_errors(&self) -> bool {
        self.list
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// All of them in the order of their places, each once: an aliased node is read more than once.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.list.sort_by(|one, other| {
            (one.span, one.code, &one.message).cmp(&(other.span, other.code, &other.message))
        });
        self.list.dedup();
        self.list
    }
}
