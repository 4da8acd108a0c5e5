//! What is particular to Kafka in the plans of sources and sinks.

use std::sync::Arc;

use tidegate_connectors::entry::OnBad;
use tidegate_connectors::kafka::{Cluster, Fields, KafkaSink, KafkaSource, Metadata, RowAddress, Template, Topics};
use tidegate_connectors::message::{MessageEncoder, MessageFormat};
use tidegate_rows::format::Timestamps;
use tidegate_rows::{Row, Schema, Type};
use tidegate_runtime::sink::Sink;

use super::sinks::text_parts;
use super::sources::RowSource;
use crate::connect::{self as file, Delivery};
use crate::text::{Problem, Spanned};
use crate::yaml::unsigned;

/// The cluster a file means.
pub(crate) fn cluster(cluster: &file::KafkaCluster) -> Cluster {
    cluster.options.iter().fold(Cluster::new(&cluster.brokers), |c, (name, value)| c.with_option(&name.value, value))
}

/// The topics a file means.
pub(crate) fn topics(topics: &file::KafkaTopics) -> Topics {
    match topics {
        file::KafkaTopics::Named(names) => Topics::Named(names.iter().map(|name| name.value.clone()).collect()),
        // It has been read once before.
        file::KafkaTopics::Pattern(pattern) => Topics::matching(&pattern.value).unwrap_or(Topics::Named(Vec::new())),
    }
}

/// The source a file means.
pub(crate) fn source<F: MessageFormat<Item = Row>>(source: &file::KafkaSource, fields: Fields, format: F, on_bad: OnBad) -> RowSource {
    let made = KafkaSource::new(cluster(&source.cluster), topics(&source.topic), format).on_bad(on_bad).completed_by(fields);
    let mut made = made.start(source.start.clone()).discover(source.discover.map(unsigned));
    if let Some(stop) = &source.stop {
        made = made.stop(stop.clone());
    }
    if let Some(group) = &source.group {
        made = made.group(&group.value);
    }
    Arc::new(if source.uncommitted { made.read_uncommitted() } else { made })
}

/// `schema` with the fields that hold what messages carry beside their values, and where those are.
pub(crate) fn with_metadata(schema: &Schema, metadata: &[(Spanned<String>, Metadata)]) -> (Schema, Fields) {
    let mut whole = schema.clone();
    let mut place = |name: &str, part: Metadata| {
        // The format may have left room for it, as a field of any type.
        whole.require(name, part.ty());
        (whole.add(name, part.ty()), part)
    };
    let parts = metadata.iter().map(|(name, part)| place(&name.value, *part)).collect();
    (whole, Fields { parts, timed: false })
}

/// The sink a file means.
pub(crate) fn sink<E: MessageEncoder<Row>>(
    sink: &file::KafkaSink,
    default_id: &str,
    encoder: E,
    schema: &Schema,
    timestamps: Timestamps,
) -> Result<Arc<dyn Sink<Row>>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut template = |parts: &[file::TextPart]| match text_parts(parts, schema) {
        Ok(parts) => Some(Template::new(parts, timestamps)),
        Err(found) => {
            problems.extend(found);
            None
        }
    };
    let key = sink.key.as_ref().and_then(|parts| template(parts));
    let headers = sink.headers.iter().filter_map(|(name, parts)| Some((name.value.clone(), template(parts)?))).collect();
    let mut time = None;
    if let Some(field) = &sink.timestamp {
        time = schema.slot(&field.value);
        match schema.named(&field.value).map(|field| &field.ty) {
            Some(Type::Timestamp | Type::Int | Type::Any) => {}
            Some(ty) => problems.push(field.problem(format!("the field `{}` is of type {ty}, not a time", field.value))),
            None => {
                let problem = field.problem(format!("no field `{}` in what this sink writes", field.value));
                problems.push(problem.near(&field.value, schema.names()));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let made = KafkaSink::new(cluster(&sink.cluster), &sink.topic.value, encoder).addressed(RowAddress { key, time, headers });
    let Delivery::ExactlyOnce { transactional_id, markers, .. } = &sink.delivery else { return Ok(Arc::new(made)) };
    let made = made.exactly_once(transactional_id.as_ref().map_or(default_id, |id| &id.value));
    Ok(Arc::new(match markers {
        Some(topic) => made.markers(&topic.value),
        None => made,
    }))
}

/// What the transactional ids of a sink begin with, unless the file says otherwise. No name has a dot, so no two are the same.
pub(crate) fn default_id(job: &str, sink: &file::Sink) -> String {
    let name = sink.uid.as_ref().unwrap_or(&sink.name);
    format!("{job}.{}", name.value)
}
