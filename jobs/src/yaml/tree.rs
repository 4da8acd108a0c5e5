//! A tree of a YAML document (JSON included) with locations.
//!
//! The tree is built from the parser's events and stays small for any text: its depth and node count are bounded, an
//! alias counts as a copy of what it names, and a document that exceeds the bounds is refused with a problem at that
//! location.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks, Tag};

use crate::text::Problem;
use crate::text::{Source, Span, Spanned, Style};

/// The maximum nesting depth of lists and mappings.
pub(crate) const MAX_DEPTH: usize = 64;
/// The maximum number of nodes in a document.
const MAX_NODES: usize = 500_000;
/// The maximum number of nodes that are copied by aliases.
pub(crate) const MAX_COPIES: usize = 20_000;
/// The maximum length of the text, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// A node with its location.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// The content of a node.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Its text. `plain` if it is unquoted, so that it may mean a number, a boolean or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping with its value. The keys of a mapping are distinct.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Spanned<String>,
    pub(crate) plain: bool,
    pub(crate) value: Node,
}

impl Node {
    /// Whether this means null: `~`, `null` or no text at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The number of nodes in this tree, and its depth.
    fn measure(&self) -> (usize, usize) {
        let children = |nodes: &mut dyn Iterator<Item = &Self>| {
            nodes.fold((1, 0), |(count, depth), node| {
                let (more, below) = node.measure();
                (count + more, depth.max(below))
            })
        };
        let (count, depth) = match &self.value {
            Value::Scalar { .. } => return (1, 0),
            Value::List(items) => children(&mut items.iter()),
            Value::Map(entries) => children(&mut entries.iter().map(|entry| &entry.value)),
        };
        (count, depth + 1)
    }
}

/// Parses the text from `base` on. `None` if it can't be parsed, which is a problem, or if it is empty, which is not.
pub(crate) fn parse(source: &Arc<Source>, base: usize, problems: &mut Vec<Problem>) -> Option<Node> {
    let text = source.text.get(base..).unwrap_or_default();
    let base = base + text.len() - text.trim_start_matches('\u{feff}').len();
    let text = text.trim_start_matches('\u{feff}');
    if text.len() > MAX_BYTES {
        problems.push(source.span(base..base).problem(format!("the text is longer than {} MiB", MAX_BYTES >> 20)));
        return None;
    }
    if let Some(at) = text.find('\0') {
        problems.push(source.span(base + at..base + at + 1).problem("a NUL character"));
        return None;
    }
    let (text, offsets) = join_surrogates(text, base);
    let mut builder = Builder { source, offsets, stack: Vec::new(), root: None, anchors: HashMap::new(), nodes: 0, copies: 0, problems };
    match builder.run(&text) {
        Ok(()) => builder.root,
        Err(problem) => {
            problems.push(*problem);
            None
        }
    }
}

/// Joins surrogate pairs: a character that JSON writes as two UTF-16 escapes (`\ud83d\ude00`) becomes one YAML
/// escape. Also returns the byte offset in the source of each character of the result.
fn join_surrogates(text: &str, base: usize) -> (Cow<'_, str>, Vec<usize>) {
    const LENGTH: usize = r"\ud83d\ude00".len();
    let mut joined = String::new();
    let mut offsets = Vec::with_capacity(text.len());
    let mut copied = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if at < copied {
            continue;
        }
        let pair = if c == '\\' && !escaped { text.get(at..at + LENGTH).and_then(surrogates) } else { None };
        escaped = c == '\\' && !escaped;
        match pair {
            Some(pair) => {
                let escape = format!("\\U{:08x}", u32::from(pair));
                offsets.extend((0..escape.len()).map(|i| base + at + i));
                joined.push_str(&escape);
                (copied, escaped) = (at + LENGTH, false);
            }
            None => {
                offsets.push(base + at);
                joined.push(c);
            }
        }
    }
    if copied == 0 { (Cow::Borrowed(text), offsets) } else { (Cow::Owned(joined), offsets) }
}

/// Decodes a pair of UTF-16 escapes to a character.
fn surrogates(escapes: &str) -> Option<char> {
    let unit = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok();
    let (high, low) = escapes.split_at_checked(escapes.len() / 2)?;
    let pair = [unit(high)?, unit(low)?];
    if !(0xd800..0xdc00).contains(&pair[0]) {
        return None;
    }
    char::decode_utf16(pair).next()?.ok()
}

type Stop = Box<Problem>;

/// A list or mapping that is not closed yet.
struct Open {
    anchor: usize,
    span: Span,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    /// The entries, and the key whose value comes next. The inner `None` is a key that was refused: its value is
    /// dropped.
    Map(Vec<Entry>, Option<Option<(Spanned<String>, bool)>>),
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    /// The byte offset of each character: the parser counts in characters.
    offsets: Vec<usize>,
    stack: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    copies: usize,
    problems: &'a mut Vec<Problem>,
}

