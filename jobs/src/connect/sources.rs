//! Sources: where records come from and how a line becomes one.

use jiff::SignedDuration;
use tidegate_rows::Type;

use super::avro::{self, AvroSource};
use super::generator::{self, Generator};
use super::kafka::{self, KafkaSource};
use super::keys;
use super::schema::{self, FieldType, SchemaField};
use crate::relation::failures::OnError;
use crate::text::Spanned;
use crate::yaml::{Fields, Reader, scalar};
use crate::yaml::{Node, Value};

/// A source.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: Spanned<String>,
    /// Where its records come from.
    pub connector: SourceConnector,
    /// Where a record's time comes from, if it has one.
    pub event_time: Option<EventTime>,
    /// Has it the key `event_time`, whether that could be read or not?
    pub timed: bool,
    /// Was all read that says which fields its records have? Then what reads it can be judged, whatever else is wrong with it.
    pub whole: bool,
    /// The name its state is kept under, if not its own.
    pub uid: Option<Spanned<String>>,
}

impl Source {
    /// The field that is a record's time, if one is.
    #[must_use]
    pub fn time_field(&self) -> Option<&TimeField> {
        match &self.event_time {
            Some(EventTime::Field(field)) => Some(field),
            Some(EventTime::Ingestion) | None => None,
        }
    }
}

/// Where the records of a source come from, with the options of each connector.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceConnector {
    /// Files, read to their end.
    File {
        /// A file, a glob or a directory.
        path: Spanned<String>,
        /// How lines become records.
        lines: Lines,
    },
    /// Standard input.
    Stdin {
        /// How lines become records.
        lines: Lines,
    },
    /// Topics of Kafka.
    Kafka(Box<KafkaSource>),
    /// Records made up.
    Generator(Generator),
}

/// How lines of text, or the values of messages, become records.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// The format of a record.
    pub format: SourceFormat,
    /// The fields, if the file gives them. Without: json and avro from a registry have fields of type any, other avro those of its schema, csv and regex fields of type string by the names of the
    /// header or the groups, and text has one field `line`.
    pub schema: Option<Vec<SchemaField>>,
    /// What happens to a line that is no record.
    pub on_bad_record: OnError,
    /// The name of a stream of the skipped lines, with the fields `source`, `line`, `text` and `error`.
    pub dead_letter: Option<Spanned<String>>,
}

/// The format of a record in text.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceFormat {
    /// JSON Lines.
    Json,
    /// Comma-separated values (RFC 4180).
    Csv {
        /// Whether the first line names the fields.
        header: bool,
        /// What stands between fields.
        delimiter: u8,
    },
    /// Each line is a record.
    Text,
    /// The named groups of a pattern are the fields; a line that does not match is a bad record.
    Regex(Spanned<String>),
    /// Messages of Avro.
    Avro(AvroSource),
}

impl SourceFormat {
    /// Does each record bring its own fields, so that without a schema all are kept, as fields of any type?
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Json | Self::Avro(AvroSource::Registry(_)))
    }
}

/// The unit of a time that is a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    #[default]
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// `event_time`: where the times of records come from.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one for each source of a file")]
pub enum EventTime {
    /// A field.
    Field(TimeField),
    /// The clock, as they enter.
    Ingestion,
}

/// `event_time` with a field.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeField {
    /// The field with the record's time.
    pub field: Spanned<String>,
    /// Its unit if it is of type int.
    pub unit: TimeUnit,
    /// How far records may be out of order; 0 unless given.
    pub max_delay: SignedDuration,
    /// The silence after which the source holds no watermark back.
    pub idle_after: Option<Spanned<SignedDuration>>,
    /// How far it may run ahead of the slowest source.
    pub max_drift: Option<Spanned<SignedDuration>>,
    /// Does the watermark move with every record, and not once per batch?
    pub every_record: bool,
    /// A record with only this field sets the watermark to its value.
    pub watermark_field: Option<Spanned<String>>,
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Stdin,
    Kafka,
    Generator,
}

