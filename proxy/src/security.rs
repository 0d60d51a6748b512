//! Events for whoever looks after security, apart from the log of requests (O-06, O-07).
//!
//! What an attacker does is told with the target `security`, once a second for each kind at most,
//! with the number so far: a flood of attempts is one line a second. The heads that the gate refused
//! are kept for a look, a few of them, with everything that could be a secret masked.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use crate::info::ConnInfo;

/// What kind of attempt it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A message that two programs could read differently.
    Desync,
    /// A field that only a proxy of ours may set.
    SpoofedField,
    /// A PROXY header from a peer that may not send one.
    UntrustedProxy,
    /// A host or path that is not for clients of this door.
    Exposure,
    /// A session ticket of ours that was made for another host, or altered.
    Ticket,
}

impl Attempt {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 5] = [
        Self::Desync,
        Self::SpoofedField,
        Self::UntrustedProxy,
        Self::Exposure,
        Self::Ticket,
    ];

    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desync => "desync",
            Self::SpoofedField => "spoofed_field",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::Exposure => "exposure",
            Self::Ticket => "ticket",
        }
    }

    /// What a refusal by this rule was an attempt at. Unknown names are the weather of the Internet;
    /// whoever knows that one exists says so by itself.
    fn of_rule(rule: &str) -> Option<Self> {
        let (family, number) = rule.split_once('-')?;
        match (family, rule) {
            ("D", _) => (number < "80").then_some(Self::Desync),
            ("H", _) => Some(Self::SpoofedField),
            (_, "P-02") => Some(Self::UntrustedProxy),
            (_, "E-from" | "E-foreign-tunnel") => Some(Self::Exposure),
            _ => None,
        }
    }
}

/// All attempts so far, and the heads that were refused last.
#[derive(Debug)]
pub struct Security {
    started: Instant,
    attempts: [Attempts; Attempt::ALL.len()],
    heads: Mutex<Heads>,
}

#[derive(Debug, Default)]
struct Attempts {
    total: AtomicU64,
    /// The second of the last line, from the start; 0 is none.
    said: AtomicU64,
}

#[derive(Debug, Default)]
struct Heads {
    kept: VecDeque<RefusedHead>,
    /// Second of the last one, and how many there were in it.
    second: u64,
    in_second: u32,
}

/// A head that the gate refused.
#[derive(Clone, Debug)]
pub struct RefusedHead {
    /// When.
    pub at: SystemTime,
    /// The rule that refused it.
    pub rule: &'static str,
    /// The door.
    pub listener: Box<str>,
    /// The client.
    pub client: IpAddr,
    /// Its first bytes, with what could be a secret masked.
    pub head: Box<[u8]>,
}

/// Heads that are kept.
const HEADS: usize = 64;

/// Heads that are taken in a second: a flood does not wash everything else away at once.
const A_SECOND: u32 = 8;

impl Default for Security {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            attempts: Default::default(),
            heads: Mutex::default(),
        }
    }
}

impl Security {
    /// Looks whether a refusal was an attempt at something.
    pub(crate) fn refused(&self, info: &ConnInfo, rule: &'static str) {
        if let Some(attempt) = Attempt::of_rule(rule) {
            self.tell(attempt, info, rule);
        }
    }

    /// Tells of an attempt.
    pub(crate) fn tell(&self, attempt: Attempt, info: &ConnInfo, rule: &'static str) {
        if let Some(count) = self.count(attempt, 1) {
            tracing::info!(
                target: "security",
                attempt = attempt.as_str(),
                rule,
                listener = &*info.door.spec().name,
                client = %info.client.ip(),
                peer = %info.peer.ip(),
                count,
                "security: {} refused",
                attempt.as_str()
            );
        }
    }

    /// Tickets that were misused, as far as they were counted elsewhere.
    pub(crate) fn tickets_misused(&self, more: u64) {
        if let Some(count) = self.count(Attempt::Ticket, more) {
            let attempt = Attempt::Ticket.as_str();
            tracing::info!(
                target: "security",
                attempt,
                rule = "TL-23",
                count,
                "security: {attempt} refused"
            );
        }
    }

