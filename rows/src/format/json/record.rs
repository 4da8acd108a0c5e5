//! Decodes a line into a row.
//!
//! A [`Cursor`] reads the usual line in one pass. Lines that it can't read, because they are wrong or unusual, are read by a visitor of
//! `serde_json`, which has the last word on what is JSON and says what is wrong.

use std::fmt;

use compact_str::CompactString;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::any::{self, AnySeed};
use super::complaint;
use super::cursor::Cursor;
use crate::format::conversion::{quoted, too_large};
use crate::format::layout::Meaning;
use crate::format::number::Number;
use crate::format::{Conversion, Decoded, Decoder, Format, Layout, cut, is_blank};
use crate::{Row, Value};

/// JSON Lines of a layout.
#[derive(Clone, Debug)]
pub struct JsonFormat(Layout);

impl JsonFormat {
    /// A format for lines of this layout.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self(layout)
    }
}

impl Format for JsonFormat {
    type Item = Row;
    type Decoder = JsonDecoder;

    fn decoder(&self) -> JsonDecoder {
        JsonDecoder { blank: self.0.schema().blank(), layout: self.0.clone(), names: Names::default() }
    }

    fn timed(&self) -> bool {
        self.0.event_time().is_some()
    }
}

/// Decodes JSON Lines into rows.
#[derive(Debug)]
pub struct JsonDecoder {
    layout: Layout,
    /// The row of a line that has none of the fields.
    blank: Row,
    names: Names,
}

impl Decoder for JsonDecoder {
    type Item = Row;

    fn decode(&mut self, line: &[u8]) -> Result<Decoded<Row>, String> {
        // Validating the whole line once is cheaper than validating each string in it.
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8 text".to_owned())?;
        match self.usual(line) {
            Some(row) => self.layout.record(row),
            None => self.any(line),
        }
    }
}

impl JsonDecoder {
    /// Decodes any line.
    fn any(&mut self, line: &str) -> Result<Decoded<Row>, String> {
        self.names.unknown.clear();
        let mut visit = Visit {
            row: self.blank.clone(),
            layout: &mut self.layout,
            names: &mut self.names,
            watermark: None,
            others: false,
            rest: Vec::new(),
            fault: None,
        };
        let mut json = serde_json::Deserializer::from_str(line);
        if let Err(e) = json.deserialize_map(&mut visit).and_then(|()| json.end()) {
            return match visit.fault {
                Some(fault) => Err(fault),
                None if is_blank(line.as_bytes()) => Ok(Decoded::Nothing),
                None if !line.trim_ascii_start().starts_with('{') => Err("the line is not a JSON object".into()),
                None => Err(format!("the line is not JSON: {}", complaint(&e))),
            };
        }
        let Visit { mut row, watermark, others, rest, .. } = visit;
        if let Some(slot) = self.layout.schema().rest() {
            let names = self.names.unknown.drain(..).map(Value::String);
            row.0[slot] = Value::map(names.zip(rest));
        }
        match watermark {
            Some(value) if !others => self.layout.watermark(value),
            _ => self.layout.record(row),
        }
    }

