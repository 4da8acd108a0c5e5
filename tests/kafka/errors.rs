//! What goes wrong: said with the broker, the topic and what to do; exit code 1.

use std::time::Duration;

use crate::broker::broker;
use crate::harness::{Dir, Outcome};
use crate::topic::Topic;

/// Reads a topic as text.
fn reading(brokers: &str, topic: &str, keys: &str) -> Outcome {
    let job = format!(
        "name: t\nsources: {{ in: {{ connector: kafka, brokers: '{brokers}', topic: {topic}, stop: latest, format: text{keys} }} }}
sinks: {{ out: {{ from: in, connector: stdout }} }}\n"
    );
    Dir::new().job(&job).args(["-p", "1"]).run()
}

/// Writes a few records to a topic.
fn writing(brokers: &str, topic: &str, keys: &str) -> Outcome {
    let job = format!(
        "name: t\nsources: {{ in: {{ connector: generator, count: 10, fields: {{ n: {{ sequence: [0, 1] }} }} }} }}
sinks: {{ out: {{ from: in, connector: kafka, brokers: '{brokers}', topic: {topic}{keys} }} }}\n"
    );
    Dir::new().job(&job).args(["-p", "1"]).run()
}

/// A failure that names these.
#[track_caller]
fn fails(outcome: Outcome, said: &[&str]) {
    let outcome = outcome.exits(1).stdout_is("").stderr_lacks("panicked");
    said.iter().fold(outcome, |outcome, part| outcome.stderr_has(part));
}

const CREDENTIALS: &str = "sasl.username: alice, sasl.password: alice-secret";

#[test]
fn a_topic_that_is_not_there() {
    let Some(broker) = broker() else { return };
    let said = ["there is no topic `nowhere`", broker.plain.as_str(), "make it, or correct `topic`"];
    fails(reading(&broker.plain, "nowhere", ""), &said);
    fails(writing(&broker.plain, "nowhere", ""), &said);
    fails(reading(&broker.plain, "{ pattern: 'nowhere.*' }", ""), &["no topic", "matches `topic`", &broker.plain]);
}

#[test]
fn brokers_that_cannot_be_reached() {
    // Reserved, and so never listened on.
    let said = ["`127.0.0.1:1`", "can't be reached", "check `brokers`", "Connection refused"];
    fails(reading("127.0.0.1:1", "t", ""), &said);
    fails(writing("127.0.0.1:1", "t", ""), &said);
}

#[test]
fn credentials_that_are_wrong_missing_or_right() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    let with = |credentials: &str| format!(", options: {{ security.protocol: sasl_plaintext, sasl.mechanism: PLAIN, {credentials} }}");
    let wrong = with("sasl.username: alice, sasl.password: wrong");
    let said = ["refuse the connection", &broker.sasl, "`sasl.`", "Authentication failed"];
    fails(reading(&broker.sasl, &topic.name, &wrong), &said);
    fails(writing(&broker.sasl, &topic.name, &wrong), &said);
    fails(reading(&broker.sasl, &topic.name, ""), &["can't be reached", &broker.sasl, "`security.protocol`"]);
    writing(&broker.sasl, &topic.name, &with(CREDENTIALS)).exits(0);
    assert_eq!(reading(&broker.sasl, &topic.name, &with(CREDENTIALS)).exits(0).values().len(), 10);
}

#[test]
fn certificates_that_are_unknown_or_trusted() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    let with = |ca: &str| format!(", options: {{ security.protocol: sasl_ssl, sasl.mechanism: SCRAM-SHA-256, {CREDENTIALS}{ca} }}");
    fails(reading(&broker.tls, &topic.name, &with("")), &["refuse the connection", &broker.tls, "ssl.ca.location"]);
    let trusting = with(&format!(", ssl.ca.location: '{}'", broker.ca));
    writing(&broker.tls, &topic.name, &trusting).exits(0);
    assert_eq!(reading(&broker.tls, &topic.name, &trusting).exits(0).values().len(), 10);
    assert!(
        reading(&broker.tls, &topic.name, &trusting.replace("alice-secret", "wrong")).exits(1).stderr.contains("refuse the connection")
    );
}

