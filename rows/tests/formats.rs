//! What lines become rows, what is said of those that do not, and that rows come back as they were written.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use tidegate_rows::format::{
    Conversion, CsvEncoder, CsvFormat, Decoded, Decoder, Encoder, Format, JsonEncoder, JsonFormat, JsonLines, JsonLinesEncoder, Layout,
    RegexFormat, TextEncoder, TextFormat, TextPart, TextTime, TimeUnit, Timestamps,
};
use tidegate_rows::{Row, Value};

fn layout(fields: &[(&str, &str)]) -> Layout {
    Layout::new(fields.iter().map(|(name, ty)| (*name, Conversion::named(ty).unwrap())))
}

fn decode<F: Format<Item = Row>>(format: &F, line: &str) -> Result<(Option<i64>, Vec<Value>), String> {
    match format.decoder().decode(line.as_bytes())? {
        Decoded::Record { time, value } => Ok((time, value.0.into_vec())),
        other => Err(format!("{other:?}")),
    }
}

fn encode<T>(encoder: &impl Encoder<T>, value: &T) -> String {
    let mut out = Vec::new();
    encoder.encode(value, &mut out);
    String::from_utf8(out).unwrap()
}

fn logins() -> Layout {
    layout(&[("user", "int"), ("ip", "string"), ("ok", "bool"), ("score", "double"), ("ts", "timestamp_s")])
        .with_event_time("ts", TimeUnit::Millis)
        .unwrap()
}

