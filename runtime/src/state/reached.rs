//! How far event time has advanced in each key group, in this run and in those it resumes from. An operator must not fire again what it has
//! already fired.
//!
//! Instances don't reach a moment together. After a restore with a different parallelism, an instance holds key groups of several former
//! instances. A moment that one of those had passed is still ahead for the key groups of another.

use std::ops::Range;
use std::rc::Rc;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::instance::Instance;
use super::persistent::{Persistent, Schema};
use crate::error::Error;

/// The event time reached, in milliseconds since 1970, by key group where former instances differed.
pub struct Reached {
    schema: Schema,
    instance: Rc<Instance>,
    /// The event time reached by all key groups of the instance.
    all: i64,
    /// The event time that some key groups had reached in former instances, where it is later.
    ahead: Vec<(Range<u16>, i64)>,
}

impl Reached {
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema, instance: Rc::new(Instance::unbound()), all: i64::MIN, ahead: Vec::new() }
    }

    /// The event time reached by the slowest key group.
    #[must_use]
    #[inline]
    pub fn least(&self) -> i64 {
        self.all
    }

    /// The event time reached for this key.
    #[must_use]
    #[inline]
    pub fn of<K: Serialize + ?Sized>(&self, key: &K) -> i64 {
        if self.ahead.is_empty() { self.all } else { self.of_group(self.instance.group(key).0) }
    }

    /// Whether event time is the same for all keys.
    #[must_use]
    #[inline]
    pub fn is_level(&self) -> bool {
        self.ahead.is_empty()
    }

    fn of_group(&self, group: u16) -> i64 {
        let ahead = self.ahead.iter().find(|(range, _)| range.contains(&group)).map(|(_, reached)| *reached);
        ahead.unwrap_or(i64::MIN).max(self.all)
    }

    /// Advances event time to `to` for all keys.
    pub fn advance(&mut self, to: i64) {
        self.all = self.all.max(to);
        self.ahead.retain(|(_, reached)| *reached > self.all);
    }

    /// Restarts event time.
    pub fn restart(&mut self) {
        (self.all, self.ahead) = (i64::MIN, Vec::new());
    }

    /// Raises the common event time to what every key group has reached.
    fn level(&mut self) {
        let least = self.instance.owned().map(|group| self.of_group(group)).min();
        self.advance(least.unwrap_or(i64::MIN));
    }
}

impl Persistent for Reached {
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
        let broken = |_| Error::internal("what a snapshot says of how far event time had come can't be parsed");
        let former = serde_json::from_value(meta.clone()).map_err(broken)?;
        self.ahead.extend(self.instance.own(former).filter(|(_, reached)| *reached > self.all));
        self.level();
        Ok(())
    }

    fn freeze(&mut self) -> Result<Json, Error> {
        // Merge neighbouring groups with the same event time.
        let mut ranges: Vec<(Range<u16>, i64)> = Vec::new();
        for group in self.instance.owned() {
            let reached = self.of_group(group);
            match ranges.last_mut() {
                Some((range, same)) if *same == reached => range.end = group + 1,
                _ => ranges.push((group..group + 1, reached)),
            }
        }
        Ok(json!(ranges))
    }

    fn bytes(&self) -> usize {
        0
    }

    fn len(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_checkpoints::KeyGroups;

    use super::*;

    fn bound(owned: Range<u16>) -> Reached {
        let mut reached = Reached::new(Schema { name: "reached".to_owned(), schema: String::new(), fields: Vec::new() });
        reached.bind(0, &Rc::new(Instance::new(KeyGroups::default(), owned, None, usize::MAX, Arc::default())), false).unwrap();
        reached
    }

    /// Returns `now` instances that resume from former instances with these key groups and event times.
    fn rescaled(former: &[(Range<u16>, i64)], now: usize) -> Vec<Reached> {
        let metas: Vec<Json> = former
            .iter()
            .map(|(owned, at)| {
                let mut one = bound(owned.clone());
                one.advance(*at);
                one.freeze().unwrap()
            })
            .collect();
        let restored = |worker| {
            let mut one = bound(KeyGroups::default().owned(worker, now));
            metas.iter().for_each(|meta| one.restore_meta(meta).unwrap());
            one
        };
        (0..now).map(restored).collect()
    }

    #[test]
    fn each_key_group_goes_on_from_where_its_former_instance_was() {
        let quarters = [(0..32, 40), (32..64, 10), (64..96, 30), (96..128, 20)];
        for now in [1, 2, 3] {
            for instance in rescaled(&quarters, now) {
                for group in instance.instance.owned() {
                    let expected = quarters.iter().find(|(range, _)| range.contains(&group)).unwrap().1;
                    assert_eq!(instance.of_group(group), expected);
                }
                let all: Vec<i64> = instance.instance.owned().map(|group| instance.of_group(group)).collect();
                assert_eq!(Some(instance.least()), all.into_iter().min());
            }
        }
    }

    #[test]
    fn a_second_restore_keeps_what_the_first_one_had_apart() {
        let mut one = rescaled(&[(0..64, 5), (64..128, 50)], 1).remove(0);
        one.advance(20);
        let mut again = bound(0..128);
        again.restore_meta(&one.freeze().unwrap()).unwrap();
        assert_eq!((again.of_group(0), again.of_group(100), again.least()), (20, 50, 20));
        again.advance(60);
        assert!(again.ahead.is_empty() && again.of_group(100) == 60);
        again.restart();
        assert_eq!(again.of_group(100), i64::MIN);
    }
}
