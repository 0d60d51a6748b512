//! Compares a tree with the schema and reports everything that does not fit.
//!
//! After this pass every value that is still wrong has a problem at its span, so the readers may
//! treat a value that they cannot read as absent and stay silent about it.

use super::problem::{Code, Problem, Problems};
use super::scalar::{self, Misfit, Scalar, show_duration, show_size};
use super::schema::{Kind, Table};
use super::spelling::nearest;
use super::tree::{Entry, Node, Value};

/// Checks one value against its kind.
pub(super) fn value(node: &Node, kind: &Kind, problems: &mut Problems) {
    if matches!(node.value, Value::Null) {
        problems.push(
            wrong_type(node, kind)
                .help("a key without a value says nothing: remove the key, or give it a value"),
        );
        return;
    }
    match kind {
        Kind::Table(inner) => match &node.value {
            Value::Map(entries) => table(node, entries, inner, problems),
            _ => problems.push(wrong_type(node, kind)),
        },
        Kind::Named(name, inner) => match &node.value {
            Value::Map(entries) => named(entries, name, inner, problems),
            _ => problems.push(wrong_type(node, kind)),
        },
        Kind::List(inner) | Kind::Some(inner) => match &node.value {
            Value::List(items) => list(node, items, inner, matches!(kind, Kind::List(_)), problems),
            _ => problems.push(
                wrong_type(node, kind).help("write a list: `[…]`, or one entry per line with `- `"),
            ),
        },
        Kind::OneOrMore(inner) => match &node.value {
            Value::List(items) => list(node, items, inner, false, problems),
            _ => value(node, inner, problems),
        },
        Kind::Either(kinds) => either(node, kind, kinds, problems),
        Kind::Bool
        | Kind::Integer { .. }
        | Kind::Duration { .. }
        | Kind::Size { .. }
        | Kind::Word(_)
        | Kind::Scalar(_) => {
            if let Some(problem) = single(node, kind) {
                problems.push(problem);
            }
        }
    }
}

fn table(node: &Node, entries: &[Entry], table: &'static Table, problems: &mut Problems) {
    for entry in entries {
        match table.key(&entry.key) {
            Some(key) => value(&entry.value, &key.kind, problems),
            None => problems.push(unknown_key(entry, table)),
        }
    }
    for key in table
        .all_keys()
        .filter(|key| key.required && node.entry(key.name).is_none())
    {
        let message = format!("the key `{}` is missing", key.name);
        problems.push(
            Problem::error(Code::MISSING_KEY, node.span, message)
                .allowed(allowed(&key.kind))
                .help(format!(
                    "write `{}: {}`. {}",
                    key.name, key.example, key.doc
                )),
        );
    }
}

fn unknown_key(entry: &Entry, table: &'static Table) -> Problem {
    let known = || table.all_keys().map(|key| key.name);
    if let Some(hint) = table.hint(&entry.key) {
        let message = format!("the key `{}` cannot be written here", entry.key);
        return Problem::error(Code::PLANNED_KEY, entry.key_span, message)
            .found(format!("`{}`", entry.key))
            .help(hint);
    }
    let near = nearest(&entry.key, known());
    let mut names: Vec<_> = known().collect();
    names.sort_unstable();
    let problem = Problem::error(
        Code::UNKNOWN_KEY,
        entry.key_span,
        format!("unknown key `{}`", entry.key),
    )
    .found(format!("`{}`", entry.key))
    .allowed(names.join(", "))
    .nearest(near);
    match near {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("remove the key: a key that does nothing would look as if it did"),
    }
}

fn named(entries: &[Entry], name: &Scalar, inner: &Kind, problems: &mut Problems) {
    for entry in entries {
        if let Err(misfit) = (name.check)(&entry.key) {
            problems.push(malformed(
                Problem::error(Code::MALFORMED, entry.key_span, misfit.why.clone()),
                misfit,
                name,
            ));
        }
        value(&entry.value, inner, problems);
    }
}

