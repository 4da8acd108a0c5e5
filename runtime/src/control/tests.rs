//! Jobs whose messages travel as bytes, and a second process that follows.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_checkpoints::{Directory, Storage};

use super::*;
use crate::checkpoint::CheckpointConfig;
use crate::error::Domain;
use crate::job::Job;
use crate::kind::Kind;
use crate::operator::{Context, Logic, Outbox, keyed, sink, source};
use crate::record::Record;
use crate::sink::{Sink, SinkContext, Writer};
use crate::source::{Batch, Poll, Reader, Resumed, Source, SourceContext, SplitId};
use crate::state::ValueState;
use crate::time::Watermark;
use crate::watermarks::WatermarkStrategy;

fn over_the_wire<T: Serialize + DeserializeOwned>(message: &T) -> T {
    let bytes = bincode::serde::encode_to_vec(message, bincode::config::standard()).unwrap();
    bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap().0
}

/// Everyone is this process and one that follows.
struct Both {
    here: Arc<Replica>,
    there: Arc<Replica>,
}

impl Everyone for Both {
    fn tell(&self, message: ToAll) {
        self.there.tell(over_the_wire(&message));
        self.here.tell(over_the_wire(&message));
    }
}

/// A leader who is reached by bytes.
struct Far(Arc<Lead>);

impl Leader for Far {
    fn tell(self: Arc<Self>, message: ToLeader) {
        Arc::clone(&self.0).tell(over_the_wire(&message));
    }
}

/// The control of a job that is connected so, and what the process that follows knows of it.
fn connected(job: &Job, config: &RunConfig) -> (Arc<Control>, Arc<Replica>) {
    let groups = job.graph().source_groups();
    let there = Arc::new(Replica::new(Epoch(0), Board::new(&groups, config.workers), groups.len(), config.workers));
    let follower = Arc::clone(&there);
    let control = Control::between(config, job.graph(), |here| Arc::new(Both { here, there }), |lead| Arc::new(Far(lead)));
    (Arc::new(control), follower)
}

/// Numbers without end, each worker's own.
struct Numbers;

struct Counting {
    split: SplitId,
    workers: i64,
    next: i64,
}

impl Source<i64> for Numbers {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<i64>>, Error> {
        // All instances begin where the first to ask says.
        let begin = context.shared.get_or_make(|| Ok(vec![1_000]))?[0];
        Ok(Box::new(Counting {
            split: SplitId(context.worker as u32),
            workers: context.workers as i64,
            next: begin + context.worker as i64,
        }))
    }
}

impl Reader<i64> for Counting {
    fn poll(&mut self) -> Result<Poll<i64>, Error> {
        let record = Record::new(self.next, self.next);
        self.next += self.workers;
        let (watermark, position) = (Some(Watermark(self.next)), Some(self.next.into()));
        Ok(Poll::Batch(Batch { watermark, position, ..Batch::new(self.split, vec![record]) }))
    }

    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        Some(vec![Resumed { split: self.split, position: self.next.into(), ended: false }])
    }
}

/// Counts by the last digit. Fails at the number `fails_at`.
struct Count {
    counts: ValueState<i64, u64>,
    fails_at: i64,
}

impl Logic for Count {
    type In = i64;
    type Out = (i64, u64);
    type Side = ();

    fn record(&mut self, record: Record<i64>, out: &mut Outbox<(i64, u64), ()>) -> Result<(), Error> {
        if record.value == self.fails_at {
            return Err(Error::external("the disk is gone", std::io::Error::other("no such device")));
        }
        let digit = record.value % 10;
        let count = self.counts.get(&digit)?.unwrap_or(0) + 1;
        self.counts.set(&digit, count)?;
        out.emit(record.time, (digit, count));
        Ok(())
    }

