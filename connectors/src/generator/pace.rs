//! Decides which rows are due on this worker, by rate and by count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_runtime::Error;
use tidegate_runtime::Record;
use tidegate_runtime::metrics::SourceMetrics;
use tidegate_runtime::source::{Batch, Poll, Reader, Resumed, SourceContext, SplitId};

/// How long to collect rows that become due one by one.
const BREATH: Duration = Duration::from_millis(20);

/// The maximum number of rows in a batch.
const ROWS: u64 = 1024;

/// How many rows to generate, and how fast.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// Rows per second over all workers. `None`: as fast as they are consumed.
    pub(super) rate: Option<f64>,
    /// Rows over all workers. `None`: without end.
    pub(super) count: Option<u64>,
}

impl Plan {
    /// The number of rows due after `seconds`, over all workers, if `begun` had been made at the start.
    fn due(&self, begun: u64, seconds: f64) -> u64 {
        let by_rate = self.rate.map_or(u64::MAX, |rate| begun.saturating_add((rate * seconds) as u64));
        by_rate.min(self.count.unwrap_or(u64::MAX))
    }

    /// How long until row `next` is due, `seconds` after the start.
    fn until(&self, next: u64, begun: u64, seconds: f64) -> Duration {
        let at = self.rate.map_or(0.0, |rate| (next.saturating_sub(begun) as f64 + 1.0) / rate);
        // A wait that does not fit is longer than any job runs.
        Duration::try_from_secs_f64((at - seconds).max(0.0)).unwrap_or(Duration::MAX)
    }
}

/// The position of one worker's generator, as stored in checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    worker: u64,
    #[serde(flatten)]
    made: Made,
    /// What runs with other numbers of workers had made before, as far as it reaches beyond `next`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<Layer>,
}

/// The rows that one worker has made: those with `i % workers == worker` before `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    workers: u64,
    next: u64,
}

/// The rows that a number of workers had made together: row `i` is one of them if `i < next[i % next.len()]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Layer {
    next: Vec<u64>,
}

impl Layer {
    fn holds(&self, i: u64) -> bool {
        let workers = self.next.len().max(1) as u64;
        self.next.get((i % workers) as usize).is_some_and(|next| i < *next)
    }

    /// The first index from which on no row has been made.
    fn end(&self) -> u64 {
        self.next.iter().copied().max().unwrap_or(0)
    }
}

/// What all workers together had made, from the positions of each.
fn layers(positions: &[Json]) -> Result<Vec<Layer>, Error> {
    let read = |json: &Json| {
        serde_json::from_value(json.clone())
            .map_err(|e| Error::user(format!("the snapshot was not taken of a generator: its position {json} does not read ({e})")))
    };
    let positions = positions.iter().map(read).collect::<Result<Vec<Position>, Error>>()?;
    let mut layers: Vec<Layer> = Vec::new();
    for position in &positions {
        for layer in &position.before {
            if !layers.contains(layer) {
                layers.push(layer.clone());
            }
        }
    }
    let workers = positions.first().map_or(0, |position| position.made.workers);
    // A worker that had not started has no position, and has made nothing.
    let mut next: Vec<u64> = (0..workers).collect();
    for Position { worker, made, .. } in &positions {
        if let Some(next) = next.get_mut(*worker as usize) {
            *next = made.next;
        }
    }
    if !next.is_empty() {
        layers.push(Layer { next });
    }
    Ok(layers)
}

/// Generates the rows of one worker: those with `i % workers == worker`, except for those made before a restore.
pub(super) struct Generate<F> {
    plan: Plan,
    worker: u64,
    /// The index of the next row.
    next: u64,
    /// A lower bound of the number of rows that all workers had made when this run started.
    begun: u64,
    workers: u64,
    before: Vec<Layer>,
    start: Option<Instant>,
    row: F,
    metrics: Arc<SourceMetrics>,
    ended: bool,
}