    /// The row of a usual line: a valid object without a watermark, whose values convert. `None` if it is not one.
    fn usual(&mut self, line: &str) -> Option<Row> {
        self.names.unknown.clear();
        let mut cursor = Cursor::new(line);
        // Quicker than a clone, which has to look at every kind of value.
        let blank = |blank: &Value| if matches!(blank, Value::Absent) { Value::Absent } else { Value::Null };
        let mut row: Row = self.blank.0.iter().map(blank).collect();
        let (mut position, mut rest) = (0, Vec::new());
        if cursor.next_token()? != b'{' {
            return None;
        }
        cursor.step();
        if cursor.next_token()? == b'}' {
            cursor.step();
        } else {
            loop {
                if cursor.next_token()? != b'"' {
                    return None;
                }
                let meaning = self.names.read(&mut cursor, &mut position, &self.layout)?;
                if cursor.next_token()? != b':' {
                    return None;
                }
                cursor.step();
                match meaning {
                    Meaning::Slot(slot) => read_field(&mut cursor, &mut self.layout.conversions()[slot], &mut row.0[slot])?,
                    Meaning::Rest => {
                        rest.push(Value::Null);
                        read_field(&mut cursor, &mut Conversion::Any, rest.last_mut()?)?;
                    }
                    Meaning::Skip => cursor.skip()?,
                    Meaning::Watermark(_) => return None,
                }
                let next = cursor.next_token()?;
                cursor.step();
                match next {
                    b',' => {}
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        if !cursor.is_at_end() {
            return None;
        }
        if let Some(slot) = self.layout.schema().rest() {
            let names = self.names.unknown.drain(..).map(Value::String);
            row.0[slot] = Value::map(names.zip(rest));
        }
        Some(row)
    }
}

/// Reads the value of a field into its slot. `None` if it is invalid or does not convert.
///
/// What most values are is written where it belongs: a value that is returned is copied while its bytes are still on their way to memory.
#[inline(always)]
fn read_field(cursor: &mut Cursor<'_>, conversion: &mut Conversion, slot: &mut Value) -> Option<()> {
    let start = match cursor.next_token()? {
        b'"' => {
            let start = *cursor;
            if let Some(text) = cursor.text() {
                *slot = match conversion {
                    Conversion::String | Conversion::Any => Value::String(CompactString::new(text)),
                    other => other.of_json_text(text)?,
                };
                return Some(());
            }
            start
        }
        b'-' | b'0'..=b'9' if !matches!(conversion, Conversion::Decimal(_)) => {
            let start = *cursor;
            match (cursor.number(), &*conversion) {
                (Some(Number::Int(v)), Conversion::Int | Conversion::Any) => *slot = Value::Int(v),
                (Some(Number::Double(v)), Conversion::Double | Conversion::Any) => *slot = Value::Double(v),
                (Some(Number::Int(v)), other) => *slot = other.of_int(v)?,
                (Some(Number::Double(v)), other) => *slot = other.of_double(v)?,
                (None, _) => return read_rare(cursor, start, conversion, slot),
            }
            return Some(());
        }
        _ => *cursor,
    };
    read_rare(cursor, start, conversion, slot)
}

/// Reads a value that takes more than a glance, from its start.
#[cold]
#[inline(never)]
fn read_rare<'l>(cursor: &mut Cursor<'l>, start: Cursor<'l>, conversion: &mut Conversion, slot: &mut Value) -> Option<()> {
    let mut end = start;
    end.skip()?;
    let text = end.since(start)?;
    *slot = match conversion {
        // The number, whose digits count.
        Conversion::Decimal(_) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => conversion.of_json_text(text)?,
        _ => {
            let mut json = serde_json::Deserializer::from_str(text);
            FieldSeed { conversion, fault: &mut None }.deserialize(&mut json).ok()?
        }
    };
    *cursor = end;
    Some(())
}

/// Maps the field names of a line to their meanings. Lines from one source usually have the same fields in much the
/// same order. So the names of earlier lines, including skipped ones, are tried first, in order: usually one
/// comparison per field.
#[derive(Debug, Default)]
struct Names {
    known: Vec<(Known, Meaning)>,
    /// The names in this line that go into the rest.
    unknown: Vec<CompactString>,
}

/// A name that earlier lines have had.
#[derive(Debug)]
struct Known {
    name: Box<str>,
    /// The name in quotes, as it stands in a line. `None` if that needs escapes.
    quoted: Option<Box<str>>,
}

impl Known {
    fn new(name: &str) -> Self {
        let escapes = name.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\'));
        Self { name: name.into(), quoted: (!escapes).then(|| format!("\"{name}\"").into()) }
    }

    /// Passes over the name if it comes next.
    #[inline(always)]
    fn comes_next(&self, cursor: &mut Cursor<'_>) -> bool {
        self.quoted.as_ref().is_some_and(|quoted| cursor.passes(quoted))
    }
}

impl Names {
    /// Names beyond this number are looked up each time.
    const REMEMBERED: usize = 256;

    /// How many consecutive known names a line may leave out without losing the position.
    const LEFT_OUT: usize = 4;

    /// The meaning of `name`, trying the known names from `position` on. Advances `position`.
    #[inline]
    fn meaning(&mut self, position: &mut usize, name: &str, layout: &Layout) -> Meaning {
        match self.known_next(position, |known| *known.name == *name) {
            Some((_, meaning)) => *meaning,
            None => self.look_up(position, name, layout),
        }
    }

    /// The next known name that `is` it, with its meaning. Advances `position` past it.
    #[inline(always)]
    fn known_next(&self, position: &mut usize, mut is: impl FnMut(&Known) -> bool) -> Option<&(Known, Meaning)> {
        let ahead = &self.known[*position..];
        let skipped = ahead.iter().take(Self::LEFT_OUT).position(|(known, _)| is(known))?;
        *position += skipped + 1;
        ahead.get(skipped)
    }

    /// Reads a name and returns its meaning. `None` if the name has escapes, or is none.
    #[inline]
    fn read(&mut self, cursor: &mut Cursor<'_>, position: &mut usize, layout: &Layout) -> Option<Meaning> {
        if let Some((known, meaning)) = self.known_next(position, |known| known.comes_next(cursor)) {
            let (meaning, name) = (*meaning, &known.name);
            if meaning == Meaning::Rest {
                self.unknown.push((**name).into());
            }
            return Some(meaning);
        }
        let name = cursor.text()?;
        let meaning = self.look_up(position, name, layout);
        if meaning == Meaning::Rest {
            self.unknown.push(name.into());
        }
        Some(meaning)
    }

    #[cold]
    fn look_up(&mut self, position: &mut usize, name: &str, layout: &Layout) -> Meaning {
        let meaning = layout.meaning(name);
        // An unknown name in the middle is an exception. Learning it would only shift the position for the next line.
        if *position == self.known.len() && *position < Self::REMEMBERED {
            self.known.push((Known::new(name), meaning));
            *position += 1;
        }
        meaning
    }
}

/// The state of reading one line.
struct Visit<'a> {
    layout: &'a mut Layout,
    names: &'a mut Names,
    row: Row,
    /// The value of the watermark field, if the line has it.
    watermark: Option<Value>,
    /// Whether the line has another field, known and not null, or unknown.
    others: bool,
    /// The values of the names that go into the rest.
    rest: Vec<Value>,
    /// The conversion error. It is kept here because serde would add a position to its own error.
    fault: Option<String>,
}

impl<'de> Visitor<'de> for &mut Visit<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(meaning) = map.next_key_seed(NameSeed { position: &mut position, names: self.names, layout: self.layout })? {
            match meaning {
                Meaning::Slot(slot) => {
                    let value = self.field(slot, &mut map)?;
                    self.others |= !value.is_null();
                    self.row.0[slot] = value;
                }
                Meaning::Watermark(slot) => {
                    let value = match slot {
                        Some(slot) => self.field(slot, &mut map)?,
                        None => map.next_value_seed(AnySeed)?,
                    };
                    if let Some(slot) = slot {
                        self.row.0[slot] = value.clone();
                    }
                    self.watermark = (!value.is_null()).then_some(value);
                }
                Meaning::Rest => {
                    self.rest.push(map.next_value_seed(AnySeed)?);
                    self.others = true;
                }
                Meaning::Skip => {
                    map.next_value::<IgnoredAny>()?;
                    self.others = true;
                }
            }
        }
        Ok(())
    }
}

