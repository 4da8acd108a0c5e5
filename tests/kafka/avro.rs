//! Avro with a schema registry: what `apache-avro` writes is read, and what is written it reads.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Tree;
use apache_avro::writer::datum::GenericDatumWriter;
use rdkafka::message::Message;
use serde_json::{Value, json};

use crate::broker::{Broker, broker};
use crate::harness::registry::Registry;
use crate::harness::{Dir, Tidegate, sorted};
use crate::topic::Topic;

/// The payments of the first version, and of a later one that says more.
fn versions() -> [Value; 2] {
    let ts = json!({ "name": "ts", "type": { "type": "long", "logicalType": "timestamp-millis" } });
    let amount = json!({ "name": "amount", "type": { "type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2 } });
    let user = json!({ "name": "user", "type": "string" });
    let place = json!({ "type": "record", "name": "place", "fields": [{ "name": "country", "type": ["null", "string"] }] });
    let record = |fields: Value| json!({ "type": "record", "name": "payment", "fields": fields });
    [record(json!([user, amount, ts])), record(json!([{ "name": "at", "type": ["null", place] }, ts, amount, user]))]
}

fn framed(id: u32, schema: &Value, record: Vec<(String, Tree)>) -> Vec<u8> {
    let schema = Schema::parse_str(&schema.to_string()).expect("a schema");
    let octets =
        GenericDatumWriter::builder(&schema).build().expect("a writer").write_value_to_vec(Tree::Record(record)).expect("a record");
    [&[0], id.to_be_bytes().as_slice(), &octets].concat()
}

/// The n-th payment: the user, the amount in hundredths, the time and, of every other one, the country.
fn payment(n: i32) -> (String, i32, i64, Option<&'static str>) {
    (format!("u{}", n % 7), n * 10 + 5, 1_793_491_200_000 + i64::from(n) * 1000, (n % 2 == 1 && n % 3 > 0).then_some("DE"))
}

/// Fills a topic with payments of both versions.
fn fill(topic: &Topic, registry: &Registry, count: i32) {
    let versions = versions();
    let ids = versions.clone().map(|schema| registry.add(&format!("{}-value", topic.name), &schema));
    let text = |text: &str| Tree::String(text.to_owned());
    topic.fill_octets((0..count).map(|n| {
        let (user, amount, ts, country) = payment(n);
        let user = ("user".to_owned(), text(&user));
        let amount = ("amount".to_owned(), Tree::Decimal(amount.to_be_bytes().into()));
        let ts = ("ts".to_owned(), Tree::TimestampMillis(ts));
        if n % 2 == 0 {
            return framed(ids[0], &versions[0], vec![user, amount, ts]);
        }
        let at = match country {
            Some(country) => Tree::Union(1, Box::new(Tree::Record(vec![("country".to_owned(), Tree::Union(1, Box::new(text(country))))]))),
            None => Tree::Union(0, Box::new(Tree::Null)),
        };
        framed(ids[1], &versions[1], vec![("at".to_owned(), at), ts, amount, user])
    }));
}

/// What is in a topic, by the schemas that the registry has for it.
fn read(topic: &Topic, registry: &Registry) -> Vec<BTreeMap<String, Tree>> {
    let schemas = registry.schemas(&format!("{}-value", topic.name));
    let [schema] = schemas.as_slice() else { panic!("one schema, not {schemas:?}") };
    let schema = Schema::parse_str(&schema.to_string()).expect("a schema");
    let messages = topic.messages();
    let ids: Vec<&[u8]> = messages.iter().map(|m| &m.payload().expect("a value")[..5]).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id[0] == 0), "all begin with the id of that schema");
    let reader = GenericDatumReader::builder(&schema).build().expect("a reader");
    let record = |mut octets: &[u8]| match reader.read_value(&mut octets).expect("a record") {
        Tree::Record(fields) if octets.is_empty() => fields.into_iter().collect(),
        other => panic!("{other:?} and {} octets", octets.len()),
    };
    messages.iter().map(|m| record(&m.payload().expect("a value")[5..])).collect()
}

fn some(value: Tree) -> Tree {
    Tree::Union(1, Box::new(value))
}

fn run(dir: &Dir, yaml: &str, workers: &str) -> Tidegate {
    dir.job(yaml).args(["-p", workers])
}

/// How many payments there are.
const PAYMENTS: i32 = 200;

/// Those of more than a hundred, which the job below writes.
fn large() -> impl Iterator<Item = i32> {
    (0..PAYMENTS).filter(|n| n * 10 + 5 > 10_000)
}

/// A job that writes large payments to a topic, in Avro, and the sums of all to a file.
fn summing(broker: &Broker, topic: &Topic, out: &Topic, access: &str) -> String {
    format!(
        "name: t
sources:
  payments:
    connector: kafka
    brokers: '{0}'
    topic: {1}
    stop: latest
    format: {{ avro: {{ {access} }} }}
    schema: {{ user: string, amount: double, at: map, ts: timestamp }}
    metadata: {{ offset: offset }}
    event_time: {{ field: ts }}
streams:
  large:
    from: payments
    where: 'amount > 100.0'
    select: {{ user: user, amount: amount, ts: ts, n: offset, country: 'at == null ? \"none\" : string(at.country)' }}
  sums: {{ from: payments, key: user, window: {{ tumbling: 1m }}, aggregate: {{ total: sum(amount) }} }}
sinks:
  large: {{ from: large, connector: kafka, brokers: '{0}', topic: {2}, key: user, format: {{ avro: {{ {access} }} }} }}
  sums: {{ from: sums, connector: file, path: sums.jsonl }}
",
        broker.plain, topic.name, out.name
    )
}

/// The n-th payment as that job writes it.
fn written(n: i32) -> BTreeMap<String, Tree> {
    let (user, amount, ts, country) = payment(n);
    [
        ("user", Tree::String(user)),
        ("amount", Tree::Double(f64::from(amount) / 100.0)),
        ("ts", Tree::TimestampMicros(ts * 1000)),
        ("n", Tree::Long(n.into())),
        ("country", Tree::String(country.unwrap_or("none").to_owned())),
    ]
    .map(|(name, value)| (name.to_owned(), some(value)))
    .into()
}

#[test]
fn from_avro_to_avro_and_back() {
    let Some(broker) = broker() else { return };
    let (topic, out) = (Topic::new(broker, 1), Topic::new(broker, 2));
    let registry = Registry::start();
    registry.authorize("Basic YW5uOnNlY3JldA==");
    fill(&topic, &registry, PAYMENTS);
    let access = format!("registry: '{}', user: ann", registry.url());
    let dir = Dir::new();
    let password = |name: &str| format!("{name}.format.avro.password=secret");
    let sets = ["--set".to_owned(), password("sources.payments"), "--set".to_owned(), password("sinks.large")];
    run(&dir, &summing(broker, &topic, &out, &access), "2").args(&sets).run().exits(0);

    let by_number = |record: &BTreeMap<String, Tree>| format!("{:?}", record["n"]);
    let (mut found, mut wanted) = (read(&out, &registry), large().map(written).collect::<Vec<_>>());
    found.sort_by_key(by_number);
    wanted.sort_by_key(by_number);
    assert_eq!(found, wanted);
    let asked = registry.asked();
    for path in ["/schemas/ids/1", "/schemas/ids/2"] {
        assert_eq!(asked.iter().filter(|asked| *asked == path).count(), 1, "{path} in {asked:?}");
    }
    // All amounts went into the sums, those of the first version too.
    let total: f64 = dir.values("sums.jsonl").iter().map(|v| v["total"].as_f64().expect("a total")).sum();
    assert!((total - f64::from((0..PAYMENTS).map(|n| payment(n).1).sum::<i32>()) / 100.0).abs() < 1e-6);

    // Without a schema, all fields come as they are.
    let again = format!(
        "name: t
sources: {{ in: {{ connector: kafka, brokers: '{}', topic: {}, stop: latest, format: {{ avro: {{ {access}, password: secret }} }} }} }}
sinks: {{ out: {{ from: in, connector: stdout }} }}
",
        broker.plain, out.name
    );
    let values = run(&dir, &again, "1").run().exits(0).values();
    let wanted = large().map(|n| {
        let (user, amount, ts, country) = payment(n);
        json!({ "user": user, "amount": f64::from(amount) / 100.0, "ts": ts, "n": n, "country": country.unwrap_or("none") })
    });
    assert_eq!(sorted(values), sorted(wanted.collect()));
}

/// One schema for all messages, which no registry has to know; what is no record is kept as a dead letter.
#[test]
fn plain_avro_by_the_schema_of_a_file() {
    let Some(broker) = broker() else { return };
    let (topic, out) = (Topic::new(broker, 1), Topic::new(broker, 1));
    let dir = Dir::new();
    let schema = json!({ "type": "record", "name": "r", "fields": [
        { "name": "n", "type": "int" }, { "name": "color", "type": { "type": "enum", "name": "color", "symbols": ["red", "blue"] } },
        { "name": "tags", "type": { "type": "array", "items": "string" } },
    ] });
    dir.file("r.avsc", schema.to_string());
    let parsed = Schema::parse_str(&schema.to_string()).expect("a schema");
    let record = |n: i32| {
        let color = if n % 2 == 0 { Tree::Enum(0, "red".into()) } else { Tree::Enum(1, "blue".into()) };
        let tags = (0..n % 3).map(|tag| Tree::String(format!("t{tag}"))).collect();
        Tree::Record(vec![("n".into(), Tree::Int(n)), ("color".into(), color), ("tags".into(), Tree::Array(tags))])
    };
    let writer = GenericDatumWriter::builder(&parsed).build().expect("a writer");
    let octets = (0..40).map(|n| if n == 20 { b"\x01\x05".to_vec() } else { writer.write_value_to_vec(record(n)).expect("a record") });
    // 10 ends a line of text, and must not be taken for one here: n = 5 is that octet, and so are other parts.
    topic.fill_octets(octets.clone());
    let job = format!(
        "name: t
sources: {{ in: {{ connector: kafka, brokers: '{0}', topic: {1}, stop: latest, format: {{ avro: {{ schema_file: r.avsc }} }}, dead_letter: bad }} }}
streams: {{ some: {{ from: in, where: 'n < 100 && color != \"green\"' }} }}
sinks:
  out: {{ from: some, connector: kafka, brokers: '{0}', topic: {2}, format: {{ avro: {{ schema_file: r.avsc }} }} }}
  bad: {{ from: bad, connector: stdout }}
",
        broker.plain, topic.name, out.name
    );
    let bad = run(&dir, &job, "1").run().exits(0).values();
    assert_eq!(bad.len(), 1);
    assert_eq!((&bad[0]["line"], &bad[0]["error"]), (&json!(20), &json!("field `color`: the enum has no symbol -3")));
    let found: Vec<Vec<u8>> = out.messages().iter().map(|m| m.payload().expect("a value").to_vec()).collect();
    assert_eq!(found, octets.enumerate().filter(|(n, _)| *n != 20).map(|(_, octets)| octets).collect::<Vec<_>>());
}

/// A message that can't be understood for want of the registry is not a bad one: nothing is passed over.
#[test]
fn without_the_registry_the_job_fails() {
    let Some(broker) = broker() else { return };
    let topic = Topic::new(broker, 1);
    let registry = Registry::start();
    fill(&topic, &registry, 10);
    let job = |more: &str, sink: &str| {
        format!(
            "name: t
sources: {{ in: {{ connector: kafka, brokers: '{}', topic: {}, stop: latest, format: {{ avro: {{ registry: '{}' }} }}, {more} }} }}
sinks: {{ out: {{ from: in, {sink} }} }}
",
            broker.plain,
            topic.name,
            registry.url()
        )
    };
    let dir = Dir::new();
    (0..6).for_each(|_| registry.trouble(500, "{}"));
    let url = format!("{}/schemas/ids/1", registry.url());
    let outcome = run(&dir, &job("on_bad_record: skip", "connector: stdout"), "1").run().exits(1).stdout_is("");
    outcome.stderr_has(&url).stderr_has("500 Internal Server Error");
    // Nothing at this URL, says whoever stands there. That is not the registry's word on a schema.
    for body in ["<html>Not Found</html>", "{ \"error_code\": 404, \"message\": \"HTTP 404 Not Found\" }"] {
        registry.trouble(404, body);
        let outcome = run(&dir, &job("on_bad_record: skip", "connector: stdout"), "1").run().exits(1).stdout_is("");
        outcome.stderr_has(&url).stderr_has("404 Not Found");
    }
    registry.trouble(404, "{ \"error_code\": 40403, \"message\": \"Schema not found\" }");
    let known = run(&dir, &job("on_bad_record: skip", "connector: stdout"), "1").run().exits(0);
    assert!(known.account()["in"].part("bad") > 0);

    let sink = format!(
        "connector: kafka, brokers: '{}', topic: {}, format: {{ avro: {{ registry: '{}', subject: other }} }}",
        broker.plain,
        topic.name,
        registry.url()
    );
    // Nobody knows the fields of these records before they come.
    run(&dir, &job("on_bad_record: skip", &sink), "1").run().exits(2).stderr_has("the fields of these records are not known");
    registry.trouble(409, "{ \"message\": \"reader field amount is missing\" }");
    let outcome = run(&dir, &job("schema: { user: string, amount: double }", &sink), "1").run().exits(1);
    outcome.stderr_has("not compatible with those that the subject `other` has").stderr_has("reader field amount is missing");
    assert_eq!(topic.values().len(), 10, "nothing was written");
}
