//! Problems of a job file, shown with the words and the line that the user wrote.

use std::fmt::{Display, Formatter, Result as FmtResult};

use std::ops::Range;

use tidegate_expr::nearest;

use super::span::{Span, Spanned};

/// Whether a job can run despite a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The job can't run.
    Error,
    /// The job can run, but the user should know.
    Warning,
}

/// One problem of a job file. Its `Display` prints the message with its location, the line, and carets under the
/// offending text.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The offending text.
    pub text: String,
    /// What is wrong with it.
    pub message: String,
    /// The valid name nearest to it, if one is near.
    pub nearest: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Boxed, because problems travel in results.
    span: Box<Span>,
}

/// The maximum length of the part of a line that is shown, in characters: a job file may be JSON on a single line.
const SHOWN: usize = 120;
/// How many characters before the offending text are shown if the line is longer than that.
const BEFORE: usize = 50;

impl Problem {
    fn new(span: Span, severity: Severity, message: String) -> Self {
        Self {
            line: span.line(),
            column: span.column(),
            text: span.text().to_owned(),
            message,
            nearest: None,
            severity,
            span: Box::new(span),
        }
    }

    /// Adds the candidate closest to the name, if one is close.
    #[must_use]
    pub fn near<'a>(mut self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        self.nearest = nearest(name, candidates);
        self
    }

    /// The same with a remark on when it is one.
    #[must_use]
    pub(crate) fn with_remark(mut self, remark: &str) -> Self {
        self.message.push_str(&format!(" ({remark})"));
        self
    }

    /// Whether the job can't run.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The message in one line, with its place.
    #[must_use]
    pub(crate) fn in_one_line(&self) -> String {
        let line = if self.line > 1 { format!(":{}", self.line) } else { String::new() };
        let at = self.span.source().file.as_ref().map_or_else(String::new, |file| format!("{file}{line}: "));
        let meant = self.nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
        format!("{at}{}{meant}", self.message)
    }

    /// Where the problem is.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    fn order(&self) -> (bool, usize) {
        if self.span.source().file.is_none() { (true, 0) } else { (false, self.span.range().start) }
    }

    /// Prints the line with the offending text, and the carets below it.
    fn excerpt(&self, f: &mut Formatter<'_>) -> FmtResult {
        let line = self.span.source().line_text(self.line);
        let length = line.chars().count();
        let before = self.column - 1;
        let skipped = if length > SHOWN { before.saturating_sub(BEFORE) } else { 0 };
        let printable = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let shown: String = line.chars().skip(skipped).take(SHOWN).map(printable).collect();
        let lead = if skipped > 0 { "... " } else { "" };
        let tail = if length > skipped + SHOWN { " ..." } else { "" };
        let number = self.line.to_string();
        let blanks: String = shown.chars().take(before - skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let under = self.text.lines().next().unwrap_or_default().chars().count();
        let carets = under.min(shown.chars().count().saturating_sub(before - skipped)).max(1);
        writeln!(f)?;
        writeln!(f, "  {number} | {lead}{shown}{tail}")?;
        write!(f, "  {:width$} | {:lead_width$}{blanks}{}", "", "", "^".repeat(carets), width = number.len(), lead_width = lead.len())
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let source = self.span.source();
        match &source.file {
            Some(file) => write!(f, "{severity}: {file}:{}:{}: {}", self.line, self.column, self.message)?,
            None => write!(f, "{severity}: --set {}: {}", source.key(), self.message)?,
        }
        if let Some(nearest) = &self.nearest {
            write!(f, ": did you mean `{nearest}`?")?;
        }
        if source.file.is_some() { self.excerpt(f) } else { Ok(()) }
    }
}

impl std::error::Error for Problem {}

impl Span {
    /// An error at this location.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.clone(), Severity::Error, message.into())
    }

    /// A warning at this location.
    #[must_use]
    pub fn warning(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.clone(), Severity::Warning, message.into())
    }
}

impl<T> Spanned<T> {
    /// An error about the whole value.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        self.span.problem(message)
    }

    /// A warning about the whole value.
    #[must_use]
    pub fn warning(&self, message: impl Into<String>) -> Problem {
        self.span.warning(message)
    }
}

impl<T: AsRef<str>> Spanned<T> {
    /// An error about a byte range of the text.
    #[must_use]
    pub fn problem_at(&self, range: Range<usize>, message: impl Into<String>) -> Problem {
        self.part(range).problem(message)
    }
}

/// All problems of one job file, in file order. Those of `--set` arguments come last.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// An empty list of problems.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    /// The name of the job file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Adds a problem at its place in the order.
    pub fn push(&mut self, problem: Problem) {
        let at = self.list.partition_point(|other| other.order() <= problem.order());
        self.list.insert(at, problem);
    }

    /// Whether the job can't run.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether there are no problems.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of problems, including warnings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Iterates over the problems in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        self.list.iter().try_for_each(|problem| writeln!(f, "{problem}"))
    }
}
