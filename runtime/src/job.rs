//! A job: a graph that can be inspected, and run by a number of workers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use timely::WorkerConfig;
use timely::communication::WorkerGuards;
use timely::worker::Worker;

use crate::checkpoint::{CheckpointStatus, SavepointResult};
use crate::config::{Backend, RunConfig};
use crate::control::Control;
use crate::dataflow::Dataflow;
use crate::error::{GraphError, JobError, panicked};
use crate::graph::Graph;
use crate::metrics::NodeMetrics;
use crate::progress::Progress;
use crate::time::{Time, Watermark};

type Build = dyn for<'s> Fn(&Dataflow<'s>) + Send + Sync;

/// A job that can be run. Its graph has been built once and validated.
#[derive(Clone)]
pub struct Job {
    build: Arc<Build>,
    graph: Graph,
}

impl Job {
    /// The job that `build` describes. `build` is called here once to see the graph, and once on every worker. It must build the same graph
    /// each time.
    ///
    /// # Errors
    /// The graph can't be run.
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
    /// The job failed; the error says why.
    pub fn run(&self, config: RunConfig) -> Result<(), JobError> {
        self.start(config)?.wait()
    }

    /// Starts the job.
    ///
    /// # Errors
    /// The workers could not be started, or this build lacks the backend of the state.
    pub fn start(&self, config: RunConfig) -> Result<Running, JobError> {
        if config.state.backend == Backend::RocksDb && !cfg!(feature = "rocksdb") {
            return Err(JobError::NoRocksDb);
        }
        let config = RunConfig { workers: config.workers.max(1), ..config };
        let control = Arc::new(Control::new(&config, &self.graph));
        self.start_with(&config, control)
    }

    /// Starts the job under this control, made of `config`.
    pub(crate) fn start_with(&self, config: &RunConfig, control: Arc<Control>) -> Result<Running, JobError> {
        clear(&config.state.scratch())?;
        let barrier_every = config.barrier_every;
        let (shared, build) = (Arc::clone(&control), Arc::clone(&self.build));
        let (builders, others) =
            timely::CommunicationConfig::Process(config.workers).try_build().map_err(|e| JobError::Start(e.to_string()))?;
        // With more workers than cores, spinning would take time from the other workers.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let spin = if config.workers > cores { Duration::ZERO } else { Duration::from_micros(20) };
        let guards = timely::execute::execute_from(builders, others, WorkerConfig::default().idle_spin(spin), move |worker| {
            work(worker, &shared, &*build, barrier_every);
        })
        .map_err(JobError::Start)?;
        Ok(Running { control, guards: Some(guards), scratch: config.state.scratch() })
    }
}

/// Removes what an earlier run left behind.
fn clear(scratch: &Path) -> Result<(), JobError> {
    match std::fs::remove_dir_all(scratch) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(JobError::Start(format!("the state directory `{}` can't be cleared: {e}", scratch.display())))
        }
        _ => Ok(()),
    }
}

/// The longest time a worker sleeps when nothing is due. Whoever has work for it wakes it; this limit bounds the damage of a missed
/// wake-up.
const LONGEST_PARK: Duration = Duration::from_secs(1);

/// Builds the job on one worker and runs it until it ends, fails or is stopped.
fn work(worker: &mut Worker, control: &Arc<Control>, build: &Build, barrier_every: Option<Duration>) {
    let index = worker.index();
    let _at_work = control.replica.workers.begin();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let probe = worker.dataflow::<Time, _, _>(|scope| {
            let flow = Dataflow::new(scope, Arc::clone(control));
            build(&flow);
            flow.shared.probe.clone()
        });
        let mut barriers = barrier_every.filter(|_| index == 0).map(Barriers::new);
        // All of this is checked before the worker parks. Whoever changes any of it rouses the worker, which then checks again.
        while worker.has_dataflows() && !control.over() {
            let mut wait = barriers.as_mut().and_then(|barriers| barriers.step(control));
            if index == 0 {
                let next = control.lead.tick();
                wait = wait.into_iter().chain(next).min();
            }
            if let Some(next) = control.stopped_in() {
                // Everything before the last barrier has been written, and the final checkpoint or savepoint is complete.
                let written = probe.with_frontier(|f| Progress::at(f.iter()).oldest().is_none_or(|(epoch, _)| epoch >= next));
                if written && control.lead.settled() {
                    control.finish();
                    break;
                }
            }
            worker.step_or_park(Some(wait.map_or(LONGEST_PARK, |wait| wait.min(LONGEST_PARK))));
        }
    }));
    if let Err(panic) = &result {
        control.poison(JobError::Panic { worker: index, message: panicked(panic.as_ref()) });
    }
    // Dropping what a panic left behind may panic again; the cause is already known.
    let _ = catch_unwind(AssertUnwindSafe(|| worker.installed_dataflows().into_iter().for_each(|id| worker.drop_dataflow(id))));
}

