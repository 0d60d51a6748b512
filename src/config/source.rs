//! The files of a configuration: finding them, reading them, and joining them to one document.
//!
//! Everything that is read is remembered, because a reload watches it, and its content is hashed, so
//! that an unchanged configuration is recognised.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::describe;
use super::problem::{Code, Problem, Problems};
use super::tree::{self, Entry, Node, Span, Value};

/// Bytes that one file may have.
const MAX_FILE: u64 = 1 << 20;
/// Files that a directory may have.
const MAX_FILES: usize = 256;

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// As messages show it.
    pub(super) name: Arc<str>,
    /// What relative paths in it are relative to.
    pub(super) base: PathBuf,
    /// Its content.
    pub(super) text: String,
}

/// All files of a configuration.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) files: Vec<Source>,
    /// Files and directories whose change can change the configuration.
    pub(super) watched: Vec<PathBuf>,
}

impl Sources {
    /// One text that is not in a file.
    pub(super) fn embedded(name: &str, text: &str, base: &Path) -> Self {
        let file = Source { name: name.into(), base: base.to_owned(), text: text.to_owned() };
        Self { files: vec![file], watched: Vec::new() }
    }

    /// Reads a file, or the files of a directory.
    pub(super) fn open(path: &Path, problems: &mut Problems) -> Self {
        let mut sources = Self { files: Vec::new(), watched: vec![path.to_owned()] };
        if path.is_dir() {
            sources.open_directory(path, problems);
        } else {
            sources.open_file(path, problems);
        }
        sources
    }

    /// The text behind a file number.
    pub(super) fn file(&self, file: u32) -> Option<&Source> {
        self.files.get(file as usize)
    }

    /// The whole document.
    pub(super) fn document(&self, problems: &mut Problems) -> Option<Node> {
        let read = |(file, source): (usize, &Source)| tree::read(file as u32, &source.text, problems);
        let roots: Vec<_> = self.files.iter().enumerate().filter(|(_, source)| !source.text.is_empty()).map(read).collect();
        let complete = roots.len() == self.files.len();
        let mut roots = roots.into_iter().collect::<Option<Vec<_>>>().filter(|_| complete)?.into_iter();
        let first = roots.next()?;
        Some(roots.fold(first, |whole, root| join(whole, root, problems)))
    }

    fn open_directory(&mut self, path: &Path, problems: &mut Problems) {
        let names = match yaml_names(path) {
            Ok(names) => names,
            Err(error) => return self.unreadable(path, path, &error, problems),
        };
        if names.is_empty() {
            let file = self.add(path, path, String::new());
            problems.push(
                Problem::error(Code::EMPTY, Span::whole(file), "the directory holds no configuration")
                    .allowed("files whose names end with `.yaml` or `.yml` and do not begin with a dot"),
            );
        }
        if names.len() > MAX_FILES {
            let file = self.add(path, path, String::new());
            let message = format!("the directory holds more than {MAX_FILES} files");
            return problems.push(Problem::error(Code::TOO_LARGE, Span::whole(file), message));
        }
        for name in names {
            self.watched.push(name.clone());
            self.open_file(&name, problems);
        }
    }

