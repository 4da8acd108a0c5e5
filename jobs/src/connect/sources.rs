//! Sources: what they have in common, whatever they read.

use std::sync::Arc;

use jiff::SignedDuration;
use tidegate_rows::format::TimeUnit;
use tidegate_rows::{Schema, Type};
use tidegate_runtime::About;
use tidegate_runtime::watermarks::WatermarkStrategy;

use super::first_time::Watched;
use super::kind::{AsSource, Connector, MadeSource, RowSource, SourceConnector, SourceScope};
use super::lines::{self, Lines};
use super::look::Look;
use super::outside::Answers;
use super::{CONNECTORS, choose, format};
use crate::relation::known::Order;
use crate::relation::open::Asked;
use crate::text::{Problem, Spanned};
use crate::yaml::{Fields, Node, Reader, Table, Value, key, key_of, scalar, unsigned};

pub(crate) static SOURCE: Table = Table {
    name: "source",
    title: "A source",
    keys: &[
        key_of("connector", words, "", "where the records come from"),
        key(
            "event_time",
            "mapping | ingestion",
            "none",
            "which field holds the record's time and how watermarks follow from it; ingestion: the time at which the record enters",
        ),
        key("uid", "name", "its own name", "the name of its state in savepoints; set it to rename the source and keep its state"),
    ],
};

static EVENT_TIME: Table = Table {
    name: "event_time",
    title: "event_time with a field",
    keys: &[
        key("field", "field", "", "the field with the record's time"),
        key("unit", "s | ms | us | ns", "ms", "the unit of a field of type int"),
        key("max_delay", "duration", "0s", "how far records may be out of order"),
        key("idle_after", "duration", "none", "the silence after which the source no longer holds back event time"),
        key("max_drift", "duration", "none", "how far the source may run ahead of the slowest one"),
        key(
            "watermark",
            "every_batch | every_record",
            "every_batch",
            "when the watermark moves: once per batch of up to 1,024 records, or with every record",
        ),
        key("watermark_field", "field", "none", "a record that has only this field sets the watermark"),
    ],
};

/// A source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name.
    pub name: Spanned<String>,
    /// Where its records come from.
    pub(crate) connector: Arc<dyn SourceConnector>,
    /// Where a record's time comes from, if records have one.
    pub event_time: Option<EventTime>,
    /// Whether the key `event_time` is given, even if its value can't be read.
    pub timed: bool,
    /// Whether everything that determines the fields of its records was read. If so, the streams that read it can be checked despite other errors.
    pub whole: bool,
    /// The name its state is kept under, if it is not the source's own.
    pub uid: Option<Spanned<String>>,
}

/// `event_time`: where the event times of records come from.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one for each source of a file")]
pub enum EventTime {
    /// A field of the record.
    Field(TimeField),
    /// The clock, when a record enters the job.
    Ingestion,
}

/// An `event_time` taken from a field.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeField {
    /// The field that holds the record's time.
    pub field: Spanned<String>,
    /// The unit of the field if it is an int.
    pub unit: TimeUnit,
    /// How far records may be out of order; 0 unless given.
    pub max_delay: SignedDuration,
    /// How long the source may be silent before it stops holding back the watermark.
    pub idle_after: Option<Spanned<SignedDuration>>,
    /// How far it may run ahead of the slowest source before it pauses.
    pub max_drift: Option<Spanned<SignedDuration>>,
    /// Whether the watermark advances with every record instead of once per batch.
    pub every_record: bool,
    /// The watermark field: a record with only this field sets the watermark to its value.
    pub watermark_field: Option<Spanned<String>>,
}

