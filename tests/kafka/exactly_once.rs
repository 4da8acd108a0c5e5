//! Exactly-once output, driven by hand: whatever happens between two checkpoints, each record stands once.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tempfile::TempDir;
use tidegate::connectors::format::{TextEncoder, TextPart, Timestamps};
use tidegate::connectors::kafka::exactly_once::{ExactlyOnce, Outbox, Unit};
use tidegate::connectors::kafka::{Cluster, RowAddress, Template};
use tidegate::connectors::row::{Row, Value};
use tidegate::runtime::Record;
use tidegate_checkpoints::Epoch;

use crate::broker::{Broker, broker};
use crate::topic::{Topic, fresh_name};

const LONGEST: Duration = Duration::from_secs(60);

/// A sink with a topic, markers and segments of its own.
struct Sinking {
    topic: Topic,
    markers: String,
    prefix: String,
    sink: ExactlyOnce,
    segments: TempDir,
}

type Writer = Outbox<TextEncoder, RowAddress>;

impl Sinking {
    fn new(broker: &Broker) -> Self {
        let topic = Topic::new(broker, 1);
        let (markers, prefix) = (fresh_name("markers"), fresh_name("sink"));
        let sink = ExactlyOnce::new(Cluster::new(&broker.plain), &topic.name, &prefix).markers(&markers);
        Self { topic, markers, prefix, sink, segments: TempDir::new().expect("a directory") }
    }

    /// The writer of a worker in a run.
    fn writer(&self, worker: usize, run: &str) -> Writer {
        let text = || vec![TextPart::Field(0)];
        let address = RowAddress { key: Some(Template::new(text(), Timestamps::Iso)), ..RowAddress::default() };
        let encoder = TextEncoder::new(text(), Timestamps::Iso);
        self.sink.outbox(worker, run, self.segments.path(), encoder, address).expect("a writer")
    }

    /// What a checkpoint does with a segment: it makes a link of its own, which stays.
    fn checkpointed(&self, mut unit: Unit) -> Unit {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let path = self.segments.path().join(format!("kept-{}", NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        std::fs::hard_link(&unit.segment, &path).expect("a link");
        unit.segment = path;
        // And writes down the rest.
        serde_json::from_value(serde_json::to_value(unit).expect("JSON")).expect("the same")
    }

    fn recover(&self, units: &[Unit], workers: usize) {
        self.sink.recover(units, workers).expect("recovery");
    }

    /// Another producer under the id of a worker, with a transaction that it has begun.
    fn half_sent(&self, worker: usize, values: &[&str], marked: bool) -> BaseProducer {
        let id = format!("{}-{worker}", self.prefix);
        let producer = self.topic.transactional(&id);
        producer.begin_transaction().expect("a transaction");
        values.iter().for_each(|value| self.topic.send(&producer, 0, value, value, 0));
        if marked {
            for partition in 0..8 {
                let record = BaseRecord::to(&self.markers).partition(partition).key(id.as_str()).payload(r#"{"committed":[["a",9]]}"#);
                producer.send(record).map_err(|(e, _)| e).expect("a place in the queue");
            }
        }
        producer.flush(LONGEST).expect("the broker takes it");
        producer
    }

    fn values(&self) -> Vec<String> {
        self.topic.values()
    }
}

fn write(writer: &mut Writer, values: &[&str]) {
    let mut records = values.iter().map(|v| Record::new(0, Row::from_iter([Value::string(v)]))).collect();
    writer.write(&mut records).expect("a segment");
}

/// Writes an epoch and seals it.
fn epoch(sinking: &Sinking, writer: &mut Writer, number: u32, values: &[&str]) -> Unit {
    write(writer, values);
    sinking.checkpointed(writer.seal(Epoch(number)).expect("a segment").expect("an epoch with records"))
}

#[test]
fn records_are_seen_when_their_checkpoint_is_complete_and_not_before() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0, "a");
    epoch(&sinking, &mut writer, 1, &["one", "two"]);
    write(&mut writer, &["three"]);
    assert!(sinking.values().is_empty());
    writer.commit(Epoch(1)).expect("a commit");
    assert_eq!(sinking.values(), ["one", "two"]);
    assert_eq!(sinking.topic.messages()[1].key(), Some(&b"two"[..]));
    // Checkpoints may be completed late, and several at once; an epoch may be empty.
    writer.seal(Epoch(2)).expect("a segment").expect("an epoch with records");
    assert_eq!(writer.seal(Epoch(3)).expect("nothing"), None);
    epoch(&sinking, &mut writer, 4, &["four"]);
    writer.commit(Epoch(4)).expect("a commit");
    writer.commit(Epoch(4)).expect("nothing");
    assert_eq!(sinking.values(), ["one", "two", "three", "four"]);
    // What is committed needs no segments but those of checkpoints.
    let left: Vec<PathBuf> = std::fs::read_dir(sinking.segments.path()).expect("a directory").map(|e| e.expect("a file").path()).collect();
    assert!(left.iter().all(|p| p.display().to_string().contains("kept-")), "{left:?}");
}

#[test]
fn a_crash_before_the_commit_loses_nothing() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0, "a");
    let unit = epoch(&sinking, &mut writer, 1, &["one", "two"]);
    write(&mut writer, &["after the checkpoint"]);
    drop(writer);
    // Once, twice and again later.
    sinking.recover(std::slice::from_ref(&unit), 1);
    sinking.recover(std::slice::from_ref(&unit), 1);
    let mut writer = sinking.writer(0, "b");
    let next = epoch(&sinking, &mut writer, 1, &["three"]);
    writer.commit(Epoch(1)).expect("a commit");
    sinking.recover(&[unit, next], 1);
    assert_eq!(sinking.values(), ["one", "two", "three"]);
}

