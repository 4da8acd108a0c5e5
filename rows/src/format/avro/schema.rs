//! A record schema: its text and its compiled form.

use std::sync::Arc;

use apache_avro::Schema as Parsed;

use super::derive;
use super::shape::{At, Avro, Field, Shape};
use crate::Schema;
use crate::format::{Conversion, TimeUnit};

/// The schema of records.
#[derive(Clone, Debug)]
pub struct AvroSchema {
    text: Arc<str>,
    pub(super) shape: Arc<Shape>,
}

impl AvroSchema {
    /// Parses a schema from JSON text.
    ///
    /// # Errors
    /// Describes why the text is not a schema, or that it is not the schema of a record.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, [])
    }

    /// Parses a schema that refers to types of the schemas in `others`.
    ///
    /// # Errors
    /// Describes why the text is not a schema, or that it is not the schema of a record.
    pub fn parse_with<'t>(text: &str, others: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let others: Vec<&str> = others.into_iter().collect();
        // The parser resolves references only by the names in `others`.
        let (parsed, others) = if others.is_empty() {
            (Parsed::parse_str(text).map_err(|e| e.to_string())?, Vec::new())
        } else {
            Parsed::parse_str_with_list(text, others).map_err(|e| e.to_string())?
        };
        let shape = Shape::new(&parsed, &others)?;
        shape.record()?;
        Ok(Self { text: text.into(), shape: Arc::new(shape) })
    }

    /// The schema of rows, named `name`. Every field is nullable, and timestamps are in microseconds.
    ///
    /// # Errors
    /// Names the field whose type or name Avro can't express.
    pub fn of_rows(name: &str, rows: &Schema) -> Result<Self, String> {
        Self::parse(&derive::schema(name, rows)?.to_string())
    }

    /// The schema text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn record(&self) -> &[Field] {
        // Parsing refuses schemas of anything but records.
        self.shape.record().unwrap_or_default()
    }

    /// The fields, each with the conversion that reads it.
    pub fn fields(&self) -> impl Iterator<Item = (String, Conversion)> {
        self.record().iter().map(|field| (field.name.to_string(), conversion(&self.shape, field.ty)))
    }
}

fn conversion(shape: &Shape, at: At) -> Conversion {
    match shape.at(at) {
        Avro::Boolean => Conversion::Bool,
        Avro::Int | Avro::Long => Conversion::Int,
        Avro::Float | Avro::Double | Avro::Decimal { .. } => Conversion::Double,
        Avro::Bytes | Avro::Fixed(_) => Conversion::Bytes,
        Avro::String | Avro::Enum(_) | Avro::Uuid(_) => Conversion::String,
        Avro::Array(_) => Conversion::List,
        Avro::Map(_) | Avro::Record(_) => Conversion::Map,
        Avro::Timestamp(_) | Avro::Date => Conversion::TimestampIn(TimeUnit::Millis),
        Avro::Time(_) | Avro::Duration => Conversion::Duration,
        Avro::Null => Conversion::Any,
        Avro::Union(_) => shape.nullable(at).map_or(Conversion::Any, |other| conversion(shape, other)),
    }
}
