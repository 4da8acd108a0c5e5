//! Formats: how a line or message becomes a record, and how a record becomes a line or message.
//!
//! A format is a file: it knows its keys, reads them, and makes a decoder, an encoder, or both. To add one, write
//! the file and list it in [`FORMATS`].

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

/// All formats.
static FORMATS: [&Format; 6] = [&json::FORMAT, &csv::FORMAT, &text::FORMAT, &table::FORMAT, &regex::FORMAT, &avro::FORMAT];

/// A format: what may follow `format:`. Each side is optional.
pub(crate) struct Format {
    /// Its name in job files.
    pub(crate) name: &'static str,
    pub(crate) source: Option<Side<dyn SourceFormat>>,
    pub(crate) sink: Option<Side<dyn SinkFormat>>,
}

/// How a format is read from a source or a sink.
pub(crate) struct Side<F: ?Sized> {
    /// Set if `format` must be a mapping with the format's name as its key.
    pub(crate) mapped: Option<Mapped>,
    /// Its keys next to `format`.
    pub(crate) beside: &'static [&'static Table],
    /// The keys of the mapping under its name.
    pub(crate) within: &'static [&'static Table],
    pub(crate) read: fn(&mut Reader, &Said<'_, '_>) -> Option<Arc<F>>,
}

/// A format that needs more than its name.
pub(crate) struct Mapped {
    /// Its key under `format`.
    pub(crate) table: &'static Table,
    /// The message for a name on its own: the expected form, with an example.
    pub(crate) bare: &'static str,
}

/// What a job file says about a format.
pub(crate) struct Said<'a, 'n> {
    /// The keys of the source, table or sink.
    pub(crate) fields: &'a Fields<'n>,
    /// The value under the format's name and the span of that key, if `format` is a mapping.
    pub(crate) value: Option<(&'n Node, &'n Span)>,
    /// Where the records travel.
    pub(crate) carrier: Carrier,
}

/// The format of a source or table, as read from a job file.
pub(crate) trait SourceFormat: Any + Debug + Send + Sync {
    /// Whether the fields can be named only by a `schema`.
    fn needs_schema(&self) -> bool {
        false
    }

    /// Whether its decoder leaves room in a row for fields that are added later.
    fn leaves_room(&self) -> bool {
        false
    }

    /// Whether a table can be in this format.
    fn is_of_tables(&self) -> bool {
        false
    }

    /// Whether the format selects lines, so that lines it doesn't match are not mistakes.
    fn picks_lines(&self) -> bool {
        false
    }

    /// What planning must know about the outside. `headed` is the path of the files if nothing but their header names the fields.
    fn asks(&self, _headed: Option<&Spanned<String>>) -> Vec<Ask> {
        Vec::new()
    }

    /// The layout of a record if the job file gives no `schema`.
    ///
    /// # Errors
    /// If the fields can't be determined.
    fn layout(&self, scope: &FormatScope<'_>) -> Result<Layout, Vec<Problem>>;

    /// Makes a decoder for records of this layout. `of` is the name of the source or table.
    ///
    /// # Errors
    /// If the format can't decode them.
    fn decoding(&self, layout: Layout, of: &Spanned<String>, answers: &Answers) -> Result<Decoding, Vec<Problem>>;
}

/// The context in which a source's format is planned.
pub(crate) struct FormatScope<'a> {
    pub(crate) source: &'a SourceScope<'a>,
    /// The path of the files, if the records are in files.
    pub(crate) path: Option<&'a Spanned<String>>,
    /// A short description of what is read.
    pub(crate) words: &'a str,
    /// The names of fields that will be added to each row.
    pub(crate) room: &'a [String],
}

impl FormatScope<'_> {
    /// The layout of records that bring their own fields. Those that the job asks for get slots of their own.
    pub(crate) fn open(&self) -> Layout {
        let time = self.source.event_time.iter().map(|time| time.field.value.clone());
        Layout::open(self.source.asked.of(&self.source.name.value).map(str::to_owned).chain(time).chain(self.room.iter().cloned()))
    }
}

