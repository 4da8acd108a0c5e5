//! `connector: kafka`, of sources and of sinks.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tidegate_connectors::kafka::{Cluster, Metadata, Side, Start, Stop, Topics};
use tidegate_rows::Type;

use super::sinks::{TextPart, read_template};
use super::sources::{self, Lines, Origin};
use crate::text::Spanned;
use crate::yaml::{Fields, Reader, scalar};
use crate::yaml::{Node, Value};

/// The brokers and how to talk to them.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaCluster {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Properties of librdkafka, which have been checked.
    pub options: Vec<(Spanned<String>, String)>,
}

/// Topics that are read.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaSource {
    /// Where they are.
    pub cluster: KafkaCluster,
    /// Which.
    pub topic: KafkaTopics,
    /// Where reading begins.
    pub start: Start,
    /// Where it ends, if it does.
    pub stop: Option<Stop>,
    /// The group that offsets are committed for.
    pub group: Option<Spanned<String>>,
    /// Whether records of transactions that are open or aborted are read too.
    pub uncommitted: bool,
    /// How often new partitions are looked for; `None`: never.
    pub discover: Option<SignedDuration>,
    /// Fields that hold what a message carries beside its value.
    pub metadata: Vec<(Spanned<String>, Metadata)>,
    /// How values become records.
    pub lines: Lines,
}

impl KafkaSource {
    /// The fields the file gives this source, with their types; `None` where only the data knows them.
    pub(crate) fn field_types(&self) -> Option<Vec<(&str, Type)>> {
        let schema = self.lines.schema.as_ref()?.iter().map(|field| (field.name.as_str(), field.ty.ty()));
        Some(schema.chain(self.metadata.iter().map(|(name, part)| (name.as_str(), part.ty()))).collect())
    }
}

/// Which topics.
#[derive(Clone, Debug, PartialEq)]
pub enum KafkaTopics {
    /// These.
    Named(Vec<Spanned<String>>),
    /// All whose whole name matches.
    Pattern(Spanned<String>),
}

impl KafkaTopics {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Named(names) => names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "),
            Self::Pattern(pattern) => format!("/{}/", pattern.value),
        }
    }
}

/// A topic that is written.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaSink {
    /// Where it is.
    pub cluster: KafkaCluster,
    /// Its name.
    pub topic: Spanned<String>,
    /// What the key is made of.
    pub key: Option<Vec<TextPart>>,
    /// The field with the message's time.
    pub timestamp: Option<Spanned<String>>,
    /// What headers are made of, by their names.
    pub headers: Vec<(Spanned<String>, Vec<TextPart>)>,
    /// How often a record may be written.
    pub delivery: Delivery,
}

/// How often a sink may write a record, across failures.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Delivery {
    /// More than once.
    #[default]
    AtLeastOnce,
    /// Once.
    ExactlyOnce {
        /// Where the file says so.
        at: Spanned<()>,
        /// What the transactional ids of its writers begin with; `None`: the names of the job and the sink.
        transactional_id: Option<Spanned<String>>,
        /// The topic of markers, if another than the usual one.
        markers: Option<Spanned<String>>,
    },
}

