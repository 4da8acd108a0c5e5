//! Decodes a line into a row with a visitor that knows the slots.

use std::fmt;

use compact_str::CompactString;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::any::{self, AnySeed};
use super::complaint;
use crate::format::conversion::{quoted, too_large};
use crate::format::layout::Meaning;
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
}

/// Maps the field names of a line to their meanings. Lines from one source usually have the same fields in much the
/// same order. So the names of earlier lines, including skipped ones, are tried first, in order: usually one
/// comparison per field.
#[derive(Debug, Default)]
struct Names {
    known: Vec<(Box<str>, Meaning)>,
    /// The names in this line that go into the rest.
    unknown: Vec<CompactString>,
}

impl Names {
    /// Names beyond this number are looked up each time.
    const REMEMBERED: usize = 256;

    /// How many consecutive known names a line may leave out without losing the position.
    const LEFT_OUT: usize = 4;

    /// The meaning of `name`, trying the known names from `position` on. Advances `position`.
    #[inline]
    fn meaning(&mut self, position: &mut usize, name: &str, layout: &Layout) -> Meaning {
        for (skipped, (known, meaning)) in self.known[*position..].iter().take(Self::LEFT_OUT).enumerate() {
            if **known == *name {
                *position += skipped + 1;
                return *meaning;
            }
        }
        self.look_up(position, name, layout)
    }

    #[cold]
    fn look_up(&mut self, position: &mut usize, name: &str, layout: &Layout) -> Meaning {
        let meaning = layout.meaning(name);
        // An unknown name in the middle is an exception. Learning it would only shift the position for the next line.
        if *position == self.known.len() && *position < Self::REMEMBERED {
            self.known.push((name.into(), meaning));
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
