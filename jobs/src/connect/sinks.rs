//! Sinks: what they have in common, whatever they write.

use std::sync::Arc;

use tidegate_rows::format::Timestamps;
use tidegate_rows::{Row, Schema};
use tidegate_runtime::About;
use tidegate_runtime::sink::Sink as RowSink;

use super::claim::{Claim, Owner};
use super::format::{self, SinkFormat};
use super::kind::{AsSink, Carrier, Connector, SinkConnector, SinkScope};
use super::outside::Answers;
use super::{CONNECTORS, choose};
use crate::relation::open::Asked;
use crate::relation::union::{PlannedInput, Streams, union};
use crate::text::{Problem, Spanned};
use crate::yaml::{Node, Reader, Table, key, key_of};

/// The title of a sink in the reference.
pub(crate) const TITLE: &str = "A sink";

pub(crate) static SINK: Table = Table {
    name: "sink",
    title: TITLE,
    keys: &[
        key("from", "name | [name, ...]", "", "the source or stream to write; a list is their union"),
        key_of("connector", words, "", "where records go"),
        key_of(
            "format",
            || format::SINKS.words(),
            "json; on a terminal table",
            "how a record is written; table only to standard output, avro only to Kafka",
        ),
        key("timestamps", "ms | iso", "ms; of a table iso", "how times are written"),
        key("uid", "name", "its own name", "the name of its state in savepoints; set it to rename the sink and keep its state"),
    ],
};

/// A sink.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Its name.
    pub name: Spanned<String>,
    /// The streams it writes; several are a union.
    pub from: Vec<Spanned<String>>,
    /// The connector it writes with.
    pub(crate) connector: Arc<dyn SinkConnector>,
    /// The format it writes in.
    pub(crate) format: Arc<dyn SinkFormat>,
    /// How times are written, or `None` for the default of the format.
    pub timestamps: Option<Timestamps>,
    /// The name its state is kept under, if it is not the sink's own.
    pub uid: Option<Spanned<String>>,
}

fn side(connector: &'static Connector) -> Option<&'static AsSink> {
    connector.sink.as_ref()
}

/// The connectors of sinks, for the reference.
fn words() -> String {
    super::words(|connector| connector.sink.is_some())
}

/// The keys of a sink that has one of these connectors.
fn keys(of: &[&'static AsSink]) -> Vec<&'static Table> {
    let own = of.iter().flat_map(|side| side.keys.iter().copied());
    std::iter::once(&SINK).chain(format::SINKS.beside()).chain(own).collect()
}

/// All keys of sinks, for the reference.
pub(crate) fn tables() -> impl Iterator<Item = &'static Table> {
    let sides: Vec<_> = CONNECTORS.iter().filter_map(|connector| connector.sink.as_ref()).collect();
    keys(&sides).into_iter().chain(format::SINKS.within())
}

pub(crate) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node) -> Option<Sink> {
    let place = format!("sink `{}`", name.value);
    let entries = reader.entries(node, &format!("a mapping for {place}"))?;
    let chosen = choose(reader, entries, "sink.connector", side)?;
    let every = CONNECTORS.iter().filter_map(|connector| connector.sink.as_ref());
    let possible: Vec<_> = chosen.map_or_else(|| every.collect(), |side| vec![side]);
    let fields = reader.fields(node, &name.span, &keys(&possible), &place)?;
    let from = reader.required(&fields, "from").map_or_else(Vec::new, |node| reader.one_or_more(node, "the name of a stream or source"));
    reader.required(&fields, "connector");
    let connector = chosen.and_then(|side| (side.read)(reader, &fields));
    let format = format::read_sink(reader, &fields, chosen.map_or(Carrier::Lines, |side| side.carrier));
    let ways = [("ms", Timestamps::Millis), ("iso", Timestamps::Iso)];
    let timestamps = fields.get("timestamps").and_then(|node| reader.word(node, "timestamps", &ways));
    let timestamps = timestamps.map(|way| way.value);
    let uid = fields.get("uid").and_then(|node| reader.name(node));
    Some(Sink { name, from, connector: connector?, format: format?, timestamps, uid })
}

impl Sink {
    /// What it uses outside the job that another part could take from it.
    pub(crate) fn claims(&self, job: &str) -> Vec<Claim> {
        self.connector.claims(&self.owner(job), self.format.ending())
    }

    fn owner<'a>(&'a self, job: &'a str) -> Owner<'a> {
        Owner { job, name: &self.name, uid: self.uid.as_ref() }
    }
}

/// A planned sink.
#[derive(Clone)]
pub(crate) struct PlannedSink {
    pub(crate) name: String,
    pub(crate) about: About,
    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) schema: Schema,
    pub(crate) sink: Arc<dyn RowSink<Row>>,
    /// A short description of what it writes.
    pub(crate) label: String,
}

/// Plans a sink of a job. `None` if an input could not be planned.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn plan(
    sink: &Sink,
    job: &str,
    known: &Streams,
    asked: &mut Asked,
    answers: &Answers,
) -> Result<Option<PlannedSink>, Vec<Problem>> {
    let names = [sink.format.names(), sink.connector.names()].concat();
    let Some((input, inputs)) = union(&sink.from, known, &names, asked) else { return Ok(None) };
    let schema = input.schema;
    let timestamps = sink.timestamps.unwrap_or_else(|| sink.format.timestamps(answers));
    let scope = SinkScope { owner: sink.owner(job), schema: &schema, timestamps, topic: sink.connector.topic(), answers };
    let encoding = sink.format.encoding(&scope)?;
    let made = sink.connector.plan(&scope, encoding)?;
    let (name, about) = (sink.name.value.clone(), About::default());
    Ok(Some(PlannedSink { name, about, inputs, schema, sink: made, label: sink.connector.words() }))
}
