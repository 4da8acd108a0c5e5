//! Reads values from the tree. Each reader returns the value with its location, or records a problem and returns
//! nothing, so that one pass over a file finds every problem.

use std::collections::HashSet;
use std::ops::RangeBounds;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::cut;
use super::foreign;
use super::keys::Table;
use super::not_yet;
use super::tree::{Entry, Node, Value};
use super::values::{self, Literal};
use crate::text::{Problem, Severity, Span, Spanned};
use tidegate_expr::nearest;

/// The problems found so far, and the readers.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) problems: Vec<Problem>,
    broken: Broken,
}

/// The entries of sections that are known to have errors. Analysing them further would only report consequences of
/// those errors.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Broken(HashSet<(&'static str, String)>);

impl Broken {
    /// Whether this entry is known to have an error.
    pub(crate) fn has(&self, section: &'static str, name: &str) -> bool {
        self.0.contains(&(section, name.to_owned()))
    }
}

/// A mapping whose keys have been checked against its tables.
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    /// Where to point if a key is missing: the key of the mapping itself.
    pub(crate) at: Span,
    /// What the mapping is, for messages: "stream `fails`".
    pub(crate) place: String,
    /// Whether a key asks for something that this version does not support yet.
    pub(crate) missing: bool,
    /// The keys that unknown keys were probably meant to be, possibly with a value: `times: { min: 1 }`.
    meant: Vec<String>,
    /// How many keys are unknown.
    unknown: usize,
}

impl<'n> Fields<'n> {
    /// The value of a key. A null counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value of a key for which null is a mistake: a `where` that a template left empty must not let everything
    /// through.
    pub(crate) fn written(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key.value == key).map(|entry| &entry.value)
    }

    /// The span of a key.
    pub(crate) fn key(&self, key: &str) -> Option<&'n Span> {
        self.entry(key).map(|entry| &entry.key.span)
    }

    /// Those of `keys` that are given.
    pub(crate) fn given(&self, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|key| self.entry(key).is_some()).collect()
    }

    /// Whether an unknown key was probably meant to be one of these.
    pub(crate) fn is_meant(&self, keys: &[&str]) -> bool {
        self.meant.iter().any(|meant| keys.iter().any(|key| meant.split(':').next() == Some(*key)))
    }

    /// Whether every key is known, or was probably meant to be one of these.
    pub(crate) fn knows_all_but(&self, keys: &[&str]) -> bool {
        self.unknown == self.meant.iter().filter(|meant| keys.iter().any(|key| meant.split(':').next() == Some(*key))).count()
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key.value == key && !entry.value.is_null())
    }
}

