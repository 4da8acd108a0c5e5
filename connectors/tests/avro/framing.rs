//! Messages that begin with the id of their schema, and the registry that knows it.

use std::error::Error as _;

use serde_json::{Value as Json, json};
use tidegate_connectors::message::{
    AvroDecoder, AvroEncoder, AvroFormat, DecodeError, MessageDecoder, MessageEncoder, MessageFormat, Registry as Client,
};
use tidegate_rows::format::{AvroSchema, Layout, RecordWriter};
use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_runtime::{Domain, Error};

use super::record;
use super::registry::Registry;

fn client(registry: &Registry) -> Client {
    Client::new(registry.url(), None).unwrap()
}

fn schema(fields: Json) -> Json {
    json!({ "type": "record", "name": "r", "fields": fields })
}

fn ints(names: &[&str]) -> Json {
    schema(names.iter().map(|name| json!({ "name": name, "type": "int" })).collect())
}

fn format(registry: Client) -> AvroFormat {
    AvroFormat::registered(Layout::untyped(["a", "b"]), registry)
}

/// A message of small numbers.
fn message(id: u32, values: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), &values.iter().map(|v| v * 2).collect::<Vec<_>>()].concat()
}

fn row(values: &[i64]) -> Row {
    values.iter().map(|v| if *v < 0 { Value::Null } else { Value::Int(*v) }).collect()
}

fn bad(decoder: &mut AvroDecoder, message: &[u8]) -> String {
    record(decoder.decode_message(message)).unwrap_err()
}

