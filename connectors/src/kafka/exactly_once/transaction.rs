//! A writer's identity in the topic: its transactional id, which only one process holds at a time, and its marker.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer};
use tidegate_runtime::sink::Cancellation;
use tidegate_runtime::{Error, failpoint};

use super::unit::{Decision, Marker, Unit, decide};
use super::{marker, segment};
use crate::kafka::client::Cluster;
use crate::kafka::sink::Outlet;

/// The timeout of one call, after which it is retried.
const CALL: Duration = Duration::from_secs(10);

/// How long retries may take in total.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a transaction may take in total, unless `options` say otherwise, before the broker aborts it.
const TIMEOUTS: [(&str, &str); 2] = [(TIMEOUT, "60000"), ("message.timeout.ms", "60000")];
const TIMEOUT: &str = "transaction.timeout.ms";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How many times a unit is tried, each time with a new producer.
const ATTEMPTS: usize = 3;

/// Where a writer writes.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) cluster: Cluster,
    pub(super) topic: String,
    pub(super) markers: String,
}

/// A writer that has fenced all earlier ones with the same id.
pub(super) struct Committer {
    place: Place,
    id: String,
    outlet: Outlet,
    /// The marker in the topic, if there is one.
    marker: Option<Marker>,
    /// When the last transaction started.
    begun: Cell<Instant>,
}

impl Place {
    /// Whether the unit belongs in this place.
    pub(super) fn is_of(&self, unit: &Unit) -> bool {
        (&self.topic, &self.markers) == (&unit.topic, &unit.markers)
    }

    /// Fences earlier writers with this `id`: they can't write any more, and their open transactions are aborted or
    /// committed.
    fn fence(&self, id: &str, cancellation: &Cancellation) -> Result<Outlet, Error> {
        let outlet = Outlet::open(&self.cluster, &self.topic, &TIMEOUTS, &[("transactional.id", id)], cancellation.clone())?;
        retried(cancellation, || outlet.producer.init_transactions(CALL)).map_err(|e| outlet.failed(e))?;
        Ok(outlet)
    }

    /// The writers with these ids. All earlier ones are fenced before the first marker is read, because an open
    /// transaction of one hides the markers of others.
    pub(super) fn committers(&self, ids: &[&str], cancellation: &Cancellation) -> Result<Vec<Committer>, Error> {
        marker::prepare(&self.cluster, &self.markers)?;
        let outlets = ids.iter().map(|id| self.fence(id, cancellation)).collect::<Result<Vec<_>, _>>()?;
        let markers = marker::read(&self.cluster, &self.markers, ids)?;
        let all = ids.iter().zip(outlets).zip(markers);
        Ok(all
            .map(|((id, outlet), marker)| Committer {
                place: self.clone(),
                id: (*id).to_owned(),
                outlet,
                marker,
                begun: Cell::new(Instant::now()),
            })
            .collect())
    }
}

/// Retries a call while that may help and the result is still wanted.
fn retried(cancellation: &Cancellation, mut call: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let start = Instant::now();
    loop {
        match call() {
            Err(KafkaError::Transaction(e)) if e.is_retriable() && start.elapsed() < PATIENCE && !cancellation.is_cancelled() => {}
            other => return other,
        }
    }
}

/// Whether this error says that another process has taken over the transactional id.
fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

