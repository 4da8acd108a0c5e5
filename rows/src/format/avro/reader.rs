//! Decodes bytes into rows.

use std::sync::Arc;

use super::cursor::Cursor;
use super::shape::{At, Shape};
use super::{AvroSchema, read};
use crate::format::layout::Meaning;
use crate::format::{Conversion, Decoded, Layout};
use crate::{Row, Value};

/// Reads records of one writer's schema into the rows of a layout, matching fields by name.
#[derive(Clone, Debug)]
pub struct RecordReader {
    layout: Layout,
    /// The row of a message that has none of the fields.
    blank: Row,
    shape: Arc<Shape>,
    fields: Arc<[Step]>,
}

/// How to read one field of the schema.
#[derive(Debug)]
struct Step {
    ty: At,
    meaning: Meaning,
    /// The field's name, which is its key in the rest.
    name: Value,
}

impl RecordReader {
    /// A reader of records of `schema` for rows of `layout`.
    #[must_use]
    pub fn new(layout: Layout, schema: &AvroSchema) -> Self {
        let step = |field: &super::shape::Field| Step {
            ty: field.ty,
            meaning: layout.meaning(&field.name),
            name: Value::String(field.name.clone()),
        };
        let fields = schema.record().iter().map(step).collect();
        Self { blank: layout.schema().blank(), shape: Arc::clone(&schema.shape), fields, layout }
    }

    /// Decodes the record in `octets`.
    ///
    /// # Errors
    /// Describes why the bytes are not a record of the schema, or which value does not fit its field.
    pub fn read(&mut self, octets: &[u8]) -> Result<Decoded<Row>, String> {
        let Self { layout, shape, fields, .. } = self;
        let mut row = self.blank.clone();
        let mut from = Cursor::new(octets);
        let mut rest = Vec::new();
        let mut watermark = None;
        let mut others = false;
        for step in &**fields {
            let in_field = |e: String| format!("field `{}`: {e}", step.name.as_str().unwrap_or_default());
            let mut read = |conversion: &mut Conversion| read::value(shape, step.ty, conversion, &mut from).map_err(in_field);
            match step.meaning {
                Meaning::Slot(slot) => {
                    let value = read(&mut layout.conversions()[slot])?;
                    others |= !value.is_null();
                    row.0[slot] = value;
                }
                Meaning::Watermark(slot) => {
                    let value = match slot {
                        Some(slot) => read(&mut layout.conversions()[slot])?,
                        None => read(&mut Conversion::Any)?,
                    };
                    if let Some(slot) = slot {
                        row.0[slot] = value.clone();
                    }
                    watermark = (!value.is_null()).then_some(value);
                }
                Meaning::Rest => {
                    let value = read(&mut Conversion::Any)?;
                    others |= !value.is_null();
                    rest.push((step.name.clone(), value));
                }
                Meaning::Skip => others |= !read::skip(shape, step.ty, &mut from).map_err(in_field)?,
            }
        }
        if from.left() > 0 {
            return Err(format!("{} octets are left behind the record: it is of another schema", from.left()));
        }
        if let Some(slot) = layout.schema().rest() {
            row.0[slot] = Value::map(rest);
        }
        match watermark {
            Some(value) if !others => layout.watermark(value),
            _ => layout.record(row),
        }
    }
}
