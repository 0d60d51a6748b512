//! A cookie that keeps a session at one endpoint (section 6.9).
//!
//! The value is `KEY|UPSTREAM`: where the session is, and in which upstream. It is written only when
//! a session begins anew (AFF-03), and never refreshed.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adit_route::policy::{SameSite, Sticky, StickyMode};
use http::HeaderValue;

use crate::http::handle::cookie;
use crate::http::message::Request;
use crate::snapshot::CompiledUpstream;
use crate::upstream::sessions::{self, place_of};
use crate::upstream::{Endpoint, Session};

/// What a request's cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub key: String,
    /// The upstream's digest; cookies of long ago have none.
    pub upstream: Option<String>,
}

/// A session on its way: where it should go, and what was known of it before.
#[derive(Debug)]
pub(super) struct Visit {
    /// Where the session is; `None` goes by balancing.
    pub session: Option<Session>,
    /// The key behind it, for a session that goes on.
    known: Option<String>,
    /// The key that was made up for one that begins.
    fresh: Option<String>,
}

/// The claim of a request.
pub(super) fn claim(policy: &Sticky, request: &Request) -> Option<Claim> {
    let value = std::str::from_utf8(cookie(request, &policy.cookie)?).ok()?;
    let value = value.trim_matches('"');
    let (key, upstream) = match value.split_once('|') {
        Some((key, upstream)) => (key, Some(upstream.to_owned())),
        None => (value, None),
    };
    (!key.is_empty()).then(|| Claim {
        key: key.to_owned(),
        upstream,
    })
}

/// Where a claim leads in an upstream; a session begins where there is none.
pub(super) fn visit(
    policy: &Sticky,
    claim: Option<Claim>,
    compiled: &CompiledUpstream,
    random: &mut fastrand::Rng,
) -> Visit {
    match (policy.mode, claim) {
        (StickyMode::Balanced, Some(claim)) => Visit {
            session: Some(Session::Ring(place_of(&claim.key))),
            known: Some(claim.key),
            fresh: None,
        },
        (StickyMode::Balanced, None) => {
            let key = new_key(random);
            Visit {
                session: Some(Session::Ring(place_of(&key))),
                known: None,
                fresh: Some(key),
            }
        }
        (StickyMode::Persistent, claim) => {
            let set = compiled.upstream.endpoints();
            let found = claim.and_then(|claim| {
                let index = set
                    .sessions(compiled.upstream.spec())
                    .of_digest(&claim.key)?;
                Some((set.members().get(index)?.endpoint.id(), claim.key))
            });
            Visit {
                session: found.as_ref().map(|(id, _)| Session::Endpoint(*id)),
                known: found.map(|(_, key)| key),
                fresh: None,
            }
        }
    }
}

/// A key that no other session has: time, and enough that is random.
fn new_key(random: &mut fastrand::Rng) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let (seconds, millis) = (now.as_secs(), now.subsec_millis());
    format!(
        "{seconds}.{millis:03}.{}.{}",
        random.u16(..),
        random.u32(..1_000_000)
    )
}

impl Visit {
    /// The key to be written, now that an endpoint has answered; `None` if the session goes on as it
    /// was. A session whose endpoint failed stays where it is unless the policy says otherwise
    /// (AFF-06): its endpoint may come back.
    pub(super) fn written(
        self,
        policy: &Sticky,
        compiled: &CompiledUpstream,
        endpoint: &Arc<Endpoint>,
        random: &mut fastrand::Rng,
    ) -> Option<String> {
        let set = compiled.upstream.endpoints();
        let spec = compiled.upstream.spec();
        let at = |key: &str| {
            let index = set.sessions(spec).from(place_of(key)).next();
            index.and_then(|index| set.members().get(index))
        };
        let moved = match self.session {
            None => true,
            Some(Session::Endpoint(id)) => id != endpoint.id(),
            Some(Session::Ring(_)) => {
                let key = self.known.as_deref().or(self.fresh.as_deref())?;
                at(key).is_none_or(|member| member.endpoint != *endpoint)
            }
        };
        let moves = moved && (self.known.is_none() || policy.change_on_failure);
        match policy.mode {
            StickyMode::Persistent => {
                moves.then(|| sessions::digest_of(&spec.name, endpoint.label()))
            }
            StickyMode::Balanced if moves => {
                // Few endpoints, many keys: one of them leads to the endpoint that answered.
                let mut keys = std::iter::repeat_with(|| new_key(random)).take(1024);
                let there = |key: &String| at(key).is_some_and(|found| found.endpoint == *endpoint);
                keys.find(there).or(self.fresh)
            }
            StickyMode::Balanced => self.fresh,
        }
    }
}

/// The field that sets the cookie (AFF-04, AFF-09).
pub(super) fn cookie_of(
    policy: &Sticky,
    path: &str,
    value: &str,
    secure: bool,
    user_agent: Option<&HeaderValue>,
) -> Option<HeaderValue> {
    let mut text = format!("{}={value}; Path={path}", policy.cookie);
    if let Some(domain) = &policy.domain {
        let _ = write!(text, "; Domain={domain}");
    }
    if let Some(age) = policy.expires {
        let _ = write!(text, "; Expires={}", dashed(SystemTime::now() + age));
    }
    if let Some(age) = policy.max_age {
        let _ = write!(text, "; Max-Age={}", age.as_secs());
    }
    if secure || policy.secure {
        text.push_str("; Secure");
    }
    if policy.http_only {
        text.push_str("; HttpOnly");
    }
    let spared = || {
        let agent = user_agent.map(HeaderValue::as_bytes).unwrap_or_default();
        policy.conditional_same_site && misreads_none(&String::from_utf8_lossy(agent))
    };
    match policy.same_site {
        Some(SameSite::Strict) => text.push_str("; SameSite=Strict"),
        Some(SameSite::Lax) => text.push_str("; SameSite=Lax"),
        Some(SameSite::None) if !spared() => text.push_str("; SameSite=None"),
        _ => {}
    }
    HeaderValue::try_from(text).ok()
}

