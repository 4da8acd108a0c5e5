//! What the workers of a running job share: the reason to stop, the epoch to be in, the clock, the board, the counters.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tidegate_checkpoints::{Epoch, KeyGroups};

use crate::align::Mode;
use crate::board::Board;
use crate::budget::Budget;
use crate::checkpoint::{Checkpoints, Member, Restore, Setup};
use crate::error::{Error, JobError};
use crate::flow::TickClock;
use crate::graph::{Graph, MetricsRegistry};
use crate::job::{Backend, RunConfig, StateConfig};
use crate::metrics::StateMetrics;
use crate::source::Shared;
use crate::state::{Clock, Instance, Resources, Spill};
use crate::workers::Workers;

/// The state shared by all workers of one run. A failure anywhere poisons it, and every worker stops at its next step.
#[derive(Default)]
pub struct Control {
    over: AtomicBool,
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
    /// The threads of the workers.
    pub(crate) workers: Workers,
    state: StateConfig,
    /// The time of day.
    pub(crate) time_of_day: Clock,
    /// How the memory for state is divided.
    budget: Budget,
    /// What RocksDB shares, made when it is first needed.
    resources: OnceLock<Resources>,
    restore: Option<Arc<Restore>>,
    checkpoints: OnceLock<Arc<Checkpoints>>,
    /// How many instances of sources have come to their end, where that takes a savepoint.
    read_out: AtomicUsize,
}

impl Control {
    pub(crate) fn new(board: Board, metrics: MetricsRegistry, config: &RunConfig, graph: &Graph) -> Arc<Self> {
        let control = Self {
            board,
            metrics,
            key_groups: config.key_groups,
            mode: config.mode,
            workers: Workers::new(config.workers),
            state: config.state.clone(),
            budget: Budget::new(&config.state, graph, config.workers),
            restore: config.restore.clone(),
            time_of_day: config.clock.clone(),
            ..Self::default()
        };
        control.epoch.store(control.first().0, SeqCst);
        let control = Arc::new(control);
        let setup = Setup {
            job: config.job.clone(),
            graph: graph.clone(),
            key_groups: config.key_groups,
            workers: config.workers,
            config: config.checkpoints.clone(),
            at_end: config.savepoint_at_end.clone(),
            scratch: config.state.scratch(),
            restored: config.restore.clone(),
        };
        let _ = control.checkpoints.set(Arc::new(Checkpoints::new(Arc::downgrade(&control), setup)));
        control
    }

    /// The checkpoints of this run.
    pub(crate) fn checkpoints(&self) -> Arc<Checkpoints> {
        Arc::clone(self.checkpoints.get_or_init(|| Arc::new(Checkpoints::new(Weak::new(), Setup::default()))))
    }

    /// What the run goes on from.
    pub(crate) fn restore(&self) -> Option<&Restore> {
        self.restore.as_deref()
    }

    /// The epoch the run begins in.
    pub(crate) fn first(&self) -> Epoch {
        self.restore().map_or(Epoch(0), |restore| restore.snapshot().manifest().epoch.next())
    }

    /// The key groups of a worker.
    pub(crate) fn owned(&self, worker: usize) -> Range<u16> {
        self.key_groups.owned(worker, self.workers.count().max(1))
    }

    /// The home of one operator instance's state.
    pub(crate) fn instance(&self, member: Member, operator: &str, metrics: Arc<StateMetrics>) -> Instance {
        let spill = match &self.state.backend {
            Backend::Memory => None,
            Backend::RocksDb => Some(Spill {
                dir: self.state.scratch().join("db").join(format!("{}-{}-{}", member.node.0, operator.replace('/', "."), member.worker)),
                resources: self.resources.get_or_init(|| Resources::new(self.budget.rocksdb, self.budget.instances)).clone(),
            }),
        };
        Instance::new(self.key_groups, self.owned(member.worker), spill, self.budget.values, metrics)
    }

    /// An instance of a source has read all there is. When all have, the job stops with its savepoint.
    pub(crate) fn read_out(&self, instances: usize) {
        if self.read_out.fetch_add(1, SeqCst) + 1 == instances {
            self.stop();
        }
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
        self.finish();
    }

    /// Has anything failed, or has the job come to the end of its stop? Then nothing is done any more: what a worker sees now may come of others having left.
    #[must_use]
    pub fn over(&self) -> bool {
        self.over.load(SeqCst)
    }

    /// The job has come to the end of its stop.
    pub(crate) fn finish(&self) {
        self.over.store(true, SeqCst);
        self.workers.rouse();
    }

    pub(crate) fn take_failure(&self) -> Option<JobError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks the sources to stop reading. What they have read is worked off; windows that are open stay open.
    pub fn stop(&self) {
        // First the word, then the epoch: who is in the new epoch knows that nothing may be read in it.
        if !self.stopping.swap(true, SeqCst) {
            let _ = self.stopped_in.set(self.checkpoints().stop(self));
            self.workers.rouse();
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

    /// Begins the next epoch: every source wakes and puts a barrier into its stream. Only checkpoints do that, one at a time.
    pub(crate) fn step_epoch(&self) -> Epoch {
        let next = Epoch(self.epoch.fetch_add(1, SeqCst) + 1);
        self.board.bell.ring();
        next
    }

    /// The epoch sources should be in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(SeqCst))
    }
}
