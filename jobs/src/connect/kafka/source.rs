//! Reads topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tidegate_connectors::kafka::{self, Metadata, Side, Start, Stop, Topics};
use tidegate_rows::Type;

use super::{KafkaCluster, read_cluster};
use crate::connect::kind::{Carrier, MadeSource, SourceConnector, SourceScope};
use crate::connect::lines::{self, Beside, Lines};
use crate::connect::outside::Answers;
use crate::relation::known::Order;
use crate::text::{Problem, Spanned};
use crate::yaml::{Fields, Node, Reader, Table, Value, key, scalar, unsigned};

pub(super) static KEYS: Table = Table {
    name: "source.kafka",
    title: "A source with `connector: kafka`",
    keys: &[
        key("brokers", "host:port | [host:port, ...]", "", "the cluster: one or more of its brokers"),
        key(
            "topic",
            "name | [name, ...] | { pattern: pattern }",
            "",
            "the topics to read; internal topics (`__...`) only by name or by a pattern that begins with `__`",
        ),
        key(
            "start",
            "earliest | latest | committed | timestamp | { partition: offset }",
            "earliest",
            "where reading begins, unless a checkpoint says so",
        ),
        key(
            "stop",
            "latest | timestamp | { partition: offset }",
            "none",
            "where reading ends; latest: at the end of each partition as it is when the job starts",
        ),
        key("group", "name", "none", "the consumer group for which offsets are committed when a checkpoint completes"),
        key("isolation", "read_committed | read_uncommitted", "read_committed", "whether to skip records of open and aborted transactions"),
        key("metadata", "mapping", "none", "fields for the other parts of a message: `name: part`, see above"),
        key("discover", "duration | none", "30s", "how often to look for new partitions"),
        key("options", "mapping", "none", "properties of librdkafka, such as `security.protocol: sasl_ssl`"),
    ],
};

pub(super) static TOPIC: Table = Table {
    name: "topic",
    title: "topic, for several",
    keys: &[key("pattern", "pattern", "", "all topics whose whole name matches, including those created later")],
};

/// Topics to read.
#[derive(Clone, Debug)]
pub(crate) struct KafkaSource {
    /// The cluster.
    pub(crate) cluster: KafkaCluster,
    /// The topics.
    pub(crate) topic: KafkaTopics,
    /// Where to start reading.
    pub(crate) start: Start,
    /// Where to stop, if anywhere.
    pub(crate) stop: Option<Stop>,
    /// The consumer group that offsets are committed for.
    pub(crate) group: Option<Spanned<String>>,
    /// Whether to read records of open or aborted transactions too.
    pub(crate) uncommitted: bool,
    /// How often to look for new partitions, or `None` for never.
    pub(crate) discover: Option<SignedDuration>,
    /// Fields that hold what a message carries besides its value.
    pub(crate) metadata: Vec<(Spanned<String>, Metadata)>,
    /// How message values become records.
    pub(crate) lines: Lines,
}

/// The topics of a source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KafkaTopics {
    /// These topics.
    Named(Vec<Spanned<String>>),
    /// All topics whose full name matches.
    Pattern(Spanned<String>),
}

impl KafkaTopics {
    /// A description of the topics.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Named(names) => names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "),
            Self::Pattern(pattern) => format!("/{}/", pattern.value),
        }
    }

    fn topics(&self) -> Topics {
        match self {
            Self::Named(names) => Topics::Named(names.iter().map(|name| name.value.clone()).collect()),
            // The reader of the job file has already compiled it.
            Self::Pattern(pattern) => Topics::matching(&pattern.value).unwrap_or(Topics::Named(Vec::new())),
        }
    }
}

impl SourceConnector for KafkaSource {
    fn words(&self) -> String {
        format!("kafka topic {}", self.topic.words())
    }

    fn lines(&self) -> Option<&Lines> {
        Some(&self.lines)
    }

    fn field_types(&self) -> Option<Vec<(&str, Type)>> {
        let mut types = self.lines.field_types()?;
        types.extend(self.metadata.iter().map(|(name, part)| (name.as_str(), part.ty())));
        Some(types)
    }

    fn order(&self, _: &Answers) -> Order {
        Order::Partitioned
    }

    fn plan(&self, scope: &SourceScope<'_>) -> Result<MadeSource, Vec<Problem>> {
        let beside = self.metadata.iter();
        let beside: Vec<_> = beside.map(|(name, part)| Beside { name, ty: part.ty(), is_time: *part == Metadata::Timestamp }).collect();
        let planned = self.lines.plan(scope, &self.words(), &beside)?;
        let parts = planned.slots.into_iter().zip(&self.metadata).map(|(slot, (_, part))| (slot, *part)).collect();
        let fields = kafka::Fields { parts, timed: planned.timed_beside };
        let made = kafka::KafkaSource::new(self.cluster.client(), self.topic.topics(), planned.decoding.messages());
        let mut made = made.on_bad(planned.on_bad).completed_by(fields).start(self.start.clone()).discover(self.discover.map(unsigned));
        if let Some(stop) = &self.stop {
            made = made.stop(stop.clone());
        }
        if let Some(group) = &self.group {
            made = made.group(&group.value);
        }
        if self.uncommitted {
            made = made.read_uncommitted();
        }
        Ok(MadeSource { source: Arc::new(made), schema: planned.schema, own_times: None, look: None })
    }
}

pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn SourceConnector>> {
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
    let lines = lines::read(reader, fields, Carrier::Messages, None)?;
    for (name, _) in &metadata {
        if lines.schema.iter().flatten().any(|field| field.name.value == name.value) {
            reader.push(name.problem(format!("the field `{}` is in the schema too", name.value)));
        }
    }
    Some(Arc::new(KafkaSource {
        cluster: cluster?,
        topic: topic?,
        start: start.unwrap_or_default(),
        stop,
        group,
        uncommitted: isolation.is_some_and(|isolation| isolation.value),
        discover,
        metadata,
        lines,
    }))
}

/// Explains why a source with these bounds has nothing to read, if that is known before the job runs.
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

fn read_topics(reader: &mut Reader, node: &Node, fields: &Fields<'_>) -> Option<KafkaTopics> {
    if !matches!(node.value, Value::Map(_)) {
        let names = reader.one_or_more(node, "the name of a topic");
        return (!names.is_empty()).then_some(KafkaTopics::Named(names));
    }
    let inner = reader.fields(node, fields.key("topic")?, &[&TOPIC], "`topic`")?;
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
