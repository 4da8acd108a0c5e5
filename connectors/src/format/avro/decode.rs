//! Messages into rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cursor::Cursor;
use super::registry::Registry;
use super::shape::{At, Shape};
use super::{AvroSchema, MAGIC, read};
use crate::format::layout::Meaning;
use crate::format::{Conversion, DecodeError, Decoded, Layout, MessageDecoder, MessageFormat};
use crate::row::{Row, Value};

/// How long it is taken for granted that the registry does not have a schema.
const MISSING: Duration = Duration::from_secs(10);

/// Messages of a layout.
#[derive(Clone, Debug)]
pub struct AvroFormat {
    layout: Layout,
    schemas: Schemas,
}

#[derive(Clone, Debug)]
enum Schemas {
    /// Each message names its own.
    Registered(Registry),
    /// All are of one.
    Fixed(AvroSchema),
}

impl AvroFormat {
    /// Messages in Confluent's framing, whose schemas are in this registry.
    #[must_use]
    pub fn registered(layout: Layout, registry: Registry) -> Self {
        Self { layout, schemas: Schemas::Registered(registry) }
    }

    /// Messages without framing, which are all of this schema.
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
        let source = match &self.schemas {
            Schemas::Registered(registry) => Source::Registered { registry: registry.clone(), last: None, known: HashMap::new() },
            Schemas::Fixed(schema) => Source::Fixed(Plan::new(&layout, Arc::clone(&schema.shape)).map_err(Arc::from)),
        };
        AvroDecoder { blank: layout.schema().blank(), layout, source }
    }
}

/// Decodes messages into rows. Waits for the registry when a schema comes for the first time.
#[derive(Debug)]
pub struct AvroDecoder {
    layout: Layout,
    /// The row of a message without a field.
    blank: Row,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Fixed(Known),
    Registered {
        registry: Registry,
        /// The schema of the message before, which most often is that of the next one.
        last: Option<(u32, Arc<Plan>)>,
        known: HashMap<u32, Lookup>,
    },
}

/// How records of a schema are read, or what is wrong with it.
type Known = Result<Arc<Plan>, Arc<str>>;

#[derive(Debug)]
enum Lookup {
    Found(Known),
    /// The registry did not have it at this time.
    Missing(Instant),
}

/// How the records of a writer's schema become rows.
#[derive(Debug)]
struct Plan {
    shape: Arc<Shape>,
    fields: Box<[Step]>,
}

/// What to do with a field.
#[derive(Debug)]
struct Step {
    ty: At,
    meaning: Meaning,
    /// The name, for the rest.
    name: Value,
}

impl Plan {
    fn new(layout: &Layout, shape: Arc<Shape>) -> Result<Arc<Self>, String> {
        let step = |field: &super::shape::Field| Step {
            ty: field.ty,
            meaning: layout.meaning(&field.name),
            name: Value::String(field.name.clone()),
        };
        let fields = shape.record()?.iter().map(step).collect();
        Ok(Arc::new(Self { shape, fields }))
    }
}

impl Source {
    /// The plan of a message, and its value.
    #[inline]
    fn plan<'m>(&mut self, layout: &Layout, message: &'m [u8]) -> Result<(&Plan, &'m [u8]), DecodeError> {
        let (registry, last, known) = match self {
            Self::Fixed(Ok(plan)) => return Ok((plan, message)),
            Self::Fixed(Err(what)) => return Err(what.to_string().into()),
            Self::Registered { registry, last, known } => (registry, last, known),
        };
        let Some(([MAGIC, id @ ..], value)) = message.split_first_chunk::<5>() else {
            return Err("the message does not begin with a zero and the id of a schema, as those of a schema registry do"
                .to_owned()
                .into());
        };
        let id = u32::from_be_bytes(*id);
        let plan = match last.take() {
            Some((of, plan)) if of == id => plan,
            _ => look_up(id, registry, known, layout)?,
        };
        Ok((&last.insert((id, plan)).1, value))
    }
}

#[cold]
fn look_up(id: u32, registry: &Registry, known: &mut HashMap<u32, Lookup>, layout: &Layout) -> Result<Arc<Plan>, DecodeError> {
    let missing = || DecodeError::Bad(format!("the registry {} has no schema {id}", registry.url()));
    let known = match known.get(&id) {
        Some(Lookup::Found(known)) => known.clone(),
        Some(Lookup::Missing(since)) if since.elapsed() < MISSING => return Err(missing()),
        _ => {
            let Some(shape) = registry.shape(id)? else {
                known.insert(id, Lookup::Missing(Instant::now()));
                return Err(missing());
            };
            let plan: Known = shape.and_then(|shape| Plan::new(layout, shape).map_err(Arc::from));
            known.insert(id, Lookup::Found(plan.clone()));
            plan
        }
    };
    known.map_err(|what| format!("schema {id} of the registry {}: {what}", registry.url()).into())
}

impl MessageDecoder for AvroDecoder {
    type Item = Row;

    fn decode_message(&mut self, message: &[u8]) -> Result<Decoded<Row>, DecodeError> {
        let (plan, value) = self.source.plan(&self.layout, message)?;
        Ok(decode(&mut self.layout, self.blank.clone(), plan, value)?)
    }
}

fn decode(layout: &mut Layout, mut row: Row, plan: &Plan, message: &[u8]) -> Result<Decoded<Row>, String> {
    let mut from = Cursor::new(message);
    let mut rest = Vec::new();
    let mut watermark = None;
    let mut others = false;
    for step in &plan.fields {
        let in_field = |e: String| format!("field `{}`: {e}", step.name.as_str().unwrap_or_default());
        let mut read = |conversion: &mut Conversion| read::value(&plan.shape, step.ty, conversion, &mut from).map_err(in_field);
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
            Meaning::Skip => others |= !read::skip(&plan.shape, step.ty, &mut from).map_err(in_field)?,
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