    /// Counts; the number so far, if it is time for a line.
    fn count(&self, attempt: Attempt, more: u64) -> Option<u64> {
        let attempts = self.attempts.get(attempt as usize)?;
        let count = attempts.total.fetch_add(more, Ordering::Relaxed) + more;
        let second = self.started.elapsed().as_secs() + 1;
        (attempts.said.swap(second, Ordering::Relaxed) != second).then_some(count)
    }

    /// Attempts so far, by kind.
    pub fn attempts(&self) -> [(Attempt, u64); Attempt::ALL.len()] {
        Attempt::ALL.map(|attempt| {
            let attempts = self.attempts.get(attempt as usize);
            let total = attempts.map_or(0, |attempts| attempts.total.load(Ordering::Relaxed));
            (attempt, total)
        })
    }

    /// Keeps a head that the gate refused.
    pub(crate) fn keep_head(&self, info: &ConnInfo, rule: &'static str, head: &[u8]) {
        let second = self.started.elapsed().as_secs();
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if heads.second != second {
            heads.second = second;
            heads.in_second = 0;
        }
        heads.in_second += 1;
        if heads.in_second > A_SECOND {
            return;
        }
        if heads.kept.len() >= HEADS {
            heads.kept.pop_front();
        }
        heads.kept.push_back(RefusedHead {
            at: SystemTime::now(),
            rule,
            listener: info.door.spec().name.as_ref().into(),
            client: info.client.ip(),
            head: masked(head).into(),
        });
    }

    /// The heads that were refused last, the newest first.
    pub fn heads(&self) -> Vec<RefusedHead> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.kept.iter().rev().cloned().collect()
    }
}

/// Fields whose values say how a message is framed and handled, and nothing of anybody.
const SHOWN: [&[u8]; 14] = [
    b"accept",
    b"accept-encoding",
    b"connection",
    b"content-length",
    b"content-type",
    b"expect",
    b"host",
    b"keep-alive",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"user-agent",
    b"via",
];

/// The first bytes of a head, with values masked that could be secret. A bare CR or LF ends a line
/// here too, and a line that continues another is masked as that one is: what cannot be told apart is
/// not shown.
fn masked(head: &[u8]) -> Vec<u8> {
    const MOST: usize = 2048;
    let cut = head.get(..MOST).unwrap_or(head);
    let mut out = Vec::with_capacity(cut.len());
    let mut shown = true;
    for (number, line) in cut
        .split_inclusive(|byte| matches!(byte, b'\r' | b'\n'))
        .enumerate()
    {
        let end = line
            .iter()
            .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
            .map_or(0, |last| last + 1);
        let (line, ending) = line.split_at_checked(end).unwrap_or((line, b""));
        let colon = memchr::memchr(b':', line);
        let continues = line
            .first()
            .is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        match (number, colon) {
            (0, _) => mask_target(line, &mut out),
            // Between a CR and its LF.
            (_, _) if line.is_empty() => {}
            (_, _) if continues && shown => out.extend_from_slice(line),
            (_, Some(colon)) if !continues => {
                let (name, value) = line.split_at_checked(colon + 1).unwrap_or((line, b""));
                shown = is_shown(name);
                out.extend_from_slice(name);
                mask_value(value, shown, &mut out);
            }
            _ => {
                shown = false;
                mask_value(line, false, &mut out);
            }
        }
        out.extend_from_slice(ending);
    }
    out
}

