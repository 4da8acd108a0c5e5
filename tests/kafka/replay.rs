//! Bounded replays: what is read is what was there, and reading ends.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::producer::Producer;
use serde_json::{Value, json};

use crate::broker::{Broker, broker};
use crate::harness::{Dir, sorted};
use crate::topic::{Topic, fresh_name};

/// A job that prints what it reads of a topic.
fn print(broker: &Broker, topic: &str, keys: &str) -> String {
    let source = format!("connector: kafka, brokers: '{}', topic: {topic}, {keys}", broker.plain);
    format!("name: t\nsources: {{ in: {{ {source} }} }}\nsinks: {{ out: {{ from: in, connector: stdout }} }}\n")
}

/// The lines that a source of text reads, sorted.
#[track_caller]
fn lines(broker: &Broker, topic: &str, keys: &str) -> Vec<String> {
    let outcome = Dir::new().job(&print(broker, topic, &format!("format: text, {keys}"))).args(["-p", "2"]).run().exits(0);
    let mut lines: Vec<String> = outcome.values().iter().map(|v| v["line"].as_str().expect("a line").to_owned()).collect();
    lines.sort();
    lines
}

fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    let mut numbers: Vec<String> = range.map(|n| format!("{n:04}")).collect();
    numbers.sort();
    numbers
}

#[test]
fn windows_over_all_partitions_hold_what_a_naive_count_says() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 4);
    // Each partition in order but for two seconds; partitions apart by minutes.
    let mut naive: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    let records: Vec<_> = (0..20_000_i64)
        .map(|i| {
            let (user, partition) = (i * 7 % 50, i * 7 % 4);
            let ts = 1_700_000_000_000 + i * 100 + partition * 90_000 - i * 13 % 2_000;
            *naive.entry((user, ts.div_euclid(60_000) * 60_000)).or_default() += 1;
            (i32::try_from(partition).expect("small"), "k", format!(r#"{{"user":{user},"ts":{ts}}}"#), 0)
        })
        .collect();
    topic.fill(records);
    let job = format!(
        "
name: t
sources:
  in:
    connector: kafka
    brokers: {}
    topic: {}
    stop: latest
    schema: {{ user: int, ts: timestamp_ms }}
    event_time: {{ field: ts, max_delay: 2s }}
streams:
  counts: {{ from: in, key: user, window: {{ tumbling: 1m }}, aggregate: {{ n: count() }}, select: {{ user: user, at: window_start, n: n }} }}
sinks: {{ out: {{ from: counts, connector: stdout }} }}
",
        broker.plain, topic.name
    );
    let expected: Vec<Value> = naive.into_iter().map(|((user, at), n)| json!({ "user": user, "at": at, "n": n })).collect();
    for workers in ["1", "2", "5"] {
        let outcome = Dir::new().job(&job).args(["-p", workers]).run().exits(0);
        assert_eq!(outcome.account()["counts"].part("late"), 0);
        assert_eq!(outcome.account()["in"].total, 20_000);
        assert_eq!(sorted(outcome.values()), sorted(expected.clone()), "{workers} workers");
    }
}

#[test]
fn a_replay_begins_and_ends_at_times() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 2);
    // A record a second from 2026-11-01T00:00:00Z on, in turn.
    topic.fill((0..100).map(|n| ((n % 2) as i32, "k", format!("{n:04}"), 1_793_491_200_000 + n * 1000)));
    let at = |keys: &str| lines(broker, &topic.name, keys);
    assert_eq!(at("start: 2026-11-01T00:00:20Z, stop: 2026-11-01T00:00:35Z"), numbers(20..35));
    assert_eq!(at("start: 2026-11-01T00:00:20.5Z, stop: latest"), numbers(21..100));
    assert_eq!(at("stop: 2026-11-01T00:00:01Z"), numbers(0..1));
    // Before and after all of it.
    assert_eq!(at("start: 2026-10-01T00:00:00Z, stop: 2030-01-01T00:00:00Z"), numbers(0..100));
    assert_eq!(at("start: 2030-01-01T00:00:00Z, stop: latest"), numbers(0..0));
}

