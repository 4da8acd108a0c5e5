//! The contract of sinks: where records go.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tidegate_checkpoints::Epoch;

use crate::error::Error;
use crate::kind::Kind;
use crate::record::Record;

/// How soon a writer that isn't done is asked again.
const AGAIN: Duration = Duration::from_millis(1);

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

    /// Opens a worker's share.
    ///
    /// # Errors
    /// The sink can't be written at all; the job fails with this cause.
    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error>;

    /// Can it go on from what its writers had sealed and not committed in a snapshot? Asked before the job runs, and by who only wants to know; nothing is
    /// changed by it. These are the values alone, without files.
    ///
    /// # Errors
    /// Why it can't.
    fn accepts(&self, _committables: &[Json]) -> Result<(), Error> {
        Ok(())
    }

    /// Called once in a run that goes on from a snapshot, on one worker, before it is opened on any. What of `restored` has not arrived where readers see it
    /// is to be brought there, once.
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
}

/// What a writer knows of its surroundings.
#[derive(Clone, Debug, Default)]
pub struct SinkContext {
    /// This worker, from 0.
    pub worker: usize,
    /// The number of workers.
    pub workers: usize,
    /// Are checkpoints taken, so that [`Writer::commit`] is only called for what is part of one? Else it is called right after [`Writer::seal`].
    pub transactional: bool,
    /// A directory of this writer's own, which may have to be made. It is emptied between runs.
    pub scratch: PathBuf,
    /// What the sink had when the snapshot was taken that the run goes on from.
    pub restored: Option<Arc<Restored>>,
}

/// What the writers of a sink had sealed and not committed when a snapshot was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// That of all writers. Files lie on this machine until [`Sink::recover`] returns.
    pub committables: Vec<Committable>,
    /// How many workers there were.
    pub workers: usize,
}

/// What is to be brought to readers once the checkpoint is complete that it is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committable {
    /// What the sink has to know of it.
    pub value: Json,
    /// A file that belongs to it. It is written no more, and has a name that no other of this writer ever has. It is removed when it is committed; until
    /// then it is part of checkpoints, which keep links or copies of their own.
    pub file: Option<PathBuf>,
}

impl From<Json> for Committable {
    fn from(value: Json) -> Self {
        Self { value, file: None }
    }
}

/// One worker's share of a sink. It may block for as long as one record takes, not for longer: the operator gives it a few at a time.
pub trait Writer<T>: 'static {
    /// Takes records over, in order. They need not have arrived anywhere before `flush` or `seal`.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error>;

    /// Hands over what is buffered, so that a reader sees it. Called when the stream pauses, and at the end. Returns whether all has arrived. If that
    /// takes its time, it goes on elsewhere, and this is called again soon.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn flush(&mut self) -> Result<bool, Error>;

    /// All records of `epoch` have been written, none of a later one. Here an exactly-once sink pre-commits: what it returns becomes part of the
    /// checkpoint, is durable when that is complete, and comes back to [`Sink::recover`] until it is committed.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause.
    fn seal(&mut self, _epoch: Epoch) -> Result<Vec<Committable>, Error> {
        while !self.flush()? {
            std::thread::sleep(AGAIN);
        }
        Ok(Vec::new())
    }

    /// The checkpoint of `epoch` is complete: what was sealed up to and including it may be seen by readers. Returns whether that is done. If it takes
    /// its time, it goes on elsewhere, and this is called again soon.
    ///
    /// # Errors
    /// Writing failed; the job fails with this cause, and tries again when it is restored.
    fn commit(&mut self, _epoch: Epoch) -> Result<bool, Error> {
        Ok(true)
    }
}
