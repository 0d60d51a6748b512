//! External authentication (AUT-01 to AUT-12): a server is asked about every request.
//!
//! The question carries the request's fields and no body, and is asked before any of the body is
//! read. 2xx lets the request pass, 401 and 403 are passed on, and whatever else happens, the answer
//! is 500: nobody gets in because a server is down (AUT-12).

mod answers;
mod question;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_route::policy::{ExternalAuth, Template};
use adit_route::{FieldList, Profile};
use http::{HeaderName, HeaderValue, StatusCode, header};

use answers::Said;
pub(crate) use answers::{Answers, Said as Judgement};

use crate::error::Error;
use crate::http::body::{Body, Frame};
use crate::http::forward::{self, Aim};
use crate::http::message::{Request, Response};
use crate::policy::expand::{escape, expand};
use crate::policy::passage::{Passage, Scene};
use crate::policy::seal::Digest;
use crate::policy::step::{Answer, Told};
use crate::snapshot::CompiledUpstream;

/// The id of a refusal.
const RULE: &str = "AUT-04";
/// Bytes of an answer that are read, so that its connection can be used again.
const MOST_READ: usize = 64 * 1024;

/// A server that decides.
#[derive(Debug)]
pub(crate) struct External {
    policy: ExternalAuth,
    profile: Profile,
    upstream: Arc<CompiledUpstream>,
    answers: Arc<Answers>,
    /// Tells this demand from others in the memory of answers.
    identity: Option<Digest>,
}

impl External {
    pub(crate) fn compile(
        policy: &ExternalAuth,
        profile: Profile,
        upstream: Arc<CompiledUpstream>,
        answers: &Arc<Answers>,
    ) -> Self {
        Self {
            identity: answers.digest(&[format!("{policy:?}").as_bytes()]),
            policy: policy.clone(),
            profile,
            upstream,
            answers: Arc::clone(answers),
        }
    }

    /// Asks the server; the answer if it does not let the request pass.
    pub(crate) async fn refuse(
        &self,
        passage: &mut Passage<'_>,
        request: &Request,
    ) -> Option<Answer> {
        let said = match self.ask(passage, request).await {
            Ok(said) => said,
            Err(error) => {
                tracing::debug!(%error, upstream = %self.policy.upstream.name, "external authentication failed");
                return Some(failure());
            }
        };
        passage.said = Some(Arc::clone(&said));
        match said.status {
            status if status.is_success() => None,
            StatusCode::UNAUTHORIZED => Some(self.demand(&said, &passage.scene(request))),
            StatusCode::FORBIDDEN => Some(Answer::refused(StatusCode::FORBIDDEN, RULE)),
            _ => Some(failure()),
        }
    }

    /// What the server says of the request, or said a while ago.
    async fn ask(&self, passage: &Passage<'_>, request: &Request) -> Result<Arc<Said>, Error> {
        let scene = passage.scene(request);
        let key = self.key(passage, &scene);
        if let Some(key) = &key
            && let Some(said) = self.answers.find(key, Instant::now())
        {
            return Ok(said);
        }
        let mut question =
            question::question(&self.policy, self.profile, &scene).ok_or(Error::Unsupported)?;
        let serving = passage.serving;
        let aim = Aim {
            authority: None,
            ..Aim::of(serving, &self.upstream)
        };
        let asking = async {
            let answer = forward::ask(serving.worker, serving.current, &aim, &mut question).await?;
            Ok(self.hear(answer).await)
        };
        let asked = tokio::time::timeout(self.policy.timeout, asking).await;
        let (said, kept) = asked.map_err(|_| Error::ResponseTimeout)??;
        let said = Arc::new(said);
        if let (Some(key), Some(time)) = (key, kept) {
            self.answers.keep(key, &said, time, Instant::now());
        }
        Ok(said)
    }

    /// What the answer is remembered by (AUT-09): two locations or hosts never share one.
    fn key(&self, passage: &Passage<'_>, scene: &Scene<'_>) -> Option<Digest> {
        let text = expand(self.policy.cache_key.as_ref()?, scene);
        let route = passage.serving.route;
        self.answers.digest(&[
            self.identity.as_ref()?,
            route.host.as_bytes(),
            route.name.as_bytes(),
            scene.request.host.as_str().as_bytes(),
            text.as_bytes(),
        ])
    }

