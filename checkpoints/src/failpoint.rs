//! Places at which a test can kill the process.
//!
//! `TIDEGATE_FAILPOINT=name` ends the process where that [`Point`] is hit for the first time, `name:N` where it is hit for the N-th time.
//! The process ends at once, as by SIGKILL: nothing is flushed and no destructor runs. Without the variable, a failpoint costs one load
//! of an atomic.
//!
//! Whoever runs a job calls [`check`] first, so that a misspelt name is an error and not a test that passes because nothing was killed.

use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The environment variable that arms a failpoint.
pub const VARIABLE: &str = "TIDEGATE_FAILPOINT";

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A failpoint. `tests/harness/crash.rs` says which crash test hits it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// Every failpoint.
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// The name that arms it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// All records of an epoch have reached an operator, which has not yet frozen its state.
    BarrierAligned = "barrier-aligned",
    /// The files of RocksDB that belong to a snapshot are linked.
    SnapshotLinked = "snapshot-linked",
    /// All files of an operator's snapshot are stored.
    SnapshotStored = "snapshot-stored",
    /// A file is about to be stored.
    Upload = "upload",
    /// One file of an operator's state is stored.
    FileStored = "file-stored",
    /// The file that a sink has sealed is stored.
    SealedStored = "sealed-stored",
    /// A sink has sealed an epoch.
    SinkSealed = "sink-sealed",
    /// A checkpoint is complete but for its manifest.
    PublishBeforeManifest = "publish-before-manifest",
    /// Its manifest is written.
    PublishAfterManifest = "publish-after-manifest",
    /// A savepoint is complete but for its manifest.
    SavepointBeforeManifest = "savepoint-before-manifest",
    /// Its manifest is written.
    SavepointAfterManifest = "savepoint-after-manifest",
    /// The job knows that a checkpoint is complete, and sinks are about to commit.
    CheckpointCompleted = "checkpoint-completed",
    /// A sink is about to commit an epoch.
    SinkBeforeCommit = "sink-before-commit",
    /// The sink has committed it.
    SinkAfterCommit = "sink-after-commit",
    /// A file sink has appended what it commits to its file.
    FileAppended = "file-appended",
    /// A Kafka sink has finished the segment of an epoch.
    SegmentSealed = "segment-sealed",
    /// A Kafka sink is about to begin a transaction.
    TransactionBefore = "transaction-before",
    /// It has begun the transaction, and sent nothing.
    TransactionBegun = "transaction-begun",
    /// It has sent the records and the marker.
    TransactionSent = "transaction-sent",
    /// It has committed the transaction.
    TransactionCommitted = "transaction-committed",
}

impl Point {
    /// Ends the process if `TIDEGATE_FAILPOINT` names this failpoint and this hit of it.
    #[inline]
    pub fn hit(self) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        if let Some(armed) = ARMED.get_or_init(|| armed().ok().flatten()) {
            armed.hit(self);
        }
    }
}

/// A failpoint, and the hit at which it ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Armed {
    point: Point,
    nth: u64,
}

impl Armed {
    #[cold]
    fn hit(self, point: Point) {
        static HITS: AtomicU64 = AtomicU64::new(0);
        if point == self.point && HITS.fetch_add(1, Relaxed) + 1 == self.nth {
            std::process::abort();
        }
    }
}

impl FromStr for Armed {
    type Err = UnknownFailpoint;

    fn from_str(text: &str) -> Result<Self, UnknownFailpoint> {
        let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
        let point = Point::ALL.iter().copied().find(|point| point.name() == name);
        match (point, nth.parse()) {
            (Some(point), Ok(nth @ 1..)) => Ok(Self { point, nth }),
            _ => Err(UnknownFailpoint(text.to_owned())),
        }
    }
}

/// The variable names no failpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{var}={0} is not a failpoint: it must be one of {names}; append `:N` for the N-th hit", var = VARIABLE, names = names())]
pub struct UnknownFailpoint(String);

fn names() -> String {
    Point::ALL.iter().map(|point| point.name()).collect::<Vec<_>>().join(", ")
}

fn armed() -> Result<Option<Armed>, UnknownFailpoint> {
    std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().parse()).transpose()
}

/// Checks that `TIDEGATE_FAILPOINT`, if it is set, names a failpoint.
///
/// # Errors
/// It does not. The error lists those that exist.
pub fn check() -> Result<(), UnknownFailpoint> {
    armed().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_hit_is_the_first_unless_one_is_named() {
        let armed = |point, nth| Ok(Armed { point, nth });
        assert_eq!("upload".parse(), armed(Point::Upload, 1));
        assert_eq!("file-stored:3".parse(), armed(Point::FileStored, 3));
    }

    #[test]
    fn what_names_no_failpoint_or_no_hit_is_an_error_that_lists_them() {
        for text in ["", "uplaod", "upload:", "upload:0", "upload:x", "upload:1:2", ":1"] {
            assert_eq!(text.parse::<Armed>(), Err(UnknownFailpoint(text.to_owned())));
        }
        let error = UnknownFailpoint("uplaod".to_owned()).to_string();
        assert!(Point::ALL.iter().all(|point| error.contains(point.name())), "{error}");
    }

    /// Runs the test below in its own process, which prints how far it got.
    fn steps_until(failpoint: Option<&str>) -> (bool, usize) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "failpoint::tests::victim", "--ignored", "--nocapture"]).env_remove(VARIABLE);
        command.envs(failpoint.map(|f| (VARIABLE, f)));
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).matches("step").count())
    }

    #[test]
    #[ignore = "run by the test below, in a process that dies"]
    fn victim() {
        for _ in 0..4 {
            println!("step");
            Point::Upload.hit();
            Point::FileStored.hit();
        }
    }

    #[test]
    fn a_process_dies_at_the_hit_it_is_told_to() {
        assert_eq!(steps_until(None), (true, 4));
        assert_eq!(steps_until(Some("sink-sealed")), (true, 4));
        assert_eq!(steps_until(Some("file-stored")), (false, 1));
        assert_eq!(steps_until(Some("file-stored:3")), (false, 3));
        assert_eq!(steps_until(Some("file-stored:5")), (true, 4));
    }
}
