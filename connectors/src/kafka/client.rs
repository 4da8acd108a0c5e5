//! Where the brokers are and how to connect to them; turns librdkafka's errors into messages.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::topic_partition_list::TopicPartitionList;
use tidegate_runtime::{Error, Sampled};

/// How long the brokers may take to answer when a job starts.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The timeout of one request, short enough to notice a refusal before [`PATIENCE`] runs out.
const ASK: Duration = Duration::from_millis(1500);

/// The brokers of a cluster, and the librdkafka properties for connecting to them.
#[derive(Clone)]
pub struct Cluster {
    brokers: String,
    options: Vec<(String, String)>,
}

/// Which side of a topic a property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Reading.
    Source,
    /// Writing.
    Sink,
}

/// Properties that tidegate sets to keep its guarantees, and what to use instead.
const OURS: &[(Side, &str, &str)] = &[
    (Side::Source, "enable.auto.commit", "offsets are kept in checkpoints, and committed for `group` when one is complete"),
    (Side::Source, "enable.auto.offset.store", "offsets are kept in checkpoints, and committed for `group` when one is complete"),
    (Side::Source, "enable.partition.eof", "where reading ends is said by `stop`"),
    (Side::Source, "group.id", "use `group`"),
    (Side::Source, "isolation.level", "use `isolation`"),
    (Side::Sink, "transactional.id", "transactions are the sink's own business"),
    (Side::Sink, "delivery.report.only.error", "the sink needs to know of errors, and of nothing else"),
];

impl Cluster {
    /// A cluster with these brokers: `host:port`, separated by commas.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), options: Vec::new() }
    }

    /// Sets a librdkafka property. Properties that have been [checked](Self::check) are valid.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((name.into(), value.into()));
        self
    }

    /// Checks whether this property can be set to this value.
    ///
    /// # Errors
    /// Explains why not, as a sentence.
    pub fn check(side: Side, name: &str, value: &str) -> Result<(), String> {
        if matches!(name, "bootstrap.servers" | "metadata.broker.list") {
            return Err(format!("`{name}` is said by `brokers`"));
        }
        if let Some((_, _, instead)) = OURS.iter().find(|(of, ours, _)| *of == side && *ours == name) {
            return Err(format!("`{name}` can't be set: {instead}"));
        }
        match ClientConfig::new().set(name, value).create_native_config() {
            Ok(_) => Ok(()),
            Err(KafkaError::ClientConfig(_, why, ..)) => Err(why),
            Err(e) => Err(e.to_string()),
        }
    }

    /// The brokers, as they were given.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The value of a property, if it was set.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A configuration of `defaults`, overridden by the user's properties, which are overridden by `fixed`.
    pub(super) fn config(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.options {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        for (name, value) in fixed {
            config.set(*name, *value);
        }
        config
    }

    /// Repeats a request until the brokers answer, refuse, or stay silent for too long. `serve` handles librdkafka's
    /// events in the meantime.
    pub(super) fn ask<A>(
        &self,
        what: &str,
        context: &Context,
        mut question: impl FnMut(Duration) -> KafkaResult<A>,
        mut serve: impl FnMut(),
    ) -> Result<A, Error> {
        let start = Instant::now();
        loop {
            let error = match question(ASK) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            serve();
            let again = error.rdkafka_error_code().is_some_and(is_passing);
            if context.refused.load(Relaxed) || !again || start.elapsed() > PATIENCE {
                return Err(self.failed(what, context, error));
            }
        }
    }

    /// The error that `what` could not be done.
    pub(super) fn failed(&self, what: &str, context: &Context, error: KafkaError) -> Error {
        let brokers = &self.brokers;
        let trouble = context.trouble();
        let passing = error.rdkafka_error_code().is_some_and(is_passing);
        let message = if context.refused.load(Relaxed) {
            format!(
                "the Kafka brokers `{brokers}` refuse the connection: check `security.protocol` and the `sasl.` and `ssl.` properties in `options`"
            )
        } else if passing && trouble.is_some() {
            format!("the Kafka brokers `{brokers}` can't be reached: check `brokers`, and `security.protocol` in `options`")
        } else {
            format!("{what} at the Kafka brokers `{brokers}`")
        };
        match trouble.filter(|_| passing || context.refused.load(Relaxed)) {
            Some(trouble) => Error::external(message, Trouble(trouble)),
            None => Error::external(message, error),
        }
    }

    /// The error for properties from which no client can be made.
    pub(super) fn unusable(&self, error: &KafkaError) -> Error {
        let why = match error {
            KafkaError::ClientConfig(_, why, ..) => why.clone(),
            KafkaError::ClientCreation(why) => why.clone(),
            other => other.to_string(),
        };
        Error::user(format!("no Kafka client for `{}` can be made of `options`: {why}", self.brokers))
    }
}

