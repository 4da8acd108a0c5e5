//! Sinks that block: the other operators of their worker go on, and whatever fails on their threads fails the job by their name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate::prelude::*;
use tidegate::runtime::Epoch;
use tidegate::runtime::sink::{Committable, Committer, SinkContext};

use crate::failures::assert_operator;
use crate::script::{Script, Step, ms, run, until, wait_for};

/// The calls that may block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Open,
    Write,
    Flush,
    Seal,
    Commit,
}

const CALLS: [Call; 5] = [Call::Open, Call::Write, Call::Flush, Call::Seal, Call::Commit];

type Do = Arc<dyn Fn() -> Result<(), Error> + Send + Sync>;

/// Does something in one of the calls.
#[derive(Clone)]
struct Doing(Call, Do);

impl Doing {
    fn at(&self, call: Call) -> Result<(), Error> {
        if self.0 == call { (self.1)() } else { Ok(()) }
    }
}

impl Sink<u8> for Doing {
    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<u8>>, Error> {
        self.at(Call::Open)?;
        Ok(Box::new(self.clone()))
    }
}

impl Writer<u8> for Doing {
    fn write(&mut self, records: &mut Vec<Record<u8>>) -> Result<(), Error> {
        records.clear();
        self.at(Call::Write)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.at(Call::Flush)
    }

    fn seal(&mut self, epoch: Epoch) -> Result<Vec<Committable>, Error> {
        Writer::flush(self)?;
        self.at(Call::Seal)?;
        Ok(vec![Committable::from(serde_json::Value::from(epoch.0))])
    }

    fn committer(&mut self) -> Option<Box<dyn Committer>> {
        Some(Box::new(self.clone()))
    }
}

impl Committer for Doing {
    fn commit(&mut self, _: Epoch, _: Vec<Committable>) -> Result<(), Error> {
        self.at(Call::Commit)
    }
}

/// Emits a record a millisecond, by the wall clock, until it is told to stop.
struct Ticking(Arc<AtomicBool>);

impl Ticking {
    fn next(&self, context: &mut ProcessContext<'_, u8, u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_millis() as i64;
        if !self.0.load(SeqCst) {
            context.set_clock_timer(now + 1);
        }
    }
}

impl ProcessFunction<u8, u8> for Ticking {
    type Out = u8;

    fn process(&mut self, _: u8, context: &mut ProcessContext<'_, u8, u8>) -> Result<(), Error> {
        self.next(context);
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, context: &mut ProcessContext<'_, u8, u8>) -> Result<(), Error> {
        context.emit(0);
        self.next(context);
        Ok(())
    }
}

/// Each call of a sink waits, once, until an operator and a sink of the same worker have gone on. If they could not, it would wait in vain.
#[test]
fn a_sink_that_blocks_does_not_block_its_worker() {
    for call in CALLS {
        let (ticks, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let waits: Do = {
            let (ticks, done) = (Arc::clone(&ticks), Arc::clone(&done));
            Arc::new(move || {
                let begun = ticks.load(SeqCst);
                wait_for("what happens beside a sink", || done.load(SeqCst) || ticks.load(SeqCst) >= begun + 20);
                done.store(true, SeqCst);
                Ok(())
            })
        };
        let over = Arc::clone(&done);
        let script = Script::new([vec![Step::Batch(0, vec![Record::new(0, 1)], false), until(move || over.load(SeqCst))]]);
        let job = Job::new(move |flow| {
            let records = flow.source("in", script.clone(), WatermarkStrategy::bounded(ms(0)));
            records.clone().sink("slow", Doing(call, Arc::clone(&waits)));
            let ticks = Arc::clone(&ticks);
            let count = move |_: Record<u8>| {
                ticks.fetch_add(1, SeqCst);
                Ok(())
            };
            records.key_by(|n: &u8| *n).process("ticking", Ticking(Arc::clone(&done))).sink("quick", FnSink::new(count));
        })
        .expect("a job");
        run(&job, RunConfig::workers(1).barrier_every(ms(5))).unwrap_or_else(|error| panic!("{call:?}: {error}"));
    }
}

#[test]
fn what_fails_or_panics_on_a_thread_of_a_sink_fails_the_job_by_its_name() {
    for (call, panics) in CALLS.into_iter().flat_map(|call| [(call, false), (call, true)]) {
        let fails: Do = Arc::new(move || {
            assert!(!panics, "told to fail");
            Err(Error::user("told to fail"))
        });
        let script = Script::new([vec![Step::Batch(0, vec![Record::new(0, 1)], false), until(|| false)]]);
        let job = Job::new(move |flow| {
            let records = flow.source("in", script.clone(), WatermarkStrategy::bounded(ms(0)));
            records.clone().sink("broken", Doing(call, Arc::clone(&fails)));
            records.sink("whole", CollectSink::new());
        })
        .expect("a job");
        let error = run(&job, RunConfig::workers(1).barrier_every(ms(5))).expect_err("the job fails");
        assert_operator(&error, "broken", "told to fail");
    }
}