fn side(connector: &'static Connector) -> Option<&'static AsSource> {
    connector.source.as_ref()
}

/// The connectors of sources, for the reference.
fn words() -> String {
    super::words(|connector| connector.source.is_some())
}

/// The keys of a source that has one of these connectors.
fn keys(of: &[&'static AsSource]) -> Vec<&'static Table> {
    let mut tables = vec![&SOURCE];
    tables.extend(of.iter().flat_map(|side| side.keys.iter().copied()));
    if of.iter().any(|side| side.lines) {
        tables.extend(lines::tables());
    }
    tables
}

/// All keys of sources, for the reference.
pub(crate) fn tables() -> impl Iterator<Item = &'static Table> {
    let sides = || CONNECTORS.iter().filter_map(|connector| connector.source.as_ref());
    let lines = lines::tables().chain(format::SOURCES.within());
    let own = sides().flat_map(|side| side.keys.iter().chain(side.within).copied());
    std::iter::once(&SOURCE).chain(own).chain(lines).chain([&super::schema::FIELD, &EVENT_TIME])
}

pub(crate) fn read(reader: &mut Reader, name: Spanned<String>, node: &Node) -> Option<Source> {
    let place = format!("source `{}`", name.value);
    let entries = reader.entries(node, &format!("a mapping for {place}"))?;
    let Some(side) = choose(reader, entries, "source.connector", side)? else {
        let every: Vec<_> = CONNECTORS.iter().filter_map(|connector| connector.source.as_ref()).collect();
        let fields = reader.fields(node, &name.span, &keys(&every), &place)?;
        reader.required(&fields, "connector");
        return None;
    };
    let fields = reader.fields(node, &name.span, &keys(&[side]), &place)?;
    let connector = (side.read)(reader, &fields);
    let types = connector.as_ref().and_then(|connector| connector.field_types());
    let event_time = fields.get("event_time").and_then(|node| read_event_time(reader, node, &fields, types.as_deref()));
    let of_formats = format::SOURCES.beside().flat_map(|table| table.keys).map(|key| key.name);
    let aside: Vec<&str> = ["event_time", "uid"].iter().chain(&lines::ASIDE).chain(side.aside).copied().chain(of_formats).collect();
    let whole = !fields.missing && fields.knows_all_but(&aside);
    let uid = fields.get("uid").and_then(|node| reader.name(node));
    drop(types);
    Some(Source { name, connector: connector?, event_time, timed: fields.key("event_time").is_some(), whole, uid })
}

fn read_event_time(reader: &mut Reader, node: &Node, source: &Fields<'_>, types: Option<&[(&str, Type)]>) -> Option<EventTime> {
    match scalar(node) {
        Some("ingestion") => Some(EventTime::Ingestion),
        Some(_) => reader.wrong(node, "`ingestion`, or a mapping such as `{ field: ts }`"),
        None if refuses_ingestion(reader, node) => None,
        None => read_time_field(reader, node, source, types).map(EventTime::Field),
    }
}

/// Reports a mapping that asks for ingestion time, and every key in it that contradicts that. Returns whether it was one.
fn refuses_ingestion(reader: &mut Reader, node: &Node) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let Some(ingestion) = entries.iter().find(|entry| entry.key.value == "ingestion") else { return false };
    reader.push(ingestion.key.problem("ingestion time has no options: write `event_time: ingestion`"));
    for entry in entries.iter().filter(|entry| entry.key.value != "ingestion") {
        let key = &entry.key.value;
        let message = format!("`{key}` contradicts `ingestion`: the clock gives the records their times, and the watermark follows it");
        reader.push(entry.key.problem(message));
    }
    true
}

fn read_time_field(reader: &mut Reader, node: &Node, source: &Fields<'_>, types: Option<&[(&str, Type)]>) -> Option<TimeField> {
    let fields = reader.fields(node, source.key("event_time")?, &[&EVENT_TIME], &format!("`event_time` of {}", source.place))?;
    let field = reader.required(&fields, "field").and_then(|node| reader.text(node, "the name of a field"));
    if let (Some(field), Some(types)) = (&field, types) {
        check_time_field(reader, field, types);
    }
    let unit = fields.get("unit").and_then(|node| reader.word(node, "event_time.unit", &TimeUnit::ALL));
    let max_delay = fields.get("max_delay").and_then(|node| reader.span(node));
    let idle_after = fields.get("idle_after").filter(|node| scalar(node) != Some("none")).and_then(|node| reader.positive(node));
    let max_drift = fields.get("max_drift").and_then(|node| reader.optional_span(node));
    let moves = [("every_batch", false), ("every_record", true)];
    let watermark = fields.get("watermark").and_then(|node| reader.word(node, "event_time.watermark", &moves));
    let watermark_field = fields.get("watermark_field").and_then(|node| reader.text(node, "the name of a field"));
    for key in ["max_delay", "watermark"] {
        if watermark_field.is_some()
            && let Some(at) = fields.key(key)
        {
            reader.push(at.problem(format!("`{key}` does not go with `watermark_field`: the watermarks are those of the data")));
        }
    }
    if let Some(at) = watermark_field.as_ref().filter(|at| field.as_ref().is_some_and(|field| field.value == at.value)) {
        let message = format!("`{}` is the field of the records' times: a record with only the `watermark_field` is a watermark", at.value);
        reader.push(at.problem(message));
    }
    Some(TimeField {
        field: field?,
        unit: unit.map(|unit| unit.value).unwrap_or_default(),
        max_delay: max_delay.map_or(SignedDuration::ZERO, |delay| delay.value),
        idle_after,
        max_drift,
        every_record: watermark.is_some_and(|watermark| watermark.value),
        watermark_field,
    })
}

/// Checks that this field can hold the record's time, given the types of the fields.
fn check_time_field(reader: &mut Reader, field: &Spanned<String>, types: &[(&str, Type)]) {
    match types.iter().find(|(name, _)| *name == field.value) {
        None => {
            let problem = field.problem(format!("no field `{}` in the schema", field.value));
            reader.push(problem.near(&field.value, types.iter().map(|(name, _)| *name)));
        }
        // A field that can't be read has type null.
        Some((_, Type::Int | Type::Timestamp | Type::Any | Type::Null)) => {}
        Some((_, ty)) => reader.push(field.problem(format!("the field `{}` is of type {ty}, not a time", field.value))),
    }
}

impl Source {
    /// The field that holds a record's time, if there is one.
    #[must_use]
    pub fn time_field(&self) -> Option<&TimeField> {
        match &self.event_time {
            Some(EventTime::Field(field)) => Some(field),
            Some(EventTime::Ingestion) | None => None,
        }
    }

    /// The fields that the job file gives this source, with their types, or `None` if only the data has them.
    #[must_use]
    pub fn field_types(&self) -> Option<Vec<(&str, Type)>> {
        self.connector.field_types()
    }

    /// How lines or messages become records, if the source reads such.
    #[must_use]
    pub fn lines(&self) -> Option<&Lines> {
        self.connector.lines()
    }

    /// The name of its stream of skipped lines, if it has one.
    #[must_use]
    pub fn dead_letter(&self) -> Option<&Spanned<String>> {
        self.lines()?.dead_letter.as_ref()
    }
}

/// A planned source.
#[derive(Clone)]
pub(crate) struct PlannedSource {
    pub(crate) name: String,
    pub(crate) about: About,
    pub(crate) source: RowSource,
    pub(crate) schema: Schema,
    pub(crate) strategy: WatermarkStrategy,
    pub(crate) timed: bool,
    pub(crate) order: Order,
    pub(crate) dead_letter: Option<String>,
    /// A short description of what it reads.
    pub(crate) label: String,
    /// A check of what it would find, made before the job runs.
    pub(crate) look: Option<Look>,
}

/// Plans a source. `asked` are the fields that the job asks of sources without a schema.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn plan(source: &Source, asked: &Asked, answers: &Answers) -> Result<PlannedSource, Vec<Problem>> {
    let scope = SourceScope { name: &source.name, event_time: source.time_field(), asked, answers };
    let MadeSource { source: made, schema, own_times, look } = source.connector.plan(&scope)?;
    let name = source.name.value.clone();
    let timed = source.event_time.is_some() || own_times.is_some();
    let strategy = match &source.event_time {
        Some(EventTime::Ingestion) => WatermarkStrategy::ingestion(),
        Some(EventTime::Field(time)) => time.strategy(),
        None => own_times.unwrap_or_else(WatermarkStrategy::from_data),
    };
    // Only times that are read can be implausible: generated ones are as the job file says.
    let read = source.time_field().is_some() && source.lines().is_some();
    let made = if read { Arc::new(Watched { name: name.clone(), source: made }) as RowSource } else { made };
    Ok(PlannedSource {
        name,
        about: About::default(),
        source: made,
        schema,
        strategy,
        timed,
        order: source.connector.order(answers),
        dead_letter: source.dead_letter().map(|name| name.value.clone()),
        label: source.connector.words(),
        look,
    })
}

impl TimeField {
    fn strategy(&self) -> WatermarkStrategy {
        WatermarkStrategy {
            max_delay: self.watermark_field.is_none().then(|| unsigned(self.max_delay)),
            idle_after: self.idle_after.as_ref().map(|d| unsigned(d.value)),
            max_drift: self.max_drift.as_ref().map(|d| unsigned(d.value)),
            every_record: self.every_record,
            ingestion: false,
        }
    }
}
