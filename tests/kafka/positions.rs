//! Where a source goes on: driven by hand, as a checkpoint would.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::Message;
use serde_json::{Value, json};
use tidegate::connectors::entry::Entry;
use tidegate::connectors::kafka::{Cluster, KafkaSource, Start, Stop, Topics};
use tidegate::rows::Row;
use tidegate::rows::format::TextFormat;
use tidegate::runtime::source::{Poll, Reader, Source, SourceContext, Waker};

use crate::broker::broker;
use crate::topic::{Topic, fresh_name};

const LONGEST: Duration = Duration::from_secs(60);

fn source(topic: &Topic) -> KafkaSource<TextFormat> {
    KafkaSource::new(Cluster::new(&topic.brokers), Topics::named(&topic.name), TextFormat)
}

fn open(source: &impl Source<Entry<Row>>, restored: Option<Vec<Value>>) -> Box<dyn Reader<Entry<Row>>> {
    let context = SourceContext {
        worker: 0,
        workers: 1,
        waker: Waker::disconnected(),
        shared: Default::default(),
        restored: restored.map(Arc::new),
        metrics: Arc::default(),
    };
    source.open(context).expect("a reader")
}

/// What a reader gives, until it ends or `enough`: the lines, and the last position of each partition.
fn read(
    reader: &mut Box<dyn Reader<Entry<Row>>>,
    enough: impl Fn(&[String], &[Value]) -> bool,
) -> Result<(Vec<String>, Vec<Value>), String> {
    let (mut lines, mut positions): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while !enough(&lines, &positions) {
        assert!(start.elapsed() < LONGEST, "the reader hangs after {} lines", lines.len());
        positions.extend(reader.resumed().into_iter().flatten().map(|known| known.position));
        match reader.poll().map_err(|e| e.to_string())? {
            Poll::Batch(batch) => {
                lines.extend(batch.records.into_iter().filter_map(|r| Some(r.value.good()?.get(0).as_str()?.to_owned())));
                if let Some(position) = batch.position {
                    positions.retain(|p| (&p["topic"], &p["partition"]) != (&position["topic"], &position["partition"]));
                    positions.push(position);
                }
            }
            Poll::Pending | Poll::After(_) => std::thread::sleep(Duration::from_millis(1)),
            Poll::Finished => break,
        }
    }
    positions.sort_by_key(|p| p["partition"].as_i64());
    Ok((lines, positions))
}

fn fill(topic: &Topic, numbers: std::ops::Range<i64>) {
    let partitions = i64::from(topic.partitions);
    topic.fill(numbers.map(|n| ((n % partitions) as i32, "k", format!("{n:06}"), 0)));
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| format!("{n:06}")).collect()
}

#[test]
fn positions_are_known_at_once_before_any_record_and_are_absolute() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 2);
    fill(&topic, 0..10);
    let source = source(&topic).start(Start::Latest);
    let (lines, positions) = read(&mut open(&source, None), |_, p| {
        assert!(p.len() != 1, "not one after the other");
        !p.is_empty()
    })
    .expect("positions");
    assert!(lines.is_empty());
    assert_eq!(positions, [0, 1].map(|p| json!({ "topic": topic.name, "partition": p, "offset": 5 })));
    // What comes between that checkpoint and a restart is read, though it is older than what is then the latest.
    fill(&topic, 10..20);
    let (lines, _) = read(&mut open(&source, Some(positions)), |lines, _| lines.len() == 10).expect("lines");
    assert_eq!(sorted(lines), numbers(10..20));
}

#[test]
fn a_replay_goes_on_where_it_was_and_ends_where_it_was_to_end() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 3);
    fill(&topic, 0..30_000);
    let source = source(&topic).stop(Stop::Latest);
    let (mut lines, mut positions) = read(&mut open(&source, None), |lines, _| lines.len() > 5_000).expect("lines");
    assert!(lines.len() < 30_000, "the reader was stopped in the middle");
    assert!(positions.iter().all(|p| p["stop"] == 10_000), "{positions:?}");
    // The end does not move, whatever comes meanwhile.
    fill(&topic, 30_000..31_000);
    for _ in 0..2 {
        let (more, at) = read(&mut open(&source, Some(positions)), |_, _| false).expect("lines");
        lines.extend(more);
        positions = at;
        assert!(positions.iter().all(|p| p["offset"] == 10_000), "{positions:?}");
    }
    assert_eq!(sorted(lines), numbers(0..30_000));
}

