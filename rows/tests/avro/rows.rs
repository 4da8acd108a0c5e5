//! Rows: how fields get the types of a job's schema, the schemas that rows have, and what is said when something does not fit.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Tree;
use apache_avro::writer::datum::GenericDatumWriter;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tidegate_rows::format::{AvroSchema, Conversion, Decoded, Layout, RecordReader, RecordWriter, TimeUnit};
use tidegate_rows::{Row, Schema, Type, Value};

use super::decode;

fn parse(fields: Json) -> AvroSchema {
    AvroSchema::parse(&json!({ "type": "record", "name": "r", "fields": fields }).to_string()).unwrap()
}

fn of_type(ty: Json) -> AvroSchema {
    parse(json!([{ "name": "v", "type": ty }]))
}

/// The octets of a record of one field, by `apache-avro`.
fn message(schema: &AvroSchema, tree: Tree) -> Vec<u8> {
    let parsed = apache_avro::Schema::parse_str(schema.text()).unwrap();
    let record = Tree::Record(vec![("v".into(), tree)]);
    GenericDatumWriter::builder(&parsed).build().unwrap().write_value_to_vec(record).unwrap()
}

fn read(schema: &AvroSchema, tree: Tree, as_type: &str) -> Result<Value, String> {
    let layout = Layout::new([("v", Conversion::named(as_type).unwrap())]);
    decode(schema, layout, &message(schema, tree)).map(|row| row.get(0).clone())
}

#[test]
fn values_become_what_the_schema_of_the_job_says() {
    let at = |text: &str| Value::Timestamp(text.parse().unwrap());
    let (millis, date) = (json!({ "type": "long", "logicalType": "timestamp-millis" }), json!({ "type": "int", "logicalType": "date" }));
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 });
    let amount = |v: i32| Tree::Decimal(v.to_be_bytes().into());
    for (ty, tree, as_type, value) in [
        (json!("int"), Tree::Int(3), "double", Value::Double(3.0)),
        (json!("double"), Tree::Double(3.0), "int", Value::Int(3)),
        (json!("long"), Tree::Long(1500), "timestamp", at("1970-01-01T00:00:01.5Z")),
        (json!("long"), Tree::Long(3), "timestamp_s", at("1970-01-01T00:00:03Z")),
        (json!("long"), Tree::Long(250), "duration", Value::Duration(SignedDuration::from_millis(250))),
        (json!("string"), Tree::String("2024-02-29".into()), "any", Value::string("2024-02-29")),
        (json!("string"), Tree::String("2024-02-29T12:00:00Z".into()), "timestamp", at("2024-02-29T12:00:00Z")),
        (json!("string"), Tree::String("1h".into()), "duration", Value::Duration(SignedDuration::from_hours(1))),
        (json!("bytes"), Tree::Bytes(b"abc".to_vec()), "string", Value::string("abc")),
        // The unit is that of the schema, whatever the job says.
        (millis.clone(), Tree::TimestampMillis(7), "timestamp_s", at("1970-01-01T00:00:00.007Z")),
        (millis, Tree::TimestampMillis(7), "int", Value::Int(7)),
        (date.clone(), Tree::Date(-1), "timestamp", at("1969-12-31T00:00:00Z")),
        (date, Tree::Date(-1), "int", Value::Int(-1)),
        (decimal.clone(), amount(-1005), "double", Value::Double(-10.05)),
        (decimal.clone(), amount(-1005), "string", Value::string("-10.05")),
        (decimal, amount(-1000), "int", Value::Int(-10)),
        (json!(["null", "string"]), Tree::Union(0, Box::new(Tree::Null)), "int", Value::Null),
    ] {
        assert_eq!(read(&of_type(ty.clone()), tree, as_type), Ok(value), "{ty} as {as_type}");
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 });
    for (ty, tree, as_type, what) in [
        (json!("string"), Tree::String("x".into()), "int", "field `v`: \"x\" is not an int"),
        (json!("boolean"), Tree::Boolean(true), "string", "field `v`: true is not a string"),
        (json!("double"), Tree::Double(0.5), "int", "field `v`: 0.5 is not an int"),
        (json!({ "type": "map", "values": "int" }), Tree::Map([].into()), "list", "field `v`: a map is not a list"),
        (decimal, Tree::Decimal([5].into()), "int", "field `v`: 0.05 is not an int"),
        (json!("bytes"), Tree::Bytes(vec![0xff]), "string", "field `v`: the bytes are not UTF-8 text"),
    ] {
        assert_eq!(read(&of_type(ty.clone()), tree, as_type).unwrap_err(), what, "{ty} as {as_type}");
    }
    let broken = |ty: Json, octets: &[u8]| decode(&of_type(ty), Layout::untyped(["v"]), octets).unwrap_err();
    assert_eq!(broken(json!(["null", "int"]), &[6, 0]), "field `v`: the union has no branch 3");
    assert_eq!(broken(json!("string"), &[10, b'a']), "field `v`: the message ends within a value");
    assert_eq!(broken(json!("string"), &[1]), "field `v`: a length of -1 octets");
    assert_eq!(broken(json!("string"), &[2, 0xff]), "field `v`: a string is not UTF-8 text");
    assert_eq!(broken(json!("int"), &[0xff; 11]), "field `v`: a number is longer than 64 bits");
    assert_eq!(broken(json!("int"), &[0x80, 0x80, 0x80, 0x80, 0x20]), "field `v`: 4294967296 does not fit an int (32 bits, signed)");
    assert_eq!(broken(json!("int"), &[2, 4]), "1 octets are left behind the record: it is of another schema");
    // A few octets that promise very many items, or to go on for ever.
    let nulls = json!({ "type": "array", "items": "null" });
    assert_eq!(broken(nulls, &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0]), "field `v`: an array or map has more items than the message has octets");
    let itself = AvroSchema::parse(r#"{ "type": "record", "name": "r", "fields": [{ "name": "v", "type": "r" }] }"#).unwrap();
    assert_eq!(decode(&itself, Layout::untyped(["v"]), &[]).unwrap_err(), "field `v`: types are nested more than 128 deep");
    assert_eq!(AvroSchema::parse("\"int\"").unwrap_err(), "the schema is of an int (32 bits): only records have fields");
}

