//! Small jobs in one call: given records in, what an operator emits out. For tests and examples.

use std::time::Duration;

use tidegate_operators::{DataflowExt, Stream};
use tidegate_runtime::watermarks::WatermarkStrategy;
use tidegate_runtime::{Data, Dataflow, Job, JobError, Record, RunConfig};

use crate::generator::FnSource;
use crate::sink::CollectSink;

/// A stream of these records, each with its event time in milliseconds. No record is late unless its time is before that of an earlier one.
#[must_use]
pub fn records<'s, T, I>(flow: &Dataflow<'s>, name: &str, records: I) -> Stream<'s, T>
where
    T: Clone + Send + Sync + 'static,
    I: IntoIterator<Item = (i64, T)>,
{
    let records: Vec<Record<T>> = records.into_iter().map(|(time, value)| Record::new(time, value)).collect();
    let count = records.len() as u64;
    let source = FnSource::new(move |i| records[i as usize].clone()).with_count(count);
    flow.source(name, source, WatermarkStrategy::bounded(Duration::ZERO).every_record())
}

/// Runs a job on one worker to the end of its input. Returns the records of the stream that `job` builds, with their event times, in order
/// of arrival.
///
/// ```
/// use tidegate_connectors::local::{collect, records};
///
/// let squares = collect(|flow| records(flow, "numbers", [(10, 2), (20, 3)]).map("square", |n: i64| n * n))?;
/// assert_eq!(squares, [(10, 4), (20, 9)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The job can't be run, or failed.
pub fn collect<T>(job: impl for<'s> Fn(&Dataflow<'s>) -> Stream<'s, T> + Send + Sync + 'static) -> Result<Vec<(i64, T)>, JobError>
where
    T: Data,
{
    let collected = CollectSink::new();
    let sink = collected.clone();
    Job::new(move |flow| job(flow).sink("collect", sink.clone()))?.run(RunConfig::workers(1))?;
    Ok(collected.take().into_iter().map(|record| (record.time, record.value)).collect())
}
