//! `connector: kafka`: topics as sources and sinks.

mod sink;
mod source;

#[cfg(test)]
pub(crate) use {
    sink::KafkaSink,
    source::{KafkaSource, KafkaTopics},
};

use tidegate_connectors::kafka::{Cluster, Side};

use super::kind::{AsSink, AsSource, Carrier, Connector};
use crate::text::Spanned;
use crate::yaml::{Fields, Reader, scalar};

pub(crate) static CONNECTOR: Connector = Connector {
    name: "kafka",
    source: Some(AsSource { keys: &[&source::KEYS], within: &[&source::TOPIC], lines: true, aside: &[], read: source::read }),
    table: None,
    sink: Some(AsSink { keys: &[&sink::KEYS], carrier: Carrier::Messages, read: sink::read }),
};

/// The brokers and how to connect to them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KafkaCluster {
    /// `host:port`, separated by commas if there are several.
    pub(crate) brokers: String,
    /// Properties of librdkafka, already checked.
    pub(crate) options: Vec<(Spanned<String>, String)>,
}

impl KafkaCluster {
    fn client(&self) -> Cluster {
        self.options.iter().fold(Cluster::new(&self.brokers), |cluster, (name, value)| cluster.with_option(&name.value, value))
    }
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
