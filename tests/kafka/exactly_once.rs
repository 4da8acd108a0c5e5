//! Exactly-once output, driven by hand: whatever happens between two checkpoints, each record stands once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tempfile::TempDir;
use tidegate::connectors::kafka::exactly_once::ExactlyOnce;
use tidegate::connectors::kafka::{Cluster, KafkaSink, RowAddress, Template};
use tidegate::rows::format::{TextEncoder, TextPart, Timestamps};
use tidegate::rows::{Row, Value};
use tidegate::runtime::sink::{self, Committable, Committer, Restored, Sink, SinkContext};
use tidegate::runtime::{Error, Record};
use tidegate_checkpoints::Epoch;

use crate::broker::{Broker, broker};
use crate::topic::{Topic, fresh_name};

const LONGEST: Duration = Duration::from_secs(60);

/// A sink with a topic, markers and segments of its own.
struct Sinking {
    topic: Topic,
    markers: String,
    prefix: String,
    sink: ExactlyOnce<TextEncoder, RowAddress>,
    segments: TempDir,
}

/// A writer, what commits its epochs, and what it has sealed that is not committed.
struct Writer {
    records: Box<dyn sink::Writer<Row>>,
    committer: Box<dyn Committer>,
    sealed: VecDeque<(u32, Committable)>,
}

impl Sinking {
    fn new(broker: &Broker) -> Self {
        let topic = Topic::new(broker, 1);
        let (markers, prefix) = (fresh_name("markers"), fresh_name("sink"));
        let sink = sink(&topic, &prefix, &markers);
        Self { topic, markers, prefix, sink, segments: TempDir::new().expect("a directory") }
    }

    /// The writer of a worker, in a run of its own.
    fn writer(&self, worker: usize) -> Writer {
        let scratch = self.segments.path().join(worker.to_string());
        let context = SinkContext { worker, transactional: true, scratch, ..SinkContext::default() };
        let mut records: Box<dyn sink::Writer<Row>> = self.sink.open(context).expect("a writer");
        let committer = records.committer().expect("it holds its output back");
        Writer { records, committer, sealed: VecDeque::new() }
    }

    /// What a checkpoint does with what it is given: it makes a link of its own to the file, and writes down the rest.
    fn checkpointed(&self, mut given: Committable) -> Committable {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let path = self.segments.path().join(format!("kept-{}", NUMBER.fetch_add(1, Relaxed)));
        std::fs::hard_link(given.file.as_ref().expect("a segment"), &path).expect("a link");
        given.file = Some(path);
        given
    }

    fn try_recover(&self, committables: &[Committable], workers: usize) -> Result<(), Error> {
        Sink::<Row>::recover(&self.sink, &Restored { committables: committables.to_vec(), workers })
    }

    fn recover(&self, committables: &[Committable], workers: usize) {
        self.try_recover(committables, workers).expect("recovery");
    }

