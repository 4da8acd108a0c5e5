//! `connector: file`: files as sources, lookup tables and sinks.

mod sink;
mod source;
mod table;

#[cfg(test)]
pub(crate) use {sink::FileSink, source::FileSource};

use super::kind::{AsSink, AsSource, AsTable, Carrier, Connector};

pub(crate) static CONNECTOR: Connector = Connector {
    name: "file",
    source: Some(AsSource { keys: &[&source::KEYS], within: &[], lines: true, aside: &["path", "split"], read: source::read }),
    table: Some(AsTable { keys: &[&table::KEYS], within: &[], read: table::read }),
    sink: Some(AsSink { keys: &[&sink::KEYS], carrier: Carrier::Lines, read: sink::read }),
};