/// The format of a sink, as read from a job file.
pub(crate) trait SinkFormat: Any + Debug + Send + Sync {
    /// The names of the fields that it uses.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The extension of files in this format.
    fn ending(&self) -> &'static str {
        "jsonl"
    }

    /// What planning must know about the outside.
    fn asks(&self) -> Vec<Ask> {
        Vec::new()
    }

    /// How times are written unless the job file says otherwise.
    fn timestamps(&self, _: &Answers) -> Timestamps {
        Timestamps::Millis
    }

    /// Makes an encoder for records of the sink's schema.
    ///
    /// # Errors
    /// If the format can't encode them.
    fn encoding(&self, scope: &SinkScope<'_>) -> Result<Encoding, Vec<Problem>>;
}

/// A decoder of incoming records.
pub(crate) enum Decoding {
    /// Decodes lines. Each can also be the value of a message.
    Lines(AnyFormat),
    /// Decodes messages only.
    Messages(AnyMessageFormat),
}

impl Decoding {
    /// The decoder for lines.
    ///
    /// # Errors
    /// If it decodes messages only. The reader of the job file has already ruled this out.
    pub(crate) fn lines(self, source: &Spanned<String>) -> Result<AnyFormat, Vec<Problem>> {
        match self {
            Self::Lines(format) => Ok(format),
            Self::Messages(_) => Err(vec![source.problem("this format is of messages, and lines are read here")]),
        }
    }

    /// The decoder for messages.
    pub(crate) fn messages(self) -> AnyMessageFormat {
        match self {
            Self::Lines(format) => AnyMessageFormat::new(format),
            Self::Messages(format) => format,
        }
    }
}

/// An encoder of outgoing records.
pub(crate) enum Encoding {
    /// Encodes lines. Each can also be the value of a message.
    Lines(AnyEncoder),
    /// Encodes messages only.
    Messages(AnyMessageEncoder),
}

impl Encoding {
    /// The encoder of lines.
    ///
    /// # Errors
    /// If it encodes messages only. The reader of the job file has already ruled this out.
    pub(crate) fn lines(self, sink: &Spanned<String>) -> Result<AnyEncoder, Vec<Problem>> {
        match self {
            Self::Lines(encoder) => Ok(encoder),
            Self::Messages(_) => Err(vec![sink.problem("this format is of messages, and lines are written here")]),
        }
    }

    /// The encoder of messages.
    pub(crate) fn messages(self) -> AnyMessageEncoder {
        match self {
            Self::Lines(encoder) => AnyMessageEncoder::new(encoder),
            Self::Messages(encoder) => encoder,
        }
    }
}

/// The problem of a format that writes fields by name if the fields of the records are unknown.
fn fields_unknown(scope: &SinkScope<'_>, format: &str) -> Problem {
    scope.owner.name.problem(format!(
        "`format: {format}` writes fields by name, and those of these records are not known before they come: name them, with a `schema` of the \
         source or in `select`"
    ))
}

/// The formats of sources and tables.
pub(crate) static SOURCES: Formats<dyn SourceFormat> = Formats { side: |format| format.source.as_ref() };

/// The formats of sinks.
pub(crate) static SINKS: Formats<dyn SinkFormat> = Formats { side: |format| format.sink.as_ref() };

/// Reads the format of a source or table.
pub(crate) fn read_source(
    reader: &mut Reader,
    fields: &Fields<'_>,
    carrier: Carrier,
    path: Option<&Spanned<String>>,
) -> Option<Arc<dyn SourceFormat>> {
    let default = if path.is_some_and(|path| csv::is_path(&path.value)) { &csv::FORMAT } else { &json::FORMAT };
    SOURCES.read(reader, fields, carrier, default)
}

