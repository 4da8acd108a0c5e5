//! What to do about a failure.

use tidegate_checkpoints::DirectoryError;
use tidegate_runtime::{Domain, JobError};

use crate::error::RunError;

/// What to do after a run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Restart the job.
    Restart,
    /// The restored checkpoint is damaged: restart from the one before.
    SkipCheckpoint,
    /// The next run would fail in the same way, or would fight another run that has taken over.
    GiveUp,
}

/// Judges a failure.
#[must_use]
pub fn remedy(error: &RunError) -> Remedy {
    if matches!(error.directory(), Some(DirectoryError::Fenced { .. })) {
        return Remedy::GiveUp;
    }
    match error {
        RunError::Job(JobError::Operator { error, .. }) => match error.domain() {
            Domain::Snapshot => Remedy::SkipCheckpoint,
            Domain::User | Domain::Superseded => Remedy::GiveUp,
            Domain::External | Domain::Internal => Remedy::Restart,
        },
        RunError::Job(JobError::Graph(_) | JobError::NoRocksDb) | RunError::Unread(_) => Remedy::GiveUp,
        RunError::Job(_) | RunError::Restore(_) | RunError::Checkpoints { .. } | RunError::Overtaken { .. } => Remedy::Restart,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_runtime::{Epoch, Error};

    use super::*;
    use crate::error::RestoreError;

    fn operator(error: Error) -> RunError {
        JobError::Operator { operator: "sum".to_owned(), worker: 0, error }.into()
    }

    fn fenced() -> DirectoryError {
        DirectoryError::Fenced { place: "ckpt/job".to_owned(), own: 1, newer: 2 }
    }

    #[test]
    fn who_has_to_act_decides() {
        let io = std::io::Error::other("the disk is full");
        assert_eq!(remedy(&operator(Error::external("writing failed", io))), Remedy::Restart);
        assert_eq!(remedy(&operator(Error::user("there is no such topic"))), Remedy::GiveUp);
        assert_eq!(remedy(&operator(Error::superseded("another run commits"))), Remedy::GiveUp);
        assert_eq!(remedy(&operator(Error::damaged("a flipped bit"))), Remedy::SkipCheckpoint);
        assert_eq!(remedy(&JobError::Panic { worker: 0, message: "a bug".to_owned() }.into()), Remedy::Restart);
        assert_eq!(remedy(&JobError::Checkpoint { epoch: Epoch(3), why: "full".to_owned() }.into()), Remedy::Restart);
    }

    #[test]
    fn a_run_that_was_fenced_does_not_fight() {
        assert_eq!(remedy(&RunError::Checkpoints { dir: "ckpt".to_owned(), source: fenced() }), Remedy::GiveUp);
        assert_eq!(remedy(&RestoreError::from(fenced()).into()), Remedy::GiveUp);
        let occupied = DirectoryError::Occupied("ckpt".to_owned());
        assert_eq!(remedy(&RunError::Checkpoints { dir: "ckpt".to_owned(), source: occupied }), Remedy::Restart);
    }
}
