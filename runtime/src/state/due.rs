//! Moments at which something is due for all keys of an instance: the ends of windows.
//!
//! After a restore at another parallelism a moment may be due for some key groups and over for others, as workers don't reach it at the same time.

use std::collections::BTreeMap;
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
    groups: KeyGroups,
    owned: Range<u16>,
    due: BTreeMap<i64, Scope>,
}

/// For which keys a moment is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the instance.
    All,
    /// Those in these key groups.
    Some(KeyGroups, Vec<Range<u16>>),
}

impl Scope {
    /// Is the moment due for this key?
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
        let groups = KeyGroups::default();
        Self { schema, groups, owned: 0..groups.max_parallelism(), due: BTreeMap::new() }
    }

    /// The moment is due for all keys, unless it is known already for which.
    pub fn insert(&mut self, time: i64) {
        self.due.entry(time).or_insert(Scope::All);
    }

    /// Takes out the earliest moment up to and including `now`.
    pub fn take(&mut self, now: i64) -> Option<(i64, Scope)> {
        self.due.first_entry().filter(|entry| *entry.key() <= now).map(|entry| entry.remove_entry())
    }
}

impl Persistent for Due {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn bind(&mut self, _: u8, instance: &Rc<Instance>, _: bool) {
        self.groups = instance.groups();
        self.owned = instance.owned();
    }

    fn full(&self) -> bool {
        true
    }

    fn restore_row(&mut self, _: &[u8], _: &[u8]) -> Result<(), Error> {
        Err(Error::internal("a set of moments has no rows"))
    }

    fn restore_meta(&mut self, meta: &Json) -> Result<(), Error> {
        let broken = || Error::internal("what a snapshot says of moments that are due does not read");
        let parts: Vec<(Range<u16>, Vec<i64>)> = serde_json::from_value(meta.clone()).map_err(|_| broken())?;
        for (groups, times) in parts {
            let mine = groups.start.max(self.owned.start)..groups.end.min(self.owned.end);
            if mine.is_empty() {
                continue;
            }
            for time in times {
                let scope = self.due.entry(time).or_insert_with(|| Scope::Some(self.groups, Vec::new()));
                if let Scope::Some(_, ranges) = scope {
                    ranges.push(mine.clone());
                    if ranges.iter().map(|range| range.len()).sum::<usize>() == self.owned.len() {
                        *scope = Scope::All;
                    }
                }
            }
        }
        Ok(())
    }

    fn freeze(&mut self) -> Result<Json, Error> {
        let mut parts: Vec<(Range<u16>, Vec<i64>)> = vec![(self.owned.clone(), Vec::new())];
        for (time, scope) in &self.due {
            match scope {
                Scope::All => parts[0].1.push(*time),
                Scope::Some(_, ranges) => parts.extend(ranges.iter().map(|range| (range.clone(), vec![*time]))),
            }
        }
        Ok(json!(parts))
    }

    fn sweep(&mut self, most: usize) -> Result<Option<usize>, Error> {
        Ok(Some(most))
    }

    fn release(&mut self) {}

    fn bytes(&self) -> usize {
        self.due.len() * size_of::<(i64, Scope)>()
    }

    fn len(&self) -> usize {
        self.due.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(owned: Range<u16>) -> Due {
        let mut due = Due::new(Schema { name: "due".to_owned(), schema: String::new() });
        due.owned = owned;
        due
    }

    #[test]
    fn a_moment_that_one_worker_had_passed_is_due_for_the_others_keys_only() {
        let (mut first, mut second) = (bound(0..64), bound(64..128));
        first.insert(20);
        second.insert(10);
        second.insert(20);
        let mut one = bound(0..128);
        one.restore_meta(&first.freeze().unwrap()).unwrap();
        one.restore_meta(&second.freeze().unwrap()).unwrap();
        // And once more, as it would be after a second restore.
        let mut again = bound(0..128);
        again.restore_meta(&one.freeze().unwrap()).unwrap();
        for mut due in [one, again] {
            let (time, scope) = due.take(100).unwrap();
            assert_eq!(time, 10);
            for key in 0..1_000u64 {
                let group = KeyGroups::default().group(stable_hash(&key)).0;
                assert_eq!(scope.holds(&key), group >= 64);
            }
            assert_eq!(due.take(100), Some((20, Scope::All)));
            assert_eq!(due.take(100), None);
        }
        let mut quarter = bound(0..32);
        quarter.restore_meta(&second.freeze().unwrap()).unwrap();
        assert_eq!(quarter.take(100), None);
    }
}
