//! Decimals of a schema are those of rows, exactly, both ways.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Tree;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tidegate_rows::format::{AvroSchema, Conversion, Layout, RecordWriter};
use tidegate_rows::{Decimal, Row, Schema, Type, Value};

use super::decode;

fn schema(ty: &Json) -> AvroSchema {
    AvroSchema::parse(&json!({ "type": "record", "name": "r", "fields": [{ "name": "v", "type": ty }] }).to_string()).unwrap()
}

fn layout(ty: &str) -> Layout {
    Layout::new([("v", Conversion::named(ty).unwrap())])
}

fn write(schema: &AvroSchema, value: Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let writer = RecordWriter::new(schema.clone(), &Schema::new([("v", Type::Decimal)])).unwrap();
    writer.write(&Row::from_iter([value]), &mut out).map(|()| out)
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse().unwrap())
}

proptest! {
    #[test]
    fn apache_avro_has_the_same_numbers(units in any::<i128>(), shift in 0_u32..128, precision in 1_u8..=38, scale in 0_u8..=38, fixed: bool) {
        let scale = scale.min(precision);
        let units = (units >> shift) % 10_i128.pow(precision.into());
        let mut ty = json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale });
        if fixed {
            ty = json!({ "type": "fixed", "name": "amount", "size": 16, "logicalType": "decimal", "precision": precision, "scale": scale });
        }
        let schema = schema(&ty);
        let parsed = apache_avro::Schema::parse_str(schema.text()).unwrap();
        let number = Value::Decimal(Decimal::new(units, scale).unwrap());

        let tree = Tree::Record(vec![("v".into(), Tree::Decimal(units.to_be_bytes().into()))]);
        let theirs = GenericDatumWriter::builder(&parsed).build().unwrap().write_value_to_vec(tree).unwrap();
        for ty in ["decimal".to_owned(), format!("decimal({precision}, {scale})")] {
            let row = decode(&schema, layout(&ty), &theirs).unwrap();
            prop_assert_eq!(row.get(0), &number);
        }

        let ours = write(&schema, number).unwrap();
        let Tree::Record(fields) = GenericDatumReader::builder(&parsed).build().unwrap().read_value(&mut ours.as_slice()).unwrap() else {
            panic!("a record")
        };
        let Tree::Decimal(found) = &fields[0].1 else { panic!("a decimal: {fields:?}") };
        let octets: Vec<u8> = found.try_into().unwrap();
        let mut wide = [if units < 0 { 0xff } else { 0 }; 16];
        wide[16 - octets.len()..].copy_from_slice(&octets);
        prop_assert_eq!(i128::from_be_bytes(wide), units);
    }
}

#[test]
fn a_decimal_takes_the_scale_of_its_schema_or_is_refused() {
    let money = schema(&json!(["null", { "type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2 }]));
    let back = |value: &str| write(&money, decimal(value)).map(|octets| decode(&money, layout("decimal"), &octets).unwrap().get(0).clone());
    assert_eq!(back("12.3"), Ok(decimal("12.30")));
    assert_eq!(back("12.3000"), Ok(decimal("12.30")));
    assert_eq!(back("0.125").unwrap_err(), "field `v`: 0.125 is not a decimal(6, 2)");
    assert_eq!(back("10000").unwrap_err(), "field `v`: 10000 is not a decimal(6, 2)");
    assert_eq!(decode(&money, layout("decimal(6, 3)"), &write(&money, decimal("1.5")).unwrap()).unwrap().get(0), &decimal("1.500"));
    let refused = decode(&money, layout("decimal(6, 1)"), &write(&money, decimal("1.25")).unwrap()).unwrap_err();
    assert_eq!(refused, "field `v`: 1.25 is not a decimal(6, 1)");
}

#[test]
fn other_types_of_avro_hold_decimals_too() {
    for (ty, value, read, expected) in [
        (json!("string"), decimal("12.30"), "string", Value::string("12.30")),
        (json!("string"), decimal("12.30"), "decimal", decimal("12.30")),
        (json!("double"), decimal("12.30"), "double", Value::Double(12.3)),
        (json!("double"), decimal("12.30"), "decimal", decimal("12.3")),
        (json!("long"), Value::Int(7), "decimal(9, 2)", decimal("7.00")),
    ] {
        let schema = schema(&ty);
        let octets = write(&schema, value).unwrap();
        assert_eq!(decode(&schema, layout(read), &octets).unwrap().get(0), &expected, "{ty} as {read}");
    }
    let said = AvroSchema::of_rows("t", &Schema::new([("a", Type::Decimal)])).unwrap_err();
    assert!(said.ends_with("convert it, as with `string(...)`, or give a `schema_file`"), "{said}");
}
