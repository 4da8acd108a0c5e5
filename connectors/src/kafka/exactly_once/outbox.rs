//! A writer that gathers epochs and sends them when their checkpoints are complete.

use std::collections::VecDeque;
use std::path::PathBuf;

use tidegate_checkpoints::Epoch;
use tidegate_runtime::{Error, Record};

use super::marker::MARKERS;
use super::segment;
use super::transaction::{Committer, Place};
use super::unit::Unit;
use crate::format::Encoder;
use crate::kafka::client::Cluster;
use crate::kafka::sink::{Address, Message};

/// A topic that is written exactly once.
#[derive(Clone)]
pub struct ExactlyOnce {
    place: Place,
    /// What the transactional ids of its writers begin with: of the job and the sink, the same in every run of the job and in no other.
    prefix: String,
}

impl ExactlyOnce {
    /// `topic`, by writers whose transactional ids begin with `prefix`.
    pub fn new(cluster: Cluster, topic: impl Into<String>, prefix: impl Into<String>) -> Self {
        let place = Place { cluster, topic: topic.into(), markers: MARKERS.to_owned() };
        Self { place, prefix: prefix.into() }
    }

    /// Keeps markers in another topic.
    #[must_use]
    pub fn markers(mut self, topic: impl Into<String>) -> Self {
        self.place.markers = topic.into();
        self
    }

    fn id(&self, worker: usize) -> String {
        format!("{}-{worker}", self.prefix)
    }

    /// Settles what a checkpoint holds, before anything new is written: fences the writers of the checkpoint, of which there were `workers`,
    /// and sends the units that are not in the topic yet. It does no harm to do this again.
    ///
    /// # Errors
    /// The brokers can't be reached, a segment or a marker is gone, or there is another process that writes as this one.
    pub fn recover(&self, units: &[Unit], workers: usize) -> Result<(), Error> {
        let mut ids: Vec<String> = (0..workers).map(|worker| self.id(worker)).chain(units.iter().map(|unit| unit.id.clone())).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut committers = self.place.committers(&ids.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut units: Vec<&Unit> = units.iter().collect();
        units.sort_by_key(|unit| unit.epoch);
        for unit in units {
            if let Some(committer) = committers.iter_mut().find(|committer| committer.id() == unit.id) {
                committer.settle(unit)?;
            }
        }
        Ok(())
    }

    /// The writer of a worker, in the run called `timeline`, with its segments in `directory`.
    ///
    /// # Errors
    /// As [`recover`](Self::recover).
    pub fn outbox<E, A>(
        &self,
        worker: usize,
        timeline: impl Into<String>,
        directory: impl Into<PathBuf>,
        encoder: E,
        address: A,
    ) -> Result<Outbox<E, A>, Error> {
        let id = self.id(worker);
        let committer = self.place.committers(&[&id])?.pop().ok_or_else(|| Error::internal("an id without a writer"))?;
        let (timeline, directory) = (timeline.into(), directory.into());
        let (sealed, confirmed, segment) = (VecDeque::new(), None, None);
        let (key, value) = (Vec::new(), Vec::new());
        Ok(Outbox { committer, timeline, directory, encoder, address, segment, number: 0, sealed, confirmed, key, value })
    }
}

/// One worker's share: `write`, `seal` at each barrier, `commit` when the checkpoint is complete.
pub struct Outbox<E, A> {
    committer: Committer,
    timeline: String,
    directory: PathBuf,
    encoder: E,
    address: A,
    /// That of the epoch being written, if anything has been.
    segment: Option<segment::Writer>,
    /// Segments made so far.
    number: u64,
    /// What waits for its checkpoint.
    sealed: VecDeque<Unit>,
    confirmed: Option<Epoch>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<E, A> Outbox<E, A> {
    /// Takes records over, in order.
    ///
    /// # Errors
    /// The segment can't be written.
    pub fn write<T>(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error>
    where
        E: Encoder<T>,
        A: Address<T>,
    {
        for record in records.drain(..) {
            let Self { segment, encoder, address, key, value, .. } = self;
            let segment = match segment {
                Some(segment) => segment,
                none => {
                    self.number += 1;
                    let path = self.directory.join(format!("{}-{}-{}.segment", self.committer.id(), self.timeline, self.number));
                    none.insert(segment::Writer::create(path)?)
                }
            };
            value.clear();
            encoder.encode(&record.value, value);
            key.clear();
            let has_key = address.key(&record.value, key);
            segment.append(&Message {
                key: has_key.then_some(key.as_slice()),
                value: value.strip_suffix(b"\n").unwrap_or(value),
                time: address.time(&record.value),
                headers: address.headers(&record.value),
            })?;
        }
        Ok(())
    }

    /// Ends an epoch, and gives what the checkpoint has to keep of it; an epoch without records has nothing. The segments belong to the
    /// checkpoint; they are removed once their epoch is committed.
    ///
    /// # Errors
    /// The segment can't be written.
    pub fn seal(&mut self, epoch: Epoch) -> Result<Option<Unit>, Error> {
        let Some(segment) = self.segment.take() else { return Ok(None) };
        let (segment, records) = segment.finish()?;
        let (id, timeline) = (self.committer.id().to_owned(), self.timeline.clone());
        let unit = Unit { id, timeline, epoch, confirmed: self.confirmed, segment, records };
        self.sealed.push_back(unit.clone());
        Ok(Some(unit))
    }

    /// The checkpoint of `epoch` is complete: sends what was sealed up to it.
    ///
    /// # Errors
    /// As [`ExactlyOnce::recover`].
    pub fn commit(&mut self, epoch: Epoch) -> Result<(), Error> {
        while let Some(unit) = self.sealed.front().filter(|unit| unit.epoch <= epoch) {
            self.committer.settle(unit)?;
            self.confirmed = Some(unit.epoch);
            // The checkpoint has its own link to it; one that stays is only untidy.
            let _ = std::fs::remove_file(&unit.segment);
            self.sealed.pop_front();
        }
        Ok(())
    }
}
