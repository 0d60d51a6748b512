//! The way of a request through its route's plan, and of the response back.

use super::fields::Edits;
use super::passage::Passage;
use super::plan::Plan;
use super::rate::Pace;
use crate::error::Error;
use crate::http::handle::{Serving, Unserved, act, answer, fail, forwarded_client, set_forwarding};
use crate::http::message::{Request, Response};
use crate::trail::Trail;

/// Answers a request of a route that has a plan.
pub(crate) async fn serve(
    serving: Serving<'_>,
    plan: &Plan,
    mut request: Request,
    admitted: Result<(), Unserved>,
    trail: &mut Trail,
) -> Response {
    let info = serving.info;
    let mut passage = Passage {
        info,
        client: forwarded_client(info, &request).unwrap_or_else(|| info.client.ip()),
        target: request.target.clone(),
        user: None,
        place: None,
    };
    // First, so that every step and every server that is asked sees the fields of section 4.1.
    match set_forwarding(serving.worker, info, &mut request, trail) {
        Ok(id) => trail.identified(&id),
        Err(violation) => return fail(&Error::Request(violation), trail),
    }
    let admitted = match admitted {
        Ok(()) => plan.admit(&mut passage, &mut request, trail).await,
        Err(unserved) => Err(answer(unserved, &request, trail)),
    };
    let response = match admitted {
        Ok(()) => {
            let edits = Edits::of(&plan.request_fields, &passage.scene(&request));
            edits.apply(&mut request.headers);
            act(serving, &mut request, trail).await
        }
        Err(response) => response,
    };
    plan.finish(&mut passage, &request, response)
}

impl Plan {
    /// Takes the steps up to the first that answers.
    async fn admit(
        &self,
        passage: &mut Passage<'_>,
        request: &mut Request,
        trail: &mut Trail,
    ) -> Result<(), Response> {
        for step in &self.steps {
            if let Err(answer) = step.take(passage, request).await {
                if let Some(rule) = answer.rule {
                    trail.refused(rule);
                }
                return Err(answer.response);
            }
        }
        Ok(())
    }

    /// The response stage, whoever answered.
    fn finish(
        &self,
        passage: &mut Passage<'_>,
        request: &Request,
        mut response: Response,
    ) -> Response {
        if !self.response_fields.is_empty() {
            let edits = Edits::of(&self.response_fields, &passage.scene(request));
            edits.apply(&mut response.headers);
        }
        if let Some(place) = passage.place.take() {
            response.body.occupy(place);
        }
        if let Some(speed) = self.bandwidth {
            response.body.slow_down(Pace::new(speed));
        }
        response
    }
}