/// Whether a retry may succeed.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::Retry
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::ReplicaNotAvailable
            | Code::Authentication
            | Code::SSL
    )
}

/// librdkafka's last message about a failed connection.
#[derive(Debug)]
struct Trouble(String);

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// Listens to a client: keeps the last connection trouble for error messages, and logs a sample of warnings.
#[derive(Default)]
pub(super) struct Context {
    trouble: Mutex<Option<String>>,
    refused: AtomicBool,
    said: Mutex<Sampled>,
    /// The first record that could not be delivered.
    undelivered: Mutex<Option<KafkaError>>,
}

impl Context {
    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that the brokers refuse the connection, so that waiting is pointless.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Relaxed);
    }

    /// The error of the first record that could not be delivered, if there is one.
    pub(super) fn undelivered(&self) -> Option<KafkaError> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, text: &str) {
        if let Some(more) = self.said.lock().unwrap_or_else(PoisonError::into_inner).say() {
            tracing::warn!("kafka: {text}{more}");
        }
    }

    /// Handles an error that the client reports about itself.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => self.refuse(),
            // The end of a partition is an event that readers ask for.
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            _ if !reason.is_empty() => self.say(reason),
            _ => {}
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // "[thrd:host:1/bootstrap]: host:1/bootstrap: Connect to ipv4#... failed: ..."
        let text = message.strip_prefix("[thrd:").and_then(|m| m.split_once("]: ")).map_or(message, |(_, text)| text);
        if facility == "FAIL" {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        }
        // librdkafka also reports what it logs as `ERROR`. `CONFWARN` is expected: the sink's properties are also
        // given to its consumer of markers.
        if (level as i32) <= RDKafkaLogLevel::Warning as i32 && !matches!(facility, "ERROR" | "CONFWARN") {
            self.say(text);
        } else {
            tracing::debug!("kafka: {facility}: {text}");
        }
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(e) = result {
            self.say(&format!("offsets could not be committed: {e}"));
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_checked_without_a_broker() {
        assert_eq!(Cluster::check(Side::Source, "fetch.min.bytes", "65536"), Ok(()));
        assert_eq!(Cluster::check(Side::Sink, "sasl.mechanism", "SCRAM-SHA-256"), Ok(()));
        assert_eq!(Cluster::check(Side::Sink, "security.protocol", "sasl_ssl"), Ok(()));
        let wrong = |side, name, value| Cluster::check(side, name, value).unwrap_err();
        assert!(wrong(Side::Source, "fetch.min.byte", "1").contains("No such configuration property"));
        assert!(wrong(Side::Source, "fetch.min.bytes", "many").contains("fetch.min.bytes"));
        assert!(wrong(Side::Source, "group.id", "g").contains("use `group`"));
        assert!(wrong(Side::Sink, "bootstrap.servers", "b").contains("`brokers`"));
        assert_eq!(Cluster::check(Side::Sink, "isolation.level", "read_committed"), Ok(()));
    }
}
