//! `format: { avro: ... }`: Avro messages, with schemas from a file or a registry.

use std::sync::Arc;

use tidegate_connectors::message::{AnyMessageEncoder, AnyMessageFormat, AvroEncoder, AvroFormat, Registry};
use tidegate_rows::Schema;
use tidegate_rows::format::{AvroSchema, Conversion, Layout, RecordWriter};

use super::{Decoding, Encoding, Format, FormatScope, Mapped, Said, Side, SinkFormat, SourceFormat};
use crate::connect::kind::{Carrier, SinkScope};
use crate::connect::outside::{Answers, Ask};
use crate::text::{Problem, Span, Spanned};
use crate::yaml::{Fields, Node, Reader, Table, key};

const BARE: &str = "avro has to say where its schemas are: `format: { avro: { registry: 'http://...' } }`, or `schema_file`";

pub(crate) static FORMAT: Format = Format {
    name: "avro",
    source: Some(Side {
        mapped: Some(Mapped { table: &SOURCE_KEY, bare: BARE }),
        beside: &[],
        within: &[&AVRO],
        read: |reader, said| Some(Arc::new(read_source(reader, said)?)),
    }),
    sink: Some(Side {
        mapped: Some(Mapped { table: &SINK_KEY, bare: BARE }),
        beside: &[],
        within: &[&AVRO_SINK],
        read: |reader, said| Some(Arc::new(read_sink(reader, said)?)),
    }),
};

static SOURCE_KEY: Table =
    Table { name: "format", title: "format of a source (one of)", keys: &[key("avro", "mapping", "none", "Kafka messages in Avro")] };

static SINK_KEY: Table =
    Table { name: "sink.format", title: "format of a sink", keys: &[key("avro", "mapping", "", "Kafka messages in Avro")] };

static AVRO: Table = Table {
    name: "avro",
    title: "avro, in `format` of a source or a sink of Kafka",
    keys: &[
        key("registry", "URL", "none", "a schema registry, such as 'http://localhost:8081': messages begin with the id of their schema"),
        key("user", "text", "none", "the user name for the registry, with `password`"),
        key("password", "text", "none", "the password of `user`; pass it with `--set` rather than in the file"),
        key(
            "schema_file",
            "path",
            "none",
            "a file with a schema. Without `registry`: the schema of all messages. In a sink with one: the schema of its records",
        ),
    ],
};

static AVRO_SINK: Table = Table {
    name: "avro.sink",
    title: "avro, in `format` of a sink",
    keys: &[
        key("subject", "text", "`topic-value`", "the subject under which the schema is registered"),
        key("register", "bool", "true", "whether to register a schema that the subject lacks; if false, the job fails"),
    ],
};

/// Where the schemas of messages come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AvroSource {
    /// A registry, by the schema id at the start of each message.
    Registry(SchemaRegistry),
    /// A file with the schema of all messages.
    File(Spanned<String>),
}

/// The schema that messages are written with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AvroSink {
    /// The schema in a file, without framing.
    File(Spanned<String>),
    /// A registered schema, whose id precedes each message.
    Registered {
        /// The registry that assigns the id.
        registry: SchemaRegistry,
        /// The file with the schema, or `None` if it is derived from the records.
        file: Option<Spanned<String>>,
        /// The subject, or `None` for the topic with `-value` appended.
        subject: Option<String>,
        /// Whether to register the schema if the subject doesn't have it.
        register: bool,
    },
}

/// A schema registry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SchemaRegistry {
    /// Its URL, already checked.
    pub(crate) url: Spanned<String>,
    /// The user and password.
    pub(crate) login: Option<(String, String)>,
}

/// The fields of the mapping under `avro`, whose key is at `at`.
fn fields<'n>(reader: &mut Reader, node: &'n Node, at: &Span, tables: &[&'static Table], place: &str) -> Option<Fields<'n>> {
    reader.fields(node, at, tables, &format!("`avro` of {place}"))
}

/// The value of `avro` and its key. Only messages can be Avro.
fn of_messages<'n>(reader: &mut Reader, said: &Said<'_, 'n>, read: &str) -> Option<(&'n Node, &'n Span)> {
    let (node, at) = said.value?;
    if said.carrier != Carrier::Messages {
        return reader.fail(at, format!("avro is {read} Kafka only: its messages have no ends that a file could be read by"));
    }
    Some((node, at))
}

fn read_source(reader: &mut Reader, said: &Said<'_, '_>) -> Option<AvroSource> {
    let (node, at) = of_messages(reader, said, "read from")?;
    let fields = fields(reader, node, at, &[&AVRO], &said.fields.place)?;
    match (read_registry(reader, &fields)?, read_file(reader, &fields)) {
        (Some(registry), None) => Some(AvroSource::Registry(registry)),
        (None, Some(file)) => Some(AvroSource::File(file)),
        (Some(_), Some(file)) => reader.fail(
            &file.span,
            "messages name their schemas in the `registry`, and a `schema_file` is of messages that don't: one of the two",
        ),
        (None, None) => needs_one(reader, &fields),
    }
}

