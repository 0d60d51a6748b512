//! The shape of the configuration file as data: every key with its type, default, unit, example,
//! the release that brought it, and what it does.
//!
//! One table serves four readers: the check that refuses unknown keys and wrong values, the hints
//! for what comes later, the reference page and the JSON Schema. A new key is a row here and one
//! function that reads it.

mod limits;
mod listener;
mod policies;
mod policy;
mod root;
mod route;
mod tracing;
mod upstream;

use super::scalar::Scalar;

pub(super) use limits::{Slot, rows as limit_rows};
pub(super) use policies::keys as policy_keys;
pub(super) use root::ROOT;

/// A mapping with fixed keys.
pub(super) struct Table {
    /// Unique; the heading in the reference and the definition in the JSON Schema.
    pub(super) name: &'static str,
    /// What the mapping describes.
    pub(super) doc: &'static str,
    /// Its own keys.
    pub(super) keys: &'static [Key],
    /// Tables whose keys may be written here too.
    pub(super) includes: &'static [&'static Table],
    /// Keys that are not there yet, or are written elsewhere, each with what to know about it.
    pub(super) planned: &'static [(&'static str, &'static str)],
}

impl Table {
    /// All keys that may be written.
    pub(super) fn all_keys(&self) -> impl Iterator<Item = &'static Key> + Clone {
        let included = self.includes.iter().flat_map(|table| table.keys.iter());
        self.keys.iter().chain(included)
    }

    /// The key with this name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.all_keys().find(|key| key.name == name)
    }

    /// What to know about a key that cannot be written here.
    pub(super) fn hint(&self, name: &str) -> Option<&'static str> {
        let own = self
            .planned
            .iter()
            .chain(self.includes.iter().flat_map(|table| table.planned.iter()));
        own.into_iter()
            .find(|(key, _)| *key == name)
            .map(|(_, hint)| *hint)
    }
}

/// One key of a table.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it does, as a sentence.
    pub(super) doc: &'static str,
    /// What holds if it is not written; empty if nothing does.
    pub(super) default: &'static str,
    /// A value as it may be written.
    pub(super) example: &'static str,
    /// The release that brought it.
    pub(super) since: &'static str,
    pub(super) required: bool,
}

/// A key of the first release; the rest is said by the methods.
const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        doc,
        default: "",
        example: "",
        since: "0.1.0",
        required: false,
    }
}

impl Key {
    const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

/// What may be written as a value.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Integer { min: u64, max: u64 },
    /// A duration within bounds, in milliseconds.
    Duration { min: u64, max: u64 },
    /// A size within bounds, in bytes.
    Size { min: u64, max: u64 },
    /// One of these words; where `off` is one of them, an unquoted `false` means it too.
    Word(&'static [&'static str]),
    /// A text of some form.
    Scalar(&'static Scalar),
    /// A mapping with fixed keys.
    Table(&'static Table),
    /// A mapping whose keys the operator chooses.
    Named(&'static Scalar, &'static Kind),
    /// A list, which may be empty.
    List(&'static Kind),
    /// A list with at least one entry.
    Some(&'static Kind),
    /// One value, or a list of them with at least one entry.
    OneOrMore(&'static Kind),
    /// One of several forms.
    Either(&'static [Kind]),
}

/// Bounds of durations that nobody should leave: a tenth of a second to a week.
const MILLISECOND: u64 = 1;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(
        table: &'static Table,
        path: &str,
        seen: &mut Vec<&'static str>,
        each: &mut impl FnMut(&str, &Table, &Key),
    ) {
        if seen.contains(&table.name) {
            return;
        }
        seen.push(table.name);
        for key in table.keys {
            let path = format!("{path}.{}", key.name);
            each(&path, table, key);
            inner(key.kind, &path, seen, each);
        }
        for included in table.includes {
            visit(included, path, seen, each);
        }
    }

    fn inner(
        kind: Kind,
        path: &str,
        seen: &mut Vec<&'static str>,
        each: &mut impl FnMut(&str, &Table, &Key),
    ) {
        match kind {
            Kind::Table(table) => visit(table, path, seen, each),
            Kind::Named(_, kind) | Kind::List(kind) | Kind::Some(kind) | Kind::OneOrMore(kind) => {
                inner(*kind, path, seen, each);
            }
            Kind::Either(kinds) => kinds.iter().for_each(|kind| inner(*kind, path, seen, each)),
            _ => {}
        }
    }

    #[test]
    fn every_key_is_documented_once_with_a_valid_example() {
        let mut tables = Vec::new();
        visit(&ROOT, "", &mut Vec::new(), &mut |path, table, key| {
            assert!(
                key.doc.ends_with('.') && key.doc.len() > 10,
                "{path} needs a sentence"
            );
            assert!(!key.example.is_empty(), "{path} needs an example");
            assert!(
                key.required || !key.default.is_empty(),
                "{path} needs a default, or to be required"
            );
            assert_eq!(
                table
                    .all_keys()
                    .filter(|other| other.name == key.name)
                    .count(),
                1,
                "{path} is there twice"
            );
            assert!(
                table.hint(key.name).is_none(),
                "{path} is both there and planned"
            );
            tables.push(table.name);
            let mut problems = super::super::problem::Problems::default();
            let node = super::super::tree::read(0, key.example, &mut problems).expect(path);
            super::super::check::value(&node, &key.kind, &mut problems);
            let problems = problems.into_sorted();
            assert!(problems.is_empty(), "{path}: {problems:?}");
        });
        assert!(tables.len() > 50, "the walk ends early");
    }
}
