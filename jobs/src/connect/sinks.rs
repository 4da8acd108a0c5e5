//! Sinks: where records go and how they are written.

use super::avro::{self, AvroSink};
use super::kafka::{self, KafkaSink};
use super::keys;
use super::sources::csv_options;
use crate::text::Spanned;
use crate::yaml as values;
use crate::yaml::{Fields, Reader};
use crate::yaml::{Node, Value};

/// A sink.
#[derive(Clone, Debug, PartialEq)]
pub struct Sink {
    /// Its name.
    pub name: Spanned<String>,
    /// What it writes; more than one is a union.
    pub from: Vec<Spanned<String>>,
    /// Where it writes to.
    pub connector: SinkConnector,
    /// How.
    pub format: SinkFormat,
    /// How times are written; if the file does not say, as the format has them.
    pub timestamps: Option<Timestamps>,
    /// The name its state is kept under, if not its own.
    pub uid: Option<Spanned<String>>,
}

/// Where a sink writes to.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkConnector {
    /// Standard output.
    Stdout,
    /// A file or a directory.
    File {
        /// Its path.
        path: Spanned<String>,
    },
    /// A topic of Kafka.
    Kafka(Box<KafkaSink>),
}

/// How a sink writes a record.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkFormat {
    /// A JSON object per line.
    Json,
    /// Comma-separated values (RFC 4180).
    Csv {
        /// Whether the first line names the fields.
        header: bool,
        /// What stands between fields.
        delimiter: u8,
    },
    /// A line made of these parts; `None`: the record's only field.
    Text(Option<Vec<TextPart>>),
    /// A table for people, on standard output.
    Table,
    /// On standard output, if nothing is said: a table where it is a terminal, else JSON.
    TableOrJson,
    /// A message of Avro.
    Avro(AvroSink),
}

/// A part of a line of text.
#[derive(Clone, Debug, PartialEq)]
pub enum TextPart {
    /// As it is.
    Literal(String),
    /// The value of a field.
    Field(Spanned<String>),
}

/// How times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Timestamps {
    /// Whole milliseconds since 1970.
    #[default]
    Millis,
    /// RFC 3339, in UTC.
    Iso,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Stdout,
    File,
    Kafka,
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Json,
    Csv,
    Text,
    Table,
    Unsaid,
    Avro,
}

