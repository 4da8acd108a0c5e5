//! What `apache-avro` writes is read, and what is written it reads, for schemas and values of every kind.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Tree;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Days, Decimal, Duration, Millis, Months, Schema as Parsed, Uuid};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tidegate_rows::format::{AvroSchema, Layout, RecordWriter};
use tidegate_rows::{Row, Schema, Type, Value};

use super::decode;

/// A type.
#[derive(Clone, Debug)]
enum Ty {
    /// One without parts.
    Plain(Kind),
    Array(Box<Ty>),
    Map(Box<Ty>),
    Record(Vec<Ty>),
    /// Null or this.
    Nullable(Box<Ty>, bool),
    /// Of types whose values are told apart: null, boolean, double, string, an array, and this number of the branch.
    Union(usize, Box<Ty>),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed,
    Enum,
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMicros,
    Decimal,
    FixedDecimal,
    Uuid,
    FixedUuid,
    Duration,
}

const KINDS: [Kind; 22] = [
    Kind::Null,
    Kind::Boolean,
    Kind::Int,
    Kind::Long,
    Kind::Float,
    Kind::Double,
    Kind::Bytes,
    Kind::String,
    Kind::Fixed,
    Kind::Enum,
    Kind::Date,
    Kind::TimeMillis,
    Kind::TimeMicros,
    Kind::TimestampMillis,
    Kind::TimestampMicros,
    Kind::TimestampNanos,
    Kind::LocalTimestampMicros,
    Kind::Decimal,
    Kind::FixedDecimal,
    Kind::Uuid,
    Kind::FixedUuid,
    Kind::Duration,
];

/// A value as `apache-avro` has it, as it is read, and as it is given to be written.
struct Sample {
    tree: Tree,
    read: Value,
    given: Value,
}

/// Numbers that follow from a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Numbers of every size, the least and the greatest among them.
    fn long(&mut self) -> i64 {
        match self.below(10) {
            0 => i64::MIN,
            1 => i64::MAX,
            _ => self.next().cast_signed() >> self.below(64),
        }
    }

    fn int(&mut self) -> i32 {
        match self.below(10) {
            0 => i32::MIN,
            1 => i32::MAX,
            _ => (self.next() as i32) >> self.below(32),
        }
    }

    fn text(&mut self) -> String {
        (0..self.below(40)).map(|_| ['a', '\n', 'é', '\0', '数', '"'][self.below(6) as usize]).collect()
    }

    fn octets(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| self.next() as u8).collect()
    }
}

const SYMBOLS: [&str; 3] = ["red", "green", "blue"];

