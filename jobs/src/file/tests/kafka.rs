//! `connector: kafka`: the model, and the exact messages.

use tidegate_connectors::kafka::{Metadata, Start, Stop};

use super::{as_kind, job, messages};
use crate::connect::{KafkaSink, KafkaSource, KafkaTopics};
use crate::file::JobFile;

/// A job with these keys in its Kafka source and sink.
fn text(source: &str, sink: &str) -> String {
    format!(
        "name: t\nsources:\n  in: {{ connector: kafka, {source} }}\nsinks:\n  out: {{ from: in, connector: kafka, brokers: b:9092, topic: o{sink} }}\n"
    )
}

fn source(job: &JobFile) -> &KafkaSource {
    as_kind(&*job.sources[0].connector)
}

fn sink(job: &JobFile) -> &KafkaSink {
    as_kind(&*job.sinks[0].connector)
}

/// The messages without their locations.
fn wrong(source: &str, sink: &str) -> Vec<String> {
    let cut = |m: String| m.splitn(5, ':').nth(4).map_or(m.clone(), |m| m.trim().to_owned());
    messages(&text(source, sink)).into_iter().map(cut).collect()
}

const IN: &str = "brokers: b:9092, topic: t";

#[test]
fn a_topic_by_its_name_is_enough() {
    let job = job(&text(IN, ""));
    let kafka = source(&job);
    assert_eq!((kafka.cluster.brokers.as_str(), kafka.topic.words().as_str()), ("b:9092", "t"));
    assert_eq!((&kafka.start, &kafka.stop, &kafka.group, kafka.uncommitted), (&Start::Earliest, &None, &None, false));
    assert_eq!(kafka.discover.unwrap().as_secs(), 30);
    assert_eq!((sink(&job).topic.as_str(), &sink(&job).key), ("o", &None));
}

#[test]
fn a_stop_before_the_start_is_a_mistake() {
    for (keys, why) in [
        ("start: 2026-02-01T00:00:00Z, stop: 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z is before 2026-02-01T00:00:00Z"),
        ("start: latest, stop: 2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z is over, and `latest` is now"),
        ("start: { 0: 5, 1: 7 }, stop: { 0: 9, 1: 6 }", "partition 1 ends at offset 6 and begins at 7"),
    ] {
        let expected = format!("`stop` lies before `start`: {why}, so there is nothing to read");
        assert_eq!(wrong(&format!("{IN}, {keys}"), ""), [expected], "{keys}");
    }
    for keys in ["start: 2026-01-01T00:00:00Z, stop: 2026-01-01T00:00:00Z", "start: { 0: 5 }, stop: { 1: 1 }", "stop: 2020-01-01T00:00:00Z"]
    {
        assert_eq!(wrong(&format!("{IN}, {keys}"), ""), Vec::<String>::new(), "{keys}");
    }
}

#[test]
fn all_keys() {
    let job = job(&text(
        "brokers: [a:1, 'b:2'], topic: [t, u], start: 2026-11-01T00:00:00Z, stop: latest, group: g, isolation: read_uncommitted, discover: none,
          metadata: { user: key, when: timestamp }, options: { fetch.min.bytes: 1, security.protocol: sasl_ssl }, schema: { n: int }",
        ", key: '{user}-{n}', timestamp: when, headers: { h: user, i: 'text {n}' }, options: { compression.type: zstd }",
    ));
    let kafka = source(&job);
    assert_eq!((kafka.cluster.brokers.as_str(), kafka.topic.words().as_str()), ("a:1,b:2", "t, u"));
    assert_eq!((&kafka.start, &kafka.stop), (&Start::Timestamp(1_793_491_200_000), &Some(Stop::Latest)));
    assert_eq!((kafka.group.as_ref().unwrap().as_str(), kafka.uncommitted, kafka.discover), ("g", true, None));
    assert_eq!(
        kafka.metadata.iter().map(|(n, m)| (n.as_str(), *m)).collect::<Vec<_>>(),
        [("user", Metadata::Key), ("when", Metadata::Timestamp)]
    );
    assert_eq!(
        kafka.cluster.options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(),
        [("fetch.min.bytes", "1"), ("security.protocol", "sasl_ssl")]
    );
    assert_eq!(sink(&job).headers.len(), 2);
    assert_eq!(sink(&job).timestamp.as_ref().unwrap().as_str(), "when");
}