impl Visit<'_> {
    #[inline]
    fn field<'de, A: MapAccess<'de>>(&mut self, slot: usize, map: &mut A) -> Result<Value, A::Error> {
        let mut fault = None;
        let seed = FieldSeed { conversion: &mut self.layout.conversions()[slot], fault: &mut fault };
        let result = map.next_value_seed(seed);
        if let Some(fault) = fault {
            self.fault = Some(format!("field `{}`: {fault}", self.layout.name(slot)));
        }
        result
    }
}

struct NameSeed<'a> {
    position: &'a mut usize,
    names: &'a mut Names,
    layout: &'a Layout,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Meaning;
    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Meaning, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Meaning;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }
    #[inline]
    fn visit_str<E: Error>(self, name: &str) -> Result<Meaning, E> {
        let meaning = self.names.meaning(self.position, name, self.layout);
        if meaning == Meaning::Rest {
            self.names.unknown.push(name.into());
        }
        Ok(meaning)
    }
}

/// Reads one field with its conversion.
struct FieldSeed<'a> {
    conversion: &'a mut Conversion,
    fault: &'a mut Option<String>,
}

impl FieldSeed<'_> {
    /// Returns `value`, or records the error that `what` is not of the field's type.
    #[inline]
    fn or_fault<E: Error>(self, value: Option<Value>, what: impl FnOnce() -> String) -> Result<Value, E> {
        match value {
            Some(value) => Ok(value),
            None => self.fail(&what()),
        }
    }

    /// Reads a number from its digits, because the parser would turn it into a double.
    fn decimal<'de, D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        let text = <&RawValue>::deserialize(d)?.get();
        match text.as_bytes().first() {
            Some(b'n') => Ok(Value::Null),
            Some(b't' | b'f') => self.fail(text),
            Some(b'[') => self.fail("a list"),
            Some(b'{') => self.fail("a map"),
            Some(b'"') => {
                let text: String = serde_json::from_str(text).map_err(D::Error::custom)?;
                self.visit_str(&text)
            }
            _ => {
                let value = self.conversion.of_json_text(text);
                self.or_fault(value, || cut(text, 60).into_owned())
            }
        }
    }

    #[cold]
    fn fail<E: Error>(self, what: &str) -> Result<Value, E> {
        *self.fault = Some(format!("{what} is not {}", self.conversion.expected()));
        Err(E::custom(""))
    }
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Value;
    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        if let Conversion::Decimal(_) = self.conversion { self.decimal(d) } else { d.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: Error>(self, v: bool) -> Result<Value, E> {
        let value = matches!(self.conversion, Conversion::Bool | Conversion::Any).then_some(Value::Bool(v));
        self.or_fault(value, || v.to_string())
    }
    #[inline]
    fn visit_i64<E: Error>(self, v: i64) -> Result<Value, E> {
        let value = self.conversion.of_int(v);
        self.or_fault(value, || v.to_string())
    }
    #[inline]
    fn visit_u64<E: Error>(self, v: u64) -> Result<Value, E> {
        match i64::try_from(v) {
            Ok(v) => self.visit_i64(v),
            Err(_) => match self.conversion {
                Conversion::Any => Ok(Value::Uint(v)),
                Conversion::Int => {
                    *self.fault = Some(too_large(&v.to_string()));
                    Err(E::custom(""))
                }
                _ => self.visit_f64(v as f64),
            },
        }
    }
    #[inline]
    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        let value = self.conversion.of_double(v);
        self.or_fault(value, || v.to_string())
    }
    #[inline]
    fn visit_str<E: Error>(self, v: &str) -> Result<Value, E> {
        let value = self.conversion.of_json_text(v);
        self.or_fault(value, || quoted(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        match self.conversion {
            Conversion::List | Conversion::Any => any::list(seq),
            _ => self.fail("a list"),
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        match self.conversion {
            Conversion::Map | Conversion::Any => any::map(map),
            _ => self.fail("a map"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TimeUnit;
    use proptest::prelude::*;

    fn typed() -> Layout {
        let field = |name: &&'static str| (*name, Conversion::named(name).unwrap());
        let fields = Conversion::NAMES.iter().filter(|name| **name != "any").map(field);
        Layout::new(fields.chain([("decimal(9, 2)", Conversion::named("decimal(9, 2)").unwrap()), ("any", Conversion::Any)]))
    }

    fn layouts() -> [Layout; 4] {
        let timed =
            Layout::new([("int", Conversion::Int), ("string", Conversion::String)]).with_event_time("int", TimeUnit::Seconds).unwrap();
        [typed(), Layout::open(["int", "a\"b", "any"]), Layout::untyped(["int", "string"]), timed.with_watermark_field("bool")]
    }

    /// A value as JSON, mostly valid.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|v| v.to_string()),
            any::<i64>().prop_map(|v| v.to_string()),
            (-999i64..999).prop_map(|v| v.to_string()),
            "-?[0-9]{1,20}",
            "-?[0-9]{1,10}\\.[0-9]{1,12}([eE][+-]?[0-9]{1,3})?",
            "\"[a-z0-9:. -]{0,30}\"",
            Just("\"2024-02-29T12:00:00Z\"".to_owned()),
            Just("\"1h30m\"".to_owned()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            "\"(\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-fD]{3,4}|[a-zé\u{1}]){0,5}\"",
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
                proptest::collection::vec(("[a-c]", inner), 0..3)
                    .prop_map(|items| format!("{{{}}}", items.iter().map(|(k, v)| format!("\"{k}\" :{v}")).collect::<Vec<_>>().join(", "))),
            ]
        })
    }

    fn name() -> impl Strategy<Value = String> {
        let known: Vec<&str> = Conversion::NAMES.into_iter().chain(["decimal(9, 2)", "a\\\"b", "a\"b", "other", "\\u0061ny"]).collect();
        proptest::sample::select(known).prop_map(str::to_owned)
    }

    /// A line, and what to do to it: nothing, or to replace or remove a byte.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let space = || proptest::sample::select(vec!["", "", "", " ", "\t "]);
        let entry = (name(), value(), space(), space()).prop_map(|(name, value, a, b)| format!("{b}\"{name}\"{a}:{b}{value}{a}"));
        let object = (proptest::collection::vec(entry, 0..6), space())
            .prop_map(|(entries, space)| format!("{space}{{{}}}{space}", entries.join(",")));
        let change =
            prop_oneof![8 => Just(None), 1 => any::<(usize, u8)>().prop_map(Some), 1 => any::<usize>().prop_map(|at| Some((at, 0)))];
        (object, change).prop_map(|(object, change)| {
            let mut line = object.into_bytes();
            if let Some((at, byte)) = change {
                let at = at % line.len();
                if byte == 0 {
                    line.remove(at);
                } else {
                    line[at] = byte;
                }
            }
            line
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// What is read in one pass is what `serde_json` reads.
        #[test]
        fn usual_lines_are_read_as_all_lines_are(lines in proptest::collection::vec(line(), 1..4)) {
            for layout in layouts() {
                let mut decoder = JsonFormat::new(layout.clone()).decoder();
                let mut other = JsonFormat::new(layout).decoder();
                for line in lines.iter().filter_map(|line| std::str::from_utf8(line).ok()) {
                    let expected = other.any(line);
                    prop_assert_eq!(decoder.any(line), expected.clone(), "{}", line);
                    if let Some(row) = decoder.usual(line) {
                        prop_assert_eq!(decoder.layout.record(row), expected, "{}", line);
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_of_numbers_words_and_times_is_usual() {
        let mut decoder = JsonFormat::new(typed()).decoder();
        for line in [
            r#"{"int":1700000000000,"double":12.5,"string":"Mozilla/5.0","bool":true,"timestamp":"2024-02-29T12:00:00Z"}"#,
            r#" { "int" : -3 , "list" : [1, {"a": "b\n"}] , "map" : {} , "any" : "caf\u00e9" } "#,
            r#"{"decimal(9, 2)":12.50,"other":{"deep":[[[]]]},"duration":"5m","bytes":null}"#,
        ] {
            assert!(decoder.usual(line).is_some(), "{line}");
        }
        assert_eq!(decoder.usual(r#"{"int":"one"}"#), None);
    }
}
