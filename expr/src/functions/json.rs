//! Reading and writing JSON.

use serde::ser::{Error, Serialize, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use tidegate_rows::Value;

use super::{Function, Outcome, Style, T, base64_encode, no_match};
use crate::arith::bounded_text;
use crate::display;
use crate::error::EvalError;
use crate::val::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "json",
        style: Style::Global,
        overloads: &[(&[T::String], T::Any)],
        call: read,
        doc: "The value of JSON text: objects become maps, and whole numbers become ints where they fit. An error if the text is malformed.",
        examples: &[("json('{\"tags\": [\"a\", \"b\"]}').tags[1]", "'b'"), ("json('[1, 2.5, null]')", "[1, 2.5, null]")],
    },
    Function {
        name: "to_json",
        style: Style::Global,
        overloads: &[(&[T::Any], T::String)],
        call: write,
        doc: "The value as JSON text: timestamps in RFC 3339, durations in seconds (`1.5s`), bytes in base64; decimals are numbers with all their digits; NaN and infinities are null.",
        examples: &[("to_json({'n': 1, 'l': [true, null]})", "'{\"n\":1,\"l\":[true,null]}'")],
    },
];

fn read(args: &[Val<'_>]) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(json) => Ok(Val::Own(from_json(&json))),
            Err(error) => Err(EvalError::message(format!("the text is not JSON: {error}"))),
        },
        _ => no_match(),
    }
}

/// Converts a JSON value. Whole numbers become ints if they fit, other numbers doubles.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Bool(*v),
        Json::Number(v) => match (v.as_i64(), v.as_u64()) {
            (Some(v), _) => Value::Int(v),
            (_, Some(v)) => Value::Uint(v),
            _ => v.as_f64().map_or(Value::Null, Value::Double),
        },
        Json::String(v) => Value::string(v),
        Json::Array(items) => Value::list(items.iter().map(from_json)),
        Json::Object(fields) => Value::map(fields.iter().map(|(k, v)| (Value::string(k), from_json(v)))),
    }
}

fn write(args: &[Val<'_>]) -> Outcome {
    let Some(value) = args.first() else { return no_match() };
    let text = match value.data() {
        Some(value) => serde_json::to_string(&Written(value)),
        None => serde_json::to_string(&Written(&value.clone().into_value())),
    };
    let text = text.map_err(|error| EvalError::message(format!("the value has no JSON text: {error}")))?;
    bounded_text(text.len())?;
    Ok(Val::text(text))
}

/// A value that serializes as JSON. Decimals are numbers with all their digits.
struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null | Value::Absent => s.serialize_unit(),
            Value::Bool(v) => s.serialize_bool(*v),
            Value::Int(v) => s.serialize_i64(*v),
            Value::Uint(v) => s.serialize_u64(*v),
            Value::Double(v) => s.serialize_f64(*v),
            Value::Decimal(v) => RawValue::from_string(v.to_string()).map_err(S::Error::custom)?.serialize(s),
            Value::String(v) => s.serialize_str(v),
            Value::Bytes(v) => s.serialize_str(&base64_encode(v)),
            Value::Timestamp(_) | Value::Duration(_) => s.collect_str(&display::Plain(self.0)),
            Value::List(items) => s.collect_seq(items.iter().map(Written)),
            Value::Map(entries) => s.collect_map(entries.iter().map(|(k, v)| (display::Plain(k).to_string(), Written(v)))),
        }
    }
}
