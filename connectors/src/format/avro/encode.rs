//! Rows into messages.

use std::sync::{Arc, OnceLock};

use tidegate_runtime::Error;

use super::registry::Subject;
use super::shape::At;
use super::{AvroSchema, MAGIC, write};
use crate::format::MessageEncoder;
use crate::row::{Row, Schema, Value};

/// Writes rows as records of a schema, each field by its name.
#[derive(Clone, Debug)]
pub struct AvroEncoder {
    schema: AvroSchema,
    fields: Arc<[Field]>,
    /// The fields of rows that the schema has not, and the slots of those: a row that has one can't be written.
    unknown: Arc<[(usize, Box<str>)]>,
    /// The slot of the fields that have none of their own.
    rest: Option<usize>,
    framing: Option<Arc<Framing>>,
}

/// A field of the schema.
#[derive(Debug)]
struct Field {
    name: Box<str>,
    ty: At,
    slot: Option<usize>,
}

/// Where the id comes from that messages begin with.
#[derive(Debug)]
struct Framing {
    subject: Subject,
    id: OnceLock<u32>,
}

impl AvroEncoder {
    /// An encoder of rows of `rows`, without framing. What the schema has and the rows have not is null.
    ///
    /// # Errors
    /// The rows have a field that the schema has not, or the other way round one that must not be null: a sentence.
    pub fn new(schema: AvroSchema, rows: &Schema) -> Result<Self, String> {
        let shape = Arc::clone(&schema.shape);
        let record = shape.record()?;
        let rest = rows.rest();
        let unknown: Vec<_> = rows.fields().filter(|(_, own)| record.iter().all(|field| field.name != *own.name)).collect();
        if let Some((_, field)) = unknown.iter().find(|(_, field)| !field.optional) {
            return Err(format!("the schema has no field `{}`, which these records have: leave it out with `select`", field.name));
        }
        let unknown = unknown.into_iter().map(|(slot, field)| (slot, field.name.as_str().into())).collect();
        let mut fields = Vec::new();
        for field in record {
            let slot = rows.slot(&field.name);
            if slot.is_none() && rest.is_none() && write::value(&shape, field.ty, &Value::Null, &mut Vec::new()).is_err() {
                return Err(format!("these records have no field `{}`, which the schema has and which must not be null there", field.name));
            }
            fields.push(Field { name: field.name.as_str().into(), ty: field.ty, slot });
        }
        Ok(Self { schema, fields: fields.into(), unknown, rest, framing: None })
    }

    /// Writes messages in Confluent's framing, with the id that the schema has among those of a subject.
    #[must_use]
    pub fn framed(self, subject: Subject) -> Self {
        Self { framing: Some(Arc::new(Framing { subject, id: OnceLock::new() })), ..self }
    }
}

impl MessageEncoder<Row> for AvroEncoder {
    fn open(&self) -> Result<(), Error> {
        if let Some(framing) = self.framing.as_ref().filter(|framing| framing.id.get().is_none()) {
            // Another worker may have been first, with the same answer.
            let _ = framing.id.set(framing.subject.id(self.schema.text())?);
        }
        Ok(())
    }

    fn encode_message(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), String> {
        if let Some(framing) = &self.framing {
            let id = framing.id.get().ok_or("the encoder has not been opened")?;
            out.push(MAGIC);
            out.extend_from_slice(&id.to_be_bytes());
        }
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
