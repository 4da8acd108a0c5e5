//! One timer per key, which can be moved earlier.
//!
//! An operator that waits for many moments of a key sets a timer for the first of them only, and for the next when that one fires. So a
//! busy key costs one timer, not one per record. Timers are never deleted: a key that is woken by an obsolete one knows it from its [`Wake`].

use serde::{Deserialize, Serialize};

use super::registry::Handle;
use super::timers::Timers;
use super::{Key, States};
use crate::error::Error;

/// When a key is woken next. It is part of the key's value, so it leaves memory with it.
///
/// Stored as an `Option<i64>`, but half its size, because very many keys may have little else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<i64>", into = "Option<i64>")]
pub struct Wake(i64);

/// Never. A wake at this very moment can't be told from it, so its timers are never obsolete and may be set again.
const NEVER: i64 = i64::MIN;

impl Wake {
    /// When the key is woken, if ever.
    #[must_use]
    #[inline]
    pub fn time(self) -> Option<i64> {
        (self.0 != NEVER).then_some(self.0)
    }

    /// Whether the timer for this moment is the one that counts. Otherwise an earlier one has replaced it.
    #[must_use]
    #[inline]
    pub fn is_at(self, time: i64) -> bool {
        self.0 == time || time == NEVER
    }

    /// Called when a timer of the key for this moment has fired. Returns whether it is the one that counts, which must then be set again
    /// for the next moment the key waits for.
    #[inline]
    pub fn woken(&mut self, time: i64) -> bool {
        if self.0 == time {
            self.0 = NEVER;
            return true;
        }
        time == NEVER
    }
}

impl Default for Wake {
    fn default() -> Self {
        Self(NEVER)
    }
}

impl From<Option<i64>> for Wake {
    fn from(time: Option<i64>) -> Self {
        Self(time.unwrap_or(NEVER))
    }
}

impl From<Wake> for Option<i64> {
    fn from(wake: Wake) -> Self {
        wake.time()
    }
}

/// The timers of all keys, at most one per key that counts.
pub struct Wakes<K>(Handle<Timers<K>>);

impl<K> Clone for Wakes<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl States {
    /// One timer per key, stored as [`States::timers`].
    ///
    /// # Errors
    /// The name is taken.
    pub fn wakes<K: Key>(&mut self, name: &str) -> Result<Wakes<K>, Error> {
        self.timers(name).map(Wakes)
    }
}

impl<K: Key> Wakes<K> {
    /// Wakes the key at `time`, unless it is woken earlier.
    #[inline]
    pub fn by(&self, time: i64, wake: &mut Wake, key: impl FnOnce() -> K) {
        if wake.0 == NEVER || time < wake.0 {
            wake.0 = time;
            self.0.borrow_mut().set(time, key());
        }
    }

    /// Announces that a key will be woken at this time once earlier moments have come.
    #[inline]
    pub fn foresee(&self, time: i64) {
        self.0.borrow_mut().foresee(time);
    }

    /// The latest time ever set or foreseen.
    #[must_use]
    pub fn latest(&self) -> Option<i64> {
        self.0.borrow().latest()
    }

