//! Encodes rows as Avro messages.

use std::sync::{Arc, OnceLock};

use tidegate_rows::Row;
use tidegate_rows::format::RecordWriter;
use tidegate_runtime::Error;

use super::MAGIC;
use super::registry::Subject;
use crate::message::MessageEncoder;

/// Writes each row as a message: a record of a schema.
#[derive(Clone, Debug)]
pub struct AvroEncoder {
    writer: RecordWriter,
    framing: Option<Arc<Framing>>,
}

/// Where the schema id at the start of a message comes from.
#[derive(Debug)]
struct Framing {
    subject: Subject,
    id: OnceLock<u32>,
}

impl AvroEncoder {
    /// An encoder of unframed messages.
    #[must_use]
    pub fn plain(writer: RecordWriter) -> Self {
        Self { writer, framing: None }
    }

    /// An encoder of messages in Confluent's wire format, with the id that the subject assigns to the schema.
    #[must_use]
    pub fn framed(writer: RecordWriter, subject: Subject) -> Self {
        Self { writer, framing: Some(Arc::new(Framing { subject, id: OnceLock::new() })) }
    }
}

impl MessageEncoder<Row> for AvroEncoder {
    fn open(&self) -> Result<(), Error> {
        if let Some(framing) = self.framing.as_ref().filter(|framing| framing.id.get().is_none()) {
            // Another worker may have been first, with the same result.
            let _ = framing.id.set(framing.subject.id(self.writer.schema().text())?);
        }
        Ok(())
    }

    fn encode_message(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), String> {
        if let Some(framing) = &self.framing {
            let id = framing.id.get().ok_or("the encoder has not been opened")?;
            out.push(MAGIC);
            out.extend_from_slice(&id.to_be_bytes());
        }
        self.writer.write(row, out)
    }
}