/// Reads the format of a sink.
pub(crate) fn read_sink(reader: &mut Reader, fields: &Fields<'_>, carrier: Carrier) -> Option<Arc<dyn SinkFormat>> {
    let default = if carrier == Carrier::Terminal { &table::FORMAT } else { &json::FORMAT };
    SINKS.read(reader, fields, carrier, default)
}

/// All formats that have this side.
pub(crate) struct Formats<F: ?Sized + 'static> {
    side: fn(&'static Format) -> Option<&'static Side<F>>,
}

impl<F: ?Sized + 'static> Formats<F> {
    fn sides(&self) -> impl Iterator<Item = (&'static Format, &'static Side<F>)> + use<F> {
        let side = self.side;
        FORMATS.into_iter().filter_map(move |format| Some((format, side(format)?)))
    }

    /// The formats that need a mapping.
    fn mapped(&self) -> impl Iterator<Item = (&'static Format, &'static Mapped)> + use<F> {
        self.sides().filter_map(|(format, side)| Some((format, side.mapped.as_ref()?)))
    }

    /// The keys next to `format`.
    pub(crate) fn beside(&self) -> impl Iterator<Item = &'static Table> + use<F> {
        self.sides().flat_map(|(_, side)| side.beside.iter().copied())
    }

    /// The keys under `format`, at all levels, for the reference.
    pub(crate) fn within(&self) -> impl Iterator<Item = &'static Table> + use<F> {
        let within = self.sides().flat_map(|(_, side)| side.within.iter().copied());
        self.mapped().map(|(_, mapped)| mapped.table).chain(within)
    }

    /// The words that may follow `format:`, for the reference.
    pub(crate) fn words(&self) -> String {
        let word = |(format, side): (&'static Format, &'static Side<F>)| match &side.mapped {
            Some(mapped) => format!("{{ {} }}", mapped.table.keys.iter().map(crate::yaml::Key::in_words).collect::<String>()),
            None => format.name.to_owned(),
        };
        self.sides().map(word).collect::<Vec<_>>().join(" | ")
    }

    /// Reads a format, or takes `default` if the job file names none. Reports keys that belong to other formats.
    fn read(&self, reader: &mut Reader, fields: &Fields<'_>, carrier: Carrier, default: &'static Format) -> Option<Arc<F>> {
        let (chosen, value) = match fields.get("format") {
            None => (default, None),
            Some(node) if matches!(node.value, Value::Map(_)) => match read_mapped(reader, fields, node, self.mapped()) {
                Some((format, value)) => (format, Some(value)),
                None => {
                    self.refuse_keys(reader, fields, None);
                    return None;
                }
            },
            Some(node) => (self.read_word(reader, node)?, None),
        };
        self.refuse_keys(reader, fields, Some(chosen));
        ((self.side)(chosen)?.read)(reader, &Said { fields, value, carrier })
    }

    /// The format called by this word. One that needs a mapping can't be.
    fn read_word(&self, reader: &mut Reader, node: &Node) -> Option<&'static Format> {
        if let Some((_, mapped)) = self.mapped().find(|(format, _)| scalar(node) == Some(format.name)) {
            return reader.fail(&node.span, mapped.bare);
        }
        let plain = self.sides().filter(|(_, side)| side.mapped.is_none());
        let words: Vec<_> = plain.map(|(format, _)| (format.name, format)).collect();
        Some(reader.word(node, "format", &words)?.value)
    }

    /// Reports keys next to `format` that belong to other formats than this one.
    fn refuse_keys(&self, reader: &mut Reader, fields: &Fields<'_>, chosen: Option<&Format>) {
        for (format, side) in self.sides().filter(|(format, _)| chosen.is_none_or(|chosen| chosen.name != format.name)) {
            for key in side.beside.iter().flat_map(|table| table.keys) {
                if let Some(at) = fields.key(key.name) {
                    reader.push(at.problem(format!("`{}` belongs to `format: {}`", key.name, format.name)));
                }
            }
        }
    }
}

/// The format in a mapping, whose only key is the format's name.
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
