//! Versions that were stored, over a job file that may have changed.
//!
//! What a later version has replaced is no longer in them, so an earlier one need not be valid by itself. Only what is active at some time is compiled.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_rules::Version;

use super::document::{Document, Wrong};
use super::features::{FeatureShop, FeatureTexts};
use super::timeline::{Configuration, Point, Timeline, widen};
use crate::text::Problem;

/// What versions make of the configuration of the job file. Those that no longer fit it are left out, and logged. Their changes of features count all
/// the same, as they do for the operators of features.
pub(super) fn restored(first: &Arc<Configuration>, versions: &[&Version], shop: &Arc<FeatureShop>) -> Vec<Point<Configuration>> {
    let mut features = Timeline::new(Arc::clone(shop));
    features.restore(versions.iter().copied());
    let over = Over { first, versions, shop, features };
    let all: HashSet<u64> = versions.iter().map(|version| version.version).collect();
    let mut fit = all.clone();
    let points = over.points(&all).unwrap_or_else(|_| {
        fit = over.fitting();
        over.points(&fit).unwrap_or_else(|_| vec![Point { from: i64::MIN, layer: Arc::clone(first) }])
    });
    for version in all.difference(&fit) {
        let with = fit.iter().chain([version]).copied().collect();
        let why = over.points(&with).err().unwrap_or_default();
        let why = why.iter().map(Problem::in_one_line).collect::<Vec<_>>().join("; ");
        tracing::warn!("version {version} of the rules no longer fits the job file and is left out: {why}");
    }
    points
}

struct Over<'a> {
    first: &'a Arc<Configuration>,
    versions: &'a [&'a Version],
    shop: &'a Arc<FeatureShop>,
    features: Timeline<FeatureShop>,
}

impl Over<'_> {
    /// What some of the versions make of the job file at each time.
    fn points(&self, wanted: &HashSet<u64>) -> Result<Vec<Point<Configuration>>, Wrong> {
        let mut times: Vec<i64> = self.versions.iter().map(|version| version.active).collect();
        times.push(i64::MIN);
        times.sort_unstable();
        times.dedup();
        // What two have in common is compiled once.
        let mut before = Arc::clone(self.first);
        let mut points = Vec::with_capacity(times.len());
        for from in times {
            let mut document = self.first.document.clone();
            let mut number = 0;
            for version in self.versions.iter().filter(|version| version.active <= from && wanted.contains(&version.version)) {
                apply(&mut document, version)?;
                number = version.version.max(number);
            }
            let features = self.features.at(from);
            document.features = Arc::clone(&features.texts);
            before = Arc::new(before.changed(document, number, features, self.shop)?);
            points.push(Point { from, layer: Arc::clone(&before) });
        }
        Ok(points)
    }

    /// The most versions that fit together, those that were first before others.
    fn fitting(&self) -> HashSet<u64> {
        let mut fit = HashSet::new();
        // One may need another that comes later, if that has replaced what came before.
        loop {
            let before = fit.len();
            for version in self.versions {
                if fit.insert(version.version) && self.points(&fit).is_err() {
                    fit.remove(&version.version);
                }
            }
            if fit.len() == before {
                return fit;
            }
        }
    }
}

/// Applies what a version changes, but for features.
fn apply(document: &mut Document, version: &Version) -> Result<(), Wrong> {
    let before = document.clone();
    for change in version.changes.iter().filter(|change| change.path().is_some_and(|path| !FeatureTexts::has_path(path))) {
        document.apply(change, true)?;
    }
    // A type that is wrong now was not when the version was accepted.
    let _ = widen(&before, document);
    Ok(())
}
