//! Running aggregates that forget idle keys, in a running job with a clock set by the test.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_operators::{Count, DataflowExt};
use tidegate_runtime::sink::{Sink, SinkContext, Writer};
use tidegate_runtime::source::{Batch, Poll, Reader, Source, SourceContext, SplitId};
use tidegate_runtime::state::Ttl;
use tidegate_runtime::watermarks::WatermarkStrategy;
use tidegate_runtime::{Backend, Clock, Error, Job, Record, RunConfig, StateConfig};

type Out = Arc<Mutex<Vec<(u64, u64)>>>;

/// One record of each of three keys; an hour later, once those have come out, one of key 1; one and a half hours after that, one of each
/// again.
#[derive(Clone)]
struct Hours {
    clock: Clock,
    out: Out,
}

struct Reading {
    hours: Hours,
    step: usize,
}

impl Source<u64> for Hours {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<u64>>, Error> {
        Ok(Box::new(Reading { hours: self.clone(), step: if context.worker == 0 { 0 } else { 3 } }))
    }
}

const HOUR: i64 = 3_600_000;

impl Reader<u64> for Reading {
    fn poll(&mut self) -> Result<Poll<u64>, Error> {
        let (at, keys, before) = match self.step {
            0 => (0, vec![1, 2, 3], 0),
            1 => (HOUR, vec![1], 3),
            2 => (HOUR + HOUR * 3 / 2, vec![1, 2, 3], 4),
            _ => return Ok(Poll::Finished),
        };
        if self.hours.out.lock().unwrap().len() < before {
            return Ok(Poll::After(Duration::from_millis(1)));
        }
        self.step += 1;
        self.hours.clock.set(at);
        Ok(Poll::Batch(Batch::new(SplitId(0), keys.into_iter().map(|key| Record::new(at, key)).collect())))
    }
}

struct Taken(Out);

impl Sink<(u64, u64)> for Taken {
    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<(u64, u64)>>, Error> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

impl Writer<(u64, u64)> for Taken {
    fn write(&mut self, records: &mut Vec<Record<(u64, u64)>>) -> Result<(), Error> {
        self.0.lock().unwrap().extend(records.drain(..).map(|record| record.value));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn a_running_aggregate_forgets_a_key_that_was_not_written_for_two_hours() {
    for (backend, workers) in [(Backend::Memory, 1), (Backend::RocksDb, 2)] {
        let (out, clock) = (Out::default(), Clock::manual(0));
        let dir = tempfile::tempdir().unwrap();
        let hours = Hours { clock: clock.clone(), out: Arc::clone(&out) };
        let sink = Arc::clone(&out);
        let job = Job::new(move |flow| {
            let keyed = flow.source("hours", hours.clone(), WatermarkStrategy::bounded(Duration::ZERO)).key_by(|key: &u64| *key);
            keyed.state_ttl(Ttl::after(Duration::from_secs(2 * 3_600))).aggregate("count", Count).sink("out", Taken(Arc::clone(&sink)));
        });
        let state = StateConfig { backend, dir: dir.path().to_owned(), memory: 0 };
        job.unwrap().run(RunConfig { state, clock, ..RunConfig::workers(workers) }).unwrap();
        let mut out = std::mem::take(&mut *out.lock().unwrap());
        out[..3].sort_unstable();
        out[4..].sort_unstable();
        // At two and a half hours key 1 was written an hour and a half ago, the others two and a half.
        assert_eq!(out, [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3), (2, 1), (3, 1)]);
    }
}