impl Builder<'_> {
    fn run(&mut self, text: &str) -> Result<(), Stop> {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            let (event, marks) = next.map_err(|error| {
                let at = self.offset(error.marker().index());
                let at = self.source.span(at..at);
                // The parser has its own bound where it reads ahead of its events.
                let too_deep = error.info() == "recursion limit exceeded";
                Box::new(if too_deep { Self::too_deep(&at) } else { at.problem(format!("not YAML: {}", error.info())) })
            })?;
            match event {
                Event::DocumentStart(_) if documents == 1 => {
                    return Err(Box::new(self.span(marks).problem("a second YAML document: a job file is one")));
                }
                Event::DocumentStart(_) => documents += 1,
                Event::Scalar(text, style, anchor, tag) => {
                    let string_tag = self.check_tag(tag.as_deref(), marks);
                    let span = self.scalar_span(marks, &text, style);
                    let plain = style == ScalarStyle::Plain && !string_tag;
                    self.add(Node { span, value: Value::Scalar { text: text.into_owned(), plain } }, anchor)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), marks);
                    self.open(anchor, marks, Items::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), marks);
                    self.open(anchor, marks, Items::Map(Vec::new(), None))?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(marks)?,
                Event::Alias(anchor) => {
                    let node = self.alias(anchor, marks)?;
                    self.add(node, 0)?;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn too_deep(span: &Span) -> Problem {
        span.problem(format!("nested deeper than {MAX_DEPTH} levels"))
    }

    fn offset(&self, index: usize) -> usize {
        self.offsets.get(index).copied().unwrap_or(self.source.text.len())
    }

    fn span(&self, marks: Marks) -> Span {
        self.source.span(self.offset(marks.start.index())..self.offset(marks.end.index()))
    }

    /// The span of a scalar, with the offset of its content.
    fn scalar_span(&self, marks: Marks, value: &str, style: ScalarStyle) -> Span {
        let span = self.span(marks);
        let span = self.source.span(span.range().start..span.range().start + span.text().trim_end().len());
        let (start, text) = (span.range().start, span.text());
        let content = match style {
            ScalarStyle::Plain if text.starts_with(['&', '!']) => {
                text.ends_with(value).then(|| (start + text.len() - value.len(), Style::Plain))
            }
            ScalarStyle::Plain => Some((start, Style::Plain)),
            ScalarStyle::SingleQuoted => text.find('\'').map(|quote| (start + quote + 1, Style::Single)),
            ScalarStyle::DoubleQuoted => text.find('"').map(|quote| (start + quote + 1, Style::Double)),
            // For the parser, an untagged block starts after its header.
            ScalarStyle::Literal | ScalarStyle::Folded if text.starts_with(['|', '>', '&', '!']) => {
                text.find('\n').map(|end| (start + end + 1, Style::Block))
            }
            ScalarStyle::Literal | ScalarStyle::Folded => Some((start, Style::Block)),
        };
        match content {
            Some((at, style)) => span.with_content(at, style),
            None => span,
        }
    }

    /// Refuses tags other than YAML's own. Returns whether the tag makes the scalar text.
    fn check_tag(&mut self, tag: Option<&Tag>, marks: Marks) -> bool {
        match tag {
            None => false,
            Some(tag) if tag.is_yaml_core_schema() || tag.handle.is_empty() && tag.suffix == "!" => {
                tag.suffix == "str" || tag.suffix == "!"
            }
            Some(tag) => {
                let problem = self.span(marks).problem(format!("the tag `{tag}` means nothing in a job file"));
                self.problems.push(problem);
                false
            }
        }
    }

    fn open(&mut self, anchor: usize, marks: Marks, items: Items) -> Result<(), Stop> {
        let span = self.span(marks);
        if self.stack.len() >= MAX_DEPTH {
            return Err(Box::new(Self::too_deep(&span)));
        }
        self.stack.push(Open { anchor, span, items });
        Ok(())
    }

    fn close(&mut self, marks: Marks) -> Result<(), Stop> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let value = match open.items {
            Items::List(items) => Value::List(items),
            Items::Map(entries, _) => Value::Map(entries),
        };
        let span = self.source.span(open.span.range().start..self.offset(marks.end.index()));
        let span = self.source.span(span.range().start..span.range().start + span.text().trim_end().len());
        self.add(Node { span, value }, open.anchor)
    }

    /// Copies the node that an anchor names.
    fn alias(&mut self, anchor: usize, marks: Marks) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Box::new(self.span(marks).problem("an alias inside of what it names")));
        };
        let (count, depth) = node.measure();
        self.copies += count;
        if self.stack.len() + depth > MAX_DEPTH {
            return Err(Box::new(Self::too_deep(&self.span(marks))));
        }
        self.bounded(&self.span(marks))?;
        Ok(node.clone())
    }

    fn bounded(&self, span: &Span) -> Result<(), Stop> {
        if self.nodes > MAX_NODES {
            return Err(Box::new(span.problem(format!("more than {MAX_NODES} values"))));
        }
        if self.copies > MAX_COPIES {
            return Err(Box::new(span.problem(format!("more than {MAX_COPIES} values are repeated by anchors and aliases"))));
        }
        Ok(())
    }

    /// Adds a finished node to its parent.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.nodes += 1;
        self.bounded(&node.span)?;
        if anchor > 0 {
            self.copies += node.measure().0;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map(_, pending @ None)) => {
                *pending = Some(match node.value {
                    Value::Scalar { text, plain } => Some((Spanned::new(text, node.span), plain)),
                    Value::List(_) | Value::Map(_) => {
                        self.problems.push(node.span.problem("a key must be a name"));
                        None
                    }
                });
            }
            Some(Items::Map(entries, pending)) => {
                if let Some(Some((key, plain))) = pending.take() {
                    match entries.iter().find(|entry| entry.key == key) {
                        Some(first) => {
                            let message = format!("the key `{}` stands twice, first in line {}", key.value, first.key.span.line());
                            self.problems.push(key.problem(message));
                        }
                        None => entries.push(Entry { key, plain, value: node }),
                    }
                }
            }
        }
        Ok(())
    }
}