/// The schema; named types get a number.
fn schema(ty: &Ty, names: &mut usize) -> Json {
    let mut name = || {
        *names += 1;
        format!("n{names}")
    };
    match ty {
        Ty::Plain(kind) => match kind {
            Kind::Null => json!("null"),
            Kind::Boolean => json!("boolean"),
            Kind::Int => json!("int"),
            Kind::Long => json!("long"),
            Kind::Float => json!("float"),
            Kind::Double => json!("double"),
            Kind::Bytes => json!("bytes"),
            Kind::String => json!("string"),
            Kind::Fixed => json!({ "type": "fixed", "name": name(), "size": 5 }),
            Kind::Enum => json!({ "type": "enum", "name": name(), "symbols": SYMBOLS }),
            Kind::Date => json!({ "type": "int", "logicalType": "date" }),
            Kind::TimeMillis => json!({ "type": "int", "logicalType": "time-millis" }),
            Kind::TimeMicros => json!({ "type": "long", "logicalType": "time-micros" }),
            Kind::TimestampMillis => json!({ "type": "long", "logicalType": "timestamp-millis" }),
            Kind::TimestampMicros => json!({ "type": "long", "logicalType": "timestamp-micros" }),
            Kind::TimestampNanos => json!({ "type": "long", "logicalType": "timestamp-nanos" }),
            Kind::LocalTimestampMicros => json!({ "type": "long", "logicalType": "local-timestamp-micros" }),
            Kind::Decimal => json!({ "type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4 }),
            Kind::FixedDecimal => {
                json!({ "type": "fixed", "name": name(), "size": 9, "logicalType": "decimal", "precision": 20, "scale": 4 })
            }
            Kind::Uuid => json!({ "type": "string", "logicalType": "uuid" }),
            Kind::FixedUuid => json!({ "type": "fixed", "name": name(), "size": 16, "logicalType": "uuid" }),
            Kind::Duration => json!({ "type": "fixed", "name": name(), "size": 12, "logicalType": "duration" }),
        },
        Ty::Array(items) => json!({ "type": "array", "items": schema(items, names) }),
        Ty::Map(values) => json!({ "type": "map", "values": schema(values, names) }),
        Ty::Record(fields) => {
            let name = name();
            let fields = fields.iter().enumerate().map(|(i, ty)| json!({ "name": format!("f{i}"), "type": schema(ty, names) }));
            let fields: Vec<Json> = fields.collect();
            json!({ "type": "record", "name": name, "namespace": "some.space", "fields": fields })
        }
        Ty::Nullable(ty, _) if matches!(**ty, Ty::Plain(Kind::Null)) => json!("null"),
        Ty::Nullable(ty, first) => {
            let inner = schema(ty, names);
            if *first { json!(["null", inner]) } else { json!([inner, "null"]) }
        }
        Ty::Union(_, items) => json!(["null", "boolean", "double", "string", { "type": "array", "items": schema(items, names) }, "long"]),
    }
}

fn same(tree: Tree, value: Value) -> Sample {
    Sample { tree, read: value.clone(), given: value }
}

fn at(unit_nanos: i128, v: i64) -> Value {
    Value::Timestamp(Timestamp::from_nanosecond(i128::from(v) * unit_nanos).expect("in range"))
}

fn plain(kind: Kind, numbers: &mut Numbers) -> Sample {
    match kind {
        Kind::Null => same(Tree::Null, Value::Null),
        Kind::Boolean => {
            let v = numbers.below(2) == 1;
            same(Tree::Boolean(v), Value::Bool(v))
        }
        Kind::Int => {
            let v = numbers.int();
            same(Tree::Int(v), Value::Int(v.into()))
        }
        Kind::Long => {
            let v = numbers.long();
            same(Tree::Long(v), Value::Int(v))
        }
        Kind::Float => {
            let v = numbers.int() as f32 / 3.0;
            same(Tree::Float(v), Value::Double(v.into()))
        }
        Kind::Double => {
            let v = numbers.long() as f64 / 3.0;
            same(Tree::Double(v), Value::Double(v))
        }
        Kind::Bytes | Kind::String | Kind::Fixed | Kind::Enum | Kind::Uuid | Kind::FixedUuid => octets(kind, numbers),
        Kind::Decimal | Kind::FixedDecimal => decimal(numbers),
        other => time(other, numbers),
    }
}

/// A value that is stored as octets.
fn octets(kind: Kind, numbers: &mut Numbers) -> Sample {
    match kind {
        Kind::Bytes => {
            let size = numbers.below(100) as usize;
            let v = numbers.octets(size);
            same(Tree::Bytes(v.clone()), Value::Bytes(v.into()))
        }
        Kind::String => {
            let v = numbers.text();
            same(Tree::String(v.clone()), Value::string(v))
        }
        Kind::Fixed => {
            let v = numbers.octets(5);
            same(Tree::Fixed(5, v.clone()), Value::Bytes(v.into()))
        }
        Kind::Enum => {
            let v = numbers.below(3) as usize;
            same(Tree::Enum(v as u32, SYMBOLS[v].into()), Value::string(SYMBOLS[v]))
        }
        Kind::Uuid | Kind::FixedUuid => {
            let v = Uuid::from_u64_pair(numbers.next(), numbers.next());
            same(Tree::Uuid(v), Value::string(v.to_string()))
        }
        other => panic!("{other:?} is not octets"),
    }
}

fn decimal(numbers: &mut Numbers) -> Sample {
    let v = numbers.long();
    let sign = if v < 0 { "-" } else { "" };
    let exact = format!("{sign}{}.{:04}", v.unsigned_abs() / 10_000, v.unsigned_abs() % 10_000);
    let read = Value::Double(exact.parse().expect("a number"));
    // `apache-avro` fills a fixed up itself.
    Sample { tree: Tree::Decimal(Decimal::from(v.to_be_bytes())), read, given: Value::string(exact) }
}

/// An instant, a time of day or a duration.
fn time(kind: Kind, numbers: &mut Numbers) -> Sample {
    // All milliseconds from here on are of years that timestamps have.
    let moment = numbers.long() % 200_000_000_000_000;
    match kind {
        Kind::Date => {
            let v = numbers.int() % 2_000_000;
            same(Tree::Date(v), at(86_400_000_000_000, v.into()))
        }
        Kind::TimeMillis => {
            let v = numbers.below(86_400_000) as i32;
            same(Tree::TimeMillis(v), Value::Duration(SignedDuration::from_millis(v.into())))
        }
        Kind::TimeMicros => {
            let v = numbers.below(86_400_000_000) as i64;
            same(Tree::TimeMicros(v), Value::Duration(SignedDuration::from_micros(v)))
        }
        Kind::TimestampMillis => same(Tree::TimestampMillis(moment), at(1_000_000, moment)),
        Kind::TimestampMicros => same(Tree::TimestampMicros(moment), at(1_000, moment)),
        Kind::TimestampNanos => same(Tree::TimestampNanos(moment), at(1, moment)),
        Kind::LocalTimestampMicros => same(Tree::LocalTimestampMicros(moment), at(1_000, moment)),
        Kind::Duration => {
            let (days, millis) = (numbers.below(1 << 32) as u32, numbers.below(86_400_000) as u32);
            let span = SignedDuration::from_secs(i64::from(days) * 86_400) + SignedDuration::from_millis(millis.into());
            same(Tree::Duration(Duration::new(Months::new(0), Days::new(days), Millis::new(millis))), Value::Duration(span))
        }
        other => panic!("{other:?} is no time"),
    }
}

fn sample(ty: &Ty, numbers: &mut Numbers) -> Sample {
    match ty {
        Ty::Plain(kind) => plain(*kind, numbers),
        Ty::Array(items) => {
            let samples: Vec<Sample> = (0..numbers.below(4)).map(|_| sample(items, numbers)).collect();
            let list = |pick: fn(&Sample) -> Value| Value::list(samples.iter().map(pick));
            let (read, given) = (list(|s| s.read.clone()), list(|s| s.given.clone()));
            Sample { tree: Tree::Array(samples.into_iter().map(|s| s.tree).collect()), read, given }
        }
        Ty::Map(values) => {
            // One entry: of more, `apache-avro` does not keep the order.
            let samples: Vec<(String, Sample)> = (0..numbers.below(2)).map(|_| (numbers.text(), sample(values, numbers))).collect();
            let map = |pick: fn(&Sample) -> Value| Value::map(samples.iter().map(|(key, s)| (Value::string(key), pick(s))));
            let (read, given) = (map(|s| s.read.clone()), map(|s| s.given.clone()));
            Sample { tree: Tree::Map(samples.into_iter().map(|(key, s)| (key, s.tree)).collect()), read, given }
        }
        Ty::Record(fields) => {
            let samples: Vec<(String, Sample)> = fields.iter().enumerate().map(|(i, ty)| (format!("f{i}"), sample(ty, numbers))).collect();
            let map = |pick: fn(&Sample) -> Value| Value::map(samples.iter().map(|(key, s)| (Value::string(key), pick(s))));
            let (read, given) = (map(|s| s.read.clone()), map(|s| s.given.clone()));
            Sample { tree: Tree::Record(samples.into_iter().map(|(key, s)| (key, s.tree)).collect()), read, given }
        }
        Ty::Nullable(ty, _) if matches!(**ty, Ty::Plain(Kind::Null)) => same(Tree::Null, Value::Null),
        Ty::Nullable(ty, first) => {
            let null = if *first { 0 } else { 1 };
            if numbers.below(3) == 0 {
                return same(Tree::Union(null, Box::new(Tree::Null)), Value::Null);
            }
            let of = sample(ty, numbers);
            Sample { tree: Tree::Union(1 - null, Box::new(of.tree)), ..of }
        }
        Ty::Union(branch, items) => {
            let plains = [Kind::Null, Kind::Boolean, Kind::Double, Kind::String];
            let of = match (branch, plains.get(*branch)) {
                (_, Some(kind)) => plain(*kind, numbers),
                (4, _) => sample(&Ty::Array(items.clone()), numbers),
                _ => plain(Kind::Long, numbers),
            };
            Sample { tree: Tree::Union(*branch as u32, Box::new(of.tree)), ..of }
        }
    }
}

fn types() -> impl Strategy<Value = Ty> {
    let plain = (0..KINDS.len()).prop_map(|i| Ty::Plain(KINDS[i]));
    let one = plain.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| Ty::Array(Box::new(ty))),
            inner.clone().prop_map(|ty| Ty::Map(Box::new(ty))),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Ty::Record),
            (inner.clone().prop_filter("no union in a union", |ty| !matches!(ty, Ty::Nullable(..) | Ty::Union(..))), any::<bool>())
                .prop_map(|(ty, first)| Ty::Nullable(Box::new(ty), first)),
            (0..6_usize, inner).prop_map(|(branch, items)| Ty::Union(branch, Box::new(items))),
        ]
    });
    proptest::collection::vec(one, 1..6).prop_map(Ty::Record)
}