/// A list that leads on to itself, and a type that is named twice.
#[test]
fn types_that_are_named() {
    let schema = AvroSchema::parse(
        r#"{ "type": "record", "name": "a.node", "fields": [
            { "name": "id", "type": { "type": "fixed", "name": "id", "size": 2 } },
            { "name": "next", "type": ["null", "node"] },
            { "name": "other", "type": ["null", "a.id"] }
        ] }"#,
    )
    .unwrap();
    let rows = Schema::new([("id", Type::Bytes), ("next", Type::map()), ("other", Type::Bytes)]);
    let id = |n: u8| Value::Bytes([n, n].as_slice().into());
    let next = Value::map([(Value::string("id"), id(2)), (Value::string("next"), Value::Null), (Value::string("other"), id(3))]);
    let row = Row::from_iter([id(1), next, Value::Null]);
    let mut out = Vec::new();
    RecordWriter::new(schema.clone(), &rows).unwrap().write(&row, &mut out).unwrap();
    let layout = Layout::new(schema.fields());
    assert_eq!(layout.schema(), &rows);
    assert_eq!(decode(&schema, layout, &out).unwrap(), row);
}

#[test]
fn event_time_and_watermarks() {
    let schema = parse(json!([{ "name": "ts", "type": ["null", { "type": "long", "logicalType": "timestamp-micros" }] },
        { "name": "w", "type": ["null", "long"] }, { "name": "more", "type": ["null", "string"] }]));
    let layout = Layout::new([("ts", Conversion::Timestamp)]).with_event_time("ts", TimeUnit::Millis).unwrap().with_watermark_field("w");
    let mut reader = RecordReader::new(layout, &schema);
    let writer = RecordWriter::new(schema, &Schema::new([("ts", Type::Any), ("w", Type::Any), ("more", Type::Any)])).unwrap();
    let mut decoded = |values: [Value; 3]| {
        let mut out = Vec::new();
        writer.write(&Row::from_iter(values), &mut out).unwrap();
        reader.read(&out)
    };
    let ts = Value::Timestamp(Timestamp::from_microsecond(1500).unwrap());
    assert!(matches!(decoded([ts, Value::Int(9), Value::Null]), Ok(Decoded::Record { time: Some(1), .. })));
    assert!(matches!(decoded([Value::Null, Value::Int(9), Value::Null]), Ok(Decoded::Watermark(9))));
    assert!(decoded([Value::Null, Value::Int(9), Value::string("x")]).is_err(), "a record without a time");
}