fn read_sink(reader: &mut Reader, said: &Said<'_, '_>) -> Option<AvroSink> {
    let (node, at) = of_messages(reader, said, "written to")?;
    let fields = fields(reader, node, at, &[&AVRO, &AVRO_SINK], &said.fields.place)?;
    let subject = fields.get("subject").and_then(|node| reader.text(node, "the name of a subject"));
    let register = fields.get("register").and_then(|node| reader.bool(node));
    let file = read_file(reader, &fields);
    if let Some(registry) = read_registry(reader, &fields)? {
        let (subject, register) = (subject.map(|subject| subject.value), register.is_none_or(|register| register.value));
        return Some(AvroSink::Registered { registry, file, subject, register });
    }
    for name in ["subject", "register"] {
        if let Some(at) = fields.key(name) {
            reader.push(at.problem(format!("`{name}` belongs to a `registry`")));
        }
    }
    match file {
        Some(file) => Some(AvroSink::File(file)),
        None => needs_one(reader, &fields),
    }
}

fn needs_one<T>(reader: &mut Reader, fields: &Fields<'_>) -> Option<T> {
    reader.fail(&fields.at, format!("{} has neither a `registry` nor a `schema_file`: nobody could read what it says", fields.place))
}

fn read_file(reader: &mut Reader, fields: &Fields<'_>) -> Option<Spanned<String>> {
    fields.get("schema_file").and_then(|node| reader.text(node, "a path"))
}

/// The registry, if one is given. The outer `None` means a problem was reported.
fn read_registry(reader: &mut Reader, fields: &Fields<'_>) -> Option<Option<SchemaRegistry>> {
    let user = fields.get("user").and_then(|node| reader.text(node, "a user"));
    let password = fields.get("password").and_then(|node| reader.text(node, "a password"));
    let Some(node) = fields.get("registry") else {
        if let Some(at) = fields.key("user").or(fields.key("password")) {
            reader.push(at.problem("`user` and `password` belong to a `registry`"));
        }
        return Some(None);
    };
    let url = reader.text(node, "a URL")?;
    if let Err(what) = Registry::new(&url.value, None) {
        return reader.fail(&url.span, what);
    }
    let login = match (user, password) {
        (Some(user), password) => Some((user.value, password.map(|password| password.value).unwrap_or_default())),
        (None, Some(password)) => return reader.fail(&password.span, "a `password` is of a `user`"),
        (None, None) => None,
    };
    Some(Some(SchemaRegistry { url, login }))
}

impl SourceFormat for AvroSource {
    fn leaves_room(&self) -> bool {
        true
    }

    fn asks(&self, _: Option<&Spanned<String>>) -> Vec<Ask> {
        match self {
            Self::File(path) => vec![Ask::Text(path.value.clone())],
            Self::Registry(_) => Vec::new(),
        }
    }

    /// The fields of the schema in the file. Messages with registered schemas bring their own.
    fn layout(&self, scope: &FormatScope<'_>) -> Result<Layout, Vec<Problem>> {
        match self {
            Self::Registry(_) => Ok(scope.open()),
            Self::File(path) => {
                let room = scope.room.iter().map(|name| (name.clone(), Conversion::Any));
                Ok(Layout::new(schema(path, scope.source.answers)?.fields().chain(room)))
            }
        }
    }

    fn decoding(&self, layout: Layout, _: &Spanned<String>, answers: &Answers) -> Result<Decoding, Vec<Problem>> {
        let format = match self {
            Self::Registry(registry) => AvroFormat::registered(layout, registry.client()?),
            Self::File(path) => AvroFormat::plain(layout, schema(path, answers)?),
        };
        Ok(Decoding::Messages(AnyMessageFormat::new(format)))
    }
}

impl SinkFormat for AvroSink {
    fn asks(&self) -> Vec<Ask> {
        match self {
            Self::File(path) | Self::Registered { file: Some(path), .. } => vec![Ask::Text(path.value.clone())],
            Self::Registered { file: None, .. } => Vec::new(),
        }
    }

    fn encoding(&self, scope: &SinkScope<'_>) -> Result<Encoding, Vec<Problem>> {
        let of_file =
            |path: &Spanned<String>| RecordWriter::new(schema(path, scope.answers)?, scope.schema).map_err(|e| vec![path.problem(e)]);
        let encoder = match self {
            Self::File(path) => AvroEncoder::plain(of_file(path)?),
            Self::Registered { registry, file, subject, register } => {
                let topic = scope.topic.unwrap_or(scope.owner.name.as_str());
                let writer = match file {
                    Some(path) => of_file(path)?,
                    None => derived(topic, scope.schema).map_err(|e| vec![scope.owner.name.problem(e)])?,
                };
                let subject = subject.clone().unwrap_or_else(|| format!("{topic}-value"));
                AvroEncoder::framed(writer, registry.client()?.subject(subject, *register))
            }
        };
        Ok(Encoding::Messages(AnyMessageEncoder::new(encoder)))
    }
}

impl SchemaRegistry {
    fn client(&self) -> Result<Registry, Vec<Problem>> {
        Registry::new(&self.url.value, self.login.clone()).map_err(|e| vec![self.url.problem(e)])
    }
}

/// Parses the schema in a file.
fn schema(path: &Spanned<String>, answers: &Answers) -> Result<AvroSchema, Vec<Problem>> {
    let text = answers.text(&path.value).map_err(|e| vec![path.problem(format!("`{}` can't be read: {e}", path.value))])?;
    AvroSchema::parse(text).map_err(|e| vec![path.problem(format!("`{}` is no schema of records: {e}", path.value))])
}

/// A writer with a schema derived from the rows.
fn derived(topic: &str, rows: &Schema) -> Result<RecordWriter, String> {
    AvroSchema::of_rows(&record_name(topic), rows).and_then(|schema| RecordWriter::new(schema, rows))
}

/// Turns a topic into a record name. It must not change between versions: schemas with different names are incompatible.
fn record_name(topic: &str) -> String {
    let mut name: String = topic.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}