/// Injects barriers that start no checkpoint.
struct Barriers {
    every: Duration,
    last: Instant,
}

impl Barriers {
    fn new(every: Duration) -> Self {
        Self { every, last: Instant::now() }
    }

    /// Injects a barrier if one is due. Returns the time until the next, or `None` if there will be none.
    fn step(&mut self, control: &Control) -> Option<Duration> {
        if control.stopping() {
            return None;
        }
        if self.last.elapsed() >= self.every {
            control.lead.barrier();
            self.last += self.every;
        }
        Some(self.every.saturating_sub(self.last.elapsed()))
    }
}

/// A running job.
pub struct Running {
    control: Arc<Control>,
    /// Taken when the job is waited for.
    guards: Option<WorkerGuards<()>>,
    scratch: PathBuf,
}

impl Drop for Running {
    /// Cancels the job if this thread is panicking: dropping the guards waits for the workers, which nobody would stop.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.control.finish();
        }
    }
}

impl Running {
    /// Asks the job to stop. Sources stop reading, what they have read is processed and written, and windows stay open. Returns at once.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// A handle that stops the job from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.control))
    }

    /// Whether all workers have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Waits until all workers have ended, but at most this long. Returns whether they have.
    #[must_use]
    pub fn ends_within(&self, wait: Duration) -> bool {
        self.control.replica.workers.end_within(wait)
    }

    /// The counters of every node, in graph order.
    #[must_use]
    pub fn metrics(&self) -> Vec<Option<NodeMetrics>> {
        self.control.metrics.all()
    }

    /// The outcome of the checkpoints so far.
    #[must_use]
    pub fn checkpoints(&self) -> CheckpointStatus {
        self.control.lead.status()
    }

    /// The watermark of the slowest source that has not ended.
    #[must_use]
    pub fn watermark(&self) -> Option<Watermark> {
        self.control.board().slowest()
    }

    /// Waits for the job to end.
    ///
    /// # Errors
    /// The job failed; the error says why.
    pub fn wait(mut self) -> Result<(), JobError> {
        // Don't `join` first: it would block on the first worker while another is dead.
        while !self.ends_within(Duration::MAX) {}
        for result in self.guards.take().into_iter().flat_map(WorkerGuards::join) {
            if let Err(message) = result {
                self.control.poison(JobError::Panic { worker: 0, message });
            }
        }
        // Those who store may still have something to publish.
        self.control.checkpoints().close();
        self.control.lead.close();
        let failure = self.control.replica.failure.take();
        // Whatever can't be removed now is removed when the job runs again.
        let _ = std::fs::remove_dir_all(&self.scratch);
        failure.map_or(Ok(()), Err)
    }
}

/// Stops a job. May be kept after the job has ended.
#[derive(Clone)]
pub struct Stopper(Arc<Control>);

impl Stopper {
    /// Asks the job to stop, like [`Running::stop`].
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Whether the job was asked to stop.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.0.stopping()
    }

    /// Stops the job like [`Stopper::stop`] and takes a savepoint in this directory or URL at the stop. The savepoint holds everything the
    /// job has read. The answer comes when the savepoint is complete. If none can be taken there, the answer says why and the job goes on.
    #[must_use]
    pub fn stop_with_savepoint(&self, to: String) -> Receiver<SavepointResult> {
        let (sender, answer) = std::sync::mpsc::channel();
        self.0.lead.stop_with_savepoint(to, sender);
        answer
    }

    /// Ends the input: every source ends as if it had read everything, so windows close and the job ends normally. Returns at once.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// Ends the job at once. What it has read since its last checkpoint is not written, and no checkpoint is taken.
    pub fn cancel(&self) {
        self.0.finish();
    }

    /// The counters of every node, in graph order. Also works after the job has ended.
    #[must_use]
    pub fn metrics(&self) -> Vec<Option<NodeMetrics>> {
        self.0.metrics.all()
    }

    /// The watermark of the slowest source that has not ended.
    #[must_use]
    pub fn watermark(&self) -> Option<Watermark> {
        self.0.board().slowest()
    }

    /// The outcome of the checkpoints so far. Also works after the job has ended.
    #[must_use]
    pub fn checkpoints(&self) -> CheckpointStatus {
        self.0.lead.status()
    }

    /// Takes a savepoint in this directory or URL while the job goes on. The answer comes when the savepoint is complete.
    #[must_use]
    pub fn savepoint(&self, to: String) -> Receiver<SavepointResult> {
        let (sender, answer) = std::sync::mpsc::channel();
        self.0.lead.ask(to, sender);
        answer
    }
}
