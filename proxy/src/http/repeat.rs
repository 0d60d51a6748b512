//! Whether a request may be sent again.
//!
//! What was not sent may be; what was sent only if it is idempotent, whole, and the route says so.

use std::time::Instant;

use adit_route::{Retry, RetryOn};

use crate::error::{Attempt, Error};
use crate::http::body::Body;
use crate::http::handle::is_idempotent;
use crate::http::message::{Request, Response};

/// Whether and how often a request may be sent again.
pub(super) struct Repeat<'a> {
    retry: &'a Retry,
    left: u32,
    /// The body as it was before the first attempt, if it can be had again.
    body: Option<Body>,
    /// Nothing of the body is gone.
    whole: bool,
    /// Sending it twice does no harm.
    pub(super) repeatable: bool,
    begun: Option<Instant>,
}

impl<'a> Repeat<'a> {
    pub(super) fn new(retry: &'a Retry, request: &Request) -> Self {
        let body = if request.body.is_empty() || retry.attempts == 0 {
            None
        } else {
            request.body.again()
        };
        let whole = request.body.is_empty() || body.is_some();
        let harmless = is_idempotent(&request.method) || retry.non_idempotent;
        Self {
            retry,
            left: retry.attempts,
            body,
            whole,
            repeatable: whole && harmless && request.upgrade.is_none(),
            begun: None,
        }
    }

    /// Whether another attempt follows, as far as it is for the route to say.
    pub(super) fn again(&mut self, result: &Result<Response, Error>, started: Instant) -> bool {
        let begun = *self.begun.get_or_insert(started);
        let late = |timeout| begun.elapsed() >= timeout;
        if self.left == 0 || !self.may(result) || self.retry.timeout.is_some_and(late) {
            return false;
        }
        self.left -= 1;
        true
    }

    fn may(&self, result: &Result<Response, Error>) -> bool {
        let on = |condition| self.retry.on.contains(&condition);
        let error = match result {
            Ok(response) => return self.repeatable && on(RetryOn::Status(response.status)),
            Err(error) => error,
        };
        match (error, error.retry()) {
            (Error::Refused, _) => self.whole && on(RetryOn::Refused),
            (Error::ConnectTimeout, _) => on(RetryOn::Connect) || on(RetryOn::Timeout),
            (_, Attempt::NothingSent) => on(RetryOn::Connect),
            (_, Attempt::Idempotent) => {
                self.repeatable && (on(RetryOn::Reset) || on(RetryOn::Closed))
            }
            (Error::ResponseTimeout, _) => self.repeatable && on(RetryOn::Timeout),
            (Error::Response(_), _) => self.repeatable && on(RetryOn::Invalid),
            (
                Error::BackendClosed { .. }
                | Error::BackendIo(_)
                | Error::BackendH2(_)
                | Error::Truncated,
                _,
            ) => self.repeatable && on(RetryOn::Closed),
            _ => false,
        }
    }

    /// Makes the request whole again.
    pub(super) fn restore(&mut self, request: &mut Request) {
        if let Some(body) = &self.body
            && let Some(body) = body.again()
        {
            request.body = body;
        }
    }
}
