//! Sources, tables and sinks of job files: their keys, what was read of them, and what they become.

mod avro;
mod generator;
mod kafka;
pub(crate) mod keys;
pub(crate) mod plan;
mod schema;
pub(crate) mod sinks;
pub(crate) mod sources;
pub(crate) mod tables;

pub use avro::{AvroSink, AvroSource, SchemaRegistry};
pub use generator::{Distribution, Generator};
pub use kafka::{Delivery, KafkaCluster, KafkaSink, KafkaSource, KafkaTopics};
pub use schema::{FieldType, SchemaField, TimeText};
pub use sinks::{Sink, SinkConnector, SinkFormat, TextPart, Timestamps};
pub use sources::{EventTime, Lines, Source, SourceConnector, SourceFormat, TimeField, TimeUnit};
pub use tables::{Cache, Table, TableConnector};

pub(crate) use plan::sources::conversion;