pub(crate) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node) -> Option<Source> {
    let place = format!("source `{}`", name.value);
    let kinds = [("file", Kind::File), ("stdin", Kind::Stdin), ("kafka", Kind::Kafka), ("generator", Kind::Generator)];
    let entries = reader.entries(node, &format!("a mapping for {place}"))?;
    let connector = entries.iter().find(|entry| entry.key.value == "connector" && !entry.value.is_null());
    let Some(connector) = connector else {
        let every = [&keys::SOURCE, &keys::SOURCE_FILE, &keys::SOURCE_TEXT, &keys::SOURCE_KAFKA, &keys::SOURCE_GENERATOR];
        let fields = reader.fields(node, &name.span, &every, &place)?;
        reader.required(&fields, "connector");
        return None;
    };
    let kind = reader.word(&connector.value, "source.connector", &kinds)?;
    let tables: &[&'static crate::yaml::Table] = match kind.value {
        Kind::File => &[&keys::SOURCE, &keys::SOURCE_FILE, &keys::SOURCE_TEXT],
        Kind::Stdin => &[&keys::SOURCE, &keys::SOURCE_TEXT],
        Kind::Kafka => &[&keys::SOURCE, &keys::SOURCE_KAFKA, &keys::SOURCE_TEXT],
        Kind::Generator => &[&keys::SOURCE, &keys::SOURCE_GENERATOR],
    };
    let fields = reader.fields(node, &name.span, tables, &place)?;
    let connector = match kind.value {
        Kind::File => {
            let path = reader.required(&fields, "path").and_then(|node| reader.text(node, "a path"));
            let lines = read_lines(reader, &fields, Origin::File(path.as_ref()));
            path.zip(lines).map(|(path, lines)| SourceConnector::File { path, lines })
        }
        Kind::Stdin => read_lines(reader, &fields, Origin::Stdin).map(|lines| SourceConnector::Stdin { lines }),
        Kind::Kafka => kafka::read_source(reader, &fields).map(|kafka| SourceConnector::Kafka(Box::new(kafka))),
        Kind::Generator => generator::read(reader, &fields).map(SourceConnector::Generator),
    };
    let event_time = fields.get("event_time").and_then(|node| read_event_time(reader, node, &fields, connector.as_ref()));
    let whole =
        !fields.missing && fields.knows_all_but(&["path", "event_time", "on_bad_record", "dead_letter", "header", "delimiter", "uid"]);
    let uid = fields.get("uid").and_then(|node| reader.name(node));
    Some(Source { name, connector: connector?, event_time, timed: fields.key("event_time").is_some(), whole, uid })
}

/// Where lines come from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// Files at this path.
    File(Option<&'a Spanned<String>>),
    Stdin,
    /// Messages, each of which is a line.
    Messages,
}

pub(crate) fn read_lines(reader: &mut Reader, fields: &Fields<'_>, origin: Origin<'_>) -> Option<Lines> {
    let format = read_format(reader, fields, origin);
    let schema = fields.get("schema").map(|node| schema::read(reader, node, fields));
    let actions = [("skip", OnError::Skip), ("fail", OnError::Fail)];
    let action = fields.get("on_bad_record").and_then(|node| reader.word(node, "on_bad_record", &actions));
    let dead_letter = fields.get("dead_letter").and_then(|node| reader.name(node));
    if let (Some(OnError::Fail), Some(name)) = (action.as_ref().map(|action| action.value), &dead_letter) {
        reader.push(name.warning("`dead_letter` stays empty: `on_bad_record: fail` skips no line"));
    }
    if let (Some(SourceFormat::Csv { header: false, .. }), None) = (&format, &schema) {
        reader.push(fields.at.problem(format!("{} has no `schema`: without a header line nothing else names the fields", fields.place)));
    }
    let on_bad_record = action.map(|action| action.value).unwrap_or_default();
    Some(Lines { format: format?, schema, on_bad_record, dead_letter })
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Json,
    Csv,
    Text,
}

pub(crate) fn read_format(reader: &mut Reader, fields: &Fields<'_>, origin: Origin<'_>) -> Option<SourceFormat> {
    let words = [("json", Word::Json), ("csv", Word::Csv), ("text", Word::Text)];
    let word = match fields.get("format") {
        Some(Node { value: Value::Map(_), .. }) => None,
        Some(node) if avro::is_bare(reader, node) => return None,
        Some(node) => Some(reader.word(node, "format", &words)?.value),
        None => {
            let is_csv = |path: &Spanned<String>| [".csv", ".csv.gz", ".csv.zst"].iter().any(|end| path.value.ends_with(end));
            Some(if matches!(origin, Origin::File(Some(path)) if is_csv(path)) { Word::Csv } else { Word::Json })
        }
    };
    let (header, delimiter) = csv_options(reader, fields, word == Some(Word::Csv), !matches!(origin, Origin::Messages));
    match word {
        Some(Word::Json) => Some(SourceFormat::Json),
        Some(Word::Csv) => Some(SourceFormat::Csv { header, delimiter }),
        Some(Word::Text) => Some(SourceFormat::Text),
        None => read_mapped(reader, fields, origin),
    }
}

