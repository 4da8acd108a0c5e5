//! `tidegate eval --batch`: typed JSON Lines in and out, in the format of the CEL conformance data.
//!
//! A typed value is `{"int": "1"}`, `{"uint": "1"}`, `{"double": 1.5}` (or `"NaN"`, `"Infinity"`, `"-Infinity"`), `{"string": ".."}`,
//! `{"bytes_b64": ".."}`, `{"bool": true}`, `{"null": null}`, `{"list": [..]}`, `{"map": [[key, value], ..]}`, `{"type": "int"}`,
//! `{"timestamp": "RFC 3339"}` or `{"duration": "1.5s"}`.

use serde_json::{Value as Json, json};
use tidegate_rows::format::duration;
use tidegate_rows::{Row, Schema, Type, Value};

use super::check::{Scope, check};
use super::display;
use super::functions::{base64_decode, base64_encode};
use super::node::Env;
use super::parse::parse;
use super::problem::Problem;
use super::val::Val;

/// Evaluates one line of `tidegate eval --batch`: an object with `expr`, and optionally `vars`, `types`, `container`
/// and `disable_check`. Never fails: an error becomes `{"error": ".."}`.
#[must_use]
pub fn eval_batch_line(line: &str) -> String {
    let answer = match evaluate(line) {
        Ok(value) => json!({ "value": value }),
        Err(error) => json!({ "error": error }),
    };
    answer.to_string()
}

fn evaluate(line: &str) -> Result<Json, String> {
    let case: Json = serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let source = case.get("expr").and_then(Json::as_str).ok_or("`expr` is missing")?;
    let container = case.get("container").and_then(Json::as_str).unwrap_or_default();
    let unchecked = case.get("disable_check").and_then(Json::as_bool).unwrap_or_default();
    let none = serde_json::Map::new();
    let vars = case.get("vars").and_then(Json::as_object).unwrap_or(&none);
    let types = case.get("types").and_then(Json::as_object).unwrap_or(&none);

    let mut schema = Schema::default();
    let mut values = Vec::new();
    for (name, value) in vars {
        let declared = types.get(name).and_then(Json::as_str).filter(|_| !unchecked);
        schema.add(name, declared.map_or(Some(Type::Any), read_type).ok_or_else(|| format!("unknown type of `{name}`"))?);
        values.push(read(value).ok_or_else(|| format!("the value of `{name}` is not a typed value"))?);
    }
    let row: Row = values.into_iter().collect();
    let parsed = parse(source).map_err(|problem| problem.to_string())?;
    let scope = Scope { schema: &schema, container, lenient: unchecked };
    let typed = check(&parsed, &scope).map_err(|problems| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))?;
    let steps = Env::steps();
    let value = typed.node.eval(&Env::new(&row, &steps)).map_err(|error| error.to_string())?;
    Ok(write(&value))
}

/// Parses a type such as `map(string, int)`.
fn read_type(text: &str) -> Option<Type> {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix("list(").and_then(|t| t.strip_suffix(')')) {
        return Some(Type::List(Box::new(read_type(inner)?)));
    }
    if let Some(inner) = text.strip_prefix("map(").and_then(|t| t.strip_suffix(')')) {
        let (key, value) = inner.split_once(',')?;
        return Some(Type::Map(Box::new(read_type(key)?), Box::new(read_type(value)?)));
    }
    Some(match text {
        "null" | "null_type" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" | "google.protobuf.Timestamp" => Type::Timestamp,
        "duration" | "google.protobuf.Duration" => Type::Duration,
        "list" => Type::list(),
        "map" => Type::map(),
        "dyn" | "any" => Type::Any,
        _ => return None,
    })
}

fn read(typed: &Json) -> Option<Value> {
    let (kind, value) = typed.as_object().filter(|o| o.len() == 1)?.iter().next()?;
    Some(match kind.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(value.as_bool()?),
        "int" => Value::Int(value.as_str()?.parse().ok()?),
        "uint" => Value::Uint(value.as_str()?.parse().ok()?),
        "double" => Value::Double(match value.as_str() {
            Some(text) => text.parse().ok()?,
            None => value.as_f64()?,
        }),
        "string" => Value::string(value.as_str()?),
        "bytes_b64" => Value::Bytes(base64_decode(value.as_str()?)?.into()),
        "timestamp" => Value::Timestamp(value.as_str()?.parse().ok()?),
        "duration" => Value::Duration(duration::parse(value.as_str()?)?),
        "list" => Value::list(value.as_array()?.iter().map(read).collect::<Option<Vec<_>>>()?),
        "map" => {
            let entry = |pair: &Json| Some((read(pair.get(0)?)?, read(pair.get(1)?)?));
            Value::map(value.as_array()?.iter().map(entry).collect::<Option<Vec<_>>>()?)
        }
        _ => return None,
    })
}

fn write(value: &Val<'_>) -> Json {
    if let Some(items) = value.items() {
        return json!({ "list": items.iter().map(|v| write(&v)).collect::<Vec<_>>() });
    }
    if let Some(entries) = value.entries() {
        return json!({ "map": entries.iter().map(|(k, v)| json!([write(&Val::Ref(k)), write(&v)])).collect::<Vec<_>>() });
    }
    match value {
        Val::Type(name) => json!({ "type": name }),
        Val::Net(net) => json!({ "string": net.to_string() }),
        Val::Optional(Some(inner)) => json!({ "optional": write(inner) }),
        other => match other.data() {
            Some(Value::Bool(v)) => json!({ "bool": v }),
            Some(Value::Int(v)) => json!({ "int": v.to_string() }),
            Some(Value::Uint(v)) => json!({ "uint": v.to_string() }),
            Some(Value::Double(v)) if v.is_finite() => json!({ "double": v }),
            Some(Value::Double(v)) => json!({ "double": display::double(*v) }),
            Some(Value::String(v)) => json!({ "string": v.as_str() }),
            Some(Value::Bytes(v)) => json!({ "bytes_b64": base64_encode(v) }),
            Some(Value::Timestamp(v)) => json!({ "timestamp": display::timestamp(*v) }),
            Some(Value::Duration(v)) => json!({ "duration": display::duration(*v) }),
            _ => json!({ "null": null }),
        },
    }
}
