//! Users with their password hashes, as htpasswd writes them (BAS-01, BAS-02).
//!
//! Hashes are secrets: they can be attacked at leisure. Nothing here shows one, and what is wrong
//! with a file is told by the number of the line.

use std::fmt;
use std::sync::Arc;

/// Users with their password hashes, as they were read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User and hash, in the order of the file; of two with one name the first counts.
    pub users: Vec<(Arc<str>, Arc<str>)>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} users)", self.users.len())
    }
}

/// How a password was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashScheme {
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt,
    /// `$apr1$`: MD5 in the variant of Apache.
    Apr1,
    /// `$1$`: MD5.
    Md5Crypt,
    /// `$5$`, `$6$`.
    ShaCrypt,
    /// `{SHA}`.
    Sha1,
    /// `{SSHA}`.
    SaltedSha1,
    /// `{PLAIN}`.
    Plain,
}

/// Why a hash is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFault {
    /// Traditional DES crypt: 56 bits, eight characters.
    Des,
    /// A cost that would keep a processor busy for seconds with each request.
    TooExpensive,
    /// Anything else.
    Unknown,
}

impl fmt::Display for HashFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Des => {
                "the hash is traditional DES crypt, which looks at eight characters only and is \
                 found by trying"
            }
            Self::TooExpensive => {
                "the cost of the hash is beyond bcrypt 16 or 2000000 rounds: each attempt would \
                 keep a processor busy for seconds"
            }
            Self::Unknown => "the form of the hash is not known",
        })
    }
}

impl std::error::Error for HashFault {}

/// Why a line of a file gives no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// It is not `user:hash`.
    Form,
    /// The hash is of no use.
    Hash(HashFault),
    /// The user was there before.
    Twice,
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("it is not `user:hash`"),
            Self::Hash(fault) => fault.fmt(f),
            Self::Twice => f.write_str("the user was there before"),
        }
    }
}

impl std::error::Error for LineFault {}

const MOST_BCRYPT_COST: u32 = 16;
const MOST_ROUNDS: u32 = 2_000_000;

impl HashScheme {
    /// The scheme of a hash, by its beginning.
    pub fn of(hash: &str) -> Result<Self, HashFault> {
        if let Some(rest) = hash.strip_prefix('$') {
            return Self::modular(hash, rest);
        }
        if let Some((name, rest)) = hash.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            return match name {
                "SHA" if !rest.is_empty() => Ok(Self::Sha1),
                "SSHA" if !rest.is_empty() => Ok(Self::SaltedSha1),
                "PLAIN" => Ok(Self::Plain),
                _ => Err(HashFault::Unknown),
            };
        }
        let des = hash.len() == 13 && hash.bytes().all(is_crypt_letter);
        Err(if des {
            HashFault::Des
        } else {
            HashFault::Unknown
        })
    }

    fn modular(hash: &str, rest: &str) -> Result<Self, HashFault> {
        let (name, rest) = rest.split_once('$').ok_or(HashFault::Unknown)?;
        match name {
            "2a" | "2b" | "2y" => {
                let cost = rest.get(..2).and_then(|cost| cost.parse::<u32>().ok());
                match cost {
                    Some(4..=MOST_BCRYPT_COST) if hash.len() == 60 => Ok(Self::Bcrypt),
                    Some(17..=31) if hash.len() == 60 => Err(HashFault::TooExpensive),
                    _ => Err(HashFault::Unknown),
                }
            }
            "apr1" | "1" => {
                let (salt, sum) = rest.split_once('$').ok_or(HashFault::Unknown)?;
                let good = salt.len() <= 8 && sum.len() == 22 && sum.bytes().all(is_crypt_letter);
                match (good, name) {
                    (true, "1") => Ok(Self::Md5Crypt),
                    (true, _) => Ok(Self::Apr1),
                    (false, _) => Err(HashFault::Unknown),
                }
            }
            "5" | "6" => Self::sha_crypt(name, rest),
            _ => Err(HashFault::Unknown),
        }
    }

    fn sha_crypt(name: &str, rest: &str) -> Result<Self, HashFault> {
        let mut parts = rest.split('$');
        let mut salt = parts.next().unwrap_or_default();
        if let Some(rounds) = salt.strip_prefix("rounds=") {
            match rounds.parse::<u32>() {
                Ok(1000..=MOST_ROUNDS) => {}
                Ok(0..1000) | Err(_) => return Err(HashFault::Unknown),
                Ok(_) => return Err(HashFault::TooExpensive),
            }
            salt = parts.next().unwrap_or_default();
        }
        let sum = parts.next().unwrap_or_default();
        let length = if name == "5" { 43 } else { 86 };
        let good = salt.len() <= 16
            && sum.len() == length
            && sum.bytes().all(is_crypt_letter)
            && parts.next().is_none();
        good.then_some(Self::ShaCrypt).ok_or(HashFault::Unknown)
    }

    /// Whether a check takes so little that it need not be kept off the event loop.
    pub fn is_cheap(self) -> bool {
        matches!(self, Self::Sha1 | Self::SaltedSha1 | Self::Plain)
    }
}

