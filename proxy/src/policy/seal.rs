//! Digests of what must not be kept: keyed with a secret of the process, so that a copy of the
//! memory of a cache says nothing of what it was made from.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

/// Makes digests.
pub(crate) struct Seal(hmac::Key);

/// A digest; the same for the same parts in the life of a process.
pub(crate) type Digest = [u8; 32];

impl Seal {
    /// With a fresh secret. Should the system have no randomness, nothing is the same as anything:
    /// see [`Seal::digest`].
    pub(crate) fn new() -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        key.ok().map(Self)
    }

    /// The digest of some parts, each with its length, so that moving a border changes it.
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        let tag = context.sign();
        for (byte, from) in digest.iter_mut().zip(tag.as_ref()) {
            *byte = *from;
        }
        digest
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}
