//! The location of a piece of a job file.
//!
//! A [`Span`] holds a reference to its text. So a problem found by any later stage (an invalid expression, an unknown
//! field) can be shown with its file, line, column and the line itself, without rereading the file.

use std::ops::Range;
use std::sync::Arc;

/// A text that spans point into: the job file, or the argument of one `--set`.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file's name, or `None` for an override, whose text is its own name.
    pub(crate) file: Option<String>,
    /// The whole text.
    pub(crate) text: String,
    /// The byte offsets of line starts.
    lines: Vec<usize>,
}

impl Source {
    pub(crate) fn new(file: Option<&str>, text: &str) -> Arc<Self> {
        let lines = std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1)).collect();
        Arc::new(Self { file: file.map(str::to_owned), text: text.to_owned(), lines })
    }

    /// The key of an override, without its value, which may be a password.
    pub(crate) fn key(&self) -> &str {
        let mut quoted = false;
        let end = self.text.find(|c| {
            quoted ^= c == '"';
            c == '\n' || (c == '=' && !quoted)
        });
        self.text.get(..end.unwrap_or(self.text.len())).unwrap_or_default()
    }

    /// The span of a byte range, clamped to the text.
    pub(crate) fn span(self: &Arc<Self>, range: Range<usize>) -> Span {
        let start = self.floor(range.start);
        Span { source: Arc::clone(self), start, end: self.floor(range.end).max(start), content: None }
    }

    /// The nearest character boundary at or below an offset.
    fn floor(&self, mut offset: usize) -> usize {
        offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).max(1)
    }

    /// A line by its number from 1, without its line ending.
    pub(crate) fn line_text(&self, line: usize) -> &str {
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        let text = self.text.get(start..end).unwrap_or_default();
        text.trim_start_matches('\u{feff}').trim_end_matches('\r')
    }
}

/// How a scalar was written, which determines how its value maps back to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Single,
    Double,
    Block,
}

/// A range of a job file (or of a `--set` argument).
#[derive(Clone)]
pub struct Span {
    source: Arc<Source>,
    start: usize,
    end: usize,
    /// For a scalar: where its content starts (after a quote or a block header), and its style.
    content: Option<(usize, Style)>,
}

impl Span {
    /// Records where the content of the scalar starts.
    pub(crate) fn with_content(mut self, start: usize, style: Style) -> Self {
        self.content = Some((start, style));
        self
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The byte range in the file.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.source.line_of(self.start)
    }

    /// The column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        let line_start = self.source.lines.get(self.line() - 1).copied().unwrap_or(0);
        let before = self.source.text.get(line_start..self.start).unwrap_or_default();
        before.chars().filter(|c| *c != '\u{feff}').count() + 1
    }

    /// The text that the span covers.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.text.get(self.start..self.end).unwrap_or_default()
    }

    /// The part of a scalar's span that holds a byte range of its value, or the whole span if the two can't be
    /// matched.
    fn part(&self, value: &str, range: &Range<usize>) -> Self {
        let place = |offset| self.content.and_then(|(start, style)| locate(&self.source.text, start, style, value, offset));
        match (place(range.start), place(range.end)) {
            (Some(start), Some(end)) => self.source.span(start..end),
            _ => self.clone(),
        }
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line(), self.column())
    }
}

/// Finds the file offset of a byte offset in a scalar's value by walking both texts. White space may have been folded
/// or indented, quotes and simple escapes are undone, and everything else must match. `None` for what can't be
/// followed (`\u`, `\x`, continued lines).
fn locate(text: &str, start: usize, style: Style, value: &str, offset: usize) -> Option<usize> {
    let mut at = start;
    let mut walked = 0;
    let peek = |at: usize| text.get(at..).and_then(|rest| rest.chars().next());
    for expected in value.chars() {
        if !expected.is_whitespace() {
            while let Some(blank) = peek(at).filter(|c| c.is_whitespace()) {
                at += blank.len_utf8();
            }
        }
        if walked >= offset {
            return Some(at);
        }
        walked += expected.len_utf8();
        let found = peek(at)?;
        if style == Style::Double && found == '\\' {
            let decoded = match peek(at + 1)? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                plain @ ('"' | '\\' | '/' | ' ') => plain,
                _ => return None,
            };
            if decoded != expected {
                return None;
            }
            at += 2;
        } else if style == Style::Single && found == '\'' && expected == '\'' {
            at += 2;
        } else if found == expected {
            at += found.len_utf8();
        } else if !expected.is_whitespace() || !found.is_whitespace() {
            return None;
        }
    }
    (walked == offset).then_some(at)
}

/// A value of the model with its location. Two are equal if their values are.
#[derive(Clone)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its location.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Attaches a location to a value.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// Maps the value and keeps the location.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), span: self.span }
    }
}

impl<T: AsRef<str>> Spanned<T> {
    /// The span of a byte range of the text, such as one name in an expression. It is exact unless the scalar uses
    /// `\u` or similar escapes; then it is the span of the whole scalar.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Span {
        self.span.part(self.value.as_ref(), &range)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.value.as_ref()
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: std::fmt::Debug> std::fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}@{:?}", self.value, self.span)
    }
}
