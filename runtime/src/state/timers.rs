//! Timers: moments at which something is due for a key. Cheap even for millions of them.
//!
//! A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan 1990) over times: timers are kept in lists by the highest bit in which their time differs
//! from the last time taken out. Setting a timer is a push; until it is due, it moves between lists at most once per bit. Lists are logs:
//! deleting a timer appends another entry, and which entries count is decided when the moment comes.
//!
//! A snapshot holds all timers. Lists consist of shared chunks, so freezing copies only pointers, and an addition to a shared chunk copies
//! that chunk.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::rc::Rc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde_json::Value as Json;

use super::codec;
use super::instance::{Address, Instance};
use super::persistent::{Persistent, Schema};
use super::registry::Handle;
use crate::error::Error;
use crate::record::Data;

/// A set of (time, key) pairs; setting a timer twice is the same as setting it once. Times are milliseconds since 1970, in event time or on
/// the wall clock.
pub struct Timers<K> {
    schema: Schema,
    instance: Rc<Instance>,
    id: u8,
    /// The last time taken out. Timers that are not after it are in `near`.
    last: Option<i64>,
    near: BTreeMap<i64, List<K>>,
    /// By the highest bit in which their time differs from `last`.
    far: [List<K>; 64],
    /// The number of entries in all lists.
    entries: usize,
    /// The latest time ever set or foreseen.
    latest: Option<i64>,
    frozen: Option<Frozen<K>>,
}

/// What a snapshot still has to capture.
struct Frozen<K> {
    lists: Vec<List<K>>,
}

/// A log entry: a timer set or deleted.
#[derive(Clone)]
struct Item<K> {
    time: i64,
    key: K,
    set: bool,
}

/// A log of entries, in chunks.
struct List<K> {
    chunks: Vec<Rc<Vec<Item<K>>>>,
    /// The earliest time in it.
    least: i64,
    /// Whether any timer has been deleted.
    taken_back: bool,
}

impl<K> Clone for List<K> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), least: self.least, taken_back: self.taken_back }
    }
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { chunks: Vec::new(), least: i64::MAX, taken_back: false }
    }
}

/// The capacity of a chunk, in entries.
const CHUNK: usize = 1_024;

impl<K: Clone> List<K> {
    #[inline]
    fn push(&mut self, item: Item<K>) {
        self.least = self.least.min(item.time);
        self.taken_back |= !item.set;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => Rc::make_mut(chunk).push(item),
            _ => self.chunks.push(Rc::new(vec![item])),
        }
    }

    /// The entries, in the order they were pushed. Chunks that no snapshot shares are not copied.
    fn take(&mut self) -> impl Iterator<Item = Item<K>> + use<K> {
        std::mem::take(self).chunks.into_iter().flat_map(Rc::unwrap_or_clone)
    }

    fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }
}

/// Maps times to unsigned numbers in the same order.
fn ordered(time: i64) -> u64 {
    time as u64 ^ (1 << 63)
}

impl<K: Data + Eq + Hash> Timers<K> {
    pub(super) fn new(schema: Schema) -> Self {
        Self {
            schema,
            instance: Rc::new(Instance::unbound()),
            id: 0,
            last: None,
            near: BTreeMap::new(),
            far: std::array::from_fn(|_| List::default()),
            entries: 0,
            latest: None,
            frozen: None,
        }
    }

    /// Sets a timer.
    #[inline]
    pub fn set(&mut self, time: i64, key: K) {
        self.foresee(time);
        self.push(Item { time, key, set: true });
    }

    /// Announces that a timer will be set for this time once earlier ones have fired.
    #[inline]
    pub fn foresee(&mut self, time: i64) {
        self.latest = self.latest.max(Some(time));
    }

    /// The latest time ever set or foreseen.
    #[must_use]
    pub fn latest(&self) -> Option<i64> {
        self.latest
    }

    /// Deletes a timer, if it is set.
    pub fn delete(&mut self, time: i64, key: &K) {
        self.push(Item { time, key: key.clone(), set: false });
    }