fn is_shown(name: &[u8]) -> bool {
    let name = name.strip_suffix(b":").unwrap_or(name).trim_ascii();
    SHOWN.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn mask_value(value: &[u8], shown: bool, out: &mut Vec<u8>) {
    if shown || value.is_empty() {
        out.extend_from_slice(value);
    } else {
        out.extend_from_slice(format!("<{} bytes>", value.len()).as_bytes());
    }
}

/// A request line without the values of its query, and without a user in its target. What begins
/// like a field is none.
fn mask_target(line: &[u8], out: &mut Vec<u8>) {
    let colon = memchr::memchr(b':', line);
    let spoken = memchr::memchr2(b' ', b'/', line);
    if let Some(colon) = colon.filter(|colon| spoken.is_none_or(|spoken| *colon < spoken)) {
        let (name, value) = line.split_at_checked(colon + 1).unwrap_or((line, b""));
        out.extend_from_slice(name);
        return mask_value(value, false, out);
    }
    let (path, query) = match memchr::memchr(b'?', line) {
        Some(at) => line.split_at_checked(at).unwrap_or((line, b"")),
        None => (line, &b""[..]),
    };
    match memchr::memchr(b'@', path) {
        Some(at) => {
            out.extend_from_slice(b"<masked>");
            out.extend_from_slice(path.get(at..).unwrap_or_default());
        }
        None => out.extend_from_slice(path),
    }
    let mut is_value = false;
    for byte in query {
        match byte {
            b'=' if !is_value => {
                is_value = true;
                out.extend_from_slice(b"=<masked>");
            }
            b'&' | b';' | b' ' => {
                is_value = false;
                out.push(*byte);
            }
            _ if is_value => {}
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_refused_head_are_not_kept() {
        for (head, kept) in [
            (
                "GET /a?token=secret&x HTTP/1.1\r\n",
                "GET /a?token=<masked>&x HTTP/1.1\r\n",
            ),
            (
                "GET http://u:secret@h/ HTTP/1.1\r\n",
                "<masked>@h/ HTTP/1.1\r\n",
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nA : secret\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\nA :<7 bytes>\r\n",
            ),
            ("G\r\nCookie: a=secret\r\n", "G\r\nCookie:<9 bytes>\r\n"),
            (
                "G\r\nHost: a\rAuthorization: secret\r\n",
                "G\r\nHost: a\rAuthorization:<7 bytes>\r\n",
            ),
            (
                "G\r\nHost: a\nAuthorization: secret\r\n",
                "G\r\nHost: a\nAuthorization:<7 bytes>\r\n",
            ),
            (
                "G\r\nCookie: a\r\n secret: b\r\n",
                "G\r\nCookie:<2 bytes>\r\n<10 bytes>\r\n",
            ),
            (
                "G\r\nTransfer-Encoding:\r\n chunked\r\n",
                "G\r\nTransfer-Encoding:\r\n chunked\r\n",
            ),
            ("Authorization: secret\r\n", "Authorization:<7 bytes>\r\n"),
            ("G\r\nsecret\r\n", "G\r\n<6 bytes>\r\n"),
            (
                "G\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
                "G\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
            ),
        ] {
            let found = String::from_utf8(masked(head.as_bytes())).unwrap();
            assert_eq!(found, kept);
        }
        assert_eq!(masked(&[b'a'; 5000]).len(), 2048);
    }

    #[test]
    fn attempts_are_told_once_a_second_with_their_number() {
        let security = Security::default();
        let lines: Vec<u64> = (0..100)
            .filter_map(|_| security.count(Attempt::Desync, 1))
            .collect();
        assert!(lines.first() == Some(&1) && lines.len() <= 2, "{lines:?}");
        assert_eq!(security.attempts()[0], (Attempt::Desync, 100));
        for (rule, attempt) in [
            ("D-10", Some(Attempt::Desync)),
            ("D-84", None),
            ("H-12", Some(Attempt::SpoofedField)),
            ("P-02", Some(Attempt::UntrustedProxy)),
            ("P-05", None),
            ("E-02", None),
            ("E-from", Some(Attempt::Exposure)),
            ("listener-lists", None),
            ("L-81", None),
        ] {
            assert_eq!(Attempt::of_rule(rule), attempt, "{rule}");
        }
    }
}
