//! The contract of sources: where records come from.
//!
//! A [`Source`] is opened once on every worker and gives each a [`Reader`]. A reader hands over [`Batch`]es and never blocks. A reader that
//! has to wait for the outside (a disk, a socket) waits on a thread of its own and wakes its operator through the [`Waker`]. The source
//! operator decides how readers are driven, when they pause, and how batches become timed messages.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_checkpoints::Epoch;

use crate::board::Board;
use crate::control::{Everyone, Replica, ToAll};
use crate::error::Error;
use crate::kind::Kind;
use crate::metrics::SourceMetrics;
use crate::record::Record;
use crate::time::Watermark;

/// A place where records come from: a set of files, a topic, a generator.
pub trait Source<T>: Send + Sync + 'static {
    /// The kind of source, as recorded in savepoints. Positions of one kind are never given to another.
    fn kind(&self) -> Kind {
        Kind::new("source")
    }

    /// The version of its position format. Raise it when the format changes; positions of another version are never read.
    fn version(&self) -> u32 {
        1
    }

    /// Opens this worker's share.
    ///
    /// # Errors
    /// The source can't be read at all. The job fails with this cause.
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<T>>, Error>;

    /// Checks whether the source can resume from these positions of a snapshot. Called before the job runs, and by commands that only
    /// inspect a snapshot. Must have no side effects.
    ///
    /// # Errors
    /// The positions can't be resumed from; the error says why.
    fn accepts(&self, _positions: &[serde_json::Value]) -> Result<(), Error> {
        Ok(())
    }
}

impl<T, S: Source<T> + ?Sized> Source<T> for Arc<S> {
    fn kind(&self) -> Kind {
        (**self).kind()
    }

    fn version(&self) -> u32 {
        (**self).version()
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<T>>, Error> {
        (**self).open(context)
    }

    fn accepts(&self, positions: &[serde_json::Value]) -> Result<(), Error> {
        (**self).accepts(positions)
    }
}

/// What a reader knows about its surroundings.
pub struct SourceContext {
    /// This worker, from 0.
    pub worker: usize,
    /// The number of workers.
    pub workers: usize,
    /// Wakes the source operator from another thread.
    pub waker: Waker,
    /// Values that all instances of the source must see alike, on every worker.
    pub shared: Shared,
    /// The last positions of all splits of the source in the snapshot that the job resumes from. `None` on a fresh start. Every worker sees
    /// all of them and takes its own share: see [`Reader::resumed`].
    pub restored: Option<Arc<Vec<serde_json::Value>>>,
    /// The source's counters. The reader counts what only it can see: bytes and bad records.
    pub metrics: Arc<SourceMetrics>,
}

/// A value made once per run of a job, by the first worker that asks, and seen by all workers. An example is a directory listing, which
/// could differ a moment later. It is kept as data so that one process can hand it to another.
#[derive(Clone)]
pub struct Shared {
    /// The source's ordinal.
    source: usize,
    replica: Arc<Replica>,
    everyone: Arc<dyn Everyone>,
}

impl Default for Shared {
    /// For a reader driven by hand.
    fn default() -> Self {
        let replica = Arc::new(Replica::new(Epoch(0), Board::default(), 1, 1));
        Self::new(0, Arc::clone(&replica), replica)
    }
}

impl Shared {
    pub(crate) fn new(source: usize, replica: Arc<Replica>, everyone: Arc<dyn Everyone>) -> Self {
        Self { source, replica, everyone }
    }

    /// The value, made by `make` if no worker has made it yet.
    ///
    /// # Errors
    /// Whatever `make` returns. The next caller tries again.
    pub fn get_or_make<V: Serialize + DeserializeOwned>(&self, make: impl FnOnce() -> Result<V, Error>) -> Result<V, Error> {
        let listings = &self.replica.listings;
        let _making = listings.making(self.source);
        if let Some(value) = listings.value(self.source) {
            return serde_json::from_str(value)
                .map_err(|e| Error::external("what the instances of a source share is not what this one expects", e));
        }
        let made = make()?;
        let value =
            serde_json::to_string(&made).map_err(|e| Error::external("what the instances of a source share has no JSON form", e))?;
        self.everyone.tell(ToAll::Shared { source: self.source, value });
        Ok(made)
    }

