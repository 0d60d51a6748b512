//! The files of a configuration: finding them, reading them, and joining them to one document.
//!
//! Everything that is read is remembered, because a reload watches it, and its content is hashed,
//! so that an unchanged configuration is recognised.

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
    /// Its content, if it could be read.
    pub(super) text: Option<String>,
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
        let mut sources = Self::default();
        sources.add(name.into(), base, Some(text));
        sources
    }

    /// Reads a file, or the files of a directory.
    pub(super) fn open(path: &Path, problems: &mut Problems) -> Self {
        let mut sources = Self {
            files: Vec::new(),
            watched: vec![path.to_owned()],
        };
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

    /// The whole document. Every file is read, so that the problems of all of them are known.
    pub(super) fn document(&self, problems: &mut Problems) -> Option<Node> {
        let mut roots = Vec::with_capacity(self.files.len());
        for (file, source) in self.files.iter().enumerate() {
            let read = |text: &String| tree::read(file as u32, text, problems);
            roots.push(source.text.as_ref().and_then(read));
        }
        let roots: Option<Vec<_>> = roots.into_iter().collect();
        let mut roots = roots?.into_iter();
        let first = roots.next()?;
        Some(roots.fold(first, |whole, root| join(whole, root, problems)))
    }

    fn open_directory(&mut self, path: &Path, problems: &mut Problems) {
        let names = match yaml_names(path) {
            Ok(names) => names,
            Err(error) => return self.unreadable(path, path, &error, problems),
        };
        if names.is_empty() {
            let file = self.add(shown(path), path, None);
            problems.push(
                Problem::error(
                    Code::EMPTY,
                    Span::whole(file),
                    "the directory holds no configuration",
                )
                .allowed(
                    "files whose names end with `.yaml` or `.yml` and do not begin with a dot",
                ),
            );
        }
        if names.len() > MAX_FILES {
            let file = self.add(shown(path), path, None);
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
            let file = self.add(shown(path), base, None);
            let help =
                "spread it over several files of a directory, and give the directory to `--config`";
            let message = "the file is larger than 1 MiB";
            let problem = Problem::error(Code::TOO_LARGE, Span::whole(file), message);
            return problems.push(problem.help(help));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                self.add(shown(path), base, Some(text));
            }
            Err(error) => {
                let file = self.add(shown(path), base, None);
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let (line, column) = end_of(&String::from_utf8_lossy(good));
                let span = Span::point(file, line, column);
                let message = "the file is not UTF-8 from here on";
                let problem = Problem::error(Code::ENCODING, span, message);
                problems.push(problem.help("save the file as UTF-8"));
            }
        }
    }

    fn unreadable(&mut self, path: &Path, base: &Path, error: &io::Error, problems: &mut Problems) {
        let file = self.add(shown(path), base, None);
        let message = format!("cannot be read: {error}");
        let help = "name the file or directory with `--config` or `ADIT_CONFIG`; \
                    without both it is /etc/adit/adit.yaml";
        problems.push(Problem::error(Code::UNREADABLE, Span::whole(file), message).help(help));
    }

    /// Without a text there must be a problem that says why.
    fn add(&mut self, name: Arc<str>, base: &Path, text: Option<&str>) -> u32 {
        let text = text.map(|text| text.strip_prefix('\u{feff}').unwrap_or(text).to_owned());
        self.files.push(Source {
            name,
            base: base.to_owned(),
            text,
        });
        (self.files.len() - 1) as u32
    }
}

/// A path as messages show it.
fn shown(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

/// Reads at most one byte more than `limit`, so that the caller sees what is too large.
pub(super) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // A pipe that nobody writes to would hold up a reload for ever. What the shell makes of
    // `<(...)` and `-` lies under /dev and is the caller's own.
    if !fs::metadata(path)?.is_file() && !path.starts_with("/dev") {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Mounted ConfigMaps hold hidden entries for their atomic swap: names with a dot in front are not
/// ours.
fn yaml_names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml");
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
        return Node {
            span: part.span,
            value: Value::Map(more),
        };
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
    let appended = matches!(
        &*entry.key,
        "routes" | "rules" | "listeners" | "files" | "directories"
    );
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
        (mine, theirs)
            if (appended || merged)
                && std::mem::discriminant(mine) != std::mem::discriminant(&theirs) =>
        {
            let wanted = if appended { "a list" } else { "a mapping" };
            let fits = matches!(
                (&theirs, appended),
                (Value::List(_), true) | (Value::Map(_), false)
            );
            let theirs = Node {
                span: entry.value.span,
                value: theirs,
            };
            let wrong = if fits {
                std::mem::replace(&mut known.value, theirs)
            } else {
                theirs
            };
            let message = format!("{} cannot stand here", describe(&wrong));
            problems.push(
                Problem::error(Code::WRONG_TYPE, wrong.span, message)
                    .found(describe(&wrong))
                    .allowed(wanted),
            );
        }
        _ => problems.push(
            Problem::error(
                Code::DUPLICATE_KEY,
                entry.key_span,
                format!("the key `{}` is written in two files", entry.key),
            )
            .related(known.key_span, "first written here")
            .help(
                "of the files of a directory only routes, rules, networks, \
            listeners and certificates are added up; keep one",
            ),
        ),
    }
}

fn not_a_mapping(node: &Node) -> Problem {
    Problem::error(
        Code::WRONG_TYPE,
        node.span,
        format!("{} cannot stand here", describe(node)),
    )
    .found(describe(node))
    .allowed("a mapping with the keys of the configuration")
}