/// A date as cookies have had it since Netscape: `Wed, 12-Jun-24 10:00:00 GMT`.
fn dashed(time: SystemTime) -> String {
    // A duration beyond the calendar stands at its end.
    let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let text = httpdate::fmt_http_date(time.clamp(UNIX_EPOCH, latest));
    let parts: Vec<&str> = text.split(' ').collect();
    match parts.as_slice() {
        [weekday, day, month, year, clock, zone] => {
            let year = year.get(2..).unwrap_or_default();
            format!("{weekday} {day}-{month}-{year} {clock} {zone}")
        }
        _ => text,
    }
}

/// Browsers that take `SameSite=None` for `Strict`, or refuse it.
fn misreads_none(agent: &str) -> bool {
    let known = [
        "Chrome/4",
        "Chrome/5",
        "Chrome/6",
        "CPU iPhone OS 12",
        "iPad; CPU OS 12",
    ];
    known.iter().any(|mark| agent.contains(mark))
        || (agent.contains("Intel Mac OS X 10_14")
            && agent.contains("Safari")
            && !agent.contains("Chrome"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;

    use crate::policy::tests::request;

    fn sticky() -> Sticky {
        Sticky {
            cookie: "route".into(),
            mode: StickyMode::Balanced,
            path: None,
            domain: None,
            max_age: None,
            expires: None,
            same_site: None,
            conditional_same_site: false,
            secure: false,
            http_only: true,
            change_on_failure: false,
        }
    }

    fn written(policy: &Sticky, secure: bool, agent: &'static str) -> String {
        let agent = HeaderValue::from_static(agent);
        let field = cookie_of(policy, "/app", "k|u", secure, Some(&agent));
        field.unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_names_key_and_upstream() {
        let cases = [
            ("route=a|b", Some(("a", Some("b")))),
            ("x=1; route=1.2.3|d41d; y=2", Some(("1.2.3", Some("d41d")))),
            ("route=old", Some(("old", None))),
            ("route=\"a|b\"", Some(("a", Some("b")))),
            ("route=", None),
            ("route=|b", None),
            ("routes=a|b", None),
            ("", None),
        ];
        for (field, expected) in cases {
            let mut request = request("/");
            let value = HeaderValue::from_static(field);
            request.headers.insert(header::COOKIE, value);
            let expected = expected.map(|(key, upstream)| Claim {
                key: key.to_owned(),
                upstream: upstream.map(ToOwned::to_owned),
            });
            assert_eq!(claim(&sticky(), &request), expected, "{field}");
        }
    }

    #[test]
    fn a_cookie_has_the_attributes_of_its_policy() {
        assert_eq!(
            written(&sticky(), false, ""),
            "route=k|u; Path=/app; HttpOnly"
        );
        let policy = Sticky {
            domain: Some("example.com".into()),
            max_age: Some(Duration::from_hours(1)),
            same_site: Some(SameSite::Strict),
            ..sticky()
        };
        assert_eq!(
            written(&policy, true, ""),
            "route=k|u; Path=/app; Domain=example.com; Max-Age=3600; Secure; HttpOnly; SameSite=Strict"
        );
        let policy = Sticky {
            secure: true,
            http_only: false,
            ..sticky()
        };
        assert_eq!(written(&policy, false, ""), "route=k|u; Path=/app; Secure");
    }

    #[test]
    fn expiry_is_a_date_with_dashes() {
        let time = UNIX_EPOCH + Duration::from_hours(477_274);
        assert_eq!(dashed(time), "Wed, 12-Jun-24 10:00:00 GMT");
        let policy = Sticky {
            expires: Some(Duration::from_secs(u64::from(u32::MAX) * 1000)),
            ..sticky()
        };
        assert!(written(&policy, false, "").contains("; Expires=Fri, 31-Dec-99 23:59:59 GMT"));
    }

    #[test]
    fn browsers_that_misread_none_are_spared_it() {
        let cases = [
            (
                "Mozilla/5.0 (Windows NT 10.0) Chrome/58.0 Safari/537.36",
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 12_4 like Mac OS X) Safari/604.1",
                false,
            ),
            ("Mozilla/5.0 (iPad; CPU OS 12_0 like Mac OS X)", false),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) Version/12 Safari/605.1",
                false,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) Chrome/120.0 Safari/537",
                true,
            ),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0", true),
            ("curl/8", true),
        ];
        let policy = Sticky {
            same_site: Some(SameSite::None),
            conditional_same_site: true,
            ..sticky()
        };
        for (agent, said) in cases {
            let text = written(&policy, true, agent);
            assert_eq!(text.contains("SameSite=None"), said, "{agent}");
        }
        let always = Sticky {
            conditional_same_site: false,
            ..policy
        };
        assert!(written(&always, true, "Chrome/58").contains("SameSite=None"));
    }
}
