//! The sink: what is settled before a run begins to write, and the writers.

use tidegate_runtime::Error;
use tidegate_runtime::sink::{Restored, Sink, SinkContext, Writer};

use super::marker::{self, MARKERS};
use super::outbox::Outbox;
use super::transaction::Place;
use super::unit::{Decision, Unit, decide};
use crate::format::MessageEncoder;
use crate::kafka::client::Cluster;
use crate::kafka::sink::{Address, Composer};

/// A topic that is written exactly once: readers who leave out what is not committed, as Kafka's own do by `isolation.level=read_committed`, see each
/// record once.
#[derive(Clone)]
pub struct ExactlyOnce<E, A> {
    place: Place,
    prefix: String,
    messages: Composer<E, A>,
}

impl<E, A> ExactlyOnce<E, A> {
    pub(in crate::kafka) fn new(cluster: Cluster, topic: String, prefix: String, messages: Composer<E, A>) -> Self {
        Self { place: Place { cluster, topic, markers: MARKERS.to_owned() }, prefix, messages }
    }

    /// Keeps markers in another topic than [`MARKERS`].
    #[must_use]
    pub fn markers(mut self, topic: impl Into<String>) -> Self {
        self.place.markers = topic.into();
        self
    }

    fn id(&self, worker: usize) -> String {
        format!("{}-{worker}", self.prefix)
    }

    /// Settles what a snapshot holds: fences its writers, and sends what is not in the topic yet.
    fn settle(&self, mut units: Vec<Unit>, workers: usize) -> Result<(), Error> {
        let mut ids: Vec<String> = (0..workers).map(|worker| self.id(worker)).chain(units.iter().map(|unit| unit.id.clone())).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut committers = self.place.committers(&ids.iter().map(String::as_str).collect::<Vec<_>>())?;
        units.sort_by_key(|unit| unit.epoch);
        for unit in units {
            if let Some(committer) = committers.iter_mut().find(|committer| committer.id() == unit.id) {
                committer.settle(&unit)?;
            }
        }
        Ok(())
    }

    /// Looks whether another job has sent the units that it had sealed when the snapshot was taken. Its writers must not be fenced: it may be running.
    fn look(&self, units: &[Unit]) -> Result<(), Error> {
        let mut ids: Vec<&str> = units.iter().map(|unit| unit.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = marker::read(&self.place.cluster, &self.place.markers, &ids)?;
        for unit in units {
            let marker = ids.iter().position(|id| *id == unit.id).and_then(|at| found.get(at)?.as_ref());
            if marker.is_none() || decide(marker, unit)? == Decision::Send {
                return Err(Error::user(format!(
                    "the snapshot holds {} records that `{}` has yet to write: let that job complete a checkpoint first; or, if it runs no more and \
                     this one takes its place, set `transactional_id: {}`",
                    unit.records,
                    unit.id,
                    unit.prefix()
                )));
            }
        }
        Ok(())
    }
}

impl<T: 'static, E: MessageEncoder<T>, A: Address<T>> Sink<T> for ExactlyOnce<E, A> {
    fn recover(&self, restored: &Restored) -> Result<(), Error> {
        let units = restored.committables.iter().map(Unit::read).collect::<Result<Vec<_>, _>>()?;
        let (own, others): (Vec<_>, Vec<_>) = units.into_iter().partition(|unit| unit.prefix() == self.prefix);
        self.look(&others)?;
        self.settle(own, restored.workers)
    }

    fn open(&self, context: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        if !context.transactional {
            return Err(Error::user(format!(
                "topic `{}` can be written exactly once only where checkpoints are taken, exactly once: what a failure would write again is known by them",
                self.place.topic
            )));
        }
        self.messages.open::<T>()?;
        let id = self.id(context.worker);
        let mut committer = self.place.committers(&[&id])?.pop().ok_or_else(|| Error::internal("an id without a writer"))?;
        committer.begin()?;
        Ok(Box::new(Outbox::open(&self.place.topic, committer, context.scratch, self.messages.clone())?))
    }
}
