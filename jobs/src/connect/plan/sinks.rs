//! Sinks: connectors and encoders as a file's sink describes them.

use std::io::IsTerminal;
use std::sync::Arc;

use tidegate_connectors::sink::{FileSink, StdoutSink};
use tidegate_rows::format::{CsvEncoder, Encoder, JsonEncoder, TableEncoder, TextEncoder, TextPart, Timestamps};
use tidegate_rows::{Row, Schema};
use tidegate_runtime::About;
use tidegate_runtime::sink::Sink;

use super::{avro, kafka};
use crate::connect::{self as file, SinkConnector, SinkFormat};
use crate::relation::open::Asked;
use crate::relation::union::{PlannedInput, Streams, union};
use crate::text::Problem;

/// A sink, compiled.
#[derive(Clone)]
pub(crate) struct PlannedSink {
    pub(crate) name: String,
    pub(crate) about: About,
    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) schema: Schema,
    pub(crate) sink: Arc<dyn Sink<Row>>,
    /// What it writes, in words.
    pub(crate) label: String,
}

/// Plans a sink. `None` if an input could not be planned.
pub(crate) fn plan(sink: &file::Sink, job: &str, known: &Streams, asked: &mut Asked) -> Result<Option<PlannedSink>, Vec<Problem>> {
    let Some((input, inputs)) = union(&sink.from, known, &names(sink), asked) else { return Ok(None) };
    let schema = input.schema;
    let table = match sink.format {
        SinkFormat::Table => true,
        SinkFormat::TableOrJson => std::io::stdout().is_terminal(),
        _ => false,
    };
    let timestamps = match sink.timestamps {
        Some(file::Timestamps::Millis) => Timestamps::Millis,
        Some(file::Timestamps::Iso) => Timestamps::Iso,
        None if table => Timestamps::Iso,
        None => Timestamps::Millis,
    };
    let made = match &sink.format {
        _ if table => made(sink, job, TableEncoder::new(&schema, timestamps), &schema, timestamps)?,
        SinkFormat::Json | SinkFormat::Table | SinkFormat::TableOrJson => {
            made(sink, job, JsonEncoder::new(&schema, timestamps), &schema, timestamps)?
        }
        SinkFormat::Csv { .. } | SinkFormat::Text(None) if schema.rest().is_some() => {
            let format = if matches!(sink.format, SinkFormat::Csv { .. }) { "csv" } else { "text" };
            let message = format!(
                "`format: {format}` writes fields by name, and those of these records are not known before they come: name them, with a `schema` of the \
                 source or in `select`"
            );
            return Err(vec![sink.name.problem(message)]);
        }
        SinkFormat::Csv { header, delimiter } => {
            let encoder = CsvEncoder::new(&schema, timestamps).with_header(*header).with_delimiter(*delimiter);
            made(sink, job, encoder, &schema, timestamps)?
        }
        SinkFormat::Avro(format) => match &sink.connector {
            SinkConnector::Kafka(to) => {
                let encoder = avro::encoder(format, &sink.name, &to.topic.value, &schema)?;
                kafka::sink(to, &kafka::default_id(job, sink), encoder, &schema, timestamps)?
            }
            SinkConnector::Stdout | SinkConnector::File { .. } => {
                return Err(vec![sink.name.problem("avro is written to Kafka only")]);
            }
        },
        SinkFormat::Text(None) if schema.width() != 1 => {
            let fields: Vec<_> = schema.names().collect();
            let message = format!(
                "`format: text` writes one field, and these records have {}: say which, or how, with `text: '{{field}} ...'`",
                fields.join(", ")
            );
            return Err(vec![sink.name.problem(message)]);
        }
        SinkFormat::Text(None) => made(sink, job, TextEncoder::new(vec![TextPart::Field(0)], timestamps), &schema, timestamps)?,
        SinkFormat::Text(Some(parts)) => made(sink, job, TextEncoder::new(text_parts(parts, &schema)?, timestamps), &schema, timestamps)?,
    };
    let label = match &sink.connector {
        SinkConnector::Stdout => "standard output".to_owned(),
        SinkConnector::File { path } => format!("file {}", path.value),
        SinkConnector::Kafka(kafka) => format!("kafka topic {}", kafka.topic.value),
    };
    let (name, about) = (sink.name.value.clone(), About::default());
    Ok(Some(PlannedSink { name, about, inputs, schema, sink: made, label }))
}

/// The parts of a text, with fields as slots.
pub(crate) fn text_parts(parts: &[file::TextPart], schema: &Schema) -> Result<Vec<TextPart>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut resolved = Vec::new();
    for part in parts {
        match part {
            file::TextPart::Literal(text) => resolved.push(TextPart::Literal(text.as_str().into())),
            file::TextPart::Field(name) => match schema.slot(&name.value) {
                Some(slot) => resolved.push(TextPart::Field(slot)),
                None => {
                    let problem = name.problem(format!("no field `{}` in what this sink writes", name.value));
                    problems.push(problem.near(&name.value, schema.names()));
                }
            },
        }
    }
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

fn made<E: Encoder<Row>>(
    sink: &file::Sink,
    job: &str,
    encoder: E,
    schema: &Schema,
    timestamps: Timestamps,
) -> Result<Arc<dyn Sink<Row>>, Vec<Problem>> {
    Ok(match &sink.connector {
        SinkConnector::Stdout => Arc::new(StdoutSink::new(encoder)),
        SinkConnector::File { path } => Arc::new(FileSink::new(path.value.clone(), encoder)),
        SinkConnector::Kafka(kafka) => return kafka::sink(kafka, &kafka::default_id(job, sink), encoder, schema, timestamps),
    })
}

/// The names a sink says of what it writes.
fn names(sink: &file::Sink) -> Vec<String> {
    let mut parts: Vec<&file::TextPart> = Vec::new();
    let mut names = Vec::new();
    if let SinkFormat::Text(Some(text)) = &sink.format {
        parts.extend(text);
    }
    if let SinkConnector::Kafka(kafka) = &sink.connector {
        parts.extend(kafka.key.iter().chain(kafka.headers.iter().map(|(_, text)| text)).flatten());
        names.extend(kafka.timestamp.iter().map(|field| field.value.clone()));
    }
    names.extend(
        parts.into_iter().filter_map(|part| if let file::TextPart::Field(field) = part { Some(field.value.clone()) } else { None }),
    );
    names
}
