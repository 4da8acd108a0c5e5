//! Where a source is in each of its splits: what its part of a checkpoint consists of.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidegate_checkpoints::Epoch;

use crate::source::SplitId;
use crate::time::Watermark;
use crate::watermarks::Splits;

/// An entry of a source's part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// A split.
    Split {
        /// In the words of the reader.
        position: Json,
        /// Its watermark, if it had one.
        watermark: Option<Watermark>,
        /// Has it ended?
        ended: bool,
    },
    /// The watermark of all splits of an instance together.
    Reached(Watermark),
}

/// The positions of the splits of one instance.
#[derive(Debug, Default)]
pub(super) struct Positions {
    restored: Option<Vec<Entry>>,
    now: BTreeMap<SplitId, (Json, bool)>,
    /// Reported, and not yet part of a complete checkpoint.
    sealed: VecDeque<(Epoch, Vec<Json>)>,
}

impl Positions {
    /// Goes on from the parts of all instances of the source; a fresh start if there are none.
    pub(super) fn new(parts: Vec<Json>) -> Self {
        // What does not read was not written by a source.
        let entries: Vec<Entry> = parts.into_iter().filter_map(|part| serde_json::from_value(part).ok()).collect();
        Self { restored: (!entries.is_empty()).then_some(entries), ..Self::default() }
    }

    /// All positions the source goes on from.
    pub(super) fn restored(&self) -> Option<Arc<Vec<Json>>> {
        let entries = self.restored.as_ref()?;
        let positions = entries.iter().filter_map(|entry| match entry {
            Entry::Split { position, .. } => Some(position.clone()),
            Entry::Reached(_) => None,
        });
        Some(Arc::new(positions.collect()))
    }

    /// The watermark the source had come to, if any of its splits goes on.
    pub(super) fn reached(&self) -> Option<Watermark> {
        let entries = self.restored.as_ref()?;
        let goes_on = entries.iter().any(|entry| matches!(entry, Entry::Split { ended: false, .. }));
        let reached = entries.iter().filter_map(|entry| if let Entry::Reached(watermark) = entry { Some(*watermark) } else { None });
        reached.min().filter(|_| goes_on)
    }

    /// The split goes on from `position`, which a snapshot had. Returns its watermark then.
    pub(super) fn resume(&mut self, split: SplitId, position: Json, ended: bool) -> Watermark {
        let watermark = self.restored.iter().flatten().find_map(|entry| match entry {
            Entry::Split { position: at, watermark, .. } if *at == position => *watermark,
            _ => None,
        });
        self.now.insert(split, (position, ended));
        watermark.unwrap_or(Watermark::NONE)
    }

    /// The split is at `position`; `last` if it has ended.
    pub(super) fn set(&mut self, split: SplitId, position: Json, last: bool) {
        self.now.insert(split, (position, last));
    }

    /// The instance's part of a checkpoint.
    pub(super) fn report(&self, splits: &mut Splits) -> Vec<Json> {
        let reached = Entry::Reached(splits.combined().watermark);
        let of = |(split, (position, ended)): (&SplitId, &(Json, bool))| {
            let watermark = Some(splits.of(*split)).filter(|watermark| *watermark != Watermark::NONE);
            Entry::Split { position: position.clone(), watermark, ended: *ended }
        };
        // Both are plain data, and can be written.
        self.now.iter().map(of).chain([reached]).filter_map(|entry| serde_json::to_value(entry).ok()).collect()
    }

    /// The same, at the end of `epoch`.
    pub(super) fn seal(&mut self, epoch: Epoch, splits: &mut Splits) -> Vec<Json> {
        self.sealed.push_back((epoch, self.now.values().map(|(position, _)| position.clone()).collect()));
        self.report(splits)
    }

    /// Is all that was reported part of a complete checkpoint?
    pub(super) fn is_confirmed(&self) -> bool {
        self.sealed.is_empty()
    }

    /// The positions that have become part of a complete checkpoint; `completed` is the epoch after the last such one.
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
