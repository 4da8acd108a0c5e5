//! A job that writes a topic exactly once is killed, stopped, rescaled, rewound and cut off from its broker. Whatever happens, a reader of what is
//! committed finds each record once, and those of a key in order.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rdkafka::message::Message;
use serde_json::Value;
use tidegate::connectors::generator::mix;
use tidegate::runtime::failpoint::Point;

use crate::broker::{Broker, broker, own_broker};
use crate::harness::crash::Killed;
use crate::harness::{Dir, Tidegate};
use crate::s3;
use crate::topic::{Topic, fresh_name};

/// A job that counts the records of each user, and writes each count: of a user the topic must have 1, 2, 3 and so on.
struct Counting {
    name: String,
    topic: Topic,
    count: u64,
    rate: u64,
    every: &'static str,
    options: &'static str,
    /// Where checkpoints are: in there, or in a directory.
    bucket: Option<s3::S3>,
    dir: Dir,
}

/// What a reader finds: the counts of each user, in the order of the topic.
type Found = BTreeMap<i64, Vec<i64>>;

impl Counting {
    fn new(broker: &Broker) -> Self {
        let name = fresh_name("counting");
        Self { name, topic: Topic::new(broker, 3), count: 6_000, rate: 6_000, every: "100ms", options: "", bucket: None, dir: Dir::new() }
    }

    /// Everything but what is durable.
    fn job(&self, rate: u64, sink: &str) -> String {
        format!(
            "name: {}
sources:
  in: {{ connector: generator, rate: {rate}, count: {}, fields: {{ user: {{ uniform: [0, 39] }}, n: {{ sequence: [0, 1] }} }} }}
streams:
  running: {{ from: in, key: user, aggregate: {{ n: count() }} }}
sinks:
  out: {{ from: running, {sink} }}
",
            self.name, self.count
        )
    }

    fn yaml(&self) -> String {
        let (brokers, topic) = (&self.topic.brokers, &self.topic.name);
        let sink = format!(
            "connector: kafka, brokers: '{brokers}', topic: {topic}, key: user, delivery: exactly_once, markers: {}, options: {{ {} }}",
            self.markers(),
            self.options
        );
        let durable = format!(
            "state: {{ dir: state }}\ncheckpoints: {{ every: {}, dir: '{}', keep: 100 }}\nrestart: {{ attempts: 0 }}\n",
            self.every,
            if self.bucket.is_some() { "s3://bucket/checkpoints" } else { "ckpt" }
        );
        durable + &self.job(self.rate, &sink)
    }

    fn markers(&self) -> String {
        format!("{}-markers", self.name)
    }

    /// The job on so many workers, from its latest checkpoint.
    fn resumed(&self, workers: usize) -> Tidegate {
        let job = self.dir.job(&self.yaml()).args(["--resume", "--quiet", "-p", &workers.to_string()]);
        let variables = self.bucket.iter().flat_map(|server| server.variables("secret"));
        variables.fold(job, |job, (name, value)| job.env(name, value))
    }

    /// Runs it until the `nth` hit of a failpoint.
    #[track_caller]
    fn dies_at(&self, point: Point, nth: u64) {
        self.resumed(2).dies_at(point, nth);
    }

    /// How many records each user has, by a run that nothing happens to.
    fn expected(&self) -> BTreeMap<i64, i64> {
        let dir = Dir::new();
        dir.job(&self.job(100_000_000, "connector: file, path: out.jsonl")).args(["-p", "1", "--quiet"]).run().exits(0);
        let mut last = BTreeMap::new();
        for value in dir.values("out.jsonl") {
            last.insert(value["user"].as_i64().expect("a user"), value["n"].as_i64().expect("a count"));
        }
        last
    }

    fn found(&self) -> Found {
        let messages = self.topic.messages();
        counts(messages.iter().map(|m| String::from_utf8_lossy(m.payload().unwrap_or_default()).into_owned()))
    }

    #[track_caller]
    fn is_complete(&self, found: &Found, what: &str) {
        let expected = self.expected();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}: all users");
        for (user, n) in expected {
            assert_eq!(found[&user], (1..=n).collect::<Vec<_>>(), "{what}: user {user}");
        }
    }
}

fn counts(values: impl Iterator<Item = String>) -> Found {
    let mut found = Found::new();
    for text in values {
        let value: Value = serde_json::from_str(&text).expect("JSON");
        found.entry(value["user"].as_i64().expect("a user")).or_default().push(value["n"].as_i64().expect("a count"));
    }
    found
}

