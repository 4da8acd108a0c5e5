//! The arguments that say what a run starts from.

use clap::Args;
use tidegate::launch::{Launch, Start};

/// What to start from.
#[derive(Args, Default)]
pub struct RestoreArgs {
    /// Go on from a savepoint or a checkpoint: its directory or URL
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    from: Option<String>,
    /// Go on from the job's latest checkpoint; without one, start afresh
    #[arg(long)]
    resume: bool,
    /// Drop stored state that the job has no use for, instead of refusing to start: see `check --against`
    #[arg(long)]
    allow_dropped_state: bool,
}

impl RestoreArgs {
    /// Sets what the job starts from.
    pub fn apply(&self, launch: Launch) -> Launch {
        let start = match (&self.from, self.resume) {
            (Some(place), _) => Start::From(place.clone()),
            (None, true) => Start::Latest,
            (None, false) => Start::Fresh,
        };
        launch.start(start).allow_dropped_state(self.allow_dropped_state)
    }
}
