//! YAML 1.2 text as a tree in which every node knows where it was written.
//!
//! Scalars stay text: `off`, `no` and `1.10` mean what they say, and the schema decides what a
//! value is. What a configuration has no use for is refused here: several documents, tags, compound
//! keys, deep nesting, and aliases that stand for more nodes than a person would write.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use super::problem::{Code, Problem, Problems};
use super::syntax;

/// Nodes that anchors and aliases of one file may stand for.
const MAX_EXPANSION: usize = 10_000;
/// Levels of nesting; a configuration needs seven.
const MAX_DEPTH: usize = 64;

/// A stretch of a file. Lines and columns count from 1, columns in characters; line 0 is the file
/// as a whole. The end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Index of the file among the sources.
    pub(super) file: u32,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) end_line: u32,
    pub(super) end_column: u32,
}

impl Span {
    /// A file as a whole.
    pub(super) fn whole(file: u32) -> Self {
        Self {
            file,
            line: 0,
            column: 0,
            end_line: 0,
            end_column: 0,
        }
    }

    /// One character.
    pub(super) fn point(file: u32, line: u32, column: u32) -> Self {
        Self {
            file,
            line,
            column,
            end_line: line,
            end_column: column + 1,
        }
    }

    fn new(file: u32, span: saphyr_parser::Span) -> Self {
        Self {
            file,
            line: span.start.line() as u32,
            column: span.start.col() as u32 + 1,
            end_line: span.end.line() as u32,
            end_column: span.end.col() as u32 + 1,
        }
    }

    /// Whether the other stretch lies within this one.
    pub(super) fn covers(self, other: Self) -> bool {
        let begins = (self.line, self.column) <= (other.line, other.column);
        let ends = (other.end_line, other.end_column) <= (self.end_line, self.end_column);
        self.file == other.file && begins && ends
    }

    fn until(mut self, end: Self) -> Self {
        (self.end_line, self.end_column) = (end.end_line, end.end_column);
        self
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A text; `plain` if it was written without quotes.
    Scalar { text: Box<str>, plain: bool },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping with text keys, in the order of the file, each key once.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

impl Node {
    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text of an unquoted scalar: only such a text is a number or a truth value.
    pub(super) fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(text),
            _ => None,
        }
    }

    /// The entries of a list; none for anything else.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of a list, or the node itself where one value may stand for a list of one.
    pub(super) fn one_or_more(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether it is a mapping, even an empty one.
    pub(super) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// The entry of a mapping with this key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key == key)
    }

    /// The value of a mapping with this key.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The node at a path such as `rules[3].hosts[0]`, or the deepest one on the way to it. Names
    /// may hold dots, so the longest key that fits is taken.
    pub(super) fn at(&self, path: &str) -> &Self {
        let path = path.strip_prefix('.').unwrap_or(path);
        if let Some((index, rest)) = path.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let item = index
                .parse()
                .ok()
                .and_then(|index: usize| self.items().get(index));
            return item.map_or(self, |item| item.at(rest));
        }
        let behind = |entry: &Entry| {
            path.strip_prefix(&*entry.key)
                .filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let steps = self
            .entries()
            .iter()
            .filter_map(|entry| Some((entry, behind(entry)?)));
        let longest = steps.max_by_key(|(entry, _)| entry.key.len());
        longest.map_or(self, |(entry, rest)| entry.value.at(rest))
    }

    /// Calls `visit` with every span of the tree and its path.
    pub(super) fn walk(&self, path: &str, visit: &mut impl FnMut(Span, &str)) {
        visit(self.span, path);
        for (index, item) in self.items().iter().enumerate() {
            item.walk(&format!("{path}[{index}]"), visit);
        }
        for entry in self.entries() {
            let path = if path.is_empty() {
                entry.key.to_string()
            } else {
                format!("{path}.{}", entry.key)
            };
            visit(entry.key_span, &path);
            entry.value.walk(&path, visit);
        }
    }

    fn size(&self) -> usize {
        let items: usize = self.items().iter().map(Self::size).sum();
        let entries: usize = self
            .entries()
            .iter()
            .map(|entry| 1 + entry.value.size())
            .sum();
        1 + items + entries
    }
}

/// Reads one file. A tree is returned whenever there is one, also beside problems.
pub(super) fn read(file: u32, text: &str, problems: &mut Problems) -> Option<Node> {
    let mut builder = Builder {
        frames: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        expanded: 0,
    };
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    while let Some((event, span)) = next(file, text, &mut parser, problems)? {
        match event {
            Event::DocumentStart(_) if documents > 0 => {
                problems.push(
                    Problem::error(
                        Code::SEVERAL_DOCUMENTS,
                        span,
                        "the file holds more than one document",
                    )
                    .help(
                        "keep one document per file; a directory of files can be given with \
            `--config`",
                    ),
                );
                break;
            }
            Event::DocumentStart(_) => documents += 1,
            Event::StreamEnd => break,
            event => {
                if let Err(problem) = builder.take(event, span, problems) {
                    problems.push(*problem);
                    return None;
                }
            }
        }
    }
    match builder.root {
        Some(Node {
            value: Value::Null, ..
        })
        | None => {
            problems.push(
                Problem::error(Code::EMPTY, Span::whole(file), "the file is empty").help(
                    "an empty file is never taken for `no rules`; remove the file, or \
            write at least `version: 1` into it",
                ),
            );
            None
        }
        root => root,
    }
}

