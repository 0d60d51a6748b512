//! What control said last, and since when it is so.
//!
//! Control replaces the whole statement each time it has something to say. How long a generation
//! has been served, and how long a configuration has been refused, is worked out here, by comparing
//! with the statement before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use adit_proxy::snapshot::Snapshot;
use arc_swap::ArcSwap;

use crate::config::Config;

/// How far the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Serving,
    Draining,
}

impl Phase {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// What control knows at the moment; replaced whole.
pub(crate) struct Status {
    pub phase: Phase,
    /// Why the newest configuration was refused, if it was.
    pub config_error: Option<String>,
    /// Problems that do not stop serving, such as a certificate that kept its last good content.
    pub degraded: Vec<String>,
    /// When this was said: the time of publication when the generation is a new one.
    pub published: SystemTime,
    pub snapshot: Option<Arc<Snapshot>>,
    pub config: Option<Arc<Config>>,
    pub addresses: Vec<(Arc<str>, Vec<SocketAddr>)>,
}

impl Status {
    pub(super) fn generation(&self) -> u64 {
        self.snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.generation)
    }
}

/// A statement together with the times that follow from those before it.
pub(super) struct Standing {
    pub status: Arc<Status>,
    /// When the served generation was published.
    pub published: SystemTime,
    /// Since when the newest configuration is refused.
    pub refused: Option<SystemTime>,
}

/// The newest statement.
pub(crate) struct StatusCell(ArcSwap<Standing>);

impl Default for StatusCell {
    fn default() -> Self {
        let now = SystemTime::now();
        let status = Status {
            phase: Phase::Starting,
            config_error: None,
            degraded: Vec::new(),
            published: now,
            snapshot: None,
            config: None,
            addresses: Vec::new(),
        };
        Self(ArcSwap::from_pointee(Standing {
            status: Arc::new(status),
            published: now,
            refused: None,
        }))
    }
}

impl StatusCell {
    /// What was said last.
    pub(crate) fn load(&self) -> Arc<Status> {
        Arc::clone(&self.0.load().status)
    }

    /// Says something new. Only control does.
    pub(crate) fn store(&self, status: Arc<Status>) {
        let before = self.0.load_full();
        let same_generation = before.status.generation() == status.generation();
        let refused = status.config_error.is_some();
        self.0.store(Arc::new(Standing {
            published: if same_generation {
                before.published
            } else {
                status.published
            },
            refused: refused.then(|| before.refused.unwrap_or(status.published)),
            status,
        }));
    }

    pub(super) fn standing(&self) -> Arc<Standing> {
        self.0.load_full()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_is_dated_from_its_first_statement() {
        let cell = StatusCell::default();
        let start = SystemTime::now();
        let say = |seconds, error: Option<&str>| {
            cell.store(Arc::new(Status {
                phase: Phase::Serving,
                config_error: error.map(ToOwned::to_owned),
                degraded: Vec::new(),
                published: start + Duration::from_secs(seconds),
                snapshot: None,
                config: None,
                addresses: Vec::new(),
            }));
            let refused = cell.standing().refused;
            refused.map(|since| since.duration_since(start).unwrap().as_secs())
        };
        let first = cell.standing().published;
        assert_eq!(say(1, None), None);
        assert_eq!(say(2, Some("a key is unknown")), Some(2));
        assert_eq!(say(3, Some("another key is unknown")), Some(2));
        assert_eq!(cell.standing().published, first, "nothing new is served");
        assert_eq!(say(4, None), None);
        assert_eq!(say(5, Some("a key is unknown")), Some(5));
    }
}
