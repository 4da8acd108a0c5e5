//! Stores markers in a compacted topic, keyed by the writer's transactional id. Unlike the offsets of a group, they
//! don't expire.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tidegate_runtime::Error;

use super::unit::Marker;
use crate::kafka::client::{self, Cluster, Context};
use crate::kafka::partitions::{no_topic, serve};

/// The default topic of markers.
pub const MARKERS: &str = "__tidegate_markers";

/// The number of partitions used, which is also that of a newly created topic. A marker must stay in its partition.
const PARTITIONS: i32 = 8;

/// How long to wait for other writers' transactions before a marker, which is until the broker aborts them.
const PATIENCE: Duration = Duration::from_secs(180);

/// The partition of a writer's marker.
pub(super) fn partition(id: &str) -> i32 {
    let hash = id.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (hash % PARTITIONS as u32) as i32
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks on a future that another thread completes.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Creates the topic of markers if it is missing. This takes permissions that a sink does not need if the topic was
/// created before.
pub(super) fn prepare(cluster: &Cluster, topic: &str) -> Result<(), Error> {
    // A consumer's request does not auto-create the topic.
    let consumer = consumer(cluster, "read_committed")?;
    let what = format!("the topic `{topic}`, of the markers of exactly-once sinks, can't be looked up");
    let ask = |patience| consumer.fetch_metadata(Some(topic), patience);
    let metadata = cluster.ask(&what, consumer.context(), ask, || serve(&consumer))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic);
    match found.map(|found| (found.error().map(RDKafkaErrorCode::from), found.partitions().len())) {
        Some((None, partitions)) if partitions >= PARTITIONS as usize => Ok(()),
        Some((None, partitions)) => Err(Error::user(format!(
            "the topic `{topic}`, of the markers of exactly-once sinks, has {partitions} partitions, but needs {PARTITIONS} partitions: make one that has, \
             compacted (`cleanup.policy=compact`), and name it by `markers`"
        ))),
        Some((Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic), _)) | None => make(cluster, topic),
        Some((Some(code), _)) if client::is_passing(code) => Ok(()),
        Some((Some(code), _)) => Err(no_topic(cluster, topic, code)),
    }
}

fn make(cluster: &Cluster, topic: &str) -> Result<(), Error> {
    let admin: AdminClient<Context> = cluster.config(&[], &[]).create_with_context(Context::default()).map_err(|e| cluster.unusable(&e))?;
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
    let what = format!(
        "the topic `{topic}`, of the markers of exactly-once sinks, can't be made (it may be made beforehand, compacted, with {PARTITIONS} partitions)"
    );
    let failed = |e: KafkaError| cluster.failed(&what, admin.inner().context(), e);
    let made = wait(admin.create_topics([&new], &AdminOptions::new().request_timeout(Some(client::PATIENCE)))).map_err(failed)?;
    match made.into_iter().find_map(Result::err) {
        None | Some((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        Some((_, code)) => Err(failed(KafkaError::AdminOp(code))),
    }
}

fn consumer(cluster: &Cluster, isolation: &str) -> Result<BaseConsumer<Context>, Error> {
    let fixed = [
        ("group.id", "tidegate"),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", isolation),
        // The broker reports the end of a partition with an empty response, which it delays while waiting for
        // records.
        ("fetch.wait.max.ms", "10"),
    ];
    cluster.config(&[], &fixed).create_with_context(Context::default()).map_err(|e| cluster.unusable(&e))
}

/// The error for a partition of a topic that was created a moment ago: brokers and clients learn of its partitions one
/// after another, so an unknown one is waited for, like one without a leader.
fn not_yet(error: KafkaError) -> KafkaError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable)
        }
        _ => error,
    }
}

/// The markers of these writers, in order; `None` where there is none. A marker is only final once its writer is
/// fenced.
///
/// Committed records are only visible when no earlier transaction is open, even one of another job. So this waits
/// until the broker has aborted such transactions.
pub(super) fn read(cluster: &Cluster, topic: &str, ids: &[&str]) -> Result<Vec<Option<Marker>>, Error> {
    let mut found = vec![None; ids.len()];
    if ids.is_empty() {
        return Ok(found);
    }
    let (any, committed) = (consumer(cluster, "read_uncommitted")?, consumer(cluster, "read_committed")?);
    let what = format!("the topic `{topic}`, of the markers of exactly-once sinks, can't be read");
    let high = |consumer: &BaseConsumer<Context>, partition: i32| {
        let ask = |patience| consumer.fetch_watermarks(topic, partition, patience).map_err(not_yet);
        cluster.ask(&what, consumer.context(), ask, || serve(consumer)).map(|(_, high)| high)
    };
    let mut partitions: Vec<i32> = ids.iter().map(|id| partition(id)).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let start = Instant::now();
    for partition in partitions {
        let end = high(&any, partition)?;
        while high(&committed, partition)? < end {
            if start.elapsed() > PATIENCE {
                return Err(Error::user(format!(
                    "a transaction in partition {partition} of the topic `{topic}` stays open: abort it (kafka-transactions.sh), for the markers \
                     behind it can't be read"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut list = TopicPartitionList::new();
        let assigned = list.add_partition_offset(topic, partition, Offset::Beginning).and_then(|()| committed.assign(&list));
        assigned.map_err(|e| cluster.failed(&what, committed.context(), e))?;
        loop {
            match committed.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let key = message.key().unwrap_or_default();
                    if let Some(at) = ids.iter().position(|id| id.as_bytes() == key) {
                        let value = message.payload().unwrap_or_default();
                        found[at] = serde_json::from_slice(value)
                            .map_err(|e| Error::external(format!("the marker of `{}` in `{topic}` is none of ours", ids[at]), e))?;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(e)) if e.rdkafka_error_code().is_some_and(client::is_passing) => {}
                Some(Err(e)) => return Err(cluster.failed(&what, committed.context(), e)),
                None if start.elapsed() > PATIENCE => {
                    return Err(cluster.failed(
                        &what,
                        committed.context(),
                        KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut),
                    ));
                }
                None => {}
            }
        }
    }
    Ok(found)
}
