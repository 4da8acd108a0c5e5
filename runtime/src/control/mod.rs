//! What the workers of a running job share: its end, its epochs, its threads, the board, the checkpoints, the counters.

mod epochs;
mod failure;
mod workers;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tidegate_checkpoints::{Epoch, KeyGroups};

use crate::align::Mode;
use crate::board::Board;
use crate::budget::Budget;
use crate::checkpoint::{Checkpoints, Member, Restore, SavepointResult, Setup};
use crate::clock::Clock;
use crate::config::{Backend, RunConfig, StateConfig};
use crate::error::{Error, JobError};
use crate::flow::TickClock;
use crate::graph::{Graph, MetricsRegistry, NodeId};
use crate::metrics::StateMetrics;
use crate::source::Shared;
use crate::state::{Instance, Resources, Shares, Spill};
pub(crate) use epochs::Epochs;
pub(crate) use failure::Failure;
pub(crate) use workers::Workers;

/// The state shared by all workers of one run. A failure anywhere poisons it, and every worker stops at its next step.
pub struct Control {
    pub(crate) failure: Arc<Failure>,
    epochs: Arc<Epochs>,
    /// The threads of the workers.
    pub(crate) workers: Arc<Workers>,
    /// Where sources post their watermarks.
    pub(crate) board: Arc<Board>,
    checkpoints: Arc<Checkpoints>,
    /// The clock that assigns ticks to records as they enter.
    pub(crate) clock: TickClock,
    /// The counters of every node.
    pub(crate) metrics: MetricsRegistry,
    /// What the instances of each source share, by the source's ordinal.
    shared: Mutex<BTreeMap<usize, Shared>>,
    /// How keys are divided into key groups.
    pub(crate) key_groups: KeyGroups,
    /// Whether records behind a barrier wait for it.
    pub(crate) mode: Mode,
    state: StateConfig,
    /// The job's clock.
    pub(crate) time_of_day: Clock,
    /// How the memory for state is divided.
    budget: Budget,
    /// What the RocksDB instances share. Made when first needed.
    resources: OnceLock<Resources>,
    /// What the instances of each operator share.
    shares: Mutex<BTreeMap<NodeId, Shares>>,
    restore: Option<Arc<Restore>>,
    /// How many source instances have read everything, in a job whose end takes a savepoint.
    read_out: AtomicUsize,
}

impl Default for Control {
    /// For a job that is only inspected.
    fn default() -> Self {
        Self::new(Board::default(), &RunConfig::workers(1), &Graph::default())
    }
}

impl Control {
    pub(crate) fn new(board: Board, config: &RunConfig, graph: &Graph) -> Self {
        let first = config.restore.as_ref().map_or(Epoch(0), |restore| restore.snapshot().manifest().epoch.next());
        let (board, workers) = (Arc::new(board), Arc::new(Workers::new(config.workers)));
        let epochs = Arc::new(Epochs::new(first, Arc::clone(&board)));
        let failure = Arc::new(Failure::new(Arc::clone(&workers)));
        let checkpoints = Checkpoints::new(Setup {
            failure: Arc::clone(&failure),
            epochs: Arc::clone(&epochs),
            at_work: Arc::clone(&workers),
            board: Arc::clone(&board),
            mode: config.mode,
            job: config.job.clone(),
            graph: graph.clone(),
            key_groups: config.key_groups,
            workers: config.workers,
            config: config.checkpoints.clone(),
            at_end: config.savepoint_at_end.clone(),
            scratch: config.state.scratch(),
            restored: config.restore.clone(),
        });
        Self {
            failure,
            epochs,
            workers,
            board,
            checkpoints: Arc::new(checkpoints),
            clock: TickClock::default(),
            metrics: MetricsRegistry::default(),
            shared: Mutex::default(),
            key_groups: config.key_groups,
            mode: config.mode,
            state: config.state.clone(),
            time_of_day: config.clock.clone(),
            budget: Budget::new(&config.state, graph, config.workers),
            resources: OnceLock::new(),
            shares: Mutex::default(),
            restore: config.restore.clone(),
            read_out: AtomicUsize::new(0),
        }
    }

    /// The checkpoints of this run.
    pub(crate) fn checkpoints(&self) -> &Arc<Checkpoints> {
        &self.checkpoints
    }

    /// The snapshot that the run resumes from.
    pub(crate) fn restore(&self) -> Option<&Restore> {
        self.restore.as_deref()
    }

    /// The epoch the run begins in.
    pub(crate) fn first(&self) -> Epoch {
        self.epochs.first()
    }

    /// The key groups of a worker, where the first `spread` workers have all.
    pub(crate) fn owned(&self, worker: usize, spread: usize) -> Range<u16> {
        self.key_groups.owned(worker, spread)
    }

    /// The home of the state of one operator instance, which has these key groups.
    pub(crate) fn instance(&self, member: Member, groups: Range<u16>, operator: &str, metrics: Arc<StateMetrics>) -> Instance {
        let spill = match &self.state.backend {
            Backend::Memory => None,
            Backend::RocksDb => Some(Spill {
                dir: self.state.scratch().join("db").join(format!("{}-{}-{}", member.node.0, operator.replace('/', "."), member.worker)),
                resources: self.resources.get_or_init(|| Resources::new(self.budget.rocksdb, self.budget.instances)).clone(),
            }),
        };
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let shares = shares.entry(member.node).or_insert_with(|| Shares::among(self.workers.count())).clone();
        Instance::new(self.key_groups, groups, spill, self.budget.values, metrics).sharing(shares)
    }

    /// Called when an instance of a source has read everything. Once all have, the job stops with its savepoint.
    pub(crate) fn read_out(&self) {
        let instances = self.checkpoints.sources() * self.workers.count();
        if self.read_out.fetch_add(1, SeqCst) + 1 == instances {
            self.stop();
        }
    }

    /// What the instances of this source share.
    pub(crate) fn shared(&self, source: usize) -> Shared {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).entry(source).or_default().clone()
    }

    /// Fails the job because an operator failed. The first cause is kept.
    pub fn fail(&self, operator: &str, worker: usize, error: Error) {
        self.failure.fail(operator, worker, error);
    }

    pub(crate) fn poison(&self, error: JobError) {
        self.failure.poison(error);
    }

    /// Whether the job has failed, or has been stopped or cancelled completely. No more work is done then, because what a worker sees may
    /// result from others having left.
    #[must_use]
    pub fn over(&self) -> bool {
        self.failure.over()
    }

    /// Asks the sources to stop reading. What they have read is processed; open windows stay open.
    pub fn stop(&self) {
        self.epochs.stop(|| self.checkpoints.stop());
        self.workers.rouse();
    }

    /// Stops the job and takes a savepoint at the stop. If none can be taken, the answer says why and the job goes on.
    pub(crate) fn stop_with_savepoint(&self, to: String, answer: Sender<SavepointResult>) {
        if self.checkpoints().ask_at_stop(to, answer, self.stopping()) {
            self.stop();
        }
    }

    /// Tells the sources to end as if they had read everything.
    pub(crate) fn drain(&self) {
        self.epochs.drain();
    }

    /// Whether the sources are to end as if they had read everything.
    pub(crate) fn draining(&self) -> bool {
        self.epochs.draining()
    }

    /// The first epoch after a stop: everything read lies before it. `None` until the job is asked to stop.
    #[must_use]
    pub fn stopped_in(&self) -> Option<Epoch> {
        self.epochs.stopped_in()
    }

    /// Whether the job was asked to stop.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.epochs.stopping()
    }

    /// The epoch sources should be in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epochs.current()
    }
}
