//! Indicators and patterns, as the job file or versions have them.

use serde_json::Value as Json;
use tidegate_cep::Contiguity;
use tidegate_expr::identifiers;
use tidegate_rules::Change;

use super::super::document::{Wrong, parse};
use super::super::named::{All, Missing, Named, ReadOne, all, put};
use crate::file::path_steps;
use crate::stage::indicators::{self, Indicator};
use crate::stage::pattern::{self, Pattern};
use crate::text::{Source, Spanned};
use crate::yaml::{Node, Reader, Table, Value, key};

pub(crate) static SOUGHT: Table = Table {
    name: "pattern of rules",
    title: "A pattern of rules",
    keys: &[key("key", "expression | [expression, ...]", "the stream's `key`", "what it groups by; `[]` for the whole stream")],
};

/// A pattern, and what it groups by if that is not the stream's key.
#[derive(Clone, Debug)]
pub(in super::super) struct SoughtText {
    pub(super) key: Option<Vec<Spanned<String>>>,
    pub(super) pattern: Pattern,
}

/// All features of the rules of a stream.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct FeatureTexts {
    /// Whether the job file has a place for them. Otherwise there is no operator that could compute any.
    pub(in super::super) given: bool,
    pub(super) indicators: All<Indicator>,
    pub(super) patterns: All<SoughtText>,
}

const KINDS: [&str; 2] = ["indicators", "patterns"];

impl FeatureTexts {
    /// Whether a path is of a feature.
    pub(in super::super) fn has_path(path: &str) -> bool {
        KINDS.contains(&path.split('.').next().unwrap_or_default())
    }

    /// Reads the features under `indicators` and `patterns` of `rules`.
    pub(in super::super) fn read(reader: &mut Reader, indicators: Option<&Node>, patterns: Option<&Node>) -> Option<Self> {
        let given = indicators.is_some() || patterns.is_some();
        let indicators = read_all(reader, indicators, read_indicator);
        let patterns = read_all(reader, patterns, read_pattern);
        Some(Self { given, indicators: indicators?, patterns: patterns? })
    }

    /// All texts that may name fields.
    pub(in super::super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        names.extend(self.indicators.iter().flat_map(|named| named.read.names_asked()));
        for Named { read, .. } in self.patterns.iter().map(|named| &**named) {
            names.extend(pattern::texts(&read.pattern).iter().flat_map(|text| identifiers(text)));
            names.extend(read.key.iter().flatten().flat_map(|text| identifiers(&text.value)));
        }
        names
    }

    /// Each feature as JSON, under its path.
    pub(in super::super) fn json(&self) -> Vec<(String, Json)> {
        let indicators = self.indicators.iter().map(|named| (format!("indicators.{}", named.name.value), named.json()));
        indicators.chain(self.patterns.iter().map(|named| (format!("patterns.{}", named.name.value), named.json()))).collect()
    }

    /// Applies a change, if it is one of a feature. With `again`, it has been applied before, and what it removes may be gone.
    pub(in super::super) fn apply(&mut self, change: &Change, again: bool) -> Result<(), Wrong> {
        let (path, value) = match change {
            Change::Set { path, value } => (path, Some(value)),
            Change::Remove { path } => (path, None),
            Change::Add { .. } | Change::Drop { .. } | Change::Clear { .. } => return Ok(()),
        };
        if !Self::has_path(path) {
            return Ok(());
        }
        let at = Source::new(Some(path), path);
        let steps = path_steps(&at).map_err(|problem| vec![problem])?;
        let wrong = |text: String| vec![at.span(0..path.len()).problem(text)];
        let [kind, name, below @ ..] = steps.as_slice() else {
            return Err(wrong(format!("expected the name of one of the {path}, as in `{path}.fails_5m`")));
        };
        if !self.given {
            let kind = &kind.value;
            return Err(wrong(format!(
                "the rules of this job have no place for `{kind}`: write `{kind}: {{}}` beside `scenarios` in the job file, and go on from a savepoint"
            )));
        }
        let value = value.map(|value| parse(path, value)).transpose()?;
        let removes = value.is_none();
        let found = if kind.value == "indicators" {
            put(&mut self.indicators, name, below, value, (read_indicator, Missing::Refused))?
        } else {
            put(&mut self.patterns, name, below, value, (read_pattern, Missing::Refused))?
        };
        if removes && !found && !again { Err(wrong("there is nothing here to remove".to_owned())) } else { Ok(()) }
    }
}

fn read_all<T>(reader: &mut Reader, node: Option<&Node>, read: ReadOne<T>) -> Option<All<T>> {
    match node.filter(|node| !node.is_null()) {
        Some(node) => all(reader, node, "a mapping from names to features", read),
        None => Some(Vec::new()),
    }
}

fn read_indicator(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<Indicator> {
    let indicator = indicators::read_one(reader, name, node, &[])?;
    if let Some(from) = &indicator.from {
        let message = "an indicator of rules is over their own stream: let those of other streams be in a stream before";
        return reader.fail(&from.span, message);
    }
    Some(indicator)
}

fn read_pattern(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<SoughtText> {
    let name = reader.field_name(name)?;
    let place = format!("the pattern `{}`", name.value);
    let before = reader.problems.len();
    let pattern = pattern::read_shape(reader, node, &name.span, &place, &[&SOUGHT, pattern::KEYS])?.stage;
    let Value::Map(entries) = &node.value else { return None };
    let of = |key: &str| entries.iter().find(|entry| entry.key.value == key);
    for (key, why) in [
        ("time", "it goes by the order of the records, as the rules do"),
        ("tie_break", "records of the same time are in the order of the stream"),
    ] {
        if let Some(entry) = of(key) {
            reader.push(entry.key.span.problem(format!("`{key}` is not for a pattern of rules: {why}")));
        }
    }
    if let Some(last) = pattern.shape.steps.last()
        && matches!(last.contiguity, Contiguity::NotNext | Contiguity::NotFollowedBy)
    {
        let at = of("steps").map_or(&name.span, |entry| &entry.key.span);
        let message = "a pattern that ends with what must not happen is complete when time is up, and then there is no record to decide about: \
                       find it in a stream of its own, with `pattern`";
        reader.push(at.problem(message));
    }
    let key = of("key").map(|entry| match &entry.value.value {
        Value::List(items) if items.is_empty() => Vec::new(),
        _ => reader.one_or_more(&entry.value, "a field, an expression"),
    });
    (reader.problems.len() == before).then_some(SoughtText { key, pattern })
}
