//! A writer that collects epochs and has them sent when their checkpoints are complete.

use std::path::PathBuf;

use tidegate_runtime::sink::{self, Committable, Writer};
use tidegate_runtime::{Epoch, Error, Record, failpoint};

use super::segment;
use super::settling::{Confirmed, Settling};
use super::transaction::{Committer, Place};
use super::unit::Unit;
use crate::kafka::sink::{Address, Composer, too_large, unwritable};
use crate::message::MessageEncoder;
use crate::unique::unique;

/// The maximum message size that librdkafka accepts by default, in bytes; `message.max.bytes` overrides it.
const LARGEST: usize = 1_000_000;

/// The writer of one worker.
pub(super) struct Outbox<E, A> {
    /// Held until it is taken.
    committer: Option<Committer>,
    confirmed: Confirmed,
    id: String,
    place: Place,
    timeline: String,
    directory: PathBuf,
    /// The maximum message size that the client accepts, in bytes.
    most: usize,
    messages: Composer<E, A>,
    /// The segment of the current epoch, if anything has been written.
    segment: Option<segment::Writer>,
    /// The number of segments created so far.
    number: u64,
}

impl<E, A> Outbox<E, A> {
    /// Keeps segments in `directory`.
    pub(super) fn open(committer: Committer, directory: PathBuf, messages: Composer<E, A>) -> Result<Self, Error> {
        std::fs::create_dir_all(&directory).map_err(|e| Error::external(format!("`{}` can't be made", directory.display()), e))?;
        let (id, place) = (committer.id().to_owned(), committer.place().clone());
        let most = place.cluster.option("message.max.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(LARGEST);
        let (committer, confirmed) = (Some(committer), Confirmed::default());
        Ok(Self { committer, confirmed, id, place, timeline: unique(), directory, most, messages, segment: None, number: 0 })
    }
}

impl<T: 'static, E: MessageEncoder<T>, A: Address<T>> Writer<T> for Outbox<E, A> {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        for record in records.drain(..) {
            let segment = match &mut self.segment {
                Some(segment) => segment,
                none => {
                    self.number += 1;
                    none.insert(segment::Writer::create(self.directory.join(format!("{}-{}.segment", self.timeline, self.number)))?)
                }
            };
            let message = self.messages.compose(&record.value).map_err(|e| unwritable(&self.place.topic, &e))?;
            // Everything in a checkpoint must be sendable, so refuse what isn't.
            if message.size() > self.most {
                return Err(too_large(&self.place.topic, Some(message.value.len())));
            }
            segment.append(&message)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// An epoch without records has no committable.
    fn seal(&mut self, epoch: Epoch) -> Result<Vec<Committable>, Error> {
        let Some(segment) = self.segment.take() else { return Ok(Vec::new()) };
        let (segment, records) = segment.finish()?;
        failpoint::Point::SegmentSealed.hit();
        let (id, timeline, confirmed) = (self.id.clone(), self.timeline.clone(), self.confirmed.get());
        let Place { topic, markers, .. } = self.place.clone();
        let unit = Unit { id, topic, markers, timeline, epoch, confirmed, records, segment };
        Ok(vec![unit.write()])
    }

    fn committer(&mut self) -> Option<Box<dyn sink::Committer>> {
        let (committer, confirmed) = (self.committer.take()?, self.confirmed.clone());
        Some(Box::new(Settling { committer, confirmed }))
    }
}