    /// Another producer under the id of a worker, with a transaction that it has begun, of epoch 9 of a run if one is named.
    fn half_sent(&self, worker: usize, values: &[&str], run: Option<&str>) -> BaseProducer {
        let id = format!("{}-{worker}", self.prefix);
        let producer = self.topic.transactional(&id);
        producer.begin_transaction().expect("a transaction");
        values.iter().for_each(|value| self.topic.send(&producer, 0, value, value, 0));
        if let Some(run) = run {
            let marker = format!(r#"{{"committed":[["{run}",9]]}}"#);
            for partition in 0..8 {
                let record = BaseRecord::to(&self.markers).partition(partition).key(id.as_str()).payload(&marker);
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

/// Messages whose key is their value.
fn sink(topic: &Topic, prefix: &str, markers: &str) -> ExactlyOnce<TextEncoder, RowAddress> {
    let text = || vec![TextPart::Field(0)];
    let address = RowAddress { key: Some(Template::new(text(), Timestamps::Iso)), ..RowAddress::default() };
    let sink = KafkaSink::new(Cluster::new(&topic.brokers), &topic.name, TextEncoder::new(text(), Timestamps::Iso));
    sink.addressed(address).exactly_once(prefix).markers(markers)
}

fn write(writer: &mut Writer, values: &[&str]) {
    let mut records = values.iter().map(|v| Record::new(0, Row::from_iter([Value::string(v)]))).collect();
    writer.records.write(&mut records).expect("a segment");
}

fn seal(writer: &mut Writer, epoch: u32) -> Option<Committable> {
    let mut sealed = writer.records.seal(Epoch(epoch)).expect("a segment");
    assert!(sealed.len() <= 1);
    let committable = sealed.pop()?;
    writer.sealed.push_back((epoch, committable.clone()));
    Some(committable)
}

fn commit(writer: &mut Writer, epoch: u32) -> Result<(), Error> {
    let sealed = &mut writer.sealed;
    let committables = std::iter::from_fn(|| sealed.pop_front_if(|(sealed, _)| *sealed <= epoch)).map(|(_, committable)| committable);
    writer.committer.commit(Epoch(epoch), committables.collect())
}

/// Writes an epoch and seals it.
fn epoch(sinking: &Sinking, writer: &mut Writer, number: u32, values: &[&str]) -> Committable {
    write(writer, values);
    sinking.checkpointed(seal(writer, number).expect("an epoch with records"))
}

#[test]
fn records_are_seen_when_their_checkpoint_is_complete_and_not_before() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0);
    epoch(&sinking, &mut writer, 1, &["one", "two"]);
    write(&mut writer, &["three"]);
    assert!(sinking.values().is_empty());
    commit(&mut writer, 1).expect("a commit");
    assert_eq!(sinking.values(), ["one", "two"]);
    assert_eq!(sinking.topic.messages()[1].key(), Some(&b"two"[..]));
    // Checkpoints may be completed late, and several at once; an epoch may be empty.
    seal(&mut writer, 2).expect("an epoch with records");
    assert_eq!(seal(&mut writer, 3), None);
    epoch(&sinking, &mut writer, 4, &["four"]);
    commit(&mut writer, 4).expect("a commit");
    commit(&mut writer, 4).expect("nothing");
    assert_eq!(sinking.values(), ["one", "two", "three", "four"]);
}

#[test]
fn a_crash_before_the_commit_loses_nothing() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0);
    let unit = epoch(&sinking, &mut writer, 1, &["one", "two"]);
    write(&mut writer, &["after the checkpoint"]);
    drop(writer);
    // Once, twice and again later.
    sinking.recover(std::slice::from_ref(&unit), 1);
    sinking.recover(std::slice::from_ref(&unit), 1);
    let mut writer = sinking.writer(0);
    let next = epoch(&sinking, &mut writer, 1, &["three"]);
    commit(&mut writer, 1).expect("a commit");
    sinking.recover(&[unit, next], 1);
    assert_eq!(sinking.values(), ["one", "two", "three"]);
}

#[test]
fn a_crash_after_the_commit_repeats_nothing() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0);
    let first = epoch(&sinking, &mut writer, 1, &["one"]);
    let second = epoch(&sinking, &mut writer, 2, &["two"]);
    commit(&mut writer, 1).expect("a commit");
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
        let mut writer = sinking.writer(0);
        let unit = epoch(&sinking, &mut writer, 1, &["one", "two"]);
        drop(writer);
        let run = unit.value["timeline"].as_str().filter(|_| marked);
        let zombie = sinking.half_sent(0, if marked { &["one", "two"] } else { &["one"] }, run);
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
    let mut zombie = sinking.writer(0);
    epoch(&sinking, &mut zombie, 1, &["one"]);
    commit(&mut zombie, 1).expect("a commit");
    let unit = epoch(&sinking, &mut zombie, 2, &["two"]);
    sinking.recover(std::slice::from_ref(&unit), 1);
    let mut writer = sinking.writer(0);
    epoch(&sinking, &mut writer, 3, &["three"]);
    commit(&mut writer, 3).expect("a commit");
    let error = commit(&mut zombie, 2).expect_err("it is fenced").to_string();
    assert!(error.contains("another process has taken over") && error.contains(&sinking.topic.name), "{error}");
    // And has not fenced the other in its turn.
    epoch(&sinking, &mut writer, 4, &["four"]);
    commit(&mut writer, 4).expect("a commit");
    assert_eq!(sinking.values(), ["one", "two", "three", "four"]);
}

