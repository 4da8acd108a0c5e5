//! What a message carries besides its value: key, headers, time and position, as fields of a row.

use std::sync::Arc;

use compact_str::CompactString;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tidegate_runtime::Record;

use tidegate_rows::{Row, Type, Value};

/// A part of a message other than its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// The key as text, or null if there is none. A message whose key is not UTF-8 is a bad record.
    Key,
    /// The key as bytes, or null if there is none.
    KeyBytes,
    /// The headers: a map from names to text (or bytes, if not UTF-8). If a name repeats, the last header wins.
    Headers,
    /// The timestamp that the producer or the broker assigned.
    Timestamp,
    /// The topic.
    Topic,
    /// The partition number.
    Partition,
    /// The offset in the partition.
    Offset,
}

impl Metadata {
    /// All parts, with their names in job files.
    pub const ALL: [(&'static str, Self); 7] = [
        ("key", Self::Key),
        ("key_bytes", Self::KeyBytes),
        ("headers", Self::Headers),
        ("timestamp", Self::Timestamp),
        ("topic", Self::Topic),
        ("partition", Self::Partition),
        ("offset", Self::Offset),
    ];

    /// The type of the part's field.
    #[must_use]
    pub fn ty(self) -> Type {
        match self {
            Self::Key | Self::Topic => Type::String,
            Self::KeyBytes => Type::Bytes,
            Self::Headers => Type::map(),
            Self::Timestamp => Type::Timestamp,
            Self::Partition | Self::Offset => Type::Int,
        }
    }
}

/// A message without its value.
pub struct Envelope<'m> {
    pub(super) message: &'m BorrowedMessage<'m>,
    pub(super) topic: &'m CompactString,
}

impl Envelope<'_> {
    /// The timestamp that the producer or the broker assigned, in milliseconds since 1970.
    fn time(&self) -> Result<i64, String> {
        self.message.timestamp().to_millis().ok_or_else(|| "the message has no timestamp".to_owned())
    }

    fn value(&self, part: Metadata) -> Result<Value, String> {
        let message = self.message;
        Ok(match part {
            Metadata::Key => match message.key().map(std::str::from_utf8) {
                None => Value::Null,
                Some(Ok(key)) => Value::String(CompactString::new(key)),
                Some(Err(_)) => return Err("the key is not UTF-8 text (`key_bytes` takes any)".into()),
            },
            Metadata::KeyBytes => message.key().map_or(Value::Null, |key| Value::Bytes(Arc::from(key))),
            Metadata::Headers => {
                let mut map: Vec<(Value, Value)> = Vec::new();
                for header in message.headers().into_iter().flat_map(Headers::iter) {
                    let name = Value::string(header.key);
                    let value = header.value.map_or(Value::Null, |v| match std::str::from_utf8(v) {
                        Ok(text) => Value::string(text),
                        Err(_) => Value::Bytes(Arc::from(v)),
                    });
                    map.retain(|(known, _)| *known != name);
                    map.push((name, value));
                }
                Value::map(map)
            }
            Metadata::Timestamp => Value::timestamp_ms(self.time()?),
            Metadata::Topic => Value::String(self.topic.clone()),
            Metadata::Partition => Value::Int(message.partition().into()),
            Metadata::Offset => Value::Int(message.offset()),
        })
    }
}

/// Completes the record decoded from a message's value with what else the message carries.
pub trait Complete<T>: Clone + Send + Sync + 'static {
    /// Completes `record`.
    ///
    /// # Errors
    /// The message lacks something and is a bad record. The error is a sentence.
    fn complete(&self, record: &mut Record<T>, envelope: &Envelope<'_>) -> Result<(), String>;
}

/// The value alone makes the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueOnly;

impl<T> Complete<T> for ValueOnly {
    #[inline]
    fn complete(&self, _: &mut Record<T>, _: &Envelope<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// The record's time is the message's timestamp.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageTime;

impl<T> Complete<T> for MessageTime {
    fn complete(&self, record: &mut Record<T>, envelope: &Envelope<'_>) -> Result<(), String> {
        record.time = envelope.time()?;
        Ok(())
    }
}

/// Copies parts of the message into the row, and optionally takes the record's time from the message.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Slots of the row, and what goes there. Slots that the format provides are overwritten; the others follow them
    /// in order.
    pub parts: Arc<[(usize, Metadata)]>,
    /// Whether the message's timestamp is the record's time.
    pub timed: bool,
}

impl Complete<Row> for Fields {
    #[inline]
    fn complete(&self, record: &mut Record<Row>, envelope: &Envelope<'_>) -> Result<(), String> {
        if !self.parts.is_empty() {
            let mut values = std::mem::take(&mut record.value.0).into_vec();
            let width = self.parts.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0);
            values.reserve_exact(width.saturating_sub(values.len()));
            for (slot, part) in &*self.parts {
                let value = envelope.value(*part)?;
                match values.get_mut(*slot) {
                    Some(field) => *field = value,
                    None => values.push(value),
                }
            }
            record.value = Row(values.into_boxed_slice());
        }
        if self.timed {
            record.time = envelope.time()?;
        }
        Ok(())
    }
}
