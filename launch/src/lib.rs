//! Runs a job: starts it, watches it, commands it, and reports why it ended.
//!
//! A [`Launch`] takes a job and the durability settings of its job file, and keeps the job running: it takes the lock on the job's state
//! directory, finds the newest intact checkpoint, claims the right to publish new ones, restarts the job after a failure, and answers on
//! the control socket. It reports what happens on the way as [`Event`]s, and returns how the job ended as an [`Outcome`] or a typed
//! [`LaunchError`]. It prints nothing.
//!
//! Decisions are pure functions, separate from the I/O around them: `choice` picks the checkpoint to restore, `backoff` says how long to
//! wait, `remedy` judges a failure, `fence` judges whether another run has taken over.
//!
//! A job is commanded through its [`Handle`] from the same process, and through its control socket from another: see [`control`].
//!
//! Not here: job files (`tidegate-jobs`), the dataflow (`tidegate-runtime`), the format of checkpoints (`tidegate-checkpoints`), the
//! command line.
//!
//! ```
//! use tidegate_jobs::{file::parse, plan::plan};
//! use tidegate_launch::{Event, How, Launch};
//!
//! let text = r#"
//! name: tens
//! sources: { numbers: { connector: generator, count: 100, fields: { n: { sequence: [0, 1] } } } }
//! streams: { tens: { from: numbers, where: 'n % 10 == 0' } }
//! sinks:   { out: { from: tens, connector: file, path: /dev/null } }
//! "#;
//! let (file, mut problems) = parse("tens.yaml", text, &[]);
//! let plan = file.and_then(|file| plan(&file, &mut problems)).ok_or(problems.to_string())?;
//!
//! let mut starts = 0;
//! let outcome = Launch::of(&plan, plan.job()?).workers(2).run(&mut |event| {
//!     if let Event::Started { .. } = event {
//!         starts += 1;
//!     }
//! })?;
//! assert_eq!((outcome.how, starts), (How::Finished, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod choice;
pub mod control;
mod error;
mod event;
mod fence;
mod handle;
mod home;
mod launch;
mod losses;
mod remedy;
mod restore;
mod run;
mod supervisor;
mod unread;

pub use error::{HomeError, LaunchError, RestoreError, RunError, describe};
pub use event::Event;
pub use handle::{Ending, Handle};
pub use home::control_path;
pub use launch::{How, Launch, Outcome, Start};
pub use losses::{Barren, grouped};
pub use restore::whole;
pub use run::Run;
pub use unread::Unread;
