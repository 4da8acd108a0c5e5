//! Formats: what a line or message means, and how a record becomes one.
//!
//! A format is a file: it knows its keys, reads them, and makes a decoder, an encoder, or both. To add one, write the file and name it in [`FORMATS`].

mod avro;
mod csv;
mod json;
mod regex;
mod table;
mod text;

#[cfg(all(test, feature = "kafka"))]
pub(crate) use avro::{AvroSink, AvroSource};
#[cfg(test)]
pub(crate) use {csv::Csv, text::Text};

pub(crate) use csv::{DELIMITER, HEADER};

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use tidegate_connectors::message::{AnyMessageEncoder, AnyMessageFormat};
use tidegate_rows::format::{AnyEncoder, AnyFormat, Layout, Timestamps};

use super::kind::{Carrier, SinkScope, SourceScope};
use super::outside::{Answers, Ask};
use crate::text::{Problem, Span, Spanned};
use crate::yaml::{Fields, Node, Reader, Table, Value, scalar};

/// The formats there are.
static FORMATS: [&Format; 6] = [&json::FORMAT, &csv::FORMAT, &text::FORMAT, &table::FORMAT, &regex::FORMAT, &avro::FORMAT];

/// A format: what may stand behind `format:`. Each side is optional.
pub(crate) struct Format {
    /// The word of job files.
    pub(crate) name: &'static str,
    pub(crate) source: Option<Side<dyn SourceFormat>>,
    pub(crate) sink: Option<Side<dyn SinkFormat>>,
}

/// How a format is read, of a source or of a sink.
pub(crate) struct Side<F: ?Sized> {
    /// Set if `format` is a mapping with the name of the format in it.
    pub(crate) mapped: Option<Mapped>,
    /// Its keys beside `format`.
    pub(crate) beside: &'static [&'static Table],
    /// The keys of the mapping behind its name.
    pub(crate) within: &'static [&'static Table],
    pub(crate) read: fn(&mut Reader, &Said<'_, '_>) -> Option<Arc<F>>,
}

/// A format that takes more than a word.
pub(crate) struct Mapped {
    /// The key in `format`.
    pub(crate) table: &'static Table,
    /// The form and an example of it, for those who write the name alone.
    pub(crate) bare: &'static str,
}

/// What a job file says of a format.
pub(crate) struct Said<'a, 'n> {
    /// The keys of the source, the table or the sink.
    pub(crate) fields: &'a Fields<'n>,
    /// What stands behind the format's name, where that is a key, and where the key stands.
    pub(crate) value: Option<(&'n Node, &'n Span)>,
    /// What records travel in.
    pub(crate) carrier: Carrier,
}

/// How records are decoded, as a job file says it.
pub(crate) trait SourceFormat: Any + Debug + Send + Sync {
    /// Whether nothing but a `schema` can name the fields.
    fn needs_schema(&self) -> bool {
        false
    }

    /// Whether its decoder leaves room in a row for fields that are added to it.
    fn leaves_room(&self) -> bool {
        false
    }

    /// Whether the rows of a table can be in it.
    fn is_of_tables(&self) -> bool {
        false
    }

    /// Whether it picks the lines it is for, and others are no mistake.
    fn picks_lines(&self) -> bool {
        false
    }

    /// What must be known of the outside to plan it. `headed` is the path of the files if nothing but these names their fields.
    fn asks(&self, _headed: Option<&Spanned<String>>) -> Vec<Ask> {
        Vec::new()
    }

    /// The fields of a record where the job file gives no `schema`.
    ///
    /// # Errors
    /// Why they can't be told.
    fn layout(&self, scope: &FormatScope<'_>) -> Result<Layout, Vec<Problem>>;

    /// Decodes records of this layout, `of` the source or table that is called so.
    ///
    /// # Errors
    /// Why it can't.
    fn decoding(&self, layout: Layout, of: &Spanned<String>, answers: &Answers) -> Result<Decoding, Vec<Problem>>;
}

/// What the format of a source is planned in.
pub(crate) struct FormatScope<'a> {
    pub(crate) source: &'a SourceScope<'a>,
    /// The path of the files, if records are in files.
    pub(crate) path: Option<&'a Spanned<String>>,
    /// What is read, in a few words.
    pub(crate) words: &'a str,
    /// The fields that will be added to a row.
    pub(crate) room: &'a [String],
}

impl FormatScope<'_> {
    /// The layout of records that bring their own fields: those that the job asks for are told apart from the rest.
    pub(crate) fn open(&self) -> Layout {
        let time = self.source.event_time.iter().map(|time| time.field.value.clone());
        Layout::open(self.source.asked.of(&self.source.name.value).map(str::to_owned).chain(time).chain(self.room.iter().cloned()))
    }
}

