//! Moments at which something is due for all keys of an instance: the ends of windows.
//!
//! After a restore with a different parallelism, a moment may be due for some key groups and over for others, because workers don't reach
//! it at the same time.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use serde::Serialize;
use serde_json::{Value as Json, json};
use tidegate_checkpoints::{KeyGroups, stable_hash};

use super::instance::Instance;
use super::persistent::{Persistent, Schema};
use crate::error::Error;

/// A set of moments, in milliseconds since 1970.
pub struct Due {
    schema: Schema,
    instance: Rc<Instance>,
    due: BTreeSet<i64>,
    /// Everything up to here has been taken out.
    reached: i64,
    /// How far former instances had advanced with their key groups, where they differed.
    apart: Vec<(Range<u16>, i64)>,
}

/// The keys for which a moment is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All keys of the instance.
    All,
    /// The keys in these key groups.
    Some(KeyGroups, Vec<Range<u16>>),
}

impl Scope {
    /// Whether the moment is due for this key.
    #[must_use]
    pub fn holds<K: Serialize + ?Sized>(&self, key: &K) -> bool {
        match self {
            Self::All => true,
            Self::Some(groups, ranges) => {
                let group = groups.group(stable_hash(key)).0;
                ranges.iter().any(|range| range.contains(&group))
            }
        }
    }
}

impl Due {
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema, instance: Rc::new(Instance::unbound()), due: BTreeSet::new(), reached: i64::MIN, apart: Vec::new() }
    }

    /// Makes the moment due for all keys, except those for which a former instance had passed it.
    pub fn insert(&mut self, time: i64) {
        self.due.insert(time);
    }

    /// The latest moment in the set.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.due.last().copied()
    }

    /// Takes out the earliest moment up to and including `now`. Call again until it returns `None`.
    pub fn take(&mut self, now: i64) -> Option<(i64, Scope)> {
        // Key groups that are equally far no longer differ, but what they have passed stays passed.
        if let Some((_, first)) = self.apart.first().filter(|(_, first)| self.apart.iter().all(|(_, passed)| passed == first)) {
            self.reached = self.reached.max(*first);
            self.apart.clear();
        }
        let Some(time) = self.due.first().copied().filter(|time| *time <= now) else {
            self.reached = self.reached.max(now);
            if self.apart.iter().all(|(_, passed)| *passed <= self.reached) {
                self.apart.clear();
            }
            return None;
        };
        self.due.remove(&time);
        let (behind, ahead): (Vec<_>, Vec<_>) = self.apart.iter().partition(|(_, passed)| *passed < time);
        let ranges = || behind.iter().map(|(range, _)| range.clone()).collect();
        Some((time, if ahead.is_empty() { Scope::All } else { Scope::Some(self.instance.groups(), ranges()) }))
    }
}

impl Persistent for Due {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn bind(&mut self, _: u8, instance: &Rc<Instance>, _: bool) -> Result<(), Error> {
        self.instance = Rc::clone(instance);
        Ok(())
    }

    fn full(&self) -> bool {
        true
    }

    fn restore_meta(&mut self, meta: &Json) -> Result<(), Error> {
        let broken = |_| Error::internal("what a snapshot says of moments that are due can't be parsed");
        let (passed, due): (_, Vec<i64>) = serde_json::from_value(meta.clone()).map_err(broken)?;
        self.apart.extend(self.instance.own(passed));
        self.due.extend(due);
        Ok(())
    }

    fn freeze(&mut self) -> Result<Json, Error> {
        let passed: Vec<(Range<u16>, i64)> = match self.apart.as_slice() {
            [] => vec![(self.instance.owned(), self.reached)],
            apart => apart.iter().map(|(range, passed)| (range.clone(), self.reached.max(*passed))).collect(),
        };
        Ok(json!((passed, &self.due)))
    }

    fn bytes(&self) -> usize {
        self.due.len() * size_of::<i64>()
    }

    fn len(&self) -> usize {
        self.due.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn bound(owned: Range<u16>) -> Due {
        let mut due = Due::new(Schema { name: "due".to_owned(), schema: String::new(), fields: Vec::new() });
        due.bind(0, &Rc::new(Instance::new(KeyGroups::default(), owned, None, usize::MAX, Arc::default())), false).unwrap();
        due
    }

    #[test]
    fn a_moment_that_one_worker_had_passed_is_due_for_the_others_keys_only() {
        let (mut first, mut second) = (bound(0..64), bound(64..128));
        first.insert(20);
        assert_eq!(first.take(15), None);
        second.insert(10);
        second.insert(20);
        assert_eq!(second.take(5), None);
        let mut one = bound(0..128);
        one.restore_meta(&first.freeze().unwrap()).unwrap();
        one.restore_meta(&second.freeze().unwrap()).unwrap();
        // Again, as after a second restore.
        let mut again = bound(0..128);
        again.restore_meta(&one.freeze().unwrap()).unwrap();
        for mut due in [one, again] {
            // A record for a key of the first instance has arrived since, in a window that neither instance had begun.
            due.insert(18);
            let (time, scope) = due.take(100).unwrap();
            assert_eq!(time, 10);
            for key in 0..1_000u64 {
                let group = KeyGroups::default().group(stable_hash(&key)).0;
                assert_eq!(scope.holds(&key), group >= 64);
            }
            assert_eq!(due.take(100), Some((18, Scope::All)));
            assert_eq!(due.take(100), Some((20, Scope::All)));
            assert_eq!(due.take(100), None);
        }
    }

    #[test]
    fn instances_that_had_come_equally_far_leave_no_trace() {
        let (mut first, mut second) = (bound(0..64), bound(64..128));
        first.insert(10);
        assert_eq!((first.take(5), second.take(5)), (None, None));
        let mut one = bound(0..128);
        one.restore_meta(&first.freeze().unwrap()).unwrap();
        one.restore_meta(&second.freeze().unwrap()).unwrap();
        one.insert(3);
        assert_eq!(one.take(2), None);
        // Whoever is joined with them later must know what they have passed, although event time started over.
        let mut two = bound(0..128);
        two.restore_meta(&one.freeze().unwrap()).unwrap();
        assert_eq!(two.apart, [(0..128, 5)]);
        for mut due in [one, two] {
            assert_eq!(due.take(100), Some((3, Scope::All)));
            assert_eq!(due.take(100), Some((10, Scope::All)));
        }
    }
}
