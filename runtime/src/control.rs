//! What the workers of a running job share: the reason to stop, the epoch to be in, the clock, the board, the counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock, PoisonError};

use tidegate_checkpoints::{Epoch, KeyGroups};

use crate::align::Mode;
use crate::board::Board;
use crate::error::{Error, JobError};
use crate::flow::TickClock;
use crate::graph::MetricsRegistry;
use crate::job::RunConfig;
use crate::source::Shared;

/// The state shared by all workers of one run. A failure anywhere poisons it, and every worker stops at its next step.
#[derive(Default)]
pub struct Control {
    failed: AtomicBool,
    failure: Mutex<Option<JobError>>,
    stopping: AtomicBool,
    /// The epoch that begins with the stop: nothing is read in it.
    stopped_in: OnceLock<Epoch>,
    epoch: AtomicU32,
    /// The clock under whose ticks records enter.
    pub(crate) clock: TickClock,
    /// Where sources post their watermarks.
    pub(crate) board: Board,
    /// The counters of every node.
    pub(crate) metrics: MetricsRegistry,
    /// What the instances of each source share, by the source's ordinal.
    shared: Mutex<BTreeMap<usize, Shared>>,
    /// How keys are spread.
    pub(crate) key_groups: KeyGroups,
    /// Whether records behind a barrier wait for it.
    pub(crate) mode: Mode,
}

impl Control {
    pub(crate) fn new(board: Board, metrics: MetricsRegistry, config: &RunConfig) -> Self {
        Self { board, metrics, key_groups: config.key_groups, mode: config.mode, ..Self::default() }
    }

    /// What the instances of this source share.
    pub(crate) fn shared(&self, source: usize) -> Shared {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).entry(source).or_default().clone()
    }

    /// An operator failed: the job stops, with the first such cause.
    pub fn fail(&self, operator: &str, worker: usize, error: Error) {
        self.poison(JobError::Operator { operator: operator.to_owned(), worker, error });
    }

    pub(crate) fn poison(&self, error: JobError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.failed.store(true, SeqCst);
    }

    /// Has anything failed?
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    pub(crate) fn take_failure(&self) -> Option<JobError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks the sources to stop reading. What they have read is worked off; windows that are open stay open.
    pub fn stop(&self) {
        // First the word, then the epoch: who is in the new epoch knows that nothing may be read in it.
        if !self.stopping.swap(true, SeqCst) {
            let epoch = self.step_epoch();
            let _ = self.stopped_in.set(epoch);
        }
    }

    /// The epoch that everything read lies before, once the job was asked to stop.
    #[must_use]
    pub fn stopped_in(&self) -> Option<Epoch> {
        self.stopped_in.get().copied()
    }

    /// Was the job asked to stop?
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    /// Begins the next epoch: every source puts a barrier into its stream at its next activation.
    pub fn step_epoch(&self) -> Epoch {
        Epoch(self.epoch.fetch_add(1, SeqCst) + 1)
    }

    /// The epoch sources should be in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(SeqCst))
    }
}
