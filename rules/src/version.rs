//! Versions: changes of rules and lists while a job runs, each applied as a whole.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use tidegate_stable::Stored;

use crate::lists::Entry;

/// A set of changes that are applied together, from one moment of event time on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its number. Of the versions that are active at a time, the highest counts.
    pub version: u64,
    /// From when on it is active: event time in milliseconds.
    pub active: i64,
    /// Who made it.
    pub by: Option<String>,
    /// What for.
    pub note: Option<String>,
    /// The changes, in order.
    pub changes: Vec<Change>,
}

impl Stored for Version {
    const SCHEMA: &'static str = "rules.version/1";
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Sets what is at a path of the job file below `rules`, or at `factors.`, to a value in JSON.
    Set {
        /// The path, its steps separated by dots.
        path: String,
        /// The value, in JSON.
        value: String,
    },
    /// Removes what is at a path.
    Remove {
        /// The path.
        path: String,
    },
    /// Adds an entry to a list, in the place of another one with this key.
    Add {
        /// The name of the list.
        list: String,
        /// The key of the entry.
        key: String,
        /// The entry.
        entry: Entry,
    },
    /// Removes the entry with this key from a list.
    Drop {
        /// The name of the list.
        list: String,
        /// The key of the entry.
        key: String,
    },
    /// Removes all entries of a list.
    Clear {
        /// The name of the list.
        list: String,
    },
}

impl Change {
    /// The path that it is about, if it is not about a list.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Set { path, .. } | Self::Remove { path } => Some(path),
            Self::Add { .. } | Self::Drop { .. } | Self::Clear { .. } => None,
        }
    }
}

/// The versions that still matter, without their changes of lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Versions {
    all: BTreeMap<u64, Version>,
    /// How many changes there were after the last tidying.
    tidy: usize,
}

impl Stored for Versions {
    const SCHEMA: &'static str = "rules.versions/1";
}

impl Versions {
    /// The versions, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = &Version> {
        self.all.values()
    }

    /// The number of the highest version, or 0.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.all.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Adds a version that is higher than all others. Drops what no time from `settled` on asks for. Returns the versions that have changed or
    /// gone by that.
    pub fn add(&mut self, mut version: Version, settled: i64) -> Vec<u64> {
        version.changes.retain(|change| change.path().is_some());
        self.all.insert(version.version, version);
        let changes = self.count();
        // Now and then, so that it costs little per version.
        if changes > 2 * self.tidy + 16 { self.settle(settled) } else { Vec::new() }
    }

    /// Puts a version back that was stored.
    pub fn restore(&mut self, version: Version) {
        self.all.insert(version.version, version);
        self.tidy = self.count();
    }

    /// The version with this number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Version> {
        self.all.get(&number)
    }

    /// The number of versions and of their changes.
    fn count(&self) -> usize {
        self.all.values().map(|version| 1 + version.changes.len()).sum()
    }

    fn settle(&mut self, settled: i64) -> Vec<u64> {
        let mut touched = Vec::new();
        let mut replaced: HashSet<String> = HashSet::new();
        let newest = self.all.values().rev().find(|version| version.active <= settled).map(|version| version.version);
        for (number, version) in self.all.iter_mut().rev() {
            let before = version.changes.len();
            version.changes.retain(|change| change.path().is_some_and(|path| has_history(path) || !is_within(path, &replaced)));
            if version.changes.len() < before {
                touched.push(*number);
            }
            if version.active <= settled {
                let sets = version
                    .changes
                    .iter()
                    .filter_map(|change| if let Change::Set { path, .. } = change { Some(path.clone()) } else { None });
                replaced.extend(sets);
            }
        }
        // One without changes is kept as long as it can be the highest active one.
        let over = |version: &Version| version.changes.is_empty() && newest.is_some_and(|newest| version.version < newest);
        let gone: Vec<u64> = self.all.values().filter(|version| over(version)).map(|version| version.version).collect();
        for number in gone {
            self.all.remove(&number);
            if !touched.contains(&number) {
                touched.push(number);
            }
        }
        self.tidy = self.count();
        touched
    }
}

/// Whether it matters for ever when something at this path was changed: what indicators and patterns remember began then.
fn has_history(path: &str) -> bool {
    ["indicators.", "patterns."].iter().any(|kind| path.starts_with(kind))
}

/// Whether a path, or one above it, is in the set.
fn is_within(path: &str, set: &HashSet<String>) -> bool {
    let above = path.match_indices('.').filter_map(|(at, _)| path.get(..at));
    set.contains(path) || above.into_iter().any(|above| set.contains(above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(version: u64, active: i64, path: &str) -> Version {
        let changes = vec![Change::Set { path: path.to_owned(), value: version.to_string() }];
        Version { version, active, by: None, note: None, changes }
    }

    #[test]
    fn ten_thousand_changes_of_one_parameter_are_one_change() {
        let mut versions = Versions::default();
        for number in 1..=10_000 {
            versions.add(set(number, number.cast_signed(), "scenarios.s.params.limit"), number.cast_signed() - 1);
        }
        assert!(versions.count() < 64, "{} are kept", versions.count());
        assert_eq!(versions.last(), 10_000);
    }

    #[test]
    fn changes_of_what_remembers_are_kept() {
        let mut versions = Versions::default();
        for number in 1..=100 {
            versions.add(set(number, number.cast_signed(), "indicators.n.over"), number.cast_signed() - 1);
        }
        assert_eq!(versions.iter().map(|version| version.changes.len()).sum::<usize>(), 100);
    }

    #[test]
    fn what_is_pending_or_not_replaced_stays() {
        let mut versions = Versions::default();
        versions.add(set(1, 10, "scenarios.s.rules.a"), 0);
        versions.add(set(2, 99, "scenarios.s.rules.b"), 0);
        versions.add(set(3, 20, "scenarios.s.rules.a.if"), 0);
        versions.add(set(4, 50, "scenarios.s.rules.a"), 0);
        assert!(versions.settle(40).is_empty());
        assert_eq!(versions.settle(60), [3, 1], "the whole rule has been set anew");
        assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 4]);
        versions.add(set(5, 70, "scenarios.s.rules.b"), 0);
        assert_eq!(versions.settle(80), [2], "a planned change can't bring back what a later one has replaced");
    }
}
