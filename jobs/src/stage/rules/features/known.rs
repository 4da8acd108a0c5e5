//! What an owner of keys knows of features.

use std::sync::Arc;

use tidegate_runtime::Error;
use tidegate_runtime::operator::Context;

use super::super::control::Accepted;
use super::super::store::KeptVersions;
use super::super::timeline::Timeline;
use super::{FeatureSet, FeatureShop};

/// The sets of features that may still be asked for.
pub(super) struct Known {
    timeline: Timeline<FeatureShop>,
    versions: KeptVersions,
    /// How many workers ask. Each sends every version.
    workers: usize,
    /// What a version has taken the place of, as long as a worker may ask that does not know it: its number, how many have sent it, and the sets.
    replaced: Vec<(u64, usize, Vec<Arc<FeatureSet>>)>,
}

impl Known {
    pub(super) fn new(shop: &Arc<FeatureShop>, workers: usize, context: &mut Context) -> Result<Self, Error> {
        Ok(Self { timeline: Timeline::new(Arc::clone(shop)), versions: KeptVersions::new(context)?, workers, replaced: Vec::new() })
    }

    pub(super) fn restore(&mut self) {
        self.versions.restore(&mut self.timeline);
    }

    /// Takes a version that a worker has sent. Returns whether the sets have changed.
    pub(super) fn learn(&mut self, accepted: &Accepted) -> Result<bool, Error> {
        let number = accepted.version.version;
        let is_new = self.versions.last() < number;
        if is_new {
            let before = self.timeline.layers().cloned().collect();
            self.versions.add(accepted);
            self.timeline.accepted(&accepted.version)?;
            self.replaced.push((number, 1, before));
        } else if let Some((_, sent, _)) = self.replaced.iter_mut().find(|(replaced, ..)| *replaced == number) {
            *sent += 1;
        }
        let before = self.replaced.len();
        self.replaced.retain(|(_, sent, _)| *sent < self.workers);
        Ok(is_new || self.replaced.len() < before)
    }

    /// No record up to a time is yet to come. Returns whether the sets have changed.
    pub(super) fn settle(&mut self, time: i64) -> bool {
        self.timeline.settle(time)
    }

    /// The sets, each once.
    pub(super) fn sets(&self) -> Vec<Arc<FeatureSet>> {
        let mut sets: Vec<Arc<FeatureSet>> = Vec::new();
        for set in self.timeline.layers().chain(self.replaced.iter().flat_map(|(.., sets)| sets)) {
            if !sets.iter().any(|known| known.number == set.number) {
                sets.push(Arc::clone(set));
            }
        }
        sets
    }
}