#[test]
fn offsets_and_partitions_that_are_not_there() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 2);
    topic.fill((0..10).map(|n| (0, "k", n.to_string(), 0)));
    fails(reading(&broker.plain, &topic.name, ", start: { 0: 11 }"), &[&topic.name, "partition 0", "offset 11", "from 0 to before 10"]);
    fails(reading(&broker.plain, &topic.name, ", start: { 2: 0 }"), &["names partition 2", &topic.name, "which has 2: 0 to 1"]);
}

#[test]
fn a_poison_message_fails_the_job_or_is_skipped_or_kept() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    topic.fill(["{\"n\":1}", "poison", "{\"n\":2}"].map(|value| (0, "k", value.to_owned(), 0)));
    let place = format!("{}/0:1", topic.name);
    let job = |policy: &str, more: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: kafka, brokers: '{}', topic: {}, stop: latest, schema: {{ n: int }}, {policy} }} }}
sinks: {{ out: {{ from: in, connector: stdout }}{more} }}\n",
            broker.plain, topic.name
        )
    };
    let dir = Dir::new();
    let failed = dir.job(&job("on_bad_record: fail", "")).run().exits(1);
    failed.stderr_has(&place).stderr_has("`poison`").stderr_has("not a JSON object");
    let skipped = dir.job(&job("on_bad_record: skip", "")).run().exits(0).stdout_is("{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(skipped.account()["in"].part("bad"), 1);
    skipped.stderr_has(&place);
    dir.job(&job("dead_letter: dead", ", bad: { from: dead, connector: file, path: bad.jsonl }")).run().exits(0);
    let dead = dir.values("bad.jsonl");
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (&dead[0]["source"], &dead[0]["line"], &dead[0]["text"]),
        (&format!("{}/0", topic.name).into(), &1.into(), &"poison".into())
    );
}

#[test]
fn a_record_that_is_too_large_for_the_topic() {
    let Some(broker) = broker() else { return };
    let topic = Topic::with(broker, &crate::topic::fresh_name("small"), 1, &[("max.message.bytes", "500")]);
    let dir = Dir::new();
    dir.file("in.txt", format!("short\n{}\n", "x".repeat(600)));
    let job = |options: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: file, path: in.txt, format: text }} }}
sinks: {{ out: {{ from: in, connector: kafka, brokers: '{}', topic: {}, format: text, options: {{ compression.type: none{options} }} }} }}\n",
            broker.plain, topic.name
        )
    };
    let said = [topic.name.as_str(), "too large", "`max.message.bytes` of the topic"];
    // The broker refuses it, and our own side does.
    fails(dir.job(&job("")).run(), &said);
    dir.file("in.txt", format!("short\n{}\n", "x".repeat(5_000)));
    fails(dir.job(&job(", message.max.bytes: 1000")).run(), &["of 5000 bytes", said[0], said[1]]);
}

#[test]
fn a_topic_that_is_deleted_while_it_is_read() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    topic.fill([(0, "k", "0".to_owned(), 0)]);
    let job = format!(
        "name: t\nsources: {{ in: {{ connector: kafka, brokers: '{}', topic: {}, format: text, options: {{ topic.metadata.refresh.interval.ms: 500, topic.metadata.propagation.max.ms: 1000 }} }} }}
sinks: {{ out: {{ from: in, connector: stdout }} }}\n",
        broker.plain, topic.name
    );
    let dir = Dir::new();
    let mut running = dir.job(&job).start();
    running.until("a record", |out| !out.is_empty());
    std::thread::sleep(Duration::from_millis(100));
    topic.delete();
    running.wait().exits(1).stderr_has(&topic.name).stderr_has("was the topic deleted");
}

/// What is gone is gone; whoever asks for it goes on with what is left.
#[test]
fn records_that_were_deleted_before_they_were_read() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    topic.fill((0..10).map(|n| (0, "k", n.to_string(), 0)));
    let job = |options: &str| {
        format!(
            "name: t\nstate: {{ dir: state }}\ncheckpoints: {{ every: 1ms, dir: ckpt }}\nrestart: {{ attempts: 0 }}
sources: {{ in: {{ connector: kafka, brokers: '{}', topic: {}, start: {{ 0: 2 }}, format: text{options} }} }}
sinks: {{ out: {{ from: in, connector: stdout }} }}\n",
            broker.plain, topic.name
        )
    };
    let dir = Dir::new();
    let mut running = dir.job(&job("")).start();
    running.until("all records", |out| out.lines().count() == 8);
    running.signal("TERM");
    running.wait().exits(0);
    topic.fill((10..20).map(|n| (0, "k", n.to_string(), 0)));
    topic.trim(0, 15);
    let bounded = |options: &str| dir.job(&job(&format!(", stop: latest{options}"))).args(["--resume"]).run();
    let remedy = "options: { auto.offset.reset: earliest }";
    let refused = bounded("").exits(3);
    for part in [topic.name.as_str(), "offset 10", "from 15 to before 20", remedy] {
        assert!(refused.stderr.contains(part), "`{part}`: {}", refused.stderr);
    }
    let rest = bounded(&format!(", {remedy}")).exits(0).stderr_has("older records have been deleted");
    assert_eq!(rest.values().len(), 5);
}