#[test]
fn a_crash_after_the_commit_repeats_nothing() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0, "a");
    let first = epoch(&sinking, &mut writer, 1, &["one"]);
    let second = epoch(&sinking, &mut writer, 2, &["two"]);
    writer.commit(Epoch(1)).expect("a commit");
    drop(writer);
    // The checkpoint of 2 still holds 1, which it does not know to be committed.
    sinking.recover(&[second, first], 1);
    assert_eq!(sinking.values(), ["one", "two"]);
}

#[test]
fn a_transaction_cut_off_in_the_middle_is_aborted_and_sent_whole() {
    let Some(broker) = broker() else { return };
    for marked in [false, true] {
        let sinking = Sinking::new(broker);
        let mut writer = sinking.writer(0, "a");
        let unit = epoch(&sinking, &mut writer, 1, &["one", "two"]);
        drop(writer);
        let zombie = sinking.half_sent(0, if marked { &["one", "two"] } else { &["one"] }, marked);
        sinking.recover(std::slice::from_ref(&unit), 1);
        assert_eq!(sinking.values(), ["one", "two"]);
        assert!(zombie.commit_transaction(LONGEST).is_err(), "who was fenced can't commit");
        assert_eq!(sinking.values(), ["one", "two"]);
    }
}

#[test]
fn a_process_that_was_taken_over_from_can_write_no_more() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut zombie = sinking.writer(0, "a");
    epoch(&sinking, &mut zombie, 1, &["one"]);
    zombie.commit(Epoch(1)).expect("a commit");
    let unit = epoch(&sinking, &mut zombie, 2, &["two"]);
    sinking.recover(std::slice::from_ref(&unit), 1);
    let mut writer = sinking.writer(0, "b");
    epoch(&sinking, &mut writer, 3, &["three"]);
    writer.commit(Epoch(3)).expect("a commit");
    let error = zombie.commit(Epoch(2)).expect_err("it is fenced").to_string();
    assert!(error.contains("another process writes topic") && error.contains(&sinking.topic.name), "{error}");
    // And has not fenced the other in its turn.
    epoch(&sinking, &mut writer, 4, &["four"]);
    writer.commit(Epoch(4)).expect("a commit");
    assert_eq!(sinking.values(), ["one", "two", "three", "four"]);
}