impl Committer {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Writes an empty marker if there is none. From then on, a missing marker has been lost.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        if self.marker.is_none() {
            let marker = Marker::default();
            self.send(None, &marker).map_err(|failure| self.said(failure))?;
            self.marker = Some(marker);
        }
        Ok(())
    }

    /// Ensures that the unit is in the topic exactly once.
    pub(super) fn settle(&mut self, unit: &Unit) -> Result<(), Error> {
        let mut attempts = 0;
        loop {
            if decide(self.marker.as_ref(), unit)? == Decision::Skip {
                return Ok(());
            }
            let next = self.marker.clone().unwrap_or_default().with(unit);
            let failure = match self.send(Some(unit), &next) {
                Ok(()) => {
                    failpoint::Point::TransactionCommitted.hit();
                    self.marker = Some(next);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            attempts += 1;
            // Fencing a process that has fenced this writer would only start a fight.
            if self.is_fenced(&failure) || attempts >= ATTEMPTS || self.cancelled() {
                return Err(self.said(failure));
            }
            // It is unknown whether the transaction was committed. A new producer fences it, and then the marker
            // tells.
            self.outlet = self.place.fence(&self.id, &self.outlet.cancellation)?;
            self.marker = marker::read(&self.place.cluster, &self.place.markers, &[&self.id])?.pop().flatten();
        }
    }

    /// Whether the run is over. This writer must then not fence those of the next run.
    fn cancelled(&self) -> bool {
        self.outlet.cancellation.is_cancelled()
    }

    /// Describes why a transaction failed.
    fn said(&self, failure: Failure) -> Error {
        let Place { topic, cluster, .. } = &self.place;
        let id = &self.id;
        if !self.is_fenced(&failure) {
            return match failure {
                Failure::Kafka(e) => self.outlet.failed(e),
                Failure::Error(e) => e,
            };
        }
        // A broker that aborts a timed-out transaction also fences its writer. In that case nobody has taken over.
        let timeout = cluster.option(TIMEOUT).and_then(|ms| ms.parse().ok()).map_or(DEFAULT_TIMEOUT, Duration::from_millis);
        if self.begun.get().elapsed() >= timeout {
            let message = format!(
                "a transaction of `{id}` into topic `{topic}` took longer than `{TIMEOUT}`, {timeout:?}, and was given up by the broker"
            );
            return match failure {
                Failure::Kafka(e) => Error::external(message, e),
                Failure::Error(e) => Error::external(message, e),
            };
        }
        Error::superseded(format!(
            "another process has taken over as `{id}`, a writer of topic `{topic}` ({}): is the job running twice? Then one of the two needs another \
             `transactional_id`",
            failure.into_text()
        ))
    }

    /// Whether another process has taken over the transactional id. The original error shows it, even if the errors
    /// that follow from it don't.
    fn is_fenced(&self, failure: &Failure) -> bool {
        let client = self.outlet.producer.client();
        let said = if let Failure::Kafka(e) = failure { e.rdkafka_error_code() } else { None };
        let fatal = client.fatal_error().map(|(code, _)| code);
        let undelivered = client.context().undelivered().and_then(|e| e.rdkafka_error_code());
        [said, fatal, undelivered].into_iter().flatten().any(is_fenced)
    }

    /// Sends the records of a unit, if there is one, and the marker in one transaction.
    fn send(&self, unit: Option<&Unit>, marker: &Marker) -> Result<(), Failure> {
        let producer = &self.outlet.producer;
        if unit.is_some() {
            failpoint::Point::TransactionBefore.hit();
        }
        self.begun.set(Instant::now());
        producer.begin_transaction()?;
        if let Some(unit) = unit {
            failpoint::Point::TransactionBegun.hit();
            segment::read(&unit.segment, unit.records, |message| self.outlet.send(message))?;
        }
        let value = serde_json::to_vec(marker).map_err(|e| Error::external("a marker has no JSON form", e))?;
        let record =
            BaseRecord::to(&self.place.markers).partition(marker::partition(&self.id)).key(self.id.as_str()).payload(value.as_slice());
        // Make room for the marker: the queue may be full of records.
        self.outlet.flush()?;
        producer.send(record).map_err(|(e, _)| e)?;
        self.outlet.flush()?;
        failpoint::Point::TransactionSent.hit();
        retried(&self.outlet.cancellation, || producer.commit_transaction(CALL))?;
        Ok(())
    }
}

/// Why a transaction did not complete.
enum Failure {
    Kafka(KafkaError),
    Error(Error),
}

impl Failure {
    fn into_text(self) -> String {
        match self {
            Self::Kafka(e) => e.to_string(),
            Self::Error(e) => e.to_string(),
        }
    }
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
