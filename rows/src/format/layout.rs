//! The layout of a row format: its fields, their conversions, and which one holds the event time.

use super::{Conversion, Decoded, TimeUnit};
use crate::{Field, Row, Schema, Type, Value};

/// What a row format reads: one conversion per field, in slot order. The schema follows from the conversions.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    schema: Schema,
    conversions: Vec<Conversion>,
    event_time: Option<EventTime>,
    watermark_field: Option<String>,
}

/// Where a record's event time is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTime {
    /// The slot of the field.
    pub slot: usize,
    /// The unit, if the field holds a number.
    pub unit: TimeUnit,
}

impl EventTime {
    /// The event time in `row`, in milliseconds since 1970.
    ///
    /// # Errors
    /// The field is null or missing, or not a time. The message calls the field `name`.
    pub fn of(self, row: &Row, name: &str) -> Result<i64, String> {
        let wrong = |what: &str| Err(format!("field `{name}`: {what}, and so no event time"));
        let ms = match row.get(self.slot) {
            Value::Timestamp(t) => Some(floor_ms(*t)),
            Value::Int(v) => self.unit.to_ms(*v),
            Value::Double(v) => self.unit.fractional_to_ms(*v),
            // The field has no type, or the format is a text format.
            Value::String(text) => match (text.parse(), text.parse()) {
                (Ok(v), _) => self.unit.to_ms(v),
                (_, Ok(v)) => self.unit.fractional_to_ms(v),
                _ => match super::instant(text) {
                    Some(t) => Some(floor_ms(t)),
                    None => return wrong(&format!("{} is not a timestamp", super::conversion::quoted(text))),
                },
            },
            Value::Null => return Err(format!("field `{name}` is missing or null, and so the event time")),
            other => return wrong(&format!("a {} is not a timestamp", other.type_of())),
        };
        // `i64::MIN` is reserved: it marks records without an event time.
        match ms.filter(|ms| *ms != i64::MIN) {
            Some(ms) => Ok(ms),
            None => wrong("the number is out of range"),
        }
    }
}

/// The meaning of a field name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Slot(usize),
    /// The watermark, which may also have a slot.
    Watermark(Option<usize>),
    /// The field goes into the rest.
    Rest,
    Skip,
}

impl Layout {
    /// A layout of these fields. If a name repeats, only the first field with it is kept.
    pub fn new(fields: impl IntoIterator<Item = (impl Into<String>, Conversion)>) -> Self {
        let mut layout = Self::default();
        for (name, conversion) in fields {
            if layout.schema.add(name, conversion.ty()) == layout.conversions.len() {
                layout.conversions.push(conversion);
            }
        }
        layout
    }

    /// A layout without a schema: the fields may hold any type.
    pub fn untyped(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(names.into_iter().map(|name| (name, Conversion::Any)))
    }

    /// A layout for records that name their own fields. The fields in `names` get optional slots, and all others go
    /// into the rest.
    pub fn open(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut layout = Self { schema: Schema::open(), conversions: vec![Conversion::Map], ..Self::default() };
        for name in names {
            if layout.schema.add_field(Field { name: name.into(), ty: Type::Any, optional: true }) == layout.conversions.len() {
                layout.conversions.push(Conversion::Any);
            }
        }
        layout
    }

    /// Takes the event time from `field`. The unit applies if the field holds numbers.
    ///
    /// # Errors
    /// There is no such field, or its type can't hold a time.
    pub fn with_event_time(mut self, field: &str, unit: TimeUnit) -> Result<Self, String> {
        let slot = self.schema.slot(field).ok_or_else(|| format!("there is no field `{field}` to take event time from"))?;
        let ty = self.conversions[slot].ty();
        if !matches!(ty, Type::Timestamp | Type::Int | Type::Double | Type::Any) {
            return Err(format!("field `{field}` is of type {ty}: event time is taken from a timestamp or a number"));
        }
        // A record without the field is a bad record.
        self.schema.require(field, ty);
        self.event_time = Some(EventTime { slot, unit });
        Ok(self)
    }

    /// Treats a line that has only `field` as a watermark, in the unit of event time.
    #[must_use]
    pub fn with_watermark_field(mut self, field: impl Into<String>) -> Self {
        self.watermark_field = Some(field.into());
        self
    }

    /// The meaning of a field name.
    pub(super) fn meaning(&self, name: &str) -> Meaning {
        let slot = self.schema.slot(name);
        match slot {
            _ if self.watermark_field() == Some(name) => Meaning::Watermark(slot),
            Some(slot) => Meaning::Slot(slot),
            None if self.schema.rest().is_some() => Meaning::Rest,
            None => Meaning::Skip,
        }
    }

