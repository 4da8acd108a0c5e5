//! How lines of text or message values become records: what their sources have in common.

use std::sync::Arc;

use tidegate_connectors::entry::OnBad;
use tidegate_rows::format::{Conversion, Layout};
use tidegate_rows::{Schema, Type};

use super::format::{self, Decoding, FormatScope, SourceFormat};
use super::kind::{Carrier, SourceScope};
use super::outside::Ask;
use super::schema::{self, SchemaField};
use crate::relation::failures::OnError;
use crate::text::{Problem, Spanned};
use crate::yaml::{Fields, Reader, Table, key, key_of};

/// The title of a source of lines or messages in the reference.
pub(crate) const TITLE: &str = "A source of lines or messages";

/// The key `format`, which the keys of the formats follow.
static FORMAT: Table = Table {
    name: "source.text",
    title: TITLE,
    keys: &[key_of(
        "format",
        || format::SOURCES.words(),
        "csv for a path in .csv, else json",
        "how a record is read from a line, or from the value of a message",
    )],
};

pub(crate) static LINES: Table = Table {
    name: "source.text",
    title: TITLE,
    keys: &[
        key("schema", "mapping", "none", "the fields, in order, each with a type or a time format"),
        key("on_bad_record", "skip | fail", "skip", "what happens to a line or message that can't be parsed"),
        key(
            "dead_letter",
            "name",
            "none",
            "names a stream of the skipped lines: { source, line, text, error }; of a message, `line` is its offset",
        ),
    ],
};

/// The keys of lines and of their formats.
pub(crate) fn tables() -> impl Iterator<Item = &'static Table> {
    std::iter::once(&FORMAT).chain(format::SOURCES.beside()).chain([&LINES])
}

/// The keys that don't affect which fields records have.
pub(crate) const ASIDE: [&str; 2] = ["on_bad_record", "dead_letter"];

/// How lines or messages become records.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The path of the files, if the lines are in files.
    pub(crate) path: Option<Spanned<String>>,
    /// The format of a line or message.
    pub(crate) format: Arc<dyn SourceFormat>,
    /// The fields, if the job file gives them. Otherwise the format determines them, or each record brings its own.
    pub schema: Option<Vec<SchemaField>>,
    /// What happens to a bad record.
    pub on_bad_record: OnError,
    /// The name of the stream of skipped lines, with the fields `source`, `line`, `text` and `error`.
    pub dead_letter: Option<Spanned<String>>,
}

/// What a bad record means to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// The data may not be what the job expects.
    Unwanted,
    /// It goes to a stream of bad records.
    Kept,
    /// Nothing: the format selects lines.
    PassedOver,
}

/// A field that a message carries besides its value.
pub(crate) struct Beside<'a> {
    pub(crate) name: &'a Spanned<String>,
    pub(crate) ty: Type,
    /// Whether it can be the event time.
    pub(crate) is_time: bool,
}

/// Planned lines.
pub(crate) struct PlannedLines {
    pub(crate) decoding: Decoding,
    pub(crate) schema: Schema,
    pub(crate) on_bad: OnBad,
    /// The slots of the fields that messages carry besides their values.
    pub(crate) slots: Vec<usize>,
    /// Whether one of those fields is the event time.
    pub(crate) timed_beside: bool,
}

pub(crate) fn read(reader: &mut Reader, fields: &Fields<'_>, carrier: Carrier, path: Option<&Spanned<String>>) -> Option<Lines> {
    let format = format::read_source(reader, fields, carrier, path);
    let schema = fields.get("schema").map(|node| schema::read(reader, node, fields));
    let actions = [("skip", OnError::Skip), ("fail", OnError::Fail)];
    let action = fields.get("on_bad_record").and_then(|node| reader.word(node, "on_bad_record", &actions));
    let dead_letter = fields.get("dead_letter").and_then(|node| reader.name(node));
    if let (Some(OnError::Fail), Some(name)) = (action.as_ref().map(|action| action.value), &dead_letter) {
        reader.push(name.warning("`dead_letter` stays empty: `on_bad_record: fail` skips no line"));
    }
    if schema.is_none() && format.as_ref().is_some_and(|format| format.needs_schema()) {
        reader.push(fields.at.problem(format!("{} has no `schema`: without a header line nothing else names the fields", fields.place)));
    }
    let on_bad_record = action.map(|action| action.value).unwrap_or_default();
    Some(Lines { path: path.cloned(), format: format?, schema, on_bad_record, dead_letter })
}

