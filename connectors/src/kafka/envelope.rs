//! What a message carries around its value: key, headers, time and place, as fields of a row.

use std::sync::Arc;

use compact_str::CompactString;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tidegate_runtime::Record;

use tidegate_rows::{Row, Type, Value};

/// A part of a message beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// The key as text, null if there is none. A message whose key is no UTF-8 is a bad record.
    Key,
    /// The key as octets, null if there is none.
    KeyBytes,
    /// The headers: a map from names to text (octets where they are no UTF-8). Of those of one name the last counts.
    Headers,
    /// The time the producer or the broker gave it.
    Timestamp,
    /// The topic.
    Topic,
    /// The number of the partition.
    Partition,
    /// The offset in the partition.
    Offset,
}

impl Metadata {
    /// All of them, as job files call them.
    pub const ALL: [(&'static str, Self); 7] = [
        ("key", Self::Key),
        ("key_bytes", Self::KeyBytes),
        ("headers", Self::Headers),
        ("timestamp", Self::Timestamp),
        ("topic", Self::Topic),
        ("partition", Self::Partition),
        ("offset", Self::Offset),
    ];

    /// The type of its field.
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

/// A message but for its value.
pub struct Envelope<'m> {
    pub(super) message: &'m BorrowedMessage<'m>,
    pub(super) topic: &'m CompactString,
}

impl Envelope<'_> {
    /// The time the producer or the broker gave it, in milliseconds since 1970.
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

/// Completes the record of a message's value by what else the message carries.
pub trait Complete<T>: Clone + Send + Sync + 'static {
    /// Completes `record`.
    ///
    /// # Errors
    /// The message lacks something, in a sentence: it is a bad record.
    fn complete(&self, record: &mut Record<T>, envelope: &Envelope<'_>) -> Result<(), String>;
}

/// The value is all.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueOnly;

impl<T> Complete<T> for ValueOnly {
    #[inline]
    fn complete(&self, _: &mut Record<T>, _: &Envelope<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// The record's time is the message's.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageTime;

impl<T> Complete<T> for MessageTime {
    fn complete(&self, record: &mut Record<T>, envelope: &Envelope<'_>) -> Result<(), String> {
        record.time = envelope.time()?;
        Ok(())
    }
}

/// Puts parts of the message into the row, and may take the record's time from it.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Slots of the row, and what they hold. Slots that the format gives are overwritten, the others follow them in order.
    pub parts: Arc<[(usize, Metadata)]>,
    /// Is the message's time the record's time?
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
