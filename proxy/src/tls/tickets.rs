//! Session tickets: three generations of one secret, and a key of its own for every host.
//!
//! A ticket lets a client come back without a full handshake, and whoever holds its key can read
//! what the ticket resumes. So keys live a day (TL-24), are wiped when they go, and are derived per
//! TLS policy and server name (TL-23): a ticket that host A gave is noise to host B, whatever the
//! TLS library compares. Nothing is stored per session.
//!
//! A ticket is `id of the secret (8) ‖ nonce (12) ‖ AES-256-GCM(session)`, the id being
//! authenticated too.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use super::error::TlsError;

/// How often the secrets move on. A ticket is accepted for one to two such spans (TL-24).
pub const ROTATION: Duration = Duration::from_hours(12);
/// What clients are told: RFC 8446 §4.6.1 lets them try no longer than this.
const LIFETIME: Duration = Duration::from_hours(24);

const SECRET_LEN: usize = 32;
const ID_LEN: usize = 8;
/// Version byte, start of the current generation, previous, current, next.
const EXPORT_LEN: usize = 1 + 8 + 3 * SECRET_LEN;
const EXPORT_VERSION: u8 = 1;

/// The secrets of all hosts, shared by all workers and kept over reloads.
pub struct TicketSecrets {
    generations: ArcSwap<Generations>,
    /// Tickets under a secret of ours that did not open: made for another host, or altered.
    misused: AtomicU64,
}

/// What is accepted; `current` also seals. `next` is known one rotation ahead, so that a replica
/// that turned a little earlier is understood.
struct Generations {
    since: SystemTime,
    previous: Arc<Secret>,
    current: Arc<Secret>,
    next: Arc<Secret>,
}

struct Secret {
    bytes: Zeroizing<[u8; SECRET_LEN]>,
    id: [u8; ID_LEN],
}

impl TicketSecrets {
    /// New random secrets, the current one counting from `now`.
    pub fn generate(now: SystemTime) -> Result<Self, TlsError> {
        let generations = Generations {
            since: now,
            previous: Secret::random()?,
            current: Secret::random()?,
            next: Secret::random()?,
        };
        Ok(Self {
            misused: AtomicU64::new(0),
            generations: ArcSwap::from_pointee(generations),
        })
    }

    /// The secrets of another process, or of an earlier run of this one. Spans that have passed
    /// since then are made up for.
    pub fn import(exported: &[u8], now: SystemTime) -> Result<Self, TlsError> {
        let generations = Generations::import(exported)?;
        let secrets = Self {
            misused: AtomicU64::new(0),
            generations: ArcSwap::from_pointee(generations),
        };
        secrets.rotate(now)?;
        Ok(secrets)
    }

    /// What [`import`](Self::import) reads. Whoever has this reads resumed sessions: it belongs in
    /// a file of mode 0600 or on a socket to our own successor, and nowhere else.
    pub fn export(&self) -> Zeroizing<Vec<u8>> {
        let generations = self.generations.load();
        let since = generations
            .since
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut bytes = Zeroizing::new(Vec::with_capacity(EXPORT_LEN));
        bytes.push(EXPORT_VERSION);
        bytes.extend_from_slice(&since.to_be_bytes());
        for secret in [
            &generations.previous,
            &generations.current,
            &generations.next,
        ] {
            bytes.extend_from_slice(secret.bytes.as_slice());
        }
        bytes
    }

    /// Moves on by the spans that have passed. Control calls it on a timer; `true` says that there
    /// is something new to save.
    pub fn rotate(&self, now: SystemTime) -> Result<bool, TlsError> {
        let held = self.generations.load();
        let elapsed = now.duration_since(held.since).unwrap_or_else(|ahead| {
            // A clock that was wrong by more than a span would freeze the secrets until it is
            // right again; a small step back is nobody's business.
            if ahead.duration() > ROTATION {
                ROTATION * FORGET_AFTER
            } else {
                Duration::ZERO
            }
        });
        let spans = elapsed.as_secs() / ROTATION.as_secs();
        if spans == 0 {
            return Ok(false);
        }
        let mut moved = held.next_span()?;
        // Three spans later nothing of the old is left.
        for _ in 1..spans.min(u64::from(FORGET_AFTER)) {
            moved = moved.next_span()?;
        }
        // Whole spans, so that replicas with one secret stay in step.
        let ahead = ROTATION * u32::try_from(spans).unwrap_or(u32::MAX);
        moved.since = held
            .since
            .checked_add(ahead)
            .filter(|since| *since <= now)
            .unwrap_or(now);
        self.generations.store(Arc::new(moved));
        Ok(true)
    }

    /// When [`rotate`](Self::rotate) is due.
    pub fn next_rotation(&self) -> SystemTime {
        self.generations.load().since + ROTATION
    }

    /// Tickets so far that were made for another host, or altered.
    pub fn misused(&self) -> u64 {
        self.misused.load(Ordering::Relaxed)
    }