#[test]
fn a_replay_begins_and_ends_at_offsets() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 2);
    topic.fill((0..100).map(|n| (n / 50, "k", format!("{n:04}"), 0)));
    let at = |keys: &str| lines(broker, &topic.name, keys);
    assert_eq!(at("start: { 0: 10, 1: 40 }, stop: { 0: 20, 1: 45 }"), [numbers(10..20), numbers(90..95)].concat());
    // A partition that is not named is read whole.
    assert_eq!(at("start: { 1: 49 }, stop: { 0: 1 }"), [numbers(0..1), numbers(99..100)].concat());
    // What lies beyond the end is not waited for.
    assert_eq!(at("start: { 0: 50, 1: 50 }, stop: { 0: 1000 }"), numbers(0..0));
    assert_eq!(at("start: latest, stop: latest"), numbers(0..0));
}

#[test]
fn several_topics_and_all_that_match_are_read() {
    let Some(broker) = broker() else { return };
    let prefix = fresh_name("many");
    for (i, suffix) in ["a", "b", "c"].into_iter().enumerate() {
        let topic = Topic::with(broker, &format!("{prefix}-{suffix}"), 3, &[]);
        topic.fill((0..10).map(|n| ((n % 3) as i32, "k", format!("{:04}", n + 10 * i), 0)));
    }
    assert_eq!(lines(broker, &format!("[{prefix}-a, {prefix}-c]"), "stop: latest"), [numbers(0..10), numbers(20..30)].concat());
    assert_eq!(lines(broker, &format!("{{ pattern: '{prefix}-[bc]' }}"), "stop: latest"), numbers(10..30));
}

#[test]
fn empty_partitions_end() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 3);
    assert_eq!(lines(broker, &topic.name, "stop: latest"), numbers(0..0));
    topic.fill((0..5).map(|n| (1, "k", format!("{n:04}"), 0)));
    assert_eq!(lines(broker, &topic.name, "stop: latest"), numbers(0..5));
}

#[test]
fn transactional_partitions_end_and_give_what_was_committed() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 2);
    let producer = topic.transactional(&fresh_name("tx"));
    let transaction = |numbers: std::ops::Range<i64>, commit: bool| {
        producer.begin_transaction().expect("a transaction");
        numbers.for_each(|n| topic.send(&producer, (n % 2) as i32, "k", &format!("{n:04}"), 0));
        producer.flush(Duration::from_secs(30)).expect("the broker takes it");
        if commit { producer.commit_transaction(Duration::from_secs(30)) } else { producer.abort_transaction(Duration::from_secs(30)) }
            .expect("the end of a transaction");
    };
    transaction(0..10, true);
    transaction(10..30, false);
    assert_eq!(lines(broker, &topic.name, "stop: latest"), numbers(0..10));
    assert_eq!(lines(broker, &topic.name, "stop: latest, isolation: read_uncommitted"), numbers(0..30));
    transaction(30..40, true);
    assert_eq!(lines(broker, &topic.name, "stop: latest"), [numbers(0..10), numbers(30..40)].concat());
    // Nothing but a control record is left to read, and nothing at all.
    let (_, end) = topic.offsets(0);
    assert_eq!(lines(broker, &topic.name, &format!("start: {{ 0: {}, 1: {} }}, stop: latest", end - 1, end)), numbers(0..0));
    // A stop on the offset of a control record, between the transactions.
    assert_eq!(lines(broker, &topic.name, "stop: { 0: 6, 1: 5 }"), numbers(0..10));
    // One that is open: what is before it is all there is, and it is not waited for.
    producer.begin_transaction().expect("a transaction");
    topic.send(&producer, 0, "k", "0040", 0);
    producer.flush(Duration::from_secs(30)).expect("the broker takes it");
    assert_eq!(lines(broker, &topic.name, "stop: latest"), [numbers(0..10), numbers(30..40)].concat());
    producer.abort_transaction(Duration::from_secs(30)).expect("the end of a transaction");
}