/// The problem of a key that is in none of the tables. It suggests the key that was probably meant, or else lists the
/// valid ones.
fn unknown_key(key: &Spanned<String>, tables: &[&'static Table], place: &str) -> Problem {
    let name = key.value.as_str();
    let known = || tables.iter().flat_map(|table| table.keys.iter().map(move |known| (table.name, known.name)));
    let mut problem = key.problem(format!("unknown key `{name}` in {place}"));
    let foreign = tables.iter().find_map(|table| foreign::key(table.name, name));
    problem.nearest = foreign.or_else(|| nearest(name, known().map(|(_, known)| known)));
    if problem.nearest.is_none() {
        let there: Vec<String> =
            known().filter(|(table, known)| not_yet::missing(table, known).is_none()).map(|(_, known)| format!("`{known}`")).collect();
        problem.message.push_str(&format!("; there are {}", there.join(", ")));
    }
    problem
}

impl Reader {
    /// Runs `read` and attributes the errors it reports to this entry of a section.
    pub(crate) fn within<T>(&mut self, section: &'static str, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.problems.len();
        let read = read(self);
        if self.problems.iter().skip(before).any(|problem| problem.severity == Severity::Error) {
            self.broken.0.insert((section, name.to_owned()));
        }
        read
    }

    /// The entries known to have errors so far.
    pub(crate) fn broken(&self) -> &Broken {
        &self.broken
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Records an error and returns `None`.
    pub(crate) fn fail<T>(&mut self, span: &Span, message: impl Into<String>) -> Option<T> {
        self.push(span.problem(message));
        None
    }

    /// Records the error "expected X, found Y".
    pub(crate) fn wrong<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        self.fail(&node.span, format!("expected {expected}, found {}", describe(node)))
    }

    /// The entries of a mapping.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Map(entries) => {
                let cuts: Vec<Problem> = cut::in_entries(entries).collect();
                let whole = cuts.is_empty().then_some(entries.as_slice());
                self.problems.extend(cuts);
                whole
            }
            Value::Scalar { .. } | Value::List(_) => self.wrong(node, expected),
        }
    }

    /// A mapping whose keys are checked against these tables.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, at: &Span, tables: &[&'static Table], place: &str) -> Option<Fields<'n>> {
        let entries = self.entries(node, &format!("a mapping for {place}"))?;
        let mut missing = false;
        let (mut meant, mut unknown) = (Vec::new(), 0);
        for Entry { key, .. } in entries {
            let name = key.value.as_str();
            let Some(table) = tables.iter().find(|table| table.keys.iter().any(|known| known.name == name)) else {
                let problem = unknown_key(key, tables, place);
                meant.extend(problem.nearest.clone());
                unknown += 1;
                self.push(problem);
                continue;
            };
            if let Some(message) = not_yet::missing(table.name, name) {
                missing = true;
                self.push(key.problem(message));
            }
        }
        Some(Fields { entries, at: at.clone(), place: place.to_owned(), missing, meant, unknown })
    }

    /// The name of a field to be written into records: any non-empty text.
    pub(crate) fn field_name(&mut self, name: &Spanned<String>) -> Option<Spanned<String>> {
        if name.value.is_empty() { self.fail(&name.span, "a field needs a name") } else { Some(name.clone()) }
    }

    /// The value of a required key. If it is missing, reports that, unless a typo of it has already been reported.
    pub(crate) fn required<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() && !fields.is_meant(&[key]) {
            self.push(fields.at.problem(format!("{} has no `{key}`", fields.place)));
        }
        found
    }

    /// Any text that is neither null nor blank.
    pub(crate) fn text(&mut self, node: &Node, expected: &str) -> Option<Spanned<String>> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() && !text.trim().is_empty() => Some(Spanned::new(text.clone(), node.span.clone())),
            _ => self.wrong(node, expected),
        }
    }

    /// The name of a source or a stream.
    pub(crate) fn name(&mut self, node: &Node) -> Option<Spanned<String>> {
        let text = self.text(node, "a name")?;
        self.checked_name(text)
    }

    /// Checks that a name is valid.
    pub(crate) fn checked_name(&mut self, text: Spanned<String>) -> Option<Spanned<String>> {
        if values::is_name(&text.value) {
            return Some(text);
        }
        self.fail(&text.span, format!("`{}` is no name: a name is letters, digits, `_` and `-`, and begins with no digit", text.value))
    }

    /// One text or a list of texts. Empty only after a problem.
    pub(crate) fn one_or_more(&mut self, node: &Node, expected: &str) -> Vec<Spanned<String>> {
        match &node.value {
            Value::List(items) if items.is_empty() => {
                self.push(node.span.problem(format!("expected {expected} or a list of them, found an empty list")));
                Vec::new()
            }
            Value::List(items) => {
                let cuts: Vec<Problem> = cut::in_items(items).collect();
                if !cuts.is_empty() {
                    self.problems.extend(cuts);
                    return Vec::new();
                }
                let mut found: Vec<Spanned<String>> = Vec::new();
                for text in items.iter().filter_map(|item| self.text(item, expected)).collect::<Vec<_>>() {
                    if found.contains(&text) {
                        self.push(text.problem(format!("`{}` stands twice in the list", text.value)));
                    } else {
                        found.push(text);
                    }
                }
                found
            }
            _ => self.text(node, &format!("{expected} or a list of them")).into_iter().collect(),
        }
    }

    /// A duration within a range.
    pub(crate) fn duration(&mut self, node: &Node, range: impl RangeBounds<SignedDuration>, rule: &str) -> Option<Spanned<SignedDuration>> {
        let Some(span) = scalar(node).and_then(values::parse_duration) else {
            if scalar(node).is_some_and(values::is_too_long) {
                return self
                    .fail(&node.span, format!("the duration `{}` is too long: the longest is 106751d, 292 years", node.span.text()));
            }
            let meant = scalar(node).and_then(foreign::duration);
            let mut problem = node.span.problem(format!("expected a duration such as `5s`, found {}", describe(node)));
            problem.nearest = meant;
            self.push(problem);
            return None;
        };
        if !range.contains(&span) {
            return self.fail(&node.span, format!("the duration `{}` is out of range: {rule}", node.span.text()));
        }
        Some(Spanned::new(span, node.span.clone()))
    }

    /// A duration of zero or more.
    pub(crate) fn span(&mut self, node: &Node) -> Option<Spanned<SignedDuration>> {
        self.duration(node, SignedDuration::ZERO.., "it must not be negative")
    }

    /// A duration above zero.
    pub(crate) fn positive(&mut self, node: &Node) -> Option<Spanned<SignedDuration>> {
        self.duration(node, SignedDuration::from_nanos(1).., "it must be above zero")
    }

    /// A duration of zero or more, or `none`.
    pub(crate) fn optional_span(&mut self, node: &Node) -> Option<Spanned<SignedDuration>> {
        if scalar(node) == Some("none") { None } else { self.span(node) }
    }

    /// A size in bytes, above zero.
    pub(crate) fn size(&mut self, node: &Node) -> Option<Spanned<u64>> {
        match scalar(node).and_then(values::parse_size) {
            Some(size) if size > 0 => Some(Spanned::new(size, node.span.clone())),
            _ => self.wrong(node, "a size such as `512MiB`"),
        }
    }

    /// A whole number within a range.
    pub(crate) fn count(&mut self, node: &Node, low: u64, high: u64) -> Option<Spanned<u64>> {
        match scalar(node).and_then(|text| text.parse().ok()) {
            Some(count) if (low..=high).contains(&count) => Some(Spanned::new(count, node.span.clone())),
            _ if high == u64::MAX => self.wrong(node, &format!("a whole number from {low} up")),
            _ => self.wrong(node, &format!("a whole number from {low} to {high}")),
        }
    }

    /// A finite number.
    pub(crate) fn number(&mut self, node: &Node) -> Option<Spanned<f64>> {
        match literal(node) {
            #[expect(clippy::cast_precision_loss, reason = "a number in a job file is meant roughly where it is this large")]
            Some(Literal::Int(int)) => Some(Spanned::new(int as f64, node.span.clone())),
            Some(Literal::Double(double)) => Some(Spanned::new(double, node.span.clone())),
            _ => self.wrong(node, "a number"),
        }
    }

    /// The name of a time zone.
    pub(crate) fn zone(&mut self, node: &Node) -> Option<Spanned<String>> {
        match scalar(node) {
            Some(zone) if zone == "UTC" || TimeZone::get(zone).is_ok() => Some(Spanned::new(zone.to_owned(), node.span.clone())),
            _ => self.wrong(node, "a time zone such as `UTC` or `Europe/Paris`"),
        }
    }

    /// `true` or `false`.
    pub(crate) fn bool(&mut self, node: &Node) -> Option<Spanned<bool>> {
        match literal(node) {
            Some(Literal::Bool(bool)) => Some(Spanned::new(bool, node.span.clone())),
            _ => self.wrong(node, "`true` or `false`"),
        }
    }

    /// The value `true`, for keys that can only be switched on.
    pub(crate) fn asked(&mut self, node: &Node, key: &str) -> Option<()> {
        let asked = self.bool(node)?;
        if asked.value { Some(()) } else { self.fail(&asked.span, format!("`{key}` can only be `true`")) }
    }

    /// One of several words. `table` lists the words that this version does not support yet.
    pub(crate) fn word<T: Copy>(&mut self, node: &Node, table: &'static str, words: &[(&'static str, T)]) -> Option<Spanned<T>> {
        let text = scalar(node);
        if let Some(message) = text.and_then(|text| not_yet::missing(table, text)) {
            return self.fail(&node.span, message);
        }
        if let Some((_, value)) = words.iter().find(|(word, _)| text == Some(word)) {
            return Some(Spanned::new(*value, node.span.clone()));
        }
        let listed: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let expected = format!("expected {}, found {}", listed.join(" or "), describe(node));
        let known = words.iter().map(|(word, _)| *word).chain(not_yet::names(table));
        let mut problem = node.span.problem(expected).near(text.unwrap_or_default(), known);
        if let Some(ours) = text.and_then(|text| foreign::word(table, text)) {
            problem.nearest = Some(ours.to_owned());
        }
        self.push(problem);
        None
    }

    /// A list of exactly two values.
    pub(crate) fn pair<'n>(&mut self, node: &'n Node, expected: &str) -> Option<(&'n Node, &'n Node)> {
        match &node.value {
            Value::List(items) if items.len() == 2 => items.first().zip(items.get(1)),
            _ => self.wrong(node, expected),
        }
    }

    /// A scalar, interpreted as YAML does.
    pub(crate) fn literal(&mut self, node: &Node) -> Option<Literal> {
        literal(node).or_else(|| self.wrong(node, "a single value"))
    }
}

/// The text of a scalar.
pub(crate) fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        Value::List(_) | Value::Map(_) => None,
    }
}

fn literal(node: &Node) -> Option<Literal> {
    match &node.value {
        Value::Scalar { text, plain } => Some(Literal::read(text, *plain)),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// A description of a node for "found ...".
fn describe(node: &Node) -> String {
    match &node.value {
        _ if node.is_null() => "nothing".to_owned(),
        Value::Scalar { text, .. } if text.is_empty() => "an empty text".to_owned(),
        Value::Scalar { text, .. } => {
            let first = text.lines().next().unwrap_or_default();
            let short: String = first.chars().take(40).collect();
            format!("`{short}{}`", if short.len() < text.len() { "..." } else { "" })
        }
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}
