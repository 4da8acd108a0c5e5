//! What fails on one worker stops the whole job, with its cause.

use tidegate::prelude::*;
use tidegate::runtime::source::SourceContext;

use crate::script::{Script, Step, ms, run};

/// Numbers without end, so that only the failure can end the job.
fn endless() -> impl Source<u64> {
    FnSource::new(|i| Record::new(i as i64, i))
}

fn bounded() -> WatermarkStrategy {
    WatermarkStrategy::bounded(ms(0))
}

fn failure(job: &Job, workers: usize) -> JobError {
    run(job, RunConfig::workers(workers).barrier_every(ms(5))).expect_err("the job fails")
}

#[track_caller]
pub fn assert_operator(error: &JobError, name: &str, cause: &str) {
    match error {
        JobError::Operator { operator, error, .. } => {
            assert_eq!(operator, name);
            assert!(error.to_string().contains(cause), "{error}");
        }
        other => panic!("another failure: {other}"),
    }
}

#[test]
fn a_source_that_fails_on_one_worker() {
    let quiet = || vec![Step::Batch(0, vec![Record::new(0, 0)], false), Step::Until(std::sync::Arc::new(|| false))];
    for failing in 0..3 {
        let mut scripts: Vec<_> = (0..3).map(|_| quiet()).collect();
        scripts[failing] = vec![Step::Batch(0, vec![Record::new(0, 0)], false), Step::Rest, Step::Fail("the disk is gone")];
        let script = Script::new(scripts);
        let job = Job::new(move |flow| {
            flow.source("in", script.clone(), bounded()).key_by(|n: &u64| *n).aggregate("count", Count).sink("out", CollectSink::new());
        })
        .expect("a job");
        let error = failure(&job, 3);
        assert_operator(&error, "in", "the disk is gone");
        assert!(matches!(error, JobError::Operator { worker, .. } if worker == failing), "{error}");
    }
}

#[derive(Clone)]
struct Unopenable;

impl Source<u64> for Unopenable {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<u64>>, Error> {
        if context.worker == 1 { Err(Error::user("no such thing")) } else { FnSource::new(|i| Record::new(0, i)).open(context) }
    }
}

#[test]
fn a_source_that_cannot_be_opened_on_one_worker() {
    let job = Job::new(|flow| flow.source("in", Unopenable, bounded()).sink("out", FnSink::new(|_: Record<u64>| Ok(())))).expect("a job");
    assert_operator(&failure(&job, 2), "in", "no such thing");
}

#[test]
fn a_sink_that_fails() {
    for workers in [1, 3] {
        let job = Job::new(|flow| {
            let full = FnSink::new(|r: Record<u64>| if r.value > 5_000 { Err(Error::user("the disk is full")) } else { Ok(()) });
            flow.source("in", endless(), bounded()).sink("out", full);
        })
        .expect("a job");
        assert_operator(&failure(&job, workers), "out", "the disk is full");
    }
}

struct Picky {
    at_timer: bool,
}

impl ProcessFunction<u64, u64> for Picky {
    type Out = u64;

    fn process(&mut self, n: u64, context: &mut ProcessContext<'_, u64, u64>) -> Result<(), Error> {
        if n == 4_711 {
            if !self.at_timer {
                return Err(Error::user("not this one"));
            }
            context.set_event_timer(context.time() + 10);
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, _: &mut ProcessContext<'_, u64, u64>) -> Result<(), Error> {
        Err(Error::user("not this one"))
    }
}

#[test]
fn a_process_function_that_fails_on_one_record_or_timer() {
    for (at_timer, workers) in [(false, 1), (false, 3), (true, 1), (true, 3)] {
        let job = Job::new(move |flow| {
            let process = flow.source("in", endless(), bounded()).key_by(|n: &u64| *n % 64).process("picky", Picky { at_timer });
            process.sink("out", FnSink::new(|_: Record<u64>| Ok(())));
        })
        .expect("a job");
        assert_operator(&failure(&job, workers), "picky", "not this one");
    }
}

#[test]
fn a_panic_in_a_closure_on_one_worker() {
    for workers in [1, 3] {
        let job = Job::new(|flow| {
            let mapped = flow.source("in", endless(), bounded()).map("fragile", |n: u64| {
                assert!(n != 20_000, "number {n} is too much");
                n
            });
            mapped.key_by(|n: &u64| *n % 16).aggregate("count", Count).sink("out", FnSink::new(|_: Record<(u64, u64)>| Ok(())));
        })
        .expect("a job");
        match failure(&job, workers) {
            JobError::Panic { message, worker } => {
                assert!(message.contains("number 20000 is too much"), "{message}");
                assert_eq!(worker, 20_000 % workers);
            }
            other => panic!("another failure: {other}"),
        }
    }
}
