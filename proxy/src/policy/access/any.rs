//! `satisfy: any`: one demand that is met is enough.
//!
//! As in nginx: a list that allows the client, a password, or the server. If none is met, 401 goes
//! before 403, and the way to sign in before a demand for a password (AUT-10). A server that cannot
//! be asked ends it with 500.

use std::sync::Arc;

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;

use super::addresses::{self, Addresses, Opinion};
use super::basic::Basic;
use super::external::External;
use crate::http::message::Request;
use crate::policy::passage::{Passage, Scene};
use crate::policy::step::{Answer, Told};

/// Demands of which one is enough.
#[derive(Debug)]
pub(crate) struct Any {
    pub(crate) lists: Option<Addresses>,
    pub(crate) basic: Option<Basic>,
    pub(crate) external: Option<Arc<External>>,
}

impl Any {
    /// The answer to a request that meets none of the demands.
    pub(crate) async fn refuse(
        &self,
        passage: &mut Passage<'_>,
        request: &Request,
    ) -> Option<Answer> {
        let mut answer = None;
        if let Some(lists) = &self.lists {
            match lists.opinion(passage.client, passage.info.verified) {
                Opinion::Allowed => return None,
                Opinion::Denied | Opinion::NotAllowed => answer = Some(addresses::refusal()),
                Opinion::None => {}
            }
        }
        if let Some(basic) = &self.basic {
            answer = Some(basic.refuse(passage, request).await?);
        }
        if let Some(external) = &self.external {
            let refused = external.refuse(passage, request).await?;
            let unknown = |answer: &Answer| answer.response.status == StatusCode::UNAUTHORIZED;
            answer = match answer.filter(unknown) {
                None => Some(refused),
                Some(first) => Some(join(first, refused)),
            };
        }
        answer
    }

    /// What it would do.
    pub(crate) fn tell(&self, scene: &Scene<'_>) -> Told {
        let lists = self.lists.as_ref().map(|lists| {
            let opinion = lists.opinion(scene.client, scene.info.verified);
            (opinion, lists.tell(scene))
        });
        let refused = match lists {
            Some((Opinion::Allowed, told)) => return told,
            Some((Opinion::None, _)) | None => None,
            Some((_, told)) => Some(told),
        };
        let basic = self.basic.as_ref().map(|basic| basic.tell(scene.request));
        match (basic, &self.external) {
            (Some(told @ Told::Passes(_)), _) => told,
            (_, Some(external)) => external.tell(),
            (Some(told), None) => told,
            (None, None) => refused.unwrap_or_else(|| Told::Passes("no demand is open".to_owned())),
        }
    }
}

/// The answer to a client that a password or the server could let in: either challenge will do.
fn join(mut first: Answer, second: Answer) -> Answer {
    match second.response.status {
        StatusCode::FORBIDDEN => first,
        StatusCode::UNAUTHORIZED => {
            for challenge in second.response.headers.get_all(WWW_AUTHENTICATE) {
                let headers = &mut first.response.headers;
                headers.append(WWW_AUTHENTICATE, challenge.clone());
            }
            first
        }
        _ => second,
    }
}
