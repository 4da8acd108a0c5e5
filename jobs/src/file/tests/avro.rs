//! `format: { avro: ... }`.

use super::{as_kind, job, messages};
use crate::connect::{AvroSink, AvroSource, KafkaSink};

/// A job from topic to topic, with these formats.
fn text(source: &str, sink: &str) -> String {
    let kafka = "connector: kafka, brokers: b, topic: t";
    format!("name: t\nsources:\n  in: {{ {kafka}, format: {source} }}\nsinks:\n  out: {{ from: in, {kafka}, format: {sink} }}\n")
}

#[track_caller]
fn wrong(source: &str, sink: &str) -> Vec<String> {
    messages(&text(source, sink)).iter().map(|m| m.splitn(5, ':').last().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn schemas_from_a_registry_or_a_file() {
    let source = |avro: &str| {
        let job = job(&text(&format!("{{ avro: {avro} }}"), "json"));
        as_kind::<AvroSource>(&*job.sources[0].lines().unwrap().format).clone()
    };
    let AvroSource::Registry(registry) = source("{ registry: 'http://r:8081', user: ann, password: x }") else { panic!() };
    assert_eq!((registry.url.as_str(), registry.login), ("http://r:8081", Some(("ann".into(), "x".into()))));
    assert!(matches!(source("{ schema_file: a.avsc }"), AvroSource::File(path) if path.value == "a.avsc"));

    let sink = |avro: &str| {
        let job = job(&text("json", &format!("{{ avro: {avro} }}")));
        as_kind::<KafkaSink>(&*job.sinks[0].connector);
        as_kind::<AvroSink>(&*job.sinks[0].format).clone()
    };
    assert!(matches!(sink("{ schema_file: a.avsc }"), AvroSink::File(_)));
    let AvroSink::Registered { file: None, subject: None, register: true, .. } = sink("{ registry: 'https://r/x' }") else { panic!() };
    let avro = sink("{ registry: 'http://r', schema_file: a.avsc, subject: s, register: false }");
    let AvroSink::Registered { file: Some(_), subject: Some(subject), register: false, .. } = avro else { panic!() };
    assert_eq!(subject, "s");
}

#[test]
fn mistakes() {
    let of_source = |avro: &str| wrong(&format!("{{ avro: {avro} }}"), "json");
    let of_sink = |avro: &str| wrong("json", &format!("{{ avro: {avro} }}"));
    let bare = "avro has to say where its schemas are: `format: { avro: { registry: 'http://...' } }`, or `schema_file`";
    assert_eq!(wrong("avro", "avro"), [bare, bare]);
    assert_eq!(of_source("{}"), ["`avro` of source `in` has neither a `registry` nor a `schema_file`: nobody could read what it says"]);
    assert_eq!(of_sink("{}"), ["`avro` of sink `out` has neither a `registry` nor a `schema_file`: nobody could read what it says"]);
    assert_eq!(
        of_source("{ registry: 'http://r', schema_file: x }"),
        ["messages name their schemas in the `registry`, and a `schema_file` is of messages that don't: one of the two"]
    );
    assert_eq!(of_source("{ registry: 'r:8081' }"), ["the URL of a registry begins with http:// or https://"]);
    assert_eq!(of_source("{ registry: 'http://a:b@r' }"), ["a URL is shown in messages: give `user` and `password` beside it"]);
    assert_eq!(of_source("{ registry: 'http://r', password: x }"), ["a `password` is of a `user`"]);
    assert_eq!(of_source("{ schema_file: x, user: y }"), ["`user` and `password` belong to a `registry`"]);
    assert_eq!(of_sink("{ schema_file: x, register: true }"), ["`register` belongs to a `registry`"]);
    assert_eq!(
        of_source("{ registri: 'http://r', schema_file: x }"),
        ["unknown key `registri` in `avro` of source `in`: did you mean `registry`?"]
    );
    assert_eq!(wrong("{ avro: { schema_file: x }, regex: x }", "json"), ["`format` is one of `regex` and `avro`"]);
    let of_file = "name: t\nsources: { in: { connector: stdin, format: { avro: { schema_file: x } } } }
sinks: { out: { from: in, connector: stdout, format: { avro: { schema_file: x } } } }\n";
    assert_eq!(
        messages(of_file),
        [
            "error: job.yaml:2:46: avro is read from Kafka only: its messages have no ends that a file could be read by",
            "error: job.yaml:3:56: avro is written to Kafka only: its messages have no ends that a file could be read by"
        ]
    );
}