fn failed(decoder: &mut AvroDecoder, message: &[u8]) -> Error {
    match decoder.decode_message(message) {
        Err(DecodeError::Failed(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Messages of several schemas, mixed; each is asked for once, whatever the number of decoders.
#[test]
fn each_schema_is_asked_for_once() {
    let registry = Registry::start();
    let (first, second) = (registry.add("t-value", &ints(&["a"])), registry.add("t-value", &ints(&["c", "b", "a"])));
    let format = format(client(&registry));
    for _ in 0..3 {
        let mut decoder = format.message_decoder();
        for _ in 0..3 {
            assert_eq!(record(decoder.decode_message(&message(first, &[1]))).unwrap(), row(&[1, -1]));
            assert_eq!(record(decoder.decode_message(&message(second, &[3, 2, 1]))).unwrap(), row(&[1, 2]));
        }
    }
    assert_eq!(registry.asked(), ["/schemas/ids/1", "/schemas/ids/2"]);
}

#[test]
fn messages_that_are_none_of_the_registry_are_bad() {
    let registry = Registry::start();
    let url = registry.url().to_owned();
    let protobuf = registry.add_answer("p", json!({ "schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF" }));
    let broken = registry.add_answer("b", json!({ "schema": "{}" }));
    let number = registry.add("n", &json!("int"));
    let format = format(client(&registry));
    let mut decoder = format.message_decoder();
    for message in [b"{\"a\": 1}".as_slice(), b"", &[0, 0, 0, 1]] {
        assert_eq!(
            bad(&mut decoder, message),
            "the message does not begin with a zero and the id of a schema, as those of a schema registry do"
        );
    }
    assert_eq!(
        bad(&mut decoder, &message(protobuf, &[1])),
        format!("schema {protobuf} of the registry {url}: it is of type PROTOBUF, not AVRO")
    );
    assert!(bad(&mut decoder, &message(broken, &[1])).starts_with(&format!("schema {broken} of the registry {url}: ")));
    assert_eq!(
        bad(&mut decoder, &message(number, &[1])),
        format!("schema {number} of the registry {url}: the schema is of an int (32 bits): only records have fields")
    );
    // What is missing is not asked for again at once, message by message.
    let asked = registry.asked().len();
    for _ in 0..3 {
        assert_eq!(bad(&mut decoder, &message(77, &[1])), format!("the registry {url} has no schema 77"));
    }
    assert_eq!(registry.asked().len(), asked + 1);
}

#[test]
fn schemas_that_refer_to_others() {
    let registry = Registry::start();
    registry.add("id", &json!({ "type": "fixed", "name": "ids.id", "size": 2 }));
    let pair =
        json!({ "type": "record", "name": "pairs.pair", "fields": [{ "name": "x", "type": "ids.id" }, { "name": "y", "type": "ids.id" }] });
    let id = json!({ "name": "ids.id", "subject": "id", "version": 1 });
    registry.add_answer("pair", json!({ "schema": pair.to_string(), "references": [id] }));
    let whole = schema(json!([{ "name": "a", "type": "pairs.pair" }, { "name": "b", "type": ["null", "ids.id"] }]));
    let of_pair = json!({ "name": "pairs.pair", "subject": "pair", "version": 1 });
    let whole = registry.add_answer("t-value", json!({ "schema": whole.to_string(), "references": [of_pair, id] }));
    let mut decoder = format(client(&registry)).message_decoder();
    let octets = [&message(whole, &[]), [1, 2, 3, 4, 2, 5, 6].as_slice()].concat();
    let bytes = |octets: [u8; 2]| Value::Bytes(octets.as_slice().into());
    let pair = Value::map([(Value::string("x"), bytes([1, 2])), (Value::string("y"), bytes([3, 4]))]);
    assert_eq!(record(decoder.decode_message(&octets)).unwrap(), Row::from_iter([pair, bytes([5, 6])]));
}

/// Trouble of the registry's is waited out; what lasts is no fault of the messages, and ends the job.
#[test]
fn a_registry_in_trouble_is_asked_again() {
    let registry = Registry::start();
    let id = registry.add("t-value", &ints(&["a"]));
    registry.trouble(500, r#"{ "message": "starting" }"#);
    registry.trouble(429, "");
    let format = format(client(&registry));
    assert_eq!(record(format.message_decoder().decode_message(&message(id, &[1]))).unwrap(), row(&[1, -1]));

    let other = registry.add("t-value", &ints(&["b"]));
    (0..6).for_each(|_| registry.trouble(503, r#"{ "message": "no leader" }"#));
    let error = failed(&mut format.message_decoder(), &message(other, &[1]));
    assert_eq!(error.domain(), Domain::External, "a restart may help");
    let what = format!("the schema registry can't answer {}/schemas/ids/{other}", registry.url());
    assert_eq!(error.to_string(), what);
    assert_eq!(error.source().unwrap().to_string(), "503 Service Unavailable: no leader");
    // It was not remembered.
    assert_eq!(record(format.message_decoder().decode_message(&message(other, &[1]))).unwrap(), row(&[-1, 1]));
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = Client::new(&format!("http://{gone}/registry/"), None).unwrap();
    let error = failed(&mut format(registry).message_decoder(), &message(7, &[1]));
    assert_eq!(error.domain(), Domain::External);
    let what = format!("the schema registry can't be asked for http://{gone}/registry/schemas/ids/7");
    assert!(error.to_string().starts_with(&what), "{error}");
}

#[test]
fn a_registry_that_asks_for_a_password() {
    let registry = Registry::start();
    let id = registry.add("t-value", &ints(&["a"]));
    // Of "ann:secret".
    registry.authorize("Basic YW5uOnNlY3JldA==");
    let with = Client::new(registry.url(), Some(("ann".into(), "secret".into()))).unwrap();
    assert!(!format!("{with:?}").contains("secret"));
    assert_eq!(record(format(with).message_decoder().decode_message(&message(id, &[1]))).unwrap(), row(&[1, -1]));
    let error = failed(&mut format(client(&registry)).message_decoder(), &message(id, &[1]));
    assert_eq!(error.domain(), Domain::User);
    let what = format!("the schema registry refuses to answer: {}/schemas/ids/{id} answers 401 Unauthorized: Unauthorized", registry.url());
    assert_eq!(error.to_string(), what);
    for (url, what) in [
        ("ftp://h", "begins with http"),
        ("http://ann:x@h", "`user` and `password`"),
        ("registry:8081", "begins with http"),
        ("h", "not a URL"),
    ] {
        assert!(Client::new(url, None).unwrap_err().contains(what), "{url}");
    }
}

fn rows() -> Schema {
    Schema::new([("a", Type::Int), ("b", Type::String)])
}

fn encoder(registry: &Registry, subject: &str, register: bool) -> AvroEncoder {
    let writer = RecordWriter::new(AvroSchema::of_rows("topic", &rows()).unwrap(), &rows()).unwrap();
    AvroEncoder::framed(writer, client(registry).subject(subject, register))
}

fn open(encoder: &AvroEncoder) -> Result<(), Error> {
    MessageEncoder::<Row>::open(encoder)
}

#[test]
fn what_is_written_has_the_id_that_its_schema_got() {
    let registry = Registry::start();
    registry.add("other", &ints(&["x"]));
    let encoder = encoder(&registry, "a topic/value", true);
    // Every worker opens its own.
    (0..3).for_each(|_| open(&encoder.clone()).unwrap());
    assert_eq!(registry.asked(), ["/subjects/a%20topic%2Fvalue/versions"]);
    let mut out = Vec::new();
    encoder.encode_message(&Row::from_iter([Value::Int(5), Value::Null]), &mut out).unwrap();
    assert_eq!(out, [0, 0, 0, 0, 2, 2, 10, 0]);
    assert_eq!(
        registry.schemas("a%20topic%2Fvalue"),
        [json!({ "type": "record", "name": "topic", "fields": [
            { "name": "a", "type": ["null", "long"], "default": null },
            { "name": "b", "type": ["null", "string"], "default": null },
        ] })]
    );
    let mut decoder = format(client(&registry)).message_decoder();
    assert_eq!(record(decoder.decode_message(&out)).unwrap(), Row::from_iter([Value::Int(5), Value::Null]));
}

#[test]
fn a_schema_that_must_not_be_registered_has_to_be_there() {
    let registry = Registry::start();
    let error = open(&encoder(&registry, "s", false)).unwrap_err();
    assert_eq!(error.domain(), Domain::User);
    let url = registry.url();
    let what = format!(
        "the schema of this sink is not registered under the subject `s`: {url}/subjects/s answers 404 Not Found: Schema not found"
    );
    assert_eq!(error.to_string(), what);
    open(&encoder(&registry, "s", true)).unwrap();
    open(&encoder(&registry, "s", false)).unwrap();
    assert_eq!(registry.schemas("s").len(), 1);
}

#[test]
fn a_schema_that_is_refused() {
    let registry = Registry::start();
    let url = registry.url().to_owned();
    let message = "Schema being registered is incompatible with an earlier schema for subject \"s\"";
    for (status, body, what) in [
        (
            409,
            json!({ "error_code": 409, "message": message }).to_string(),
            format!(
                "the schema of this sink is not compatible with those that the subject `s` has: {url}/subjects/s/versions answers 409 Conflict: {message}"
            ),
        ),
        (
            422,
            "{}".to_owned(),
            format!("the schema of this sink can't be registered: {url}/subjects/s/versions answers 422 Unprocessable Entity"),
        ),
    ] {
        registry.trouble(status, &body);
        let error = open(&encoder(&registry, "s", true)).unwrap_err();
        assert_eq!((error.domain(), error.to_string()), (Domain::User, what));
    }
}
