//! What is believed of a name, answer by answer: no sockets, no clock of its own.

use std::time::{Duration, Instant};

use crate::upstream::Found;

/// Answers are asked for again after their TTL, within these bounds.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// "No such name" is believed after so many answers in a row ...
const ABSENT_ANSWERS: u32 = 3;

/// ... over at least this time.
const ABSENT_FOR: Duration = Duration::from_secs(30);

/// Time between them, and between looks at a name that is not there.
const ABSENT_WAIT: Duration = Duration::from_secs(15);

/// Longest wait after failures: with the lookup's own timeout, recovery takes less than 30 s.
const FAILED_WAIT: Duration = Duration::from_secs(15);

/// What one lookup said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses, all of them fit to be used.
    Found { found: Vec<Found>, ttl: Duration },
    /// The server says that there are none.
    Absent,
    /// No answer, or none that can be used.
    Failed(String),
}

/// What is believed.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    found: Vec<Found>,
    /// Answers in a row that denied the name, and when the first came.
    absent: u32,
    absent_since: Option<Instant>,
    failures: u32,
}

impl Knowledge {
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// Whether what is believed is not what DNS says now.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0 || (self.absent > 0 && !self.found.is_empty())
    }

    /// Takes an answer and says when to ask again.
    pub(super) fn take(&mut self, answer: Answer, now: Instant, name: &str) -> Duration {
        match answer {
            Answer::Found { found, ttl } => {
                if self.is_failing() {
                    tracing::info!(dns.name = name, "name resolves again");
                }
                *self = Self {
                    found,
                    ..Self::default()
                };
                ttl.clamp(TTL.0, TTL.1)
            }
            Answer::Absent => {
                self.failures = 0;
                self.absent = self.absent.saturating_add(1);
                let since = *self.absent_since.get_or_insert(now);
                let long = now.saturating_duration_since(since) >= ABSENT_FOR;
                if self.absent >= ABSENT_ANSWERS && long && !self.found.is_empty() {
                    tracing::warn!(
                        dns.name = name,
                        "name is gone from DNS: its endpoints are dropped"
                    );
                    self.found.clear();
                }
                ABSENT_WAIT
            }
            Answer::Failed(error) => {
                // An answer that denies must follow one that denies.
                (self.absent, self.absent_since) = (0, None);
                if self.failures == 0 {
                    let kept = self.found.len();
                    tracing::warn!(
                        dns.name = name,
                        error,
                        endpoints = kept,
                        "name cannot be resolved: the last good answer is kept"
                    );
                }
                self.failures = self.failures.saturating_add(1);
                let doubled = 1_u64 << (self.failures - 1).min(6);
                Duration::from_secs(doubled).min(FAILED_WAIT)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str) -> Vec<Found> {
        vec![Found {
            address: address.parse().unwrap(),
            weight: 1,
        }]
    }

    fn answer(address: &str, ttl: u64) -> Answer {
        Answer::Found {
            found: found(address),
            ttl: Duration::from_secs(ttl),
        }
    }

    fn failed() -> Answer {
        Answer::Failed("SERVFAIL".into())
    }

    #[test]
    fn names_are_asked_for_again_after_their_ttl_within_bounds() {
        for (ttl, wait) in [
            (0, 1),
            (1, 1),
            (60, 60),
            (300, 300),
            (u64::from(u32::MAX), 300),
        ] {
            let taken = Knowledge::default().take(answer("192.0.2.1:80", ttl), Instant::now(), "a");
            assert_eq!(taken, Duration::from_secs(wait), "{ttl}");
        }
    }

    /// Acceptance: R-07
    #[test]
    fn a_failing_server_takes_nothing_away() {
        let mut knowledge = Knowledge::default();
        let now = Instant::now();
        knowledge.take(answer("192.0.2.1:80", 60), now, "a");
        let waits: Vec<u64> = (0..100)
            .map(|_| knowledge.take(failed(), now, "a").as_secs())
            .collect();
        assert_eq!(waits[..6], [1, 2, 4, 8, 15, 15]);
        assert!(knowledge.is_failing());
        assert_eq!(knowledge.found(), found("192.0.2.1:80"));
        knowledge.take(answer("192.0.2.2:80", 60), now, "a");
        assert!(!knowledge.is_failing());
        assert_eq!(knowledge.found(), found("192.0.2.2:80"));
    }

    /// Acceptance: R-07
    #[test]
    fn a_name_is_gone_only_after_three_denials_over_thirty_seconds() {
        let a = || answer("192.0.2.1:80", 60);
        type Case = (&'static str, Vec<(u64, Answer)>, bool);
        let cases: [Case; 6] = [
            (
                "three at once",
                vec![
                    (0, Answer::Absent),
                    (1, Answer::Absent),
                    (2, Answer::Absent),
                ],
                true,
            ),
            (
                "two, long apart",
                vec![(0, Answer::Absent), (60, Answer::Absent)],
                true,
            ),
            (
                "three, 30 s",
                vec![
                    (0, Answer::Absent),
                    (15, Answer::Absent),
                    (30, Answer::Absent),
                ],
                false,
            ),
            (
                "a failure between",
                vec![
                    (0, Answer::Absent),
                    (15, failed()),
                    (30, Answer::Absent),
                    (45, Answer::Absent),
                ],
                true,
            ),
            (
                "an address between",
                vec![
                    (0, Answer::Absent),
                    (15, a()),
                    (30, Answer::Absent),
                    (45, Answer::Absent),
                ],
                true,
            ),
            (
                "back again",
                vec![
                    (0, Answer::Absent),
                    (15, Answer::Absent),
                    (30, Answer::Absent),
                    (45, a()),
                ],
                true,
            ),
        ];
        let start = Instant::now();
        for (case, answers, kept) in cases {
            let mut knowledge = Knowledge::default();
            knowledge.take(a(), start, "a");
            for (second, answer) in answers {
                knowledge.take(answer, start + Duration::from_secs(second), "a");
            }
            assert_eq!(!knowledge.found().is_empty(), kept, "{case}");
        }
    }

    #[test]
    fn three_denials_at_the_usual_pace_are_enough() {
        let mut knowledge = Knowledge::default();
        let mut now = Instant::now();
        knowledge.take(answer("192.0.2.1:80", 60), now, "a");
        for _ in 0..3 {
            now += knowledge.take(Answer::Absent, now, "a");
        }
        assert!(knowledge.found().is_empty());
        assert!(!knowledge.is_failing());
    }
}