pub(crate) fn read_source(reader: &mut Reader, fields: &Fields<'_>) -> Option<KafkaSource> {
    let cluster = read_cluster(reader, fields, Side::Source);
    let topic = reader.required(fields, "topic").and_then(|node| read_topics(reader, node, fields));
    let single = matches!(&topic, Some(KafkaTopics::Named(names)) if names.len() == 1);
    let group = fields.get("group").and_then(|node| reader.text(node, "the name of a group"));
    let start = fields.get("start").and_then(|node| read_start(reader, node, single));
    if let (Some(Start::Committed), None, Some(node)) = (&start, &group, fields.get("start")) {
        reader.push(node.span.problem("`start: committed` needs a `group`, whose offsets it begins at"));
    }
    let stop = fields.get("stop").and_then(|node| read_stop(reader, node, single));
    if let (Some(start), Some(stop), Some(node)) = (&start, &stop, fields.get("stop"))
        && let Some(why) = ends_before(start, stop, Timestamp::now())
    {
        reader.push(node.span.problem(format!("`stop` lies before `start`: {why}, so there is nothing to read")));
    }
    let isolations = [("read_committed", false), ("read_uncommitted", true)];
    let isolation = fields.get("isolation").and_then(|node| reader.word(node, "isolation", &isolations));
    let discover = match fields.get("discover") {
        None => Some(SignedDuration::from_secs(30)),
        Some(node) if scalar(node) == Some("none") => None,
        Some(node) => reader.positive(node).map(|every| every.value),
    };
    if let (Some(at), Some(_)) = (fields.key("discover"), &stop) {
        reader.push(at.warning("`discover` has no effect with `stop`: what is read is settled when the job starts"));
    }
    let metadata = fields.get("metadata").map_or_else(Vec::new, |node| read_metadata(reader, node));
    let lines = sources::read_lines(reader, fields, Origin::Messages)?;
    for (name, _) in &metadata {
        if lines.schema.iter().flatten().any(|field| field.name.value == name.value) {
            reader.push(name.problem(format!("the field `{}` is in the schema too", name.value)));
        }
    }
    Some(KafkaSource {
        cluster: cluster?,
        topic: topic?,
        start: start.unwrap_or_default(),
        stop,
        group,
        uncommitted: isolation.is_some_and(|isolation| isolation.value),
        discover,
        metadata,
        lines,
    })
}

/// Why a source that begins and ends there can have nothing to read, if that is known before it is run.
fn ends_before(start: &Start, stop: &Stop, now: Timestamp) -> Option<String> {
    let shown = |ms: i64| Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string());
    match (start, stop) {
        (Start::Timestamp(from), Stop::Timestamp(to)) if to < from => Some(format!("{} is before {}", shown(*to), shown(*from))),
        (Start::Latest, Stop::Timestamp(to)) if *to < now.as_millisecond() => Some(format!("{} is over, and `latest` is now", shown(*to))),
        (Start::Offsets(from), Stop::Offsets(to)) => {
            let behind = |(partition, to): (&i32, &i64)| Some((*partition, *to, *from.get(partition).filter(|from| to < *from)?));
            let (partition, to, from) = to.iter().find_map(behind)?;
            Some(format!("partition {partition} ends at offset {to} and begins at {from}"))
        }
        _ => None,
    }
}

pub(crate) fn read_sink(reader: &mut Reader, fields: &Fields<'_>) -> Option<KafkaSink> {
    let cluster = read_cluster(reader, fields, Side::Sink);
    let topic = reader.required(fields, "topic").and_then(|node| reader.text(node, "the name of a topic"));
    let key = fields.get("key").and_then(|node| read_template(reader, node));
    let timestamp = fields.get("timestamp").and_then(|node| reader.text(node, "the name of a field"));
    let mut headers = Vec::new();
    if let Some(node) = fields.get("headers") {
        for entry in reader.entries(node, "a mapping from the names of headers to texts").unwrap_or_default() {
            headers.extend(read_template(reader, &entry.value).map(|text| (entry.key.clone(), text)));
        }
    }
    let delivery = read_delivery(reader, fields);
    Some(KafkaSink { cluster: cluster?, topic: topic?, key, timestamp, headers, delivery })
}

fn read_delivery(reader: &mut Reader, fields: &Fields<'_>) -> Delivery {
    let words = [("at_least_once", false), ("exactly_once", true)];
    let once = fields.get("delivery").and_then(|node| reader.word(node, "delivery", &words)).filter(|once| once.value);
    let transactional_id = fields.get("transactional_id").and_then(|node| reader.text(node, "the beginning of transactional ids"));
    let markers = fields.get("markers").and_then(|node| reader.text(node, "the name of a topic"));
    if let Some(once) = once {
        return Delivery::ExactlyOnce { at: Spanned::new((), once.span), transactional_id, markers };
    }
    for name in ["transactional_id", "markers"] {
        if let Some(at) = fields.key(name) {
            reader.push(at.problem(format!("`{name}` belongs to `delivery: exactly_once`")));
        }
    }
    Delivery::AtLeastOnce
}

