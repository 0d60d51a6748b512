//! Comparing a password with its hash. Slow on purpose, but for the schemes that are cheap.
//!
//! What is compared is compared in constant time.

use adit_route::policy::HashScheme;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha_crypt::{PasswordHashRef, PasswordVerifier as _, ShaCrypt};
use sha1::{Digest as _, Sha1};

/// Whether the password is the one of the hash, whose scheme is `scheme`.
pub(super) fn matches(scheme: HashScheme, hash: &str, password: &[u8]) -> bool {
    match scheme {
        HashScheme::Bcrypt => bcrypt::verify(password, hash).unwrap_or(false),
        HashScheme::Apr1 => md5_crypt(hash, "$apr1$", password),
        HashScheme::Md5Crypt => md5_crypt(hash, "$1$", password),
        HashScheme::ShaCrypt => PasswordHashRef::new(hash)
            .is_ok_and(|hash| ShaCrypt::default().verify_password(password, hash).is_ok()),
        HashScheme::Sha1 => sha1(hash.strip_prefix("{SHA}"), password),
        HashScheme::SaltedSha1 => sha1(hash.strip_prefix("{SSHA}"), password),
        HashScheme::Plain => hash.strip_prefix("{PLAIN}").is_some_and(|plain| {
            // Digests have one length, so not even the length of the password is told.
            equal(&Sha1::digest(plain.as_bytes()), &Sha1::digest(password))
        }),
    }
}

fn equal(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

/// SHA-1 of the password and a salt, which follows the sum; it may be empty.
fn sha1(encoded: Option<&str>, password: &[u8]) -> bool {
    const SUM: usize = 20;
    let Some(Ok(decoded)) = encoded.map(|encoded| STANDARD.decode(encoded)) else {
        return false;
    };
    let Some((sum, salt)) = decoded.split_at_checked(SUM) else {
        return false;
    };
    let mut hasher = Sha1::new();
    hasher.update(password);
    hasher.update(salt);
    equal(&hasher.finalize(), sum)
}

fn md5_crypt(hash: &str, magic: &str, password: &[u8]) -> bool {
    let parts = hash
        .strip_prefix(magic)
        .and_then(|rest| rest.split_once('$'));
    let Some((salt, sum)) = parts else {
        return false;
    };
    let found = encode(&stretch(password, salt.as_bytes(), magic.as_bytes()));
    equal(&found, sum.as_bytes())
}

/// The thousand rounds of MD5 that crypt(3) calls `$1$`.
fn stretch(password: &[u8], salt: &[u8], magic: &[u8]) -> [u8; 16] {
    const ROUNDS: usize = 1000;
    let sum = |parts: &[&[u8]]| -> [u8; 16] {
        let mut hasher = Md5::new();
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize().into()
    };
    let inner = sum(&[password, salt, password]);
    let mut hasher = Md5::new();
    for part in [password, magic, salt] {
        hasher.update(part);
    }
    for piece in password.chunks(inner.len()) {
        hasher.update(inner.get(..piece.len()).unwrap_or(&inner));
    }
    let first = password.get(..1).unwrap_or_default();
    let mut bits = password.len();
    while bits > 0 {
        hasher.update(if bits & 1 == 1 { &[0] } else { first });
        bits >>= 1;
    }
    let mut last: [u8; 16] = hasher.finalize().into();
    for round in 0..ROUNDS {
        let odd = round % 2 == 1;
        let (front, back): (&[u8], &[u8]) = if odd {
            (password, &last)
        } else {
            (&last, password)
        };
        let salt = if round % 3 == 0 { &[][..] } else { salt };
        let again = if round % 7 == 0 { &[][..] } else { password };
        last = sum(&[front, salt, again, back]);
    }
    last
}

/// The sum in the alphabet of crypt(3), in its peculiar order of bytes.
fn encode(sum: &[u8; 16]) -> [u8; 22] {
    const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let byte = |at: usize| u32::from(sum.get(at).copied().unwrap_or_default());
    let groups = ORDER.map(|[high, middle, low]| byte(high) << 16 | byte(middle) << 8 | byte(low));
    let letters = groups.into_iter().map(|group| (group, 4));
    let letters = letters.chain([(byte(11), 2)]).flat_map(|(group, count)| {
        (0..count).map(move |place| (group >> (6 * place)) as usize & 63)
    });
    let mut text = [b'.'; 22];
    for (place, letter) in text.iter_mut().zip(letters) {
        *place = LETTERS.get(letter).copied().unwrap_or(b'.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `htpasswd`, `openssl passwd` and crypt(3).
    #[test]
    fn every_scheme_knows_its_password_and_no_other() {
        for (hash, password) in HASHES {
            let scheme = HashScheme::of(hash).unwrap();
            assert!(matches(scheme, hash, password.as_bytes()), "{hash}");
            for wrong in ["", "x", &password[1..], &format!("{password}x")] {
                assert!(!matches(scheme, hash, wrong.as_bytes()), "{hash} {wrong}");
            }
        }
    }

    const PASSWORD: &str = "correct horse";
    const HASHES: [(&str, &str); 12] = [
        ("$apr1$r31TbsR.$Wdu7QVbICuLJYkPqRAb0V1", PASSWORD),
        (
            "$apr1$ab$b6Ckx5gDKT/PLW2CBmYQN1",
            "a password that is longer than one block of md5",
        ),
        ("$1$5RPVAd.p$7Nb4YnrxRF.BNJD1QBKTI.", PASSWORD),
        (
            "$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",
            PASSWORD,
        ),
        (
            "$5$rounds=1200$s$85sh0xFc2UG.L/lYPZ8ZcHIyNXvJwVj.kyaG69tdxO9",
            PASSWORD,
        ),
        (
            "$6$saltstring$.r0X7ub5wGR2v4Xz7svCIozfnlorFh19V89t8KC9Umd81uGhFgsyTRNyzQDXDIm17fFcR9z3z7oBNdsyYBbtm/",
            PASSWORD,
        ),
        (
            "$6$rounds=1400$anotherlongsalts$BIJq9mRCZh1kev4gsEFy0R5hLBKgZM.fwvpxgy31e6bRJqRdXTpSE8TJFJysi3GwDPeX9bz4aZklq669D26ai0",
            PASSWORD,
        ),
        (
            "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
            PASSWORD,
        ),
        (
            "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
            PASSWORD,
        ),
        ("{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", PASSWORD),
        ("{SSHA}OgwV7wMWJ4ppKwYI2x6RXWEGXsIBc2FsdHNhbHQ=", PASSWORD),
        ("{PLAIN}correct horse", PASSWORD),
    ];
}