impl<F> Generate<F> {
    pub(super) fn new(plan: Plan, context: SourceContext, row: F) -> Result<Self, Error> {
        let (worker, workers) = (context.worker as u64, context.workers.max(1) as u64);
        let before = layers(context.restored.as_deref().map_or(&[], Vec::as_slice))?;
        // Every row before the least position of the last layer has been made, because each layer continues where
        // those before it were.
        let begun = before.last().and_then(|layer| layer.next.iter().copied().min()).unwrap_or(0);
        let next = begun + (worker + workers - begun % workers) % workers;
        Ok(Self { plan, worker, next, begun, workers, before, start: None, row, metrics: context.metrics, ended: false })
    }

    fn position(&self) -> Json {
        let made = Made { workers: self.workers, next: self.next };
        let before = self.before.iter().filter(|layer| layer.end() > self.next).cloned().collect();
        // Plain data always serializes.
        serde_json::to_value(Position { worker: self.worker, made, before }).unwrap_or_default()
    }
}

impl<T: 'static, F: FnMut(u64) -> Result<Record<T>, Error> + 'static> Reader<T> for Generate<F> {
    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        let resumed = Resumed { split: SplitId(0), position: self.position(), ended: false };
        Some(if self.before.is_empty() { Vec::new() } else { vec![resumed] })
    }

    fn poll(&mut self) -> Result<Poll<T>, Error> {
        if self.ended {
            return Ok(Poll::Finished);
        }
        // Start the clock when the first row is requested, not while the job is being set up.
        let seconds = match self.plan.rate {
            Some(_) => self.start.get_or_insert_with(Instant::now).elapsed().as_secs_f64(),
            None => 0.0,
        };
        let due = self.plan.due(self.begun, seconds);
        let rows = due.saturating_sub(self.next).div_ceil(self.workers).min(ROWS);
        let mut records = Vec::with_capacity(rows as usize);
        for _ in 0..rows {
            if !self.before.iter().any(|layer| layer.holds(self.next)) {
                records.push((self.row)(self.next)?);
            }
            self.next = self.next.saturating_add(self.workers);
        }
        self.metrics.records.add(records.len() as u64);
        self.ended = self.plan.count.is_some_and(|count| self.next >= count);
        if rows == 0 && !self.ended {
            return Ok(Poll::After(self.plan.until(self.next, self.begun, seconds).max(BREATH)));
        }
        Ok(Poll::Batch(Batch { last: self.ended, position: Some(self.position()), ..Batch::new(SplitId(0), records) }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use tidegate_runtime::source::Waker;

    use super::*;

    fn context(worker: usize, workers: usize, restored: &[Json]) -> SourceContext {
        let restored = (!restored.is_empty()).then(|| Arc::new(restored.to_vec()));
        SourceContext { worker, workers, waker: Waker::disconnected(), restored, shared: Default::default(), metrics: Arc::default() }
    }

    proptest! {
        /// Runs with changing numbers of workers, each stopped somewhere, generate every row exactly once.
        #[test]
        fn every_row_is_made_once(runs in proptest::collection::vec((1..4usize, proptest::collection::vec(0..4usize, 4)), 0..5)) {
            let plan = Plan { rate: None, count: Some(20_000) };
            let mut seen = BTreeSet::new();
            let mut positions: Vec<Json> = Vec::new();
            let last = (2, vec![usize::MAX; 4]);
            for (workers, polls) in runs.into_iter().chain([last]) {
                let mut next = Vec::new();
                for (worker, polls) in polls.iter().enumerate().take(workers) {
                    let mut generate = Generate::new(plan, context(worker, workers, &positions), |i| Ok(Record::new(0, i))).unwrap();
                    let mut position = generate.position();
                    for _ in 0..*polls {
                        let Poll::Batch(batch) = generate.poll().unwrap() else { break };
                        for record in batch.records {
                            prop_assert!(seen.insert(record.value), "{} twice", record.value);
                        }
                        position = batch.position.unwrap();
                    }
                    next.push(position);
                }
                positions = next;
            }
            prop_assert_eq!(seen.len(), 20_000);
        }
    }
}
