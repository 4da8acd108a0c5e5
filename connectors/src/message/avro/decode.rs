//! Decodes Avro messages into rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_rows::Row;
use tidegate_rows::format::{AvroSchema, Decoded, Layout, RecordReader};

use super::MAGIC;
use super::registry::Registry;
use crate::message::{DecodeError, MessageDecoder, MessageFormat};

/// How long to remember that the registry does not have a schema.
const MISSING: Duration = Duration::from_secs(10);

/// Avro messages of a layout.
#[derive(Clone, Debug)]
pub struct AvroFormat {
    layout: Layout,
    schemas: Schemas,
}

#[derive(Clone, Debug)]
enum Schemas {
    /// Each message names its schema.
    Registered(Registry),
    /// All messages have this schema.
    Fixed(AvroSchema),
}

impl AvroFormat {
    /// Messages in Confluent's wire format, whose schemas are in this registry.
    #[must_use]
    pub fn registered(layout: Layout, registry: Registry) -> Self {
        Self { layout, schemas: Schemas::Registered(registry) }
    }

    /// Unframed messages, which all have this schema.
    #[must_use]
    pub fn plain(layout: Layout, schema: AvroSchema) -> Self {
        Self { layout, schemas: Schemas::Fixed(schema) }
    }
}

impl MessageFormat for AvroFormat {
    type Item = Row;
    type Decoder = AvroDecoder;

    fn message_decoder(&self) -> AvroDecoder {
        let layout = self.layout.clone();
        AvroDecoder(match &self.schemas {
            Schemas::Registered(registry) => Readers::Registered { registry: registry.clone(), layout, last: None, known: HashMap::new() },
            Schemas::Fixed(schema) => Readers::Fixed(RecordReader::new(layout, schema)),
        })
    }
}

/// Decodes messages into rows. Blocks on the registry when a schema is seen for the first time.
#[derive(Debug)]
pub struct AvroDecoder(Readers);

#[derive(Debug)]
enum Readers {
    Fixed(RecordReader),
    Registered {
        registry: Registry,
        layout: Layout,
        /// The schema of the previous message, which is usually also that of the next one.
        last: Option<(u32, RecordReader)>,
        known: HashMap<u32, Lookup>,
    },
}

#[derive(Debug)]
enum Lookup {
    /// The reader for records of the schema, or what is wrong with the schema.
    Found(Result<RecordReader, Arc<str>>),
    /// The registry did not have the schema at this time.
    Missing(Instant),
}

#[cold]
fn look_up(id: u32, registry: &Registry, known: &mut HashMap<u32, Lookup>, layout: &Layout) -> Result<RecordReader, DecodeError> {
    let missing = || DecodeError::Bad(format!("the registry {} has no schema {id}", registry.url()));
    let known = match known.get(&id) {
        Some(Lookup::Found(known)) => known.clone(),
        Some(Lookup::Missing(since)) if since.elapsed() < MISSING => return Err(missing()),
        _ => {
            let Some(schema) = registry.schema(id)? else {
                known.insert(id, Lookup::Missing(Instant::now()));
                return Err(missing());
            };
            let reader = schema.map(|schema| RecordReader::new(layout.clone(), &schema));
            known.insert(id, Lookup::Found(reader.clone()));
            reader
        }
    };
    known.map_err(|what| format!("schema {id} of the registry {}: {what}", registry.url()).into())
}

impl MessageDecoder for AvroDecoder {
    type Item = Row;

    fn decode_message(&mut self, message: &[u8]) -> Result<Decoded<Row>, DecodeError> {
        let (registry, layout, last, known) = match &mut self.0 {
            Readers::Fixed(reader) => return Ok(reader.read(message)?),
            Readers::Registered { registry, layout, last, known } => (registry, layout, last, known),
        };
        let Some(([MAGIC, id @ ..], value)) = message.split_first_chunk::<5>() else {
            return Err("the message does not begin with a zero and the id of a schema, as those of a schema registry do"
                .to_owned()
                .into());
        };
        let id = u32::from_be_bytes(*id);
        let reader = match last.take() {
            Some((of, reader)) if of == id => reader,
            _ => look_up(id, registry, known, layout)?,
        };
        Ok(last.insert((id, reader)).1.read(value)?)
    }
}
