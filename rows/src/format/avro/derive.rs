//! The schema that the rows of a stream have.

use serde_json::{Value as Json, json};

use crate::{Schema, Type};

/// The schema of rows: each field in a union with null, which it is unless it is given.
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
                // A text is as exact as a decimal.
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
        // The scale of a decimal is part of its type.
        Type::Null | Type::Any | Type::Decimal => return None,
        Type::Bool => json!("boolean"),
        Type::Int | Type::Uint => json!("long"),
        Type::Double => json!("double"),
        // Avro has no type for spans that every reader knows.
        Type::String | Type::Duration => json!("string"),
        Type::Bytes => json!("bytes"),
        Type::Timestamp => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        Type::List(items) => json!({ "type": "array", "items": nullable(items)? }),
        Type::Map(key, values) if matches!(**key, Type::String) => json!({ "type": "map", "values": nullable(values)? }),
        Type::Map(..) => return None,
    })
}
