//! The one crypto provider: aws-lc, with the suites and groups of TL-02 and TL-03.
//!
//! Everything that speaks TLS, to clients and to backends, takes its cryptography from here, so
//! that no second provider and no forgotten suite can slip in. The order of the lists is our
//! preference: what this processor does fastest among what is safe.

use std::sync::{Arc, OnceLock};

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};

/// The provider; made once.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        Arc::new(CryptoProvider {
            cipher_suites: suites(processor_has_aes()),
            kx_groups: GROUPS.to_vec(),
            ..aws_lc_rs::default_provider()
        })
    })
}

/// Makes the provider the one that libraries find when they ask for none. The first thing that a
/// process does; later calls change nothing.
pub fn install_provider() {
    let _ = provider().as_ref().clone().install_default();
}

/// TL-03. The hybrid group is first: a recorded connection must not be readable once there are
/// machines that break elliptic curves.
const GROUPS: [&dyn SupportedKxGroup; 4] = [
    kx_group::X25519MLKEM768,
    kx_group::X25519,
    kx_group::SECP256R1,
    kx_group::SECP384R1,
];

/// TL-02: the three AEADs of TLS 1.3, and the same three behind ECDHE in TLS 1.2.
///
/// AES-128 before AES-256: SHA-256 instead of SHA-384 in the key schedule, and ten rounds instead
/// of fourteen. Where the processor has no AES instructions (Raspberry Pi 4), ChaCha20 is several
/// times faster than either and does not leak through the cache.
fn suites(aes: bool) -> Vec<SupportedCipherSuite> {
    let with_aes = [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ];
    let with_chacha = [
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    // The order of versions does not matter: the version is settled before the suite.
    if aes {
        with_aes.into_iter().chain(with_chacha).collect()
    } else {
        with_chacha.into_iter().chain(with_aes).collect()
    }
}

#[cfg(target_arch = "x86_64")]
fn processor_has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn processor_has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn processor_has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use rustls::CipherSuite;

    use super::*;

    #[test]
    fn the_fast_cipher_of_the_processor_is_preferred() {
        for (aes, first) in [
            (true, CipherSuite::TLS13_AES_128_GCM_SHA256),
            (false, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        ] {
            let suites = suites(aes);
            assert_eq!(suites.len(), 9);
            assert_eq!(suites.first().unwrap().suite(), first);
        }
    }
}
