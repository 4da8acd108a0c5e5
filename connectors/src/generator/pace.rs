//! Which rows are due: by rate, by count, on this worker.

use std::sync::Arc;
use std::time::Instant;

use tidegate_runtime::Error;
use tidegate_runtime::Record;
use tidegate_runtime::metrics::SourceMetrics;
use tidegate_runtime::source::{Batch, Poll, Reader, SourceContext, SplitId};

/// Rows in a batch, at most.
const ROWS: u64 = 1024;

/// How many rows there are, and how fast they come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// Rows per second over all workers; none: as fast as they are taken.
    pub(super) rate: Option<f64>,
    /// Rows over all workers; none: without end.
    pub(super) count: Option<u64>,
}

impl Plan {
    /// The rows due after `seconds`, over all workers.
    fn due(&self, seconds: f64) -> u64 {
        let by_rate = self.rate.map_or(u64::MAX, |rate| (rate * seconds) as u64);
        by_rate.min(self.count.unwrap_or(u64::MAX))
    }
}

/// Generates the rows of one worker: of the rows `i` those with `i % workers == worker`.
pub(super) struct Generate<F> {
    plan: Plan,
    /// The next row.
    next: u64,
    workers: u64,
    start: Option<Instant>,
    row: F,
    metrics: Arc<SourceMetrics>,
    ended: bool,
}

impl<F> Generate<F> {
    pub(super) fn new(plan: Plan, context: SourceContext, row: F) -> Self {
        let (next, workers) = (context.worker as u64, context.workers.max(1) as u64);
        Self { plan, next, workers, start: None, row, metrics: context.metrics, ended: false }
    }
}

impl<T: 'static, F: FnMut(u64) -> Result<Record<T>, Error> + 'static> Reader<T> for Generate<F> {
    fn poll(&mut self) -> Result<Poll<T>, Error> {
        if self.ended {
            return Ok(Poll::Finished);
        }
        // The clock starts when the first row is asked for, not while the job is being set up.
        let seconds = match self.plan.rate {
            Some(_) => self.start.get_or_insert_with(Instant::now).elapsed().as_secs_f64(),
            None => 0.0,
        };
        let due = self.plan.due(seconds);
        let rows = due.saturating_sub(self.next).div_ceil(self.workers).min(ROWS);
        let mut records = Vec::with_capacity(rows as usize);
        for _ in 0..rows {
            records.push((self.row)(self.next)?);
            self.next = self.next.saturating_add(self.workers);
        }
        self.metrics.records.add(rows);
        self.ended = self.plan.count.is_some_and(|count| self.next >= count);
        if rows == 0 && !self.ended {
            return Ok(Poll::Pending);
        }
        Ok(Poll::Batch(Batch { last: self.ended, ..Batch::new(SplitId(0), records) }))
    }
}
