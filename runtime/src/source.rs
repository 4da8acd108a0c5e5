//! The contract of sources: where records come from.
//!
//! A [`Source`] is opened once on every worker and gives each a [`Reader`]. A reader hands over [`Batch`]es and never blocks; one that
//! has to wait for the outside (a disk, a socket) waits on a thread of its own and wakes its operator through the [`Waker`].
//! How readers are driven, when they pause, and how batches become timed messages is the business of the source operator.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::error::Error;
use crate::kind::Kind;
use crate::metrics::SourceMetrics;
use crate::record::Record;
use crate::time::Watermark;

/// A place records come from: a set of files, a topic, a generator.
pub trait Source<T>: Send + Sync + 'static {
    /// What kind of source it is, as savepoints know it: positions of one kind are never given to another.
    fn kind(&self) -> Kind {
        Kind::new("source")
    }

    /// The version of its positions. It rises when they are written in another form, and positions of another version are not read.
    fn version(&self) -> u32 {
        1
    }

    /// Opens this worker's share.
    ///
    /// # Errors
    /// The source can't be read at all; the job fails with this cause.
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<T>>, Error>;

    /// Can it go on from these positions, which a snapshot has? Asked before the job runs, and by who only wants to know; nothing is changed by it.
    ///
    /// # Errors
    /// Why it can't.
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

/// What a reader knows of its surroundings.
pub struct SourceContext {
    /// This worker, from 0.
    pub worker: usize,
    /// The number of workers.
    pub workers: usize,
    /// Wakes the source operator from another thread.
    pub waker: Waker,
    /// What the instances of the source on all workers must see alike.
    pub shared: Shared,
    /// The last positions of all splits of the source when the snapshot was taken that the job goes on from; `None` at a fresh start. All workers
    /// see all of them, and each takes its own: see [`Reader::resumed`].
    pub restored: Option<Arc<Vec<serde_json::Value>>>,
    /// The counters of the source; the reader counts what only it can see: bytes, bad records.
    pub metrics: Arc<SourceMetrics>,
}

/// A value that is made once per run of a job, by the first worker that asks, and seen by all: such as a listing of files, which would not be
/// the same a moment later. It is kept as data, so that a process may hand it to another.
#[derive(Clone, Default)]
pub struct Shared {
    value: Arc<Mutex<Option<Json>>>,
    begins: Arc<OnceLock<bool>>,
}

impl Shared {
    /// The value, made by `make` if nobody has made it yet.
    ///
    /// # Errors
    /// What `make` returns. The next to ask tries again.
    pub fn get_or_make<V: Serialize + DeserializeOwned>(&self, make: impl FnOnce() -> Result<V, Error>) -> Result<V, Error> {
        let mut slot = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*slot {
            return V::deserialize(value)
                .map_err(|e| Error::external("what the instances of a source share is not what this one expects", e));
        }
        let value = make()?;
        *slot =
            Some(serde_json::to_value(&value).map_err(|e| Error::external("what the instances of a source share has no JSON form", e))?);
        Ok(value)
    }

    /// Does the source begin, or is the job stopped before? What the first instance says holds for all: else a snapshot would have the splits of some.
    pub(crate) fn begins(&self, says: bool) -> bool {
        *self.begins.get_or_init(|| says)
    }
}

/// One worker's share of a source.
pub trait Reader<T>: 'static {
    /// What there is to read now. Never blocks.
    ///
    /// # Errors
    /// Reading failed for good; the job fails with this cause.
    fn poll(&mut self) -> Result<Poll<T>, Error>;

    /// Is it known from the outset that there is nothing for this reader? Sources of few splits say so on most workers.
    fn is_vacant(&self) -> bool {
        false
    }

    /// The splits that are known from the outset: those of this reader's share among [`SourceContext::restored`], each with the position it was given, or
    /// those it begins with. Whatever happens from then on, the next snapshot knows of them. `None`: not known yet. Then this is asked again, nothing is
    /// to come from [`poll`](Self::poll) before the answer, and snapshots wait for it.
    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        Some(Vec::new())
    }

    /// A checkpoint that holds these positions of this reader's splits is complete.
    fn completed(&mut self, _positions: &[serde_json::Value]) {}
}

/// The answer of a reader.
pub enum Poll<T> {
    /// Some records, or news of a split.
    Batch(Batch<T>),
    /// Nothing now. The reader wakes its operator when there is.
    Pending,
    /// Nothing for this long; then the reader is asked again. It may be asked before.
    After(Duration),
    /// Nothing ever again.
    Finished,
}

/// Records of one split, in the order of the split.
pub struct Batch<T> {
    /// The split: a file, a partition. A split is known from its first batch (an empty one announces it, and holds back event time until
    /// it brings a record) to the batch that ends it.
    pub split: SplitId,
    /// The records.
    pub records: Vec<Record<T>>,
    /// A watermark the data itself carries; it holds after these records.
    pub watermark: Option<Watermark>,
    /// Is this the end of the split?
    pub last: bool,
    /// Does the split say itself that nothing is to be expected of it for now? It holds event time back no longer, until it brings a record.
    pub idle: bool,
    /// Where the split goes on after these records: what [`SourceContext::restored`] gives back after a restore. Any JSON; people read it in manifests.
    pub position: Option<serde_json::Value>,
}

/// A split that a reader knows from the outset.
#[derive(Clone, Debug, PartialEq)]
pub struct Resumed {
    /// The number the reader gives it.
    pub split: SplitId,
    /// Where it begins or goes on.
    pub position: serde_json::Value,
    /// Had it ended? Then it brings nothing more.
    pub ended: bool,
}

/// A part of a source with an order of its own, numbered by the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SplitId(pub u32);

impl<T> Batch<T> {
    /// Records of `split`, with no further news.
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

    /// A waker of nothing, for a reader that is driven by hand.
    #[must_use]
    pub fn disconnected() -> Self {
        Self(None)
    }

    /// Activates the operator: a source asks its reader again, others look for what has been answered.
    pub fn wake(&self) {
        if let Some(activator) = &self.0 {
            // Fails only if the worker is gone; then there is nobody to wake.
            let _ = activator.activate();
        }
    }
}