    fn watermark(&mut self, _: Watermark, _: &mut Outbox<(i64, u64), ()>) -> Result<(), Error> {
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<BTreeMap<i64, Vec<u64>>>>);

impl Sink<(i64, u64)> for Written {
    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<(i64, u64)>>, Error> {
        Ok(Box::new(self.clone()))
    }
}

impl Writer<(i64, u64)> for Written {
    fn write(&mut self, records: &mut Vec<Record<(i64, u64)>>) -> Result<(), Error> {
        let mut written = self.0.lock().unwrap();
        records.drain(..).for_each(|record| written.entry(record.value.0).or_default().push(record.value.1));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn job(written: &Written, fails_at: i64) -> Job {
    let written = written.clone();
    Job::new(move |flow| {
        let numbers = source(flow, "numbers", "numbers", Numbers, WatermarkStrategy::default());
        let count = |context: &mut Context| Ok(Count { counts: context.states.value("counts")?, fails_at });
        let (counts, _) = keyed(numbers, "count", Kind::new("count"), None, |number| number % 10, count);
        sink(counts, "written", "written", written.clone());
    })
    .unwrap()
}

fn config(place: &std::path::Path) -> RunConfig {
    let directory = Directory::open(&Storage::open(place.to_str().unwrap()).unwrap(), "job").unwrap();
    let generation = directory.begin_generation().unwrap();
    let checkpoints = CheckpointConfig::new(directory, generation, Duration::from_millis(20));
    RunConfig {
        checkpoints: Some(checkpoints),
        state: StateConfig { dir: place.join("state"), ..StateConfig::default() },
        ..RunConfig::workers(2)
    }
}

#[test]
fn a_job_runs_over_a_wire_and_a_second_process_sees_all_of_it() {
    let place = tempfile::tempdir().unwrap();
    let (written, config) = (Written::default(), config(place.path()));
    let job = job(&written, -1);
    let (control, follower) = connected(&job, &config);
    let running = job.start_with(&config, Arc::clone(&control)).unwrap();
    while running.checkpoints().completed < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let savepoint = place.path().join("savepoint").to_str().unwrap().to_owned();
    let (answer, answered) = channel();
    control.lead.stop_with_savepoint(savepoint.clone(), answer);
    running.wait().unwrap();
    assert_eq!(answered.recv().unwrap(), Ok(savepoint));
    let written = written.0.lock().unwrap();
    assert_eq!(written.len(), 10);
    for counts in written.values() {
        assert!(counts.iter().copied().eq(1..=counts.len() as u64), "each is counted once");
    }
    let here = &control.replica;
    assert!(follower.failure.over() && follower.failure.take().is_none());
    assert!(follower.epochs.stopping() && !follower.epochs.taking());
    assert_eq!(follower.epochs.stopped_in(), here.epochs.stopped_in());
    assert!(follower.completion.completed() >= 3);
    assert_eq!(follower.completion.completed(), here.completion.completed());
    assert_eq!((follower.listings.value(0), follower.listings.begins(0)), (Some("[1000]"), Some(true)));
    assert!(follower.board.slowest().is_some_and(|at| at > Watermark(1_000)) && follower.board.opened(0));
    assert_eq!(follower.board.slowest(), here.board.slowest());
}

#[test]
fn the_cause_of_a_failure_reaches_a_second_process_with_who_must_act_and_why() {
    let place = tempfile::tempdir().unwrap();
    let job = job(&Written::default(), 1_500);
    let config = config(place.path());
    let (control, follower) = connected(&job, &config);
    let here = job.start_with(&config, control).unwrap().wait().unwrap_err();
    let there = follower.failure.take().unwrap();
    assert!(follower.failure.over());
    assert_eq!(there.to_string(), here.to_string());
    let JobError::Operator { operator, error, .. } = there else { panic!("{there}") };
    assert_eq!((operator.as_str(), error.domain(), error.to_string().as_str()), ("count", Domain::External, "the disk is gone"));
    assert_eq!(error.source().unwrap().to_string(), "no such device");
}

#[test]
fn a_job_ends_although_its_savepoint_could_not_be_stored() {
    let place = tempfile::tempdir().unwrap();
    let written = Written::default();
    let config = RunConfig { checkpoints: None, ..config(place.path()) };
    let running = job(&written, -1).start(config).unwrap();
    let stopper = running.stopper();
    // Nothing can be created there.
    let why = stopper.savepoint("/proc/nowhere/savepoint".to_owned()).recv().unwrap().unwrap_err();
    assert!(why.contains("/proc/nowhere"), "{why}");
    stopper.drain();
    running.wait().unwrap();
    assert!(!written.0.lock().unwrap().is_empty());
}