#[test]
fn a_rewind_repeats_what_came_after_its_checkpoint_and_nothing_before() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0);
    let units: Vec<Committable> = (1..=3).map(|n| epoch(&sinking, &mut writer, n, &[&format!("a{n}")])).collect();
    commit(&mut writer, 3).expect("a commit");
    drop(writer);
    // Back to the first checkpoint, and from there a run that numbers its epochs as the first one did.
    sinking.recover(&units[..1], 1);
    let mut writer = sinking.writer(0);
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
        let mut writer = sinking.writer(worker);
        units.push(epoch(&sinking, &mut writer, 1, &[&format!("of {worker}")]));
        if worker == 1 {
            commit(&mut writer, 1).expect("a commit");
        }
    }
    // An open transaction of a worker that has no unit: it would hide everything behind it.
    let zombie = sinking.half_sent(3, &["half"], Some("a"));
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
    let mut writer = sinking.writer(0);
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
    commit(&mut writer, 1).expect("a commit");
    drop(writer);
    sinking.recover(std::slice::from_ref(&unit), 1);
    assert_eq!(sinking.values(), ["one"]);
}

#[test]
fn a_lost_marker_is_noticed_and_a_damaged_segment_too() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0);
    epoch(&sinking, &mut writer, 1, &["one"]);
    commit(&mut writer, 1).expect("a commit");
    let unit = epoch(&sinking, &mut writer, 2, &["two"]);
    drop(writer);
    std::fs::remove_file(unit.file.as_ref().expect("a segment")).expect("a file");
    std::fs::write(unit.file.as_ref().expect("a segment"), "tgkafka1").expect("a file");
    let error = sinking.try_recover(std::slice::from_ref(&unit), 1).expect_err("half a segment").to_string();
    assert!(error.contains("can't be read") && error.contains("kept-"), "{error}");
    Topic { brokers: sinking.topic.brokers.clone(), name: sinking.markers.clone(), partitions: 8 }.delete();
    // A topic is gone a moment after its deletion is.
    std::thread::sleep(Duration::from_secs(1));
    let error = sinking.try_recover(std::slice::from_ref(&unit), 1).expect_err("no marker").to_string();
    assert!(error.contains("the marker of") && error.contains("is gone"), "{error}");
    assert_eq!(sinking.values(), ["one"]);
}

#[test]
fn a_large_epoch_is_more_than_the_queue_of_a_producer_holds() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0);
    let values: Vec<String> = (0..250_000).map(|n| n.to_string()).collect();
    let unit = epoch(&sinking, &mut writer, 1, &values.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(unit.value["records"], 250_000);
    commit(&mut writer, 1).expect("a commit");
    assert_eq!(sinking.values(), values);
}

#[test]
fn what_is_yet_to_be_written_is_not_left_for_another_topic_of_markers() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let mut writer = sinking.writer(0);
    let unit = epoch(&sinking, &mut writer, 1, &["one"]);
    drop(writer);
    let elsewhere = Sinking { sink: sink(&sinking.topic, &sinking.prefix, &fresh_name("markers")), ..sinking };
    let error = elsewhere.try_recover(std::slice::from_ref(&unit), 1).expect_err("no marker").to_string();
    assert!(error.contains("have yet to be written") && error.contains("go on with `markers: "), "{error}");
}

/// A copy of a job has other ids. What the one it was copied from had yet to write is that one's to write, and it is not disturbed.
#[test]
fn a_copy_waits_for_the_original_and_does_not_fence_it() {
    let Some(broker) = broker() else { return };
    let original = Sinking::new(broker);
    let mut writer = original.writer(0);
    let unit = epoch(&original, &mut writer, 1, &["one"]);
    let topic = Topic::new(broker, 1);
    let sink = sink(&topic, &fresh_name("copy"), &original.markers);
    let copy = Sinking { topic, sink, markers: String::new(), prefix: String::new(), segments: TempDir::new().expect("a directory") };
    let error = copy.try_recover(std::slice::from_ref(&unit), 1).expect_err("one record is missing").to_string();
    let id = &original.prefix;
    assert!(
        error.contains(&format!("1 records for topic `{}` that have yet to be written by `{id}-0`", original.topic.name))
            && error.contains(&format!("transactional_id: {id}")),
        "{error}"
    );
    commit(&mut writer, 1).expect("nobody has fenced it");
    copy.recover(std::slice::from_ref(&unit), 1);
    assert_eq!((original.values(), copy.values()), (vec!["one".to_owned()], vec![]));
}

#[test]
fn without_checkpoints_there_is_no_exactly_once() {
    let Some(broker) = broker() else { return };
    let sinking = Sinking::new(broker);
    let error = Sink::<Row>::open(&sinking.sink, SinkContext::default()).err().expect("no checkpoints").to_string();
    assert!(error.contains("only where checkpoints are taken"), "{error}");
}