/// What Kafka's own consumer finds, which shares no code with the client that wrote.
fn found_by_java(broker: &Broker, topic: &Topic) -> Found {
    let mut consume = broker.tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
    consume.args(["--topic", &topic.name, "--from-beginning", "--isolation-level", "read_committed", "--timeout-ms", "5000"]);
    let output = consume.output().expect("Java runs");
    let text = String::from_utf8(output.stdout).expect("text");
    // It logs there as well, when no more comes.
    counts(text.lines().filter(|line| line.starts_with('{')).map(str::to_owned))
}

#[test]
fn killed_at_random_moments_on_changing_numbers_of_workers_each_record_is_written_once() {
    let Some(broker) = broker() else { return };
    // Ten seconds, of which the four runs see less than nine.
    let counting = Counting { count: 40_000, rate: 4_000, ..Counting::new(broker) };
    for (i, workers) in [2, 3, 1, 3].into_iter().enumerate() {
        let mut job = counting.resumed(workers).start();
        thread::sleep(Duration::from_millis(700 + mix(i as u64) % 1_500));
        assert!(!job.over(), "it ended too early to be killed");
        job.signal("KILL");
        job.wait();
    }
    counting.resumed(2).run().exits(0);
    counting.is_complete(&found_by_java(broker, &counting.topic), "killed at random");
}

#[test]
fn killed_at_every_step_of_a_commit_each_record_is_written_once() {
    let Some(broker) = broker() else { return };
    // Those of every sink mean something else where a commit is a transaction.
    let steps = [Point::SinkSealed, Point::CheckpointCompleted, Point::SinkBeforeCommit, Point::SinkAfterCommit];
    let steps: Vec<Point> = steps.into_iter().chain(Killed::WhileCommitting.points()).collect();
    // Most of the time each waits for the broker.
    thread::scope(|scope| {
        for lane in steps.chunks(3) {
            scope.spawn(move || {
                for &step in lane {
                    let counting = Counting { count: 3_000, ..Counting::new(broker) };
                    // With something committed before, or with nothing.
                    let first = matches!(step, Point::TransactionBegun | Point::TransactionCommitted);
                    counting.dies_at(step, if first { 1 } else { 2 });
                    // And while it is being recovered, where that has something to send.
                    if step == Point::TransactionSent {
                        counting.dies_at(Point::TransactionSent, 1);
                        counting.dies_at(Point::TransactionCommitted, 1);
                    }
                    counting.resumed(3).run().exits(0);
                    counting.is_complete(&counting.found(), &format!("died at {step:?}"));
                }
            });
        }
    });
}

/// The records of an epoch lie in a bucket, and of the machine that wrote them nothing is left.
#[test]
fn what_a_bucket_holds_is_enough_to_write_each_record_once() {
    let Some(broker) = broker() else { return };
    let mut counting = Counting { count: 12_000, bucket: Some(s3::S3::start()), ..Counting::new(broker) };
    let steps = [(Point::SealedStored, 2), (Point::CheckpointCompleted, 2), (Point::TransactionSent, 2), (Point::TransactionCommitted, 1)];
    for (step, nth) in steps {
        counting.dies_at(step, nth);
        counting.dir = Dir::new();
    }
    counting.resumed(3).run().exits(0);
    counting.is_complete(&counting.found(), "from a bucket");
}

/// A transaction that the broker has given up while nobody was there: where the records of an epoch are in the transaction alone, they are lost.
#[test]
fn a_transaction_that_timed_out_while_the_job_was_down_is_sent_again() {
    let Some(broker) = broker() else { return };
    let counting = Counting { count: 3_000, options: "transaction.timeout.ms: 1500, message.timeout.ms: 1500", ..Counting::new(broker) };
    counting.dies_at(Point::TransactionSent, 3);
    thread::sleep(Duration::from_secs(4));
    counting.resumed(1).run().exits(0);
    counting.is_complete(&counting.found(), "after the timeout");
}

#[test]
fn a_process_that_was_taken_over_from_and_wakes_up_writes_nothing_more() {
    let Some(broker) = broker() else { return };
    let counting = Counting { count: 8_000, rate: 4_000, ..Counting::new(broker) };
    // It would be started again, but for who has taken over.
    let mut zombie = counting.resumed(2).args(["--set", "restart.attempts=5"]).start();
    thread::sleep(Duration::from_millis(1_800));
    zombie.signal("STOP");
    // Elsewhere, where the zombie's lock is not seen.
    counting.resumed(3).args(["--set", "state.dir=elsewhere"]).run().exits(0);
    counting.is_complete(&counting.found(), "by the successor");
    zombie.signal("CONT");
    zombie.wait().exits(1).stderr_has("has taken over");
    counting.is_complete(&counting.found(), "after the zombie");
}

