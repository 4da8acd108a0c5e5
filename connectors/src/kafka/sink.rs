//! The sink: writes records as messages, each acknowledged before a flush returns.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value as Json;
use tidegate_runtime::sink::{Cancellation, Restored, Sink, SinkContext, Writer};
use tidegate_runtime::{Error, Kind, Record};

use super::client::{Cluster, Context};
use super::exactly_once::{ExactlyOnce, nothing_pends, values};
use super::partitions::no_topic;
use crate::kinds;
use crate::message::MessageEncoder;
use tidegate_rows::format::{TextPart, Timestamps, plain_as};
use tidegate_rows::{Row, Value};

/// How long to wait for the brokers before checking for errors.
const WAIT: Duration = Duration::from_millis(5);

/// Writes records to a topic through one idempotent producer per worker: in the order in which they reach the worker,
/// and without duplicates, except after a restart of the job.
#[derive(Clone)]
pub struct KafkaSink<E, A = ValueAlone> {
    cluster: Cluster,
    topic: String,
    messages: Composer<E, A>,
}

impl<E> KafkaSink<E> {
    /// Messages whose values come from this encoder (lines without their line endings). They have no keys and are
    /// spread over the partitions.
    pub fn new(cluster: Cluster, topic: impl Into<String>, encoder: E) -> Self {
        Self { cluster, topic: topic.into(), messages: Composer::new(encoder, ValueAlone) }
    }

    /// Gives each message a key, a time and headers.
    pub fn addressed<A>(self, address: A) -> KafkaSink<E, A> {
        let Self { cluster, topic, messages } = self;
        KafkaSink { cluster, topic, messages: Composer::new(messages.encoder, address) }
    }
}

impl<E, A> KafkaSink<E, A> {
    /// Writes each record exactly once, across failures. The transactional ids of the writers start with `prefix`,
    /// which identifies the job and the sink: it must be the same in every run of the job, and unique among jobs.
    pub fn exactly_once(self, prefix: impl Into<String>) -> ExactlyOnce<E, A> {
        let Self { cluster, topic, messages } = self;
        ExactlyOnce::new(cluster, topic, prefix.into(), messages)
    }
}

/// What a message carries besides its value.
pub trait Address<T>: Clone + Send + Sync + 'static {
    /// Appends the key to `out`. Returns false if the message has none.
    fn key(&self, value: &T, out: &mut Vec<u8>) -> bool;

    /// The message's time in milliseconds since 1970, or `None` for the time of sending.
    fn time(&self, value: &T) -> Option<i64>;

    /// The headers, or `None` if there are none.
    fn headers(&self, value: &T) -> Option<OwnedHeaders>;
}

/// The value alone makes the message.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueAlone;

impl<T> Address<T> for ValueAlone {
    fn key(&self, _: &T, _: &mut Vec<u8>) -> bool {
        false
    }

    fn time(&self, _: &T) -> Option<i64> {
        None
    }

    fn headers(&self, _: &T) -> Option<OwnedHeaders> {
        None
    }
}

/// Text made from a row. Times are milliseconds since 1970, or written as the sink does.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<TextPart>,
    timestamps: Timestamps,
}

impl Template {
    /// A template of these parts.
    #[must_use]
    pub fn new(parts: Vec<TextPart>, timestamps: Timestamps) -> Self {
        Self { parts, timestamps }
    }

    /// Appends the text. Returns false if the template is a single field and that field is null.
    fn write(&self, row: &Row, out: &mut Vec<u8>) -> bool {
        if let [TextPart::Field(slot)] = self.parts.as_slice()
            && row.get(*slot).is_null()
        {
            return false;
        }
        for part in &self.parts {
            match part {
                TextPart::Literal(text) => out.extend_from_slice(text.as_bytes()),
                TextPart::Field(slot) => plain_as(row.get(*slot), self.timestamps, out),
            }
        }
        true
    }
}

/// Keys, times and headers made from the fields of a row.
#[derive(Clone, Debug, Default)]
pub struct RowAddress {
    /// The key.
    pub key: Option<Template>,
    /// The slot of the message's time: a timestamp, or milliseconds since 1970.
    pub time: Option<usize>,
    /// The headers by name. A header whose field is null is left out.
    pub headers: Vec<(String, Template)>,
}

impl Address<Row> for RowAddress {
    fn key(&self, row: &Row, out: &mut Vec<u8>) -> bool {
        self.key.as_ref().is_some_and(|key| key.write(row, out))
    }

