//! Writes to a topic.

use std::sync::Arc;

use tidegate_connectors::kafka::{self, RowAddress, Side};
use tidegate_rows::{Row, Type};
use tidegate_runtime::sink::Sink;

use super::{KafkaCluster, read_cluster};
use crate::connect::claim::{Claim, Owner};
use crate::connect::format::Encoding;
use crate::connect::kind::{SinkConnector, SinkScope};
use crate::connect::template::{self, Template};
use crate::text::{Problem, Span, Spanned};
use crate::yaml::{Fields, Reader, Table, key};

pub(super) static KEYS: Table = Table {
    name: "sink.kafka",
    title: "A sink with `connector: kafka`",
    keys: &[
        key("brokers", "host:port | [host:port, ...]", "", "the cluster: one or more of its brokers"),
        key("topic", "name", "", "the topic to write to"),
        key(
            "key",
            "field | template",
            "none",
            "the key of a message; all messages of a key go to one partition, the one that Java's producers choose",
        ),
        key("timestamp", "field", "when it is sent", "the time of a message"),
        key("headers", "mapping", "none", "the headers of a message: `name: field` or `name: template`"),
        key(
            "delivery",
            "at_least_once | exactly_once",
            "at_least_once",
            "exactly_once needs `checkpoints`: records become visible when a checkpoint completes",
        ),
        key(
            "transactional_id",
            "text",
            "`job.sink`",
            "the prefix of the transactional ids of an exactly-once sink: no other job may use it on this cluster",
        ),
        key(
            "markers",
            "name",
            "`__tidegate_markers`",
            "the topic in which an exactly-once sink records what it has written; created if missing",
        ),
        key("options", "mapping", "none", "properties of librdkafka, such as `compression.type: zstd`"),
    ],
};

/// A topic to write to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KafkaSink {
    /// The cluster.
    pub(crate) cluster: KafkaCluster,
    /// Its name.
    pub(crate) topic: Spanned<String>,
    /// The template of the key.
    pub(crate) key: Option<Template>,
    /// The field that holds the time of the message.
    pub(crate) timestamp: Option<Spanned<String>>,
    /// The names of headers with the templates of their values.
    pub(crate) headers: Vec<(Spanned<String>, Template)>,
    /// The delivery guarantee.
    pub(crate) delivery: Delivery,
}

/// How often a record may be written despite failures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Delivery {
    /// One or more times.
    #[default]
    AtLeastOnce,
    /// Exactly once.
    ExactlyOnce {
        /// The value in the job file that asks for it.
        at: Spanned<()>,
        /// The prefix of its writers' transactional ids, or `None` for the names of the job and the sink.
        transactional_id: Option<Spanned<String>>,
        /// The topic of markers, if not the default one.
        markers: Option<Spanned<String>>,
    },
}

impl SinkConnector for KafkaSink {
    fn words(&self) -> String {
        format!("kafka topic {}", self.topic.value)
    }

    fn names(&self) -> Vec<String> {
        let templates = self.key.iter().chain(self.headers.iter().map(|(_, text)| text));
        templates.flat_map(template::names).chain(self.timestamp.iter().map(|field| field.value.clone())).collect()
    }

    fn topic(&self) -> Option<&str> {
        Some(self.topic.as_str())
    }

    fn claims(&self, owner: &Owner<'_>, _: &'static str) -> Vec<Claim> {
        let Delivery::ExactlyOnce { transactional_id, .. } = &self.delivery else { return Vec::new() };
        let id = transactional_id.as_ref().map_or_else(|| default_id(owner), |id| id.value.clone());
        let clash =
            |other: &str| format!("the transactional ids of the sink `{other}` begin so too: they would write in each other's place");
        let at = transactional_id.as_ref().map(|id| id.span.clone());
        vec![Claim::Alone { what: format!("transactional ids of Kafka: {id}"), at, clash }]
    }

    fn exactly_once(&self) -> Option<&Span> {
        if let Delivery::ExactlyOnce { at, .. } = &self.delivery { Some(&at.span) } else { None }
    }

    fn plan(&self, scope: &SinkScope<'_>, encoding: Encoding) -> Result<Arc<dyn Sink<Row>>, Vec<Problem>> {
        let made = kafka::KafkaSink::new(self.cluster.client(), &self.topic.value, encoding.messages()).addressed(self.address(scope)?);
        let Delivery::ExactlyOnce { transactional_id, markers, .. } = &self.delivery else { return Ok(Arc::new(made)) };
        let made = made.exactly_once(transactional_id.as_ref().map_or_else(|| default_id(&scope.owner), |id| id.value.clone()));
        Ok(Arc::new(match markers {
            Some(topic) => made.markers(&topic.value),
            None => made,
        }))
    }
}

impl KafkaSink {
    /// What a message carries besides its value.
    fn address(&self, scope: &SinkScope<'_>) -> Result<RowAddress, Vec<Problem>> {
        let (mut problems, schema) = (Vec::new(), scope.schema);
        let mut text = |template: &Template| match template::over(template, schema) {
            Ok(parts) => Some(kafka::Template::new(parts, scope.timestamps)),
            Err(found) => {
                problems.extend(found);
                None
            }
        };
        let key = self.key.as_ref().and_then(&mut text);
        let headers = self.headers.iter().filter_map(|(name, template)| Some((name.value.clone(), text(template)?))).collect();
        let mut time = None;
        if let Some(field) = &self.timestamp {
            time = schema.slot(&field.value);
            match schema.named(&field.value).map(|field| &field.ty) {
                Some(Type::Timestamp | Type::Int | Type::Any) => {}
                Some(ty) => problems.push(field.problem(format!("the field `{}` is of type {ty}, not a time", field.value))),
                None => {
                    let problem = field.problem(format!("no field `{}` in what this sink writes", field.value));
                    problems.push(problem.near(&field.value, schema.names()));
                }
            }
        }
        if problems.is_empty() { Ok(RowAddress { key, time, headers }) } else { Err(problems) }
    }
}

/// The default prefix of a sink's transactional ids. Names contain no dots, so no two sinks have the same.
fn default_id(owner: &Owner<'_>) -> String {
    format!("{}.{}", owner.job, owner.uid.unwrap_or(owner.name).value)
}

pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Arc<dyn SinkConnector>> {
    let cluster = read_cluster(reader, fields, Side::Sink);
    let topic = reader.required(fields, "topic").and_then(|node| reader.text(node, "the name of a topic"));
    let key = fields.get("key").and_then(|node| template::read(reader, node));
    let timestamp = fields.get("timestamp").and_then(|node| reader.text(node, "the name of a field"));
    let mut headers = Vec::new();
    if let Some(node) = fields.get("headers") {
        for entry in reader.entries(node, "a mapping from the names of headers to texts").unwrap_or_default() {
            headers.extend(template::read(reader, &entry.value).map(|text| (entry.key.clone(), text)));
        }
    }
    let delivery = read_delivery(reader, fields);
    Some(Arc::new(KafkaSink { cluster: cluster?, topic: topic?, key, timestamp, headers, delivery }))
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
