//! Expressions over paths and values, each with the text that it was written as.
//!
//! An expression runs in linear time wherever its text allows. Look-around and back-references,
//! which ingress-nginx users may write, need an engine that goes back; its steps are bounded, and
//! a text on which the bound is reached counts as no match (RGX-06). What must stay true: no text
//! that a client sends makes a search take longer than the bound.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use regex::bytes::{Regex, RegexBuilder};
use smallvec::SmallVec;

/// Steps back that one search may take.
const MAX_STEPS_BACK: usize = 20_000;
/// Bytes that a compiled expression may take.
const MAX_SIZE: usize = 1024 * 1024;

/// An expression.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    syntax: Syntax,
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Linear(Regex),
    Backtracking(Arc<fancy_regex::Regex>),
}

/// How the text of an expression is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syntax {
    /// Found at the beginning of a value only.
    pub anchored: bool,
    /// Capital letters are small letters, those of ASCII.
    pub ignore_case: bool,
    /// Look-around and back-references may be written.
    pub backtracking: bool,
}

impl Syntax {
    /// A path in the strict profile.
    pub const STRICT_PATH: Self = Self {
        anchored: true,
        ignore_case: false,
        backtracking: false,
    };
    /// A path in the nginx profile (RGX-01).
    pub const NGINX_PATH: Self = Self {
        anchored: true,
        ignore_case: true,
        backtracking: true,
    };
    /// What a rewrite of the nginx profile looks for, anywhere in the path (REW-02).
    pub const NGINX_REWRITE: Self = Self {
        anchored: false,
        ignore_case: true,
        backtracking: true,
    };
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong with it.
    pub reason: String,
    /// Whether an engine that goes back could read it.
    pub needs_backtracking: bool,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for PatternError {}

/// What the groups of an expression found.
#[derive(Clone, Debug)]
pub struct Groups<'t> {
    text: &'t str,
    /// Beginning and end of each group that took part.
    spans: SmallVec<[Option<(usize, usize)>; 10]>,
}

impl<'t> Groups<'t> {
    /// What a group found; 0 is the whole match. A group that took no part found nothing.
    pub fn group(&self, number: usize) -> &'t str {
        let span = self.spans.get(number).copied().flatten();
        span.and_then(|(start, end)| self.text.get(start..end))
            .unwrap_or_default()
    }
}

static EXCEEDED: AtomicU64 = AtomicU64::new(0);

/// How many searches of this process have reached the bound and counted as no match.
pub fn searches_given_up() -> u64 {
    EXCEEDED.load(Ordering::Relaxed)
}

impl Pattern {
    /// Compiles a text.
    pub fn compile(text: &str, syntax: Syntax) -> Result<Self, PatternError> {
        let flags = if syntax.ignore_case { "(?i)" } else { "" };
        let start = if syntax.anchored { "^" } else { "" };
        // In a group of its own, so that the anchor holds for every alternative.
        let whole = match (syntax.anchored, text.contains('|')) {
            (true, true) => format!("{flags}{start}(?:{text})"),
            _ => format!("{flags}{start}{text}"),
        };
        // Over bytes, as nginx has it: what is not ASCII comes escaped. A text that needs Unicode
        // gets it; reading every text so would make large files slow to load.
        let read = |text: &str, unicode| {
            let mut builder = RegexBuilder::new(text);
            builder.size_limit(MAX_SIZE).unicode(unicode).build()
        };
        let linear = |text: &str| read(text, false).or_else(|_| read(text, true));
        let backtracking = |text: &str| {
            fancy_regex::RegexBuilder::new(text)
                .backtrack_limit(MAX_STEPS_BACK)
                .delegate_size_limit(MAX_SIZE)
                .build()
        };
        let engine = match linear(&whole) {
            Ok(regex) => Engine::Linear(regex),
            Err(error) => match backtracking(&whole) {
                Ok(regex) if syntax.backtracking => Engine::Backtracking(Arc::new(regex)),
                other => {
                    // What was written is what the message should show.
                    let error = linear(text).err().unwrap_or(error);
                    return Err(PatternError {
                        reason: reason(&error),
                        needs_backtracking: other.is_ok(),
                    });
                }
            },
        };
        Ok(Self {
            text: text.into(),
            syntax,
            engine,
        })
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How the text is read.
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// Whether the expression finds something.
    pub fn is_match(&self, value: &str) -> bool {
        match &self.engine {
            Engine::Linear(regex) => regex.is_match(value.as_bytes()),
            Engine::Backtracking(regex) => bounded(regex.is_match(value)).unwrap_or(false),
        }
    }

    /// What its groups find.
    pub fn groups<'t>(&self, value: &'t str) -> Option<Groups<'t>> {
        let spans = match &self.engine {
            Engine::Linear(regex) => {
                let found = regex.captures(value.as_bytes())?;
                let span = |found: regex::bytes::Match<'_>| (found.start(), found.end());
                found.iter().map(|group| group.map(span)).collect()
            }
            Engine::Backtracking(regex) => {
                let found = bounded(regex.captures(value)).flatten()?;
                let span = |found: fancy_regex::Match<'_>| (found.start(), found.end());
                found.iter().map(|group| group.map(span)).collect()
            }
        };
        Some(Groups { text: value, spans })
    }
}

