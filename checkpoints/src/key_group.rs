//! Key groups: the unit in which keyed state is spread over workers, and moves when a job is rescaled.

use serde::{Deserialize, Serialize};

/// The group of a key: `stable_hash(key) % max_parallelism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyGroup(pub u16);

/// How keys are assigned to groups, and groups to workers.
///
/// `max_parallelism` is fixed for the life of a job's state. The number of workers may change between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyGroups {
    max_parallelism: u16,
}

impl KeyGroups {
    /// The default number of groups.
    pub const DEFAULT_MAX_PARALLELISM: u16 = 128;
    /// The most groups a job can have, as in Flink.
    pub const LARGEST_MAX_PARALLELISM: u16 = 32_768;

    /// Assigns keys to `max_parallelism` groups, clamped to `1..=32768`.
    #[must_use]
    pub fn new(max_parallelism: u16) -> Self {
        Self { max_parallelism: max_parallelism.clamp(1, Self::LARGEST_MAX_PARALLELISM) }
    }

    /// The number of groups.
    #[must_use]
    pub fn max_parallelism(self) -> u16 {
        self.max_parallelism
    }

    /// The group of a key with this [`stable_hash`](crate::stable_hash).
    #[must_use]
    #[inline]
    pub fn group(self, hash: u64) -> KeyGroup {
        KeyGroup((hash % u64::from(self.max_parallelism)) as u16)
    }

    /// The worker, out of `workers`, that owns `group`: `group * workers / max_parallelism`.
    #[must_use]
    #[inline]
    pub fn owner(self, group: KeyGroup, workers: usize) -> usize {
        usize::from(group.0) * workers / usize::from(self.max_parallelism)
    }

    /// The groups that `worker` owns where the first `workers` own all: none, if it is not among them.
    #[must_use]
    pub fn owned(self, worker: usize, workers: usize) -> std::ops::Range<u16> {
        if worker >= workers {
            return 0..0;
        }
        let max = usize::from(self.max_parallelism);
        let first = |w: usize| (w * max).div_ceil(workers) as u16;
        first(worker)..first(worker + 1)
    }
}

/// The owner of every group, computed once: every record is routed by it, and the divisions would show in the throughput.
#[derive(Clone, Debug)]
pub struct Owners {
    groups: KeyGroups,
    workers: Box<[u32]>,
}

impl Owners {
    /// Computes the owners among `workers` workers.
    #[must_use]
    pub fn new(groups: KeyGroups, workers: usize) -> Self {
        let owner = |group| u32::try_from(groups.owner(KeyGroup(group), workers)).unwrap_or(u32::MAX);
        Self { groups, workers: (0..groups.max_parallelism).map(owner).collect() }
    }

    /// The worker that owns the group of a key with this stable hash.
    #[must_use]
    #[inline]
    pub fn of(&self, hash: u64) -> u64 {
        let max = u64::from(self.groups.max_parallelism);
        // `hash % max`. The number of groups is nearly always a power of two, and then this costs a fraction.
        let group = if max.is_power_of_two() { hash & (max - 1) } else { hash % max };
        self.workers.get(group as usize).copied().map_or(0, u64::from)
    }
}

impl Default for KeyGroups {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_PARALLELISM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_group_has_one_owner_and_owned_agrees_with_it(max in 1u16..=32_768, workers in 1usize..64) {
            let groups = KeyGroups::new(max);
            let mut next = 0u16;
            for worker in 0..workers {
                let owned = groups.owned(worker, workers);
                prop_assert_eq!(owned.start, next);
                for group in owned.clone().step_by(7).chain(owned.end.checked_sub(1).filter(|l| owned.contains(l))) {
                    prop_assert_eq!(groups.owner(KeyGroup(group), workers), worker);
                }
                next = owned.end;
            }
            prop_assert_eq!(next, max);
            prop_assert!(groups.owned(workers, workers).is_empty());
        }
    }

    proptest! {
        #[test]
        fn owners_are_those_of_the_groups(max in 1u16..=512, workers in 1usize..9, hash: u64) {
            let groups = KeyGroups::new(max);
            prop_assert_eq!(Owners::new(groups, workers).of(hash), groups.owner(groups.group(hash), workers) as u64);
        }
    }

    #[test]
    fn groups_spread_evenly() {
        let groups = KeyGroups::default();
        let mut counts = [0u32; 128];
        for key in 0..128_000u64 {
            counts[usize::from(groups.group(crate::stable_hash(&key)).0)] += 1;
        }
        assert!(counts.iter().all(|c| (800..1200).contains(c)), "{counts:?}");
    }
}
