//! What is written, as other clients see it.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::process::Stdio;

use rdkafka::message::{Headers, Message};
use serde_json::Value;

use crate::broker::broker;
use crate::harness::Dir;
use crate::topic::Topic;

fn job(brokers: &str, topic: &str, records: usize, keys: &str) -> String {
    format!(
        "name: t
sources:
  in: {{ connector: generator, count: {records}, fields: {{ user: {{ zipf: [300, 1.1] }}, n: {{ sequence: [0, 1] }}, at: {{ time: {{ start: 2026-11-01T00:00:00Z, step: 1s }} }} }} }}
sinks:
  out: {{ from: in, connector: kafka, brokers: '{brokers}', topic: {topic}, {keys} }}
  same: {{ from: in, connector: file, path: out/ }}
"
    )
}

/// What the file beside the topic got: user and number, in the order of each worker.
fn written(dir: &Dir, workers: usize) -> Vec<(i64, i64)> {
    let values = (0..workers).flat_map(|w| dir.values(&format!("out/part-{w}.jsonl")));
    values.map(|v| (v["user"].as_i64().expect("a user"), v["n"].as_i64().expect("a number"))).collect()
}

/// Kafka's own consumer gets what was written, no more and no less, each key in order and in the partition that Kafka's own producer gives it.
#[test]
fn an_independent_consumer_gets_every_record_once_and_each_key_in_order() {
    let Some(broker) = broker() else { return };
    let (topic, reference) = (Topic::new(broker, 5), Topic::new(broker, 5));
    let dir = Dir::new();
    let records = 20_000;
    dir.job(&job(&broker.plain, &topic.name, records, "key: user")).args(["-p", "1"]).run().exits(0);
    let written = written(&dir, 1);
    assert_eq!(written.len(), records);

    let mut consume = broker.tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
    consume.args(["--topic", &topic.name, "--from-beginning", "--max-messages", &records.to_string(), "--timeout-ms", "30000"]);
    consume.args(["--formatter-property", "print.key=true", "--formatter-property", "print.partition=true"]);
    let output = consume.output().expect("Java runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut by_key: HashMap<i64, Vec<i64>> = HashMap::new();
    let mut partition_of: BTreeMap<i64, String> = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, '\t');
        let (partition, key, value) = (parts.next().expect("a partition"), parts.next().expect("a key"), parts.next().expect("a value"));
        let value: Value = serde_json::from_str(value).expect("JSON");
        let user = value["user"].as_i64().expect("a user");
        assert_eq!(key, user.to_string());
        by_key.entry(user).or_default().push(value["n"].as_i64().expect("a number"));
        assert_eq!(partition_of.entry(user).or_insert_with(|| partition.to_owned()), partition, "a key stays in its partition");
    }
    let mut expected: HashMap<i64, Vec<i64>> = HashMap::new();
    written.iter().for_each(|(user, n)| expected.entry(*user).or_default().push(*n));
    assert_eq!(by_key, expected);
    let total: i64 = (0..5).map(|p| topic.offsets(p).1).sum();
    assert_eq!(total, records as i64, "and nothing besides");

    // The same keys by Kafka's own producer.
    let mut produce = broker.tool("org.apache.kafka.tools.ConsoleProducer");
    produce.args(["--topic", &reference.name, "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]);
    let mut child = produce.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("Java runs");
    let lines: String = partition_of.keys().map(|user| format!("{user}:x\n")).collect();
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let java: BTreeMap<i64, String> = reference
        .messages()
        .iter()
        .map(|m| (String::from_utf8_lossy(m.key().expect("a key")).parse().expect("a number"), format!("Partition:{}", m.partition())))
        .collect();
    assert_eq!(partition_of, java);
}

#[test]
fn several_workers_write_everything_once() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 3);
    let dir = Dir::new();
    // The windows of a key are on one worker; those of two are spread.
    let job = format!(
        "name: t
sources: {{ in: {{ connector: generator, count: 30000, fields: {{ user: {{ uniform: [0, 99] }}, at: {{ time: {{ start: 2026-11-01T00:00:00Z, step: 100ms }} }} }} }} }}
streams: {{ n: {{ from: in, key: user, window: {{ tumbling: 1m }}, aggregate: {{ n: count() }} }} }}
sinks:
  out: {{ from: n, connector: kafka, brokers: '{}', topic: {}, key: user }}
  same: {{ from: n, connector: file, path: same.jsonl }}
",
        broker.plain, topic.name
    );
    dir.job(&job).args(["-p", "3"]).run().exits(0);
    let sort = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sort(topic.values()), sort(dir.read("same.jsonl").lines().map(str::to_owned).collect()));
    let mut last: HashMap<i64, i64> = HashMap::new();
    for message in topic.messages() {
        let value: Value = serde_json::from_slice(message.payload().expect("a value")).expect("JSON");
        let start = value["window_start"].as_i64().expect("a start");
        assert!(
            last.insert(value["user"].as_i64().expect("a user"), start).is_none_or(|before| before < start),
            "windows of a key in order"
        );
    }
}

#[test]
fn keys_times_and_headers_are_made_of_fields() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    let dir = Dir::new();
    dir.file("in.jsonl", "{\"user\":\"ann\",\"n\":1,\"ts\":1793491200000}\n{\"user\":null,\"n\":2,\"ts\":null}\n");
    let job = format!(
        "name: t
sources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ user: string, n: int, ts: timestamp_ms }} }} }}
sinks:
  out:
    from: in
    connector: kafka
    brokers: '{}'
    topic: {}
    key: user
    timestamp: ts
    headers: {{ source: tests, who: '{{user}}', both: '{{user}}-{{n}}', n: n }}
    format: csv
",
        broker.plain, topic.name
    );
    // A word is a field; text that is none has to look like it.
    dir.job(&job).run().exits(2).stderr_has("no field `tests`");
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis() as i64;
    dir.job(&job.replace("source: tests, ", "source: 'by tests', ")).args(["-p", "1"]).run().exits(0);
    let messages = topic.messages();
    let headers = |i: usize| -> Vec<(String, String)> {
        let headers = messages[i].headers().expect("headers");
        headers.iter().map(|h| (h.key.to_owned(), String::from_utf8_lossy(h.value.unwrap_or_default()).into_owned())).collect()
    };
    let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> { all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect() };
    assert_eq!(messages[0].key(), Some(&b"ann"[..]));
    assert_eq!(messages[0].timestamp().to_millis(), Some(1_793_491_200_000));
    assert_eq!(headers(0), pairs(&[("source", "by tests"), ("who", "ann"), ("both", "ann-1"), ("n", "1")]));
    assert_eq!(messages[0].payload(), Some(&b"ann,1,1793491200000"[..]));
    // Null is no key, no header and no time.
    assert_eq!(messages[1].key(), None);
    assert!(messages[1].timestamp().to_millis().is_some_and(|t| t >= before));
    assert_eq!(headers(1), pairs(&[("source", "by tests"), ("both", "null-2"), ("n", "2")]));
}