    /// Whether the source begins, or the job was stopped before it did. The first instance to say decides for all. Otherwise a snapshot
    /// could hold the splits of only some instances.
    pub(crate) fn begins(&self, says: bool) -> bool {
        let listings = &self.replica.listings;
        if listings.begins(self.source).is_none() {
            self.everyone.tell(ToAll::Begins { source: self.source, begins: says });
        }
        listings.begins(self.source).unwrap_or(says)
    }
}

/// One worker's share of a source.
pub trait Reader<T>: 'static {
    /// Returns what there is to read now. Never blocks.
    ///
    /// # Errors
    /// Reading failed for good. The job fails with this cause.
    fn poll(&mut self) -> Result<Poll<T>, Error>;

    /// Whether it is known from the start that this reader has nothing to read. Sources with few splits say so on most workers.
    fn is_vacant(&self) -> bool {
        false
    }

    /// The splits known from the start: this reader's share of [`SourceContext::restored`], each with the position it was given, or the
    /// splits it begins with. The next snapshot includes them, whatever happens from then on.
    ///
    /// Returns `None` while they are not known. The operator then asks again, [`poll`](Self::poll) must return neither a batch nor
    /// [`Poll::Finished`] before the answer, and snapshots wait for it.
    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        Some(Vec::new())
    }

    /// Called when a checkpoint that holds these positions of this reader's splits is complete.
    fn completed(&mut self, _positions: &[serde_json::Value]) {}
}

/// A reader's answer to [`Reader::poll`].
pub enum Poll<T> {
    /// Records of a split, or news of it.
    Batch(Batch<T>),
    /// Nothing now. The reader wakes its operator when there is something.
    Pending,
    /// Nothing for this long. The reader is asked again after that, and may be asked earlier.
    After(Duration),
    /// Nothing, ever again.
    Finished,
}

/// Records of one split, in the order of the split.
pub struct Batch<T> {
    /// The split: a file, a partition. A split is known from its first batch to the batch that ends it. An empty first batch announces the
    /// split, which then holds back event time until it brings a record.
    pub split: SplitId,
    /// The records.
    pub records: Vec<Record<T>>,
    /// A watermark carried by the data itself. It applies after these records.
    pub watermark: Option<Watermark>,
    /// Whether the split ends with this batch.
    pub last: bool,
    /// Whether the split reports that no data is expected for now. It then stops holding back event time until it brings a record.
    pub idle: bool,
    /// Where the split continues after these records. [`SourceContext::restored`] returns it after a restore. Any JSON; people read it in
    /// manifests.
    pub position: Option<serde_json::Value>,
}

/// A split that a reader knows from the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Resumed {
    /// The number the reader gives it.
    pub split: SplitId,
    /// Where it begins or continues.
    pub position: serde_json::Value,
    /// Whether it had ended. If so, it brings nothing more.
    pub ended: bool,
}

/// A part of a source with its own order, numbered by the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SplitId(pub u32);

impl<T> Batch<T> {
    /// Records of `split`, without further news.
    #[must_use]
    pub fn new(split: SplitId, records: Vec<Record<T>>) -> Self {
        Self { split, records, watermark: None, last: false, idle: false, position: None }
    }
}

/// Wakes an operator, from any thread. Waking one that has ended does nothing.
#[derive(Clone)]
pub struct Waker(Option<timely::scheduling::SyncActivator>);

impl Waker {
    pub(crate) fn new(activator: timely::scheduling::SyncActivator) -> Self {
        Self(Some(activator))
    }

    /// A waker that wakes nothing, for a reader driven by hand.
    #[must_use]
    pub fn disconnected() -> Self {
        Self(None)
    }

    /// Activates the operator. A source polls its reader again; other operators look for answers.
    pub fn wake(&self) {
        if let Some(activator) = &self.0 {
            // This fails only if the worker is gone, and then there is nobody to wake.
            let _ = activator.activate();
        }
    }
}
