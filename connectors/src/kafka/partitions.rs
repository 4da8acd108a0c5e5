//! The partitions of topics, and which worker reads each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use regex::Regex;
use serde::{Deserialize, Serialize};
use tidegate_runtime::Error;

use super::client::{Cluster, Context};

/// The start of patterns that match whole names.
const WHOLE: &str = "^(?:";

/// The start of internal topic names.
const INTERNAL: &str = "__";

/// The topics a source reads.
#[derive(Clone, Debug)]
pub enum Topics {
    /// The topics with these names.
    Named(Vec<String>),
    /// All topics whose whole name matches, including those created later. Internal topics, which start with `__`,
    /// match only if the pattern starts the same way.
    Matching(Regex),
}

impl Topics {
    /// One topic.
    pub fn named(topic: impl Into<String>) -> Self {
        Self::Named(vec![topic.into()])
    }

    /// All topics whose whole name matches. Kafka's internal topics, which start with `__`, match only if the pattern
    /// starts the same way.
    ///
    /// # Errors
    /// The pattern is not a valid regular expression.
    pub fn matching(pattern: &str) -> Result<Self, String> {
        Regex::new(&format!("{WHOLE}{pattern})$")).map(Self::Matching).map_err(|e| e.to_string())
    }

    /// Whether `pattern` matches the topic of this name.
    fn means(pattern: &Regex, name: &str) -> bool {
        let internal = pattern.as_str().strip_prefix(WHOLE).is_some_and(|pattern| pattern.starts_with(INTERNAL));
        (internal || !name.starts_with(INTERNAL)) && pattern.is_match(name)
    }
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Partition {
    pub(super) topic: Arc<str>,
    #[serde(rename = "partition")]
    pub(super) number: i32,
}

impl Partition {
    pub(super) fn new(topic: impl Into<Arc<str>>, number: i32) -> Self {
        Self { topic: topic.into(), number }
    }

    /// The worker that reads it. The partitions of a topic are assigned in turn, starting at a worker that the
    /// topic's name determines.
    pub(super) fn worker(&self, workers: usize) -> usize {
        let first = self.topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let turn = first.wrapping_add(u64::try_from(self.number).unwrap_or_default());
        usize::try_from(turn % workers.max(1) as u64).unwrap_or_default()
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// All partitions of these topics, in order.
pub(super) fn list(cluster: &Cluster, consumer: &BaseConsumer<Context>, topics: &Topics) -> Result<Vec<Partition>, Error> {
    let mut found = BTreeMap::new();
    match topics {
        Topics::Named(names) => {
            for name in names {
                found.insert(name.clone(), count(cluster, consumer, name)?);
            }
        }
        Topics::Matching(pattern) => {
            let all = ask(cluster, consumer, "topics can't be listed", None)?;
            for topic in all.topics().iter().filter(|t| t.error().is_none() && Topics::means(pattern, t.name())) {
                found.insert(topic.name().to_owned(), topic.partitions().len());
            }
        }
    }
    let partitions = found.into_iter().flat_map(|(topic, count)| {
        let topic: Arc<str> = topic.into();
        (0..i32::try_from(count).unwrap_or(i32::MAX)).map(move |number| Partition::new(Arc::clone(&topic), number))
    });
    Ok(partitions.collect())
}

/// The number of partitions of a topic.
fn count(cluster: &Cluster, consumer: &BaseConsumer<Context>, name: &str) -> Result<usize, Error> {
    let metadata = ask(cluster, consumer, &format!("topic `{name}` can't be looked up"), Some(name))?;
    let topic = metadata.topics().iter().find(|t| t.name() == name);
    match topic.and_then(|t| t.error()) {
        None => Ok(topic.map_or(0, |t| t.partitions().len())),
        Some(error) => Err(no_topic(cluster, name, RDKafkaErrorCode::from(error))),
    }
}

fn ask(cluster: &Cluster, consumer: &BaseConsumer<Context>, what: &str, topic: Option<&str>) -> Result<rdkafka::metadata::Metadata, Error> {
    cluster.ask(what, consumer.context(), |patience| consumer.fetch_metadata(topic, patience), || serve(consumer))
}

/// Handles the events of a consumer that reads nothing. Its events take a moment to move from one queue to the next.
pub(super) fn serve(consumer: &BaseConsumer<Context>) {
    while let Some(event) = consumer.poll(std::time::Duration::from_millis(20)) {
        if let Err(error) = event {
            consumer.context().note(&error, "");
        }
    }
}

/// The error for a topic that can't be used.
pub(super) fn no_topic(cluster: &Cluster, name: &str, code: RDKafkaErrorCode) -> Error {
    let brokers = cluster.brokers();
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition => {
            Error::user(format!("there is no topic `{name}` at the Kafka brokers `{brokers}`: make it, or correct `topic`"))
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            Error::user(format!("the Kafka brokers `{brokers}` don't let this user at topic `{name}`: it needs an ACL for it"))
        }
        code => Error::external(format!("topic `{name}` at the Kafka brokers `{brokers}` can't be used"), KafkaError::Global(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_of_a_topic_are_dealt_evenly() {
        for workers in 1..6 {
            let mut counts = vec![0; workers];
            (0..60).for_each(|n| counts[Partition::new("logins", n).worker(workers)] += 1);
            assert_eq!(counts, vec![60 / workers; workers]);
        }
    }

    #[test]
    fn a_pattern_is_of_the_whole_name() {
        let Topics::Matching(pattern) = Topics::matching("a|b.*").unwrap() else { panic!("a pattern") };
        let means = |name| Topics::means(&pattern, name);
        assert!(means("a") && means("bc"));
        assert!(!means("ab") && !means("xa"));
        assert!(Topics::matching("(").is_err());
    }

    #[test]
    fn internal_topics_are_read_where_they_are_meant() {
        for (pattern, name, meant) in
            [(".*", "__consumer_offsets", false), (".*", "_own", true), ("__consumer_.*", "__consumer_offsets", true), ("__a|b", "b", true)]
        {
            let Topics::Matching(pattern) = Topics::matching(pattern).unwrap() else { panic!("a pattern") };
            assert_eq!(Topics::means(&pattern, name), meant, "{pattern} {name}");
        }
    }
}
