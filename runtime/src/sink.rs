//! The contract of sinks: where records go.
//!
//! A [`Sink`] is opened once on every worker and gives each a [`Writer`]. The writer supplies a [`Committer`] if it holds back output until
//! a checkpoint is complete. The calls of both may block: they run on threads of their own, so a slow database holds back the sources but
//! not the worker's other operators. The sink's operator hands over batches, learns from answers what has been written, and never waits
//! itself. Which threads these are is not part of the contract: a writer may hand its work to a runtime of its own and wait for that. A
//! sink whose calls never wait can have them made on the worker ([`Sink::inline`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value as Json;
use tidegate_checkpoints::Epoch;

use crate::error::Error;
use crate::kind::Kind;
use crate::record::Record;

/// A place where records go: a file, standard output, a topic.
pub trait Sink<T>: Send + Sync + 'static {
    /// The kind of sink, as recorded in savepoints. Pending output of one kind is never given to another.
    fn kind(&self) -> Kind {
        Kind::new("sink")
    }

    /// The version of its [`Committable`] format. Raise it when the format changes; committables of another version are never read.
    fn version(&self) -> u32 {
        1
    }

    /// Opens a worker's share. May block.
    ///
    /// # Errors
    /// The sink can't be written at all. The job fails with this cause.
    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error>;

    /// Checks whether the sink can resume from what its writers had sealed but not committed in a snapshot. Called before the job runs, and
    /// by commands that only inspect a snapshot. Must have no side effects. Receives the values alone, without files.
    ///
    /// # Errors
    /// The sink can't resume from them; the error says why.
    fn accepts(&self, _committables: &[Json]) -> Result<(), Error> {
        Ok(())
    }

    /// Delivers to readers whatever part of `restored` has not reached them, exactly once. Called once in a run that resumes from a
    /// snapshot, by one worker, before the sink is opened on any worker. May block.
    ///
    /// # Errors
    /// Recovery failed. The job fails with this cause.
    fn recover(&self, _restored: &Restored) -> Result<(), Error> {
        Ok(())
    }

    /// Whether all records must go through one worker, for example because they end up in one file.
    fn single_writer(&self) -> bool {
        false
    }

    /// Whether writers are called on the worker itself. Right for writers that never wait: those that write to memory, call a function that
    /// computes, or fill the page cache. Opening, recovering and committing happen on other threads even then. Asked once a writer is open.
    fn inline(&self) -> bool {
        false
    }
}

impl<T, S: Sink<T> + ?Sized> Sink<T> for Arc<S> {
    fn kind(&self) -> Kind {
        (**self).kind()
    }

    fn version(&self) -> u32 {
        (**self).version()
    }

    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        (**self).open(context)
    }

    fn accepts(&self, committables: &[Json]) -> Result<(), Error> {
        (**self).accepts(committables)
    }

    fn recover(&self, restored: &Restored) -> Result<(), Error> {
        (**self).recover(restored)
    }

    fn single_writer(&self) -> bool {
        (**self).single_writer()
    }

    fn inline(&self) -> bool {
        (**self).inline()
    }
}

/// What a writer knows about its surroundings.
#[derive(Clone, Debug, Default)]
pub struct SinkContext {
    /// This worker, from 0.
    pub worker: usize,
    /// The number of workers.
    pub workers: usize,
    /// Whether output is committed only as part of a checkpoint. If not, every epoch is committed as soon as it is sealed.
    pub transactional: bool,
    /// A directory of this writer's own. It may not exist yet. It is emptied between runs.
    pub scratch: PathBuf,
    /// What the sink had pending in the snapshot that the run resumes from.
    pub restored: Option<Arc<Restored>>,
    /// Tells when the run is over. A call that waits for something outside checks it and gives up.
    pub cancellation: Cancellation,
}

/// Tells that a run is over and nothing more may be written for it. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Marks the run as over.
    pub fn cancel(&self) {
        self.0.store(true, SeqCst);
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(SeqCst)
    }
}

/// What the writers of a sink had sealed but not committed when a snapshot was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The committables of all writers. Their files stay on this machine until [`Sink::recover`] returns.
    pub committables: Vec<Committable>,
    /// The number of workers at that time.
    pub workers: usize,
}

/// Output held back until the checkpoint it belongs to is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committable {
    /// What the sink needs to commit it.
    pub value: Json,
    /// A file that belongs to it. The file is complete, and no other file of this writer has its name. It is removed once it is committed.
    /// Until then it is part of checkpoints, which keep links or copies of their own.
    pub file: Option<PathBuf>,
}

impl From<Json> for Committable {
    fn from(value: Json) -> Self {
        Self { value, file: None }
    }
}

/// One worker's share of a sink. Its calls may block.
pub trait Writer<T>: Send + 'static {
    /// Takes over records, in order. They need not have arrived anywhere before `flush` or `seal`.
    ///
    /// # Errors
    /// Writing failed. The job fails with this cause.
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error>;

    /// Hands over what is buffered and returns once it has arrived, so that readers see it. Called when the stream pauses.
    ///
    /// # Errors
    /// Writing failed. The job fails with this cause.
    fn flush(&mut self) -> Result<(), Error>;

    /// Called when all records of `epoch` have been written and none of a later one. An exactly-once sink pre-commits here: what it returns
    /// becomes part of the checkpoint, is durable when the checkpoint is complete, and comes back to [`Sink::recover`] until it is
    /// committed.
    ///
    /// # Errors
    /// Writing failed. The job fails with this cause.
    fn seal(&mut self, _epoch: Epoch) -> Result<Vec<Committable>, Error> {
        self.flush()?;
        Ok(Vec::new())
    }

    /// What commits the writer's epochs. Asked for once, after the writer is opened. `None` if nothing is held back.
    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        None
    }
}

/// Makes visible to readers what a writer has sealed. It runs beside its writer, which goes on with the next epochs.
pub trait Committer: Send + 'static {
    /// Commits `committables`: everything sealed up to `epoch` and not yet committed, in order. Called when the checkpoint of `epoch` is
    /// complete. When this returns, readers see all of it. May block.
    ///
    /// # Errors
    /// Committing failed. The job fails with this cause and commits again when it is restored.
    fn commit(&mut self, epoch: Epoch, committables: Vec<Committable>) -> Result<(), Error>;
}