#[test]
fn json_fields_come_in_any_order_and_unknown_ones_are_skipped() {
    let json = JsonFormat::new(logins());
    let expected = (Some(5000), vec![Value::Int(3), Value::string("10.0.0.1"), Value::Null, Value::Double(2.0), Value::timestamp_ms(5000)]);
    let mut decoder = json.decoder();
    for line in [
        r#"{"user":3,"ip":"10.0.0.1","ok":null,"score":2,"ts":5}"#,
        r#"{"ts":5,"x":{"y":[1,"}"]},"score":2.0,"ip":"10.0.0.1","user":3.0}"#,
        "  {\"user\": 7, \"user\": 3, \"ip\": \"10.0.0.\\u0031\", \"score\": 2e0, \"ts\": \"5\"}\r",
    ] {
        let Ok(Decoded::Record { time, value }) = decoder.decode(line.as_bytes()) else { panic!("{line}") };
        assert_eq!((time, value.0.into_vec()), expected, "{line}");
    }
    // Fields left out, put in between and turned around, with the names of the lines before in mind.
    for (line, user, score) in [
        (r#"{"ts":1,"new":0,"user":1}"#, Value::Int(1), Value::Null),
        (r#"{"user":2,"new":{},"score":1.5,"a":1,"b":2,"ts":1}"#, Value::Int(2), Value::Double(1.5)),
        (r#"{"b":1,"a":2,"ts":1,"score":3,"user":4,"user":5}"#, Value::Int(5), Value::Double(3.0)),
        (r#"{"user":6,"ip":"x","ok":true,"score":0,"ts":1}"#, Value::Int(6), Value::Double(0.0)),
    ] {
        let Ok(Decoded::Record { time, value }) = decoder.decode(line.as_bytes()) else { panic!("{line}") };
        assert_eq!((time, value.get(0), value.get(3)), (Some(1000), &user, &score), "{line}");
    }
    assert_eq!(decoder.decode(b" \t"), Ok(Decoded::Nothing));
    assert_eq!(decoder.decode(b""), Ok(Decoded::Nothing));
}

#[test]
fn json_says_what_is_wrong() {
    let json = JsonFormat::new(logins());
    for (line, error) in [
        (r#"{"user":"a"}"#, r#"field `user`: "a" is not an int"#),
        (r#"{"user":3.5}"#, "field `user`: 3.5 is not an int"),
        (r#"{"user":true}"#, "field `user`: true is not an int"),
        (r#"{"user":[1]}"#, "field `user`: a list is not an int"),
        (r#"{"ip":{"a":1}}"#, "field `ip`: a map is not a string"),
        (r#"{"ip":7}"#, "field `ip`: 7 is not a string"),
        (r#"{"ok":"true"}"#, r#"field `ok`: "true" is not a bool"#),
        (r#"{"score":"1.5"}"#, r#"field `score`: "1.5" is not a double"#),
        (r#"{"ts":"noon"}"#, r#"field `ts`: "noon" is not a timestamp in seconds"#),
        (r#"{"user":9223372036854775808}"#, "field `user`: 9223372036854775808 does not fit an int (64 bits, signed)"),
        (r#"{"user":1}"#, "field `ts` is missing or null, and so the event time"),
        (r#"{"user":1,"ts":null}"#, "field `ts` is missing or null, and so the event time"),
        ("[1]", "the line is not a JSON object"),
        ("12", "the line is not a JSON object"),
        ("user=1", "the line is not a JSON object"),
        (r#"{"user":1"#, "the line is not JSON: EOF while parsing an object at column 9"),
        (r#"{"user":}"#, "the line is not JSON: expected value at column 9"),
        (r#"{"user":1,"ts":1} x"#, "the line is not JSON: trailing characters at column 19"),
    ] {
        assert_eq!(decode(&json, line).unwrap_err(), error, "{line}");
    }
    assert_eq!(json.decoder().decode(b"{\"ip\":\"\xff\"}").unwrap_err(), "the line is not UTF-8 text");
    let every = |ty| JsonFormat::new(layout(&[("x", ty)]));
    for (ty, error) in [
        ("bytes", r#"field `x`: "?" is not bytes (base64)"#),
        (
            "timestamp",
            r#"field `x`: "?" is not a timestamp (RFC 3339, or milliseconds; what may be seconds needs timestamp_s or timestamp_ms)"#,
        ),
        ("duration", r#"field `x`: "?" is not a duration (such as 1h30m, or milliseconds)"#),
        ("list", r#"field `x`: "?" is not a list"#),
        ("map", r#"field `x`: "?" is not a map"#),
    ] {
        assert_eq!(decode(&every(ty), r#"{"x":"?"}"#).unwrap_err(), error);
    }
}

#[test]
fn json_without_a_schema_takes_values_as_they_come() {
    let json = JsonFormat::new(Layout::untyped(["a", "ts"]).with_event_time("ts", TimeUnit::Seconds).unwrap());
    let (time, row) = decode(&json, r#"{"a":{"b":[1,18446744073709551615]},"c":2,"ts":1.5}"#).unwrap();
    assert_eq!(time, Some(1500));
    assert_eq!(row[0], Value::map([(Value::string("b"), Value::list([Value::Int(1), Value::Uint(u64::MAX)]))]));
    assert_eq!(decode(&json, r#"{"ts":"2024-01-01T00:00:00Z"}"#).unwrap().0, Some(1_704_067_200_000));
}

#[test]
fn a_line_that_carries_only_the_watermark_field_is_a_watermark() {
    let fields = layout(&[("k", "string"), ("ts", "int")]);
    let fields = fields.with_event_time("ts", TimeUnit::Seconds).unwrap().with_watermark_field("w");
    let json = JsonFormat::new(fields);
    let mut decoder = json.decoder();
    assert_eq!(decoder.decode(br#"{"w":3}"#), Ok(Decoded::Watermark(3000)));
    assert_eq!(decoder.decode(br#"{"k":null,"w":4}"#), Ok(Decoded::Watermark(4000)));
    assert_eq!(decoder.decode(br#"{"w":9223372036854775807}"#), Ok(Decoded::Watermark(i64::MAX)));
    assert!(matches!(decoder.decode(br#"{"k":"a","ts":1,"w":4}"#), Ok(Decoded::Record { time: Some(1000), .. })));
    assert_eq!(decoder.decode(br#"{"x":1,"w":4}"#).unwrap_err(), "field `ts` is missing or null, and so the event time");
    assert_eq!(decoder.decode(br#"{"w":"soon"}"#).unwrap_err(), "field `w`: \"soon\" is not a timestamp, and so no event time");

    let fields = layout(&[("k", "string"), ("ts", "int")]).with_event_time("ts", TimeUnit::Millis).unwrap().with_watermark_field("w");
    let mut csv = CsvFormat::new(fields).decoder();
    assert_eq!(csv.header(b"k,ts,w"), Ok(true));
    assert_eq!(csv.decode(b",,7"), Ok(Decoded::Watermark(7)));
    assert!(matches!(csv.decode(b"a,5,"), Ok(Decoded::Record { time: Some(5), .. })));
    assert!(matches!(csv.decode(b"a,5,9"), Ok(Decoded::Record { time: Some(5), .. })));

    let fields = layout(&[("ts", "int"), ("w", "int")]).with_event_time("ts", TimeUnit::Millis).unwrap().with_watermark_field("w");
    let mut regex = RegexFormat::new(r"^(?:ts=(?P<ts>\d+))?(?:mark=(?P<w>\d+))?$", fields).unwrap().decoder();
    assert_eq!(regex.decode(b"mark=12"), Ok(Decoded::Watermark(12)));
    assert!(matches!(regex.decode(b"ts=12"), Ok(Decoded::Record { time: Some(12), .. })));
}

#[test]
fn csv_by_position() {
    let csv = CsvFormat::new(logins()).with_header(false);
    let (time, row) = decode(&csv, "5692,\"83.149, \"\"x\"\"\",true,,1558430815").unwrap();
    assert_eq!(time, Some(1_558_430_815_000));
    assert_eq!(row[..4], [Value::Int(5692), Value::string("83.149, \"x\""), Value::Bool(true), Value::Null]);
    assert_eq!(decode(&csv, ",,,,1").unwrap().1[..4], [Value::Null, Value::string(""), Value::Null, Value::Null]);
    assert_eq!(csv.decoder().decode(b""), Ok(Decoded::Nothing));
    for (line, error) in [
        ("1,a,true,2", "the line has 4 columns, the schema has 5"),
        ("1,a,true,2,3,4", "the line has 6 columns, the schema has 5"),
        ("x,a,true,2,3", "field `user`: \"x\" is not an int"),
        ("1,a,true,2,", "field `ts` is missing or null, and so the event time"),
        ("1,\"a,true,2,3", "a quote is not closed on this line (a record is one line)"),
    ] {
        assert_eq!(decode(&csv, line).unwrap_err(), error, "{line}");
    }
}

#[test]
fn csv_by_header() {
    let csv = CsvFormat::new(logins()).with_delimiter(b';');
    let mut decoder = csv.decoder();
    assert_eq!(decoder.header(b"ts; ip ;extra;user;\"ok\";score"), Ok(true));
    let Ok(Decoded::Record { time, value }) = decoder.decode(b"5;a,b;?;3;0;1.5") else { panic!("a record") };
    assert_eq!(time, Some(5000));
    assert_eq!(value.0[..4], [Value::Int(3), Value::string("a,b"), Value::Bool(false), Value::Double(1.5)]);
    assert_eq!(decoder.decode(b"5;a;b").unwrap_err(), "the line has 3 columns, the header has 6");
    assert_eq!(csv.decoder().header(b"ts;ip;user").unwrap_err(), "the header has no column `ok`; it has ts, ip, user");
}

#[test]
fn groups_of_a_pattern_are_fields() {
    let time = Conversion::TextTime(Box::new(TextTime::new("%b %d %H:%M:%S", Some(2015), None).unwrap()));
    let fields = Layout::new([("ts", time), ("user", Conversion::String), ("port", Conversion::Int)]);
    let fields = fields.with_event_time("ts", TimeUnit::Millis).unwrap();
    let pattern = r"^(?P<ts>\w+ +\d+ [\d:]+) .*for (?P<user>\w+)(?: port (?P<port>\w+))?";
    let format = RegexFormat::new(pattern, fields.clone()).unwrap();
    let (time, row) = decode(&format, "Mar 27 13:06:56 host sshd[1]: failed for root port 22").unwrap();
    assert_eq!((time, &row[1..]), (Some(1_427_461_616_000), &[Value::string("root"), Value::Int(22)][..]));
    assert_eq!(decode(&format, "Mar  7 13:06:56 failed for root").unwrap().1[2], Value::Null);
    for (line, error) in [
        ("hello", "the line does not match the pattern"),
        ("Mar 27 13:06:56 failed for root port x", "field `port`: \"x\" is not an int"),
        ("Mar 99 13:06:56 failed for root", "field `ts`: \"Mar 99 13:06:56\" is not a timestamp like `%b %d %H:%M:%S`"),
    ] {
        assert_eq!(decode(&format, line).unwrap_err(), error);
    }
    assert_eq!(format.decoder().decode(b"a\xff").unwrap_err(), "the line is not UTF-8 text");
    assert_eq!(RegexFormat::new("(?P<ts>.)", fields.clone()).unwrap_err(), "the pattern has no group `(?P<user>...)` for the field `user`");
    assert!(RegexFormat::new("(", fields).unwrap_err().starts_with("the pattern is not a regular expression: "));
    assert_eq!(RegexFormat::group_names(pattern).unwrap(), ["ts", "user", "port"]);
}

#[test]
fn text_is_one_field_and_blank_lines_count() {
    assert_eq!(decode(&TextFormat, " a b ").unwrap(), (None, vec![Value::string(" a b ")]));
    assert_eq!(decode(&TextFormat, "").unwrap().1, [Value::string("")]);
    assert_eq!(TextFormat.decoder().decode(b"\xff").unwrap_err(), "the line is not UTF-8 text");
}

#[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
struct Login {
    user: u64,
    at: i64,
}

#[test]
fn types_of_ones_own_go_through_serde() {
    let format = JsonLines::new(|login: &Login| login.at);
    assert!(format.timed() && !JsonLines::<Login>::untimed().timed());
    let mut decoder = format.decoder();
    let login = Login { user: u64::MAX, at: 7 };
    let line = encode(&JsonLinesEncoder, &login);
    assert_eq!(line, "{\"user\":18446744073709551615,\"at\":7}\n");
    assert_eq!(decoder.decode(line.trim_end().as_bytes()), Ok(Decoded::Record { time: Some(7), value: login }));
    assert_eq!(decoder.decode(b" "), Ok(Decoded::Nothing));
    assert_eq!(decoder.decode(br#"{"user":1}"#).unwrap_err(), "missing field `at` at column 10");
}

fn every_kind() -> (Layout, Row) {
    let fields = [
        ("b", "bool"),
        ("i", "int"),
        ("d", "double"),
        ("s", "string"),
        ("o", "bytes"),
        ("t", "timestamp"),
        ("p", "duration"),
        ("l", "list"),
        ("m", "map"),
    ];
    let row = Row::from_iter([
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Double(1e300),
        Value::string("a \"b\"\n\u{1},é"),
        Value::Bytes(b"hello".as_slice().into()),
        Value::Timestamp("2024-01-01T00:00:00.5Z".parse().unwrap()),
        Value::Duration(jiff::SignedDuration::from_millis(-1500)),
        Value::list([Value::Int(1), Value::Null, Value::Double(f64::NAN)]),
        Value::map([(Value::string("k"), Value::Double(3.0)), (Value::Int(2), Value::Uint(u64::MAX))]),
    ]);
    (layout(&fields), row)
}

#[test]
fn encoders_write_every_kind_of_value() {
    let (layout, row) = every_kind();
    assert_eq!(
        encode(&JsonEncoder::new(layout.schema(), Timestamps::Millis), &row),
        "{\"b\":true,\"i\":-9223372036854775808,\"d\":1e300,\"s\":\"a \\\"b\\\"\\n\\u0001,é\",\"o\":\"aGVsbG8=\",\"t\":1704067200500,\
         \"p\":\"-1.5s\",\"l\":[1,null,null],\"m\":{\"k\":3.0,\"2\":18446744073709551615}}\n"
    );
    assert_eq!(
        encode(&CsvEncoder::new(layout.schema(), Timestamps::Iso), &row),
        "true,-9223372036854775808,1e300,\"a \"\"b\"\"\n\u{1},é\",hello,2024-01-01T00:00:00.5Z,-1.5s,\"[1,null,null]\",\
         \"{\"\"k\"\":3.0,\"\"2\"\":18446744073709551615}\"\n"
    );
    let short = Row::from_iter([Value::Null, Value::timestamp_ms(0), Value::string("x y")]);
    assert_eq!(
        encode(&TextEncoder::new(vec![TextPart::Field(0), TextPart::Literal(" at ".into()), TextPart::Field(1)], Timestamps::Iso), &short),
        "null at 1970-01-01T00:00:00Z\n"
    );
    assert_eq!(encode(&TextEncoder::new(vec![TextPart::Field(2)], Timestamps::Iso), &short), "x y\n");
    assert_eq!(encode(&TextEncoder::new(vec![TextPart::Field(1)], Timestamps::Millis), &short), "0\n");
    let iso = JsonEncoder::new(Layout::untyped(["t"]).schema(), Timestamps::Iso);
    assert_eq!(encode(&iso, &Row::from_iter([Value::timestamp_ms(0)])), "{\"t\":\"1970-01-01T00:00:00Z\"}\n");
    assert_eq!(encode(&JsonEncoder::new(Layout::default().schema(), Timestamps::Iso), &Row::default()), "{}\n");
    let mut header = Vec::new();
    CsvEncoder::new(Layout::untyped(["a", "b,c"]).schema(), Timestamps::Millis).with_delimiter(b';').header(&mut header);
    CsvEncoder::new(Layout::untyped(["a", "b,c"]).schema(), Timestamps::Millis).header(&mut header);
    assert_eq!(String::from_utf8(header).unwrap(), "a;b,c\na,\"b,c\"\n");
}

/// A value of each type, or null.
fn any_row(text: &'static str) -> impl Strategy<Value = Row> {
    fn or_null(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        prop_oneof![9 => value, 1 => Just(Value::Null)]
    }
    let timestamp = (-9_000_000_000_i64..9_000_000_000, 0..1_000_000_000i32)
        .prop_map(|(s, ns)| Value::Timestamp(jiff::Timestamp::new(s, 0).unwrap() + jiff::SignedDuration::from_nanos(ns.into())));
    let scalar = prop_oneof![any::<i64>().prop_map(Value::Int), text.prop_map(Value::string), Just(Value::Null)];
    (
        or_null(any::<bool>().prop_map(Value::Bool)),
        or_null(any::<i64>().prop_map(Value::Int)),
        or_null(
            prop_oneof![any::<f64>(), (0..100_000i32).prop_map(|v| f64::from(v) / 100.0)]
                .prop_filter_map("finite", |v| v.is_finite().then_some(Value::Double(v))),
        ),
        text.prop_map(Value::string),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|v| Value::Bytes(v.into())),
        or_null(timestamp),
        or_null(
            (any::<i64>(), 0..1_000_000_000i32)
                .prop_map(|(s, ns)| Value::Duration(jiff::SignedDuration::new(s, if s < 0 { -ns } else { ns }))),
        ),
        or_null(proptest::collection::vec(scalar.clone(), 0..4).prop_map(Value::list)),
        or_null(
            proptest::collection::btree_map(text, scalar, 0..4).prop_map(|m| Value::map(m.into_iter().map(|(k, v)| (Value::string(k), v)))),
        ),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i)| Row::from_iter([a, b, c, d, e, f, g, h, i]))
}

proptest! {
    #[test]
    fn json_comes_back_as_it_was_written(row in any_row(".{0,30}")) {
        let (layout, _) = every_kind();
        let line = encode(&JsonEncoder::new(layout.schema(), Timestamps::Iso), &row);
        prop_assert_eq!(decode(&JsonFormat::new(layout), line.trim_end_matches('\n')).unwrap().1, row.0.into_vec());
    }

    /// Octets that are no line of their own aside: a record is one line.
    #[test]
    fn csv_comes_back_as_it_was_written(mut row in any_row("[ -~é]{0,30}"), delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')]) {
        let (layout, _) = every_kind();
        row.0[4] = Value::Bytes(b"\x00\xff\",".as_slice().into());
        let encoder = CsvEncoder::new(layout.schema(), Timestamps::Iso).with_delimiter(delimiter);
        let mut out = Vec::new();
        encoder.encode(&row, &mut out);
        let mut decoder = CsvFormat::new(layout).with_delimiter(delimiter).decoder();
        let mut header = Vec::new();
        encoder.header(&mut header);
        prop_assert_eq!(decoder.header(&header[..header.len() - 1]), Ok(true));
        match decoder.decode(&out[..out.len() - 1]) {
            Ok(Decoded::Record { value, .. }) => prop_assert_eq!(value, row),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn groups_come_back_as_they_were_written(i in any::<i64>(), s in "[a-z]{0,40}", d in -1e9..1e9f64) {
        let layout = layout(&[("i", "int"), ("s", "string"), ("d", "double")]);
        let row = Row::from_iter([Value::Int(i), Value::string(s), Value::Double(d)]);
        let space = || TextPart::Literal(" ".into());
        let parts = vec![TextPart::Field(0), space(), TextPart::Field(1), space(), TextPart::Field(2)];
        let line = encode(&TextEncoder::new(parts, Timestamps::Iso), &row);
        let format = RegexFormat::new("^(?P<i>[^ ]*) (?P<s>[^ ]*) (?P<d>[^ ]*)$", layout).unwrap();
        prop_assert_eq!(decode(&format, line.trim_end_matches('\n')).unwrap().1, row.0.into_vec());
    }

    #[test]
    fn no_line_makes_a_decoder_panic(line in proptest::collection::vec(any::<u8>(), 0..60), text in "[{}\\[\\]\":,a-u0-9 .eE+-]{0,40}") {
        let (layout, _) = every_kind();
        let mut json = JsonFormat::new(layout.clone()).decoder();
        let mut csv = CsvFormat::new(layout).with_header(false).decoder();
        for line in [&line[..], text.as_bytes()] {
            let _ = json.decode(line);
            let _ = csv.decode(line);
        }
    }
}