fn list(node: &Node, items: &[Node], inner: &Kind, may_be_empty: bool, problems: &mut Problems) {
    if items.is_empty() && !may_be_empty {
        problems.push(
            Problem::error(Code::EMPTY_LIST, node.span, "the list is empty")
                .allowed(format!("at least one entry: {}", allowed(inner)))
                .help(
                    "an empty list would mean nobody or nothing: add an entry, or remove the key",
                ),
        );
    }
    for item in items {
        value(item, inner, problems);
    }
}

/// Takes the form whose shape fits; the value itself need not be right for that.
fn either(node: &Node, whole: &Kind, kinds: &[Kind], problems: &mut Problems) {
    let fitting: Vec<_> = kinds.iter().filter(|kind| has_shape(node, kind)).collect();
    match fitting.as_slice() {
        [] => problems.push(wrong_type(node, whole)),
        [kind] => value(node, kind, problems),
        several => {
            let wrong: Vec<_> = several
                .iter()
                .filter_map(|kind| single(node, kind))
                .collect();
            if wrong.len() == several.len()
                && let Some(problem) = wrong.into_iter().max_by_key(specificity)
            {
                problems.push(problem.allowed(allowed(whole)));
            }
        }
    }
}

/// Of several forms that a value misses, the nearest one is worth a message.
fn specificity(problem: &Problem) -> (bool, bool) {
    (
        problem.nearest.is_some(),
        problem.code != Code::UNKNOWN_WORD,
    )
}

fn has_shape(node: &Node, kind: &Kind) -> bool {
    match (&node.value, kind) {
        (Value::Map(_), Kind::Table(_) | Kind::Named(..)) => true,
        (Value::List(_), Kind::List(_) | Kind::Some(_) | Kind::OneOrMore(_)) => true,
        (Value::Scalar { .. }, Kind::OneOrMore(inner)) => has_shape(node, inner),
        (
            Value::Scalar { .. },
            Kind::Bool
            | Kind::Integer { .. }
            | Kind::Duration { .. }
            | Kind::Size { .. }
            | Kind::Word(_)
            | Kind::Scalar(_),
        ) => true,
        (_, Kind::Either(kinds)) => kinds.iter().any(|kind| has_shape(node, kind)),
        _ => false,
    }
}

/// What is wrong with a single value.
fn single(node: &Node, kind: &Kind) -> Option<Problem> {
    let Some(text) = node.text() else {
        return Some(wrong_type(node, kind));
    };
    match kind {
        Kind::Bool => (node.truth().is_none()).then(|| {
            let near = match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some("true"),
                "false" | "no" | "off" | "n" => Some("false"),
                _ => None,
            };
            wrong_type(node, kind)
                .nearest(near)
                .help("truth values are `true` and `false`, without quotes")
        }),
        Kind::Integer { min, max } => match node.plain().and_then(integer) {
            None if integer(text).is_some() => {
                Some(wrong_type(node, kind).help("remove the quotes"))
            }
            None => Some(wrong_type(node, kind)),
            Some(number) if (*min..=*max).contains(&number) => None,
            Some(number) => Some(out_of_range(node, kind, &number.to_string())),
        },
        Kind::Duration { min, max } => match scalar::duration(text) {
            Err(misfit) => Some(unfit(node, kind, misfit)),
            Ok(duration)
                if (u128::from(*min)..=u128::from(*max)).contains(&duration.as_millis()) =>
            {
                None
            }
            Ok(duration) => Some(out_of_range(node, kind, &show_duration(duration))),
        },
        Kind::Size { min, max } => match scalar::size(text) {
            Err(misfit) => Some(unfit(node, kind, misfit)),
            Ok(size) if (*min..=*max).contains(&size) => None,
            Ok(size) => Some(out_of_range(node, kind, &show_size(size))),
        },
        Kind::Word(words) => node.word(words).is_none().then(|| {
            let near = nearest(text, words.iter().copied());
            let problem = Problem::error(
                Code::UNKNOWN_WORD,
                node.span,
                format!("`{text}` is not one of the known words"),
            )
            .found(describe(node))
            .allowed(allowed(kind))
            .nearest(near);
            match near {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            }
        }),
        Kind::Scalar(form) => (form.check)(text)
            .err()
            .map(|misfit| unfit(node, kind, misfit)),
        _ => None,
    }
}