    /// The tickets of one server name under one policy.
    pub(super) fn for_host(self: &Arc<Self>, policy: &[u8; 32], host: &str) -> HostTickets {
        let mut scope = Vec::with_capacity(LABEL.len() + policy.len() + host.len());
        scope.extend_from_slice(LABEL);
        // Fixed length, so that no (policy, host) reads like another.
        scope.extend_from_slice(policy);
        scope.extend_from_slice(host.as_bytes());
        HostTickets {
            secrets: Arc::clone(self),
            scope: scope.into_boxed_slice(),
        }
    }
}

const FORGET_AFTER: u32 = 3;
const LABEL: &[u8] = b"adit ticket key 1";

impl fmt::Debug for TicketSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketSecrets").finish_non_exhaustive()
    }
}

impl Generations {
    fn import(exported: &[u8]) -> Result<Self, TlsError> {
        let (version, rest) = exported.split_first().ok_or(TlsError::TicketKeys)?;
        let (since, secrets) = rest.split_first_chunk::<8>().ok_or(TlsError::TicketKeys)?;
        let (chunks, []) = secrets.as_chunks::<SECRET_LEN>() else {
            return Err(TlsError::TicketKeys);
        };
        let [previous, current, next] = chunks else {
            return Err(TlsError::TicketKeys);
        };
        let since = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(u64::from_be_bytes(*since)))
            .ok_or(TlsError::TicketKeys)?;
        if *version != EXPORT_VERSION {
            return Err(TlsError::TicketKeys);
        }
        Ok(Self {
            since,
            previous: Secret::new(previous)?,
            current: Secret::new(current)?,
            next: Secret::new(next)?,
        })
    }

    fn next_span(&self) -> Result<Self, TlsError> {
        Ok(Self {
            since: self.since,
            previous: Arc::clone(&self.current),
            current: Arc::clone(&self.next),
            next: Secret::random()?,
        })
    }

    fn by_id(&self, id: [u8; ID_LEN]) -> Option<&Secret> {
        [&self.current, &self.previous, &self.next]
            .into_iter()
            .find(|secret| secret.id == id)
            .map(Arc::as_ref)
    }
}

impl Secret {
    fn random() -> Result<Arc<Self>, TlsError> {
        let mut bytes = Zeroizing::new([0; SECRET_LEN]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| TlsError::NoRandomness)?;
        Self::new(&bytes)
    }

    fn new(bytes: &[u8; SECRET_LEN]) -> Result<Arc<Self>, TlsError> {
        let mut id = [0; ID_LEN];
        expand(bytes, b"adit ticket secret id 1", &mut id).ok_or(TlsError::TicketKeys)?;
        Ok(Arc::new(Self {
            bytes: Zeroizing::new(*bytes),
            id,
        }))
    }

    /// One HMAC and one AES key schedule: about a hundredth of a handshake, which is cheaper than
    /// holding a key for every host of a large installation.
    fn key(&self, scope: &[u8]) -> Option<LessSafeKey> {
        let mut key = Zeroizing::new([0; SECRET_LEN]);
        expand(&self.bytes, scope, key.as_mut_slice())?;
        UnboundKey::new(&AES_256_GCM, key.as_slice())
            .ok()
            .map(LessSafeKey::new)
    }
}

/// HKDF-Expand (RFC 5869 §2.3); the secret is uniform, so there is nothing to extract.
fn expand(secret: &[u8; SECRET_LEN], info: &[u8], out: &mut [u8]) -> Option<()> {
    struct Length(usize);
    impl aws_lc_rs::hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let prk = Prk::new_less_safe(HKDF_SHA256, secret);
    prk.expand(&[info], Length(out.len())).ok()?.fill(out).ok()
}

/// Seals and opens the tickets of one host; what rustls asks.
pub(super) struct HostTickets {
    secrets: Arc<TicketSecrets>,
    scope: Box<[u8]>,
}

impl ProducesTickets for HostTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let generations = self.secrets.generations.load();
        let secret = &generations.current;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;

        let key = secret.key(&self.scope)?;
        let mut ticket =
            Vec::with_capacity(ID_LEN + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&secret.id);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let (_, sealed) = ticket.split_at_mut_checked(ID_LEN + NONCE_LEN)?;
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(secret.id),
                sealed,
            )
            .ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (id, rest) = ticket.split_first_chunk::<ID_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let generations = self.secrets.generations.load();
        let key = generations.by_id(*id)?.key(&self.scope)?;
        let mut plain = sealed.to_vec();
        let length = key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(*id),
                &mut plain,
            )
            .inspect_err(|_| {
                self.secrets.misused.fetch_add(1, Ordering::Relaxed);
            })
            .ok()?
            .len();
        plain.truncate(length);
        Some(plain)
    }
}

impl fmt::Debug for HostTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTickets").finish_non_exhaustive()
    }
}