/// `header` and `delimiter`, which only csv has, and messages have no header.
pub(crate) fn csv_options(reader: &mut Reader, fields: &Fields<'_>, is_csv: bool, may_have_header: bool) -> (bool, u8) {
    if !is_csv {
        for key in fields.given(&["header", "delimiter"]) {
            if let Some(at) = fields.key(key) {
                reader.push(at.problem(format!("`{key}` belongs to `format: csv`")));
            }
        }
        return (true, b',');
    }
    let header = fields.get("header").and_then(|node| reader.bool(node));
    if let (false, Some(at)) = (may_have_header, fields.key("header")) {
        reader.push(at.problem("`header` is of files: a message is one line, and no header"));
    }
    let delimiter = fields.get("delimiter").and_then(|node| match scalar(node).unwrap_or_default() {
        "\\t" | "tab" => Some(b'\t'),
        one if one.len() == 1 && !matches!(one, "\"" | "\n" | "\r") => one.bytes().next(),
        _ => reader.wrong(node, "one ASCII character"),
    });
    (may_have_header && header.is_none_or(|header| header.value), delimiter.unwrap_or(b','))
}

/// A format that is a mapping.
fn read_mapped(reader: &mut Reader, fields: &Fields<'_>, origin: Origin<'_>) -> Option<SourceFormat> {
    let (node, at) = fields.get("format").zip(fields.key("format"))?;
    let inner = reader.fields(node, at, &[&keys::FORMAT], "`format`")?;
    match (inner.get("avro").zip(inner.key("avro")), inner.key("regex")) {
        (Some(_), Some(at)) => reader.fail(at, "`format` is one of `regex` and `avro`"),
        (Some((node, at)), None) if matches!(origin, Origin::Messages) => {
            avro::read_source(reader, node, at, &fields.place).map(SourceFormat::Avro)
        }
        (Some((_, at)), None) => reader.fail(at, "avro is read from Kafka only: its messages have no ends that a file could be read by"),
        (None, _) => read_regex(reader, &inner),
    }
}

fn read_regex(reader: &mut Reader, inner: &Fields<'_>) -> Option<SourceFormat> {
    let pattern = reader.required(inner, "regex").and_then(|node| reader.text(node, "a pattern"))?;
    match regex::Regex::new(&pattern.value) {
        Ok(regex) if regex.capture_names().flatten().next().is_none() => {
            reader.fail(&pattern.span, "the pattern has no named group such as `(?P<user>[^ ]+)`: the record would have no fields")
        }
        Ok(_) => Some(SourceFormat::Regex(pattern)),
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            reader.fail(&pattern.span, format!("not a regular expression: {reason}"))
        }
    }
}

fn read_event_time(reader: &mut Reader, node: &Node, source: &Fields<'_>, connector: Option<&SourceConnector>) -> Option<EventTime> {
    match scalar(node) {
        Some("ingestion") => Some(EventTime::Ingestion),
        Some(_) => reader.wrong(node, "`ingestion`, or a mapping such as `{ field: ts }`"),
        None if refuses_ingestion(reader, node) => None,
        None => read_time_field(reader, node, source, connector).map(EventTime::Field),
    }
}

/// Refuses a mapping that asks for ingestion time, with every key that contradicts it.
fn refuses_ingestion(reader: &mut Reader, node: &Node) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let Some(ingestion) = entries.iter().find(|entry| entry.key.value == "ingestion") else { return false };
    reader.push(ingestion.key.problem("ingestion time has no options: write `event_time: ingestion`"));
    for entry in entries.iter().filter(|entry| entry.key.value != "ingestion") {
        let key = &entry.key.value;
        let message = format!("`{key}` contradicts `ingestion`: the clock gives the records their times, and the watermark follows it");
        reader.push(entry.key.problem(message));
    }
    true
}

