//! Encodes rows into bytes.

use std::sync::Arc;

use super::shape::At;
use super::{AvroSchema, write};
use crate::{Row, Schema, Value};

/// Writes rows as records of a schema, matching fields by name.
#[derive(Clone, Debug)]
pub struct RecordWriter {
    schema: AvroSchema,
    fields: Arc<[Field]>,
    /// Optional fields of the rows that the schema lacks, with their slots. A row that has one can't be written.
    unknown: Arc<[(usize, Box<str>)]>,
    /// The slot of the rest, which holds the fields without a slot of their own.
    rest: Option<usize>,
}

/// A field of the schema.
#[derive(Debug)]
struct Field {
    name: Box<str>,
    ty: At,
    slot: Option<usize>,
}

impl RecordWriter {
    /// Makes a writer of rows of `rows`. Schema fields that the rows lack are written as null.
    ///
    /// # Errors
    /// Names a field that the rows have but the schema lacks, or a field of the schema that is missing from the rows
    /// and must not be null.
    pub fn new(schema: AvroSchema, rows: &Schema) -> Result<Self, String> {
        let shape = &schema.shape;
        let record = schema.record();
        let rest = rows.rest();
        let unknown: Vec<_> = rows.fields().filter(|(_, own)| record.iter().all(|field| field.name != *own.name)).collect();
        if let Some((_, field)) = unknown.iter().find(|(_, field)| !field.optional) {
            return Err(format!("the schema has no field `{}`, which these records have: leave it out with `select`", field.name));
        }
        let unknown = unknown.into_iter().map(|(slot, field)| (slot, field.name.as_str().into())).collect();
        let mut fields = Vec::new();
        for field in record {
            let slot = rows.slot(&field.name);
            if slot.is_none() && rest.is_none() && write::value(shape, field.ty, &Value::Null, &mut Vec::new()).is_err() {
                return Err(format!("these records have no field `{}`, which the schema has and which must not be null there", field.name));
            }
            fields.push(Field { name: field.name.as_str().into(), ty: field.ty, slot });
        }
        Ok(Self { schema, fields: fields.into(), unknown, rest })
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &AvroSchema {
        &self.schema
    }

    /// Appends the encoded bytes of `row`.
    ///
    /// # Errors
    /// Names the field, its value and the expected type, if the row does not fit the schema.
    pub fn write(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), String> {
        let rest: &[(Value, Value)] = match self.rest.map(|slot| row.get(slot)) {
            Some(Value::Map(entries)) => entries,
            _ => &[],
        };
        let mut found = 0;
        for field in &*self.fields {
            let value = match field.slot {
                Some(slot) => row.get(slot),
                None => match rest.iter().find(|(name, _)| name.as_str() == Some(&field.name)) {
                    Some((_, value)) => {
                        found += 1;
                        value
                    }
                    None => &Value::Null,
                },
            };
            write::value(&self.schema.shape, field.ty, value, out).map_err(|e| format!("field `{}`: {e}", field.name))?;
        }
        let unknown = self.unknown.iter().find(|(slot, _)| row.has(*slot)).map(|(_, name)| &**name);
        if unknown.is_some() || found < rest.len() {
            let known = |name: &Value| self.fields.iter().any(|field| name.as_str() == Some(&field.name));
            let name = unknown.or_else(|| rest.iter().find_map(|(name, _)| name.as_str().filter(|_| !known(name))));
            return Err(format!("the schema has no field `{}`: leave it out with `select`", name.unwrap_or_default()));
        }
        Ok(())
    }
}
