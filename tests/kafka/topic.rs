//! Topics of the tests: made, filled and read by a client that is none of ours.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::Broker;

const LONGEST: Duration = Duration::from_secs(60);

/// A topic of one test.
pub struct Topic {
    pub brokers: String,
    pub name: String,
    pub partitions: i32,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    config(brokers).create().expect("a client")
}

/// A name that no other topic has, and that begins so.
pub fn fresh_name(prefix: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("{prefix}-{}", NUMBER.fetch_add(1, Relaxed))
}

impl Topic {
    pub fn new(broker: &Broker, partitions: i32) -> Self {
        Self::with(broker, &fresh_name("topic"), partitions, &[])
    }

    /// A topic of this name with these settings.
    pub fn with(broker: &Broker, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Self {
        let mut new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        let made = wait(admin(&broker.plain).create_topics([&new], &AdminOptions::new())).expect("the broker answers");
        made.into_iter().for_each(|topic| drop(topic.expect("a new topic")));
        let topic = Self { brokers: broker.plain.clone(), name: name.to_owned(), partitions };
        topic.wait_for_leaders();
        topic
    }

    /// A topic that was made is there a moment later; a client that looks before that may take minutes to look again.
    fn wait_for_leaders(&self) {
        let (consumer, start) = (self.consumer("read_committed"), Instant::now());
        let partitions = usize::try_from(self.partitions).expect("a number");
        loop {
            let metadata = consumer.fetch_metadata(Some(&self.name), LONGEST).expect("the broker answers");
            let topic = metadata.topics().iter().find(|t| t.name() == self.name && t.error().is_none());
            if topic.is_some_and(|t| t.partitions().iter().filter(|p| p.leader() >= 0).count() == partitions) {
                return;
            }
            assert!(start.elapsed() < LONGEST, "{} has no leaders", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Gives the topic more partitions.
    pub fn grow(&mut self, partitions: i32) {
        let more = NewPartitions::new(&self.name, usize::try_from(partitions).expect("a number"));
        let made = wait(admin(&self.brokers).create_partitions([&more], &AdminOptions::new())).expect("the broker answers");
        made.into_iter().for_each(|topic| drop(topic.expect("more partitions")));
        self.partitions = partitions;
        self.wait_for_leaders();
    }

    /// Changes a setting.
    pub fn set(&self, key: &str, value: &str) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(&self.name)).set(key, value);
        let changed = wait(admin(&self.brokers).alter_configs([&change], &AdminOptions::new())).expect("the broker answers");
        changed.into_iter().for_each(|topic| drop(topic.expect("a setting")));
    }

    /// Deletes the records of a partition before this offset.
    pub fn trim(&self, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(before)).expect("a partition");
        wait(admin(&self.brokers).delete_records(&list, &AdminOptions::new())).expect("the broker answers");
    }

    pub fn delete(&self) {
        let gone = wait(admin(&self.brokers).delete_topics(&[&self.name], &AdminOptions::new())).expect("the broker answers");
        gone.into_iter().for_each(|topic| drop(topic.expect("a topic that was there")));
    }

    pub fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = config(&self.brokers);
        config.set("linger.ms", "1");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config.create().expect("a producer")
    }

    /// A producer of a transaction that is still to begin.
    pub fn transactional(&self, id: &str) -> BaseProducer {
        let producer = self.producer(&[("transactional.id", id)]);
        producer.init_transactions(LONGEST).expect("transactions");
        producer
    }

    /// Fills partition 0 with values that are no text.
    pub fn fill_octets(&self, values: impl IntoIterator<Item = Vec<u8>>) {
        let producer = self.producer(&[]);
        for value in values {
            let record = BaseRecord::<(), [u8]>::to(&self.name).partition(0).payload(&value);
            producer.send(record).map_err(|(e, _)| e).expect("a place in the queue");
        }
        producer.flush(LONGEST).expect("the broker takes it");
    }

    /// Sends a value to a partition.
    pub fn send(&self, producer: &BaseProducer, partition: i32, key: &str, value: &str, time: i64) {
        let record = BaseRecord::to(&self.name).partition(partition).key(key).payload(value).timestamp(time);
        producer.send(record).map_err(|(e, _)| e).expect("a place in the queue");
    }

    /// Fills partitions with values, each of which has a key and a time (0: now).
    pub fn fill<'a>(&self, values: impl IntoIterator<Item = (i32, &'a str, String, i64)>) -> &Self {
        let producer = self.producer(&[]);
        for (i, (partition, key, value, time)) in values.into_iter().enumerate() {
            self.send(&producer, partition, key, &value, time);
            if i % 10_000 == 0 {
                producer.flush(LONGEST).expect("the broker takes it");
            }
        }
        producer.flush(LONGEST).expect("the broker takes it");
        self
    }

    fn consumer(&self, isolation: &str) -> BaseConsumer {
        let mut config = config(&self.brokers);
        config.set("group.id", "none").set("enable.auto.commit", "false").set("isolation.level", isolation);
        // The end of a partition is told by an answer without records, which the broker holds back in the hope of some.
        config.set("fetch.wait.max.ms", "10").set("enable.partition.eof", "true").create().expect("a consumer")
    }

    /// Every committed message, partition by partition.
    pub fn messages(&self) -> Vec<OwnedMessage> {
        let mut all = Vec::new();
        for partition in 0..self.partitions {
            let consumer = self.consumer("read_committed");
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&self.name, partition, Offset::Beginning).expect("a partition");
            consumer.assign(&list).expect("an assignment");
            let start = Instant::now();
            loop {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => all.push(message.detach()),
                    Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => break,
                    Some(Err(e)) => panic!("{}: {e}", self.name),
                    None => assert!(start.elapsed() < LONGEST, "{} can't be read", self.name),
                }
            }
        }
        all
    }

    /// The values of all committed messages, partition by partition.
    pub fn values(&self) -> Vec<String> {
        self.messages().iter().map(|m| String::from_utf8_lossy(m.payload().unwrap_or_default()).into_owned()).collect()
    }

    /// The offsets of a partition: the oldest and the one behind the newest.
    pub fn offsets(&self, partition: i32) -> (i64, i64) {
        self.consumer("read_uncommitted").fetch_watermarks(&self.name, partition, LONGEST).expect("offsets")
    }

    /// Where a group has come to.
    pub fn committed(&self, group: &str) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = config(&self.brokers).set("group.id", group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.name, 0, self.partitions - 1);
        let found = consumer.committed_offsets(list, LONGEST).expect("offsets");
        found.elements().iter().map(|e| if let Offset::Offset(offset) = e.offset() { Some(offset) } else { None }).collect()
    }
}
