//! The Avro schema derived from the schema of a stream's rows.

use serde_json::{Value as Json, json};

use crate::{Schema, Type};

/// The schema of rows: each field is a union with null, which is its default.
pub(super) fn schema(name: &str, rows: &Schema) -> Result<Json, String> {
    let mut fields = Vec::new();
    if rows.rest().is_some() {
        return Err("the fields of these records are not known before they come: name them, with a `schema` or in `select`".into());
    }
    for (_, field) in rows.fields() {
        let ty = nullable(&field.ty).ok_or_else(|| {
            format!(
                "the field `{}` is of type {}, which says too little for a schema: convert it, as with `{}(...)`, or give a `schema_file`",
                field.name,
                field.ty,
                // A string keeps every digit of a decimal.
                if field.ty == Type::Decimal { "string" } else { "int" },
            )
        })?;
        fields.push(json!({ "name": field.name, "type": ty, "default": null }));
    }
    Ok(json!({ "type": "record", "name": name, "fields": fields }))
}

fn nullable(ty: &Type) -> Option<Json> {
    if *ty == Type::Null {
        return Some(json!("null"));
    }
    Some(json!(["null", plain(ty)?]))
}

fn plain(ty: &Type) -> Option<Json> {
    Some(match ty {
        // An Avro decimal fixes its scale in the type.
        Type::Null | Type::Any | Type::Decimal => return None,
        Type::Bool => json!("boolean"),
        Type::Int | Type::Uint => json!("long"),
        Type::Double => json!("double"),
        // Avro has no duration type that every reader knows.
        Type::String | Type::Duration => json!("string"),
        Type::Bytes => json!("bytes"),
        Type::Timestamp => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        Type::List(items) => json!({ "type": "array", "items": nullable(items)? }),
        Type::Map(key, values) if matches!(**key, Type::String) => json!({ "type": "map", "values": nullable(values)? }),
        Type::Map(..) => return None,
    })
}