fn read_cluster(reader: &mut Reader, fields: &Fields<'_>, side: Side) -> Option<KafkaCluster> {
    let brokers = reader.required(fields, "brokers").map(|node| reader.one_or_more(node, "a broker such as `localhost:9092`"));
    let mut options = Vec::new();
    if let Some(node) = fields.get("options") {
        for entry in reader.entries(node, "a mapping from properties of librdkafka to their values").unwrap_or_default() {
            let Some(value) = scalar(&entry.value) else {
                reader.push(entry.value.span.problem(format!("expected the value of the property `{}`", entry.key.value)));
                continue;
            };
            match Cluster::check(side, &entry.key.value, value) {
                Ok(()) => options.push((entry.key.clone(), value.to_owned())),
                Err(why) => reader.push(entry.key.problem(why)),
            }
        }
    }
    let brokers: Vec<String> = brokers?.into_iter().map(|broker| broker.value).collect();
    (!brokers.is_empty()).then(|| KafkaCluster { brokers: brokers.join(","), options })
}

fn read_topics(reader: &mut Reader, node: &Node, fields: &Fields<'_>) -> Option<KafkaTopics> {
    if !matches!(node.value, Value::Map(_)) {
        let names = reader.one_or_more(node, "the name of a topic");
        return (!names.is_empty()).then_some(KafkaTopics::Named(names));
    }
    let inner = reader.fields(node, fields.key("topic")?, &[&super::keys::TOPIC], "`topic`")?;
    let pattern = reader.required(&inner, "pattern").and_then(|node| reader.text(node, "a pattern"))?;
    match Topics::matching(&pattern.value) {
        Ok(_) => Some(KafkaTopics::Pattern(pattern)),
        Err(error) => {
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            reader.fail(&pattern.span, format!("not a regular expression: {reason}"))
        }
    }
}

fn read_start(reader: &mut Reader, node: &Node, single: bool) -> Option<Start> {
    match scalar(node) {
        Some("earliest") => Some(Start::Earliest),
        Some("latest") => Some(Start::Latest),
        Some("committed") => Some(Start::Committed),
        _ => match read_place(reader, node, single, "`earliest`, `latest`, `committed`")? {
            Place::Time(ms) => Some(Start::Timestamp(ms)),
            Place::Offsets(offsets) => Some(Start::Offsets(offsets)),
        },
    }
}

fn read_stop(reader: &mut Reader, node: &Node, single: bool) -> Option<Stop> {
    match scalar(node) {
        Some("latest") => Some(Stop::Latest),
        _ => match read_place(reader, node, single, "`latest`")? {
            Place::Time(ms) => Some(Stop::Timestamp(ms)),
            Place::Offsets(offsets) => Some(Stop::Offsets(offsets)),
        },
    }
}

enum Place {
    Time(i64),
    Offsets(BTreeMap<i32, i64>),
}

fn read_place(reader: &mut Reader, node: &Node, single: bool, words: &str) -> Option<Place> {
    let Value::Map(entries) = &node.value else {
        return match scalar(node).and_then(|text| text.parse::<Timestamp>().ok()) {
            Some(time) => Some(Place::Time(time.as_millisecond())),
            None => {
                reader.wrong(node, &format!("{words}, a timestamp such as `2026-11-01T00:00:00Z` or a mapping from partitions to offsets"))
            }
        };
    };
    if !single {
        return reader.fail(&node.span, "offsets of partitions need a single `topic`");
    }
    let mut offsets = BTreeMap::new();
    for entry in entries {
        let Some(partition) = entry.key.value.parse().ok().filter(|p| *p >= 0) else {
            reader.push(entry.key.problem(format!("expected the number of a partition, found `{}`", entry.key.value)));
            continue;
        };
        let offset = reader.count(&entry.value, 0, u64::MAX).map(|offset| i64::try_from(offset.value).unwrap_or(i64::MAX));
        offsets.extend(offset.map(|offset| (partition, offset)));
    }
    Some(Place::Offsets(offsets))
}

fn read_metadata(reader: &mut Reader, node: &Node) -> Vec<(Spanned<String>, Metadata)> {
    let mut metadata = Vec::new();
    for entry in reader.entries(node, "a mapping from fields to parts of a message").unwrap_or_default() {
        let name = reader.checked_name(entry.key.clone());
        let part = reader.word(&entry.value, "metadata", &Metadata::ALL);
        metadata.extend(name.zip(part.map(|part| part.value)));
    }
    metadata
}
