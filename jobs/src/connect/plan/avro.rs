//! Schemas of Avro in the plans of sources and sinks.

use tidegate_connectors::message::{AvroEncoder, Registry};
use tidegate_rows::Schema;
use tidegate_rows::format::{AvroSchema, RecordWriter};

use crate::connect::{AvroSink, SchemaRegistry};
use crate::text::{Problem, Spanned};

/// The registry a file means.
pub(crate) fn registry(registry: &SchemaRegistry) -> Result<Registry, Vec<Problem>> {
    Registry::new(&registry.url.value, registry.login.clone()).map_err(|e| vec![registry.url.problem(e)])
}

/// The schema in a file.
pub(crate) fn schema(path: &Spanned<String>) -> Result<AvroSchema, Vec<Problem>> {
    let text = std::fs::read_to_string(&path.value).map_err(|e| vec![path.problem(format!("`{}` can't be read: {e}", path.value))])?;
    AvroSchema::parse(&text).map_err(|e| vec![path.problem(format!("`{}` is no schema of records: {e}", path.value))])
}

/// The encoder of what a sink writes to a topic.
pub(crate) fn encoder(avro: &AvroSink, sink: &Spanned<String>, topic: &str, rows: &Schema) -> Result<AvroEncoder, Vec<Problem>> {
    let of_file = |path: &Spanned<String>| RecordWriter::new(schema(path)?, rows).map_err(|e| vec![path.problem(e)]);
    let (registry, file, subject, register) = match avro {
        AvroSink::File(path) => return of_file(path).map(AvroEncoder::plain),
        AvroSink::Registered { registry, file, subject, register } => (registry, file, subject, register),
    };
    let writer = match file {
        Some(path) => of_file(path)?,
        None => {
            let schema = AvroSchema::of_rows(&record_name(topic), rows);
            schema.and_then(|schema| RecordWriter::new(schema, rows)).map_err(|e| vec![sink.problem(e)])?
        }
    };
    let subject = subject.clone().unwrap_or_else(|| format!("{topic}-value"));
    Ok(AvroEncoder::framed(writer, self::registry(registry)?.subject(subject, *register)))
}

/// A topic as the name of a record: the same in every version, as those of other names are not compatible.
fn record_name(topic: &str) -> String {
    let mut name: String = topic.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}