    /// The next time at which a key may be woken. Obsolete timers count.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        self.0.borrow().next()
    }

    /// Calls `wake` for every timer up to and including `now`, in order of time, with those that `wake` sets. For each it must ask
    /// [`Wake::woken`], or [`Wake::is_at`] first.
    ///
    /// # Errors
    /// `wake` returned an error.
    pub fn fire(&self, now: i64, wake: impl FnMut(i64, K) -> Result<(), Error>) -> Result<(), Error> {
        self.0.fire(now, wake)
    }

    /// The number of timers, with those that are obsolete.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.0.borrow().entries()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::state::codec;

    /// Keys that wait for moments, with a timer for the first of each.
    #[derive(Default)]
    struct Keys {
        all: BTreeMap<u8, (BTreeSet<i64>, Wake)>,
    }

    #[derive(Clone, Debug)]
    enum Act {
        Await(u8, i64),
        Forget(u8),
        Fire(i64),
        /// Writes the keys and reads them again.
        Store,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let time = || prop_oneof![8 => -40..40i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
        let act = prop_oneof![
            6 => (0..4u8, time()).prop_map(|(k, t)| Act::Await(k, t)),
            1 => (0..4u8).prop_map(Act::Forget),
            2 => time().prop_map(Act::Fire),
            1 => Just(Act::Store),
        ];
        proptest::collection::vec(act, 0..100)
    }

    fn written<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode(value, &mut bytes).unwrap();
        bytes
    }

    impl Keys {
        fn wait(&mut self, wakes: &Wakes<u8>, key: u8, time: i64) {
            let (moments, wake) = self.all.entry(key).or_default();
            moments.insert(time);
            wakes.by(time, wake, || key);
        }

        /// Fires up to `now`. Returns the moments that have come, with their keys, in order of time.
        fn fire(&mut self, wakes: &Wakes<u8>, now: i64) -> Vec<(i64, u8)> {
            let mut come = Vec::new();
            wakes
                .fire(now, |time, key| {
                    let Some((moments, wake)) = self.all.get_mut(&key) else { return Ok(()) };
                    if !wake.woken(time) {
                        return Ok(());
                    }
                    assert!(moments.contains(&time) || time == NEVER, "a key is not woken in vain");
                    let rest = time.checked_add(1).map(|next| moments.split_off(&next)).unwrap_or_default();
                    come.extend(std::mem::replace(moments, rest).into_iter().map(|moment| (moment, key)));
                    if let Some(next) = moments.first() {
                        wakes.by(*next, wake, || key);
                    }
                    Ok(())
                })
                .unwrap();
            assert!(come.is_sorted_by_key(|(time, _)| *time));
            come.sort_unstable();
            come
        }
    }

    proptest! {
        #[test]
        fn each_moment_comes_once_and_in_order(acts in acts()) {
            let wakes = States::default().wakes("wakes").unwrap();
            let (mut keys, mut model) = (Keys::default(), BTreeSet::new());
            for act in acts.into_iter().chain([Act::Fire(i64::MAX)]) {
                match act {
                    Act::Await(key, time) => {
                        keys.wait(&wakes, key, time);
                        model.insert((time, key));
                    }
                    Act::Forget(key) => {
                        keys.all.remove(&key);
                        model.retain(|(_, other)| *other != key);
                    }
                    Act::Fire(now) => {
                        let expected: Vec<(i64, u8)> = model.iter().copied().filter(|(time, _)| *time <= now).collect();
                        model.retain(|(time, _)| *time > now);
                        prop_assert_eq!(keys.fire(&wakes, now), expected);
                    }
                    Act::Store => {
                        for (_, wake) in keys.all.values_mut() {
                            *wake = codec::decode(&written(wake)).unwrap();
                        }
                    }
                }
            }
            prop_assert_eq!(wakes.entries(), 0);
        }

        #[test]
        fn a_wake_is_stored_as_the_time_it_may_have(time: Option<i64>) {
            prop_assume!(time != Some(NEVER));
            let wake = Wake::from(time);
            prop_assert_eq!(written(&wake), written(&time));
            prop_assert_eq!(codec::decode::<Wake>(&written(&time)).unwrap(), wake);
            prop_assert_eq!(serde_json::to_string(&wake).unwrap(), serde_json::to_string(&time).unwrap());
        }
    }

    #[test]
    fn a_key_that_waits_for_ever_later_moments_costs_one_timer() {
        let wakes = States::default().wakes("wakes").unwrap();
        let mut keys = Keys::default();
        (0..1_000).for_each(|time| keys.wait(&wakes, 1, time));
        assert_eq!(wakes.entries(), 1);
        assert_eq!(keys.fire(&wakes, i64::MAX).len(), 1_000);
    }
}