    /// The schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Where the event time is found.
    #[must_use]
    pub fn event_time(&self) -> Option<EventTime> {
        self.event_time
    }

    /// The field that carries watermarks.
    #[must_use]
    pub fn watermark_field(&self) -> Option<&str> {
        self.watermark_field.as_deref()
    }

    /// The conversions in slot order. They are mutable because they have caches; each decoder owns its layout.
    pub(super) fn conversions(&mut self) -> &mut [Conversion] {
        &mut self.conversions
    }

    pub(super) fn name(&self, slot: usize) -> &str {
        self.schema.field(slot).map_or("", |f| &f.name)
    }

    /// Converts the text of a field. An error names the field.
    pub(super) fn convert(&mut self, slot: usize, text: &[u8]) -> Result<Value, String> {
        self.conversions[slot].of_text(text).map_err(|e| format!("field `{}`: {e}", self.name(slot)))
    }

    /// Makes a record of `row`, with its event time.
    pub(super) fn record(&self, row: Row) -> Result<Decoded<Row>, String> {
        let time = self.event_time.map(|event_time| event_time.of(&row, self.name(event_time.slot))).transpose()?;
        Ok(Decoded::Record { time, value: row })
    }

    /// The watermark set by a line that has only `value`.
    pub(super) fn watermark(&self, value: Value) -> Result<Decoded<Row>, String> {
        let event_time = EventTime { slot: 0, unit: self.event_time.map_or(TimeUnit::Millis, |e| e.unit) };
        // `i64::MAX` means the end of time in every unit.
        if value == Value::Int(i64::MAX) || value.as_str().is_some_and(|text| text.parse() == Ok(i64::MAX)) {
            return Ok(Decoded::Watermark(i64::MAX));
        }
        let name = self.watermark_field.as_deref().unwrap_or_default();
        event_time.of(&Row::from_iter([value]), name).map(Decoded::Watermark)
    }
}

/// Milliseconds since 1970, rounded down, also before 1970.
pub(super) fn floor_ms(t: jiff::Timestamp) -> i64 {
    let below = t.subsec_nanosecond() % 1_000_000 < 0;
    t.as_millisecond() - i64::from(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_time_needs_a_field_that_can_hold_a_time() {
        let layout = Layout::new([("name", Conversion::String)]);
        assert_eq!(layout.clone().with_event_time("ts", TimeUnit::Millis).unwrap_err(), "there is no field `ts` to take event time from");
        assert_eq!(
            layout.with_event_time("name", TimeUnit::Millis).unwrap_err(),
            "field `name` is of type string: event time is taken from a timestamp or a number"
        );
    }

    #[test]
    fn event_time_of_every_kind_of_value() {
        let of = |value: Value, unit| EventTime { slot: 0, unit }.of(&Row::from_iter([value]), "ts");
        assert_eq!(of(Value::Int(3), TimeUnit::Seconds), Ok(3000));
        assert_eq!(of(Value::Int(-1), TimeUnit::Micros), Ok(-1));
        assert_eq!(of(Value::Int(2_999_999), TimeUnit::Nanos), Ok(2));
        assert_eq!(of(Value::Double(1.5), TimeUnit::Seconds), Ok(1500));
        assert_eq!(of(Value::string("1970-01-01T00:00:01Z"), TimeUnit::Millis), Ok(1000));
        assert_eq!(of(Value::string("12"), TimeUnit::Seconds), Ok(12_000));
        assert_eq!(of(Value::string("0.5"), TimeUnit::Seconds), Ok(500));
        assert_eq!(of(Value::Timestamp(jiff::Timestamp::new(-1, -1).unwrap()), TimeUnit::Millis), Ok(-1001));
        assert_eq!(of(Value::Null, TimeUnit::Millis).unwrap_err(), "field `ts` is missing or null, and so the event time");
        assert_eq!(
            of(Value::string("noon"), TimeUnit::Millis).unwrap_err(),
            "field `ts`: \"noon\" is not a timestamp, and so no event time"
        );
        assert_eq!(of(Value::Bool(true), TimeUnit::Millis).unwrap_err(), "field `ts`: a bool is not a timestamp, and so no event time");
        for (value, unit) in [(i64::MAX, TimeUnit::Seconds), (i64::MIN, TimeUnit::Millis)] {
            assert_eq!(of(Value::Int(value), unit).unwrap_err(), "field `ts`: the number is out of range, and so no event time");
        }
    }
}
