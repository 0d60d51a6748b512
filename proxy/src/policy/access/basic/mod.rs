//! Names and passwords (RFC 7617; BAS-01 to BAS-05).
//!
//! Slow hashes are computed off the event loop, few at a time; what was found right is remembered.
//! A user who is not there costs as much as a wrong password, so that names cannot be told from the
//! time that an answer takes.

mod checked;
mod hash;

use std::collections::HashMap;
use std::sync::Arc;

use adit_route::policy::{BasicAuth, HashScheme};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use zeroize::Zeroizing;

pub(crate) use checked::Checked;

use crate::http::message::Request;
use crate::policy::passage::Passage;
use crate::policy::step::{Answer, Told};

/// The id of a refusal.
const RULE: &str = "BAS-03";
/// Longer passwords are nobody's: some schemes take a time that grows with the square of it.
const LONGEST: usize = 1024;

/// What a route demands.
#[derive(Debug)]
pub(crate) struct Basic {
    challenge: HeaderValue,
    users: HashMap<Arc<str>, Hash>,
    /// Stands in for users who are not there.
    decoy: Option<Hash>,
    checked: Arc<Checked>,
}

#[derive(Clone)]
struct Hash {
    scheme: HashScheme,
    text: Arc<str>,
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.scheme.fmt(f)
    }
}

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    /// No name and password came, or the wrong ones.
    Unknown,
    /// Too many others are being looked at.
    Crowded,
}

impl Basic {
    pub(crate) fn compile(policy: &BasicAuth, checked: &Arc<Checked>) -> Self {
        let mut users = HashMap::new();
        for (user, text) in &policy.credentials.users {
            let Ok(scheme) = HashScheme::of(text) else {
                continue;
            };
            users.entry(Arc::clone(user)).or_insert_with(|| Hash {
                scheme,
                text: Arc::clone(text),
            });
        }
        let first = policy.credentials.users.iter();
        let decoy = { first }.find_map(|(user, _)| users.get(user).cloned());
        let realm = policy.realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{realm}\""));
        Self {
            challenge: challenge.unwrap_or_else(|_| HeaderValue::from_static("Basic realm=\"\"")),
            users,
            decoy,
            checked: Arc::clone(checked),
        }
    }

    /// The user whose name and password the request brings.
    async fn identify(&self, request: &Request) -> Result<Arc<str>, Stranger> {
        let (user, password) = credentials(request).ok_or(Stranger::Unknown)?;
        let known = self.users.get_key_value(user.as_str());
        let Some(hash) = known.map(|(_, hash)| hash).or(self.decoy.as_ref()) else {
            return Err(Stranger::Unknown);
        };
        let right = if hash.scheme.is_cheap() {
            hash::matches(hash.scheme, &hash.text, &password)
        } else {
            self.check(&user, hash, password).await?
        };
        match known {
            Some((user, _)) if right => Ok(Arc::clone(user)),
            _ => Err(Stranger::Unknown),
        }
    }

    /// Compares off the event loop, unless it is known already.
    async fn check(
        &self,
        user: &str,
        hash: &Hash,
        password: Zeroizing<Vec<u8>>,
    ) -> Result<bool, Stranger> {
        let digest = self.checked.digest(user, &hash.text, &password);
        let is_right = || digest.is_some_and(|digest| self.checked.is_right(&digest));
        if is_right() {
            return Ok(true);
        }
        let turn = self.checked.turn().await.ok_or(Stranger::Crowded)?;
        // The requests of one page come together: the first of them answers for all.
        if is_right() {
            return Ok(true);
        }
        let hash = hash.clone();
        let checking = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, also if whoever asked has gone.
            let _turn = turn;
            hash::matches(hash.scheme, &hash.text, &password)
        });
        let right = checking.await.unwrap_or(false);
        if let Some(digest) = digest.filter(|_| right) {
            self.checked.keep(digest);
        }
        Ok(right)
    }

    /// Lets in who brings a name and the right password; the answer to everybody else.
    pub(crate) async fn refuse(
        &self,
        passage: &mut Passage<'_>,
        request: &Request,
    ) -> Option<Answer> {
        match self.identify(request).await {
            Ok(user) => {
                passage.user = Some(user);
                None
            }
            Err(stranger) => Some(self.refusal(stranger)),
        }
    }

    /// The answer to a stranger.
    fn refusal(&self, stranger: Stranger) -> Answer {
        if stranger == Stranger::Crowded {
            return Answer::refused(StatusCode::SERVICE_UNAVAILABLE, RULE);
        }
        let mut answer = Answer::refused(StatusCode::UNAUTHORIZED, RULE);
        let challenge = self.challenge.clone();
        answer
            .response
            .headers
            .insert(header::WWW_AUTHENTICATE, challenge);
        answer
    }

    /// What it would do. Nobody is waited for: this is asked by `explain` alone.
    pub(crate) fn tell(&self, request: &Request) -> Told {
        let refused = |why: &str| {
            let text = format!("`auth.basic` demands a name and a password: {why}");
            Told::Answers(StatusCode::UNAUTHORIZED, RULE, text)
        };
        let Some((user, password)) = credentials(request) else {
            return refused("the request brings none");
        };
        match self.users.get(user.as_str()) {
            Some(hash) if hash::matches(hash.scheme, &hash.text, &password) => {
                Told::Passes("the name and the password are right".to_owned())
            }
            _ => refused("they are not right"),
        }
    }
}

/// The name and the password that a request brings.
fn credentials(request: &Request) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let field = request.headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_ascii()).ok()?);
    let colon = memchr::memchr(b':', &decoded)?;
    let (user, password) = decoded.split_at_checked(colon)?;
    let password = password
        .get(1..)
        .filter(|password| password.len() <= LONGEST)?;
    let user = std::str::from_utf8(user).ok()?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}