/// A job that writes these lines exactly once, each as a message with a time.
fn writing_once(brokers: &str, topic: &str, keys: &str) -> String {
    format!(
        "name: {topic}-once\nstate: {{ dir: state }}\ncheckpoints: {{ every: 10m, dir: ckpt }}\nrestart: {{ attempts: 0 }}
sources: {{ in: {{ connector: file, path: in.jsonl, schema: {{ at: timestamp_ms, text: string }} }} }}
sinks: {{ out: {{ from: in, connector: kafka, brokers: '{brokers}', topic: {topic}, delivery: exactly_once{keys} }} }}\n"
    )
}

#[test]
fn a_record_that_the_broker_refuses_does_not_block_an_exactly_once_job_for_good() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    let dir = Dir::new();
    let row = |at: i64, text: &str| serde_json::json!({ "at": at, "text": text });
    let job = writing_once(&broker.plain, &topic.name, ", timestamp: at");
    // In 2100.
    dir.json_lines("in.jsonl", [&row(4_102_444_800_000, "far")]);
    fails(dir.job(&job).run(), &[&topic.name, "`timestamp`", "`message.timestamp.after.max.ms`", "--resume"]);
    topic.set("message.timestamp.after.max.ms", &i64::MAX.to_string());
    dir.job(&job).args(["--resume"]).run().exits(0);
    assert_eq!(topic.values().len(), 1);

    // What is too large for anybody never gets into a checkpoint.
    let dir = Dir::new();
    dir.json_lines("in.jsonl", [&row(0, &"x".repeat(1_100_000))]);
    fails(dir.job(&job).run(), &[&topic.name, "too large", "`message.max.bytes` in `options`"]);
    dir.json_lines("in.jsonl", [&row(0, "small")]);
    dir.job(&job).args(["--resume"]).run().exits(0);
    assert_eq!(topic.values().len(), 2);
}

#[test]
fn markers_that_were_made_beforehand() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    let dir = Dir::new();
    dir.json_lines("in.jsonl", [&serde_json::json!({ "at": 0, "text": "a" })]);
    let markers = |partitions| Topic::with(broker, &crate::topic::fresh_name("premade"), partitions, &[("cleanup.policy", "compact")]).name;
    let with = |markers: String| writing_once(&broker.plain, &topic.name, &format!(", markers: {markers}"));
    fails(dir.job(&with(markers(3))).run(), &["has 3 partitions", "needs 8 partitions", "`markers`"]);
    dir.job(&with(markers(8))).run().exits(0);
    assert_eq!(topic.values().len(), 1);
}

#[test]
fn a_sink_that_writes_exactly_once_and_brokers_that_cannot_be_reached() {
    let dir = Dir::new();
    dir.json_lines("in.jsonl", [&serde_json::json!({ "at": 0, "text": "a" })]);
    fails(dir.job(&writing_once("127.0.0.1:1", "t", "")).run(), &["`127.0.0.1:1`", "can't be reached", "check `brokers`"]);
}

#[test]
fn a_pattern_leaves_internal_topics_out() {
    let Some(broker) = broker() else { return };
    let name = crate::topic::fresh_name("internal");
    let (own, internal) = (Topic::with(broker, &name, 1, &[]), Topic::with(broker, &format!("__{name}"), 1, &[]));
    own.fill([(0, "k", "own".to_owned(), 0)]);
    internal.fill([(0, "k", "internal".to_owned(), 0)]);
    let read = |pattern: String| reading(&broker.plain, &format!("{{ pattern: '{pattern}' }}"), "").exits(0).stdout;
    assert_eq!(read(format!(".*{name}")), "{\"line\":\"own\"}\n");
    assert_eq!(read(format!("__{name}")), "{\"line\":\"internal\"}\n");
}
