//! `/livez`, `/readyz`, `/statusz`: whether it turns, whether balancers should send clients here,
//! and what is not as it should be.
//!
//! Ready is whoever serves. A configuration that was refused, or a certificate that kept its last
//! good content, is said but changes no status: taking the process out of service would turn a typo
//! into an outage. Nothing that it depends on makes it fail (O-04).

use adit_proxy::Overload;
use adit_proxy::http::message::Response;
use adit_route::FieldList;
use http::{StatusCode, header};
use serde_json::json;

use super::clock::rfc3339;
use super::reply::{self, tame};
use super::standing::{Phase, Standing};

/// Whether every worker turns (S-23). A worker that hangs cannot say so itself; another one, or
/// nobody, answers.
pub(super) fn livez(overload: &Overload) -> Response {
    let silent = overload.silent();
    if silent.is_empty() {
        return reply::text(StatusCode::OK, "alive\n");
    }
    let silent: Vec<_> = silent.iter().map(ToString::to_string).collect();
    let text = format!("workers that do not turn any more: {}\n", silent.join(", "));
    reply::text(StatusCode::SERVICE_UNAVAILABLE, &text)
}

/// What is not as it should be; nothing here changes the status.
pub(super) fn statusz(standing: &Standing, overload: &Overload) -> Response {
    let phase = standing.status.phase.as_str();
    let mut text = format!("{phase}, generation {}\n", standing.status.generation());
    for reason in reasons(standing, overload) {
        text.push_str("degraded: ");
        text.push_str(reason.trim_end());
        text.push('\n');
    }
    reply::text(StatusCode::OK, &text)
}

/// Whether balancers should send clients here.
pub(super) fn readyz(standing: &Standing, overload: &Overload, headers: &FieldList) -> Response {
    let phase = standing.status.phase;
    let hangs = !overload.silent().is_empty();
    let code = match phase {
        Phase::Serving if !hangs => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let reasons = reasons(standing, overload);
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("application/json")) {
        let body = json!({"ready": code == StatusCode::OK, "phase": phase.as_str(),
            "generation": standing.status.generation(), "degraded": reasons});
        return reply::json_with(code, body.to_string());
    }
    let mut body = match phase {
        Phase::Serving if hangs => "not ready: a worker hangs\n".to_owned(),
        Phase::Serving => "ready\n".to_owned(),
        Phase::Starting | Phase::Draining => format!("not ready: {}\n", phase.as_str()),
    };
    for reason in reasons {
        body.push_str("degraded: ");
        body.push_str(reason.trim_end());
        body.push('\n');
    }
    reply::text(code, &body)
}

/// What is not as it should be while it serves.
pub(super) fn reasons(standing: &Standing, overload: &Overload) -> Vec<String> {
    let status = &standing.status;
    let refused = standing.refused.zip(status.config_error.as_deref());
    let refused = refused.map(|(since, error)| {
        let (since, generation) = (rfc3339(since), status.generation());
        tame(&format!(
            "configuration refused since {since}; generation {generation} is served on\n{error}"
        ))
    });
    let others = status.degraded.iter().map(|problem| tame(problem));
    let shed = overload.shedding();
    refused.into_iter().chain(others).chain(shed).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use http::HeaderValue;
    use serde_json::Value;

    use super::*;
    use crate::admin::Status;

    fn standing(phase: Phase, error: Option<&str>, degraded: &[&str]) -> Standing {
        let at = UNIX_EPOCH + Duration::from_secs(1_763_636_363);
        Standing {
            published: at,
            refused: error.map(|_| at),
            status: Arc::new(Status {
                phase,
                config_error: error.map(ToOwned::to_owned),
                degraded: degraded.iter().map(ToString::to_string).collect(),
                published: at,
                snapshot: None,
                config: None,
                addresses: Vec::new(),
            }),
        }
    }

    async fn body(mut response: Response) -> String {
        match response.body.frame().await {
            Some(Ok(adit_proxy::http::body::Frame::Data(data))) => {
                String::from_utf8(data.to_vec()).unwrap()
            }
            _ => String::new(),
        }
    }

    #[tokio::test]
    async fn a_refused_configuration_is_said_but_does_not_end_service() {
        let refused = "configuration refused since 2025-11-20T10:59:23Z; \
                       generation 0 is served on\nadit.yaml:3:1: unknown key\\u{1b}";
        for (standing, code, text) in [
            (
                standing(Phase::Serving, None, &[]),
                200,
                "ready\n".to_owned(),
            ),
            (
                standing(Phase::Starting, None, &[]),
                503,
                "not ready: starting\n".to_owned(),
            ),
            (
                standing(Phase::Draining, None, &["site.pem expired"]),
                503,
                "not ready: draining\ndegraded: site.pem expired\n".to_owned(),
            ),
            (
                standing(
                    Phase::Serving,
                    Some("adit.yaml:3:1: unknown key\x1b\n"),
                    &[],
                ),
                200,
                format!("ready\ndegraded: {refused}\n"),
            ),
        ] {
            let response = readyz(&standing, &Overload::new(2), &FieldList::new());
            assert_eq!(response.status, code, "{text}");
            assert_eq!(body(response).await, text);
        }
    }

    #[tokio::test]
    async fn programs_get_the_same_as_json() {
        let standing = standing(Phase::Serving, None, &["site.pem expired"]);
        let headers =
            FieldList::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
        let found: Value =
            serde_json::from_str(&body(readyz(&standing, &Overload::new(2), &headers)).await)
                .unwrap();
        assert_eq!(
            found,
            json!({"ready": true, "phase": "serving", "generation": 0,
                "degraded": ["site.pem expired"]})
        );
    }
}
