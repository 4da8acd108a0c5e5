//! Decimals in lines: read by their digits, never through a double, and written with them.

use proptest::prelude::*;
use tidegate_rows::format::{
    Conversion, CsvEncoder, CsvFormat, Decoded, Decoder, Encoder, Format, JsonEncoder, JsonFormat, Layout, RegexFormat, TableEncoder,
    TextEncoder, TextPart, Timestamps,
};
use tidegate_rows::{Row, Schema, Type, Value};

use super::{decimal, decimals};

fn layout(ty: &str) -> Layout {
    Layout::new([("v", Conversion::named(ty).unwrap())])
}

fn decode<F: Format<Item = Row>>(format: &F, line: &str) -> Result<Value, String> {
    match format.decoder().decode(line.as_bytes())? {
        Decoded::Record { value, .. } => Ok(value.get(0).clone()),
        other => Err(format!("{other:?}")),
    }
}

fn encode(encoder: &impl Encoder<Row>, value: Value) -> String {
    let mut out = Vec::new();
    encoder.encode(&Row::from_iter([value]), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_numbers_are_read_by_their_digits() {
    let read = |ty: &str, json: &str| decode(&JsonFormat::new(layout(ty)), &format!("{{\"u\":{{}},\"v\":{json},\"w\":1.5}}"));
    for (json, expected) in [
        ("0.1", "0.1"),
        ("12.30", "12.30"),
        ("-12345678901234567890123456789012345.678", "-12345678901234567890123456789012345.678"),
        ("18446744073709551616", "18446744073709551616"),
        ("1.5e3", "1500"),
        ("\"12.30\"", "12.30"),
        ("\"\\u0031\"", "1"),
    ] {
        assert_eq!(read("decimal", json), Ok(Value::Decimal(decimal(expected))), "{json}");
    }
    assert_eq!(read("decimal", "null"), Ok(Value::Null));
    assert_eq!(read("decimal(12, 2)", "7"), Ok(Value::Decimal(decimal("7.00"))));
    for (ty, json, error) in [
        ("decimal", "true", "field `v`: true is not a decimal"),
        ("decimal", "[1]", "field `v`: a list is not a decimal"),
        ("decimal", "{\"a\":1}", "field `v`: a map is not a decimal"),
        ("decimal", "\"ten\"", "field `v`: \"ten\" is not a decimal"),
        ("decimal(12, 2)", "0.125", "field `v`: 0.125 is not a decimal(12, 2)"),
        ("decimal(4, 2)", "100", "field `v`: 100 is not a decimal(4, 2)"),
        ("decimal", "1e40", "field `v`: 1e40 is not a decimal"),
    ] {
        assert_eq!(read(ty, json).unwrap_err(), error, "{json}");
    }
    assert!(read("decimal", "1.2.3").unwrap_err().starts_with("the line is not JSON"));
    assert!(read("decimal", "").unwrap_err().starts_with("the line is not JSON"));
}

#[test]
fn cells_are_read_by_their_digits() {
    let csv = |ty: &str, cell: &str| decode(&CsvFormat::new(layout(ty)).with_header(false), cell);
    assert_eq!(csv("decimal", " 12.30 "), Ok(Value::Decimal(decimal("12.30"))));
    assert_eq!(csv("decimal(10, 3)", "12.3"), Ok(Value::Decimal(decimal("12.300"))));
    assert_eq!(csv("decimal", "\"\""), Ok(Value::Null));
    assert_eq!(csv("decimal", "12,5").unwrap_err(), "the line has 2 columns, the schema has 1");
    assert_eq!(csv("decimal(10, 3)", "0.0001").unwrap_err(), "field `v`: \"0.0001\" is not a decimal(10, 3)");
    let regex = RegexFormat::new(r"^EUR (?P<v>\S+)$", layout("decimal")).unwrap();
    assert_eq!(decode(&regex, "EUR 0.10"), Ok(Value::Decimal(decimal("0.10"))));
}

#[test]
fn decimals_are_written_with_all_their_digits() {
    let price = || Value::Decimal(decimal("12345678901234567890.10"));
    let schema = Schema::new([("v", Type::Decimal)]);
    assert_eq!(encode(&JsonEncoder::new(&schema, Timestamps::Iso), price()), "{\"v\":12345678901234567890.10}\n");
    assert_eq!(encode(&JsonEncoder::new(&schema, Timestamps::Iso), Value::list([price()])), "{\"v\":[12345678901234567890.10]}\n");
    assert_eq!(encode(&CsvEncoder::new(&schema, Timestamps::Iso), price()), "12345678901234567890.10\n");
    let text = TextEncoder::new(vec![TextPart::Literal("EUR ".into()), TextPart::Field(0)], Timestamps::Iso);
    assert_eq!(encode(&text, price()), "EUR 12345678901234567890.10\n");
    // Numbers stand at the right of their column.
    assert_eq!(encode(&TableEncoder::new(&schema, Timestamps::Iso), Value::Decimal(decimal("1.50"))), "    1.50\n");
}

proptest! {
    #[test]
    fn decimals_come_back(v in decimals()) {
        let schema = Schema::new([("v", Type::Decimal)]);
        let json = encode(&JsonEncoder::new(&schema, Timestamps::Iso), Value::Decimal(v));
        prop_assert_eq!(decode(&JsonFormat::new(layout("decimal")), json.trim_end()), Ok(Value::Decimal(v)));
        let csv = encode(&CsvEncoder::new(&schema, Timestamps::Iso), Value::Decimal(v));
        prop_assert_eq!(decode(&CsvFormat::new(layout("decimal")).with_header(false), csv.trim_end()), Ok(Value::Decimal(v)));
    }
}
