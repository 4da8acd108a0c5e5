//! Connectors and formats of job files: sources, sinks, lookup tables, and how their records are encoded.
//!
//! A connector is a file or a folder: it knows its keys, reads them, and makes a source, a table, a sink, or several of these. To add one, write
//! the file and list it below. [`kind`] is the contract; [`format`](mod@format) is the same for formats.

#![cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "of the connectors there are, only Kafka has messages"))]

mod claim;
mod entries;
mod first_time;
mod format;
mod kind;
mod lines;
mod look;
mod outside;
mod schema;
pub(crate) mod sinks;
pub(crate) mod sources;
pub(crate) mod tables;
mod template;

mod file;
mod generator;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod socket;
mod stdin;
mod stdout;

pub(crate) use claim::{Claim, Owner};
pub(crate) use entries::{Good, dead_letter, dead_letter_schema};
pub(crate) use kind::{MadeTable, TableScope};
pub(crate) use lines::LINES;
pub use lines::Lines;
pub(crate) use look::Look;
pub(crate) use outside::Answers;
pub use outside::{Local, Outside, Written};
pub(crate) use schema::conversions;
pub use schema::{FieldType, SchemaField, TimeText};
pub use sinks::Sink;
pub use sources::{EventTime, Source, TimeField};
pub use tables::Table;
pub(crate) use tables::lookup_key;

#[cfg(test)]
pub(crate) use {
    file::{FileSink, FileSource},
    format::{Csv, Text},
};
#[cfg(all(test, feature = "kafka"))]
pub(crate) use {
    format::{AvroSink, AvroSource},
    kafka::{KafkaSink, KafkaSource, KafkaTopics},
};

use crate::yaml::{self, Entry, Reader, scalar};
use kind::Connector;

/// The connectors of this build.
static CONNECTORS: &[&Connector] = &[
    &stdout::CONNECTOR,
    &file::CONNECTOR,
    &stdin::CONNECTOR,
    &socket::CONNECTOR,
    #[cfg(feature = "kafka")]
    &kafka::CONNECTOR,
    &generator::CONNECTOR,
    &http::CONNECTOR,
];

/// The connectors that this build lacks: the name in job files, what it stands for, and the feature that adds it.
static LEFT_OUT: &[(&str, &str, &str)] = &[
    #[cfg(not(feature = "kafka"))]
    ("kafka", "Kafka", "kafka"),
];

/// The names of the connectors for which `are` holds, for the reference.
fn words(are: fn(&Connector) -> bool) -> String {
    CONNECTORS.iter().filter(|connector| are(connector)).map(|connector| connector.name).collect::<Vec<_>>().join(" | ")
}

/// The side of the connector that a mapping names. The outer `None` means a problem was reported, the inner one that it names none.
/// `table` lists the connectors that this version does not support yet.
fn choose<S>(
    reader: &mut Reader,
    entries: &[Entry],
    table: &'static str,
    side: fn(&'static Connector) -> Option<&'static S>,
) -> Option<Option<&'static S>> {
    let Some(entry) = entries.iter().find(|entry| entry.key.value == "connector" && !entry.value.is_null()) else { return Some(None) };
    if let Some((_, what, feature)) = LEFT_OUT.iter().find(|(name, ..)| scalar(&entry.value) == Some(*name)) {
        let message = format!("this build of tidegate has no {what}: build it with the feature `{feature}`");
        return reader.fail(&entry.value.span, message);
    }
    let words: Vec<_> = CONNECTORS.iter().filter_map(|connector| Some((connector.name, side(connector)?))).collect();
    reader.word(&entry.value, table, &words).map(|chosen| Some(chosen.value))
}

/// The keys of sources and tables, which the reference lists before those of streams.
pub(crate) fn keys_before_streams() -> impl Iterator<Item = &'static yaml::Table> {
    sources::tables().chain(tables::tables())
}

/// The keys of sinks, which the reference lists after those of streams.
pub(crate) fn keys_behind_streams() -> impl Iterator<Item = &'static yaml::Table> {
    sinks::tables()
}
