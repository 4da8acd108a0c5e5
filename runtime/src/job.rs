//! A job: a graph that can be looked at, and run by a number of workers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tidegate_checkpoints::KeyGroups;
use timely::WorkerConfig;
use timely::communication::WorkerGuards;
use timely::worker::Worker;

use crate::align::Mode;
use crate::board::Board;
use crate::checkpoint::{CheckpointConfig, CheckpointStatus, Restore, SavepointResult};
use crate::control::Control;
use crate::dataflow::Dataflow;
use crate::error::{GraphError, JobError, panicked};
use crate::graph::{Graph, MetricsRegistry};
use crate::metrics::NodeMetrics;
use crate::progress::Progress;
use crate::state::Clock;
use crate::time::{Time, Watermark};

/// Where keyed state lies. RocksDB is the default of job files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// In memory.
    Memory,
    /// In memory as far as it fits, and in RocksDB beyond.
    #[default]
    RocksDb,
}

/// How state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// Where it lies.
    pub backend: Backend,
    /// A directory of the job's own, for state that does not fit and for snapshots until they are stored. It is made when it is needed.
    pub dir: PathBuf,
    /// Bytes for cached entries, and for RocksDB's blocks and write buffers, of all operators together.
    pub memory: usize,
}

impl StateConfig {
    /// The files of a run; nothing in there outlives it.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.join("run")
    }
}

impl Default for StateConfig {
    /// In memory: a job that names no directory of its own writes to none.
    fn default() -> Self {
        Self { backend: Backend::Memory, dir: PathBuf::from("state"), memory: 512 << 20 }
    }
}

/// How a job is run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The name of the job, as its checkpoints have it.
    pub job: String,
    /// The number of workers, each a thread.
    pub workers: usize,
    /// How keys are cut into groups; fixed for the life of a job's state.
    pub key_groups: KeyGroups,
    /// Whether records behind a barrier wait for it.
    pub mode: Mode,
    /// How often to put a barrier into the streams that nothing is made of. `None`: never.
    pub barrier_every: Option<Duration>,
    /// How state is kept.
    pub state: StateConfig,
    /// Where and how often checkpoints are taken. `None`: never.
    pub checkpoints: Option<CheckpointConfig>,
    /// What to go on from.
    pub restore: Option<Arc<Restore>>,
    /// Where the end of input, or a stop, takes a savepoint. Windows stay open then.
    pub savepoint_at_end: Option<String>,
    /// The time of day, by which state expires and timers of the wall clock fire.
    pub clock: Clock,
}

impl RunConfig {
    /// `workers` workers (at least one), state in memory, no checkpoints.
    #[must_use]
    pub fn workers(workers: usize) -> Self {
        Self {
            job: "job".to_owned(),
            workers: workers.max(1),
            key_groups: KeyGroups::default(),
            mode: Mode::default(),
            barrier_every: None,
            state: StateConfig::default(),
            checkpoints: None,
            restore: None,
            savepoint_at_end: None,
            clock: Clock::default(),
        }
    }

    /// A barrier every `interval`.
    #[must_use]
    pub fn barrier_every(mut self, interval: Duration) -> Self {
        self.barrier_every = Some(interval);
        self
    }
}

type Build = dyn for<'s> Fn(&Dataflow<'s>) + Send + Sync;

/// A job that can be run. Its graph was built once already, so what can be wrong with it is known.
#[derive(Clone)]
pub struct Job {
    build: Arc<Build>,
    graph: Graph,
}

impl Job {
    /// The job that `build` describes. It is called here once to see the graph, and once on every worker, and must build the same each time.
    ///
    /// # Errors
    /// The graph is not one that can run.
    pub fn new(build: impl for<'s> Fn(&Dataflow<'s>) + Send + Sync + 'static) -> Result<Self, GraphError> {
        let build: Arc<Build> = Arc::new(build);
        let rehearsal = Arc::clone(&build);
        let graph = timely::execute::execute_directly(move |worker| {
            let index = worker.next_dataflow_index();
            let graph = worker.dataflow::<Time, _, _>(|scope| {
                let flow = Dataflow::new(scope, Arc::default());
                rehearsal(&flow);
                flow.graph()
            });
            worker.drop_dataflow(index);
            graph
        });
        graph.validate()?;
        Ok(Self { build, graph })
    }

    /// The job's operators.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Runs the job to its end.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(&self, config: RunConfig) -> Result<(), JobError> {
        self.start(config)?.wait()
    }

    /// Starts the job.
    ///
    /// # Errors
    /// The workers could not be started.
    pub fn start(&self, config: RunConfig) -> Result<Running, JobError> {
        let config = RunConfig { workers: config.workers.max(1), ..config };
        let board = Board::new(&self.graph.source_groups(), config.workers);
        let control = Control::new(board, MetricsRegistry::default(), &config, &self.graph);
        clear(&config.state.scratch())?;
        let barrier_every = config.barrier_every;
        let (shared, build) = (Arc::clone(&control), Arc::clone(&self.build));
        let (builders, others) =
            timely::CommunicationConfig::Process(config.workers).try_build().map_err(|e| JobError::Start(e.to_string()))?;
        // More workers than cores must not spin at each other's cost.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let spin = if config.workers > cores { Duration::ZERO } else { Duration::from_micros(20) };
        let guards = timely::execute::execute_from(builders, others, WorkerConfig::default().idle_spin(spin), move |worker| {
            work(worker, &shared, &*build, barrier_every);
        })
        .map_err(JobError::Start)?;
        Ok(Running { control, guards, scratch: config.state.scratch() })
    }
}

