//! What is to be committed, and the decision whether it has been. Pure.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_checkpoints::Epoch;
use tidegate_runtime::Error;

/// The output of one writer in one epoch, as a checkpoint keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The transactional id of the writer, which is the key of its marker.
    pub id: String,
    /// The run of the job that wrote it. Every run, and so every restore, has one of its own: epochs of different runs don't compare.
    pub timeline: String,
    /// The epoch.
    pub epoch: Epoch,
    /// The last epoch of this run that was known to be committed when this one was sealed.
    pub confirmed: Option<Epoch>,
    /// Its records.
    pub segment: PathBuf,
    /// How many.
    pub records: u64,
}

/// What a marker says: the last epoch committed of each run, the latest run last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) committed: Vec<(String, Epoch)>,
}

/// What is to be done about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Its records are not in the topic.
    Send,
    /// They are.
    Skip,
}

impl Marker {
    /// How many runs are remembered: a checkpoint from before so many restores can't be restored any more.
    const RUNS: usize = 256;

    fn of(&self, timeline: &str) -> Option<Epoch> {
        self.committed.iter().find(|(run, _)| run == timeline).map(|(_, epoch)| *epoch)
    }

    /// The marker once `unit` is committed.
    pub(super) fn with(&self, unit: &Unit) -> Self {
        let mut committed = self.committed.clone();
        committed.retain(|(run, _)| *run != unit.timeline);
        committed.push((unit.timeline.clone(), unit.epoch));
        let surplus = committed.len().saturating_sub(Self::RUNS);
        committed.drain(..surplus);
        Self { committed }
    }

    /// What is to be done about `unit`, when this is its writer's marker.
    ///
    /// # Errors
    /// The marker is behind what is known to have been committed: it has been lost, and nobody knows what the topic holds.
    pub(super) fn decide(&self, unit: &Unit) -> Result<Decision, Error> {
        let committed = self.of(&unit.timeline);
        if committed < unit.confirmed {
            let known = unit.confirmed.map_or(0, |epoch| epoch.0);
            return Err(Error::user(format!(
                "the marker of the sink's writer `{}` is gone, though epoch {known} of it had been committed: was the topic of markers deleted? \
                 Whether epoch {} has been written can't be known: begin without the checkpoint, or from a savepoint",
                unit.id, unit.epoch.0
            )));
        }
        Ok(if committed >= Some(unit.epoch) { Decision::Skip } else { Decision::Send })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(timeline: &str, epoch: u32, confirmed: Option<u32>) -> Unit {
        let (timeline, epoch, confirmed) = (timeline.into(), Epoch(epoch), confirmed.map(Epoch));
        Unit { id: "w".into(), timeline, epoch, confirmed, segment: "s".into(), records: 1 }
    }

    #[test]
    fn a_unit_is_sent_unless_its_epoch_is_marked() {
        let none = Marker::default();
        let decide = |marker: &Marker, unit: &Unit| marker.decide(unit).unwrap();
        assert_eq!(decide(&none, &unit("a", 3, None)), Decision::Send);
        let at_3 = none.with(&unit("a", 3, None));
        assert_eq!(decide(&at_3, &unit("a", 3, None)), Decision::Skip);
        assert_eq!(decide(&at_3, &unit("a", 2, None)), Decision::Skip);
        assert_eq!(decide(&at_3, &unit("a", 4, Some(3))), Decision::Send);
        // Epochs of another run say nothing, and those of this one are not forgotten over them.
        assert_eq!(decide(&at_3, &unit("b", 2, None)), Decision::Send);
        let both = at_3.with(&unit("b", 2, None));
        assert_eq!(decide(&both, &unit("a", 3, None)), Decision::Skip);
        assert_eq!(decide(&both, &unit("a", 4, Some(3))), Decision::Send);
    }

    #[test]
    fn a_marker_that_is_behind_what_is_known_has_been_lost() {
        for marker in [Marker::default(), Marker::default().with(&unit("a", 1, None)), Marker::default().with(&unit("b", 9, None))] {
            assert!(marker.decide(&unit("a", 4, Some(3))).unwrap_err().to_string().contains("epoch 3 of it had been committed"));
        }
    }

    #[test]
    fn old_runs_are_forgotten() {
        let marker = (0..1000).fold(Marker::default(), |marker, run| marker.with(&unit(&run.to_string(), 1, None)));
        assert_eq!(marker.committed.len(), Marker::RUNS);
        assert_eq!(marker.decide(&unit("999", 1, None)).unwrap(), Decision::Skip);
    }
}