#[test]
fn a_rewind_repeats_what_came_after_its_checkpoint_and_nothing_before() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0, "a");
    let units: Vec<Unit> = (1..=3).map(|n| epoch(&sinking, &mut writer, n, &[&format!("a{n}")])).collect();
    writer.commit(Epoch(3)).expect("a commit");
    drop(writer);
    // Back to the first checkpoint, and from there a run that numbers its epochs as the first one did.
    sinking.recover(&units[..1], 1);
    let mut writer = sinking.writer(0, "b");
    let again = epoch(&sinking, &mut writer, 2, &["b2"]);
    drop(writer);
    sinking.recover(std::slice::from_ref(&again), 1);
    // And to the last checkpoint of the first run after all.
    sinking.recover(&units[2..], 1);
    assert_eq!(sinking.values(), ["a1", "a2", "a3", "b2"]);
}

#[test]
fn units_of_more_workers_are_settled_by_fewer() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut units = Vec::new();
    for worker in 0..3 {
        let mut writer = sinking.writer(worker, "a");
        units.push(epoch(&sinking, &mut writer, 1, &[&format!("of {worker}")]));
        if worker == 1 {
            writer.commit(Epoch(1)).expect("a commit");
        }
    }
    // An open transaction of a worker that has no unit: it would hide everything behind it.
    let zombie = sinking.half_sent(3, &["half"], true);
    sinking.recover(&units, 4);
    let mut values = sinking.values();
    values.sort();
    assert_eq!(values, ["of 0", "of 1", "of 2"]);
    drop(zombie);
}

#[test]
fn markers_behind_a_foreign_transaction_are_waited_for() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0, "a");
    let unit = epoch(&sinking, &mut writer, 1, &["one"]);
    // Of another job that shares the markers and has died: nobody fences it, until the broker gives it up after two seconds.
    let foreign = sinking.topic.producer(&[("transactional.id", &fresh_name("foreign")), ("transaction.timeout.ms", "2000")]);
    foreign.init_transactions(LONGEST).expect("transactions");
    foreign.begin_transaction().expect("a transaction");
    for partition in 0..8 {
        let record = BaseRecord::to(&sinking.markers).partition(partition).key("foreign").payload("{}");
        foreign.send(record).map_err(|(e, _)| e).expect("a place in the queue");
    }
    foreign.flush(LONGEST).expect("the broker takes it");
    writer.commit(Epoch(1)).expect("a commit");
    drop(writer);
    sinking.recover(std::slice::from_ref(&unit), 1);
    assert_eq!(sinking.values(), ["one"]);
}

#[test]
fn a_lost_marker_is_noticed_and_a_damaged_segment_too() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0, "a");
    epoch(&sinking, &mut writer, 1, &["one"]);
    writer.commit(Epoch(1)).expect("a commit");
    let unit = epoch(&sinking, &mut writer, 2, &["two"]);
    drop(writer);
    std::fs::write(&unit.segment, "tgkafka1").expect("a file");
    let error = sinking.sink.recover(std::slice::from_ref(&unit), 1).expect_err("half a segment").to_string();
    assert!(error.contains("can't be read") && error.contains("kept-"), "{error}");
    Topic { brokers: sinking.topic.brokers.clone(), name: sinking.markers.clone(), partitions: 8 }.delete();
    // A topic is gone a moment after its deletion is.
    std::thread::sleep(Duration::from_secs(1));
    let error = sinking.sink.recover(std::slice::from_ref(&unit), 1).expect_err("no marker").to_string();
    assert!(error.contains("epoch 1 of it had been committed"), "{error}");
    assert_eq!(sinking.values(), ["one"]);
}

#[test]
fn a_large_epoch_is_more_than_the_queue_of_a_producer_holds() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0, "a");
    let values: Vec<String> = (0..250_000).map(|n| n.to_string()).collect();
    let unit = epoch(&sinking, &mut writer, 1, &values.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(unit.records, 250_000);
    writer.commit(Epoch(1)).expect("a commit");
    assert_eq!(sinking.values(), values);
}