/// Removes what an earlier run has left.
fn clear(scratch: &Path) -> Result<(), JobError> {
    match std::fs::remove_dir_all(scratch) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(JobError::Start(format!("the state directory `{}` can't be cleared: {e}", scratch.display())))
        }
        _ => Ok(()),
    }
}

/// How long a worker with nothing to do sleeps at most, and so how soon it sees that another has failed. Data wakes it at once.
const LOOK: Duration = Duration::from_millis(10);

/// Builds the job on one worker and runs it until it ends, fails or is stopped.
fn work(worker: &mut Worker, control: &Arc<Control>, build: &Build, barrier_every: Option<Duration>) {
    let index = worker.index();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let probe = worker.dataflow::<Time, _, _>(|scope| {
            let flow = Dataflow::new(scope, Arc::clone(control));
            build(&flow);
            flow.shared.probe.clone()
        });
        let mut barrier = Instant::now();
        let checkpoints = control.checkpoints();
        while worker.has_dataflows() && !control.over() {
            worker.step_or_park(Some(LOOK));
            if let Some(interval) = barrier_every.filter(|i| index == 0 && barrier.elapsed() >= *i && !control.stopping()) {
                checkpoints.barrier(control);
                barrier += interval;
            }
            if index == 0 {
                checkpoints.tick(control);
            }
            if let Some(next) = control.stopped_in() {
                // Everything before the last barrier has been written, and what is taken at the end is complete.
                let written = probe.with_frontier(|f| Progress::at(f.iter()).oldest().is_none_or(|(epoch, _)| epoch >= next));
                if written && checkpoints.settled() {
                    control.finish();
                }
            }
        }
    }));
    if let Err(panic) = &result {
        control.poison(JobError::Panic { worker: index, message: panicked(panic.as_ref()) });
    }
    // Dropping what a panic left behind may panic once more; the cause is known already.
    let _ = catch_unwind(AssertUnwindSafe(|| worker.installed_dataflows().into_iter().for_each(|id| worker.drop_dataflow(id))));
}

/// A job on its way.
pub struct Running {
    control: Arc<Control>,
    guards: WorkerGuards<()>,
    scratch: PathBuf,
}

impl Running {
    /// Asks the job to stop: sources read no more, what they have read is worked off and written, windows stay open. Returns at once.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// A handle that stops the job from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.control))
    }

    /// Have all workers ended?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.guards.guards().iter().all(std::thread::JoinHandle::is_finished)
    }

    /// The counters of every node, in the order of the graph.
    #[must_use]
    pub fn metrics(&self) -> Vec<Option<NodeMetrics>> {
        self.control.metrics.all()
    }

    /// What came of the checkpoints so far.
    #[must_use]
    pub fn checkpoints(&self) -> CheckpointStatus {
        self.control.checkpoints().status()
    }

    /// How far event time has come at the slowest source that has not ended.
    #[must_use]
    pub fn watermark(&self) -> Option<Watermark> {
        self.control.board.slowest()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Why the job failed.
    pub fn wait(self) -> Result<(), JobError> {
        // Not `join` first: it would block on the first worker while another is dead.
        while !self.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        for result in self.guards.join() {
            if let Err(message) = result {
                self.control.poison(JobError::Panic { worker: 0, message });
            }
        }
        self.control.checkpoints().close();
        let failure = self.control.take_failure();
        // What can't be removed now is when the job is run again.
        let _ = std::fs::remove_dir_all(&self.scratch);
        failure.map_or(Ok(()), Err)
    }
}

/// Stops a job; may be kept beyond its end.
#[derive(Clone)]
pub struct Stopper(Arc<Control>);

impl Stopper {
    /// Asks the job to stop, as [`Running::stop`].
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Was the job asked to stop?
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.0.stopping()
    }

    /// What came of the checkpoints so far; also when the job has ended.
    #[must_use]
    pub fn checkpoints(&self) -> CheckpointStatus {
        self.0.checkpoints().status()
    }

    /// Takes a savepoint in this directory or URL, while the job goes on. The answer comes when it is complete.
    #[must_use]
    pub fn savepoint(&self, to: String) -> Receiver<SavepointResult> {
        let (sender, answer) = std::sync::mpsc::channel();
        self.0.checkpoints().ask(to, sender);
        answer
    }
}
