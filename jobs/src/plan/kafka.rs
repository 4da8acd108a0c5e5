//! What is particular to Kafka in the plans of sources and sinks.

use std::sync::Arc;

use tidegate_connectors::format::{Encoder, Timestamps};
use tidegate_connectors::kafka::{Cluster, Fields, KafkaSink, KafkaSource, Metadata, RowAddress, Template, Topics};
use tidegate_connectors::row::{Row, Schema, Type};
use tidegate_runtime::sink::Sink;

use super::sinks::text_parts;
use super::windows::unsigned;
use crate::file::{self, Problem, Spanned};

/// The cluster a file means.
pub(super) fn cluster(cluster: &file::KafkaCluster) -> Cluster {
    cluster.options.iter().fold(Cluster::new(&cluster.brokers), |c, (name, value)| c.with_option(&name.value, value))
}

/// The topics a file means.
pub(super) fn topics(topics: &file::KafkaTopics) -> Topics {
    match topics {
        file::KafkaTopics::Named(names) => Topics::Named(names.iter().map(|name| name.value.clone()).collect()),
        // It has been read once before.
        file::KafkaTopics::Pattern(pattern) => Topics::matching(&pattern.value).unwrap_or(Topics::Named(Vec::new())),
    }
}

/// `made`, reading what the file says.
pub(super) fn reading<F, C>(made: KafkaSource<F, C>, source: &file::KafkaSource) -> KafkaSource<F, C> {
    let mut made = made.start(source.start.clone()).discover(source.discover.map(unsigned));
    if let Some(stop) = &source.stop {
        made = made.stop(stop.clone());
    }
    if let Some(group) = &source.group {
        made = made.group(&group.value);
    }
    if source.uncommitted { made.read_uncommitted() } else { made }
}

/// `schema` with the fields that hold what messages carry beside their values, and where those are.
pub(super) fn with_metadata(schema: &Schema, metadata: &[(Spanned<String>, Metadata)]) -> (Schema, Fields) {
    let part = |name: &str| metadata.iter().find(|(field, _)| field.value == name).map(|(_, part)| *part);
    // The format may have left room for them, as fields of any type.
    let types = schema.fields().iter().map(|field| (field.name.clone(), part(&field.name).map_or(field.ty.clone(), Metadata::ty)));
    let mut whole = Schema::new(types);
    let parts = metadata.iter().map(|(name, part)| (whole.add(&name.value, part.ty()), *part)).collect();
    (whole, Fields { parts, timed: false })
}

/// The sink a file means.
pub(super) fn sink<E: Encoder<Row>>(
    sink: &file::KafkaSink,
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
        match time.map(|slot| &schema.fields()[slot].ty) {
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
    let made = KafkaSink::new(cluster(&sink.cluster), &sink.topic.value, encoder);
    Ok(Arc::new(made.addressed(RowAddress { key, time, headers })))
}
