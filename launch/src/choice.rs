//! Which checkpoint to restore: the newest intact one.

use tidegate_checkpoints::{Epoch, Found};

/// A checkpoint that turned out to be damaged when a run restored it. In a bucket, files are not read before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The checkpoint's epoch.
    pub epoch: Epoch,
    /// The run that found the damage. A checkpoint that a later run publishes under the same epoch is another one.
    pub generation: u64,
}

/// The checkpoints worth trying, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The epochs to try, best first. The first one that proves intact is restored.
    pub candidates: Vec<Epoch>,
    /// Whether a checkpoint was excluded because it is known to be damaged.
    pub known_damaged: bool,
}

/// Chooses among the checkpoints of a directory, given newest first. Only those of generation `since` or a later one count. A manifest that
/// can't be parsed may belong to one of them, so it stays a candidate and is reported when it is opened.
#[must_use]
pub fn choose(found: &[Found], since: u64, damaged: &[Damaged]) -> Choice {
    let counts = |found: &&Found| found.manifest.as_ref().map_or(true, |manifest| manifest.generation >= since);
    let is_damaged = |found: &Found| {
        let published_by = found.manifest.as_ref().ok().map(|manifest| manifest.generation);
        damaged.iter().any(|known| known.epoch == found.epoch && published_by.is_some_and(|generation| generation <= known.generation))
    };
    let (out, candidates): (Vec<_>, Vec<_>) = found.iter().filter(counts).partition(|found| is_damaged(found));
    Choice { candidates: candidates.into_iter().map(|found| found.epoch).collect(), known_damaged: !out.is_empty() }
}

#[cfg(test)]
mod tests {
    use tidegate_checkpoints::{Kind, Manifest, ManifestError};

    use super::*;

    fn found(epoch: u32, generation: u64) -> Found {
        let manifest = Manifest {
            format: Manifest::FORMAT,
            job: "job".to_owned(),
            kind: Kind::Checkpoint,
            epoch: Epoch(epoch),
            generation,
            created_ms: 0,
            key_groups: 128,
            workers: 1,
            watermark: None,
            operators: Vec::new(),
        };
        Found { epoch: Epoch(epoch), manifest: Ok(manifest) }
    }

    fn unreadable(epoch: u32) -> Found {
        Found { epoch: Epoch(epoch), manifest: Err(ManifestError::Impossible("cut short".to_owned())) }
    }

    fn chosen(choice: &Choice) -> Vec<u32> {
        choice.candidates.iter().map(|epoch| epoch.0).collect()
    }

    #[test]
    fn the_order_of_the_directory_is_kept() {
        let choice = choose(&[unreadable(9), found(5, 2), found(7, 1), found(6, 1)], 0, &[]);
        assert_eq!((chosen(&choice), choice.known_damaged), (vec![9, 5, 7, 6], false));
    }

    #[test]
    fn checkpoints_of_earlier_runs_do_not_count() {
        let choice = choose(&[unreadable(9), found(5, 3), found(8, 2)], 3, &[]);
        assert_eq!((chosen(&choice), choice.known_damaged), (vec![9, 5], false));
        assert!(choose(&[found(8, 2)], 3, &[]).candidates.is_empty());
    }

    #[test]
    fn a_checkpoint_known_to_be_damaged_drops_out_until_a_later_run_replaces_it() {
        let damaged = [Damaged { epoch: Epoch(5), generation: 2 }];
        let choice = choose(&[found(5, 2), found(4, 2)], 0, &damaged);
        assert_eq!((chosen(&choice), choice.known_damaged), (vec![4], true));
        let choice = choose(&[found(5, 3), found(4, 2)], 0, &damaged);
        assert_eq!((chosen(&choice), choice.known_damaged), (vec![5, 4], false));
    }
}
