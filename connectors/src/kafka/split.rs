//! Reads one partition: turns messages into batches of entries.

use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tidegate_runtime::source::{Batch, SplitId};
use tidegate_runtime::{Error, Record, Watermark};

use super::client::{Context, is_passing};
use super::envelope::{Complete, Envelope};
use super::offsets::{self, PASS_OVER, Position, Range};
use super::partitions::Partition;
use crate::bad::BadRecords;
use crate::entry::Entry;
use crate::handover::{Count, Parcel, Stop};
use crate::message::{DecodeError, MessageDecoder};
use tidegate_rows::format::Decoded;

/// The maximum number of records in a batch.
const RECORDS: usize = 1024;

/// The maximum bytes of messages in a batch, not counting the last message.
const BYTES: u64 = 1 << 20;

/// A partition that is being read.
pub(super) struct Split<D, C> {
    pub(super) id: SplitId,
    pub(super) partition: Partition,
    pub(super) range: Range,
    /// The name of the partition in error messages.
    name: String,
    topic: CompactString,
    queue: PartitionQueue<Context>,
    decoder: D,
    complete: C,
    /// The time of the last good record.
    last_good: i64,
    pub(super) end: End,
    /// The setting from which its stop was resolved.
    asked: Option<Arc<offsets::Stop>>,
}

/// What is known about the end of a partition with a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The end has not been seen.
    Ahead,
    /// The partition reported its end, but possibly from a leader that has not reached the stop.
    Seen,
    /// Since then, a leader has reached the stop. Records before the stop arrive now, followed by the end again.
    LookedBehind,
    /// There are no more records before the stop.
    Sure,
}

impl End {
    /// The state after the partition reports its end.
    fn seen(self) -> Self {
        match self {
            Self::Ahead | Self::Seen => Self::Seen,
            Self::LookedBehind | Self::Sure => Self::Sure,
        }
    }
}

/// What is wrong with a partition.
pub(super) enum Fault {
    /// It can no longer be read.
    Error(KafkaError),
    /// A bad record, or a failed decoder, stops the job.
    Stop(Stop),
}

impl<D: MessageDecoder, C: Complete<D::Item>> Split<D, C> {
    /// Splits the messages of a partition off the common queue. This must happen before the consumer starts reading
    /// the partition; messages that arrive earlier would end up in the common queue.
    pub(super) fn new(id: SplitId, at: Position, consumer: &Arc<BaseConsumer<Context>>, decoder: D, complete: C) -> Result<Self, Error> {
        let Position { partition, range, asked } = at;
        let mut queue = consumer
            .split_partition_queue(&partition.topic, partition.number)
            .ok_or_else(|| Error::internal(format!("there is no queue for the partition {partition}")))?;
        let reader = std::thread::current();
        queue.set_nonempty_callback(move || reader.unpark());
        let (name, topic) = (partition.to_string(), CompactString::new(&partition.topic));
        Ok(Self { id, partition, range, name, topic, queue, decoder, complete, last_good: Record::UNTIMED, end: End::Ahead, asked })
    }

    /// Where reading continues.
    pub(super) fn position(&self) -> Position {
        Position { partition: self.partition.clone(), range: self.range, asked: self.asked.clone() }
    }