#[test]
fn rows_that_do_not_fit_the_schema() {
    let schema = parse(json!([{ "name": "n", "type": "int" }, { "name": "s", "type": ["null", "string"] }]));
    let wrong = |fields: &[&str]| RecordWriter::new(schema.clone(), &Schema::new(fields.iter().map(|f| (*f, Type::Any)))).unwrap_err();
    assert_eq!(wrong(&["n", "x"]), "the schema has no field `x`, which these records have: leave it out with `select`");
    assert_eq!(wrong(&["s"]), "these records have no field `n`, which the schema has and which must not be null there");

    let writer = RecordWriter::new(schema, Layout::open(["n", "u"]).schema()).unwrap();
    let said = |n: Value, rest: &[(&str, Value)]| {
        let rest = Value::map(rest.iter().map(|(name, value)| (Value::string(name), value.clone())));
        writer.write(&Row::from_iter([rest, n, Value::Absent]), &mut Vec::new())
    };
    assert_eq!(said(Value::Int(1), &[("s", Value::string("x"))]), Ok(()));
    assert_eq!(said(Value::Null, &[]).unwrap_err(), "field `n`: null is not an int (32 bits)");
    assert_eq!(said(Value::Int(1 << 31), &[]).unwrap_err(), "field `n`: 2147483648 is not an int (32 bits)");
    assert_eq!(said(Value::Int(1), &[("s", Value::Bool(true))]).unwrap_err(), "field `s`: true is not null or a string");
    assert_eq!(said(Value::Int(1), &[("t", Value::Bool(true))]).unwrap_err(), "the schema has no field `t`: leave it out with `select`");

    let of = |ty: Json, value: Value| {
        let writer = RecordWriter::new(of_type(ty), &Schema::new([("v", Type::Any)])).unwrap();
        writer.write(&Row::from_iter([value]), &mut Vec::new()).unwrap_err()
    };
    let enumeration = json!({ "type": "enum", "name": "e", "symbols": ["a", "b"] });
    assert_eq!(of(enumeration.clone(), Value::string("c")), "field `v`: \"c\" is not one of the enum a, b");
    assert_eq!(of(json!(["null", enumeration]), Value::string("c")), "field `v`: \"c\" is not one of the enum a, b");
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2 });
    assert_eq!(of(decimal.clone(), Value::Int(100)), "field `v`: 100 is not a decimal(4, 2)");
    assert_eq!(of(decimal, Value::string("1.234")), "field `v`: \"1.234\" is not a decimal(4, 2)");
    assert_eq!(of(json!({ "type": "string", "logicalType": "uuid" }), Value::string("x")), "field `v`: \"x\" is not a uuid");
    let inner = json!({ "type": "record", "name": "i", "fields": [{ "name": "a", "type": "int" }] });
    let map = |name: &str| Value::map([(Value::string(name), Value::Int(1)), (Value::string("a"), Value::Int(1))]);
    assert_eq!(of(inner, map("b")), "field `v`: the record of the schema has no field \"b\"");
}

#[test]
fn rows_whose_types_say_too_little_have_no_schema() {
    let said = |name: &str, ty: Type| AvroSchema::of_rows("t", &Schema::new([(name, ty)])).unwrap_err();
    let remedy = "which says too little for a schema: convert it, as with `int(...)`, or give a `schema_file`";
    assert_eq!(said("a", Type::Any), format!("the field `a` is of type any, {remedy}"));
    assert_eq!(said("a", Type::list()), format!("the field `a` is of type list, {remedy}"));
    assert!(AvroSchema::of_rows("t", &Schema::open()).unwrap_err().starts_with("the fields of these records are not known"));
    assert!(said("a-b", Type::Int).contains("a-b"), "Avro has no such name");
}

fn typed() -> impl Strategy<Value = (Type, Value)> {
    let list = |ty: Type| Type::List(Box::new(ty));
    prop_oneof![
        any::<bool>().prop_map(|v| (Type::Bool, Value::Bool(v))),
        any::<i64>().prop_map(|v| (Type::Int, Value::Int(v))),
        any::<f64>().prop_map(|v| (Type::Double, Value::Double(v))),
        ".{0,30}".prop_map(|v| (Type::String, Value::string(v))),
        proptest::collection::vec(any::<u8>(), 0..30).prop_map(|v| (Type::Bytes, Value::Bytes(v.into()))),
        (-10_i64.pow(17)..10_i64.pow(17)).prop_map(|v| (Type::Timestamp, Value::Timestamp(Timestamp::from_microsecond(v).unwrap()))),
        proptest::collection::vec(proptest::option::of(any::<i64>()), 0..5)
            .prop_map(move |v| (list(Type::Int), Value::list(v.into_iter().map(|v| v.map_or(Value::Null, Value::Int))))),
        proptest::collection::btree_map("[a-z]{1,5}", any::<i64>(), 0..5).prop_map(|v| (
            Type::Map(Box::new(Type::String), Box::new(Type::Int)),
            Value::map(v.into_iter().map(|(k, v)| (Value::string(k), Value::Int(v))))
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Rows come back, through the schema that they have; and `apache-avro` reads them by it.
    #[test]
    fn rows_come_back(fields in proptest::collection::vec((typed(), any::<bool>()), 1..8)) {
        let rows = Schema::new(fields.iter().enumerate().map(|(i, ((ty, _), _))| (format!("f{i}"), ty.clone())));
        let row: Row = fields.iter().map(|((_, value), null)| if *null { Value::Null } else { value.clone() }).collect();
        let schema = AvroSchema::of_rows("topic", &rows).unwrap();
        let mut out = Vec::new();
        RecordWriter::new(schema.clone(), &rows).unwrap().write(&row, &mut out).unwrap();
        prop_assert_eq!(decode(&schema, Layout::new(schema.fields()), &out).unwrap(), row);
        let parsed = apache_avro::Schema::parse_str(schema.text()).unwrap();
        let tree = GenericDatumReader::builder(&parsed).build().unwrap().read_value(&mut out.as_slice()).unwrap();
        prop_assert!(tree.validate(&parsed));
    }
}