#[test]
fn rewound_by_two_checkpoints_a_job_repeats_what_came_since_and_loses_nothing() {
    let Some(broker) = broker() else { return };
    let counting = Counting { count: 9_000, rate: 3_000, ..Counting::new(broker) };
    counting.resumed(2).run().exits(0);
    let folder = counting.dir.path(&format!("ckpt/{}/checkpoints", counting.name));
    let mut epochs: Vec<u32> = std::fs::read_dir(&folder)
        .expect("checkpoints")
        .filter_map(|entry| entry.expect("an entry").file_name().to_str()?.parse().ok())
        .collect();
    epochs.sort_unstable();
    let from = folder.join(epochs[epochs.len() - 3].to_string());
    counting.dir.tidegate(["run", "job.yaml", "--quiet", "-p", "3", "--from"]).args([from]).run().exits(0);
    let found = counting.found();
    let mut repeated = 0;
    for (user, n) in counting.expected() {
        let (first, again) = found[&user].split_at(usize::try_from(n).expect("a count"));
        assert_eq!(first, (1..=n).collect::<Vec<_>>());
        let since = n - i64::try_from(again.len()).expect("a count");
        assert_eq!(again, (since + 1..=n).collect::<Vec<_>>(), "user {user}");
        repeated += again.len();
    }
    assert!(repeated > 0, "something came between the checkpoints");
}

#[test]
fn a_savepoint_holds_what_is_yet_to_be_written_and_commits_nothing() {
    let Some(broker) = broker() else { return };
    let counting = Counting { every: "10m", count: 24_000, rate: 3_000, ..Counting::new(broker) };
    let mut job = counting.resumed(2).start();
    thread::sleep(Duration::from_millis(1_500));
    counting.dir.tidegate(["savepoint", "job.yaml", "--to", "save"]).run().exits(0);
    thread::sleep(Duration::from_millis(300));
    assert!(!job.over(), "its end would have committed");
    job.signal("KILL");
    job.wait();
    // Had it committed, a job that goes on from the last checkpoint, or afresh, would write all that again.
    assert!(counting.found().is_empty());
    for dir in ["ckpt", "state"] {
        std::fs::remove_dir_all(counting.dir.path(dir)).expect("a directory");
    }
    std::fs::rename(counting.dir.path("save"), counting.dir.path("moved")).expect("it can be moved");
    counting.dir.tidegate(["run", "job.yaml", "--quiet", "-p", "3", "--from", "moved"]).run().exits(0);
    counting.is_complete(&counting.found(), "from the savepoint");
}

#[test]
fn a_lost_marker_topic_is_not_passed_over() {
    let Some(broker) = broker() else { return };
    let counting = Counting { count: 3_000, ..Counting::new(broker) };
    counting.dies_at(Point::TransactionCommitted, 2);
    let before = counting.found();
    Topic { brokers: broker.plain.clone(), name: counting.markers(), partitions: 8 }.delete();
    // A topic is gone a moment after its deletion is.
    thread::sleep(Duration::from_secs(1));
    counting.resumed(2).run().exits(1).stderr_has("was the topic of markers deleted?");
    assert_eq!(counting.found(), before);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_costs_nothing() {
    let Some(mut broker) = own_broker() else { return };
    let counting = Counting { count: 10_000, rate: 2_000, ..Counting::new(&broker) };
    let job = counting.resumed(2).start();
    thread::sleep(Duration::from_millis(2_500));
    broker.restart();
    job.wait().exits(0);
    counting.is_complete(&found_by_java(&broker, &counting.topic), "after the restart");
}

#[test]
fn exactly_once_is_refused_where_it_can_not_be() {
    let dir = Dir::new();
    let job = |checkpoints: &str, sink: &str| {
        format!(
            "name: t\n{checkpoints}sources: {{ in: {{ connector: generator, count: 1, fields: {{ n: {{ sequence: [0, 1] }} }} }} }}
sinks:\n  out: {{ from: in, connector: kafka, brokers: b, topic: o, {sink} }}\n  other: {{ from: in, connector: kafka, brokers: b, topic: p, delivery: exactly_once }}\n"
        )
    };
    dir.check(&job("", "delivery: exactly_once"))
        .exits(2)
        .stderr_has("`delivery: exactly_once` needs `checkpoints`: a record is written when");
    let at_least_once = "checkpoints: { every: 1s, mode: at_least_once }\n";
    dir.check(&job(at_least_once, "delivery: exactly_once")).exits(2).stderr_has("needs `checkpoints` with `mode: exactly_once`");
    let checkpoints = "checkpoints: { every: 1s }\n";
    dir.check(&job(checkpoints, "markers: m")).exits(2).stderr_has("`markers` belongs to `delivery: exactly_once`");
    let same = "delivery: exactly_once, transactional_id: t.other";
    dir.check(&job(checkpoints, same)).exits(2).stderr_has("the transactional ids of the sink `other` begin so too");
    dir.check(&job(checkpoints, "delivery: exactly_once, transactional_id: mine, markers: m")).exits(0);
}