#[test]
fn compacted_partitions_end() {
    let Some(broker) = broker() else { return };
    let settings =
        [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.01"), ("max.compaction.lag.ms", "100")];
    let topic = Topic::with(broker, &fresh_name("compacted"), 1, &settings);
    topic.fill((0..50).map(|n| (0, if n == 20 { "other" } else { "same" }, format!("{n:04}"), 0)));
    // A new segment closes the old one, of which then only the last record of each key stays.
    let start = std::time::Instant::now();
    let mut more = 50;
    while topic.values().iter().any(|v| v == "0010") {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is compacted");
        topic.fill([(0, "same", format!("{more:04}"), 0)]);
        more += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    let left = topic.values();
    assert!(left.contains(&"0020".to_owned()), "{left:?}");
    assert_eq!(lines(broker, &topic.name, "stop: latest"), left);
    // Ends before, on and behind what is left in the middle, at offsets that are gone.
    for (stop, expected) in [(15, &[][..]), (20, &[]), (21, &["0020"]), (40, &["0020"])] {
        assert_eq!(lines(broker, &topic.name, &format!("stop: {{ 0: {stop} }}")), expected, "stop at {stop}");
    }
    assert_eq!(lines(broker, &topic.name, "start: { 0: 5 }, stop: { 0: 21 }"), ["0020"]);
}

#[test]
fn tombstones_are_no_records() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    topic.fill([(0, "a", "1".to_owned(), 0)]);
    let producer = topic.producer(&[]);
    producer.send(rdkafka::producer::BaseRecord::<str, str>::to(&topic.name).key("a")).map_err(|(e, _)| e).expect("a place in the queue");
    producer.flush(Duration::from_secs(30)).expect("the broker takes it");
    topic.fill([(0, "a", "2".to_owned(), 0)]);
    assert_eq!(lines(broker, &topic.name, "stop: latest"), ["1", "2"]);
    // An empty or a blank message is one, and a bad one.
    topic.fill([(0, "a", String::new(), 0), (0, "a", " \n".to_owned(), 0)]);
    let outcome = Dir::new().job(&print(broker, &topic.name, "stop: latest, format: { regex: '(?P<n>[0-9]+)' }")).run().exits(0);
    let account = &outcome.account()["in"];
    assert_eq!((account.part("on"), account.part("bad"), account.part("tombstones"), account.total), (2, 2, 1, 5));
    outcome.stderr_has("the message is empty").stderr_has("the message is blank");
}

#[test]
fn what_a_message_carries_beside_its_value_can_be_fields() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    let producer = topic.producer(&[]);
    let headers = rdkafka::message::OwnedHeaders::new();
    let headers = ["one", "two", "three"].into_iter().fold(headers, |all, value| {
        all.insert(rdkafka::message::Header { key: if value == "two" { "b" } else { "a" }, value: Some(value) })
    });
    let whole =
        rdkafka::producer::BaseRecord::to(&topic.name).key("ann").payload(r#"{"n":1,"offset":7}"#).timestamp(1_000).headers(headers);
    producer.send(whole).map_err(|(e, _)| e).expect("a place in the queue");
    let bare = rdkafka::producer::BaseRecord::<[u8], str>::to(&topic.name).payload(r#"{"n":2}"#).timestamp(2_000);
    producer.send(bare).map_err(|(e, _)| e).expect("a place in the queue");
    producer.flush(Duration::from_secs(30)).expect("the broker takes it");
    let metadata =
        "metadata: { key: key, bytes: key_bytes, headers: headers, at: timestamp, topic: topic, partition: partition, offset: offset }";
    let first = json!({ "n": 1, "key": "ann", "bytes": "YW5u", "headers": { "b": "two", "a": "three" }, "at": 1000,
        "topic": topic.name, "partition": 0, "offset": 0 });
    let second = json!({ "n": 2, "headers": {}, "at": 2000, "topic": topic.name, "partition": 0, "offset": 1 });
    // With a schema, without one, and in a format that leaves no room for them. Fields of the value of the same name give way.
    for format in ["schema: { n: int }", "format: json", r#"format: { regex: '"n":(?P<n>\d+)' }"#] {
        let job = print(broker, &topic.name, &format!("stop: latest, {format}, {metadata}, event_time: {{ field: at }}"));
        let mut found = Dir::new().job(&job).run().exits(0).values();
        for value in &mut found {
            // The order of fields is not the point; a group of a pattern is text.
            if let Some(n) = value["n"].as_str() {
                value["n"] = n.parse::<i64>().expect("a number").into();
            }
            // Rows without a schema are written without what is missing.
            value.as_object_mut().expect("an object").retain(|_, v| !v.is_null());
        }
        assert_eq!(found, [first.clone(), second.clone()], "{format}");
    }
}
