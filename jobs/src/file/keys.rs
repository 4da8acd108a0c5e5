//! Every key a job file may have, by the mapping it stands in. The check for unknown keys and the printed reference both come from here.

mod avro;
mod generator;
mod job;
mod patterns;
mod sinks;
mod sources;
mod streams;
mod tables;
mod windows;

use std::fmt::Write as _;

pub(super) use avro::{AVRO, AVRO_SINK, SINK_FORMAT};
pub(super) use generator::{DISTRIBUTION, SOURCE_GENERATOR, TIME};
pub(super) use job::{CHECKPOINTS, JOB, RESTART, STATE};
pub(super) use patterns::{AFTER_MATCH, ANY_OF, LIMIT, PATTERN, STEP, TIMES};
pub(super) use sinks::{SINK, SINK_FILE, SINK_KAFKA};
pub(super) use sources::{EVENT_TIME, FIELD, FORMAT, SOURCE, SOURCE_FILE, SOURCE_KAFKA, SOURCE_TEXT, TOPIC};
pub(super) use streams::{AGGREGATE, DEDUPE, JOIN, STREAM, TOP};
pub(super) use tables::{CACHE, LOOKUP, TABLE, TABLE_FILE, TABLE_HTTP};
pub(super) use windows::{EVICTOR, TRIGGER, WINDOW};

/// One key: its name, the type of its value, its default (empty if it must be given) and what it does.
pub(super) struct Key {
    pub(super) name: &'static str,
    ty: &'static str,
    default: &'static str,
    about: &'static str,
}

/// The keys of one kind of mapping.
pub(super) struct Table {
    pub(super) name: &'static str,
    title: &'static str,
    pub(super) keys: &'static [Key],
}

const fn key(name: &'static str, ty: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, ty, default, about }
}

static ALL: [&Table; 40] = [
    &JOB,
    &STATE,
    &CHECKPOINTS,
    &RESTART,
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
    &STREAM,
    &AGGREGATE,
    &WINDOW,
    &TRIGGER,
    &EVICTOR,
    &JOIN,
    &LOOKUP,
    &DEDUPE,
    &TOP,
    &PATTERN,
    &LIMIT,
    &STEP,
    &ANY_OF,
    &TIMES,
    &AFTER_MATCH,
    &SINK,
    &SINK_FILE,
    &SINK_KAFKA,
    &SINK_FORMAT,
];

/// All keys of job files as Markdown: per mapping, the name, type, default and meaning of each key. Keys that are not in this version are
/// left out.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for table in ALL {
        let mut keys = table.keys.iter().filter(|key| super::not_yet::missing(table.name, key.name).is_none()).peekable();
        if keys.peek().is_none() {
            continue;
        }
        let _ = writeln!(text, "## {}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |", table.title);
        for key in keys {
            let bars = |cell: &str| cell.replace('|', "\\|");
            let default = if key.default.is_empty() { "required" } else { key.default };
            let _ = writeln!(text, "| `{}` | {} | {} | {} |", key.name, bars(key.ty), bars(default), bars(key.about));
        }
        text.push('\n');
    }
    text
}