    #[inline]
    fn push(&mut self, item: Item<K>) {
        self.entries += 1;
        let differs = ordered(item.time) ^ ordered(self.last.unwrap_or(i64::MIN));
        if self.last.is_some_and(|last| item.time <= last) || differs == 0 {
            self.near.entry(item.time).or_default().push(item);
        } else {
            self.far[63 - differs.leading_zeros() as usize].push(item);
        }
    }

    /// The next time at which something may be due. Deleted timers still count.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        let near = self.near.first_key_value().map(|(time, _)| *time);
        near.or_else(|| self.far.iter().find(|list| !list.chunks.is_empty()).map(|list| list.least))
    }

    /// Takes out all keys that are due at the earliest time up to and including `now`, in the order they were first set. Call again until
    /// it returns `None`: what fires may set further timers that are already due.
    pub fn take_due(&mut self, now: i64) -> Option<(i64, impl Iterator<Item = K> + use<K>)> {
        let time = self.next().filter(|time| *time <= now)?;
        if !self.near.contains_key(&time) {
            let nearest = self.far.iter().position(|list| !list.chunks.is_empty())?;
            self.last = Some(time);
            let mut list = std::mem::take(&mut self.far[nearest]);
            self.entries -= list.len();
            for item in list.take() {
                self.push(item);
            }
        }
        let mut list = self.near.remove(&time)?;
        self.entries -= list.len();
        Some((time, settle(&mut list)))
    }

    /// The number of log entries: timers set, perhaps more than once, and deletions.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries
    }
}

impl<K: Data + Eq + Hash> Handle<Timers<K>> {
    /// Takes out all timers up to and including `now`, in order of time, and calls `each` with them. `each` may set more: those that are
    /// already due fire, too.
    ///
    /// # Errors
    /// `each` returned an error.
    pub fn fire(&self, now: i64, mut each: impl FnMut(i64, K) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            let due = self.borrow_mut().take_due(now);
            let Some((time, keys)) = due else { return Ok(()) };
            for key in keys {
                each(time, key)?;
            }
        }
    }
}

/// The keys for which a timer is set at the end of this log, which covers a single moment.
fn settle<K: Clone + Eq + Hash>(list: &mut List<K>) -> impl Iterator<Item = K> + use<K> {
    let taken_back = list.taken_back;
    let items: Vec<Item<K>> = list.take().collect();
    // The first entry of a key decides its place in the order, the last whether its timer is set.
    let mut first: HashMap<K, usize, FixedState> = HashMap::default();
    let mut set: Vec<bool> = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let at = *first.entry_ref(&item.key).or_insert(i);
        set.push(item.set && at == i);
        if taken_back && at != i {
            set[at] = item.set;
        }
    }
    items.into_iter().zip(set).filter_map(|(item, set)| set.then_some(item.key))
}

