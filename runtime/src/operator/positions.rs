//! Where a source is in each of its splits: its part of a checkpoint.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_checkpoints::Epoch;

use crate::error::Error;
use crate::source::SplitId;
use crate::time::Watermark;
use crate::watermarks::Splits;

/// An entry of a source's part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// A split.
    Split {
        /// The position, as the reader wrote it.
        position: Json,
        /// Its watermark, if it had one.
        watermark: Option<Watermark>,
        /// Whether it has ended.
        ended: bool,
    },
    /// The event time reached by an instance that had not ended: through its own splits, or through the others that it followed while it
    /// was idle.
    Reached(Watermark),
}

/// The positions of the splits of one instance.
#[derive(Debug, Default)]
pub(super) struct Positions {
    restored: Option<Vec<Entry>>,
    now: BTreeMap<SplitId, (Json, bool)>,
    /// What was reported but is not yet part of a complete checkpoint.
    sealed: VecDeque<(Epoch, Vec<Json>)>,
}

impl Positions {
    /// Resumes from the parts of all instances of the source in the snapshot at `place`. If there are none, the source starts fresh.
    ///
    /// # Errors
    /// An entry can't be parsed. Skipping it would mean to read its splits again, into state that has already seen them.
    pub(super) fn new(place: &str, parts: Vec<Json>) -> Result<Self, Error> {
        let read = |part: Json| {
            let strange = |e| Error::user(format!("`{part}` in {place} is no position of a source ({e}): go on from another snapshot"));
            Entry::deserialize(&part).map_err(strange)
        };
        let entries = parts.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { restored: (!entries.is_empty()).then_some(entries), ..Self::default() })
    }

    /// All positions that the source resumes from.
    pub(super) fn restored(&self) -> Option<Arc<Vec<Json>>> {
        let entries = self.restored.as_ref()?;
        let positions = entries.iter().filter_map(|entry| match entry {
            Entry::Split { position, .. } => Some(position.clone()),
            Entry::Reached(_) => None,
        });
        Some(Arc::new(positions.collect()))
    }

    /// The lowest watermark of those instances that had not ended, if any split of the source continues.
    pub(super) fn reached(&self) -> Option<Watermark> {
        let entries = self.restored.as_ref()?;
        let goes_on = entries.iter().any(|entry| matches!(entry, Entry::Split { ended: false, .. }));
        let reached = entries.iter().filter_map(|entry| if let Entry::Reached(watermark) = entry { Some(*watermark) } else { None });
        reached.min().filter(|_| goes_on)
    }

    /// The split resumes from `position` of a snapshot. Returns its watermark at that time.
    pub(super) fn resume(&mut self, split: SplitId, position: Json, ended: bool) -> Watermark {
        let watermark = self.restored.iter().flatten().find_map(|entry| match entry {
            Entry::Split { position: at, watermark, .. } if *at == position => *watermark,
            _ => None,
        });
        self.now.insert(split, (position, ended));
        watermark.unwrap_or(Watermark::NONE)
    }

    /// Records that the split is at `position`. `last` if it has ended.
    pub(super) fn set(&mut self, split: SplitId, position: Json, last: bool) {
        self.now.insert(split, (position, last));
    }

    /// The instance's part of a checkpoint. `reached` is how far its event time has advanced, or `None` once it has ended and no longer
    /// holds anyone back.
    pub(super) fn report(&self, splits: &Splits, reached: Option<Watermark>) -> Vec<Json> {
        let of = |(split, (position, ended)): (&SplitId, &(Json, bool))| {
            let watermark = Some(splits.of(*split)).filter(|watermark| *watermark != Watermark::NONE);
            Entry::Split { position: position.clone(), watermark, ended: *ended }
        };
        // Entries are plain data, so serializing them can't fail.
        self.now.iter().map(of).chain(reached.map(Entry::Reached)).filter_map(|entry| serde_json::to_value(entry).ok()).collect()
    }

    /// The same part, at the end of `epoch`.
    pub(super) fn seal(&mut self, epoch: Epoch, splits: &Splits, reached: Option<Watermark>) -> Vec<Json> {
        self.sealed.push_back((epoch, self.now.values().map(|(position, _)| position.clone()).collect()));
        self.report(splits, reached)
    }

    /// Whether everything reported is part of a complete checkpoint.
    pub(super) fn is_confirmed(&self) -> bool {
        self.sealed.is_empty()
    }

    /// The positions that have become part of a complete checkpoint. `completed` returns the epoch after the last complete one.
    pub(super) fn completed(&mut self, completed: impl FnOnce() -> u64) -> Option<Vec<Json>> {
        if self.sealed.is_empty() {
            return None;
        }
        let completed = completed();
        let mut newest = None;
        while self.sealed.front().is_some_and(|(epoch, _)| u64::from(epoch.0) < completed) {
            newest = self.sealed.pop_front().map(|(_, positions)| positions);
        }
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watermarks::WatermarkStrategy;
    use serde_json::json;

    /// The report of an instance with these splits that has reached `reached`.
    fn part(splits: &[(u32, bool)], reached: Option<i64>) -> Vec<Json> {
        let mut positions = Positions::default();
        for (split, ended) in splits {
            positions.set(SplitId(*split), json!(split), *ended);
        }
        positions.report(&Splits::new(WatermarkStrategy::default()), reached.map(Watermark))
    }

    #[test]
    fn the_slowest_instance_that_had_not_ended_tells_how_far_event_time_was() {
        let whole = [part(&[(0, false), (1, true)], Some(15)), part(&[], Some(12)), part(&[(2, true)], None)].concat();
        let positions = Positions::new("save", whole).unwrap();
        assert_eq!(positions.reached(), Some(Watermark(12)));
        assert_eq!(positions.restored().as_deref(), Some(&vec![json!(0), json!(1), json!(2)]));
    }

    #[test]
    fn event_time_begins_anew_when_every_split_had_ended() {
        assert_eq!(Positions::new("save", part(&[(0, true)], Some(15))).unwrap().reached(), None);
    }

    #[test]
    fn an_entry_that_can_not_be_read_is_named() {
        let strange = json!({ "split": { "offset": 7 } });
        let error = Positions::new("save", [part(&[(0, false)], None), vec![strange]].concat()).unwrap_err().to_string();
        assert!(error.contains(r#"{"split":{"offset":7}}"#) && error.contains("save"), "{error}");
    }
}
