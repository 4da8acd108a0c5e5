//! `format: { avro: ... }`, of sources and of sinks.

use tidegate_connectors::message::Registry;

use super::keys;
use crate::text::{Span, Spanned};
use crate::yaml::Node;
use crate::yaml::Table;
use crate::yaml::{Fields, Reader, scalar};

/// Where the schemas of messages are.
#[derive(Clone, Debug, PartialEq)]
pub enum AvroSource {
    /// In a registry, by the ids that messages begin with.
    Registry(SchemaRegistry),
    /// In a file, one for all messages.
    File(Spanned<String>),
}

/// What schema messages have.
#[derive(Clone, Debug, PartialEq)]
pub enum AvroSink {
    /// That of a file, without framing.
    File(Spanned<String>),
    /// One with an id.
    Registered {
        /// Where the id is from.
        registry: SchemaRegistry,
        /// The file with the schema; `None`: it follows from the records.
        file: Option<Spanned<String>>,
        /// What it is registered under; `None`: the topic and `-value`.
        subject: Option<String>,
        /// Whether it is registered if it is not yet.
        register: bool,
    },
}

/// A schema registry.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaRegistry {
    /// Where it is; it has been checked.
    pub url: Spanned<String>,
    /// The user and the password.
    pub login: Option<(String, String)>,
}

/// Complains of `format: avro`, which says too little.
pub(crate) fn is_bare(reader: &mut Reader, node: &Node) -> bool {
    let bare = scalar(node) == Some("avro");
    if bare {
        reader.push(
            node.span.problem("avro has to say where its schemas are: `format: { avro: { registry: 'http://...' } }`, or `schema_file`"),
        );
    }
    bare
}

/// The fields of `avro`, in what stands at `at`.
fn fields<'n>(reader: &mut Reader, node: &'n Node, at: &Span, tables: &[&'static Table], place: &str) -> Option<Fields<'n>> {
    reader.fields(node, at, tables, &format!("`avro` of {place}"))
}

pub(crate) fn read_source(reader: &mut Reader, node: &Node, at: &Span, place: &str) -> Option<AvroSource> {
    let fields = fields(reader, node, at, &[&keys::AVRO], place)?;
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

pub(crate) fn read_sink(reader: &mut Reader, node: &Node, at: &Span, place: &str) -> Option<AvroSink> {
    let fields = fields(reader, node, at, &[&keys::AVRO, &keys::AVRO_SINK], place)?;
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

/// The registry, if there is one; nothing after a problem.
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
