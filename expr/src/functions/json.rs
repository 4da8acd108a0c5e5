//! JSON, read and written.

use serde_json::Value as Json;
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
        doc: "What a JSON text stands for: objects are maps, whole numbers ints where they fit. An error if the text is malformed.",
        examples: &[("json('{\"tags\": [\"a\", \"b\"]}').tags[1]", "'b'"), ("json('[1, 2.5, null]')", "[1, 2.5, null]")],
    },
    Function {
        name: "to_json",
        style: Style::Global,
        overloads: &[(&[T::Any], T::String)],
        call: write,
        doc: "The value as JSON text: timestamps in RFC 3339, durations in seconds (`1.5s`), bytes in base64; NaN and infinities are null.",
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

/// The value a JSON value stands for: whole numbers are ints where they fit, others doubles.
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
        Some(value) => to_json(value).to_string(),
        None => to_json(&value.clone().into_value()).to_string(),
    };
    bounded_text(text.len())?;
    Ok(Val::text(text))
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null | Value::Absent => Json::Null,
        Value::Bool(v) => (*v).into(),
        Value::Int(v) => (*v).into(),
        Value::Uint(v) => (*v).into(),
        Value::Double(v) => (*v).into(),
        Value::String(v) => v.as_str().into(),
        Value::Bytes(v) => base64_encode(v).into(),
        Value::Timestamp(_) | Value::Duration(_) => display::Plain(value).to_string().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => entries.iter().map(|(k, v)| (display::Plain(k).to_string(), to_json(v))).collect(),
    }
}