/// A search that has reached the bound is counted, and found nothing.
fn bounded<T>(found: Result<T, fancy_regex::Error>) -> Option<T> {
    if found.is_err() {
        EXCEEDED.fetch_add(1, Ordering::Relaxed);
    }
    found.ok()
}

/// The last line of the message, which says what is wrong; the lines before it draw the place.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.syntax == other.syntax
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_their_profile_says() {
        let cases = [
            ("/foo", Syntax::NGINX_PATH, "/FOOBAR", true),
            ("/foo", Syntax::NGINX_PATH, "/x/foo", false),
            ("/a|/b", Syntax::NGINX_PATH, "/x/b", false),
            ("/foo", Syntax::NGINX_REWRITE, "/x/Foo", true),
            ("/foo(?!bar)", Syntax::NGINX_PATH, "/foobar", false),
            ("/foo(?!bar)", Syntax::NGINX_PATH, "/fooled", true),
            (r"/(a|b)/\1", Syntax::NGINX_PATH, "/a/a", true),
            (r"/(a|b)/\1", Syntax::NGINX_PATH, "/a/b", false),
            ("/foo", Syntax::STRICT_PATH, "/foobar", true),
            ("/foo", Syntax::STRICT_PATH, "/Foo", false),
        ];
        for (text, syntax, value, wanted) in cases {
            let pattern = Pattern::compile(text, syntax).unwrap();
            assert_eq!(pattern.is_match(value), wanted, "{text} on {value}");
            assert_eq!(pattern.groups(value).is_some(), wanted, "{text} on {value}");
            assert_eq!(pattern.as_str(), text);
        }
    }

    #[test]
    fn what_cannot_be_read_says_whether_the_other_profile_could() {
        let cases = [("/(", false), ("/(?=a)", true), (r"/(a)\1", true)];
        for (text, needs_backtracking) in cases {
            let error = Pattern::compile(text, Syntax::STRICT_PATH).unwrap_err();
            assert_eq!(error.needs_backtracking, needs_backtracking, "{text}");
        }
    }

    #[test]
    fn groups_that_took_no_part_are_empty() {
        let pattern = Pattern::compile("/something(/|$)(.*)", Syntax::NGINX_REWRITE).unwrap();
        let found = pattern.groups("/something/new").unwrap();
        assert_eq!((found.group(1), found.group(2)), ("/", "new"));
        let found = pattern.groups("/something").unwrap();
        assert_eq!((found.group(1), found.group(2)), ("", ""));
        assert_eq!(found.group(7), "");
    }

    #[test]
    fn a_search_that_goes_back_for_ever_finds_nothing() {
        let text = r"/(.*)(.*)(.*)x\1\2\3y";
        let pattern = Pattern::compile(text, Syntax::NGINX_PATH).unwrap();
        let before = searches_given_up();
        assert!(!pattern.is_match(&format!("/{}y", "ax".repeat(400))));
        assert!(searches_given_up() > before);
    }
}