#[test]
fn partitions_younger_than_the_checkpoint_are_read_whole() {
    let Some(broker) = broker() else { return };
    let mut topic = Topic::new(broker, 1);
    fill(&topic, 0..10);
    let source = source(&topic).start(Start::Latest);
    let (_, positions) = read(&mut open(&source, None), |_, p| p.len() == 1).expect("positions");
    topic.grow(2);
    topic.fill((0..3).map(|n| (1, "k", format!("new {n}"), 0)));
    let (lines, _) = read(&mut open(&source, Some(positions)), |lines, _| lines.len() == 3).expect("lines");
    assert_eq!(lines, ["new 0", "new 1", "new 2"]);
}

#[test]
fn a_checkpoint_that_does_not_fit_the_topic_is_refused() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    fill(&topic, 0..10);
    let refused = |position: Value| {
        let found = read(&mut open(&source(&topic), Some(vec![position])), |_, _| false);
        found.expect_err("a checkpoint that can't be right")
    };
    let error = refused(json!({ "topic": topic.name, "partition": 0, "offset": 11 }));
    assert!(error.contains("the checkpoint begins partition 0") && error.contains("was the topic made anew?"), "{error}");
    let error = refused(json!({ "topic": topic.name, "partition": 7, "offset": 0 }));
    assert!(error.contains("has read partition 7"), "{error}");
    let error = refused(json!({ "path": "a.csv" }));
    assert!(error.contains("is no position in a topic"), "{error}");
}

#[test]
fn offsets_are_committed_when_a_checkpoint_is_complete_and_not_before() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 2);
    fill(&topic, 0..20);
    let group = fresh_name("group");
    let source = source(&topic).group(&group).start(Start::Committed);
    let mut reader = open(&source, None);
    let (lines, positions) = read(&mut reader, |lines, _| lines.len() == 20).expect("lines");
    assert_eq!(sorted(lines), numbers(0..20));
    assert_eq!(topic.committed(&group), [None, None]);
    reader.completed(&positions);
    let start = Instant::now();
    while topic.committed(&group) != [Some(10), Some(10)] {
        assert!(start.elapsed() < LONGEST, "offsets are not committed: {:?}", topic.committed(&group));
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(reader);
    // A new job of the group goes on there.
    fill(&topic, 20..30);
    let (lines, _) = read(&mut open(&source, None), |lines, _| lines.len() == 10).expect("lines");
    assert_eq!(sorted(lines), numbers(20..30));
}

#[test]
fn every_message_is_at_the_position_that_stands_before_it() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    // Transactions leave holes in the offsets.
    let producer = topic.transactional(&fresh_name("holes"));
    for n in 0..5 {
        use rdkafka::producer::Producer;
        producer.begin_transaction().expect("a transaction");
        topic.send(&producer, 0, "k", &n.to_string(), 0);
        producer.commit_transaction(LONGEST).expect("its end");
    }
    let offsets: Vec<i64> = topic.messages().iter().map(Message::offset).collect();
    assert_eq!(offsets, [0, 2, 4, 6, 8]);
    let source = source(&topic).stop(Stop::Latest);
    for from in 0..10 {
        let position = json!({ "topic": topic.name, "partition": 0, "offset": from, "stop": 10 });
        let (lines, positions) = read(&mut open(&source, Some(vec![position])), |_, _| false).expect("lines");
        assert_eq!(lines, (0..5).filter(|n| offsets[*n] >= from).map(|n| n.to_string()).collect::<Vec<_>>(), "from {from}");
        assert_eq!(positions[0]["offset"], 10, "from {from}");
    }
}
