//! What the workers of a running job share: the picture of it, the way to its other processes, the checkpoints, the counters.

mod epochs;
mod failure;
mod listings;
mod messages;
mod replica;
mod workers;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tidegate_checkpoints::{Epoch, KeyGroups};

use crate::align::Mode;
use crate::board::{Board, Post};
use crate::budget::Budget;
use crate::checkpoint::{Checkpoints, Lead, Member, Restore, Setup};
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
pub(crate) use listings::Listings;
pub(crate) use messages::{Everyone, Leader, ToAll, ToLeader, Turn};
pub(crate) use replica::Replica;
pub(crate) use workers::Workers;

/// The state shared by all workers of one run. A failure anywhere poisons it, and every worker stops at its next step.
pub struct Control {
    pub(crate) replica: Arc<Replica>,
    everyone: Arc<dyn Everyone>,
    leader: Arc<dyn Leader>,
    /// Leads the run.
    pub(crate) lead: Arc<Lead>,
    checkpoints: Arc<Checkpoints>,
    /// The clock that assigns ticks to records as they enter.
    pub(crate) clock: TickClock,
    /// The counters of every node.
    pub(crate) metrics: MetricsRegistry,
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
}

impl Default for Control {
    /// For a job that is only inspected.
    fn default() -> Self {
        Self::new(&RunConfig::workers(1), &Graph::default())
    }
}

impl Control {
    /// The control of a job in one process: it is everyone, and leads.
    pub(crate) fn new(config: &RunConfig, graph: &Graph) -> Self {
        Self::between(config, graph, |replica| replica, |lead| lead)
    }

    /// The control of a job whose messages go through what `everyone` and `leader` make of the replica and the lead of this process.
    fn between(
        config: &RunConfig,
        graph: &Graph,
        everyone: impl FnOnce(Arc<Replica>) -> Arc<dyn Everyone>,
        leader: impl FnOnce(Arc<Lead>) -> Arc<dyn Leader>,
    ) -> Self {
        let first = config.restore.as_ref().map_or(Epoch(0), |restore| restore.snapshot().manifest().epoch.next());
        let groups = graph.source_groups();
        let replica = Arc::new(Replica::new(first, Board::new(&groups, config.workers), groups.len(), config.workers));
        let everyone = everyone(Arc::clone(&replica));
        let setup = Arc::new(Setup::new(config, graph));
        let lead = Arc::new(Lead::new(Arc::clone(&setup), Arc::clone(&everyone), Arc::clone(&replica)));
        let leader = leader(Arc::clone(&lead));
        let checkpoints = Checkpoints::new(setup, Arc::clone(&everyone), Arc::clone(&replica), Arc::clone(&leader));
        Self {
            replica,
            everyone,
            leader,
            lead,
            checkpoints: Arc::new(checkpoints),
            clock: TickClock::default(),
            metrics: MetricsRegistry::default(),
            key_groups: config.key_groups,
            mode: config.mode,
            state: config.state.clone(),
            time_of_day: config.clock.clone(),
            budget: Budget::new(&config.state, graph, config.workers),
            resources: OnceLock::new(),
            shares: Mutex::default(),
            restore: config.restore.clone(),
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
        self.replica.epochs.first()
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
        let shares = shares.entry(member.node).or_insert_with(|| Shares::among(self.replica.workers.count())).clone();
        Instance::new(self.key_groups, groups, spill, self.budget.values, metrics).sharing(shares)
    }

    /// Where sources post their watermarks.
    pub(crate) fn board(&self) -> &Board {
        &self.replica.board
    }

    /// Posts something about instance `worker` of a source on the board.
    pub(crate) fn post(&self, source: usize, worker: usize, post: Post) {
        self.everyone.tell(ToAll::Posted { source, worker, post });
    }

    /// Reports that an instance of a source has read everything. Once all have, the job stops with its savepoint.
    pub(crate) fn read_out(&self) {
        Arc::clone(&self.leader).tell(ToLeader::ReadOut);
    }

    /// What the instances of this source share.
    pub(crate) fn shared(&self, source: usize) -> Shared {
        Shared::new(source, Arc::clone(&self.replica), Arc::clone(&self.everyone))
    }

    /// Fails the job because an operator failed. The first cause is kept.
    pub fn fail(&self, operator: &str, worker: usize, error: Error) {
        self.everyone.fail(operator, worker, error);
    }

    pub(crate) fn poison(&self, error: JobError) {
        self.everyone.poison(error);
    }

    /// Ends the job, whatever it still has to do.
    pub(crate) fn finish(&self) {
        self.everyone.tell(ToAll::Over(None));
    }

    /// Whether the job has failed, or has been stopped or cancelled completely. No more work is done then, because what a worker sees may
    /// result from others having left.
    #[must_use]
    pub fn over(&self) -> bool {
        self.replica.failure.over()
    }

    /// Asks the sources to stop reading. What they have read is processed; open windows stay open.
    pub fn stop(&self) {
        Arc::clone(&self.leader).tell(ToLeader::Stop);
    }

    /// Tells the sources to end as if they had read everything.
    pub(crate) fn drain(&self) {
        self.everyone.tell(ToAll::Epoch(Turn::Draining));
    }

    /// Whether the sources are to end as if they had read everything.
    pub(crate) fn draining(&self) -> bool {
        self.replica.epochs.draining()
    }

    /// The first epoch after a stop: everything read lies before it. `None` until the job is asked to stop.
    #[must_use]
    pub fn stopped_in(&self) -> Option<Epoch> {
        self.replica.epochs.stopped_in()
    }

    /// Whether the job was asked to stop.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.replica.epochs.stopping()
    }

    /// The epoch sources should be in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.replica.epochs.current()
    }
}

#[cfg(test)]
mod tests;