/// The next event; the outer `None` means that a syntax error was reported.
#[expect(
    clippy::option_option,
    reason = "the end of the stream and a reported error are different ends"
)]
fn next<'t>(
    file: u32,
    text: &str,
    parser: &mut Parser<'t, StrInput<'t>>,
    problems: &mut Problems,
) -> Option<Option<(Event<'t>, Span)>> {
    match parser.next_event() {
        None => Some(None),
        Some(Ok((event, span))) => Some(Some((event, Span::new(file, span)))),
        Some(Err(error)) => {
            let (line, column) = (error.marker().line(), error.marker().col());
            let place = Span::point(file, line as u32, column as u32 + 1);
            let way_out = syntax::way_out(error.info(), text, line, column);
            let message = format!("this is not YAML: {}", error.info());
            problems.push(
                Problem::error(Code::SYNTAX, place, message)
                    .why("reading stops here: what follows is checked once this is repaired")
                    .help(way_out),
            );
            None
        }
    }
}

/// A collection that is still open.
struct Frame {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<Box<str>, Span>,
        key: Option<(Box<str>, Span)>,
    },
}

struct Builder {
    frames: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    expanded: usize,
}

type Refused = Box<Problem>;

impl Builder {
    fn take(
        &mut self,
        event: Event<'_>,
        span: Span,
        problems: &mut Problems,
    ) -> Result<(), Refused> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null && !self.awaits_key() {
                    Value::Null
                } else {
                    Value::Scalar {
                        text: text.into_owned().into_boxed_str(),
                        plain,
                    }
                };
                self.close(Node { span, value }, anchor, problems)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or_else(|| unfinished(span))?;
                self.expanded += node.size();
                self.within_budget(span)?;
                let node = self
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .ok_or_else(|| unfinished(span))?;
                self.close(node, 0, problems)
            }
            Event::SequenceStart(anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                self.open(Frame {
                    span,
                    anchor,
                    content: Content::List(Vec::new()),
                })
            }
            Event::MappingStart(anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                let content = Content::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                };
                self.open(Frame {
                    span,
                    anchor,
                    content,
                })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.frames.pop() else {
                    return Ok(());
                };
                let value = match frame.content {
                    Content::List(items) => Value::List(items),
                    Content::Map { entries, .. } => Value::Map(entries),
                };
                let end = last_span(&value)
                    .filter(|_| span.line != span.end_line || span.column == span.end_column);
                let span = frame.span.until(end.unwrap_or(span));
                self.close(Node { span, value }, frame.anchor, problems)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(
            self.frames.last(),
            Some(Frame {
                content: Content::Map { key: None, .. },
                ..
            })
        )
    }

    fn open(&mut self, frame: Frame) -> Result<(), Refused> {
        if self.awaits_key() {
            let problem = Problem::error(
                Code::UNSUPPORTED,
                frame.span,
                "a key must be a text, not a list or a mapping",
            );
            return Err(Box::new(problem.help("did a `:` or a quote get lost?")));
        }
        if self.frames.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels of nesting");
            return Err(Box::new(Problem::error(
                Code::UNSUPPORTED,
                frame.span,
                message,
            )));
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn close(&mut self, node: Node, anchor: usize, problems: &mut Problems) -> Result<(), Refused> {
        if anchor > 0 {
            self.expanded += node.size();
            self.within_budget(node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.frames.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, seen, key }) => {
                let Some((name, key_span)) = key.take() else {
                    *key = Some(text_key(node)?);
                    return Ok(());
                };
                if let Some(&first) = seen.get(&name) {
                    problems.push(written_twice(&name, key_span, first));
                } else {
                    seen.insert(name.clone(), key_span);
                    entries.push(Entry {
                        key: name,
                        key_span,
                        value: node,
                    });
                }
            }
        }
        Ok(())
    }

    fn within_budget(&self, span: Span) -> Result<(), Refused> {
        if self.expanded <= MAX_EXPANSION {
            return Ok(());
        }
        let message = format!("anchors and aliases stand for more than {MAX_EXPANSION} nodes");
        Err(Box::new(
            Problem::error(Code::EXPANSION, span, message).help("write the repeated parts out"),
        ))
    }
}

fn text_key(node: Node) -> Result<(Box<str>, Span), Refused> {
    match node.value {
        Value::Scalar { text, .. } => Ok((text, node.span)),
        _ => Err(Box::new(Problem::error(
            Code::UNSUPPORTED,
            node.span,
            "a key must be a text",
        ))),
    }
}

fn written_twice(name: &str, span: Span, first: Span) -> Problem {
    let message = format!("the key `{name}` is written twice");
    let problem = Problem::error(Code::DUPLICATE_KEY, span, message);
    problem
        .related(first, "first written here")
        .help("keep one: a YAML reader that keeps the last would hide the other")
}

fn untagged(tag: Option<&saphyr_parser::Tag>, span: Span) -> Result<(), Refused> {
    match tag {
        None => Ok(()),
        Some(tag) => Err(Box::new(
            Problem::error(
                Code::UNSUPPORTED,
                span,
                format!("the YAML tag `{tag}` is not read"),
            )
            .help("remove the tag; put a text that looks like a number into quotes"),
        )),
    }
}

fn unfinished(span: Span) -> Refused {
    Box::new(Problem::error(
        Code::EXPANSION,
        span,
        "the alias stands inside of the node that it repeats",
    ))
}

/// Where the content of a block collection ends: its own end event stands on a later line.
fn last_span(value: &Value) -> Option<Span> {
    match value {
        Value::List(items) => items.last().map(|item| item.span),
        Value::Map(entries) => entries.last().map(|entry| entry.value.span),
        Value::Null | Value::Scalar { .. } => None,
    }
}