    fn time(&self, row: &Row) -> Option<i64> {
        match row.get(self.time?) {
            Value::Timestamp(t) => Some(t.as_millisecond()),
            Value::Int(ms) => Some(*ms),
            _ => None,
        }
    }

    fn headers(&self, row: &Row) -> Option<OwnedHeaders> {
        if self.headers.is_empty() {
            return None;
        }
        let mut headers = OwnedHeaders::new_with_capacity(self.headers.len());
        let mut text = Vec::new();
        for (name, template) in &self.headers {
            text.clear();
            if template.write(row, &mut text) {
                headers = headers.insert(Header { key: name, value: Some(&text) });
            }
        }
        Some(headers)
    }
}

impl<T: 'static, E: MessageEncoder<T>, A: Address<T>> Sink<T> for KafkaSink<E, A> {
    fn kind(&self) -> Kind {
        kinds::KAFKA
    }

    /// This sink has no committables of its own, but it may have written exactly once before.
    fn accepts(&self, committables: &[Json]) -> Result<(), Error> {
        nothing_pends(&self.cluster, committables)
    }

    fn recover(&self, restored: &Restored) -> Result<(), Error> {
        Sink::<T>::accepts(self, &values(restored))
    }

    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        self.messages.open::<T>()?;
        let outlet = Outlet::open(&self.cluster, &self.topic, &[], &[], context.cancellation)?;
        Ok(Box::new(KafkaWriter { outlet, messages: self.messages.clone() }))
    }
}

struct KafkaWriter<E, A> {
    outlet: Outlet,
    messages: Composer<E, A>,
}

impl<T: 'static, E: MessageEncoder<T>, A: Address<T>> Writer<T> for KafkaWriter<E, A> {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        for record in records.drain(..) {
            self.outlet.send(self.messages.compose(&record.value).map_err(|e| unwritable(&self.outlet.topic, &e))?)?;
        }
        self.outlet.serve()
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.outlet.flush()
    }
}

/// Composes messages from records, in reused buffers.
#[derive(Clone)]
pub(super) struct Composer<E, A> {
    encoder: E,
    address: A,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<E, A> Composer<E, A> {
    fn new(encoder: E, address: A) -> Self {
        Self { encoder, address, key: Vec::new(), value: Vec::new() }
    }

    /// Prepares the encoder. May block.
    pub(super) fn open<T>(&self) -> Result<(), Error>
    where
        E: MessageEncoder<T>,
    {
        self.encoder.open()
    }

    /// The message for a record, or what is wrong with the record, as a sentence.
    pub(super) fn compose<T>(&mut self, record: &T) -> Result<Message<'_>, String>
    where
        E: MessageEncoder<T>,
        A: Address<T>,
    {
        let Self { encoder, address, key, value } = self;
        value.clear();
        encoder.encode_message(record, value)?;
        key.clear();
        let has_key = address.key(record, key);
        Ok(Message { key: has_key.then_some(key.as_slice()), value, time: address.time(record), headers: address.headers(record) })
    }
}

/// The error for a record that can't be turned into a message.
pub(super) fn unwritable(topic: &str, what: &str) -> Error {
    Error::user(format!("a record can't be written to topic `{topic}`: {what}"))
}

/// The error for a record that exceeds the limits of the client or the broker.
pub(super) fn too_large(topic: &str, bytes: Option<usize>) -> Error {
    let size = bytes.map_or_else(String::new, |bytes| format!(" of {bytes} bytes"));
    Error::user(format!(
        "a record{size} is too large for topic `{topic}`: raise `message.max.bytes` in `options`, and `max.message.bytes` of the topic, or leave it out"
    ))
}

/// A message about to be sent.
pub(super) struct Message<'m> {
    pub(super) key: Option<&'m [u8]>,
    pub(super) value: &'m [u8],
    pub(super) time: Option<i64>,
    pub(super) headers: Option<OwnedHeaders>,
}

impl Message<'_> {
    /// The maximum overhead of a message, and of each header, in bytes.
    const OVERHEAD: usize = 36;
    const OF_HEADER: usize = 10;

    /// The maximum size of the message as librdkafka computes it, in bytes.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.as_ref().map(OwnedHeaders::as_borrowed);
        let headers = headers.into_iter().flat_map(Headers::iter).map(|h| Self::OF_HEADER + h.key.len() + h.value.map_or(0, <[u8]>::len));
        Self::OVERHEAD + self.key.map_or(0, <[u8]>::len) + self.value.len() + headers.sum::<usize>()
    }
}