    /// The available messages as a batch, if there are any.
    pub(super) fn batch(&mut self, bad: &mut BadRecords) -> Result<Option<Parcel<Entry<D::Item>>>, Fault> {
        let mut batch = Batch::new(self.id, Vec::new());
        let mut count = Count::default();
        let before = self.range.next;
        while batch.records.len() < RECORDS && count.bytes < BYTES && !self.range.is_empty() && batch.watermark.is_none() {
            let message = match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.end = self.end.seen();
                    break;
                }
                // librdkafka retries by itself, and the cause has been logged.
                Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_passing) => break,
                Some(Err(error)) => return Err(Fault::Error(error)),
            };
            let offset = message.offset();
            if self.range.stop.is_some_and(|stop| offset >= stop) {
                // Only control records or compacted ones preceded the stop.
                self.range.next = self.range.stop.unwrap_or(offset);
                break;
            }
            self.range.next = offset + 1;
            count.bytes += (message.payload_len() + message.key_len()) as u64;
            if batch.records.capacity() == 0 {
                batch.records.reserve_exact(RECORDS);
            }
            let decoded = decode(&mut self.decoder, &self.complete, &message, &self.topic);
            match decoded {
                Ok(Decoded::Nothing) => count.tombstones += 1,
                Ok(Decoded::Record { time, value }) => {
                    let time = time.unwrap_or(Record::UNTIMED);
                    count.records += 1;
                    self.last_good = time;
                    batch.records.push(Record::new(time, Entry::Good(value)));
                }
                // The watermark applies after these records, so it must end the batch.
                Ok(Decoded::Watermark(watermark)) => batch.watermark = Some(Watermark(watermark)),
                Err(DecodeError::Failed(error)) => return Err(Fault::Stop(error.into())),
                Err(DecodeError::Bad(error)) => {
                    count.bad += 1;
                    let offset = u64::try_from(offset).unwrap_or_default();
                    let value = message.payload().unwrap_or_default();
                    let noted = bad.note(&self.name, offset, value, error);
                    let counted = Count { bad: count.bad, ..Count::default() };
                    if let Some(record) = noted.map_err(|e| Fault::Stop(Stop::Failed(e, counted)))? {
                        // Use a time that is never ahead of the surrounding records.
                        batch.records.push(Record::new(self.last_good, Entry::Bad(record)));
                    }
                }
            }
        }
        batch.last = self.range.is_empty();
        if self.range.next == before && !batch.last {
            return Ok(None);
        }
        batch.position = self.position().to_json();
        Ok(Some(Parcel { batch, count }))
    }

    /// The batch that announces the partition before any record of it.
    pub(super) fn announcement(&self) -> Batch<Entry<D::Item>> {
        Batch { position: self.position().to_json(), last: self.range.is_empty(), ..Batch::new(self.id, Vec::new()) }
    }
}

/// Decodes a message. May block while the decoder fetches what it needs. A message without a value, a tombstone, is
/// not a record.
#[inline]
fn decode<D: MessageDecoder>(
    decoder: &mut D,
    complete: &impl Complete<D::Item>,
    message: &BorrowedMessage<'_>,
    topic: &CompactString,
) -> Result<Decoded<D::Item>, DecodeError> {
    let Some(value) = message.payload() else { return Ok(Decoded::Nothing) };
    let decoded = decoder.decode_message(value)?;
    let Decoded::Record { time, value } = decoded else { return Ok(decoded) };
    let mut record = Record::new(time.unwrap_or(Record::UNTIMED), value);
    complete.complete(&mut record, &Envelope { message, topic })?;
    Ok(Decoded::Record { time: Some(record.time), value: record.value })
}

/// The error for a partition that can no longer be read.
pub(super) fn fault(partition: &Partition, next: i64, error: KafkaError) -> Error {
    let Partition { topic, number } = partition;
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => Error::user(format!(
            "the records of partition {number} of topic `{topic}` from offset {next} on are not there any more: they were deleted before they \
             were read; {PASS_OVER}, or begin afresh, elsewhere, with `start`"
        )),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition) => {
            Error::user(format!("partition {number} of topic `{topic}` is gone: was the topic deleted while it was read?"))
        }
        _ => Error::external(format!("partition {number} of topic `{topic}` can't be read past offset {next}"), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_that_comes_after_a_look_behind_it_is_the_end() {
        assert_eq!(End::Ahead.seen(), End::Seen);
        assert_eq!(End::Seen.seen(), End::Seen);
        assert_eq!(End::LookedBehind.seen(), End::Sure);
    }
}