    fn open_file(&mut self, path: &Path, problems: &mut Problems) {
        let base = path.parent().unwrap_or(Path::new(""));
        let bytes = match read_limited(path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(path, base, &error, problems),
        };
        if bytes.len() as u64 > MAX_FILE {
            let file = self.add(path, base, String::new());
            return problems.push(
                Problem::error(Code::TOO_LARGE, Span::whole(file), "the file is larger than 1 MiB")
                    .help("spread it over several files of a directory, and give the directory to `--config`"),
            );
        }
        let (text, wrong) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let bytes = error.into_bytes();
                let good = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default()).into_owned();
                (good, Some(valid))
            }
        };
        let place = wrong.map(|_| end_of(&text));
        let text = if wrong.is_some() { String::new() } else { text };
        let empty = text.trim_start_matches('\u{feff}').is_empty();
        let file = self.add(path, base, text.strip_prefix('\u{feff}').map_or(text.clone(), ToOwned::to_owned));
        if let Some((line, column)) = place {
            problems.push(
                Problem::error(Code::ENCODING, Span::point(file, line, column), "the file is not UTF-8 from here on")
                    .help("save the file as UTF-8"),
            );
        } else if empty {
            problems.push(
                Problem::error(Code::EMPTY, Span::whole(file), "the file is empty")
                    .help("an empty file is never taken for `no rules`: remove it, or write at least `version: 1` into it"),
            );
        }
    }

    fn unreadable(&mut self, path: &Path, base: &Path, error: &io::Error, problems: &mut Problems) {
        let file = self.add(path, base, String::new());
        let problem = Problem::error(Code::UNREADABLE, Span::whole(file), format!("cannot be read: {error}"));
        problems.push(problem.help("name the file or directory with `--config` or `ADIT_CONFIG`; without both it is /etc/adit/adit.yaml"));
    }

    fn add(&mut self, path: &Path, base: &Path, text: String) -> u32 {
        let name = path.display().to_string().into();
        self.files.push(Source { name, base: base.to_owned(), text });
        (self.files.len() - 1) as u32
    }
}

/// Reads at most one byte more than `limit`, so that the caller sees what is too large.
pub(super) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Mounted ConfigMaps hold hidden entries for their atomic swap: names with a dot in front are not ours.
fn yaml_names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if yaml && !hidden && !path.is_dir() {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

/// Line and column behind the last character.
fn end_of(text: &str) -> (u32, u32) {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line as u32, column as u32)
}

/// Adds the keys of a further file: some are appended, all others may be there once.
fn join(mut whole: Node, part: Node, problems: &mut Problems) -> Node {
    let Value::Map(more) = part.value else {
        problems.push(not_a_mapping(&part));
        return whole;
    };
    let Value::Map(entries) = &mut whole.value else {
        problems.push(not_a_mapping(&whole));
        return Node { span: part.span, value: Value::Map(more) };
    };
    for entry in more {
        match entries.iter_mut().find(|known| known.key == entry.key) {
            None => entries.push(entry),
            Some(known) => join_key(known, entry, problems),
        }
    }
    whole
}

fn join_key(known: &mut Entry, entry: Entry, problems: &mut Problems) {
    let appended = matches!(&*entry.key, "routes" | "rules" | "listeners" | "files" | "directories");
    let merged = matches!(&*entry.key, "networks" | "certificates");
    match (&mut known.value.value, entry.value.value) {
        (Value::List(items), Value::List(more)) if appended => items.extend(more),
        (Value::Map(entries), Value::Map(more)) if merged => {
            for entry in more {
                match entries.iter_mut().find(|known| known.key == entry.key) {
                    None => entries.push(entry),
                    Some(known) => join_key(known, entry, problems),
                }
            }
        }
        (mine, theirs) if (appended || merged) && std::mem::discriminant(mine) != std::mem::discriminant(&theirs) => {
            let wanted = if appended { "a list" } else { "a mapping" };
            let fits = matches!((&theirs, appended), (Value::List(_), true) | (Value::Map(_), false));
            let theirs = Node { span: entry.value.span, value: theirs };
            let wrong = if fits { std::mem::replace(&mut known.value, theirs) } else { theirs };
            let message = format!("{} cannot stand here", describe(&wrong));
            problems.push(
                Problem::error(Code::WRONG_TYPE, wrong.span, message).found(describe(&wrong)).allowed(wanted),
            );
        }
        _ => problems.push(
            Problem::error(Code::DUPLICATE_KEY, entry.key_span, format!("the key `{}` is written in two files", entry.key))
                .related(known.key_span, "first written here")
                .help("of the files of a directory only routes, rules, networks, listeners and certificates are added up; keep one"),
        ),
    }
}

fn not_a_mapping(node: &Node) -> Problem {
    Problem::error(Code::WRONG_TYPE, node.span, format!("{} cannot stand here", describe(node)))
        .found(describe(node))
        .allowed("a mapping with the keys of the configuration")
}
