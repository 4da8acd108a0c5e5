//! Whether a run may take over a checkpoint directory, and whether it must republish the restored checkpoint there.

use tidegate_checkpoints::{Found, Kind, Manifest};

/// Whether another run completed a checkpoint between the choice of `chosen` and the moment this run took over. After that moment no other
/// run can, so the newest checkpoint seen `now` stays the newest.
#[must_use]
pub fn overtaken(chosen: Option<&Manifest>, now: Option<&Manifest>) -> bool {
    chosen != now
}

/// Whether this run must publish the restored checkpoint again. A checkpoint of the job's own directory becomes the newest there, even if
/// others came after it. Otherwise a later run would restore one from the abandoned branch.
#[must_use]
pub fn must_adopt(job: &str, restored: &Manifest, found: &[Found]) -> bool {
    restored.kind == Kind::Checkpoint
        && restored.job == job
        && found.iter().any(|found| found.manifest.as_ref().is_ok_and(|manifest| manifest == restored))
}

#[cfg(test)]
mod tests {
    use tidegate_checkpoints::Epoch;

    use super::*;

    fn checkpoint(epoch: u32) -> Manifest {
        Manifest {
            format: Manifest::FORMAT,
            job: "job".to_owned(),
            kind: Kind::Checkpoint,
            epoch: Epoch(epoch),
            generation: 1,
            created_ms: 0,
            key_groups: 128,
            workers: 1,
            watermark: None,
            operators: Vec::new(),
        }
    }

    #[test]
    fn a_checkpoint_completed_in_between_is_seen() {
        let (old, new) = (checkpoint(1), checkpoint(2));
        assert!(!overtaken(None, None) && !overtaken(Some(&old), Some(&old)));
        assert!(overtaken(None, Some(&new)) && overtaken(Some(&old), Some(&new)));
        // The same epoch, but of another run.
        assert!(overtaken(Some(&old), Some(&Manifest { generation: 2, ..old.clone() })));
    }

    #[test]
    fn only_a_checkpoint_of_this_directory_is_adopted() {
        let own = checkpoint(1);
        let found = [Found { epoch: Epoch(1), manifest: Ok(own.clone()) }];
        assert!(must_adopt("job", &own, &found));
        assert!(!must_adopt("other", &own, &found) && !must_adopt("job", &own, &[]));
        assert!(!must_adopt("job", &checkpoint(2), &found));
        assert!(!must_adopt("job", &Manifest { kind: Kind::Savepoint, ..own.clone() }, &found));
    }
}