/// A producer for one topic.
pub(super) struct Outlet {
    cluster: Cluster,
    topic: String,
    pub(super) producer: BaseProducer<Context>,
    /// Ends every wait for the brokers, because nobody needs the result any more.
    pub(super) cancellation: Cancellation,
}

impl Outlet {
    /// Connects and checks that the topic exists. `more` are defaults that the user may override, `fixed` are
    /// properties that the user may not.
    pub(super) fn open(
        cluster: &Cluster,
        topic: &str,
        more: &[(&str, &str)],
        fixed: &[(&str, &str)],
        cancellation: Cancellation,
    ) -> Result<Self, Error> {
        let usual = [
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            // The partitioner of Java's producers, so that a key goes to the same partition as in other applications.
            ("partitioner", "murmur2_random"),
            ("message.timeout.ms", "120000"),
            ("queue.buffering.max.kbytes", "65536"),
            ("client.id", "tidegate"),
        ];
        let defaults: Vec<_> = usual.iter().chain(more).copied().collect();
        let fixed: Vec<_> = fixed.iter().copied().chain([("delivery.report.only.error", "true")]).collect();
        let config = cluster.config(&defaults, &fixed);
        let producer: BaseProducer<Context> = config.create_with_context(Context::default()).map_err(|e| cluster.unusable(&e))?;
        let what = format!("topic `{topic}` can't be looked up");
        let ask = |patience| producer.client().fetch_metadata(Some(topic), patience);
        let metadata = cluster.ask(&what, producer.client().context(), ask, || producer.poll(Duration::ZERO))?;
        if let Some(error) = metadata.topics().iter().find(|t| t.name() == topic).and_then(|t| t.error()) {
            return Err(no_topic(cluster, topic, RDKafkaErrorCode::from(error)));
        }
        Ok(Self { cluster: cluster.clone(), topic: topic.to_owned(), producer, cancellation })
    }

    /// Enqueues a message. Waits while too many are in flight.
    pub(super) fn send(&self, message: Message<'_>) -> Result<(), Error> {
        let Message { key, value, time, headers } = message;
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).payload(value);
        (record.key, record.timestamp, record.headers) = (key, time, headers);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    self.producer.poll(WAIT);
                    self.delivered()?;
                    self.wanted()?;
                    record = again;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), record)) => {
                    return Err(too_large(&self.topic, record.payload.map(<[u8]>::len)));
                }
                Err((error, _)) => return Err(self.failed(error)),
            }
        }
    }

    /// Handles the producer's events, and fails if a delivery failed.
    pub(super) fn serve(&self) -> Result<(), Error> {
        self.producer.poll(Duration::ZERO);
        self.delivered()
    }

    /// Waits until all messages have been acknowledged.
    pub(super) fn flush(&self) -> Result<(), Error> {
        loop {
            let flushed = self.producer.flush(WAIT);
            self.delivered()?;
            match flushed {
                Ok(()) => return Ok(()),
                Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => self.wanted()?,
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// Fails if nobody needs the result any more.
    fn wanted(&self) -> Result<(), Error> {
        if self.cancellation.is_cancelled() {
            return Err(Error::internal(format!("topic `{}` is no longer to be written: the run is over", self.topic)));
        }
        Ok(())
    }

    fn delivered(&self) -> Result<(), Error> {
        match self.producer.client().context().undelivered() {
            None => Ok(()),
            Some(error) => Err(self.failed(error)),
        }
    }

    pub(super) fn failed(&self, error: KafkaError) -> Error {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => too_large(&self.topic, None),
            Some(RDKafkaErrorCode::InvalidTimestamp | RDKafkaErrorCode::InvalidRecord) => Error::user(format!(
                "the brokers refuse a record for topic `{topic}`: if its `timestamp` is too far from now, raise `message.timestamp.after.max.ms` or \
                 `message.timestamp.before.max.ms` of the topic (a job that writes exactly once then goes on with `--resume`), or give the sink \
                 another `timestamp`; and a compacted topic takes no record without a key",
                topic = self.topic
            )),
            Some(code @ (RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                no_topic(&self.cluster, &self.topic, code)
            }
            _ => self.cluster.failed(&format!("topic `{}` can't be written", self.topic), self.producer.client().context(), error),
        }
    }
}