fn unfit(node: &Node, kind: &Kind, misfit: Misfit) -> Problem {
    let problem =
        Problem::error(Code::MALFORMED, node.span, misfit.why.clone()).found(describe(node));
    let problem = problem
        .allowed(allowed(kind))
        .nearest(misfit.instead.clone());
    match misfit.instead {
        Some(instead) => problem.help(format!("did you mean `{instead}`?")),
        None => problem,
    }
}

fn malformed(problem: Problem, misfit: Misfit, form: &Scalar) -> Problem {
    problem.allowed(form.allowed).nearest(misfit.instead)
}

fn wrong_type(node: &Node, kind: &Kind) -> Problem {
    let found = describe(node);
    Problem::error(
        Code::WRONG_TYPE,
        node.span,
        format!("{found} cannot stand here"),
    )
    .found(found)
    .allowed(allowed(kind))
}

fn out_of_range(node: &Node, kind: &Kind, shown: &str) -> Problem {
    Problem::error(
        Code::RANGE,
        node.span,
        format!("{shown} is outside of the range"),
    )
    .found(describe(node))
    .allowed(allowed(kind))
}

/// What stands in the file.
pub(super) fn describe(node: &Node) -> String {
    const SHOWN: usize = 60;
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        Value::Scalar { text, plain } => {
            let cut: String = text
                .chars()
                .take(SHOWN)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            if *plain {
                format!("`{cut}{more}`")
            } else {
                format!("the text \"{cut}{more}\"")
            }
        }
    }
}

/// What may stand there.
pub(super) fn allowed(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true, false".to_owned(),
        Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Duration { min, max } => {
            let show = |millis: u64| show_duration(std::time::Duration::from_millis(millis));
            format!(
                "a duration such as `250ms`, `5s`, `2m` or `1h`, from {} to {}",
                show(*min),
                show(*max)
            )
        }
        Kind::Size { min, max } => {
            format!(
                "bytes, or a size such as `64KiB`, `10MiB` or `1GiB`, from {} to {}",
                show_size(*min),
                show_size(*max)
            )
        }
        Kind::Word(words) => words.join(", "),
        Kind::Scalar(form) => form.allowed.to_owned(),
        Kind::Table(table) => {
            let mut names: Vec<_> = table.all_keys().map(|key| key.name).collect();
            names.sort_unstable();
            format!("a mapping with {}", names.join(", "))
        }
        Kind::Named(..) => "a mapping of names".to_owned(),
        Kind::List(inner) | Kind::Some(inner) => format!("a list of: {}", allowed(inner)),
        Kind::OneOrMore(inner) => format!("{}, or a list of them", allowed(inner)),
        Kind::Either(kinds) => kinds.iter().map(allowed).collect::<Vec<_>>().join("; or "),
    }
}

fn integer(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

impl Node {
    /// The truth value, if it is one: YAML 1.2 knows `true` and `false` only.
    pub(super) fn truth(&self) -> Option<bool> {
        match self.plain() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub(super) fn integer(&self) -> Option<u64> {
        self.plain().and_then(integer)
    }

    /// Which of the words it is. A YAML 1.1 tool turns `off` into `false`, so that is `off` too.
    pub(super) fn word(&self, words: &[&'static str]) -> Option<&'static str> {
        let text = match self.plain() {
            Some("false" | "False" | "FALSE") => "off",
            _ => self.text()?,
        };
        words.iter().copied().find(|word| *word == text)
    }
}
