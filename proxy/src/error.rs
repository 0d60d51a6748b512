//! What goes wrong on the data path, and what it means for the client, the backend and the log.
//!
//! Four total functions decide everything: whose fault it was ([`Error::side`]), what the client is
//! told ([`Error::status`]), what the log says ([`Error::reason`]) and whether another attempt is
//! allowed ([`Error::retry`]). A new variant does not compile until all four are decided.

use std::fmt;
use std::io;

use http::StatusCode;

use crate::h1::{Violation, WireError};

/// A failure of one request or connection.
#[derive(Debug)]
pub enum Error {
    /// The client broke a framing or syntax rule.
    Request(Violation),
    /// The client went away.
    ClientGone,
    /// The client stopped sending its body, or stopped reading; the rule says which.
    ClientTimeout(&'static str),
    /// The request body is larger than the route allows.
    BodyTooLarge,
    /// No endpoint is configured or known.
    NoEndpoint,
    /// Every endpoint has as many requests as it may have (L-86).
    EndpointsBusy,
    /// We have no room for it; the rule says of what.
    Overloaded(&'static str),
    /// The backend could not be connected to.
    Connect(io::Error),
    /// Connecting took too long.
    ConnectTimeout,
    /// The backend's TLS handshake or certificate failed.
    BackendTls(io::Error),
    /// The backend would lead back to ourselves.
    Loop,
    /// The backend closed before it had answered. `reused` says that the connection was idle before.
    BackendClosed {
        /// Whether the connection had served requests before.
        reused: bool,
    },
    /// The backend closed in the middle of its answer.
    Truncated,
    /// Reading from or writing to the backend failed after it had been sent something.
    BackendIo(io::Error),
    /// The backend broke the framing rules.
    Response(Violation),
    /// The backend did not answer in time.
    ResponseTimeout,
    /// The backend's answer made no progress.
    ResponseIdle,
    /// The backend refused the HTTP/2 stream before doing anything.
    Refused,
    /// The backend's HTTP/2 connection or stream failed.
    BackendH2(h2::Error),
    /// The backend answered an upgrade wrongly (D-88).
    Upgrade,
    /// A body could not be gathered: the directory for temporary files is full or closed to us.
    Spool(io::Error),
    /// The backend cannot be spoken to this way, such as WebSocket without RFC 8441.
    Unsupported,
}

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Client,
    /// The backend's.
    Backend,
    /// Ours, or the configuration's.
    Us,
}

/// Whether another attempt is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Never.
    Never,
    /// On another endpoint: nothing was sent.
    NothingSent,
    /// For idempotent requests without a body: the connection was reused and nothing came back.
    Idempotent,
}

impl Error {
    /// Whose fault it was.
    pub fn side(&self) -> Side {
        match self {
            Self::Request(_) | Self::ClientGone | Self::ClientTimeout(_) | Self::BodyTooLarge => {
                Side::Client
            }
            Self::NoEndpoint
            | Self::EndpointsBusy
            | Self::Overloaded(_)
            | Self::Loop
            | Self::Spool(_)
            | Self::Unsupported => Side::Us,
            Self::Connect(_)
            | Self::ConnectTimeout
            | Self::BackendTls(_)
            | Self::BackendClosed { .. }
            | Self::Truncated
            | Self::BackendIo(_)
            | Self::Response(_)
            | Self::ResponseTimeout
            | Self::ResponseIdle
            | Self::Refused
            | Self::BackendH2(_)
            | Self::Upgrade => Side::Backend,
        }
    }

    /// The status that tells the client, if no head has been sent yet.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Request(violation) => violation.status(),
            // Nobody is there to read it; the log shows the field's usual number.
            Self::ClientGone => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::ClientTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoEndpoint | Self::EndpointsBusy | Self::Overloaded(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::ConnectTimeout | Self::ResponseTimeout | Self::ResponseIdle => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Spool(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::Connect(_)
            | Self::BackendTls(_)
            | Self::BackendClosed { .. }
            | Self::Truncated
            | Self::BackendIo(_)
            | Self::Response(_)
            | Self::Refused
            | Self::BackendH2(_)
            | Self::Upgrade => StatusCode::BAD_GATEWAY,
        }
    }

