//! The exactly-once sink: settles what a snapshot holds before a run starts to write, and opens the writers.

use serde_json::Value as Json;
use tidegate_runtime::Error;
use tidegate_runtime::Kind;
use tidegate_runtime::sink::{Cancellation, Restored, Sink, SinkContext, Writer};

use super::marker::{self, MARKERS};
use super::outbox::Outbox;
use super::transaction::Place;
use super::unit::{Decision, Unit, decide, prefix};
use crate::kafka::client::Cluster;
use crate::kafka::sink::{Address, Composer};
use crate::kinds;
use crate::message::MessageEncoder;

/// A topic that is written exactly once: consumers that ignore uncommitted records, as Kafka's own do with
/// `isolation.level=read_committed`, see each record once.
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

    /// Keeps markers in a topic other than [`MARKERS`].
    #[must_use]
    pub fn markers(mut self, topic: impl Into<String>) -> Self {
        self.place.markers = topic.into();
        self
    }

    fn id(&self, worker: usize) -> String {
        format!("{}-{worker}", self.prefix)
    }

    /// Settles what a snapshot holds: fences its writers, and sends what is not yet in the topic.
    fn settle(&self, mut units: Vec<Unit>, workers: usize) -> Result<(), Error> {
        let mut ids: Vec<String> = (0..workers).map(|worker| self.id(worker)).chain(units.iter().map(|unit| unit.id.clone())).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut committers = self.place.committers(&ids.iter().map(String::as_str).collect::<Vec<_>>(), &Cancellation::default())?;
        units.sort_by_key(|unit| unit.epoch);
        for unit in units {
            if let Some(committer) = committers.iter_mut().find(|committer| committer.id() == unit.id) {
                committer.settle(&unit)?;
            }
        }
        Ok(())
    }
}

/// Checks that units that are not ours to send have been sent. Their writers must not be fenced, because they may
/// belong to a running job.
fn sent(cluster: &Cluster, units: &[Unit], remedy: impl Fn(&Unit) -> String) -> Result<(), Error> {
    for units in units.chunk_by(|a, b| a.markers == b.markers) {
        let mut ids: Vec<&str> = units.iter().map(|unit| unit.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = units.first().map_or(Ok(Vec::new()), |unit| marker::read(cluster, &unit.markers, &ids))?;
        for unit in units {
            let marker = ids.iter().position(|id| *id == unit.id).and_then(|at| found.get(at)?.as_ref());
            if marker.is_none() || decide(marker, unit)? == Decision::Send {
                let Unit { records, topic, id, .. } = unit;
                return Err(Error::user(format!(
                    "the snapshot holds {records} records for topic `{topic}` that have yet to be written by `{id}`: {}",
                    remedy(unit)
                )));
            }
        }
    }
    Ok(())
}

fn told(committables: &[Json]) -> Result<Vec<Unit>, Error> {
    committables.iter().map(Unit::told).collect()
}

/// The committable values of a snapshot, without their records.
pub(in crate::kafka) fn values(restored: &Restored) -> Vec<Json> {
    restored.committables.iter().map(|committable| committable.value.clone()).collect()
}

/// Checks, for a sink without transactions, that the snapshot of an exactly-once sink has nothing left to send.
pub(in crate::kafka) fn nothing_pends(cluster: &Cluster, committables: &[Json]) -> Result<(), Error> {
    sent(cluster, &told(committables)?, |Unit { topic, id, .. }| {
        let prefix = prefix(id);
        format!(
            "go on with `delivery: exactly_once`, `topic: {topic}` and `transactional_id: {prefix}`, stop the job, and change it then; or, to lose them, \
             give the sink another name and let its state go by `--allow-dropped-state`"
        )
    })
}

impl<T: 'static, E: MessageEncoder<T>, A: Address<T>> Sink<T> for ExactlyOnce<E, A> {
    fn kind(&self) -> Kind {
        kinds::KAFKA
    }

    fn accepts(&self, committables: &[Json]) -> Result<(), Error> {
        let Place { cluster, topic, markers } = &self.place;
        let (own, others): (Vec<_>, Vec<_>) = told(committables)?.into_iter().partition(|unit| unit.prefix() == self.prefix);
        sent(cluster, &others, |unit| {
            let prefix = unit.prefix();
            format!(
                "let that job complete a checkpoint first; or, if it runs no more and this one takes its place, set `transactional_id: {prefix}`"
            )
        })?;
        let elsewhere: Vec<_> = own.into_iter().filter(|unit| !self.place.is_of(unit)).collect();
        sent(cluster, &elsewhere, |unit| {
            let changed = [("topic", &unit.topic, topic), ("markers", &unit.markers, markers)];
            let changed = changed.iter().filter(|(_, was, is)| was != is).map(|(key, was, _)| format!("`{key}: {was}`"));
            format!("go on with {}, stop the job, and change it then", changed.collect::<Vec<_>>().join(" and "))
        })
    }

    fn recover(&self, restored: &Restored) -> Result<(), Error> {
        Sink::<T>::accepts(self, &values(restored))?;
        let units = restored.committables.iter().map(Unit::read).collect::<Result<Vec<_>, _>>()?;
        let own = units.into_iter().filter(|unit| unit.prefix() == self.prefix && self.place.is_of(unit)).collect();
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
        let mut committer =
            self.place.committers(&[&id], &context.cancellation)?.pop().ok_or_else(|| Error::internal("an id without a writer"))?;
        committer.begin()?;
        Ok(Box::new(Outbox::open(committer, context.scratch, self.messages.clone())?))
    }
}
