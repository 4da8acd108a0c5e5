//! A writer's place in the topic: its transactional id, which only one process holds at a time, and its marker.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer};
use tidegate_runtime::Error;

use super::unit::{Decision, Marker, Unit};
use super::{marker, segment};
use crate::kafka::client::Cluster;
use crate::kafka::sink::Outlet;

/// How long one call may take before it is made again.
const CALL: Duration = Duration::from_secs(10);

/// How long a transaction may take in all, which is also when the broker gives it up.
const TRANSACTION: Duration = Duration::from_secs(60);

/// How often a unit is tried, with a new producer each time.
const ATTEMPTS: usize = 3;

/// Where and as whom a writer writes.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) cluster: Cluster,
    pub(super) topic: String,
    pub(super) markers: String,
}

/// A writer that has fenced all before it of the same id.
pub(super) struct Committer {
    place: Place,
    id: String,
    outlet: Outlet,
    /// As it stands in the topic.
    marker: Marker,
}

impl Place {
    /// Fences: whoever wrote as `id` before can't any more, and what it had begun is aborted or committed.
    fn fence(&self, id: &str) -> Result<Outlet, Error> {
        let timeout = TRANSACTION.as_millis().to_string();
        let fixed = [("transactional.id", id), ("transaction.timeout.ms", timeout.as_str()), ("message.timeout.ms", timeout.as_str())];
        let outlet = Outlet::open(&self.cluster, &self.topic, &fixed)?;
        retried(|| outlet.producer.init_transactions(CALL)).map_err(|e| outlet.failed(e))?;
        Ok(outlet)
    }

    /// The writers of these ids, each after all before it: all are fenced before the first marker is read, as an open transaction of one
    /// hides the markers of others.
    pub(super) fn committers(&self, ids: &[&str]) -> Result<Vec<Committer>, Error> {
        marker::prepare(&self.cluster, &self.markers)?;
        let outlets = ids.iter().map(|id| self.fence(id)).collect::<Result<Vec<_>, _>>()?;
        let markers = marker::read(&self.cluster, &self.markers, ids)?;
        let all = ids.iter().zip(outlets).zip(markers);
        Ok(all.map(|((id, outlet), marker)| Committer { place: self.clone(), id: (*id).to_owned(), outlet, marker }).collect())
    }
}

/// Makes a call again as long as that may help.
fn retried(mut call: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let start = Instant::now();
    loop {
        match call() {
            Err(KafkaError::Transaction(e)) if e.is_retriable() && start.elapsed() < TRANSACTION => {}
            other => return other,
        }
    }
}

/// Does this tell that somebody else writes as this writer now?
fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

impl Committer {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Sees to it that the unit stands in the topic, once.
    pub(super) fn settle(&mut self, unit: &Unit) -> Result<(), Error> {
        let mut attempts = 0;
        loop {
            if self.marker.decide(unit)? == Decision::Skip {
                return Ok(());
            }
            let next = self.marker.with(unit);
            let failure = match self.send(unit, &next) {
                Ok(()) => {
                    self.marker = next;
                    return Ok(());
                }
                Err(failure) => failure,
            };
            if self.is_fenced(&failure) {
                // To fence it in turn would only begin a fight.
                let message = format!(
                    "another process writes topic `{}` as `{}`: is the job running twice? Or a transaction took longer than a minute",
                    self.place.topic, self.id
                );
                return Err(match failure {
                    Failure::Kafka(e) => Error::external(message, e),
                    Failure::Error(e) => Error::external(message, e),
                });
            }
            attempts += 1;
            if attempts >= ATTEMPTS {
                return Err(match failure {
                    Failure::Kafka(e) => self.outlet.failed(e),
                    Failure::Error(e) => e,
                });
            }
            // Whether it was committed is not known. A new producer fences the doubt, and the marker then tells.
            self.outlet = self.place.fence(&self.id)?;
            let read = marker::read(&self.place.cluster, &self.place.markers, &[&self.id])?;
            self.marker = read.into_iter().next().unwrap_or_default();
        }
    }

    /// Has somebody else begun to write as this writer? The first error tells it, whatever those say that follow from it.
    fn is_fenced(&self, failure: &Failure) -> bool {
        let client = self.outlet.producer.client();
        let said = if let Failure::Kafka(e) = failure { e.rdkafka_error_code() } else { None };
        let fatal = client.fatal_error().map(|(code, _)| code);
        let undelivered = client.context().undelivered().and_then(|e| e.rdkafka_error_code());
        [said, fatal, undelivered].into_iter().flatten().any(is_fenced)
    }

    /// Sends the records of a unit and the marker in one transaction.
    fn send(&self, unit: &Unit, marker: &Marker) -> Result<(), Failure> {
        let producer = &self.outlet.producer;
        producer.begin_transaction()?;
        segment::read(&unit.segment, unit.records, |message| self.outlet.send(message))?;
        let value = serde_json::to_vec(marker).map_err(|e| Error::external("a marker has no JSON form", e))?;
        let record =
            BaseRecord::to(&self.place.markers).partition(marker::partition(&self.id)).key(self.id.as_str()).payload(value.as_slice());
        // The queue may be full of records.
        self.outlet.flush()?;
        producer.send(record).map_err(|(e, _)| e)?;
        self.outlet.flush()?;
        retried(|| producer.commit_transaction(CALL))?;
        Ok(())
    }
}

/// Why a transaction did not come to its end.
enum Failure {
    Kafka(KafkaError),
    Error(Error),
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