fn read_time_field(reader: &mut Reader, node: &Node, source: &Fields<'_>, connector: Option<&SourceConnector>) -> Option<TimeField> {
    let fields = reader.fields(node, source.key("event_time")?, &[&keys::EVENT_TIME], &format!("`event_time` of {}", source.place))?;
    let units = [("ms", TimeUnit::Millis), ("s", TimeUnit::Seconds), ("us", TimeUnit::Micros), ("ns", TimeUnit::Nanos)];
    let field = reader.required(&fields, "field").and_then(|node| reader.text(node, "the name of a field"));
    if let (Some(field), Some(connector)) = (&field, connector) {
        check_time_field(reader, field, connector);
    }
    let unit = fields.get("unit").and_then(|node| reader.word(node, "event_time.unit", &units));
    let max_delay = fields.get("max_delay").and_then(|node| reader.span(node));
    let idle_after = fields.get("idle_after").filter(|node| scalar(node) != Some("none")).and_then(|node| reader.positive(node));
    let max_drift = fields.get("max_drift").and_then(|node| reader.optional_span(node));
    let moves = [("every_batch", false), ("every_record", true)];
    let watermark = fields.get("watermark").and_then(|node| reader.word(node, "event_time.watermark", &moves));
    let watermark_field = fields.get("watermark_field").and_then(|node| reader.text(node, "the name of a field"));
    for key in ["max_delay", "watermark"] {
        if watermark_field.is_some()
            && let Some(at) = fields.key(key)
        {
            reader.push(at.problem(format!("`{key}` does not go with `watermark_field`: the watermarks are those of the data")));
        }
    }
    if let Some(at) = watermark_field.as_ref().filter(|at| field.as_ref().is_some_and(|field| field.value == at.value)) {
        let message = format!("`{}` is the field of the records' times: a record with only the `watermark_field` is a watermark", at.value);
        reader.push(at.problem(message));
    }
    Some(TimeField {
        field: field?,
        unit: unit.map(|unit| unit.value).unwrap_or_default(),
        max_delay: max_delay.map_or(SignedDuration::ZERO, |delay| delay.value),
        idle_after,
        max_drift,
        every_record: watermark.is_some_and(|watermark| watermark.value),
        watermark_field,
    })
}

/// Whether the record's time can be in this field, where the file says which fields there are.
fn check_time_field(reader: &mut Reader, field: &Spanned<String>, connector: &SourceConnector) {
    let types: Vec<(&str, Type)> = match connector {
        SourceConnector::Generator(generator) => generator.fields.iter().map(|(name, field)| (name.as_str(), field.ty())).collect(),
        SourceConnector::File { lines, .. } | SourceConnector::Stdin { lines } => match &lines.schema {
            Some(schema) => schema.iter().map(|field| (field.name.as_str(), field.ty.ty())).collect(),
            None => return,
        },
        SourceConnector::Kafka(kafka) => match kafka.field_types() {
            Some(types) => types,
            None => return,
        },
    };
    match types.iter().find(|(name, _)| *name == field.value) {
        None => {
            let problem = field.problem(format!("no field `{}` in the schema", field.value));
            reader.push(problem.near(&field.value, types.iter().map(|(name, _)| *name)));
        }
        Some((_, Type::Int | Type::Timestamp | Type::Any)) => {}
        Some((_, ty)) => reader.push(field.problem(format!("the field `{}` is of type {ty}, not a time", field.value))),
    }
}

impl Source {
    /// The fields the file gives this source, with their types, or `None` where only the data knows them.
    #[must_use]
    pub fn field_types(&self) -> Option<Vec<(&str, Type)>> {
        match &self.connector {
            SourceConnector::Generator(generator) => {
                Some(generator.fields.iter().map(|(name, field)| (name.as_str(), field.ty())).collect())
            }
            SourceConnector::File { lines, .. } | SourceConnector::Stdin { lines } => {
                let schema = lines.schema.as_ref()?;
                Some(schema.iter().map(|SchemaField { name, ty }| (name.as_str(), FieldType::ty(ty))).collect())
            }
            SourceConnector::Kafka(kafka) => kafka.field_types(),
        }
    }

    /// How lines or messages become records, where they do.
    #[must_use]
    pub fn lines(&self) -> Option<&Lines> {
        match &self.connector {
            SourceConnector::File { lines, .. } | SourceConnector::Stdin { lines } => Some(lines),
            SourceConnector::Kafka(kafka) => Some(&kafka.lines),
            SourceConnector::Generator(_) => None,
        }
    }

    /// The stream of skipped lines this source makes, if any.
    #[must_use]
    pub fn dead_letter(&self) -> Option<&Spanned<String>> {
        self.lines()?.dead_letter.as_ref()
    }
}