fn is_crypt_letter(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'/')
}

impl Credentials {
    /// Reads `user:hash` lines; a further `:` begins a comment. Blank lines and lines that begin
    /// with `#` are skipped. Lines that are wrong give no user, and are told by their number.
    pub fn from_htpasswd(text: &str) -> (Self, Vec<(usize, LineFault)>) {
        let mut read = Self::default();
        let mut faults = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end_matches('\r');
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let added = match line.split_once(':') {
                Some((user, rest)) if !user.is_empty() => {
                    // `{PLAIN}` is the one form in which a colon could be meant.
                    read.add(user, rest.split(':').next().unwrap_or_default())
                }
                _ => Err(LineFault::Form),
            };
            if let Err(fault) = added {
                faults.push((number, fault));
            }
        }
        (read, faults)
    }

    /// Adds a user with what stands in a file of its own.
    pub fn add(&mut self, user: &str, hash: &str) -> Result<(), LineFault> {
        let hash = hash.trim();
        HashScheme::of(hash).map_err(LineFault::Hash)?;
        if self.users.iter().any(|(known, _)| &**known == user) {
            return Err(LineFault::Twice);
        }
        self.users.push((user.into(), hash.into()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_apart_by_their_beginning() {
        let sum22 = "x".repeat(22);
        let sum86 = "x".repeat(86);
        let bcrypt = format!("$2y$10${}", "x".repeat(53));
        for (hash, expected) in [
            (bcrypt.clone(), Ok(HashScheme::Bcrypt)),
            (bcrypt.replace("$10$", "$17$"), Err(HashFault::TooExpensive)),
            (bcrypt.replace("$10$", "$3x$"), Err(HashFault::Unknown)),
            (format!("$apr1$salt${sum22}"), Ok(HashScheme::Apr1)),
            (format!("$1$salt${sum22}"), Ok(HashScheme::Md5Crypt)),
            (format!("$1$overlong9${sum22}"), Err(HashFault::Unknown)),
            (format!("$6$salt${sum86}"), Ok(HashScheme::ShaCrypt)),
            (
                format!("$6$rounds=5000$salt${sum86}"),
                Ok(HashScheme::ShaCrypt),
            ),
            (
                format!("$6$rounds=9000000$s${sum86}"),
                Err(HashFault::TooExpensive),
            ),
            (format!("$5$salt${sum86}"), Err(HashFault::Unknown)),
            ("{SHA}abc=".to_owned(), Ok(HashScheme::Sha1)),
            ("{SSHA}abc=".to_owned(), Ok(HashScheme::SaltedSha1)),
            ("{PLAIN}secret".to_owned(), Ok(HashScheme::Plain)),
            ("{MD5}abc".to_owned(), Err(HashFault::Unknown)),
            ("rqXexS6ZhobKA".to_owned(), Err(HashFault::Des)),
            ("secret".to_owned(), Err(HashFault::Unknown)),
            (String::new(), Err(HashFault::Unknown)),
        ] {
            assert_eq!(HashScheme::of(&hash), expected, "{hash}");
        }
    }

    #[test]
    fn a_wrong_line_gives_no_user_and_is_told_by_its_number() {
        let text = "# team\n\nanna:{SHA}abc=:Anna of sales\r\nbert\n:x\nanna:{SHA}other=\n\
                    carl:rqXexS6ZhobKA\ndora:{PLAIN}\n";
        let (read, faults) = Credentials::from_htpasswd(text);
        let users: Vec<_> = read.users.iter().map(|(user, _)| &**user).collect();
        assert_eq!(users, ["anna", "dora"]);
        assert_eq!(&*read.users[0].1, "{SHA}abc=");
        let expected = [
            (4, LineFault::Form),
            (5, LineFault::Form),
            (6, LineFault::Twice),
            (7, LineFault::Hash(HashFault::Des)),
        ];
        assert_eq!(faults, expected);
        assert_eq!(format!("{read:?}"), "Credentials(2 users)");
    }
}