    /// A fixed word for logs and metrics; a rule's id where there is one.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Request(violation) | Self::Response(violation) => violation.rule(),
            Self::ClientGone => "client-gone",
            Self::ClientTimeout(rule) => rule,
            Self::BodyTooLarge => "L-10",
            Self::NoEndpoint => "no-endpoint",
            Self::EndpointsBusy => "L-86",
            Self::Overloaded(rule) => rule,
            Self::Connect(_) => "connect-failed",
            Self::ConnectTimeout => "connect-timeout",
            Self::BackendTls(_) => "backend-tls",
            Self::Loop => "loop",
            Self::BackendClosed { .. } => "backend-closed",
            Self::Truncated => "backend-truncated",
            Self::BackendIo(_) => "backend-io",
            Self::ResponseTimeout => "response-timeout",
            Self::ResponseIdle => "response-idle",
            Self::Refused => "backend-refused",
            Self::BackendH2(_) => "backend-h2",
            Self::Upgrade => "D-88",
            Self::Spool(_) => "spool-failed",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether another attempt is allowed.
    pub fn retry(&self) -> Attempt {
        match self {
            Self::Connect(_) | Self::ConnectTimeout | Self::BackendTls(_) | Self::Refused => {
                Attempt::NothingSent
            }
            Self::BackendClosed { reused: true } => Attempt::Idempotent,
            Self::Request(_)
            | Self::ClientGone
            | Self::ClientTimeout(_)
            | Self::BodyTooLarge
            | Self::NoEndpoint
            | Self::EndpointsBusy
            | Self::Overloaded(_)
            | Self::Loop
            | Self::BackendClosed { reused: false }
            | Self::Truncated
            | Self::BackendIo(_)
            | Self::Response(_)
            | Self::ResponseTimeout
            | Self::ResponseIdle
            | Self::BackendH2(_)
            | Self::Upgrade
            | Self::Spool(_)
            | Self::Unsupported => Attempt::Never,
        }
    }

    /// A failure while reading the client's body.
    pub(crate) fn from_client(error: &WireError) -> Self {
        match error {
            WireError::Timeout => Self::ClientTimeout("L-67"),
            WireError::Closed | WireError::Io(_) => Self::ClientGone,
            WireError::Violation(violation) => Self::Request(*violation),
        }
    }

    /// A failure while writing to the client.
    pub(crate) fn from_writing(error: &WireError) -> Self {
        match error {
            WireError::Timeout => Self::ClientTimeout("L-74"),
            error => Self::from_client(error),
        }
    }

    /// A failure while reading a backend's body.
    pub(crate) fn from_backend(error: WireError) -> Self {
        match error {
            WireError::Timeout => Self::ResponseIdle,
            WireError::Closed => Self::Truncated,
            WireError::Io(error) => Self::BackendIo(error),
            WireError::Violation(violation) => Self::Response(violation),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(violation) => write!(f, "the request breaks rule {violation}"),
            Self::Response(violation) => write!(f, "the response breaks rule {violation}"),
            Self::Connect(error) => write!(f, "connecting to the backend failed: {error}"),
            Self::BackendTls(error) => write!(f, "TLS with the backend failed: {error}"),
            Self::BackendIo(error) => write!(f, "the backend's connection failed: {error}"),
            Self::Spool(error) => write!(f, "a body could not be gathered: {error}"),
            Self::BackendH2(error) => write!(f, "the backend's HTTP/2 failed: {error}"),
            other => f.write_str(other.reason()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error)
            | Self::BackendTls(error)
            | Self::BackendIo(error)
            | Self::Spool(error) => Some(error),
            Self::BackendH2(error) => Some(error),
            Self::Request(violation) | Self::Response(violation) => Some(violation),
            _ => None,
        }
    }
}
