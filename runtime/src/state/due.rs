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

    /// Makes the moment due for all keys, except those for which it has passed, in this instance or a former one.
    pub fn insert(&mut self, time: i64) {
        self.due.insert(time);
    }

    /// The latest moment in the set.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.due.last().copied()
    }

    /// Takes out the earliest moment up to and including `now` that is due for any key. Call again until it returns `None`.
    pub fn take(&mut self, now: i64) -> Option<(i64, Scope)> {
        // Key groups that are equally far no longer differ, but what they have passed stays passed.
        if let Some((_, first)) = self.apart.first().filter(|(_, first)| self.apart.iter().all(|(_, passed)| passed == first)) {
            self.reached = self.reached.max(*first);
            self.apart.clear();
        }
        while let Some(time) = self.due.first().copied().filter(|time| *time <= now) {
            self.due.remove(&time);
            // A moment of another former instance may be over for all keys that this one has.
            if let Some(scope) = self.scope(time) {
                return Some((time, scope));
            }
        }
        self.reached = self.reached.max(now);
        if self.apart.iter().all(|(_, passed)| *passed <= self.reached) {
            self.apart.clear();
        }
        None
    }

    /// The keys for which this moment is due, if there are any.
    fn scope(&self, time: i64) -> Option<Scope> {
        if time <= self.reached {
            return None;
        }
        let (behind, ahead): (Vec<_>, Vec<_>) = self.apart.iter().partition(|(_, passed)| *passed < time);
        match (ahead.is_empty(), behind.is_empty()) {
            (true, _) => Some(Scope::All),
            (false, true) => None,
            (false, false) => Some(Scope::Some(self.instance.groups(), behind.iter().map(|(range, _)| range.clone()).collect())),
        }
    }

    /// Lets event time start over: everything inserted from now on is due.
    pub fn restart(&mut self) {
        (self.reached, self.apart) = (i64::MIN, Vec::new());
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
        let (passed, due): (Vec<(Range<u16>, i64)>, Vec<i64>) = serde_json::from_value(meta.clone()).map_err(broken)?;
        // An instance at the end of time has nothing left, and starts over.
        let started = |(groups, passed): (Range<u16>, i64)| (groups, if passed == i64::MAX { i64::MIN } else { passed });
        self.apart.extend(self.instance.own(passed).map(started));
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

    /// Instances with these key groups that have passed these moments and wait for these, as one.
    fn joined(former: &[(Range<u16>, i64, &[i64])]) -> Due {
        let mut one = bound(0..128);
        for (groups, passed, due) in former {
            let mut each = bound(groups.clone());
            assert_eq!(each.take(*passed), None);
            due.iter().for_each(|time| each.insert(*time));
            one.restore_meta(&each.freeze().unwrap()).unwrap();
        }
        one
    }

    #[test]
    fn a_moment_that_all_key_groups_have_passed_is_not_due() {
        // The second former instance waits for a moment that all keys of the first have passed.
        let mut first = bound(0..64);
        for (groups, passed, due) in [(0..64, 50, vec![60]), (64..128, 5, vec![10])] {
            first.restore_meta(&json!(([(groups, passed)], due))).unwrap();
        }
        assert_eq!(first.take(100), Some((60, Scope::All)));
        assert_eq!(first.take(100), None);
        // Those that had come equally far.
        let mut one = joined(&[(0..64, 5, &[10]), (64..128, 5, &[])]);
        one.insert(3);
        assert_eq!(one.take(2), None);
        // Whoever is joined with them later must know what they have passed, although event time started over.
        let mut two = bound(0..128);
        two.restore_meta(&one.freeze().unwrap()).unwrap();
        assert_eq!(two.apart, [(0..128, 5)]);
        for mut due in [one, two] {
            assert_eq!(due.take(100), Some((10, Scope::All)));
            assert_eq!(due.take(100), None);
        }
    }

    #[test]
    fn after_the_end_of_time_everything_is_due_again() {
        let mut due = joined(&[(0..64, i64::MAX, &[]), (64..128, i64::MAX, &[])]);
        due.insert(3);
        assert_eq!(due.take(5), Some((3, Scope::All)));
        assert_eq!(due.take(i64::MAX), None);
        due.restart();
        due.insert(4);
        assert_eq!(due.take(5), Some((4, Scope::All)));
    }
}