impl<K: Data + Eq + Hash> Persistent for Timers<K> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn bind(&mut self, id: u8, instance: &Rc<Instance>, _: bool) -> Result<(), Error> {
        self.id = id;
        self.instance = Rc::clone(instance);
        Ok(())
    }

    fn full(&self) -> bool {
        true
    }

    fn restore_row(&mut self, key: &[u8], _: &[u8]) -> Result<(), Error> {
        let (time, key) = codec::decode_ordered(key)?;
        self.set(time, codec::decode(key)?);
        Ok(())
    }

    fn freeze(&mut self) -> Result<Json, Error> {
        let lists = self.near.values().chain(&self.far).filter(|list| !list.chunks.is_empty()).cloned();
        self.frozen = Some(Frozen { lists: lists.collect() });
        Ok(Json::Null)
    }

    fn sweep(&mut self, most: usize) -> Result<Option<usize>, Error> {
        let Some(frozen) = &mut self.frozen else { return Ok(Some(most)) };
        let mut captured = self.instance.captured.borrow_mut();
        let mut put = |item: &Item<K>| {
            let address = Address { state: self.id, namespace: Some(item.time) };
            address.capture(&self.instance, &mut captured.full, &item.key, Some(&()))
        };
        let mut done = 0;
        while done < most
            && let Some(list) = frozen.lists.last_mut()
        {
            if list.taken_back {
                // Whether a timer is set can only be told from all entries of its moment.
                let mut moments: BTreeMap<i64, List<K>> = BTreeMap::new();
                done += list.len();
                for item in list.take() {
                    moments.entry(item.time).or_default().push(item);
                }
                for (time, mut moment) in moments {
                    settle(&mut moment).try_for_each(|key| put(&Item { time, key, set: true }))?;
                }
            } else if let Some(chunk) = list.chunks.pop() {
                done += chunk.len();
                chunk.iter().try_for_each(&mut put)?;
                if !list.chunks.is_empty() {
                    continue;
                }
            }
            frozen.lists.pop();
        }
        if !frozen.lists.is_empty() {
            return Ok(None);
        }
        self.frozen = None;
        Ok(Some(most.saturating_sub(done)))
    }

    fn bytes(&self) -> usize {
        self.entries() * size_of::<Item<K>>()
    }

    fn len(&self) -> usize {
        self.entries()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn timers() -> Timers<u8> {
        Timers::new(Schema { name: "timers".to_owned(), schema: String::new(), fields: Vec::new() })
    }

    fn due(timers: &mut Timers<u8>, now: i64) -> Vec<(i64, u8)> {
        let mut fired = Vec::new();
        while let Some((time, keys)) = timers.take_due(now) {
            let mut keys: Vec<_> = keys.map(|key| (time, key)).collect();
            keys.sort_unstable();
            fired.extend(keys);
        }
        fired
    }

    #[derive(Clone, Debug)]
    enum Act {
        Set(i64, u8),
        Delete(i64, u8),
        Fire(i64),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let time = || prop_oneof![8 => -40..40i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
        let act = prop_oneof![
            4 => (time(), 0..4u8).prop_map(|(t, k)| Act::Set(t, k)),
            2 => (time(), 0..4u8).prop_map(|(t, k)| Act::Delete(t, k)),
            1 => time().prop_map(Act::Fire),
        ];
        proptest::collection::vec(act, 0..80)
    }

    proptest! {
        #[test]
        fn they_are_a_set_that_fires_in_order_of_time(acts in acts()) {
            let (mut timers, mut model) = (timers(), BTreeSet::new());
            for act in acts {
                match act {
                    Act::Set(time, key) => {
                        timers.set(time, key);
                        model.insert((time, key));
                    }
                    Act::Delete(time, key) => {
                        timers.delete(time, &key);
                        model.remove(&(time, key));
                    }
                    Act::Fire(now) => {
                        let expected: Vec<_> = model.iter().copied().filter(|(time, _)| *time <= now).collect();
                        model.retain(|(time, _)| *time > now);
                        prop_assert_eq!(due(&mut timers, now), expected);
                    }
                }
            }
            prop_assert_eq!(due(&mut timers, i64::MAX), model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_snapshot_holds_what_was_set_when_it_began(before in acts(), after in acts(), most in 1..50usize) {
            let (mut timers, mut model) = (timers(), BTreeSet::new());
            let apply = |timers: &mut Timers<u8>, model: &mut BTreeSet<(i64, u8)>, act: Act| match act {
                Act::Set(time, key) => {
                    timers.set(time, key);
                    model.insert((time, key));
                }
                Act::Delete(time, key) => {
                    timers.delete(time, &key);
                    model.remove(&(time, key));
                }
                Act::Fire(now) => {
                    due(timers, now);
                    model.retain(|(time, _)| *time > now);
                }
            };
            before.into_iter().for_each(|act| apply(&mut timers, &mut model, act));
            timers.freeze().unwrap();
            let expected = model.clone();
            for act in after {
                apply(&mut timers, &mut model, act);
                timers.sweep(most).unwrap();
            }
            while timers.sweep(most).unwrap().is_none() {}
            let captured = timers.instance.captured.take();
            let mut restored = Timers::new(timers.schema.clone());
            for row in captured.full.iter() {
                let (_, _, key) = row.address().unwrap();
                restored.restore_row(key, row.value.unwrap()).unwrap();
            }
            prop_assert_eq!(due(&mut restored, i64::MAX), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