/// How records are encoded, as a job file says it.
pub(crate) trait SinkFormat: Any + Debug + Send + Sync {
    /// The fields it names.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// How the names of files in this format end.
    fn ending(&self) -> &'static str {
        "jsonl"
    }

    /// What must be known of the outside to plan it.
    fn asks(&self) -> Vec<Ask> {
        Vec::new()
    }

    /// How times are written if the job file does not say.
    fn timestamps(&self, _: &Answers) -> Timestamps {
        Timestamps::Millis
    }

    /// Encodes records of the sink's schema.
    ///
    /// # Errors
    /// Why it can't.
    fn encoding(&self, scope: &SinkScope<'_>) -> Result<Encoding, Vec<Problem>>;
}

/// A format of records that come in.
pub(crate) enum Decoding {
    /// Of lines; each can be the value of a message, too.
    Lines(AnyFormat),
    /// Of messages only.
    Messages(AnyMessageFormat),
}

impl Decoding {
    /// As a format of lines.
    ///
    /// # Errors
    /// It is none: the reader of the job file has seen to it that this does not happen.
    pub(crate) fn lines(self, source: &Spanned<String>) -> Result<AnyFormat, Vec<Problem>> {
        match self {
            Self::Lines(format) => Ok(format),
            Self::Messages(_) => Err(vec![source.problem("this format is of messages, and lines are read here")]),
        }
    }

    /// As a format of messages.
    pub(crate) fn messages(self) -> AnyMessageFormat {
        match self {
            Self::Lines(format) => AnyMessageFormat::new(format),
            Self::Messages(format) => format,
        }
    }
}

/// A format of records that go out.
pub(crate) enum Encoding {
    /// Of lines; each can be the value of a message, too.
    Lines(AnyEncoder),
    /// Of messages only.
    Messages(AnyMessageEncoder),
}

impl Encoding {
    /// As an encoder of lines.
    ///
    /// # Errors
    /// It is none: the reader of the job file has seen to it that this does not happen.
    pub(crate) fn lines(self, sink: &Spanned<String>) -> Result<AnyEncoder, Vec<Problem>> {
        match self {
            Self::Lines(encoder) => Ok(encoder),
            Self::Messages(_) => Err(vec![sink.problem("this format is of messages, and lines are written here")]),
        }
    }

    /// As an encoder of messages.
    pub(crate) fn messages(self) -> AnyMessageEncoder {
        match self {
            Self::Lines(encoder) => AnyMessageEncoder::new(encoder),
            Self::Messages(encoder) => encoder,
        }
    }
}

/// A format that writes fields by name can't write records whose fields are not known.
fn fields_unknown(scope: &SinkScope<'_>, format: &str) -> Problem {
    scope.owner.name.problem(format!(
        "`format: {format}` writes fields by name, and those of these records are not known before they come: name them, with a `schema` of the \
         source or in `select`"
    ))
}

/// The format of a source or a table.
pub(crate) fn read_source(
    reader: &mut Reader,
    fields: &Fields<'_>,
    carrier: Carrier,
    path: Option<&Spanned<String>>,
) -> Option<Arc<dyn SourceFormat>> {
    let default = if path.is_some_and(|path| csv::is_path(&path.value)) { &csv::FORMAT } else { &json::FORMAT };
    read(reader, fields, carrier, default, |format| format.source.as_ref())
}

/// The format of a sink.
pub(crate) fn read_sink(reader: &mut Reader, fields: &Fields<'_>, carrier: Carrier) -> Option<Arc<dyn SinkFormat>> {
    let default = if carrier == Carrier::Terminal { &table::FORMAT } else { &json::FORMAT };
    read(reader, fields, carrier, default, |format| format.sink.as_ref())
}