/// The values of a record in the order of its fields.
fn row(record: &Value) -> Row {
    let Value::Map(entries) = record else { panic!("a record") };
    entries.iter().map(|(_, value)| value.clone()).collect()
}

fn names(ty: &Ty) -> Vec<String> {
    let Ty::Record(fields) = ty else { panic!("a record") };
    (0..fields.len()).map(|i| format!("f{i}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_apache_avro_writes_is_read_and_what_is_written_it_reads(ty in types(), seed: u64) {
        let text = schema(&ty, &mut 0).to_string();
        let (parsed, ours) = (Parsed::parse_str(&text).unwrap(), AvroSchema::parse(&text).unwrap());
        let sample = sample(&ty, &mut Numbers(seed));
        let message = GenericDatumWriter::builder(&parsed).build().unwrap().write_value_to_vec(sample.tree.clone()).unwrap();

        // All fields, in the rest, and the last one alone.
        let names = names(&ty);
        let (all, last) = (row(&sample.read), names.last().unwrap());
        prop_assert_eq!(decode(&ours, Layout::untyped(&names), &message).unwrap(), all.clone());
        prop_assert_eq!(decode(&ours, Layout::open([""; 0]), &message).unwrap(), Row::from_iter([sample.read.clone()]));
        let alone = decode(&ours, Layout::untyped([last]), &message).unwrap();
        prop_assert_eq!(alone.get(0), all.get(names.len() - 1));

        // A message that is cut short, or goes on, is a bad one.
        for end in 0..message.len() {
            prop_assert!(decode(&ours, Layout::untyped(&names), &message[..end]).is_err(), "cut at {}", end);
            prop_assert!(decode(&ours, Layout::default(), &message[..end]).is_err(), "cut at {}", end);
        }
        prop_assert!(decode(&ours, Layout::untyped(&names), &[message.as_slice(), &[0]].concat()).is_err());

        let rows = Schema::new(names.iter().map(|name| (name, Type::Any)));
        let mut written = b"before".to_vec();
        RecordWriter::new(ours.clone(), &rows).unwrap().write(&row(&sample.given), &mut written).unwrap();
        let reader = GenericDatumReader::builder(&parsed).build().unwrap();
        prop_assert_eq!(reader.read_value(&mut &written[6..]).unwrap(), sample.tree);
        // From the rest, too.
        let mut again = Vec::new();
        let open = Schema::open();
        RecordWriter::new(ours, &open).unwrap().write(&Row::from_iter([sample.given]), &mut again).unwrap();
        prop_assert_eq!(&again, &written[6..]);
    }

    /// Whatever comes, there is an answer, and memory is bounded by the length of the message.
    #[test]
    fn any_octets_are_a_record_or_a_bad_one(ty in types(), message in proptest::collection::vec(prop_oneof![any::<u8>(), 0..6_u8], 0..200)) {
        let ours = AvroSchema::parse(&schema(&ty, &mut 0).to_string()).unwrap();
        let _ = decode(&ours, Layout::open([""; 0]), &message);
        let _ = decode(&ours, Layout::default(), &message);
    }
}