    /// Takes what counts out of an answer, and says how long it may be remembered.
    async fn hear(&self, mut answer: Response) -> (Said, Option<Duration>) {
        let headers = &answer.headers;
        let all = |name: HeaderName| headers.get_all(&name).cloned().collect::<Vec<_>>();
        let fields = self.policy.response_fields.iter();
        let said = Said {
            status: answer.status,
            fields: fields.map(|name| headers.get(name).cloned()).collect(),
            challenges: all(header::WWW_AUTHENTICATE),
            cookies: all(header::SET_COOKIE),
        };
        let kept = self.keeps(&said, headers);
        read_out(&mut answer.body).await;
        (said, kept)
    }

    fn keeps(&self, said: &Said, headers: &FieldList) -> Option<Duration> {
        let personal = |value: &HeaderValue| {
            let mut words = value
                .as_bytes()
                .split(|&byte| matches!(byte, b',' | b'=' | b';'));
            words.any(|word| {
                let word = word.trim_ascii();
                let not_kept: [&[u8]; 3] = [b"private", b"no-cache", b"no-store"];
                not_kept
                    .iter()
                    .any(|known| word.eq_ignore_ascii_case(known))
            })
        };
        if !said.cookies.is_empty() || headers.get_all(header::CACHE_CONTROL).any(personal) {
            return None;
        }
        let mut times = self.policy.cache_for.iter();
        let time =
            times.find(|times| times.statuses.is_empty() || times.statuses.contains(&said.status));
        time.map(|times| times.time)
    }

    /// The answer to a client that must sign in (AUT-04, AUT-05).
    fn demand(&self, said: &Said, scene: &Scene<'_>) -> Answer {
        let place = self.policy.sign_in.as_ref();
        let place = place.and_then(|place| self.sign_in(place, scene));
        if let Some(place) = place {
            let mut response = Response::empty(StatusCode::FOUND);
            response.headers.insert(header::LOCATION, place);
            return Answer::plain(response);
        }
        let mut answer = Answer::refused(StatusCode::UNAUTHORIZED, RULE);
        for challenge in &said.challenges {
            let headers = &mut answer.response.headers;
            headers.append(header::WWW_AUTHENTICATE, challenge.clone());
        }
        answer
    }

    /// Where to sign in, and how to come back.
    fn sign_in(&self, place: &Template, scene: &Scene<'_>) -> Option<HeaderValue> {
        let mut url = expand(place, scene);
        let parameter = &*self.policy.return_parameter;
        if !has_parameter(&url, parameter) {
            url.push(if url.contains('?') { '&' } else { '?' });
            let host = &scene.request.host;
            let _ = write!(url, "{parameter}={}://{host}", scene.scheme());
            if let Some(port) = scene.request.port {
                let _ = write!(url, ":{port}");
            }
            escape(scene.target.as_str(), &mut url);
        }
        HeaderValue::try_from(url).ok()
    }

    /// Gives the backend what the server said, and takes away what only it may say (AUT-07).
    pub(crate) fn grant(&self, said: Option<&Said>, headers: &mut FieldList) {
        let said = said.filter(|said| said.status.is_success());
        for (at, name) in self.policy.response_fields.iter().enumerate() {
            headers.remove(name);
            let value = said
                .and_then(|said| said.fields.get(at))
                .and_then(Option::as_ref);
            if let Some(value) = value {
                headers.append(name.clone(), value.clone());
            }
        }
    }

    /// Gives the client the server's cookies (AUT-06, AUT-08).
    pub(crate) fn set_cookies(&self, said: &Said, response: &mut Response) {
        const WITH: [u16; 10] = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308];
        if self.policy.always_set_cookie || WITH.contains(&response.status.as_u16()) {
            for cookie in &said.cookies {
                response.headers.append(header::SET_COOKIE, cookie.clone());
            }
        }
    }

    /// What it would do.
    pub(crate) fn tell(&self) -> Told {
        let (name, host) = (&self.policy.upstream.name, &self.policy.host);
        Told::Passes(format!("{host} ({name}) is asked about the request"))
    }
}

/// The answer where nobody could say anything.
fn failure() -> Answer {
    Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, RULE)
}

/// Whether a URL has the parameter with a value.
fn has_parameter(url: &str, name: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.any(|(found, value)| found == name && !value.is_empty())
}

/// Reads the rest of an answer, so that its connection can be used again.
async fn read_out(body: &mut Body) {
    let mut read = 0;
    while let Some(Ok(Frame::Data(data))) = body.frame().await {
        read += data.len();
        if read > MOST_READ {
            return;
        }
    }
}