pub(crate) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node) -> Option<Sink> {
    let place = format!("sink `{}`", name.value);
    let entries = reader.entries(node, &format!("a mapping for {place}"))?;
    let connector = entries.iter().find(|entry| entry.key.value == "connector" && !entry.value.is_null());
    let kinds = [("stdout", Kind::Stdout), ("file", Kind::File), ("kafka", Kind::Kafka)];
    let kind = match connector {
        Some(entry) => Some(reader.word(&entry.value, "sink.connector", &kinds)?.value),
        None => None,
    };
    let tables: &[&'static crate::yaml::Table] = match kind {
        Some(Kind::Stdout) => &[&keys::SINK],
        Some(Kind::File) => &[&keys::SINK, &keys::SINK_FILE],
        Some(Kind::Kafka) => &[&keys::SINK, &keys::SINK_KAFKA],
        None => &[&keys::SINK, &keys::SINK_FILE, &keys::SINK_KAFKA],
    };
    let fields = reader.fields(node, &name.span, tables, &place)?;
    let from = reader.required(&fields, "from").map_or_else(Vec::new, |node| reader.one_or_more(node, "the name of a stream or source"));
    reader.required(&fields, "connector");
    let connector = match kind {
        Some(Kind::File) => {
            let path = reader.required(&fields, "path").and_then(|node| reader.text(node, "a path"));
            path.map(|path| SinkConnector::File { path })
        }
        Some(Kind::Stdout) => Some(SinkConnector::Stdout),
        Some(Kind::Kafka) => kafka::read_sink(reader, &fields).map(|kafka| SinkConnector::Kafka(Box::new(kafka))),
        None => None,
    };
    let words = [("json", Word::Json), ("csv", Word::Csv), ("text", Word::Text), ("table", Word::Table)];
    let word = match fields.get("format") {
        Some(Node { value: Value::Map(_), .. }) => Some(Word::Avro),
        Some(node) if avro::is_bare(reader, node) => None,
        Some(node) => reader.word(node, "format", &words).map(|word| word.value),
        None => Some(Word::Unsaid),
    };
    let format = word.and_then(|word| {
        let (header, delimiter) = csv_options(reader, &fields, word == Word::Csv, kind != Some(Kind::Kafka));
        if let Some(at) = fields.key("text").filter(|_| word != Word::Text) {
            reader.push(at.problem("`text` belongs to `format: text`"));
        }
        match word {
            Word::Unsaid if kind == Some(Kind::Stdout) => Some(SinkFormat::TableOrJson),
            Word::Json | Word::Unsaid => Some(SinkFormat::Json),
            Word::Table if kind == Some(Kind::Stdout) => Some(SinkFormat::Table),
            Word::Table => reader.fail(fields.key("format")?, "`format: table` is for people at standard output: nothing reads it back"),
            Word::Csv => Some(SinkFormat::Csv { header, delimiter }),
            Word::Text => match fields.get("text") {
                Some(node) => Some(SinkFormat::Text(Some(read_template(reader, node)?))),
                None => Some(SinkFormat::Text(None)),
            },
            Word::Avro => read_avro(reader, &fields, kind),
        }
    });
    let ways = [("ms", Timestamps::Millis), ("iso", Timestamps::Iso)];
    let timestamps = fields.get("timestamps").and_then(|node| reader.word(node, "timestamps", &ways));
    let timestamps = timestamps.map(|way| way.value);
    let uid = fields.get("uid").and_then(|node| reader.name(node));
    Some(Sink { name, from, connector: connector?, format: format?, timestamps, uid })
}

fn read_avro(reader: &mut Reader, fields: &Fields<'_>, kind: Option<Kind>) -> Option<SinkFormat> {
    let (node, at) = fields.get("format").zip(fields.key("format"))?;
    let inner = reader.fields(node, at, &[&keys::SINK_FORMAT], "`format`")?;
    let (node, at) = reader.required(&inner, "avro").zip(inner.key("avro"))?;
    if kind != Some(Kind::Kafka) {
        return reader.fail(at, "avro is written to Kafka only: its messages have no ends that a file could be read by");
    }
    avro::read_sink(reader, node, at, &fields.place).map(SinkFormat::Avro)
}

/// A name is a field; in any other text `{name}` stands for one, `{{` and `}}` for braces.
pub(crate) fn read_template(reader: &mut Reader, node: &Node) -> Option<Vec<TextPart>> {
    let text = reader.text(node, "a field or a template such as `{user}: {n}`")?;
    if values::is_name(&text.value) {
        return Some(vec![TextPart::Field(text)]);
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text.value.as_str();
    while let Some(brace) = rest.find(['{', '}']) {
        let at = text.value.len() - rest.len() + brace;
        let (before, from) = rest.split_at(brace);
        literal.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            literal.push_str(&from[..1]);
            rest = after;
            continue;
        }
        let closed = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let Some((field, after)) = closed else {
            reader.push(text.problem_at(at..at + 1, "a single brace: `{field}` stands for a field, `{{` and `}}` for braces"));
            return None;
        };
        let name = field.trim();
        if name.is_empty() || name.contains('{') {
            reader.push(text.problem_at(at..at + field.len() + 2, format!("`{name}` is no field")));
            return None;
        }
        if !literal.is_empty() {
            parts.push(TextPart::Literal(std::mem::take(&mut literal)));
        }
        parts.push(TextPart::Field(Spanned::new(name.to_owned(), text.part(at + 1..at + 1 + field.len()))));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(TextPart::Literal(literal));
    }
    Some(parts)
}
