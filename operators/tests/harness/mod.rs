//! Runs jobs of a few operators.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_operators::{DataflowExt, Stream};
use tidegate_runtime::sink::{Sink, SinkContext, Writer};
use tidegate_runtime::source::{Batch, Poll, Reader, Source, SourceContext, SplitId};
use tidegate_runtime::watermarks::WatermarkStrategy;
use tidegate_runtime::{Dataflow, Error, Job, JobError, Record, RunConfig};

/// Records of (time, key, value), dealt to the workers in turn.
#[derive(Clone)]
pub struct Records(pub Vec<(i64, u64, i64)>);

struct Dealt(Vec<Record<(u64, i64)>>);

impl Source<(u64, i64)> for Records {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<(u64, i64)>>, Error> {
        let mine = self.0.iter().skip(context.worker).step_by(context.workers);
        Ok(Box::new(Dealt(mine.map(|(time, key, value)| Record::new(*time, (*key, *value))).collect())))
    }
}

impl Reader<(u64, i64)> for Dealt {
    fn poll(&mut self) -> Result<Poll<(u64, i64)>, Error> {
        if self.0.is_empty() {
            return Ok(Poll::Finished);
        }
        let records = self.0.drain(..self.0.len().min(7)).collect();
        Ok(Poll::Batch(Batch::new(SplitId(0), records)))
    }
}

/// A sink that collects its records.
struct Taken<T>(Arc<Mutex<Vec<T>>>);

impl<T: Send + 'static> Sink<T> for Taken<T> {
    fn open(&self, _: SinkContext) -> Result<Box<dyn Writer<T>>, Error> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

impl<T: Send + 'static> Writer<T> for Taken<T> {
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), Error> {
        self.0.lock().unwrap().extend(records.drain(..).map(|record| record.value));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

pub fn stream<'s>(flow: &Dataflow<'s>, name: &str, records: &Records) -> Stream<'s, (u64, i64)> {
    flow.source(name, records.clone(), WatermarkStrategy::bounded(Duration::ZERO))
}

/// Runs a job and returns its output, sorted.
pub fn run<T: Clone + Send + Ord + serde::Serialize + for<'de> serde::Deserialize<'de> + 'static>(
    workers: usize,
    build: impl for<'s> Fn(&Dataflow<'s>) -> Stream<'s, T> + Send + Sync + 'static,
) -> Vec<T> {
    let mut out = outcome(workers, build).unwrap();
    out.sort();
    out
}

/// Runs a job and returns its output in order of arrival.
pub fn outcome<T: Clone + Send + serde::Serialize + for<'de> serde::Deserialize<'de> + 'static>(
    workers: usize,
    build: impl for<'s> Fn(&Dataflow<'s>) -> Stream<'s, T> + Send + Sync + 'static,
) -> Result<Vec<T>, JobError> {
    let out = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&out);
    let job = Job::new(move |flow| {
        let taken = Arc::clone(&taken);
        build(flow).sink("out", Taken(taken));
    });
    job.unwrap().run(RunConfig::workers(workers))?;
    Ok(std::mem::take(&mut *out.lock().unwrap()))
}
