//! What a message can do wrong, by rule.
//!
//! A violation names its rule (`D-10`), a short reason for the log and the status that answers it.
//! The bytes of the answer are fixed per status and reflect nothing of the input (D-01).

use std::fmt;

use http::StatusCode;

/// A breach of the framing rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    rule: &'static str,
    reason: &'static str,
    status: StatusCode,
}

impl Violation {
    pub(crate) const fn new(rule: &'static str, reason: &'static str, status: StatusCode) -> Self {
        Self {
            rule,
            reason,
            status,
        }
    }

    const fn bad(rule: &'static str, reason: &'static str) -> Self {
        Self::new(rule, reason, StatusCode::BAD_REQUEST)
    }

    /// The rule's id, such as `D-10`.
    pub fn rule(self) -> &'static str {
        self.rule
    }

    /// A few words for people.
    pub fn reason(self) -> &'static str {
        self.reason
    }

    /// The status that answers a request with this violation.
    pub fn status(self) -> StatusCode {
        self.status
    }

    pub(crate) const LENGTH_AND_CODING: Self = Self::bad("D-10", "length-and-coding");
    pub(crate) const DUPLICATE_LENGTH: Self = Self::bad("D-11", "duplicate-length");
    pub(crate) const LENGTH_SYNTAX: Self = Self::bad("D-12", "length-syntax");
    pub(crate) const LENGTH_LEADING_ZERO: Self = Self::bad("D-13", "length-leading-zero");
    pub(crate) const CODING: Self = Self::bad("D-14", "transfer-encoding");
    pub(crate) const CODING_ORDER: Self = Self::bad("D-15", "chunked-not-last");
    pub(crate) const CODING_IN_1_0: Self = Self::bad("D-16", "transfer-encoding-in-1.0");
    pub(crate) const BARE_LF: Self = Self::bad("D-30", "bare-lf");
    pub(crate) const BARE_CR: Self = Self::bad("D-31", "bare-cr");
    pub(crate) const CONTROL: Self = Self::bad("D-32", "control-character");
    pub(crate) const SPACE_BEFORE_COLON: Self = Self::bad("D-34", "space-before-colon");
    pub(crate) const FOLDING: Self = Self::bad("D-35", "line-folding");
    pub(crate) const FIELD_NAME: Self = Self::bad("D-36", "field-name");
    pub(crate) const REQUEST_LINE: Self = Self::bad("D-37", "request-line");
    pub(crate) const VERSION: Self =
        Self::new("D-37", "version", StatusCode::HTTP_VERSION_NOT_SUPPORTED);
    pub(crate) const PREFACE: Self = Self::bad("D-38", "http2-preface");
    pub(crate) const CHUNK_SIZE: Self = Self::bad("D-39", "chunk-size");
    pub(crate) const CHUNK_EXTENSION: Self = Self::bad("D-40", "chunk-extension");
    pub(crate) const CHUNK_END: Self = Self::bad("D-41", "chunk-end");
    pub(crate) const LEADING_LINES: Self = Self::bad("D-42", "leading-empty-lines");
    pub(crate) const TRAILER: Self = Self::bad("D-52", "forbidden-trailer");
    pub(crate) const STATUS_LINE: Self = Self::bad("D-90", "status-line");
    pub(crate) const NO_HOST: Self = Self::bad("N-01", "host-missing-or-repeated");
    pub(crate) const HOST: Self = Self::bad("N-02", "host-syntax");
    pub(crate) const HOST_DISAGREES: Self = Self::bad("N-05", "target-disagrees-with-host");
    pub(crate) const TARGET_FORM: Self = Self::bad("N-06", "target-form");
    pub(crate) const TARGET_BYTES: Self = Self::bad("N-08", "target-bytes");
    pub(crate) const LINE_TOO_LONG: Self =
        Self::new("L-01", "request-line-too-long", StatusCode::URI_TOO_LONG);
    pub(crate) const METHOD_TOO_LONG: Self = Self::bad("L-02", "method-too-long");
    pub(crate) const HEAD_TOO_LARGE: Self = Self::too_large("L-03", "head-too-large");
    pub(crate) const FIELD_TOO_LONG: Self = Self::too_large("L-04", "field-too-long");
    pub(crate) const TOO_MANY_FIELDS: Self = Self::too_large("L-05", "too-many-fields");
    pub(crate) const TOO_MANY_COOKIES: Self = Self::too_large("L-06", "too-many-cookies");
    pub(crate) const TRAILERS_TOO_LARGE: Self = Self::bad("L-07", "trailers-too-large");
    pub(crate) const INTERIMS: Self = Self::new(
        "L-12",
        "too-many-interim-responses",
        StatusCode::BAD_GATEWAY,
    );
    pub(crate) const SLOW_HEAD: Self = Self::new("L-63", "slow-head", StatusCode::REQUEST_TIMEOUT);
    pub(crate) const EXPECTATION: Self =
        Self::new("D-80", "expectation", StatusCode::EXPECTATION_FAILED);
    pub(crate) const HANDSHAKE: Self = Self::bad("D-85", "half-formed-websocket-handshake");
    pub(crate) const CHUNK_OVERHEAD: Self = Self::bad("L-09", "chunk-overhead");

    const fn too_large(rule: &'static str, reason: &'static str) -> Self {
        Self::new(rule, reason, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rule, self.reason)
    }
}

impl std::error::Error for Violation {}
