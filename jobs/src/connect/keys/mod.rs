//! The keys of sources, tables and sinks.

mod avro;
mod generator;
mod sinks;
mod sources;
mod tables;

use crate::yaml::Table;

pub(super) use avro::{AVRO, AVRO_SINK, SINK_FORMAT};
pub(super) use generator::{DISTRIBUTION, SOURCE_GENERATOR, TIME};
pub(super) use sinks::{SINK, SINK_FILE, SINK_KAFKA};
pub(crate) use sources::SOURCE_TEXT;
pub(super) use sources::{EVENT_TIME, FIELD, FORMAT, SOURCE, SOURCE_FILE, SOURCE_KAFKA, TOPIC};
pub(super) use tables::{CACHE, TABLE, TABLE_FILE, TABLE_HTTP};

/// Those of sources and tables, for the reference.
pub(crate) static SOURCES: [&Table; 17] = [
    &SOURCE,
    &SOURCE_FILE,
    &SOURCE_TEXT,
    &SOURCE_KAFKA,
    &TOPIC,
    &SOURCE_GENERATOR,
    &FORMAT,
    &AVRO,
    &AVRO_SINK,
    &FIELD,
    &EVENT_TIME,
    &DISTRIBUTION,
    &TIME,
    &TABLE,
    &TABLE_FILE,
    &TABLE_HTTP,
    &CACHE,
];

/// Those of sinks.
pub(crate) static SINKS: [&Table; 4] = [&SINK, &SINK_FILE, &SINK_KAFKA, &SINK_FORMAT];