impl Lines {
    /// The fields of a record with their types, if the job file gives them.
    pub(crate) fn field_types(&self) -> Option<Vec<(&str, Type)>> {
        Some(self.schema.as_ref()?.iter().map(|field| (field.name.as_str(), field.ty.ty())).collect())
    }

    /// What planning must know about the outside.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        self.format.asks(self.path.as_ref().filter(|_| self.schema.is_none()))
    }

    /// What a bad record means.
    pub(crate) fn bad(&self) -> Bad {
        match &self.dead_letter {
            _ if self.format.picks_lines() => Bad::PassedOver,
            Some(_) => Bad::Kept,
            None => Bad::Unwanted,
        }
    }

    /// Plans the lines. `words` describes what is read; `beside` lists the fields that messages carry besides their values.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn plan(&self, scope: &SourceScope<'_>, words: &str, beside: &[Beside<'_>]) -> Result<PlannedLines, Vec<Problem>> {
        // A format that decodes fields by name leaves room for these fields in its rows.
        let room: Vec<String> = beside.iter().filter(|_| self.format.leaves_room()).map(|field| field.name.value.clone()).collect();
        let of = FormatScope { source: scope, path: self.path.as_ref(), words, room: &room };
        let mut layout = self.layout(&of)?;
        let mut schema = layout.schema().clone();
        let place = |field: &Beside<'_>| {
            // The format may already have a slot for it, of any type.
            schema.require(&field.name.value, field.ty.clone());
            schema.add(&field.name.value, field.ty.clone())
        };
        let slots = beside.iter().map(place).collect();
        let mut timed_beside = false;
        if let Some(time) = scope.event_time {
            match beside.iter().find(|field| field.name.value == time.field.value) {
                Some(field) if field.is_time => timed_beside = true,
                Some(_) => {
                    let message = format!("the field `{}` is no time: of a message only `timestamp` is", time.field.value);
                    return Err(vec![time.field.problem(message)]);
                }
                None => {
                    layout = timed(layout, scope)?;
                    // A record without it is a bad one, so every row has it.
                    if let Some(field) = layout.schema().named(&time.field.value) {
                        schema.require(&field.name, field.ty.clone());
                    }
                }
            }
        }
        if let Some(field) = scope.event_time.and_then(|time| time.watermark_field.as_ref()) {
            layout = layout.with_watermark_field(field.value.clone());
        }
        let on_bad = match (&self.dead_letter, self.on_bad_record) {
            (Some(_), _) => OnBad::Keep,
            (None, OnError::Skip) => OnBad::Skip,
            (None, OnError::Fail) => OnBad::Fail,
        };
        let decoding = self.format.decoding(layout, scope.name, scope.answers)?;
        Ok(PlannedLines { decoding, schema, on_bad, slots, timed_beside })
    }

    fn layout(&self, scope: &FormatScope<'_>) -> Result<Layout, Vec<Problem>> {
        let Some(schema) = &self.schema else { return self.format.layout(scope) };
        let mut fields = schema::conversions(schema)?;
        fields.extend(scope.room.iter().map(|name| (name.clone(), Conversion::Any)));
        Ok(Layout::new(fields))
    }
}

/// Marks the source's event time field in `layout`.
fn timed(layout: Layout, scope: &SourceScope<'_>) -> Result<Layout, Vec<Problem>> {
    let Some(time) = scope.event_time else { return Ok(layout) };
    if layout.schema().slot(&time.field.value).is_none() {
        let problem = time.field.problem(format!("no field `{}` in source `{}`", time.field.value, scope.name.value));
        return Err(vec![problem.near(&time.field.value, layout.schema().names())]);
    }
    layout.with_event_time(&time.field.value, time.unit).map_err(|e| vec![time.field.problem(e)])
}
