//! The contract of sinks: where records go.
//!
//! A [`Sink`] is opened once on every worker and gives each a [`Writer`], and that a [`Committer`] if it holds output back until a checkpoint is complete.
//! The calls of both may block: they are made on threads of their own, so that a slow database holds back the sources, but not the other operators of a
//! worker. The sink's operator hands batches over and learns by answers what has been written; it never waits itself. Which threads these are is not part
//! of the contract: a writer may as well hand its work to a runtime of its own and wait for that. A sink whose calls never wait can have them made
//! on the worker ([`Sink::inline`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value as Json;
use tidegate_checkpoints::Epoch;

use crate::error::Error;
use crate::kind::Kind;
use crate::record::Record;

/// A place records go to: a file, standard output, a topic.
pub trait Sink<T>: Send + Sync + 'static {
    /// What kind of sink it is, as savepoints know it: what one kind has yet to commit is never given to another.
    fn kind(&self) -> Kind {
        Kind::new("sink")
    }

    /// The version of its [`Committable`]s. It rises when they are written in another form, and those of another version are not read.
    fn version(&self) -> u32 {
        1
    }

    /// Opens a worker's share. May block.
    ///
    /// # Errors
    /// The sink can't be written at all; the job fails with this cause.
    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error>;

    /// Can the sink go on from what its writers had sealed and not committed in a snapshot? Asked before the job runs, and by commands that only want to
    /// know; it must change nothing. These are the values alone, without files.
    ///
    /// # Errors
    /// Why it can't.
    fn accepts(&self, _committables: &[Json]) -> Result<(), Error> {
        Ok(())
    }

    /// Brings what of `restored` has not reached its readers to them, once. Called once in a run that goes on from a snapshot, by one worker, before the
    /// sink is opened on any. May block.
    ///
    /// # Errors
    /// It can't be; the job fails with this cause.
    fn recover(&self, _restored: &Restored) -> Result<(), Error> {
        Ok(())
    }

    /// Must all records go through one worker, as when they end in one file?
    fn single_writer(&self) -> bool {
        false
    }

    /// Are writers called on the worker itself? Right for those that never wait: into memory, into a function that computes, into the page cache. Opening,
    /// recovering and committing happen on threads even then. Asked once a writer is open.
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

/// What a writer knows of its surroundings.
#[derive(Clone, Debug, Default)]
pub struct SinkContext {
    /// This worker, from 0.
    pub worker: usize,
    /// The number of workers.
    pub workers: usize,
    /// Are checkpoints taken, so that only what is part of one is committed? Else every epoch is committed as soon as it is sealed.
    pub transactional: bool,
    /// A directory of this writer's own, which may have to be made. It is emptied between runs.
    pub scratch: PathBuf,
    /// What the sink had when the snapshot was taken that the run goes on from.
    pub restored: Option<Arc<Restored>>,
    /// Says when the run is over. A call that waits for something outside looks at it, and gives up.
    pub cancellation: Cancellation,
}

/// Says that a run is over, and that nothing is to be written for it any more. Clones say the same.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// The run is over.
    pub fn cancel(&self) {
        self.0.store(true, SeqCst);
    }

    /// Is the run over?
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(SeqCst)
    }
}

/// What the writers of a sink had sealed and not committed when a snapshot was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Those of all writers. Their files lie on this machine until [`Sink::recover`] returns.
    pub committables: Vec<Committable>,
    /// How many workers there were.
    pub workers: usize,
}

/// Output that is held back until the checkpoint is complete that it is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committable {
    /// What the sink must know to commit it.
    pub value: Json,
    /// A file that belongs to it. It is complete, and its name is unlike that of any other file of this writer. It is removed once it is committed; until
    /// then it is part of checkpoints, which keep links or copies of their own.
    pub file: Option<PathBuf>,
}

impl From<Json> for Committable {
    fn from(value: Json) -> Self {
        Self { value, file: None }
    }
}

/// One worker's share of a sink. Its calls may block.
pub trait Writer<T>: Send + 'static {
    /// Takes records over, in order. They need not have arrived anywhere before `flush` or `seal`.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error>;

    /// Hands over what is buffered, and returns when it has arrived, so that a reader sees it. Called when the stream pauses.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn flush(&mut self) -> Result<(), Error>;

    /// All records of `epoch` have been written, none of a later one. Here an exactly-once sink pre-commits: what it returns becomes part of the
    /// checkpoint, is durable when that is complete, and comes back to [`Sink::recover`] until it is committed.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn seal(&mut self, _epoch: Epoch) -> Result<Vec<Committable>, Error> {
        self.flush()?;
        Ok(Vec::new())
    }

    /// What commits the writer's epochs. Asked for once, after the writer is opened. `None`: nothing is held back.
    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        None
    }
}

/// Shows readers what a writer has sealed. It works beside its writer, which goes on with the next epochs.
pub trait Committer: Send + 'static {
    /// The checkpoint of `epoch` is complete, and `committables` are what was sealed up to it and is not committed, in order. When this returns, readers
    /// see all of it. May block.
    ///
    /// # Errors
    /// Committing failed; the job fails with this cause, and tries again when it is restored.
    fn commit(&mut self, epoch: Epoch, committables: Vec<Committable>) -> Result<(), Error>;
}
