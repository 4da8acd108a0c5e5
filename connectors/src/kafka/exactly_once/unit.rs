//! What must be committed, and the decision whether it already has been. Pure.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_runtime::sink::Committable;
use tidegate_runtime::{Epoch, Error};

/// The output of one writer in one epoch, as stored in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unit {
    /// The writer's transactional id, which is also the key of its marker.
    pub(super) id: String,
    /// The topic it is written to, and the topic of its marker.
    pub(super) topic: String,
    pub(super) markers: String,
    /// The run of the job that wrote it. Every run, and so every restore, has its own timeline: epochs of different
    /// timelines can't be compared.
    pub(super) timeline: String,
    /// The epoch.
    pub(super) epoch: Epoch,
    /// The last epoch of this run that was known to be committed when this unit was sealed.
    pub(super) confirmed: Option<Epoch>,
    /// The number of records.
    pub(super) records: u64,
    /// The file with the records: that of the committable.
    #[serde(skip)]
    pub(super) segment: PathBuf,
}

impl Unit {
    /// Reads a unit from a snapshot, without its records.
    pub(super) fn told(value: &Json) -> Result<Self, Error> {
        let unreadable = |e| Error::user(format!("what a snapshot says of a topic does not read: {e}"));
        Self::deserialize(value).map_err(unreadable)
    }

    pub(super) fn read(committable: &Committable) -> Result<Self, Error> {
        let unit = Self::told(&committable.value)?;
        let segment =
            committable.file.clone().ok_or_else(|| Error::internal(format!("epoch {} of `{}` has no records", unit.epoch.0, unit.id)))?;
        Ok(Self { segment, ..unit })
    }

    pub(super) fn write(&self) -> Committable {
        // Plain data always serializes.
        Committable { value: serde_json::to_value(self).unwrap_or_default(), file: Some(self.segment.clone()) }
    }

    /// The common prefix of the ids of all writers of its sink.
    pub(super) fn prefix(&self) -> &str {
        prefix(&self.id)
    }
}

/// The common prefix of the ids of all writers of a sink, taken from the `id` of one.
pub(super) fn prefix(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(prefix, _)| prefix)
}

/// The content of a marker: the last committed epoch of each run, the latest run last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) committed: Vec<(String, Epoch)>,
}

/// What to do with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Its records are not in the topic.
    Send,
    /// Its records are in the topic.
    Skip,
}

impl Marker {
    /// How many runs a marker remembers. A checkpoint that is more restores old can't be restored any more.
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
}

/// Decides what to do with `unit`, given its writer's marker.
///
/// # Errors
/// The marker is missing, although every writer starts with one, or it is behind what is known to have been
/// committed. It has been lost, and nobody knows what the topic holds.
pub(super) fn decide(marker: Option<&Marker>, unit: &Unit) -> Result<Decision, Error> {
    let committed = marker.and_then(|marker| marker.of(&unit.timeline));
    if marker.is_none() || committed < unit.confirmed {
        return Err(Error::user(format!(
            "the marker of `{}` is gone, and so it can't be known whether epoch {} of it has been written: was the topic of markers deleted? To go on \
             without what that epoch wrote, give the sink another name and let its state go by `--allow-dropped-state`",
            unit.id, unit.epoch.0
        )));
    }
    Ok(if committed >= Some(unit.epoch) { Decision::Skip } else { Decision::Send })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(timeline: &str, epoch: u32, confirmed: Option<u32>) -> Unit {
        let (timeline, epoch, confirmed) = (timeline.into(), Epoch(epoch), confirmed.map(Epoch));
        Unit { id: "w-0".into(), topic: "t".into(), markers: "m".into(), timeline, epoch, confirmed, records: 1, segment: "s".into() }
    }

    /// Savepoints of released versions contain these. A different form needs a new version of the sink, which must
    /// also read this one.
    #[test]
    fn units_are_written_as_they_always_were() {
        let kept = serde_json::json!({
            "id": "w-0", "topic": "t", "markers": "m", "timeline": "run", "epoch": 7, "confirmed": 6, "records": 1,
        });
        let unit = unit("run", 7, Some(6));
        assert_eq!(unit.write().value, kept);
        assert_eq!(Unit::read(&Committable { value: kept, file: Some("s".into()) }).unwrap(), unit);
    }

    #[test]
    fn a_unit_is_sent_unless_its_epoch_is_marked() {
        let none = Marker::default();
        let decide = |marker: &Marker, unit: &Unit| decide(Some(marker), unit).unwrap();
        assert_eq!(decide(&none, &unit("a", 3, None)), Decision::Send);
        let at_3 = none.with(&unit("a", 3, None));
        assert_eq!(decide(&at_3, &unit("a", 3, None)), Decision::Skip);
        assert_eq!(decide(&at_3, &unit("a", 2, None)), Decision::Skip);
        assert_eq!(decide(&at_3, &unit("a", 4, Some(3))), Decision::Send);
        // Epochs of another run say nothing about this one, and do not replace its own.
        assert_eq!(decide(&at_3, &unit("b", 2, None)), Decision::Send);
        let both = at_3.with(&unit("b", 2, None));
        assert_eq!(decide(&both, &unit("a", 3, None)), Decision::Skip);
        assert_eq!(decide(&both, &unit("a", 4, Some(3))), Decision::Send);
    }

    #[test]
    fn a_marker_that_is_behind_what_is_known_has_been_lost() {
        for marker in [Marker::default(), Marker::default().with(&unit("a", 1, None)), Marker::default().with(&unit("b", 9, None))] {
            let error = decide(Some(&marker), &unit("a", 4, Some(3))).unwrap_err().to_string();
            assert!(error.contains("the marker of `w-0` is gone") && error.contains("epoch 4"), "{error}");
        }
        // This holds even before anything was committed, because every writer starts with a marker.
        assert!(decide(None, &unit("a", 4, None)).is_err());
    }

    #[test]
    fn a_unit_comes_back_as_it_was() {
        let unit = unit("a", 3, Some(2));
        assert_eq!(Unit::read(&unit.write()).unwrap(), unit);
        assert_eq!(unit.prefix(), "w");
        assert!(Unit::read(&Committable { file: None, ..unit.write() }).is_err());
    }

    #[test]
    fn old_runs_are_forgotten() {
        let marker = (0..1000).fold(Marker::default(), |marker, run| marker.with(&unit(&run.to_string(), 1, None)));
        assert_eq!(marker.committed.len(), Marker::RUNS);
        assert_eq!(decide(Some(&marker), &unit("999", 1, None)).unwrap(), Decision::Skip);
    }
}
