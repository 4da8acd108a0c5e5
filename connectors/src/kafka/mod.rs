//! Kafka: topics in and out, through librdkafka.
//!
//! **Promises.** The source reads every committed record of its partitions from where it begins to where it ends, each partition in order;
//! where it is goes into checkpoints. The sink writes records of a worker in their order, has those of a key end in the partition that a Java
//! producer would choose, and has all been acknowledged when a flush returns: each record stands at least once.
//!
//! **Relies on** brokers of Kafka 2.1 or newer. A client has threads of its own; all waiting is done there or on the reader's thread.

mod client;
mod envelope;
pub mod exactly_once;
mod offsets;
mod partitions;
mod reader;
mod sink;
mod source;
mod split;

pub use client::{Cluster, Side};
pub use envelope::{Complete, Envelope, Fields, MessageTime, Metadata, ValueOnly};
pub use offsets::{Start, Stop};
pub use partitions::Topics;
pub use sink::{Address, KafkaSink, RowAddress, Template, ValueAlone};
pub use source::KafkaSource;