/// Reads a format, the `default` if the job file names none, and points out keys of other formats.
fn read<F: ?Sized + 'static>(
    reader: &mut Reader,
    fields: &Fields<'_>,
    carrier: Carrier,
    default: &'static Format,
    side: fn(&'static Format) -> Option<&'static Side<F>>,
) -> Option<Arc<F>> {
    let sides = || FORMATS.into_iter().filter_map(move |format| Some((format, side(format)?)));
    let (mut value, mut chosen) = (None, default);
    match fields.get("format") {
        None => {}
        Some(node) if matches!(node.value, Value::Map(_)) => {
            let found = read_mapped(reader, fields, node, sides().filter_map(|(format, side)| Some((format, side.mapped.as_ref()?))));
            chosen = found.map_or(default, |(format, _)| format);
            value = found.map(|(_, value)| value);
            if found.is_none() {
                foreign_keys(reader, fields, sides().map(|(format, side)| (format.name, side.beside)));
                return None;
            }
        }
        Some(node) => {
            if let Some((_, mapped)) =
                sides().find_map(|(format, side)| Some((format, side.mapped.as_ref().filter(|_| scalar(node) == Some(format.name))?)))
            {
                return reader.fail(&node.span, mapped.bare);
            }
            let words: Vec<_> = sides().filter(|(_, side)| side.mapped.is_none()).map(|(format, _)| (format.name, format)).collect();
            chosen = reader.word(node, "format", &words)?.value;
        }
    }
    foreign_keys(reader, fields, sides().filter(|(format, _)| format.name != chosen.name).map(|(format, side)| (format.name, side.beside)));
    (side(chosen)?.read)(reader, &Said { fields, value, carrier })
}

/// The format in a mapping: its name is the only key.
fn read_mapped<'n>(
    reader: &mut Reader,
    fields: &Fields<'n>,
    node: &'n Node,
    formats: impl Iterator<Item = (&'static Format, &'static Mapped)>,
) -> Option<(&'static Format, (&'n Node, &'n Span))> {
    let (formats, tables): (Vec<&'static Format>, Vec<&'static Table>) = formats.map(|(format, mapped)| (format, mapped.table)).unzip();
    let names: Vec<&str> = formats.iter().map(|format| format.name).collect();
    let inner = reader.fields(node, fields.key("format")?, &tables, "`format`")?;
    let given = |format: &&'static Format| Some((*format, inner.get(format.name).zip(inner.key(format.name))?));
    let mut given: Vec<_> = formats.iter().filter_map(given).collect();
    match given.len() {
        0 if inner.is_meant(&names) => None,
        0 => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            reader.fail(&inner.at, format!("`format` has no {}", names.join(" or ")))
        }
        1 => given.pop(),
        _ => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let at = given.first().map_or(&inner.at, |(_, (_, at))| *at);
            reader.fail(at, format!("`format` is one of {}", names.join(" and ")))
        }
    }
}

/// Points out keys that belong to these formats.
fn foreign_keys(reader: &mut Reader, fields: &Fields<'_>, formats: impl Iterator<Item = (&'static str, &'static [&'static Table])>) {
    for (name, tables) in formats {
        for key in tables.iter().flat_map(|table| table.keys) {
            if let Some(at) = fields.key(key.name) {
                reader.push(at.problem(format!("`{}` belongs to `format: {name}`", key.name)));
            }
        }
    }
}

/// The keys of formats beside `format`, in a source.
pub(crate) fn beside_sources() -> impl Iterator<Item = &'static Table> {
    FORMATS.into_iter().filter_map(|format| format.source.as_ref()).flat_map(|side| side.beside.iter().copied())
}

/// The same in a sink.
pub(crate) fn beside_sinks() -> impl Iterator<Item = &'static Table> {
    FORMATS.into_iter().filter_map(|format| format.sink.as_ref()).flat_map(|side| side.beside.iter().copied())
}

/// The keys of `format` of a source, and of what stands in it, for the reference.
pub(crate) fn in_sources() -> impl Iterator<Item = &'static Table> {
    let sides = || FORMATS.into_iter().filter_map(|format| format.source.as_ref());
    let mapped = sides().filter_map(|side| side.mapped.as_ref()).map(|mapped| mapped.table);
    mapped.chain(sides().flat_map(|side| side.within.iter().copied()))
}

/// The same of a sink.
pub(crate) fn in_sinks() -> impl Iterator<Item = &'static Table> {
    let sides = || FORMATS.into_iter().filter_map(|format| format.sink.as_ref());
    let mapped = sides().filter_map(|side| side.mapped.as_ref()).map(|mapped| mapped.table);
    mapped.chain(sides().flat_map(|side| side.within.iter().copied()))
}

/// The formats of sources, for the reference.
pub(crate) fn source_words() -> String {
    words(|format| format.source.as_ref())
}

/// The formats of sinks, for the reference.
pub(crate) fn sink_words() -> String {
    words(|format| format.sink.as_ref())
}

fn words<F: ?Sized + 'static>(side: fn(&'static Format) -> Option<&'static Side<F>>) -> String {
    let word = |format: &'static Format| {
        let key = side(format)?.mapped.as_ref().map(|mapped| mapped.table.keys.iter().map(crate::yaml::Key::in_words).collect::<String>());
        Some(key.map_or_else(|| format.name.to_owned(), |key| format!("{{ {key} }}")))
    };
    FORMATS.into_iter().filter_map(word).collect::<Vec<_>>().join(" | ")
}
