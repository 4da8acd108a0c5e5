//! Watermark alignment: a fast source waits for a slow one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use tidegate::prelude::*;
use tidegate::runtime::source::{Batch, Poll, SourceContext, SplitId};

use crate::script::{ms, run};

const DRIFT: i64 = 500;
/// From one record of the fast source to the next, each in a batch of its own.
const STEP: i64 = 5;
/// What a source may hand over between two looks at the others.
const BATCHES: i64 = 8;
const END: i64 = 10_000;

/// How long a reader that has nothing lets pass.
const TICK: Duration = Duration::from_millis(20);

/// How far the slow source is, and by how much the fast one was ever ahead of it.
#[derive(Default)]
struct Race {
    slow: AtomicI64,
    polls: AtomicI64,
    most_ahead: AtomicI64,
}

#[derive(Clone)]
struct Fast(Arc<Race>);
#[derive(Clone)]
struct Slow(Arc<Race>);

struct FastReader(Arc<Race>, i64);
struct SlowReader(Arc<Race>);

fn one(time: i64) -> Poll<i64> {
    Poll::Batch(Batch::new(SplitId(0), vec![Record::new(time, time)]))
}

impl Source<i64> for Fast {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<i64>>, Error> {
        Ok(Box::new(FastReader(Arc::clone(&self.0), if context.worker == 0 { 0 } else { END })))
    }
}

impl Reader<i64> for FastReader {
    fn poll(&mut self) -> Result<Poll<i64>, Error> {
        // Before the slow source has a watermark there is nothing to be ahead of: its second batch is asked for after the first is posted.
        if self.0.polls.load(SeqCst) < 2 && self.1 < END {
            return Ok(Poll::After(TICK));
        }
        if self.1 >= END {
            return Ok(Poll::Finished);
        }
        let slow = self.0.slow.load(SeqCst);
        self.1 += STEP;
        if slow < END {
            self.0.most_ahead.fetch_max(self.1 - slow, SeqCst);
        }
        Ok(one(self.1))
    }
}

impl Source<i64> for Slow {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<i64>>, Error> {
        if context.worker > 0 {
            return Ok(Box::new(FastReader(Arc::clone(&self.0), END)));
        }
        Ok(Box::new(SlowReader(Arc::clone(&self.0))))
    }
}

impl Reader<i64> for SlowReader {
    /// A record, then a break of a tick, and so on.
    fn poll(&mut self) -> Result<Poll<i64>, Error> {
        let slow = self.0.slow.load(SeqCst);
        if self.0.polls.fetch_add(1, SeqCst) % 2 == 1 {
            return Ok(Poll::After(TICK));
        }
        if slow >= END {
            return Ok(Poll::Finished);
        }
        self.0.slow.store(slow + 200, SeqCst);
        Ok(one(slow + 200))
    }
}

#[test]
fn a_fast_source_stays_within_its_drift_of_a_slow_one() {
    for workers in [1, 2] {
        let race = Arc::new(Race::default());
        let sink = CollectSink::new();
        let (fast, slow, out) = (Fast(Arc::clone(&race)), Slow(Arc::clone(&race)), sink.clone());
        let job = Job::new(move |flow| {
            let bounded = WatermarkStrategy::bounded(ms(0));
            let fast = flow.source("fast", fast.clone(), bounded.max_drift(ms(DRIFT)));
            fast.union(flow.source("slow", slow.clone(), bounded)).map("all", |time| time).sink("out", out.clone());
        })
        .expect("a job");
        run(&job, RunConfig::workers(workers)).expect("it runs");
        let ahead = race.most_ahead.load(SeqCst);
        assert!(ahead <= DRIFT + (BATCHES + 1) * STEP, "{ahead} ms ahead with {workers} workers");
        assert!(ahead > DRIFT / 2, "it was held back already at {ahead} ms");
        assert_eq!(sink.take().len() as i64, END / STEP + END / 200);
    }
}