#[test]
fn places_and_patterns() {
    let at = |keys: &str| {
        let job = job(&text(&format!("brokers: b, topic: t, {keys}"), ""));
        let kafka = source(&job);
        (kafka.start.clone(), kafka.stop.clone())
    };
    assert_eq!(
        at("start: { 0: 5, 2: 7 }, stop: { 1: 9 }"),
        (Start::Offsets([(0, 5), (2, 7)].into()), Some(Stop::Offsets([(1, 9)].into())))
    );
    assert_eq!(at("start: committed, group: g"), (Start::Committed, None));
    assert_eq!(at("start: latest, stop: 1970-01-01T00:00:01Z"), (Start::Latest, Some(Stop::Timestamp(1000))));
    let job = job(&text("brokers: b, topic: { pattern: 'auth-.*' }", ""));
    assert!(matches!(&source(&job).topic, KafkaTopics::Pattern(pattern) if pattern.value == "auth-.*"));
}

#[test]
fn mistakes() {
    assert_eq!(wrong("brokres: b", ""), ["source `in` has no `topic`", "unknown key `brokres` in source `in`: did you mean `brokers`?"]);
    assert_eq!(wrong(&format!("{IN}, start: committed"), ""), ["`start: committed` needs a `group`, whose offsets it begins at"]);
    assert_eq!(
        wrong(&format!("{IN}, start: yesterday"), ""),
        [
            "expected `earliest`, `latest`, `committed`, a timestamp such as `2026-11-01T00:00:00Z` or a mapping from partitions to offsets, found \
          `yesterday`"
        ]
    );
    assert_eq!(
        wrong(&format!("{IN}, stop: {{ a: 1, 1: b }}"), ""),
        ["expected the number of a partition, found `a`", "expected a whole number from 0 up, found `b`"]
    );
    assert_eq!(wrong("brokers: b, topic: [t, u], stop: { 0: 1 }", ""), ["offsets of partitions need a single `topic`"]);
    assert_eq!(wrong("brokers: b, topic: { pattern: 'a(' }", ""), ["not a regular expression: unclosed group"]);
    assert_eq!(
        wrong(&format!("{IN}, options: {{ fetch.min.byte: 1, group.id: g, fetch.min.bytes: x }}"), ""),
        [
            "No such configuration property: \"fetch.min.byte\"",
            "`group.id` can't be set: use `group`",
            "Invalid value for configuration property \"fetch.min.bytes\""
        ]
    );
    assert_eq!(
        wrong(IN, ", options: { transactional.id: x }"),
        ["`transactional.id` can't be set: transactions are the sink's own business"]
    );
    assert_eq!(
        wrong(&format!("{IN}, format: csv"), ""),
        ["source `in` has no `schema`: without a header line nothing else names the fields"]
    );
    assert_eq!(
        wrong(&format!("{IN}, format: csv, header: true, schema: {{ n: int }}"), ""),
        ["`header` is of files: a message is one line, and no header"]
    );
    assert_eq!(wrong(IN, ", format: csv, header: true"), ["`header` is of files: a message is one line, and no header"]);
    assert_eq!(
        wrong(&format!("{IN}, schema: {{ k: int }}, metadata: {{ k: key, o: ofset }}"), ""),
        [
            "the field `k` is in the schema too",
            "expected `key` or `key_bytes` or `headers` or `timestamp` or `topic` or `partition` or `offset`, found `ofset`: did you mean `offset`?"
        ]
    );
    assert_eq!(
        wrong(&format!("{IN}, stop: latest, discover: 5s"), ""),
        ["`discover` has no effect with `stop`: what is read is settled when the job starts"]
    );
    let found = wrong(IN, ", path: x");
    assert!(matches!(found.as_slice(), [one] if one.starts_with("unknown key `path` in sink `out`; there are `from`, ")), "{found:?}");
}
