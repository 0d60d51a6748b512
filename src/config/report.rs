//! Problems as people and programs read them: with file, line, column, path, the line itself and a
//! mark under what is meant.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::problem::{Code, Problem, Severity};
use super::source::Sources;
use super::tree::{Node, Span};

/// A problem with everything that is needed to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) why: Option<&'static str>,
    pub(crate) place: Location,
    /// Where it stands in the document, such as `routes[2].backends[0]`; empty for a whole file.
    pub(crate) path: String,
    pub(crate) found: Option<String>,
    pub(crate) allowed: Option<String>,
    pub(crate) nearest: Option<String>,
    pub(crate) help: Option<String>,
    pub(crate) related: Vec<(Location, &'static str)>,
}

/// A stretch of one line. Line 0 is the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) end_line: u32,
    pub(crate) end_column: u32,
    /// The first line of it.
    pub(crate) text: Arc<str>,
}

/// Why a configuration is refused: every problem, in the order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// How many of the diagnostics are of this severity.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }

    /// For a terminal or a log; ends with a line that counts. A file that is wrong everywhere, such
    /// as one with a misspelled key in each of its routes, is not shown whole.
    pub(crate) fn render(&self, color: bool) -> String {
        const SHOWN: usize = 500;
        let mut out = String::new();
        for diagnostic in self.diagnostics.iter().take(SHOWN) {
            out.push_str(&diagnostic.render(color));
            out.push('\n');
        }
        if let Some(more) = self
            .diagnostics
            .len()
            .checked_sub(SHOWN)
            .filter(|more| *more > 0)
        {
            let _ = writeln!(out, "… and {more} more; `-o json` shows all of them\n");
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let _ = match (errors, warnings) {
            (0, 0) => Ok(()),
            (_, 0) => writeln!(out, "{errors} error{}", plural(errors)),
            (0, _) => writeln!(out, "{warnings} warning{}", plural(warnings)),
            _ => writeln!(
                out,
                "{errors} error{}, {warnings} warning{}",
                plural(errors),
                plural(warnings)
            ),
        };
        out
    }

    /// For programs.
    pub(crate) fn json(&self) -> Json {
        json!({
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "diagnostics": self.diagnostics.iter().map(Diagnostic::json).collect::<Vec<_>>(),
        })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

impl Diagnostic {
    /// For a terminal or a log.
    pub(crate) fn render(&self, color: bool) -> String {
        let paint = Paint { color };
        let (word, hue) = match self.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
        };
        let mut out = String::new();
        let head = paint.with(hue, &format!("{word}[{}]", self.code));
        let _ = writeln!(
            out,
            "{head}: {}",
            paint.with(BOLD, &printable(&self.message))
        );
        self.place.render(&mut out, &paint, hue, &self.path, "-->");
        for (place, label) in &self.related {
            place.render(&mut out, &paint, BLUE, label, ":::");
        }
        let parts = [
            ("found", self.found.as_deref()),
            ("allowed", self.allowed.as_deref()),
            ("why", self.why),
            ("help", self.help.as_deref()),
        ];
        for (name, text) in parts {
            if let Some(text) = text {
                let _ = writeln!(
                    out,
                    "  {} {name}: {}",
                    paint.with(BLUE, "="),
                    printable(text)
                );
            }
        }
        out
    }

    /// For programs.
    pub(crate) fn json(&self) -> Json {
        json!({
            "severity": match self.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "code": self.code.to_string(),
            "message": self.message,
            "why": self.why,
            "file": &*self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "endLine": self.place.end_line,
            "endColumn": self.place.end_column,
            "path": self.path,
            "found": self.found,
            "allowed": self.allowed,
            "nearest": self.nearest,
            "help": self.help,
            "related": self.related.iter().map(|(place, label)| json!({
                "file": &*place.file, "line": place.line, "column": place.column, "label": label,
            })).collect::<Vec<_>>(),
        })
    }
}

impl Location {
    fn render(&self, out: &mut String, paint: &Paint, hue: &str, note: &str, arrow: &str) {
        let note = if note.is_empty() {
            String::new()
        } else {
            format!(" ({})", printable(note))
        };
        let file = printable(&self.file);
        let arrow = paint.with(BLUE, arrow);
        if self.line == 0 {
            let _ = writeln!(out, "  {arrow} {file}{note}");
            return;
        }
        let _ = writeln!(out, "  {arrow} {file}:{}:{}{note}", self.line, self.column);
        let (text, lead, width) = self.window();
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let bar = paint.with(BLUE, "|");
        let mark = paint.with(hue, &"^".repeat(width));
        let _ = writeln!(out, " {gutter} {bar}");
        let _ = writeln!(out, " {} {bar} {text}", paint.with(BLUE, &number));
        let _ = writeln!(out, " {gutter} {bar} {}{mark}", " ".repeat(lead));
    }

    /// The part of the line around the place: generated files have lines of many thousand
    /// characters.
    fn window(&self) -> (String, usize, usize) {
        const WIDTH: usize = 120;
        const BEFORE: usize = 40;
        let column = (self.column as usize).saturating_sub(1);
        let length = self.text.chars().count();
        let end = if self.end_line > self.line {
            length
        } else {
            self.end_column as usize - 1
        };
        let start = if length > WIDTH && column + BEFORE > WIDTH {
            column - BEFORE
        } else {
            0
        };
        let shown = printable(&self.text)
            .chars()
            .skip(start)
            .take(WIDTH)
            .collect::<String>();
        let front = if start > 0 { "…" } else { "" };
        let width = end
            .saturating_sub(column)
            .clamp(1, (WIDTH + start).saturating_sub(column).max(1));
        (
            format!("{front}{shown}"),
            column - start + front.chars().count(),
            width,
        )
    }
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const BOLD: &str = "1";

struct Paint {
    color: bool,
}

impl Paint {
    fn with(&self, hue: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{hue}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The file is shown on terminals: what would steer one is replaced, one character for one.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// The lines of the sources; a line with many problems is kept once.
struct Lines<'a> {
    files: Vec<Vec<&'a str>>,
    shown: HashMap<(u32, u32), Arc<str>>,
}

impl<'a> Lines<'a> {
    fn new(sources: &'a Sources) -> Self {
        let lines =
            |text: &'a Option<String>| text.as_deref().unwrap_or_default().lines().collect();
        let files = sources
            .files
            .iter()
            .map(|source| lines(&source.text))
            .collect();
        Self {
            files,
            shown: HashMap::new(),
        }
    }

    fn line(&mut self, span: Span) -> Arc<str> {
        let file = self.files.get(span.file as usize);
        let text = (span.line as usize)
            .checked_sub(1)
            .and_then(|at| file?.get(at))
            .copied();
        let shown = self.shown.entry((span.file, span.line));
        Arc::clone(shown.or_insert_with(|| text.unwrap_or_default().into()))
    }
}

/// Adds places and paths to problems.
pub(super) fn resolve(
    problems: Vec<Problem>,
    sources: &Sources,
    root: Option<&Node>,
) -> Vec<Diagnostic> {
    if problems.is_empty() {
        return Vec::new();
    }
    let wanted: HashSet<Span> = problems.iter().map(|problem| problem.span).collect();
    let mut paths = HashMap::new();
    if let Some(root) = root {
        root.walk("", &mut |span, path| {
            if wanted.contains(&span) {
                paths.entry(span).or_insert_with(|| path.to_owned());
            }
        });
    }
    let mut lines = Lines::new(sources);
    let mut locate = |span: Span| Location {
        file: sources
            .file(span.file)
            .map_or_else(|| "".into(), |source| Arc::clone(&source.name)),
        line: span.line,
        column: span.column,
        end_line: span.end_line,
        end_column: span.end_column,
        text: lines.line(span),
    };
    let diagnostic = |problem: Problem| Diagnostic {
        severity: problem.severity,
        code: problem.code,
        message: problem.message,
        why: problem.why,
        place: locate(problem.span),
        path: paths.get(&problem.span).cloned().unwrap_or_default(),
        found: problem.found,
        allowed: problem.allowed,
        nearest: problem.nearest,
        help: problem.help,
        related: problem
            .related
            .into_iter()
            .map(|(span, label)| (locate(span), label))
            .collect(),
    };
    problems.into_iter().map(diagnostic).collect()
}
