//! Kafka: reading and writing topics through librdkafka.
//!
//! **Guarantees.** The source reads every committed record of its partitions from its start to its end, each
//! partition in order; its position is part of checkpoints. The sink writes the records of a worker in order, assigns
//! keys to partitions as a Java producer does, and has everything acknowledged when a flush returns: each record is
//! written at least once.
//!
//! **Requires** brokers of Kafka 2.1 or newer. A client has its own threads; all waiting happens there or on the
//! reader's thread.

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
